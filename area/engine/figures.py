"""What the tables say about the whole fleet, for whoever scrapes: what waits, how long, and what is overdue."""

import asyncio
import time

import asyncpg

from area.core import metrics

FRESH_SECONDS = 5.0
"""However often it is asked, Postgres is read no more often than this."""

# A run that goes on after a rest of days, or waits behind its AREA's limit, says nothing of how long the queue is.
LIVE = """
SELECT status, count(*) AS runs, coalesce(extract(epoch FROM now() - min(created_at)
  FILTER (WHERE status <> 'queued' OR (admitted AND started_at IS NULL))), 0)::float8 AS oldest FROM runs
WHERE status IN ('queued', 'running', 'waiting', 'held') GROUP BY status
"""
OVERDUE = """
SELECT count(*) AS hooks, coalesce(extract(epoch FROM now() - min(next_due_at)), 0)::float8 AS seconds FROM hooks
WHERE next_due_at < now() AND (lease_until IS NULL OR lease_until < now())
"""
BROKEN = "SELECT count(*) FROM hooks WHERE status = 'broken'"
STATUSES = ("queued", "running", "waiting", "held")


class Figures:
    """Keeps the fleet's gauges."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._lock = asyncio.Lock()
        self._read_at = float("-inf")

    async def refresh(self) -> None:
        """Read them again, unless that was done just now. Raises: asyncpg.PostgresError or OSError when Postgres is away."""
        async with self._lock:
            if time.monotonic() - self._read_at < FRESH_SECONDS:
                return
            live = {row["status"]: row for row in await self._pool.fetch(LIVE)}
            overdue = await self._pool.fetchrow(OVERDUE)
            broken = await self._pool.fetchval(BROKEN)
            for status in STATUSES:
                row = live.get(status)
                metrics.LIVE.labels(status).set(row["runs"] if row else 0)
                metrics.OLDEST.labels(status).set(max(0.0, row["oldest"]) if row else 0)
            metrics.OVERDUE.set(overdue["hooks"])
            metrics.OVERDUE_SECONDS.set(overdue["seconds"])
            metrics.BROKEN.set(broken)
            self._read_at = time.monotonic()
