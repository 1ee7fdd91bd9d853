"""An AREA that fails again and again switches itself off and says why; the ledger and the feed say so too."""

from typing import Any
from uuid import UUID

import pytest

from area.core.errors import InvalidInputs
from area.db.models import Area
from area.engine import control
from area.engine.areas import ReactionDraft, set_area_enabled, update_area
from area.engine.intake import Incoming, accept
from tests.engine.conftest import World, log

BREAKS = log("a", "{{ trigger.body.n | divided_by: trigger.body.by }}")
"""Fails when asked to divide by 0."""


async def state(world: World, area: Area) -> dict[str, Any]:
    row = await world.pool.fetchrow(
        "SELECT is_enabled, paused_reason, failures_in_row FROM areas WHERE id = $1", area.id
    )
    return dict(row)


async def fail(world: World, area: Area, times: int = 1) -> UUID:
    for _ in range(times):
        run = await world.happen(area, {"n": 1, "by": 0})
        assert await world.status(run) == "failed"
    return run


async def test_failures_in_a_row_switch_an_area_off(world: World) -> None:
    area = await world.area(BREAKS, pause_after_failures=3)
    before = await fail(world, area, 2)
    assert (await state(world, area))["is_enabled"]
    last = await fail(world, area)
    found = await state(world, area)
    assert (found["is_enabled"], found["failures_in_row"]) == (False, 3)
    assert found["paused_reason"].startswith("3 runs in a row have failed, the last with TEMPLATE_FAILED: ")
    assert (await world.story(last))[-2:] == ["area_paused", "run_failed"]
    assert "area_paused" not in await world.story(before)
    [told] = await world.pool.fetch("SELECT outcome, reason, event_id FROM deliveries WHERE area_id = $1", area.id)
    assert (told["outcome"], told["reason"], told["event_id"]) == ("paused", found["paused_reason"], None)
    assert (await world.fire(area, {})).runs == 0


async def test_a_success_in_between_begins_the_count_anew(world: World) -> None:
    area = await world.area(BREAKS, pause_after_failures=3)
    await fail(world, area, 2)
    assert await world.status(await world.happen(area, {"n": 1, "by": 1})) == "succeeded"
    assert (await state(world, area))["failures_in_row"] == 0
    await fail(world, area, 2)
    assert (await state(world, area))["is_enabled"]


async def test_many_at_once_pause_once(world: World) -> None:
    area = await world.area(BREAKS, pause_after_failures=5)
    for _ in range(20):
        await world.fire(area, {"n": 1, "by": 0})
    runs = [row["id"] for row in await world.pool.fetch("SELECT id FROM runs WHERE area_id = $1", area.id)]
    await world.execute(*runs)
    paused = "SELECT count(*) FROM run_events WHERE area_id = $1 AND kind = 'area_paused'"
    assert await world.pool.fetchval(paused, area.id) == 1
    assert await state(world, area) | {"paused_reason": None} == {
        "is_enabled": False,
        "paused_reason": None,
        "failures_in_row": 20,
    }


async def test_switching_on_again_clears_reason_and_count(world: World) -> None:
    area = await world.area(BREAKS, pause_after_failures=1)
    await fail(world, area)
    on = await set_area_enabled(world.platform, world.user, area.id, enabled=True)
    assert (on.is_enabled, on.paused_reason, on.failures_in_row) == (True, None, 0)
    await fail(world, area)
    mended = await update_area(world.platform, world.user, area.id, 1, world.draft(log("a"), pause_after_failures=1))
    assert (mended.is_enabled, mended.paused_reason, mended.failures_in_row) == (True, None, 0)


async def test_zero_is_never_and_tries_do_not_count(world: World) -> None:
    never = await world.area(BREAKS, pause_after_failures=0)
    await fail(world, never, 3)
    assert await state(world, never) == {"is_enabled": True, "paused_reason": None, "failures_in_row": 3}
    tried = await world.area(BREAKS, pause_after_failures=1)
    for is_test in (True, False):
        run = await control.run_area(world.platform, world.user, tried.id, {"body": {"n": 1, "by": 0}}, is_test=is_test)
        await world.execute(run)
        assert await world.status(run) == "failed"
    assert await state(world, tried) == {"is_enabled": True, "paused_reason": None, "failures_in_row": 0}
    with pytest.raises(InvalidInputs):
        await world.area(log("a"), pause_after_failures=-1)


async def test_an_area_that_its_owner_switched_off_has_no_reason(world: World) -> None:
    area = await world.area(BREAKS, pause_after_failures=1)
    await world.fire(area, {"n": 1, "by": 0})
    run = await world.run_of(area)
    await set_area_enabled(world.platform, world.user, area.id, enabled=False)
    await world.execute(run)
    assert await state(world, area) == {"is_enabled": False, "paused_reason": None, "failures_in_row": 1}


async def test_a_filtered_event_is_told_in_the_ledger(world: World) -> None:
    area = await world.area(ReactionDraft("flow.filter", {"condition": "trigger.body.n > 3"}, key="gate"), log("b"))
    low, high = await world.happen(area, {"n": 1}), await world.happen(area, {"n": 9})
    rows = await world.pool.fetch("SELECT run_id, outcome, reason FROM deliveries WHERE area_id = $1", area.id)
    assert [tuple(row) for row in rows] == [(low, "filtered", "step 'gate': The condition is false.")]
    assert await world.status(high) == "succeeded"


async def test_what_only_a_paused_area_watched_is_watched_no_more(world: World) -> None:
    fails = log("a", "{{ trigger.scheduled_at | divided_by: 0 }}")
    area = await world.area(fails, pause_after_failures=1, action="schedule.every", config={"seconds": 3607})
    assert area.hook_id is not None
    async with world.pool.acquire() as connection:
        await accept(connection, [Incoming(area.hook_id, "now", {"scheduled_at": 1})])
    await world.execute(await world.run_of(area))
    assert not (await state(world, area))["is_enabled"]
    assert await world.pool.fetchval("SELECT status FROM hooks WHERE id = $1", area.hook_id) == "unused"
