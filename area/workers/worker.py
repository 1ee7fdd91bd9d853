"""A worker process: SAQ brings the word that runs wait, the executor claims them and takes them through their steps."""

import asyncio
from contextlib import suppress
from typing import Any

from saq import Worker
from saq.types import PartialTimersDict

from area.core.settings import Settings
from area.engine.executor import Executor
from area.engine.platform import Platform, serving
from area.workers.lifecycle import cancel, settle, stop_signal
from area.workers.probes import Probes

RINGS_AT_ONCE = 4
"""So many bells a worker without room keeps to itself."""


async def run_worker(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT; then finish or hand back what is under way."""
    async with serving(settings) as platform:
        await _work(platform)


async def _work(platform: Platform) -> None:
    settings, executor = platform.settings, platform.executor()
    worker = listener(platform, executor)
    tasks = [
        asyncio.create_task(worker.start()),
        asyncio.create_task(executor.keep_leases()),
        asyncio.create_task(executor.work()),
    ]
    probes = Probes(settings.host, settings.probe_port) if settings.probe_port else None
    settle()
    try:
        await stop_signal()
        await executor.stop()
    finally:
        if probes:
            await probes.stop()
        with suppress(Exception):
            await asyncio.wait_for(worker.stop(), 5)
        await cancel(tasks)


def listener(platform: Platform, executor: Executor) -> Worker[Any]:
    """SAQ's worker, which hears the doorbell for an executor."""
    worker = Worker(
        platform.doorbell.queue,
        functions=[("ring", _ring)],
        concurrency=RINGS_AT_ONCE,
        startup=_startup(executor),
        dequeue_timeout=5,
        timers=PartialTimersDict(schedule=60, abort=60, sweep=60, worker_info=30),  # what these do is not used here
    )
    worker.SIGNALS = []  # the process has one place that listens to signals
    return worker


def _startup(executor: Executor) -> Any:
    async def startup(context: Any) -> None:
        context["executor"] = executor

    return startup


async def _ring(context: Any) -> None:
    await context["executor"].rung()
