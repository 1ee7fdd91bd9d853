"""AREAs that fail and fail again switch themselves off, with a reason that their owner can read.

A success clears the count where it is written (`statements.CHECKPOINT`), and only if there is a count. Failures of one worker are
counted many to a statement, an AREA at a time, so that a flood of them is not a crowd of writers of one row.
"""

from collections import Counter
from typing import Any
from uuid import UUID

from area.core import log
from area.db.session import AWAY, Database
from area.engine import statements
from area.engine.batcher import Batcher

logger = log.get(__name__)

REASON_LENGTH = 300
"""Characters of the last error that the reason has."""


class Failures:
    """Counts failed runs of events. ``most`` in a row pause an AREA that says nothing else; 0 is never."""

    def __init__(self, db: Database, most: int) -> None:
        self._db = db
        self._most = most
        self._batcher: Batcher[tuple[UUID, str], str | None] = Batcher(self._flush, size=512, lanes=1)

    async def count(self, area_id: UUID, error: dict[str, Any]) -> str | None:
        """One more run of an AREA fails; the answer is why the AREA was switched off, when this was the one failure too many."""
        try:
            return await self._batcher.submit((area_id, f"{error['code']}: {error['message']}"[:REASON_LENGTH]))
        except AWAY as trouble:
            # A failure that is not counted is better than one that is not stored.
            logger.warning("failures.not_counted", area=str(area_id), error=repr(trouble))
            return None

    async def _flush(self, failed: list[tuple[UUID, str]]) -> list[str | None]:
        counts = Counter(area for area, _ in failed)
        last = dict(failed)
        paused: dict[UUID, str] = {}
        for area, count in counts.items():
            row = await self._db.pool.fetchrow(statements.FAILED_IN_ROW, area, count, self._most, last[area])
            if row is not None:
                paused[area] = row["reason"]
                logger.warning("area.paused", area=str(area), reason=row["reason"])
                await self._release(row["hook_id"])
        return [paused.pop(area, None) for area, _ in failed]

    async def _release(self, hook_id: UUID | None) -> None:
        # Here and not above: this is rare, and what it needs is a fifth of a worker's memory at rest.
        from area.engine import hooks

        async with self._db.sessions() as session:
            await hooks.release(session, hook_id)
            await session.commit()
