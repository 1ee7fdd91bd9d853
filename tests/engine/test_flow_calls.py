"""Calls of other AREAs in runs: outcomes taken over, started once, ends not missed."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from area.engine import control
from area.engine.areas import ReactionDraft, delete_area, set_area_enabled
from area.nodes import sdk
from tests.engine.conftest import Sink, World, eventually, log
from tests.engine.flow_drafts import call, each, problems_of


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


WAITS_FOR_A_LOCK = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%INSERT INTO calls%'
"""


async def test_a_call_whose_database_goes_away_is_made_when_it_is_back(world: World) -> None:
    called = await world.area(log("a"), action="area.called")
    reaction = call(called.id)
    reaction.retry = {"attempts": 1}
    area = await world.area(reaction)
    await world.fire(area, {})
    run = await world.run_of(area)
    async with world.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("LOCK TABLE calls IN SHARE MODE")
        task = asyncio.create_task(world.execute(run))

        async def is_cut_off() -> bool:
            return bool(await world.pool.fetchval(WAITS_FOR_A_LOCK))

        await eventually(is_cut_off)
        await transaction.rollback()
        await task
    step = (await world.steps(run))["call"]
    assert (step["status"], step["attempt"], step["error"]["code"]) == ("waiting", 0, "UNAVAILABLE")
    await world.due_now(run)
    await world.execute(run)
    assert await world.status(run) == "succeeded"
    assert await world.pool.fetchval("SELECT count(*) FROM runs WHERE area_id = $1", called.id) == 1
