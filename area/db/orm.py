"""SQLAlchemy's way into Postgres, loaded by the first session."""

import orjson
from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from area.core.jsons import dump
from area.core.settings import Settings
from area.db.session import AWAY, COMMAND_TIMEOUT


def is_away(error: BaseException | None) -> bool:
    """Whether ``error`` means that Postgres cannot be used now, whichever library met it."""
    if isinstance(error, DBAPIError):
        cause = error.orig.__cause__ if error.orig is not None else None
        return error.connection_invalidated or isinstance(cause, AWAY)
    return isinstance(error, AWAY)


def sqlalchemy_url(url: str) -> URL:
    """The address as SQLAlchemy reads it."""
    return make_url(url).set(drivername="postgresql+asyncpg")


def make_engine(settings: Settings) -> AsyncEngine:
    """An engine that speaks UTC and our JSON, and gives statements up after a while."""
    engine = create_async_engine(
        sqlalchemy_url(settings.database_url.get_secret_value()),
        pool_size=settings.pool_size,
        max_overflow=settings.pool_size,
        pool_pre_ping=True,
        json_serializer=dump,
        json_deserializer=orjson.loads,
        connect_args={"command_timeout": COMMAND_TIMEOUT, "timeout": 5},
    )

    @event.listens_for(engine.sync_engine, "connect")
    def _utc(dbapi_connection: object, _record: object) -> None:
        cursor = dbapi_connection.cursor()  # type: ignore[attr-defined]
        cursor.execute("SET timezone TO 'UTC'")
        cursor.close()

    return engine


def make_sessions(engine: AsyncEngine) -> async_sessionmaker[AsyncSession]:
    """Makers of sessions whose objects stay readable after a commit."""
    return async_sessionmaker(engine, expire_on_commit=False)
