"""A worker process: SAQ brings the names of waiting runs, the executor takes them through their steps."""

import asyncio
import gc
from contextlib import suppress
from typing import Any
from uuid import UUID

from saq import Worker
from saq.types import PartialTimersDict

from area.core.settings import Settings
from area.engine.doorbell import RUNS_PER_JOB
from area.engine.executor import Executor
from area.engine.platform import open_platform
from area.workers.lifecycle import cancel, stop_signal
from area.workers.probes import Probes


async def run_worker(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT; then finish or hand back what is under way."""
    platform = await open_platform(settings)
    executor = platform.executor()
    worker = Worker(
        platform.doorbell.queue,
        functions=[("run_batch", _run_batch)],
        concurrency=max(4, settings.worker_concurrency // RUNS_PER_JOB * 2),
        startup=_startup(executor),
        dequeue_timeout=5,
        timers=PartialTimersDict(schedule=60, abort=60, sweep=60, worker_info=30),  # what these do is not used here
    )
    worker.SIGNALS = []  # the process has one place that listens to signals, below
    tasks = [
        asyncio.create_task(worker.start()),
        asyncio.create_task(executor.keep_leases()),
        asyncio.create_task(executor.sweep()),
    ]
    probes = Probes(settings.host, settings.probe_port) if settings.probe_port else None
    gc.freeze()
    try:
        await stop_signal()
        await executor.stop()
    finally:
        if probes:
            await probes.stop()
        with suppress(Exception):
            await asyncio.wait_for(worker.stop(), 5)
        await cancel(tasks)
        await platform.close()


def _startup(executor: Executor) -> Any:
    async def startup(context: Any) -> None:
        context["executor"] = executor

    return startup


async def _run_batch(context: Any, *, runs: list[str]) -> None:
    await context["executor"].execute([UUID(run) for run in runs])
