"""Bringing a database to the schema of this code."""

from alembic import command
from alembic.config import Config

from area.db.version import MIGRATIONS


def config(url: str) -> Config:
    """Alembic's configuration for the database at ``url``."""
    made = Config()
    made.set_main_option("script_location", str(MIGRATIONS))
    made.attributes["url"] = url
    return made


def upgrade(url: str) -> None:
    """Apply every migration that the database has not seen."""
    command.upgrade(config(url), "head")
