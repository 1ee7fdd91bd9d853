"""Alembic's entry: runs migrations over asyncpg, in one transaction."""

import asyncio

from alembic import context
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine

from area.db.models import Base
from area.db.orm import sqlalchemy_url


def include(_object: object, name: str | None, kind: str, _reflected: bool, _compare: object) -> bool:
    """Leave the daily partitions out of comparisons: the engine makes and drops them."""
    return not (kind == "table" and name is not None and name.startswith("run_events_"))


def run(connection: Connection) -> None:
    """Migrate on this connection."""
    context.configure(connection=connection, target_metadata=Base.metadata, include_object=include)
    with context.begin_transaction():
        context.run_migrations()


async def main() -> None:
    """Connect and migrate."""
    engine = create_async_engine(sqlalchemy_url(context.config.attributes["url"]))
    async with engine.connect() as connection:
        await connection.run_sync(run)
        await connection.commit()
    await engine.dispose()


asyncio.run(main())
