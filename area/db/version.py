"""Whether a database has the schema of this code. Apart from `migrate`, so that a process that serves lives without Alembic."""

import asyncio
import time
from pathlib import Path

import asyncpg

from area.core import log
from area.core.errors import CommandError

logger = log.get(__name__)

MIGRATIONS = Path(__file__).parent / "migrations"
PATIENCE = 60.0
"""Seconds that a process waits at its start for somebody else's `area migrate`."""
UNTOLD = 5.0
LOOK_EVERY = 0.1


class SchemaBehind(CommandError):
    """The database lacks migrations of this code."""


def newest() -> str:
    """The newest migration that this code knows: they are numbered in a row, and named by their number."""
    return max(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*_*.py"))


def has_all(at: str | None) -> bool:
    """Whether a database at this migration has all that this code knows."""
    return at is not None and at >= newest()


async def is_current(pool: asyncpg.Pool) -> bool:
    """Whether the database has every migration that this code knows.

    One that a newer version has migrated is current too: migrations only add, and the old version goes on while the new one starts.
    """
    try:
        found = await pool.fetchval("SELECT version_num FROM alembic_version")
    except asyncpg.UndefinedTableError:
        return False
    return has_all(found)


async def applied(pool: asyncpg.Pool, patience: float = PATIENCE) -> None:
    """Return when the database has every migration of this code. Raises: SchemaBehind after ``patience`` seconds."""
    began, told = time.monotonic(), False
    while not await is_current(pool):
        waited = time.monotonic() - began
        if waited > patience:
            raise SchemaBehind(f"The database lacks migrations of this version, up to {newest()}; run `area migrate`.")
        if waited > UNTOLD and not told:
            told = True
            logger.warning("migrations.awaited", newest=newest(), seconds=patience)
        await asyncio.sleep(LOOK_EVERY)
