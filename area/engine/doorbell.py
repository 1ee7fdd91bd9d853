"""The doorbell: tells workers through SAQ which runs wait, and listeners through pub/sub what has changed. Never the truth.

A bell that cannot ring (Redis is down) is logged and forgotten: the sweeper finds the runs in Postgres.
"""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from uuid import UUID

import orjson
from broadcaster import Broadcast
from redis.asyncio import Redis
from redis.exceptions import RedisError
from saq import Job
from saq.queue.redis import RedisQueue

from area.core import log
from area.engine.batcher import Batcher
from area.engine.broadcast import CHANNEL

logger = log.get(__name__)

QUEUE = "area-runs"
RUNS_PER_JOB = 16
PATIENCE = 1.0
JOB_TIMEOUT = 3600
"""Seconds; a job only carries ids, and a lease guards each run, so this merely bounds a lost worker's job."""


class PatientQueue(RedisQueue):
    """SAQ's queue; while Redis is away each of a worker's many listeners waits a moment before it asks again."""

    async def dequeue(self, timeout: float = 0.0, poll_interval: float = 0.0) -> Job | None:  # noqa: ASYNC109 - SAQ's own
        """The next job, or None."""
        try:
            return await super().dequeue(timeout, poll_interval)
        except (RedisError, OSError):
            await asyncio.sleep(PATIENCE)
            return None


class Doorbell:
    """Rings for runs and announces changes. Both are best effort and batched."""

    def __init__(self, redis: Redis, broadcast: Broadcast) -> None:
        self.queue = PatientQueue(redis, name=QUEUE)
        self._broadcast = broadcast
        self._announcer: Batcher[tuple[str, str], None] = Batcher(self._publish, size=512, lanes=1)
        self._ringer: Batcher[UUID, None] = Batcher(self._enqueue, size=512, lanes=2)

    def ring(self, runs: Iterable[UUID]) -> None:
        """Tell the workers that these runs wait. Returns at once."""
        for run in runs:
            self._ringer.submit(run).add_done_callback(_forget)

    async def hand_back(self, run: UUID) -> None:
        """Tell the other workers that this one leaves a run to them. Its own job for that run still has the usual key."""
        with suppress(RedisError, OSError):
            await asyncio.wait_for(self._job([run], "back"), 5)

    def announce(self, user: UUID, run: UUID) -> None:
        """Tell listeners that this run's story has new lines. Returns at once."""
        self._announcer.submit((str(user), str(run))).add_done_callback(_forget)

    async def _enqueue(self, runs: list[UUID]) -> list[None]:
        chunks = [runs[at : at + RUNS_PER_JOB] for at in range(0, len(runs), RUNS_PER_JOB)]
        await asyncio.wait_for(asyncio.gather(*(self._job(chunk) for chunk in chunks)), 5)
        return [None] * len(runs)

    async def _job(self, runs: list[UUID], what: str = "runs") -> None:
        await self.queue.enqueue(
            Job(
                function="run_batch",
                kwargs={"runs": [str(run) for run in runs]},
                key=f"{what}-{runs[0]}-{len(runs)}",
                timeout=JOB_TIMEOUT,
                retries=1,
                ttl=1,
            )
        )

    async def _publish(self, changes: list[tuple[str, str]]) -> list[None]:
        message = orjson.dumps(sorted(set(changes))).decode()
        await asyncio.wait_for(self._broadcast.publish(CHANNEL, message), 5)
        return [None] * len(changes)

    async def settle(self) -> None:
        """Wait until what has been said so far is out; for a graceful stop."""
        for batcher in (self._ringer, self._announcer):
            await asyncio.gather(*batcher.tasks, return_exceptions=True)


def _forget(future: "asyncio.Future[None]") -> None:
    error = None if future.cancelled() else future.exception()
    if error is not None and not isinstance(error, RedisError | OSError | TimeoutError):
        logger.error("doorbell.failed", error=repr(error))
