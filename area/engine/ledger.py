"""What became of deliveries that made no event: counted here, and written down by the hour, so that whoever sends forged ones by
the thousand fills neither the table nor Postgres's day.
"""

import asyncio
from collections import Counter
from uuid import UUID

import asyncpg

from area.core import log
from area.db.session import AWAY

logger = log.get(__name__)

EVERY_SECONDS = 1.0
MOST_KEPT = 10_000
"""Hooks and outcomes that are counted at once; the counts of more are lost, and the log says so."""
REASON_LENGTH = 300

# One line an AREA, outcome and hour. A hook of many AREAs tells the first hundred.
NOTE = """
INSERT INTO deliveries (id, user_id, hook_id, area_id, outcome, reason, count, hour)
SELECT area_uuid7(), a.user_id, n.hook_id, a.id, n.outcome, n.reason, n.count, date_trunc('hour', now())
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::int[]) AS n(hook_id, outcome, reason, count)
CROSS JOIN LATERAL (SELECT id, user_id FROM areas WHERE hook_id = n.hook_id AND deleted_at IS NULL ORDER BY id LIMIT 100) a
ORDER BY a.id, n.outcome
ON CONFLICT (area_id, outcome, hour) WHERE hour IS NOT NULL
DO UPDATE SET count = deliveries.count + excluded.count, reason = excluded.reason
"""


class Ledger:
    """Counts deliveries by hook and outcome, and writes the counts down about once a second."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._counts: Counter[tuple[UUID, str]] = Counter()
        self._reasons: dict[tuple[UUID, str], str] = {}
        self._task: asyncio.Task[None] | None = None

    def note(self, hook_id: UUID, outcome: str, reason: str) -> None:
        """One more delivery was ``rejected``, or a ``duplicate``. Returns at once."""
        key = (hook_id, outcome)
        if key not in self._counts and len(self._counts) >= MOST_KEPT:
            logger.warning("ledger.full", hook=str(hook_id), outcome=outcome)
            return
        self._counts[key] += 1
        self._reasons[key] = reason[:REASON_LENGTH]
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._later())

    async def flush(self) -> None:
        """Write down what has been counted. Raises: OSError or asyncpg.PostgresError when Postgres is out of reach."""
        counts, self._counts = self._counts, Counter()
        reasons, self._reasons = self._reasons, {}
        if not counts:
            return
        keys = list(counts)
        try:
            await self._pool.execute(
                NOTE, [hook for hook, _ in keys], [outcome for _, outcome in keys], [reasons[key] for key in keys],
                [counts[key] for key in keys],
            )  # fmt: skip
        except BaseException:
            self._counts.update(counts)
            self._reasons = reasons | self._reasons
            raise

    async def settle(self) -> None:
        """Write down the rest; for a graceful stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        try:
            await self.flush()
        except AWAY as error:
            logger.warning("ledger.lost", error=repr(error))

    async def _later(self) -> None:
        while self._counts:
            await asyncio.sleep(EVERY_SECONDS)
            try:
                await self.flush()
            except AWAY as error:
                logger.warning("ledger.later", error=repr(error))
