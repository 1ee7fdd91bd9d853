"""What a dead worker had under way: nothing of it is forgotten, repeated, or told as if it had not begun."""

import asyncio
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from area.engine import control
from area.engine.areas import ReactionDraft
from area.engine.plan import Plans
from area.nodes.registry import Registry
from tests.engine.conftest import Sink, World, eventually, http, log


async def begin_and_die(world: World, sink: Sink, run: UUID, held: str, *done: str) -> None:
    """A worker takes the run, and dies when the sink holds the call to ``held`` and the steps ``done`` are durable."""
    sink.holds, before = held, paths(sink).count(held)
    executor = world.platform.executor()
    task = asyncio.create_task(executor.execute([run]))

    async def far_enough() -> bool:
        steps = await world.steps(run)
        ended = all(key in steps and steps[key]["status"] in ("succeeded", "failed") for key in done)
        return ended and paths(sink).count(held) > before

    await eventually(far_enough)
    for _, running in list(executor._active.values()):
        running.cancel()
    await asyncio.gather(task, return_exceptions=True)
    sink.holds = ""
    sink.hold.set()
    await world.expire_lease(run)


async def fired(world: World, *reactions: ReactionDraft, body: Any = None, **draft: Any) -> UUID:
    area = await world.area(*reactions, **draft)
    await world.fire(area, body or {})
    return await world.run_of(area)


async def outcome(world: World, run: UUID, key: str) -> tuple[str, str, str, str | None]:
    step = (await world.steps(run))[key]
    return await world.status(run), step["status"], step["effect"], (step["error"] or {}).get("code")


def paths(sink: Sink) -> list[str]:
    return [path for path, _, _ in sink.calls]


async def test_a_cancelled_run_keeps_that_a_call_may_have_happened(world: World, sink: Sink) -> None:
    run = await fired(world, http("call", f"{sink.url}/call"), log("after"))
    await begin_and_die(world, sink, run, "/call")
    await control.cancel_run(world.platform, world.user, run)
    await world.execute(run)
    assert await outcome(world, run, "call") == ("cancelled", "unknown", "unknown", "UNKNOWN")
    assert (await world.steps(run))["after"]["status"] == "skipped"
    assert (await world.story(run)).count("step_unknown") == 1
    assert paths(sink) == ["/call"]


async def test_a_run_cancelled_where_it_rests_keeps_it_too(world: World, sink: Sink) -> None:
    run = await fired(world, http("call", f"{sink.url}/call"))
    await begin_and_die(world, sink, run, "/call")
    # As after a worker that had to ask about it, and could not before the account is connected again.
    await world.pool.execute(
        "UPDATE runs SET status = 'held', fence = fence + 1, lease_until = NULL WHERE id = $1", run
    )
    await control.cancel_run(world.platform, world.user, run)
    assert await outcome(world, run, "call") == ("cancelled", "unknown", "unknown", "UNKNOWN")
    await world.story(run)


@pytest.mark.parametrize(
    ("method", "then", "calls"),
    [
        # Nobody knows whether it happened, so a person is asked before the run may end.
        ("POST", ("held", "unknown", "unknown", "UNKNOWN"), 1),
        # It may be repeated, and is, as it would have come to its end beside the step that failed.
        ("PUT", ("failed", "succeeded", "confirmed", None), 2),
    ],
)
async def test_a_step_that_failed_beside_it_does_not_hide_it(
    world: World, sink: Sink, method: str, then: tuple[str, str, str, str | None], calls: int
) -> None:
    run = await fired(
        world,
        http("slow", f"{sink.url}/slow", method),
        log("fails", "{{ trigger.body.n | divided_by: 0 }}"),
        log("later", after=["slow"]),
        mode="parallel",
        body={"n": 9},
    )
    await begin_and_die(world, sink, run, "/slow", "fails")
    await world.execute(run)
    assert await outcome(world, run, "slow") == then
    assert paths(sink).count("/slow") == calls
    if method == "POST":
        await control.settle_step(world.platform, world.user, run, "slow", happened=True)
        await world.execute(run)
    steps = await world.steps(run)
    assert await world.status(run) == "failed"
    assert (steps["fails"]["status"], steps["later"]["status"]) == ("failed", "skipped")
    await world.story(run)


async def test_an_area_that_broke_meanwhile_does_not_hide_it(world: World, sink: Sink) -> None:
    run = await fired(world, http("call", f"{sink.url}/call"))
    await begin_and_die(world, sink, run, "/call")
    # The next worker's version has no such reaction any more.
    left = [service for key, service in world.platform.registry.services.items() if key != "http"]
    newer = replace(world.platform, plans=Plans(world.pool, Registry(left)))
    await world.execute(run, executor=newer.executor())
    assert await outcome(world, run, "call") == ("failed", "unknown", "unknown", "UNKNOWN")
    await world.story(run)


async def test_an_input_that_can_no_longer_be_made_does_not_hide_it(world: World, sink: Sink) -> None:
    url = f"{sink.url}/call?{{{{ trigger.body.n | divided_by: trigger.body.by }}}}"
    run = await fired(world, http("call", url), body={"n": 4, "by": 2})
    await begin_and_die(world, sink, run, "/call")
    await world.pool.execute(
        """UPDATE events SET payload = jsonb_set(payload, '{body,by}', '0') WHERE id = (SELECT event_id FROM runs WHERE id = $1)""",
        run,
    )
    await world.execute(run)
    assert await outcome(world, run, "call") == ("held", "unknown", "unknown", "UNKNOWN")


async def test_what_stopped_a_run_stops_it_for_whoever_takes_over(world: World, sink: Sink) -> None:
    gate = ReactionDraft("flow.filter", {"condition": "trigger.body.n > 3"}, key="gate")
    run = await fired(
        world,
        http("slow", f"{sink.url}/slow", "PUT"),
        gate,
        http("gated", f"{sink.url}/gated", after=["gate"]),
        mode="parallel",
        body={"n": 1},
    )
    await begin_and_die(world, sink, run, "/slow", "gate")
    await world.execute(run)
    steps = await world.steps(run)
    assert await world.status(run) == "succeeded"
    assert {key: step["status"] for key, step in steps.items()} == {
        "slow": "succeeded",
        "gate": "succeeded",
        "gated": "skipped",
    }
    assert paths(sink) == ["/slow", "/slow"]
    await world.story(run)
    ledger = await world.pool.fetch("SELECT outcome, reason FROM deliveries WHERE run_id = $1", run)
    assert [tuple(row) for row in ledger] == [("filtered", "step 'gate': The condition is false.")]


async def test_a_filter_beside_a_stop_is_in_the_ledger_for_whoever_takes_over(world: World, sink: Sink) -> None:
    stop = ReactionDraft("flow.stop", {}, key="stop")
    gate = ReactionDraft("flow.filter", {"condition": "trigger.body.n > 3"}, key="gate")
    slow = http("slow", f"{sink.url}/slow", "PUT")
    run = await fired(world, stop, gate, slow, mode="parallel", body={"n": 1})
    await begin_and_die(world, sink, run, "/slow", "stop", "gate")
    await world.execute(run)
    assert await world.status(run) == "succeeded"
    ledger = await world.pool.fetch("SELECT outcome, reason FROM deliveries WHERE run_id = $1", run)
    assert [tuple(row) for row in ledger] == [("filtered", "step 'gate': The condition is false.")]


async def test_what_stopped_a_run_stops_it_after_a_person_has_settled(world: World, sink: Sink) -> None:
    gate = ReactionDraft("flow.filter", {"condition": "trigger.body.n > 3"}, key="gate")
    run = await fired(
        world,
        http("slow", f"{sink.url}/slow"),
        gate,
        http("gated", f"{sink.url}/gated", after=["gate", "slow"]),
        mode="parallel",
        body={"n": 1},
    )
    await begin_and_die(world, sink, run, "/slow", "gate")
    await world.execute(run)
    assert await outcome(world, run, "slow") == ("held", "unknown", "unknown", "UNKNOWN")
    await control.settle_step(world.platform, world.user, run, "slow", happened=False)
    await world.execute(run)
    assert await outcome(world, run, "slow") == ("succeeded", "succeeded", "confirmed", None)
    assert paths(sink) == ["/slow", "/slow"], "tried again, and the gate is as it was"


async def test_a_run_that_advances_is_not_the_one_that_kills(world: World, sink: Sink) -> None:
    run = await fired(world, http("one", f"{sink.url}/one", "PUT"), http("two", f"{sink.url}/two", "PUT"))
    for _ in range(3):
        await begin_and_die(world, sink, run, "/one")
        sink.hold.clear()
    taken = "SELECT takeovers FROM runs WHERE id = $1"
    assert await world.pool.fetchval(taken, run) == 2
    await begin_and_die(world, sink, run, "/two", "one")
    assert await world.pool.fetchval(taken, run) == 0


GAVE_UP = (504, {})
"""A gateway's answer that says nothing of whether the call happened."""


async def test_a_call_without_an_answer_is_not_told_as_skipped_when_its_run_is_cancelled(
    world: World, sink: Sink
) -> None:
    sink.answers = [GAVE_UP]
    run = await fired(world, http("put", f"{sink.url}/put", "PUT"), log("after"))
    await world.execute(run)
    assert await outcome(world, run, "put") == ("waiting", "waiting", "intended", "UNAVAILABLE")
    await control.cancel_run(world.platform, world.user, run)
    assert await outcome(world, run, "put") == ("cancelled", "unknown", "unknown", "UNKNOWN")
    await world.story(run)


async def test_a_call_that_was_refused_is_skipped_when_its_run_is_cancelled(world: World, sink: Sink) -> None:
    sink.answers = [(500, {})]
    run = await fired(world, http("put", f"{sink.url}/put", "PUT"))
    await world.execute(run)
    await control.cancel_run(world.platform, world.user, run)
    assert (await outcome(world, run, "put"))[:3] == ("cancelled", "skipped", "none")


@pytest.mark.parametrize("later", [(500, {}), (429, {"Retry-After": "1"})])
async def test_a_later_refusal_says_nothing_of_an_earlier_call(
    world: World, sink: Sink, later: tuple[int, dict[str, str]]
) -> None:
    sink.answers = [GAVE_UP, later]
    run = await fired(world, http("put", f"{sink.url}/put", "PUT"))
    await world.execute(run)
    await world.due_now(run)
    await world.execute(run)
    assert len(sink.calls) == 2
    await control.cancel_run(world.platform, world.user, run)
    assert (await outcome(world, run, "put"))[:3] == ("cancelled", "unknown", "unknown")


@pytest.mark.parametrize(("answers", "effect"), [([(404, {})], "none"), ([GAVE_UP, (404, {})], "unknown")])
async def test_a_refusal_says_nothing_came_of_it_unless_an_earlier_call_had_no_answer(
    world: World, sink: Sink, answers: list[tuple[int, dict[str, str]]], effect: str
) -> None:
    sink.answers = list(answers)
    run = await fired(world, http("put", f"{sink.url}/put", "PUT"))
    await world.execute(run)
    if len(answers) > 1:
        await world.due_now(run)
        await world.execute(run)
    assert (await outcome(world, run, "put"))[:3] == ("failed", "failed", effect)


@pytest.mark.parametrize("after", [[], ["first"]])
async def test_a_call_without_an_answer_is_not_told_as_skipped_when_a_brother_stops_the_run(
    world: World, sink: Sink, after: list[str]
) -> None:
    sink.answers = [GAVE_UP]
    run = await fired(
        world,
        http("put", f"{sink.url}/put", "PUT"),
        log("first"),
        ReactionDraft("flow.stop", {}, key="stop", after=after),
        mode="parallel",
    )
    await world.execute(run)
    assert await outcome(world, run, "put") == ("succeeded", "unknown", "unknown", "UNKNOWN")
    await world.story(run)


async def test_an_item_under_way_is_not_told_as_skipped_when_another_has_failed(world: World, sink: Sink) -> None:
    each = {
        "items": ["slow", "fails"],
        "reaction": "http.request",
        "config": {"method": "POST", "url": f"{sink.url}/{{{{ item }}}}"},
        "concurrency": 2,
    }
    run = await fired(world, ReactionDraft("flow.for_each", each, key="loop"))
    sink.refuses = "/fails"
    await begin_and_die(world, sink, run, "/slow", "loop[1]")
    await world.execute(run)
    assert await outcome(world, run, "loop[0]") == ("held", "unknown", "unknown", "UNKNOWN")
    assert sorted(paths(sink)) == ["/fails", "/slow"]
    await control.settle_step(world.platform, world.user, run, "loop[0]", happened=True)
    await world.execute(run)
    assert await outcome(world, run, "loop") == ("failed", "failed", "none", "ITEM_FAILED")
