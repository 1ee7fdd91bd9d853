"""The doorbell: tells workers through SAQ that runs wait, and listeners through pub/sub what has changed. Never the truth.

A bell that cannot ring is forgotten, as workers look into Postgres by themselves; `broadcast` tells when Redis goes and is back.
"""

import asyncio
from uuid import UUID

import orjson
from broadcaster import Broadcast
from redis.asyncio import Redis
from redis.exceptions import RedisError
from saq import Job
from saq.job import Status
from saq.queue.redis import RedisQueue
from saq.utils import now, seconds

from area.core import log
from area.core.ids import new_id
from area.engine.batcher import Batcher
from area.engine.broadcast import CANCELS, CHANNEL

logger = log.get(__name__)

QUEUE = "area-runs"
RUNS_PER_JOB = 32
JOBS_AT_ONCE = 8
"""A job wakes a worker, and a worker takes all that it has room for: more would wake nobody else."""
GATHER_SECONDS = 0.005
"""Least time between two messages of one process to Redis: the first goes at once, and in a flood one speaks for many."""
PATIENCE = 1.0
JOB_TIMEOUT = 60
"""Seconds; a job only wakes a worker, which takes no longer than a second."""


class PatientQueue(RedisQueue):
    """SAQ's queue; while Redis is away each of a worker's many listeners waits a moment before it asks again."""

    async def dequeue(self, timeout: float = 0.0, poll_interval: float = 0.0) -> Job | None:  # noqa: ASYNC109 - SAQ's own
        """The next job, or None."""
        try:
            return await super().dequeue(timeout, poll_interval)
        except (RedisError, OSError):
            await asyncio.sleep(PATIENCE)
            return None

    async def sweep(self, lock: int = 60, abort: float = 5.0) -> list[str]:
        """Remove the jobs of dead workers; their runs are in Postgres.

        SAQ's own sweep asks each such job to abort and listens for the answer, and its listener never ends: from then on,
        it spins whenever Redis is away.
        """
        if not await self.redis.set(self._sweep, 1, nx=True, ex=lock):
            return []
        swept = []
        for id_ in await self.redis.lrange(self._active, 0, -1):
            job = await self._get_job_by_id(id_)
            if job is None or job.stuck or (job.status != Status.ACTIVE and seconds(now() - job.queued) > lock):
                async with self.redis.pipeline(transaction=True) as pipe:
                    pipe.lrem(self._active, 0, id_)  # type: ignore[arg-type]
                    pipe.zrem(self._incomplete, id_)
                    pipe.delete(id_)
                    await pipe.execute()
                swept.append(str(id_))
        return swept


class Doorbell:
    """Rings for runs and announces changes. Both are best effort and batched."""

    def __init__(self, redis: Redis, broadcast: Broadcast) -> None:
        self.queue = PatientQueue(redis, name=QUEUE)
        self._broadcast = broadcast
        self._announcer: Batcher[tuple[str, str], None] = Batcher(
            self._publish, size=512, lanes=1, pause=GATHER_SECONDS
        )
        self._canceller: Batcher[tuple[str, str], None] = Batcher(self._publish, size=512, lanes=1)
        self._ringer: Batcher[int, None] = Batcher(self._enqueue, size=512, lanes=1, pause=GATHER_SECONDS)

    def ring(self, runs: int = 1) -> None:
        """Tell the workers that so many more runs wait; which, they see in Postgres. Returns at once."""
        self._ringer.submit(runs).add_done_callback(_forget)

    def announce(self, user: UUID, run: UUID) -> None:
        """Tell listeners that this run's story has new lines. Returns at once."""
        self._announcer.submit((str(user), str(run))).add_done_callback(_forget)

    def cancels(self, run: UUID) -> None:
        """Tell the workers that this run, which one of them has, is asked to end. Returns at once."""
        self._canceller.submit((CANCELS, str(run))).add_done_callback(_forget)

    async def _enqueue(self, runs: list[int]) -> list[None]:
        await asyncio.wait_for(self._wake(sum(runs)), 5)
        return [None] * len(runs)

    async def _wake(self, runs: int) -> None:
        jobs = -(-runs // RUNS_PER_JOB)
        # In a flood, the jobs that nobody has taken yet will wake whoever takes them for these runs too.
        most = JOBS_AT_ONCE - (await self.queue.count("queued") if runs > 1 else 0)
        await asyncio.gather(*(self._job() for _ in range(min(jobs, most))))

    async def _job(self) -> None:
        await self.queue.enqueue(Job(function="ring", key=f"ring-{new_id()}", timeout=JOB_TIMEOUT, retries=1, ttl=1))

    async def _publish(self, changes: list[tuple[str, str]]) -> list[None]:
        message = orjson.dumps(sorted(set(changes))).decode()
        await asyncio.wait_for(self._broadcast.publish(CHANNEL, message), 5)
        return [None] * len(changes)

    async def settle(self) -> None:
        """Wait until what has been said so far is out; for a graceful stop."""
        for batcher in (self._ringer, self._announcer, self._canceller):
            await asyncio.gather(*batcher.tasks, return_exceptions=True)


def _forget(future: "asyncio.Future[None]") -> None:
    error = None if future.cancelled() else future.exception()
    if error is not None and not isinstance(error, RedisError | OSError | TimeoutError):
        logger.error("doorbell.failed", error=repr(error))
