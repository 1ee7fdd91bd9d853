"""The feed in another Postgres: transaction ids begin anew there, the feed's go on growing (ADR 11)."""

import asyncio
import time

import asyncpg

from area.core import log
from area.core.errors import CommandError

logger = log.get(__name__)

PATIENCE = 60.0
"""Seconds for which a lock is tried for that others do not let go of."""
PAUSE_SECONDS = 0.5


class FeedElsewhere(CommandError):
    """The feed's lines were written in another Postgres, and it cannot go on in this one yet."""


async def enter(pool: asyncpg.Pool | asyncpg.Connection, patience: float = PATIENCE) -> bool:
    """Let the feed's ids in this Postgres be above all that were written in another one; whether that was due.

    Raises: FeedElsewhere.
    """
    until = time.monotonic() + patience
    while True:
        try:
            entered: bool = await pool.fetchval("SELECT area_enter_era()")
            break
        except asyncpg.LockNotAvailableError:
            if time.monotonic() > until:
                raise FeedElsewhere(
                    "The data came from another Postgres, and the feed cannot go on in this one: somebody holds the table "
                    "run_events. End that session (see pg_stat_activity), then run `area migrate`."
                ) from None
            await asyncio.sleep(PAUSE_SECONDS)
        except asyncpg.InsufficientPrivilegeError as error:
            raise FeedElsewhere(
                f"The data came from another Postgres, and the feed cannot go on in this one: {error}. "
                "Run `area migrate` as the owner of the tables."
            ) from None
    if entered:
        logger.warning("feed.era_begun")
    return entered
