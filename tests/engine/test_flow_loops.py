"""Loops in runs: items with their own inputs, at once, failed, killed, cancelled, tried again."""

import asyncio
from dataclasses import replace
from uuid import UUID

import pytest

from area.core.errors import InvalidInputs
from area.engine import control, replays
from area.engine.areas import update_area
from tests.engine.conftest import Sink, World, eventually, http, log
from tests.engine.flow_drafts import each, problems_of, put


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


async def _from_failed(world: World, run: UUID, *, use_published: bool = False) -> UUID:
    area = await world.pool.fetchval("SELECT area_id FROM runs WHERE id = $1", run)
    how = replays.How(from_failed=True, use_published=use_published)
    await replays.replay_runs(world.platform, world.user, replays.Which(area_id=area), how)
    again: UUID = await world.pool.fetchval("SELECT id FROM runs WHERE replay_of = $1", run)
    await world.execute(again)
    return again


async def test_a_replay_from_where_it_failed_repeats_no_item_that_succeeded(world: World, sink: Sink) -> None:
    area = await world.area(log("before"), each("loop", "http.request", put(sink.url)), log("after"))
    sink.answers = [(200, {}), (404, {}), (200, {}), (404, {})]
    run = await world.happen(area, {"items": ["a", "b", "c"]})
    again = await _from_failed(world, run)
    assert [path for path, _, _ in sink.calls] == ["/a", "/b", "/b", "/c"]
    steps = await world.steps(again)
    assert [steps[f"loop[{n}]"]["status"] for n in range(3)] == ["succeeded", "succeeded", "failed"]
    last = await _from_failed(world, again)
    assert await world.status(last) == "succeeded"
    assert [path for path, _, _ in sink.calls] == ["/a", "/b", "/b", "/c", "/c"]
    results = (await world.steps(last))["loop"]["output"]["results"]
    assert [result["output"]["body"]["number"] for result in results] == [1, 3, 5]
    await world.story(last)


async def test_a_replay_from_a_loop_does_all_of_it_again(world: World, sink: Sink) -> None:
    area = await world.area(each("loop", "http.request", put(sink.url)), log("after"))
    sink.answers = [(200, {}), (404, {})]
    run = await world.happen(area, {"items": ["a", "b"]})
    sink.calls.clear()
    again = await replays.replay_run(world.platform, world.user, run, from_step="loop")
    await world.execute(again)
    assert [path for path, _, _ in sink.calls] == ["/a", "/b"]


async def test_items_are_kept_by_another_version_while_their_loop_is_the_same(world: World, sink: Sink) -> None:
    loop = each("loop", "http.request", put(sink.url))
    area = await world.area(loop)
    sink.answers = [(200, {}), (404, {}), (404, {})]
    run = await world.happen(area, {"items": ["a", "b"]})
    await update_area(world.platform, world.user, area.id, 1, world.draft(log("new"), loop))
    again = await _from_failed(world, run, use_published=True)
    assert [path for path, _, _ in sink.calls] == ["/a", "/b", "/b"]
    assert list(await world.steps(again)) == ["new", "loop", "loop[0]", "loop[1]"]
    changed = each("loop", "http.request", put(sink.url), items="{{ trigger.body.items | reverse }}")
    await update_area(world.platform, world.user, area.id, 2, world.draft(log("new"), changed))
    sink.calls.clear()
    last = await _from_failed(world, again, use_published=True)
    assert [path for path, _, _ in sink.calls] == ["/b", "/a"], "what its first item was is not what it is now"
    assert await world.status(last) == "succeeded"


@pytest.mark.parametrize("after", [["list"], None])
async def test_a_list_that_is_made_again_is_gone_through_again(
    world: World, sink: Sink, after: list[str] | None
) -> None:
    loop = each("loop", "http.request", put(sink.url, path="/items/{{ index }}"), items=[1, 2])
    area = await world.area(
        http("list", f"{sink.url}/list", on_failure="continue"), replace(loop, after=after), mode="parallel"
    )
    sink.by_path = {"/list": 404, "/items/1": 404}
    run = await world.happen(area, {})
    assert await world.status(run) == "failed"
    sink.by_path.clear()
    sink.calls.clear()
    again = await _from_failed(world, run)
    assert await world.status(again) == "succeeded"
    items = sorted(path for path, _, _ in sink.calls if path != "/list")
    assert items == (["/items/0", "/items/1"] if after else ["/items/1"])
