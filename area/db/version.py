"""Whether a database has the schema of this code. Apart from `migrate`, so that a process that serves lives without Alembic."""

from pathlib import Path

import asyncpg

MIGRATIONS = Path(__file__).parent / "migrations"


def newest() -> str:
    """The newest migration that this code knows: they are numbered in a row, and named by their number."""
    return max(path.name.partition("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*_*.py"))


async def is_current(pool: asyncpg.Pool) -> bool:
    """Whether the database has every migration."""
    try:
        found = await pool.fetchval("SELECT version_num FROM alembic_version")
    except asyncpg.UndefinedTableError:
        return False
    return bool(found == newest())
