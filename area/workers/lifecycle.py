"""Starting and stopping of processes."""

import asyncio
import gc
import signal
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from typing import Any

import uvloop


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run ``main`` on uvloop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


def settle() -> None:
    """Keep what was loaded at start out of later garbage collections, and have fewer of them: each pauses everything."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


async def stop_signal() -> None:
    """Return at SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stopped.set)
    await stopped.wait()


async def cancel(tasks: Iterable["asyncio.Task[Any]"]) -> None:
    """Cancel tasks and wait for their end."""
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError, Exception):
            await task
