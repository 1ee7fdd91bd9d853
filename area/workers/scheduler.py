"""A scheduler process: looks at due hooks, keeps the tables in shape. Any number may run."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import asyncpg

from area.core import log
from area.core.settings import Settings
from area.db import eras
from area.engine import housekeeping, polling, retention
from area.engine.figures import Figures
from area.engine.platform import Platform, serving
from area.workers.lifecycle import cancel, settle, stop_signal
from area.workers.probes import Probes

logger = log.get(__name__)

TICK = 0.25


async def run_scheduler(settings: Settings) -> None:
    """Schedule until SIGTERM or SIGINT."""
    async with serving(settings) as platform:
        await _schedule(platform)


async def _schedule(platform: Platform) -> None:
    settings, figures = platform.settings, Figures(platform.db.pool)

    async def tidy() -> None:
        await housekeeping.make_partitions(platform.db.pool)
        await platform.accounts.tidy()
        await platform.connecting.tidy()

    async def forget() -> None:
        await retention.forget(platform.db.pool, settings.retention_days)

    async def era() -> None:
        await eras.enter(platform.db.pool)

    watches = [polling.Watch(platform, kinds) for kinds in (polling.CLOCKED, polling.POLLED)]
    await tidy()
    tasks = [
        *(asyncio.create_task(_forever(watch.keep_up, TICK)) for watch in watches),
        asyncio.create_task(_forever(tidy, 1800.0)),
        asyncio.create_task(_forever(forget, 1800.0)),
        asyncio.create_task(_forever(platform.accounts.check_due, 5.0)),
        # Runs are let go when their account comes back; this finds what was held at that very moment, or for too long.
        asyncio.create_task(_forever(platform.accounts.held.release, 5.0)),
        asyncio.create_task(_forever(figures.refresh, 10.0)),
        # At its start each process looks; this is for a Postgres that is exchanged or set back under processes that run.
        asyncio.create_task(_forever(era, 60.0)),
    ]
    probes = Probes(settings.host, settings.probe_port) if settings.probe_port else None
    settle()
    try:
        await stop_signal()
    finally:
        await cancel(tasks)
        for watch in watches:
            await watch.stop()
        if probes:
            await probes.stop()


async def _forever(work: Callable[[], Awaitable[object]], seconds: float) -> None:
    while True:
        try:
            await work()
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
            logger.warning("scheduler.postgres_away", error=repr(error))
            await asyncio.sleep(1)
        except Exception:
            # Whatever one hook brings about, the others are still looked at.
            logger.exception("scheduler.broke")
            await asyncio.sleep(1)
        # Replicas do not march in step.
        await asyncio.sleep(seconds * random.uniform(0.8, 1.2))  # noqa: S311
