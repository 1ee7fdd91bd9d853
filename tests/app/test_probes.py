"""Probes and figures: of a worker's own port, and of the whole fleet."""

import asyncio
import time

import httpx
from prometheus_client import REGISTRY

from area.core.ids import new_id
from area.engine.figures import Figures
from area.engine.platform import Platform
from area.workers import probes
from area.workers.probes import Probes


async def test_a_process_tells_its_health_and_figures() -> None:
    made = Probes("127.0.0.1", 0)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{made.port}") as client:
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        assert "area_run_takeovers_total" in (await client.get("/metrics")).text
        assert (await client.get("/other")).status_code == 404
    await made.stop()


async def test_a_stuck_event_loop_is_told() -> None:
    made = Probes("127.0.0.1", 0)

    def ask_while_stuck() -> int:
        made._beat = time.monotonic() - probes.STUCK_AFTER - 1
        return httpx.get(f"http://127.0.0.1:{made.port}/healthz").status_code

    asking = asyncio.get_running_loop().run_in_executor(None, ask_while_stuck)
    time.sleep(0.3)  # noqa: ASYNC251 - the stuck loop that is to be told
    assert await asking == 503
    await made.stop()


async def test_the_fleet_s_figures_come_from_postgres(platform: Platform) -> None:
    await platform.db.pool.execute(
        "INSERT INTO runs (id, user_id, area_id, area_version_id, status, created_at) "
        "VALUES ($1, $1, $1, $1, 'held', now() - interval '9 days')",
        new_id(),
    )
    await Figures(platform.db.pool).refresh()
    assert (REGISTRY.get_sample_value("area_runs_live", {"status": "held"}) or 0) >= 1
    assert (REGISTRY.get_sample_value("area_runs_oldest_seconds", {"status": "held"}) or 0) >= 9 * 86400 - 60
    await platform.db.pool.execute("DELETE FROM runs WHERE status = 'held' AND created_at < now() - interval '8 days'")
