"""Bringing a database to the schema of this code."""

import asyncio

import asyncpg
from alembic import command
from alembic.config import Config

from area.db import eras
from area.db.session import plain_url
from area.db.version import MIGRATIONS


def config(url: str) -> Config:
    """Alembic's configuration for the database at ``url``."""
    made = Config()
    made.set_main_option("script_location", str(MIGRATIONS))
    made.attributes["url"] = url
    return made


def upgrade(url: str) -> None:
    """Apply every migration that the database has not seen, and let the feed go on where a backup was restored.

    Raises: FeedElsewhere, OSError or asyncpg's errors.
    """
    command.upgrade(config(url), "head")
    asyncio.run(_enter(url))


async def _enter(url: str) -> None:
    connection = await asyncpg.connect(plain_url(url))
    try:
        await eras.enter(connection)
    finally:
        await connection.close()
