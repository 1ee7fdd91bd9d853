"""Flow reactions in runs: approvals, loops, calls of other AREAs, cases and moments."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from area.core.errors import Conflict, InvalidInputs, NotFound
from area.engine import approvals, control, replays
from area.engine.areas import ReactionDraft, delete_area, set_area_enabled
from area.nodes import sdk
from tests.engine.conftest import Sink, World, eventually, log


def ask(key: str = "ask", **config: Any) -> ReactionDraft:
    return ReactionDraft("flow.approval", {"message": "Publish {{ trigger.body.title }}?", **config}, key=key)


def each(key: str, reaction: str, config: dict[str, Any], items: Any = "{{ trigger.body.items }}", **more: Any) -> Any:
    return ReactionDraft("flow.for_each", {"items": items, "reaction": reaction, "config": config, **more}, key=key)


def put(url: str, path: str = "/{{ item }}", method: str = "PUT") -> dict[str, Any]:
    return {"url": f"{url}{path}", "method": method}


def call(area_id: Any, key: str = "call", **more: Any) -> ReactionDraft:
    return ReactionDraft("flow.call_area", {"area_id": str(area_id), **more}, key=key)


def token_of(url: str) -> str:
    return url.rpartition("/")[2]


async def problems_of(world: World, *reactions: ReactionDraft) -> list[tuple[Any, ...]]:
    with pytest.raises(InvalidInputs) as caught:
        await world.area(*reactions)
    return [(problem.path, problem.code) for problem in caught.value.problems]


# Approvals


async def test_a_link_sent_by_an_earlier_step_decides_the_later_one(world: World, sink: Sink) -> None:
    send = ReactionDraft("http.request", {"url": sink.url, "method": "PUT", "body": "{{ run.approvals.ask }}"}, key="s")
    area = await world.area(send, ask(), log("after", "{{ steps.ask.approved }} {{ steps.ask.comment }}"))
    run = await world.happen(area, {"title": "News"})
    assert await world.status(run) == "waiting"
    url = sink.calls[0][2]
    assert url.startswith(f"{world.platform.settings.public_url}/approvals/")
    question = await approvals.asked(world.platform, token_of(url))
    assert (question.state, question.message, question.area_name) == ("open", "Publish News?", "Test")
    await approvals.decide_by_link(world.platform, token_of(url), approved=True, comment=" Go. ")
    await world.execute(run)
    assert await world.status(run) == "succeeded"
    steps = await world.steps(run)
    assert steps["after"]["input"]["message"] == "true Go."
    assert steps["ask"]["output"]["decided_by"] == "link"
    await world.story(run)


async def test_a_decision_is_the_only_one(world: World) -> None:
    run = await world.happen(await world.area(ask(on_reject="continue")), {})
    token = token_of(world.platform.links.url(run, "ask"))
    answers = await asyncio.gather(
        *(approvals.decide_by_link(world.platform, token, approved=bool(n % 2), comment=str(n)) for n in range(6)),
        return_exceptions=True,
    )
    assert sum(not isinstance(answer, BaseException) for answer in answers) == 1
    assert all(isinstance(answer, Conflict) for answer in answers if isinstance(answer, BaseException))
    await world.execute(run)
    decided = (await world.steps(run))["ask"]["output"]
    assert decided["approved"] == bool(int(decided["comment"]) % 2)
    with pytest.raises(Conflict, match="already, by link"):
        await approvals.decide_by_link(world.platform, token, approved=True, comment="")
    assert (await approvals.asked(world.platform, token)).state == "decided"


async def test_a_rejection_ends_the_run_and_the_rest_is_skipped(world: World) -> None:
    run = await world.happen(await world.area(ask(), log("after")), {})
    await approvals.decide(world.platform, world.user, run, "ask", approved=False, comment="No.")
    await world.execute(run)
    steps = await world.steps(run)
    assert (await world.status(run), steps["after"]["status"]) == ("succeeded", "skipped")
    assert steps["ask"]["output"] | {"decided_at": ""} == {
        "approved": False, "comment": "No.", "decided_by": f"{world.user.hex}@example.com", "decided_at": "",
    }  # fmt: skip


async def test_nobody_elses_run_is_decided(world: World) -> None:
    run = await world.happen(await world.area(ask()), {})
    with pytest.raises(NotFound):
        await approvals.decide(world.platform, UUID(int=7), run, "ask", approved=True, comment="")
    with pytest.raises(NotFound):
        await approvals.decide(world.platform, world.user, run, "other", approved=True, comment="")
    for token in ("", "x", token_of(world.platform.links.url(run, "ask"))[:-1], f"{run.hex}.ask.{'A' * 43}"):
        with pytest.raises(NotFound):
            await approvals.decide_by_link(world.platform, token, approved=True, comment="")
    assert await world.pool.fetchval("SELECT count(*) FROM approvals WHERE run_id = $1", run) == 0
    assert await world.status(run) == "waiting"


async def test_time_that_runs_out_decides_as_configured(world: World) -> None:
    approves = await world.happen(await world.area(ask(on_timeout="approve"), log("after")), {})
    fails = await world.happen(await world.area(ask(on_timeout="fail"), log("after")), {})
    for run in (approves, fails):
        await world.due_now(run)
        token = token_of(world.platform.links.url(run, "ask"))
        assert (await approvals.asked(world.platform, token)).state == "expired"
        with pytest.raises(Conflict, match="time to decide is over"):
            await approvals.decide_by_link(world.platform, token, approved=False, comment="")
    await world.execute(approves, fails)
    assert [await world.status(approves), await world.status(fails)] == ["succeeded", "failed"]
    assert (await world.steps(fails))["ask"]["error"]["code"] == "APPROVAL_TIMED_OUT"


async def test_a_decision_before_its_step_is_kept_for_it(world: World) -> None:
    area = await world.area(ReactionDraft("flow.delay", {"seconds": 60}, key="wait"), ask())
    run = await world.happen(area, {})
    token = token_of(world.platform.links.url(run, "ask"))
    assert (await approvals.asked(world.platform, token)).message is None
    await approvals.decide_by_link(world.platform, token, approved=True, comment="early")
    await world.execute(run)
    assert await world.status(run) == "waiting", "the delay is not over: an answer to one step is none to another"
    assert (await world.steps(run))["wait"]["status"] == "waiting"
    await world.due_now(run)
    await world.execute(run)
    assert (await world.steps(run))["ask"]["output"]["comment"] == "early"
    assert await world.status(run) == "succeeded"


async def test_a_decision_while_the_run_goes_to_rest_does_not_rest_with_it(world: World, sink: Sink) -> None:
    slow = ReactionDraft("http.request", {"url": f"{sink.url}/slow", "method": "PUT"}, key="slow")
    area = await world.area(ask(), slow, mode="parallel")
    sink.holds = "/slow"
    await world.fire(area, {})
    run = await world.run_of(area)
    task = asyncio.create_task(world.execute(run))
    await asyncio.wait_for(sink.arrived.wait(), 10)

    async def asking() -> bool:
        return bool((await world.steps(run)).get("ask", {}).get("status") == "waiting")

    await eventually(asking)
    await approvals.decide(world.platform, world.user, run, "ask", approved=True, comment="")
    sink.hold.set()
    await task
    assert await world.status(run) == "queued", "what was decided meanwhile is looked at again, at once"
    await world.execute(run)
    assert await world.status(run) == "succeeded"


async def test_two_questions_are_answered_one_by_one(world: World) -> None:
    run = await world.happen(await world.area(ask("one"), ask("two"), mode="parallel"), {})
    await approvals.decide(world.platform, world.user, run, "two", approved=True, comment="")
    await world.execute(run)
    assert await world.status(run) == "waiting"
    assert [step["status"] for step in (await world.steps(run)).values()] == ["waiting", "succeeded"]
    await approvals.decide(world.platform, world.user, run, "one", approved=True, comment="")
    await world.execute(run)
    assert await world.status(run) == "succeeded"


async def test_a_question_ends_with_its_run(world: World) -> None:
    run = await world.happen(await world.area(ask()), {})
    await control.cancel_run(world.platform, world.user, run)
    with pytest.raises(Conflict, match="nothing to decide"):
        await approvals.decide(world.platform, world.user, run, "ask", approved=True, comment="")


async def test_approval_links_are_checked_when_saved(world: World) -> None:
    assert await problems_of(world, log("a", "{{ run.approvals.aks }} {{ run.idd }}"), ask()) == [
        (("reactions", 0, "config", "message"), "UNKNOWN_REFERENCE"),
        (("reactions", 0, "config", "message"), "UNKNOWN_REFERENCE"),
    ]


# Cases and moments


async def test_a_switch_chooses_and_later_steps_ask(world: World) -> None:
    cases = [{"name": "big", "when": "trigger.body.n > 100"}, {"name": "odd", "when": "trigger.body.odd"}]
    area = await world.area(
        ReactionDraft("flow.switch", {"cases": cases, "otherwise": "rest"}, key="switch"),
        log("big", when='steps.switch.case == "big"'),
        log("rest", when='steps.switch.case == "rest"'),
    )
    runs = [await world.happen(area, body) for body in ({"n": 101, "odd": True}, {"n": 1}, {"n": 1, "odd": True})]
    found = [{key: step["status"] for key, step in (await world.steps(run)).items()} for run in runs]
    assert found == [
        {"switch": "succeeded", "big": "succeeded", "rest": "skipped"},
        {"switch": "succeeded", "big": "skipped", "rest": "succeeded"},
        {"switch": "succeeded", "big": "skipped", "rest": "skipped"},
    ]
    assert (await world.steps(runs[0]))["switch"]["input"]["cases"] == [
        {"name": "big", "when": True},
        {"name": "odd", "when": True},
    ]


async def test_the_cases_of_a_switch_are_checked_when_saved(world: World) -> None:
    cases = [{"name": "a", "when": "trigger.bdy.n > 1"}, {"name": "b", "when": "{% if"}, {"name": "c"}]
    assert await problems_of(world, ReactionDraft("flow.switch", {"cases": cases}, key="s")) == [
        (("reactions", 0, "config", "cases", 0, "when"), "UNKNOWN_REFERENCE"),
        (("reactions", 0, "config", "cases", 1, "when"), "INVALID_INPUT"),
        (("reactions", 0, "config", "cases", 2, "when"), "REQUIRED_FIELD"),
    ]


async def test_a_run_waits_until_the_moment_it_was_given(world: World) -> None:
    area = await world.area(ReactionDraft("flow.wait_until", {"at": "{{ trigger.body.at }}"}, key="w"), log("after"))
    later, past = await world.happen(area, {"at": "2099-01-01"}), await world.happen(area, {"at": "2020-01-01"})
    never = await world.happen(area, {"at": "soon"})
    assert await world.status(past) == "succeeded"
    assert (await world.steps(never))["w"]["error"]["code"] == "INVALID_INPUT"
    assert (await world.steps(later))["w"]["error"]["message"].startswith("2099-01-01T00:00:00+00:00 is more than 366")


# Loops


async def test_each_item_is_done_with_its_own_inputs(world: World) -> None:
    area = await world.area(
        each("loop", "flow.log", {"message": "{{ index }}: {{ item.name }} of {{ trigger.body.who }}"}),
        log("after", "{{ steps.loop.succeeded }} {{ steps.loop.results[1].output.message }}"),
    )
    run = await world.happen(area, {"who": "Ada", "items": [{"name": "a"}, {"name": "{{ trigger }}"}]})
    steps = await world.steps(run)
    assert await world.status(run) == "succeeded"
    assert list(steps) == ["loop", "after", "loop[0]", "loop[1]"]
    assert steps["loop[1]"]["input"]["message"] == "1: {{ trigger }} of Ada"
    assert steps["after"]["input"]["message"] == "2 1: {{ trigger }} of Ada"
    await world.story(run)


async def test_an_empty_list_is_done_at_once_and_one_too_long_fails(world: World) -> None:
    area = await world.area(each("loop", "flow.log", {"message": "x"}))
    empty, long = await world.happen(area, {"items": []}), await world.happen(area, {"items": [1] * 1001})
    none = await world.happen(area, {})
    assert (await world.steps(empty))["loop"]["output"]["results"] == []
    assert await world.status(empty) == "succeeded"
    for run in (long, none):
        assert (await world.steps(run))["loop"]["error"]["code"] == "INVALID_INPUT"
    assert "at most 1000" in (await world.steps(long))["loop"]["error"]["message"]


async def test_items_are_skipped_by_their_condition(world: World, sink: Sink) -> None:
    area = await world.area(each("loop", "http.request", put(sink.url), when="item > 2"))
    run = await world.happen(area, {"items": [1, 2, 3, 4]})
    assert [path for path, _, _ in sink.calls] == ["/3", "/4"]
    output = (await world.steps(run))["loop"]["output"]
    assert (output["succeeded"], output["skipped"]) == (2, 2)


async def test_at_most_so_many_items_at_once(world: World, sink: Sink) -> None:
    area = await world.area(each("loop", "http.request", put(sink.url), concurrency=3))
    sink.holds = "*"
    await world.fire(area, {"items": list(range(7))})
    run = await world.run_of(area)
    task = asyncio.create_task(world.execute(run))

    async def three() -> bool:
        return len(sink.calls) == 3

    await eventually(three)
    sink.hold.set()
    await task
    assert await world.status(run) == "succeeded"
    assert sorted(path for path, _, _ in sink.calls) == [f"/{n}" for n in range(7)]
    assert sorted(path for path, _, _ in sink.calls[:3]) == ["/0", "/1", "/2"]


async def test_a_failed_item_ends_the_loop_or_not(world: World, sink: Sink) -> None:
    stops = await world.area(each("loop", "http.request", put(sink.url)), log("after"))
    goes_on = await world.area(each("loop", "http.request", put(sink.url), stops=False), log("after"))
    sink.answers = [(200, {}), (404, {})]
    stopped = await world.happen(stops, {"items": ["a", "b", "c"]})
    assert [path for path, _, _ in sink.calls] == ["/a", "/b"]
    assert await world.status(stopped) == "failed"
    steps = await world.steps(stopped)
    assert [steps[f"loop[{n}]"]["status"] for n in range(3)] == ["succeeded", "failed", "skipped"]
    assert steps["loop"]["error"]["code"] == "ITEM_FAILED"
    assert "Item 1 failed" in steps["loop"]["error"]["message"]
    sink.answers = [(404, {}), (200, {})]
    went_on = await world.happen(goes_on, {"items": ["a", "b"]})
    assert await world.status(went_on) == "succeeded"
    output = (await world.steps(went_on))["loop"]["output"]
    assert [(result["status"], (result["error"] or {}).get("code")) for result in output["results"]] == [
        ("failed", "HTTP_404"), ("succeeded", None),
    ]  # fmt: skip


async def test_an_item_that_is_tried_again_does_not_repeat_the_others(world: World, sink: Sink) -> None:
    area = await world.area(each("loop", "http.request", put(sink.url)))
    sink.answers = [(200, {}), (503, {}), (200, {})]
    run = await world.happen(area, {"items": ["a", "b", "c"]})
    assert await world.status(run) == "waiting"
    await world.execute(run)
    assert await world.status(run) == "waiting", "not due"
    await world.due_now(run)
    await world.execute(run)
    assert await world.status(run) == "succeeded"
    assert [path for path, _, _ in sink.calls] == ["/a", "/b", "/c", "/b"]
    keys = [headers["idempotency-key"] for _, headers, _ in sink.calls]
    assert len(set(keys)) == 3, "each item has a key of its own"
    assert keys[1] == keys[3]
    assert (await world.steps(run))["loop[1]"]["attempt"] == 2
    await world.story(run)


async def _killed_at(world: World, sink: Sink, method: str, at: str) -> UUID:
    area = await world.area(each("loop", "http.request", put(sink.url, method=method)), log("after"))
    sink.holds = at
    await world.fire(area, {"items": ["a", "b", "c"]})
    run = await world.run_of(area)
    executor = world.platform.executor()
    task = asyncio.create_task(executor.execute([run]))

    async def arrived() -> bool:
        return any(path == at for path, _, _ in sink.calls)

    await eventually(arrived)
    for _, running in list(executor._active.values()):
        running.cancel()
    await asyncio.gather(task, return_exceptions=True)
    sink.hold.set()
    await world.expire_lease(run)
    await world.execute(run)
    return run


async def test_a_kill_in_the_middle_repeats_no_finished_item(world: World, sink: Sink) -> None:
    run = await _killed_at(world, sink, "PUT", "/b")
    assert await world.status(run) == "succeeded"
    assert [path for path, _, _ in sink.calls] == ["/a", "/b", "/b", "/c"]
    keys = [headers["idempotency-key"] for path, headers, _ in sink.calls if path == "/b"]
    assert keys[0] == keys[1]
    await world.story(run)


async def test_a_kill_inside_an_item_that_must_not_repeat_holds_the_run_for_a_person(world: World, sink: Sink) -> None:
    run = await _killed_at(world, sink, "POST", "/b")
    assert await world.status(run) == "held"
    steps = await world.steps(run)
    assert (steps["loop[0]"]["status"], steps["loop[1]"]["status"]) == ("succeeded", "unknown")
    assert "loop[2]" not in steps, "nothing new is begun"
    await control.settle_step(world.platform, world.user, run, "loop[1]", happened=True, output={"status": 201})
    await world.execute(run)
    assert await world.status(run) == "succeeded"
    assert [path for path, _, _ in sink.calls] == ["/a", "/b", "/c"]
    results = (await world.steps(run))["loop"]["output"]["results"]
    assert [result["output"]["status"] for result in results] == [200, 201, 200]
    await world.story(run)


async def test_an_item_can_be_tried_again_by_a_person(world: World, sink: Sink) -> None:
    run = await _killed_at(world, sink, "POST", "/b")
    await control.settle_step(world.platform, world.user, run, "loop[1]", happened=False)
    await world.execute(run)
    assert await world.status(run) == "succeeded"
    assert [path for path, _, _ in sink.calls] == ["/a", "/b", "/b", "/c"]


async def test_a_loop_is_cancelled_between_items(world: World, sink: Sink) -> None:
    area = await world.area(each("loop", "http.request", put(sink.url)), log("after"))
    sink.holds = "/a"
    await world.fire(area, {"items": ["a", "b"]})
    run = await world.run_of(area)
    task = asyncio.create_task(world.execute(run))
    await asyncio.wait_for(sink.arrived.wait(), 10)
    await control.cancel_run(world.platform, world.user, run)
    sink.hold.set()
    await task
    assert await world.status(run) == "cancelled"
    assert [path for path, _, _ in sink.calls] == ["/a"]
    steps = await world.steps(run)
    assert (steps["loop"]["status"], steps["loop[0]"]["status"], steps["after"]["status"]) == (
        "skipped", "succeeded", "skipped",
    )  # fmt: skip


async def test_a_graceful_stop_hands_a_loop_back(world: World, sink: Sink) -> None:
    area = await world.area(each("loop", "http.request", put(sink.url)))
    sink.holds = "/a"
    await world.fire(area, {"items": ["a", "b"]})
    run = await world.run_of(area)
    leaving = world.platform.executor()
    task = asyncio.create_task(leaving.execute([run]))
    await asyncio.wait_for(sink.arrived.wait(), 10)
    stopping = asyncio.create_task(leaving.stop())
    await asyncio.sleep(0)
    sink.hold.set()
    await asyncio.gather(task, stopping)
    assert await world.status(run) == "queued"
    await world.execute(run)
    assert await world.status(run) == "succeeded"
    assert [path for path, _, _ in sink.calls] == ["/a", "/b"]


async def test_items_can_wait(world: World) -> None:
    area = await world.area(each("loop", "flow.delay", {"seconds": "{{ item }}"}, concurrency=2))
    run = await world.happen(area, {"items": [60, 3600]})
    steps = await world.steps(run)
    assert steps["loop"]["due_at"] == steps["loop[0]"]["due_at"] < steps["loop[1]"]["due_at"]
    await world.due_now(run)
    await world.execute(run)
    assert await world.status(run) == "succeeded"


async def test_a_replay_from_after_a_loop_takes_its_results_over(world: World, sink: Sink) -> None:
    area = await world.area(each("loop", "http.request", put(sink.url)), log("after", "{{ steps.loop.succeeded }}"))
    run = await world.happen(area, {"items": ["a"]})
    again = await replays.replay_run(world.platform, world.user, run, from_step="after")
    whole = await replays.replay_run(world.platform, world.user, run)
    await world.execute(again, whole)
    assert (await world.steps(again))["after"]["input"]["message"] == "1"
    assert [path for path, _, _ in sink.calls] == ["/a", "/a"]


async def test_a_loop_is_checked_when_saved_as_its_reaction_would_be(world: World) -> None:
    where = ("reactions", 0, "config")
    assert await problems_of(world, each("l", "flow.lgo", {})) == [((*where, "reaction"), "UNKNOWN_REACTION")]
    assert await problems_of(world, each("l", "flow.approval", {"message": "?"})) == [
        ((*where, "reaction"), "INVALID_INPUT")
    ]
    assert await problems_of(world, each("l", "flow.log", {"messag": "x", "level": "lod"})) == [
        ((*where, "config", "message"), "REQUIRED_FIELD"),
        ((*where, "config", "level"), "INVALID_INPUT"),
        ((*where, "config", "messag"), "UNKNOWN_FIELD"),
    ]
    assert (
        await problems_of(world, each("l", "flow.log", {"message": "{{ itme }} {{ steps.x }}"}))
        == [((*where, "config", "message"), "UNKNOWN_REFERENCE")] * 2
    )
    assert await problems_of(world, each("l", "flow.log", {"message": "x"}, when="itm > 1")) == [
        ((*where, "when"), "UNKNOWN_REFERENCE")
    ]
    assert await problems_of(world, each("l", "flow.log", {"message": "x"}, items="{{ trigger.body.a }}, b")) == [
        ((*where, "items"), "INVALID_INPUT")
    ]
    assert await problems_of(world, each("l", "flow.log", {"message": "x"}), log("b", "{{ item }}")) == [
        (("reactions", 1, "config", "message"), "UNKNOWN_REFERENCE")
    ]
    nested = {"items": [1], "reaction": "flow.log", "config": {"message": "x"}}
    assert ((*where, "reaction"), "INVALID_INPUT") in await problems_of(world, each("l", "flow.for_each", nested))


async def test_what_items_are_made_of_is_known_when_saved(world: World) -> None:
    first = each("first", "flow.log", {"message": "x"})
    second = each("second", "flow.log", {"message": "{{ item.statu }}"}, items="{{ steps.first.results }}")
    with pytest.raises(InvalidInputs) as caught:
        await world.area(first, second)
    [problem] = caught.value.problems
    assert (problem.path, getattr(problem, "suggestion", None)) == (
        ("reactions", 1, "config", "config", "message"), "item.status",
    )  # fmt: skip


# Calls


async def run_called(world: World, run: UUID) -> UUID:
    found: UUID = await world.pool.fetchval("SELECT called_id FROM calls WHERE run_id = $1", run)
    return found


async def test_an_area_runs_another_and_takes_its_outcome_over(world: World) -> None:
    other = await world.area(log("say", "got {{ trigger.payload.n }}"), action="area.called")
    area = await world.area(
        call(other.id, payload={"n": "{{ trigger.body.n }}"}, wait=True),
        log("after", "{{ steps.call.status }}: {{ steps.call.steps.say.message }}"),
    )
    run = await world.happen(area, {"n": 7})
    assert await world.status(run) == "waiting"
    called = await run_called(world, run)
    await world.execute(called)
    assert (await world.steps(called))["say"]["input"]["message"] == "got 7"
    await world.execute(run)
    assert await world.status(run) == "succeeded"
    assert (await world.steps(run))["after"]["input"]["message"] == "succeeded: got 7"
    row = await world.pool.fetchrow("SELECT cause, user_id FROM runs WHERE id = $1", called)
    assert (row["cause"], row["user_id"]) == ("call", world.user)
    await world.story(run)
    await world.story(called)


async def test_an_area_of_another_kind_is_called_with_what_its_action_would_give(world: World) -> None:
    other = await world.area(log("say", "{{ trigger.body.n }}"))
    run = await world.happen(await world.area(call(other.id, payload={"body": {"n": 3}})), {})
    called = await run_called(world, run)
    await world.execute(called)
    assert (await world.steps(called))["say"]["input"]["message"] == "3"


async def test_an_area_that_waits_to_be_called_is_not_looked_at(world: World) -> None:
    other = await world.area(log("say"), action="area.called")
    hook = await world.pool.fetchrow("SELECT status, next_due_at FROM hooks WHERE id = $1", other.hook_id)
    assert (hook["status"], hook["next_due_at"]) == ("active", None)


async def test_a_call_that_does_not_wait_goes_on(world: World) -> None:
    other = await world.area(log("say"))
    run = await world.happen(await world.area(call(other.id), log("after")), {})
    assert await world.status(run) == "succeeded"
    called = await run_called(world, run)
    assert (await world.steps(run))["call"]["output"] == {"run_id": str(called), "status": "queued", "steps": {}}
    assert await world.status(called) == "queued"


async def test_a_called_area_that_fails_or_is_cancelled_fails_the_step(world: World, sink: Sink) -> None:
    sink.answers = [(404, {})]
    other = await world.area(ReactionDraft("http.request", {"url": sink.url, "method": "PUT"}, key="x"))
    area = await world.area(call(other.id, wait=True))
    failed, cancelled = await world.happen(area, {}), await world.happen(area, {})
    await world.execute(await run_called(world, failed))
    await control.cancel_run(world.platform, world.user, await run_called(world, cancelled))
    await world.platform.executor()._calls.wake_callers()
    await world.execute(failed, cancelled)
    for run, said in ((failed, "failed"), (cancelled, "cancelled")):
        assert await world.status(run) == "failed"
        error = (await world.steps(run))["call"]["error"]
        assert error["code"] == "CALLED_AREA_FAILED"
        assert f"was run {said}" in error["message"]


async def test_a_step_starts_one_run_however_often_it_is_tried(world: World) -> None:
    other = await world.area(log("say"))
    run = await world.happen(await world.area(call(other.id)), {})
    calls = world.platform.executor()._calls
    found = await asyncio.gather(*(calls.start(run, "call", other.id, {}, wait=False) for _ in range(5)))
    assert set(found) == {await run_called(world, run)}
    assert await world.pool.fetchval("SELECT count(*) FROM runs WHERE area_id = $1", other.id) == 1


async def test_a_caller_is_woken_by_the_sweep_when_the_called_ones_worker_died(world: World) -> None:
    other = await world.area(log("say"))
    run = await world.happen(await world.area(call(other.id, wait=True)), {})
    called = await run_called(world, run)
    await world.pool.execute("UPDATE runs SET status = 'succeeded', finished_at = now() WHERE id = $1", called)
    await world.platform.executor()._calls.wake_callers()
    await world.execute(run)
    assert await world.status(run) == "succeeded"


async def test_the_end_of_a_called_run_is_not_missed_by_a_caller_that_was_killed(world: World) -> None:
    other = await world.area(log("say"))
    area = await world.area(call(other.id, wait=True))
    await world.fire(area, {})
    run = await world.run_of(area)
    # The worker dies after it has started the other run, and before it has written that it waits.
    [claim] = await world.platform.runs.claim([run])
    state = "INSERT INTO run_steps (run_id, position, key, reaction, status, effect, attempt) VALUES ($1, 0, $2, $3, $4, $5, 1)"
    await world.pool.execute(state, run, "call", "flow.call_area", "running", "intended")
    calls = world.platform.executor()._calls
    await world.execute(await calls.start(run, "call", other.id, {}, wait=True))
    await world.expire_lease(run)
    await world.execute(run)
    assert await world.status(run) == "succeeded", f"claimed by {claim['fence']}"
    assert await world.pool.fetchval("SELECT count(*) FROM runs WHERE area_id = $1", other.id) == 1


async def test_an_area_that_runs_itself_ends_somewhere(world: World) -> None:
    area = await world.area(log("a"))
    await world.pool.execute(
        "UPDATE area_versions SET reactions = jsonb_build_array(jsonb_build_object('key', 'call', 'reaction', 'flow.call_area',"
        " 'config', jsonb_build_object('area_id', $2::text))) WHERE area_id = $1",
        area.id,
        str(area.id),
    )
    run = await world.happen(area, {})
    for _ in range(12):
        await world.execute(await world.run_of(area))
    rows = await world.pool.fetch("SELECT id, status FROM runs WHERE area_id = $1 ORDER BY id", area.id)
    assert [row["status"] for row in rows] == ["succeeded"] * 10 + ["failed"]
    assert rows[0]["id"] == run
    assert (await world.steps(rows[-1]["id"]))["call"]["error"]["code"] == "CALL_TOO_DEEP"


async def test_a_called_area_keeps_its_limit_of_runs_at_once(world: World) -> None:
    other = await world.area(ReactionDraft("flow.delay", {"seconds": 60}, key="w"), max_concurrent_runs=1)
    area = await world.area(call(other.id))
    first, second = await world.happen(area, {}), await world.happen(area, {})
    one, two = await run_called(world, first), await run_called(world, second)
    await world.platform.admission.settle()
    await world.execute(one, two)
    assert [await world.status(one), await world.status(two)] == ["waiting", "queued"]
    await world.due_now(one)
    await world.execute(one)
    await world.platform.admission.settle()
    await world.execute(two)
    assert await world.status(two) == "waiting"


async def test_an_area_does_not_wait_for_itself_behind_its_own_limit(world: World) -> None:
    area = await world.area(log("a"), max_concurrent_runs=1)
    run = await world.happen(area, {})
    with pytest.raises(sdk.Rejected) as caught:
        await world.platform.executor()._calls.start(run, "call", area.id, {}, wait=True)
    assert caught.value.code == "CALL_WAITS_FOR_ITSELF"
    assert await world.pool.fetchval("SELECT count(*) FROM calls WHERE run_id = $1", run) == 0


async def test_only_an_area_of_ones_own_can_be_run(world: World, platform: Any) -> None:
    mine, gone = await world.area(log("a")), await world.area(log("a"))
    await delete_area(world.platform, world.user, gone.id)
    stranger = UUID(int=1)
    found = await problems_of(
        world, call(gone.id, "a"), call(stranger, "b"), call(mine.id, "c"), call("nonsense", "d"),
        each("e", "flow.call_area", {"area_id": str(stranger)}),
    )  # fmt: skip
    assert sorted(found, key=str) == [
        (("reactions", 0, "config", "area_id"), "NOT_FOUND"),
        (("reactions", 1, "config", "area_id"), "NOT_FOUND"),
        (("reactions", 3, "config", "area_id"), "INVALID_INPUT"),
        (("reactions", 4, "config", "config", "area_id"), "NOT_FOUND"),
    ]


async def test_a_called_area_that_is_off_or_gone_by_then_fails_the_step(world: World) -> None:
    other = await world.area(log("a"))
    area = await world.area(call(other.id))
    await set_area_enabled(world.platform, world.user, other.id, enabled=False)
    off = await world.happen(area, {})
    await delete_area(world.platform, world.user, other.id)
    gone = await world.happen(area, {})
    assert (await world.steps(off))["call"]["error"]["code"] == "AREA_PAUSED"
    assert (await world.steps(gone))["call"]["error"]["code"] == "AREA_NOT_FOUND"


async def test_a_loop_of_calls_waits_for_all_of_them(world: World) -> None:
    other = await world.area(log("say", "{{ trigger.payload.n }}"), action="area.called")
    loop = each("loop", "flow.call_area", {"area_id": str(other.id), "payload": {"n": "{{ item }}"}, "wait": True})
    loop.config["concurrency"] = 3
    run = await world.happen(await world.area(loop), {"items": [1, 2, 3]})
    rows = await world.pool.fetch("SELECT step, called_id FROM calls WHERE run_id = $1 ORDER BY step", run)
    assert [row["step"] for row in rows] == ["loop[0]", "loop[1]", "loop[2]"]
    await world.execute(rows[1]["called_id"])
    await world.execute(run)
    assert await world.status(run) == "waiting"
    assert (await world.steps(run))["loop[1]"]["status"] == "succeeded"
    await world.execute(rows[0]["called_id"], rows[2]["called_id"])
    await world.execute(run)
    assert await world.status(run) == "succeeded"
    results = (await world.steps(run))["loop"]["output"]["results"]
    assert [result["output"]["steps"]["say"]["message"] for result in results] == ["1", "2", "3"]
    await world.story(run)
