"""The doorbell rings for as many as may hear it, and no more: a worker that is woken takes all that it has room for."""

import asyncio

from area.engine.batcher import Batcher
from area.engine.doorbell import JOBS_AT_ONCE, RUNS_PER_JOB
from area.engine.platform import Platform


async def queued(platform: Platform) -> int:
    found: int = await platform.doorbell.queue.count("queued")
    return found


async def test_a_flood_leaves_a_handful_of_jobs(platform: Platform) -> None:
    await platform.redis.flushdb()
    for _ in range(20):
        platform.doorbell.ring(RUNS_PER_JOB * 2)
        await platform.doorbell.settle()
    assert await queued(platform) == JOBS_AT_ONCE


async def test_what_is_taken_is_rung_for_again(platform: Platform) -> None:
    await platform.redis.flushdb()
    platform.doorbell.ring(RUNS_PER_JOB * JOBS_AT_ONCE * 2)
    await platform.doorbell.settle()
    assert await platform.doorbell.queue.dequeue(timeout=5) is not None
    platform.doorbell.ring(2)
    await platform.doorbell.settle()
    assert await queued(platform) == JOBS_AT_ONCE


async def test_one_run_rings_whatever_waits(platform: Platform) -> None:
    await platform.redis.flushdb()
    for _ in range(3):
        platform.doorbell.ring()
        await platform.doorbell.settle()
    assert await queued(platform) == 3


async def test_the_first_goes_at_once_and_what_follows_it_together() -> None:
    batches: list[list[int]] = []

    async def flush(items: list[int]) -> list[int]:
        batches.append(items)
        return items

    batcher: Batcher[int, int] = Batcher(flush, lanes=1, pause=0.2)
    assert await batcher.submit(1) == 1, "it does not wait for the pause"
    later = []
    for item in (2, 3, 4):
        later.append(batcher.submit(item))
        await asyncio.sleep(0)
    assert await asyncio.gather(*later) == [2, 3, 4]
    assert batches == [[1], [2, 3, 4]]
