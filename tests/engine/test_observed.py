"""What operators see: each figure moves with what it counts, and each line says which run, step and AREA it is about."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from uuid import UUID

import httpx
import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from area.app.server import make_app
from area.core.settings import Settings
from area.engine import polling
from area.engine.areas import ReactionDraft
from area.engine.platform import open_platform
from area.engine.runs import Checkpoint, Fenced
from area.nodes import registry
from area.nodes.registry import Registry
from tests.engine import strange
from tests.engine.conftest import World, eventually, log


class Figures:
    """How far figures have moved since this was made."""

    def __init__(self) -> None:
        self.before = {
            (one.name, *sorted(one.labels.items())): one.value for f in REGISTRY.collect() for one in f.samples
        }

    def moved(self, name: str, **labels: str) -> float:
        return (REGISTRY.get_sample_value(name, labels) or 0) - self.before.get((name, *sorted(labels.items())), 0)


async def scraped(world: World) -> dict[tuple[str, str], float]:
    """What /metrics says, by name and status."""
    transport = httpx.ASGITransport(make_app(world.platform))
    async with httpx.AsyncClient(transport=transport, base_url="http://area.test") as client:
        text = (await client.get("/metrics")).text
    families = text_string_to_metric_families(text)
    return {(one.name, one.labels.get("status", "")): one.value for family in families for one in family.samples}


async def test_the_queue_is_told_with_its_depth_and_age(world: World) -> None:
    area = await world.area(log("a"))
    for _ in range(3):
        await world.fire(area, {})
    earlier = "UPDATE runs SET created_at = now() - interval '9 days' WHERE id = $1"
    rested, limited = [
        row["id"] for row in await world.pool.fetch("SELECT id FROM runs WHERE area_id = $1 LIMIT 2", area.id)
    ]
    await world.pool.execute(earlier, rested)
    await world.pool.execute(earlier, limited)
    await world.pool.execute("UPDATE runs SET started_at = now() WHERE id = $1", rested)
    await world.pool.execute("UPDATE runs SET admitted = false WHERE id = $1", limited)
    await world.pool.execute(
        "UPDATE runs SET created_at = now() - interval '1 hour' WHERE area_id = $1 AND id NOT IN ($2, $3)",
        area.id, rested, limited,
    )  # fmt: skip
    told = await scraped(world)
    assert told["area_runs_live", "queued"] >= 3
    assert 3600 <= told["area_runs_oldest_seconds", "queued"] < 86_400, "not of what rested, nor of what may not begin"
    await world.pool.execute("DELETE FROM runs WHERE area_id = $1", area.id)


async def test_ends_steps_takeovers_and_late_writes_are_counted(world: World) -> None:
    figures = Figures()
    area = await world.area(log("a"), log("b"))
    await world.fire(area, {})
    run = await world.run_of(area)
    [claim] = await world.platform.runs.claim([run])
    await world.expire_lease(run)
    await world.execute(run)
    with pytest.raises(Fenced):
        await world.platform.runs.commit(Checkpoint(run, claim["fence"], "failed", 99))
    assert figures.moved("area_fenced_writes_total") == 1
    assert figures.moved("area_run_takeovers_total") == 1
    assert figures.moved("area_runs_finished_total", status="succeeded") == 1
    assert figures.moved("area_step_seconds_count", reaction="flow.log") == 2
    assert figures.moved("area_events_total", action="webhook.received", outcome="accepted") == 1
    told = await scraped(world)
    assert {name for name, _ in told} >= {
        "area_run_takeovers_total", "area_runs_finished_total", "area_step_seconds_bucket", "area_fenced_writes_total",
        "area_feed_lag_seconds_bucket", "area_hooks_overdue_seconds", "area_hooks_broken",
    }  # fmt: skip


async def test_runs_that_nobody_rang_for_are_counted_as_found(world: World) -> None:
    figures = Figures()
    area = await world.area(log("a"))
    await world.fire(area, {})
    executor = world.platform.executor()
    working = asyncio.create_task(executor.work())
    await world.ended(await world.run_of(area))
    await executor.stop()
    working.cancel()
    with suppress(asyncio.CancelledError):
        await working
    assert figures.moved("area_runs_swept_total", by="worker") >= 1


async def test_the_lag_of_polls_and_of_the_feed_is_measured(world: World) -> None:
    figures = Figures()
    area = await world.area(log("a"), action="schedule.every", config={"seconds": 4000})
    await world.pool.execute("UPDATE hooks SET next_due_at = now() - interval '90 s' WHERE id = $1", area.hook_id)
    await polling.tick(world.platform, ("schedule",))
    assert figures.moved("area_poll_lag_seconds_count", kind="schedule") >= 1
    assert figures.moved("area_poll_lag_seconds_sum", kind="schedule") >= 90

    async def follow() -> None:
        async for _chunk in world.platform.feed.account(world.user):
            began.set()

    began = asyncio.Event()
    following = asyncio.create_task(follow())
    await began.wait()
    await world.execute(await world.run_of(area))

    async def told() -> bool:
        return figures.moved("area_feed_lag_seconds_count") >= 1

    await eventually(told)
    following.cancel()


@pytest.fixture
async def odd(settings: Settings, user: UUID) -> AsyncIterator[World]:
    """A platform that has the strange service too."""
    platform = await open_platform(settings, Registry([*registry.load().services.values(), strange.service]))
    yield World(platform, user)
    await platform.close()


async def test_each_line_of_a_worker_names_run_step_and_area(odd: World) -> None:
    broken = [
        ReactionDraft("strange.breaks", {"value": "memory"}, key=key, on_failure="continue") for key in ("a", "b")
    ]
    areas = [await odd.area(*broken, mode=mode) for mode in ("sequential", "parallel")]
    with capture_logs(processors=[merge_contextvars]) as lines:
        runs = [await odd.happen(area, {}) for area in areas]
    told = [(one["area"], one["run"], one["step"]) for one in lines if one["event"] == "steps.node_broke"]
    assert sorted(told) == sorted(
        (str(area.id), str(run), key) for area, run in zip(areas, runs, strict=True) for key in ("a", "b")
    )
