"""Bringing a database to the schema of this code."""

from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

HERE = Path(__file__).parent / "migrations"


def config(url: str) -> Config:
    """Alembic's configuration for the database at ``url``."""
    made = Config()
    made.set_main_option("script_location", str(HERE))
    made.attributes["url"] = url
    return made


def upgrade(url: str) -> None:
    """Apply every migration that the database has not seen."""
    command.upgrade(config(url), "head")


def head() -> str | None:
    """The newest migration that this code knows."""
    return ScriptDirectory.from_config(config("")).get_current_head()


async def is_current(pool: asyncpg.Pool) -> bool:
    """Whether the database has every migration."""
    try:
        found = await pool.fetchval("SELECT version_num FROM alembic_version")
    except asyncpg.UndefinedTableError:
        return False
    return bool(found == head())
