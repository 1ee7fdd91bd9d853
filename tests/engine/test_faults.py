"""Workers die, freeze and come back: one executor a run, no blind repeat, nothing lost (laws 2, 3, 5)."""

import asyncio
from datetime import timedelta

import pytest

from area.core.errors import Conflict
from area.engine import control
from area.engine.areas import ReactionDraft
from area.engine.runs import Checkpoint, Fenced
from tests.engine.conftest import Sink, World, eventually, http, log


async def test_a_late_write_of_a_worker_that_lost_its_lease_is_refused(world: World) -> None:
    await world.fire(await world.area(log("a")), {})
    run = await world.pool.fetchval("SELECT id FROM runs WHERE user_id = $1", world.user)
    runs = world.platform.runs
    [frozen] = await runs.claim([run])
    assert await runs.claim([run]) == [], "nobody else can have it meanwhile"
    await world.expire_lease(run)
    await world.execute(run)
    assert await world.status(run) == "succeeded"
    with pytest.raises(Fenced):
        await runs.commit(Checkpoint(run, frozen["fence"], "failed", 99))
    assert await world.status(run) == "succeeded"


async def test_a_write_that_arrives_after_its_successors_takes_nothing_back(world: World) -> None:
    await world.fire(await world.area(log("a")), {})
    run = await world.pool.fetchval("SELECT id FROM runs WHERE user_id = $1", world.user)
    runs = world.platform.runs
    [claim] = await runs.claim([run])
    await runs.commit(Checkpoint(run, claim["fence"], "running", 7))
    with pytest.raises(Fenced):
        await runs.commit(Checkpoint(run, claim["fence"], "running", 5))
    assert await world.pool.fetchval("SELECT last_seq FROM runs WHERE id = $1", run) == 7


async def test_a_worker_does_not_take_a_run_over_from_itself(world: World, sink: Sink) -> None:
    area = await world.area(http("call", sink.url))
    await world.fire(area, {})
    run = await world.run_of(area)
    sink.holds = "*"
    executor = world.platform.executor()
    task = asyncio.create_task(executor.execute([run]))
    await asyncio.wait_for(sink.arrived.wait(), 10)
    await world.expire_lease(run)
    await executor.execute([run])
    missed = await world.platform.runs.claim_lost(1000, executor._active)
    assert run not in {claim["id"] for claim in missed}
    sink.hold.set()
    await task
    assert await world.status(run) == "succeeded"
    assert await world.pool.fetchval("SELECT fence FROM runs WHERE id = $1", run) == 1
    assert len(sink.calls) == 1


async def test_a_call_that_outlasts_several_leases_stays_with_its_worker(world: World, sink: Sink) -> None:
    await world.fire(area := await world.area(http("call", sink.url)), {})
    run = await world.run_of(area)
    sink.holds = "*"
    lease = timedelta(seconds=1.5)
    short = {"lease_seconds": lease.total_seconds()}
    held_for = "SELECT now() - started_at FROM runs WHERE id = $1"

    async def outlasted() -> bool:
        return bool(await world.pool.fetchval(held_for, run) > 4 * lease)

    async with world.working(**short), world.working(**short):
        await asyncio.wait_for(sink.arrived.wait(), 10)
        await eventually(outlasted)
        sink.hold.set()
    assert await world.pool.fetchval("SELECT fence FROM runs WHERE id = $1", run) == 1
    assert "run_resumed" not in await world.story(run)
    assert len(sink.calls) == 1
    assert await world.status(run) == "succeeded"


async def _killed_in_the_call(world: World, sink: Sink, method: str) -> "tuple[object, object]":
    area = await world.area(http("first", f"{sink.url}/first"), http("second", f"{sink.url}/second", method))
    await world.fire(area, {})
    run = await world.run_of(area)
    executor = world.platform.executor()
    sink.holds = "/second"
    task = asyncio.create_task(executor.execute([run]))

    async def second_arrived() -> bool:
        return any(path == "/second" for path, _, _ in sink.calls)

    await eventually(second_arrived)
    for _, running in list(executor._active.values()):
        running.cancel()
    await asyncio.gather(task, return_exceptions=True)
    sink.hold.set()
    await world.expire_lease(run)
    return area, run


async def test_a_kill_inside_an_idempotent_call_repeats_only_that_call(world: World, sink: Sink) -> None:
    _, run = await _killed_in_the_call(world, sink, "PUT")
    await world.execute(run)
    assert await world.status(run) == "succeeded"
    paths = [path for path, _, _ in sink.calls]
    assert paths.count("/first") == 1
    assert paths.count("/second") == 2
    assert "run_resumed" in await world.story(run)


async def test_a_kill_inside_a_call_that_must_not_repeat_is_told_as_unknown(world: World, sink: Sink) -> None:
    _, run = await _killed_in_the_call(world, sink, "POST")
    await world.execute(run)
    assert await world.status(run) == "held"
    step = (await world.steps(run))["second"]
    assert (step["status"], step["effect"]) == ("unknown", "unknown")
    assert [path for path, _, _ in sink.calls] == ["/first", "/second"]


async def test_a_person_settles_what_is_unknown(world: World, sink: Sink) -> None:
    _, happened = await _killed_in_the_call(world, sink, "POST")
    await world.execute(happened)
    await control.settle_step(world.platform, world.user, happened, "second", happened=True, output={"status": 201})
    await world.execute(happened)
    assert await world.status(happened) == "succeeded"
    assert (await world.steps(happened))["second"]["output"] == {"status": 201}
    assert [path for path, _, _ in sink.calls] == ["/first", "/second"], "what happened is not repeated"
    with pytest.raises(Conflict):
        await control.settle_step(world.platform, world.user, happened, "second", happened=False)
    await world.story(happened)


async def test_a_person_asks_for_another_try(world: World, sink: Sink) -> None:
    _, run = await _killed_in_the_call(world, sink, "POST")
    await world.execute(run)
    await control.settle_step(world.platform, world.user, run, "second", happened=False)
    await world.execute(run)
    assert await world.status(run) == "succeeded"
    assert [path for path, _, _ in sink.calls] == ["/first", "/second", "/second"]


async def test_what_redis_forgot_is_found_in_postgres(world: World) -> None:
    area = await world.area(log("a"))
    await world.fire(area, {})
    run = await world.run_of(area)
    await world.platform.doorbell.settle()
    await world.platform.redis.flushall()
    async with world.working():
        await world.ended(run)
    assert await world.status(run) == "succeeded"


async def test_a_running_run_is_cancelled_at_its_next_step(world: World, sink: Sink) -> None:
    area = await world.area(http("first", sink.url), http("second", sink.url), log("after"))
    await world.fire(area, {})
    run = await world.run_of(area)
    sink.holds = "*"
    task = asyncio.create_task(world.execute(run))
    await asyncio.wait_for(sink.arrived.wait(), 10)
    await control.cancel_run(world.platform, world.user, run)
    assert await world.status(run) == "running", "the call is under way"
    sink.hold.set()
    await task
    assert await world.status(run) == "cancelled"
    assert (await world.steps(run))["after"]["status"] == "skipped"


async def test_a_graceful_stop_hands_the_rest_back(world: World, sink: Sink) -> None:
    area = await world.area(http("first", f"{sink.url}/first"), http("second", f"{sink.url}/second"))
    await world.fire(area, {})
    run = await world.run_of(area)
    sink.holds = "*"
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
    assert [path for path, _, _ in sink.calls] == ["/first", "/second"]


async def test_two_executors_at_once_run_each_step_once(world: World, sink: Sink) -> None:
    area = await world.area(http("call", sink.url))
    for _ in range(20):
        await world.fire(area, {})
    runs = [row["id"] for row in await world.pool.fetch("SELECT id FROM runs WHERE area_id = $1", area.id)]
    await asyncio.gather(*(world.platform.executor().execute(runs) for _ in range(3)))
    assert len(sink.calls) == 20
    assert {await world.status(run) for run in runs} == {"succeeded"}


async def test_a_node_whose_area_is_broken_fails_with_its_reason(world: World) -> None:
    area = await world.area(ReactionDraft("flow.log", {"message": "x"}, key="a"))
    await world.pool.execute(
        "UPDATE area_versions SET reactions = jsonb_set(reactions, '{0,reaction}', '\"gone.reaction\"') WHERE area_id = $1",
        area.id,
    )
    run = await world.happen(area, {})
    assert await world.status(run) == "failed"
    error = await world.pool.fetchval("SELECT error FROM runs WHERE id = $1", run)
    assert error["code"] == "AREA_BROKEN"
    assert "gone.reaction" in error["message"]
