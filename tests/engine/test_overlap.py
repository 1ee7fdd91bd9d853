"""How many runs of one AREA go on at once, and what becomes of the events beyond that."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from area.db.models import Area
from area.engine import control
from area.engine.areas import ReactionDraft, update_area
from area.engine.runs import Checkpoint
from tests.engine.conftest import Sink, World, eventually, http, log

WATCH = """
CREATE TABLE under_way (area_id uuid, runs int);
CREATE FUNCTION note_under_way() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(1);
  INSERT INTO under_way SELECT NEW.area_id, count(*) FROM runs WHERE area_id = NEW.area_id AND status = 'running';
  RETURN NULL;
END $$;
CREATE TRIGGER note_under_way AFTER UPDATE OF status ON runs FOR EACH ROW
  WHEN (NEW.status = 'running' AND OLD.status <> 'running') EXECUTE FUNCTION note_under_way()
"""
"""Counts the runs of an AREA that are under way whenever one is claimed, one claim after the other: times would say when each
transaction began, and not in what order they saw one another.
"""
FORGET = "DROP TRIGGER note_under_way ON runs; DROP FUNCTION note_under_way; DROP TABLE under_way"
AT_ONCE = "SELECT max(runs) FROM under_way WHERE area_id = $1"


@pytest.fixture
async def watched(world: World) -> AsyncIterator[None]:
    """`AT_ONCE` can be asked."""
    await world.pool.execute(WATCH)
    yield
    await world.pool.execute(FORGET)


async def runs_of(world: World, area: Area) -> list[UUID]:
    return [row["id"] for row in await world.pool.fetch("SELECT id FROM runs WHERE area_id = $1 ORDER BY id", area.id)]


async def test_a_limit_holds_with_several_workers_and_all_run_in_the_end(world: World, watched: None) -> None:
    one = await world.area(log("a"), log("b"), max_concurrent_runs=1)
    three = await world.area(log("a"), log("b"), max_concurrent_runs=3)
    await asyncio.gather(*(world.fire(area, {}) for area in (one, three) for _ in range(30)))
    runs = await runs_of(world, one) + await runs_of(world, three)
    async with world.working(), world.working(), world.working():
        await world.ended(*runs)
    assert len(runs) == 60
    assert {await world.status(run) for run in runs} == {"succeeded"}
    assert await world.pool.fetchval(AT_ONCE, one.id) == 1
    assert await world.pool.fetchval(AT_ONCE, three.id) <= 3


async def test_a_run_that_rests_keeps_its_place(world: World) -> None:
    area = await world.area(ReactionDraft("flow.delay", {"seconds": 3600}, key="wait"), max_concurrent_runs=1)
    await world.fire(area, {})
    await world.fire(area, {})
    first, second = await runs_of(world, area)
    await world.platform.admission.settle()
    await world.execute(first, second)
    assert [await world.status(first), await world.status(second)] == ["waiting", "queued"]
    await world.due_now(first)
    await world.execute(first)
    await world.platform.admission.settle()
    await world.execute(second)
    assert [await world.status(first), await world.status(second)] == ["succeeded", "waiting"]


async def test_a_place_that_a_dead_worker_left_is_not_lost(world: World) -> None:
    area = await world.area(log("a"), max_concurrent_runs=1)
    await world.fire(area, {})
    await world.fire(area, {})
    first, second = await runs_of(world, area)
    await world.platform.admission.settle()
    [claim] = await world.platform.runs.claim([first, second])
    assert claim["id"] == first
    # Its worker ends the run, and dies before it can let in the next.
    await world.platform.runs.commit(Checkpoint(first, claim["fence"], "succeeded", claim["last_seq"]))
    assert await world.platform.runs.claim([second]) == []
    async with world.working():
        await world.ended(second)
    assert await world.status(second) == "succeeded"


async def test_a_dead_workers_run_is_taken_over_before_the_next_begins(world: World, watched: None) -> None:
    area = await world.area(log("a"), max_concurrent_runs=1)
    await world.fire(area, {})
    await world.fire(area, {})
    first, second = await runs_of(world, area)
    await world.platform.admission.settle()
    await world.platform.runs.claim([first])
    await world.expire_lease(first)
    async with world.working():
        await world.ended(first, second)
    assert "run_resumed" in await world.story(first)
    assert await world.pool.fetchval(AT_ONCE, area.id) == 1


async def test_beyond_the_limit_events_are_dropped_and_told(world: World) -> None:
    area = await world.area(log("a"), max_concurrent_runs=2, overlap="drop")
    results = await asyncio.gather(*(world.fire(area, {"n": n}) for n in range(40)))
    assert sum(result.runs for result in results) == 2
    ledger = await world.pool.fetch("SELECT outcome, reason, event_id FROM deliveries WHERE area_id = $1", area.id)
    assert {row["outcome"] for row in ledger} == {"throttled"}
    assert {row["event_id"] for row in ledger} == {result.event_id for result in results if result.runs == 0}
    assert ledger[0]["reason"] == "2 runs of the AREA were live, the most it allows at once"
    runs = await runs_of(world, area)
    await world.platform.admission.settle()
    await world.execute(*runs)
    assert {await world.status(run) for run in runs} == {"succeeded"}
    assert (await world.fire(area, {})).runs == 1, "there is room again"


async def test_a_run_by_hand_is_not_dropped(world: World) -> None:
    area = await world.area(log("a"), max_concurrent_runs=1, overlap="drop")
    await world.fire(area, {})
    await world.platform.admission.settle()
    by_hand = await control.run_area(world.platform, world.user, area.id, {})
    await world.platform.admission.settle()
    assert await world.platform.runs.claim([by_hand]) == [], "it waits behind the limit"
    async with world.working():
        await world.ended(by_hand)
    assert await world.status(by_hand) == "succeeded"


async def test_a_new_run_replaces_the_oldest(world: World, watched: None, sink: Sink) -> None:
    area = await world.area(http("call", sink.url), log("after"), max_concurrent_runs=1, overlap="replace")
    sink.holds = "*"
    async with world.working() as executor:
        await world.fire(area, {"n": 1})
        await asyncio.wait_for(sink.arrived.wait(), 10)
        await world.fire(area, {"n": 2})
        await world.fire(area, {"n": 3})
        await world.platform.admission.settle()
        first, second, third = await runs_of(world, area)
        assert [await world.status(run) for run in (first, second, third)] == ["running", "cancelled", "queued"]

        async def heard() -> bool:
            return executor._active[first][0].cancelled

        await eventually(heard)
        sink.hold.set()
        await world.ended(first, third)
    assert [await world.status(first), await world.status(third)] == ["cancelled", "succeeded"]
    assert (await world.story(second))[-1] == "run_cancelled"
    assert await world.pool.fetchval(AT_ONCE, area.id) == 1


async def test_a_waiting_run_is_replaced_at_once(world: World) -> None:
    wait = ReactionDraft("flow.delay", {"seconds": 3600}, key="wait")
    area = await world.area(wait, max_concurrent_runs=1, overlap="replace")
    await world.fire(area, {})
    await world.platform.admission.settle()
    await world.execute(await world.run_of(area))
    await world.fire(area, {})
    await world.platform.admission.settle()
    first, second = await runs_of(world, area)
    assert await world.status(first) == "cancelled"
    await world.execute(second)
    assert await world.status(second) == "waiting"


async def test_cancelling_makes_room(world: World) -> None:
    wait = ReactionDraft("flow.delay", {"seconds": 3600}, key="wait")
    area = await world.area(wait, max_concurrent_runs=1)
    await world.fire(area, {})
    await world.fire(area, {})
    await world.platform.admission.settle()
    first, second = await runs_of(world, area)
    await world.execute(first)
    await control.cancel_run(world.platform, world.user, first)
    await world.platform.admission.settle()
    await world.execute(second)
    assert await world.status(second) == "waiting"


async def test_a_new_version_brings_its_own_limit(world: World) -> None:
    area = await world.area(log("a"))
    draft = world.draft(log("a"), max_concurrent_runs=1, overlap="drop")
    await update_area(world.platform, world.user, area.id, 1, draft)
    assert [(await world.fire(area, {})).runs for _ in range(3)] == [1, 0, 0]


async def test_a_run_without_a_limit_waits_for_nobody(world: World) -> None:
    area = await world.area(log("a"), overlap="drop")
    results = await asyncio.gather(*(world.fire(area, {}) for _ in range(20)))
    assert sum(result.runs for result in results) == 20
    runs = await runs_of(world, area)
    await world.execute(*runs)
    assert {await world.status(run) for run in runs} == {"succeeded"}


async def test_a_run_that_is_held_gives_its_place_away(world: World, sink: Sink) -> None:
    area = await world.area(http("call", sink.url), max_concurrent_runs=1)
    await world.fire(area, {})
    await world.platform.admission.settle()
    first = await world.run_of(area)
    sink.holds = "*"
    executor = world.platform.executor()
    task = asyncio.create_task(executor.execute([first]))
    await asyncio.wait_for(sink.arrived.wait(), 10)
    for _, running in list(executor._active.values()):
        running.cancel()
    await asyncio.gather(task, return_exceptions=True)
    sink.hold.set()
    await world.expire_lease(first)
    await world.execute(first)
    assert await world.status(first) == "held"
    async with world.working():
        await world.fire(area, {})
        second = await world.run_of(area)
        await world.ended(second)
        await control.settle_step(world.platform, world.user, first, "call", happened=True)
        await eventually(lambda: _is(world, first, "succeeded"))
    assert await world.status(second) == "succeeded"


async def _is(world: World, run: UUID, status: str) -> bool:
    return await world.status(run) == status
