"""Approvals in runs: who decides, once, in time or by default."""

import asyncio
from uuid import UUID

import pytest

from area.core.errors import Conflict, NotFound
from area.engine import approvals, control
from area.engine.areas import ReactionDraft
from tests.engine.conftest import Sink, World, eventually, log
from tests.engine.flow_drafts import ask, problems_of, token_of


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
