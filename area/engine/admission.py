"""How many runs of one AREA go on at once: those beyond its limit wait behind it, and are let in as others end.

Counting and letting in are one statement under a lock of the AREA (`area_admit`), so the limit holds however many processes
there are. Nothing has to be handed on: a run that ends while its worker dies leaves a place that the next look finds.
"""

import asyncio
from collections.abc import Iterable
from uuid import UUID

import asyncpg

from area.core import log
from area.db.session import AWAY
from area.engine import statements
from area.engine.cancelling import cancel
from area.engine.doorbell import Doorbell

logger = log.get(__name__)

AREAS_AT_ONCE = 200


class Admission:
    """Lets runs in. Best effort and at once where something has changed; `sweep` finds the rest."""

    def __init__(self, pool: asyncpg.Pool, doorbell: Doorbell) -> None:
        self._pool = pool
        self._doorbell = doorbell
        self._tasks: set[asyncio.Task[None]] = set()

    def later(self, areas: Iterable[UUID]) -> None:
        """Look at these AREAs. Returns at once."""
        for area in set(areas):
            task = asyncio.create_task(self._quietly(area))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def sweep(self) -> None:
        """Let in whatever waits behind a limit that has room."""
        for row in await self._pool.fetch(statements.BEHIND, AREAS_AT_ONCE):
            await self.let_in(row["area_id"])

    async def let_in(self, area: UUID) -> None:
        """Let in as many runs of an AREA as its limit has room for, after what is to be replaced was cancelled."""
        freed = True
        while freed:
            rows = await self._pool.fetch(statements.ADMIT, area)
            admitted = [row for row in rows if row["verdict"] == "admitted"]
            if admitted:
                self._doorbell.ring(len(admitted))
            freed = False
            for row in rows:
                if row["verdict"] == "replaced":
                    was = await cancel(self._pool, row["run_id"], row["owner_id"], "Replaced by a newer run")
                    freed = freed or (was is not None and was["ended"])
                    if was is not None and not was["ended"]:
                        self._doorbell.cancels(row["run_id"])
                    self._doorbell.announce(row["owner_id"], row["run_id"])

    async def settle(self) -> None:
        """Wait for what is under way; for a graceful stop."""
        await asyncio.gather(*self._tasks)

    async def _quietly(self, area: UUID) -> None:
        try:
            await self.let_in(area)
        except AWAY as error:
            logger.warning("admission.later", area=str(area), error=repr(error))
