"""A cancel is in time where it can be, and honest where it cannot."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from area.engine import control
from area.engine.areas import ReactionDraft
from tests.engine.conftest import Sink, World, eventually, http, log

RENEWED_SELDOM = 60.0
"""A lease, in seconds, with which a renewal is too late to tell of a cancel."""


@pytest.fixture
def silent() -> Iterator[str]:
    """An address where nobody accepts connections: what is not in the full backlog waits."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        port = listening.getsockname()[1]
        waiting = []
        for _ in range(4):
            one = socket.socket()
            one.setblocking(False)
            with suppress(BlockingIOError):
                one.connect(("127.0.0.1", port))
            waiting.append(one)
        yield f"http://127.0.0.1:{port}"
        for one in waiting:
            one.close()


async def test_a_call_that_has_not_left_is_given_up_at_once(world: World, silent: str) -> None:
    area = await world.area(http("call", silent), log("after"))
    await world.fire(area, {})
    run = await world.run_of(area)

    async def intends() -> bool:
        return "call" in await world.steps(run)

    async with world.working(lease_seconds=RENEWED_SELDOM):
        await eventually(intends)
        await control.cancel_run(world.platform, world.user, run)
        await world.ended(run)
    steps = await world.steps(run)
    assert await world.status(run) == "cancelled"
    assert (steps["call"]["status"], steps["call"]["effect"]) == ("skipped", "none")
    assert steps["after"]["status"] == "skipped"
    assert (await world.story(run))[-1] == "run_cancelled"


async def test_an_earlier_call_without_an_answer_is_not_forgotten(world: World, sink: Sink, silent: str) -> None:
    area = await world.area(http("call", "{{ trigger.body.url }}", "PUT"))
    sink.answers = [(504, {})]  # a gateway that says nothing of whether it happened
    run = await world.happen(area, {"url": sink.url})
    moved = "UPDATE events SET payload = jsonb_set(payload, '{body,url}', $2) FROM runs WHERE runs.id = $1 AND events.id = event_id"
    await world.pool.execute(moved, run, silent)
    await world.due_now(run)

    async def intends_again() -> bool:
        call = (await world.steps(run))["call"]
        return (call["status"], call["attempt"]) == ("running", 2)

    async with world.working(lease_seconds=RENEWED_SELDOM):
        await eventually(intends_again)
        await control.cancel_run(world.platform, world.user, run)
        await world.ended(run)
    call = (await world.steps(run))["call"]
    assert (await world.status(run), call["status"], call["effect"]) == ("cancelled", "unknown", "unknown")


async def test_calls_side_by_side_are_told_apart(world: World, sink: Sink, silent: str) -> None:
    area = await world.area(http("left", sink.url), http("stays", silent), mode="parallel")
    await world.fire(area, {})
    run = await world.run_of(area)
    sink.holds = "*"
    async with world.working(lease_seconds=RENEWED_SELDOM):
        await asyncio.wait_for(sink.arrived.wait(), 10)
        await control.cancel_run(world.platform, world.user, run)

        async def given_up() -> bool:
            steps = await world.steps(run)  # without it, while its intent is not written yet
            return "stays" in steps and steps["stays"]["status"] == "skipped"

        await eventually(given_up)
        assert await world.status(run) == "running", "the other call is under way"
        sink.hold.set()
        await world.ended(run)
    left = (await world.steps(run))["left"]
    assert (left["status"], left["effect"]) == ("succeeded", "confirmed")
    assert await world.status(run) == "cancelled"


async def test_the_next_call_is_not_made(world: World, sink: Sink) -> None:
    area = await world.area(http("first", f"{sink.url}/first"), http("second", f"{sink.url}/second"))
    await world.fire(area, {})
    run = await world.run_of(area)
    sink.holds = "*"
    # No executor that hears of it: the column alone says so.
    task = asyncio.create_task(world.execute(run))
    await asyncio.wait_for(sink.arrived.wait(), 10)
    await control.cancel_run(world.platform, world.user, run)
    sink.hold.set()
    await task
    assert [path for path, _, _ in sink.calls] == ["/first"]
    second = (await world.steps(run))["second"]
    assert (second["status"], second["effect"]) == ("skipped", "none")
    assert await world.status(run) == "cancelled"


async def test_what_has_ended_stays_as_it_is(world: World, sink: Sink) -> None:
    sink.answers = [(404, {})]
    failed = await world.happen(await world.area(http("call", sink.url)), {})
    succeeded = await world.happen(await world.area(log("a")), {})
    waiting = await world.happen(await world.area(ReactionDraft("flow.delay", {"seconds": 60}, key="wait")), {})
    await control.cancel_run(world.platform, world.user, waiting)
    before = [await world.story(run) for run in (failed, succeeded, waiting)]
    for run in (failed, succeeded, waiting):
        await control.cancel_run(world.platform, world.user, run)
        await world.expire_lease(run)
        await world.due_now(run)
        await world.execute(run)
    assert [await world.status(run) for run in (failed, succeeded, waiting)] == ["failed", "succeeded", "cancelled"]
    assert [await world.story(run) for run in (failed, succeeded, waiting)] == before
