"""A node or an AREA that is gone while runs rest: a clear failure of those runs alone, and the others go on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from area.core.errors import InvalidInput
from area.db.models import Area
from area.engine import approvals, control
from area.engine.areas import ReactionDraft, delete_area
from area.engine.plan import Plans
from area.nodes.registry import Registry
from tests.engine.conftest import Sink, World, http, log
from tests.engine.flow_drafts import ask, call, each, put

WAIT = ReactionDraft("flow.delay", {"seconds": 3600}, key="wait")
BROKEN = "Reaction {!r} cannot run any more: There is no reaction 'http.request'."


@asynccontextmanager
async def without(world: World, *gone: str) -> AsyncIterator[World]:
    """A worker's platform after an upgrade: it has not these services any more."""
    left = Registry([service for key, service in world.platform.registry.services.items() if key not in gone])
    plans = Plans(world.pool, left)
    newer = World(replace(world.platform, registry=left, plans=plans), world.user)
    async with newer.working():
        yield newer


async def rests(world: World, *reactions: ReactionDraft, body: Any = None, **draft: Any) -> UUID:
    """A run that waits, and whose time has come."""
    run = await world.happen(await world.area(*reactions, **draft), body or {})
    assert await world.status(run) == "waiting"
    await world.due_now(run)
    return run


async def error_of(world: World, run: UUID) -> tuple[str, str]:
    error = await world.pool.fetchval("SELECT error FROM runs WHERE id = $1", run)
    return error["code"], error["message"]


async def statuses(world: World, run: UUID) -> dict[str, str]:
    return {key: step["status"] for key, step in (await world.steps(run)).items()}


async def test_a_node_that_is_gone_fails_the_runs_that_wait_before_it_and_no_other(world: World, sink: Sink) -> None:
    broken = [await rests(world, log("first"), WAIT, http("call", sink.url)) for _ in range(3)]
    fine = [await rests(world, WAIT, log("after")) for _ in range(3)]
    fresh = await world.area(http("call", sink.url))
    await world.fire(fresh, {})
    async with without(world, "http"):
        await world.ended(*broken, *fine, await world.run_of(fresh))
    assert {await world.status(run) for run in fine} == {"succeeded"}
    for run in broken:
        code, message = await error_of(world, run)
        assert (code, message.startswith(BROKEN.format("call"))) == ("AREA_BROKEN", True)
        assert message.endswith("Edit the AREA.")
        assert await statuses(world, run) == {"first": "succeeded", "wait": "skipped"}
        assert (await world.story(run))[-1] == "run_failed"
    assert (await error_of(world, await world.run_of(fresh)))[0] == "AREA_BROKEN"
    assert sink.calls == []


async def test_a_step_that_waits_for_its_next_try_when_its_node_goes_is_not_tried(world: World, sink: Sink) -> None:
    sink.answers = [(503, {})]
    broken, fine = await rests(world, http("call", sink.url), log("after")), await rests(world, WAIT)
    async with without(world, "http"):
        await world.ended(broken, fine)
    assert (await error_of(world, broken))[0] == "AREA_BROKEN"
    assert (await statuses(world, broken))["call"] == "skipped"
    assert (await world.status(fine), len(sink.calls)) == ("succeeded", 1)
    await world.story(broken)


async def test_a_loop_whose_inner_node_is_gone_fails_its_run_alone(world: World, sink: Sink) -> None:
    sink.answers = [(200, {}), (503, {})]
    loop = each("loop", "http.request", put(sink.url), concurrency=1)
    broken = await rests(world, loop, log("after"), body={"items": ["a", "b"]})
    fresh = await world.area(each("loop", "http.request", put(sink.url)))
    await world.fire(fresh, {"items": ["c"]})
    fine = await rests(world, WAIT, each("loop", "flow.log", {"message": "{{ item }}"}), body={"items": ["a"]})
    async with without(world, "http"):
        await world.ended(broken, fine, await world.run_of(fresh))
    for run in (broken, await world.run_of(fresh)):
        code, message = await error_of(world, run)
        assert (code, message.startswith(BROKEN.format("loop"))) == ("AREA_BROKEN", True)
        await world.story(run)
    assert await statuses(world, broken) == {"loop": "skipped", "loop[0]": "succeeded", "loop[1]": "skipped"}
    assert await world.status(fine) == "succeeded"
    assert [path for path, _, _ in sink.calls] == ["/a", "/b"]


@pytest.mark.parametrize(
    ("inner", "code"),
    [({"message": "x", "level": "loud"}, "AREA_BROKEN"), ({"text": "{{ item }}"}, "ITEM_FAILED")],
)
async def test_a_loop_whose_inner_node_takes_other_inputs_now_fails_its_run_alone(
    world: World, inner: dict[str, Any], code: str
) -> None:
    broken = await rests(world, WAIT, each("loop", "flow.log", {"message": "{{ item }}"}), body={"items": ["a"]})
    fine = await rests(world, WAIT, each("loop", "flow.log", {"message": "{{ item }}"}), body={"items": ["a"]})
    change = """UPDATE area_versions SET reactions = jsonb_set(reactions, '{1,config,config}', $2::jsonb)
      WHERE id = (SELECT area_version_id FROM runs WHERE id = $1)"""
    await world.pool.execute(change, broken, inner)
    async with without(world):
        await world.ended(broken, fine)
    assert (await error_of(world, broken))[0] == code
    assert await world.status(fine) == "succeeded"
    assert "waiting" not in (await statuses(world, broken)).values()


async def test_a_question_of_a_run_that_cannot_go_on_is_not_decided(world: World, sink: Sink) -> None:
    run = await world.happen(await world.area(ask(), http("call", sink.url)), {})
    async with without(world, "http") as newer:
        with pytest.raises(InvalidInput, match=r"'call' cannot run any more"):
            await approvals.decide(newer.platform, world.user, run, "ask", approved=True, comment="")
        assert await world.status(run) == "waiting", "the node may come back"
        await control.cancel_run(newer.platform, world.user, run)
    assert await statuses(world, run) == {"ask": "skipped"}


async def test_a_settled_run_whose_node_is_gone_keeps_what_was_said(world: World, sink: Sink) -> None:
    run = await rests(world, WAIT, http("call", sink.url))
    await world.pool.execute("UPDATE runs SET status = 'held', due_at = NULL WHERE id = $1", run)
    await world.pool.execute(
        "INSERT INTO run_steps (run_id, position, key, reaction, status, effect) "
        "VALUES ($1, 1, 'call', 'http.request', 'unknown', 'unknown')",
        run,
    )
    async with without(world, "http") as newer:
        await control.settle_step(newer.platform, world.user, run, "call", happened=True)
        await world.ended(run)
    assert (await error_of(world, run))[0] == "AREA_BROKEN"
    call_step = (await world.steps(run))["call"]
    assert (call_step["status"], call_step["effect"]) == ("succeeded", "confirmed")


async def test_an_action_that_is_gone_has_no_bearing_on_what_it_started(world: World) -> None:
    config = {"url": "http://127.0.0.1:9/feed"}
    area = await world.area(WAIT, log("after", "{{ trigger.title }}"), action="rss.new_item", config=config)
    run = await control.run_area(world.platform, world.user, area.id, None)
    await world.execute(run)
    await world.due_now(run)
    async with without(world, "rss"):
        await world.ended(run)
    assert await world.status(run) == "succeeded"


async def test_who_waits_for_a_run_that_broke_is_told(world: World, sink: Sink) -> None:
    called = await world.area(WAIT, http("call", sink.url), action="area.called")
    calling = await world.happen(await world.area(call(called.id, wait=True)), {})
    inner = await world.run_of(called)
    await world.execute(inner)
    await world.due_now(inner)
    async with without(world, "http"):
        await world.ended(inner, calling)
    assert (await error_of(world, inner))[0] == "AREA_BROKEN"
    code, message = await error_of(world, calling)
    assert (code, "cannot run any more" in message) == ("CALLED_AREA_FAILED", True)


async def test_a_deleted_area_ends_its_waiting_runs_and_no_others(world: World, sink: Sink) -> None:
    area: Area = await world.area(WAIT, http("call", sink.url))
    deleted = await world.happen(area, {})
    fine = await rests(world, WAIT, log("after"))
    await delete_area(world.platform, world.user, area.id)
    await world.due_now(deleted)
    async with without(world):
        await world.ended(deleted, fine)
    assert (await error_of(world, deleted))[0] == "AREA_DELETED"
    assert await statuses(world, deleted) == {"wait": "skipped", "call": "skipped"}
    assert (await world.status(fine), sink.calls) == ("succeeded", [])


async def test_a_run_under_way_when_its_node_goes_ends_where_it_is(world: World, sink: Sink) -> None:
    sink.holds = "/first"
    area = await world.area(http("first", f"{sink.url}/first"), http("second", f"{sink.url}/second"))
    await world.fire(area, {})
    run = await world.run_of(area)
    async with world.working():
        await asyncio.wait_for(sink.arrived.wait(), 10)
        # A worker with other code is there too; it has no part in it.
        async with without(world, "http"):
            sink.hold.set()
            await world.ended(run)
    assert await world.status(run) == "succeeded"
    assert [path for path, _, _ in sink.calls] == ["/first", "/second"]
