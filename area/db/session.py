"""Connections to Postgres: SQLAlchemy sessions for everyday work, an asyncpg pool for the hot path."""

from dataclasses import dataclass

import asyncpg
import orjson
from sqlalchemy import event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from area.core.jsons import dump
from area.core.settings import Settings

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
"""What the hot statements run on."""

COMMAND_TIMEOUT = 15.0
"""Seconds after which a statement is given up: a database that hangs must not hang its callers."""

AWAY = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
)
"""What the hot path raises while Postgres is out of reach, stopping, full, or asks for another try: trouble that passes.

A TimeoutError is an OSError, so a statement that was given up is among them.
"""


UNFIT = (asyncpg.DataError, asyncpg.ProgramLimitExceededError)
"""What a value that cannot be stored brings about, whatever else is in its statement."""


@dataclass
class Database:
    """The two ways into one Postgres."""

    engine: AsyncEngine
    sessions: async_sessionmaker[AsyncSession]
    pool: asyncpg.Pool

    async def close(self) -> None:
        """Let go of every connection."""
        await self.engine.dispose()
        await self.pool.close()


def plain_url(url: str) -> str:
    """The address as libpq and asyncpg read it: scheme postgresql, no driver."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def sqlalchemy_url(url: str, driver: str = "asyncpg") -> URL:
    """The address as SQLAlchemy reads it."""
    return make_url(url).set(drivername=f"postgresql+{driver}")


async def _prepare(connection: asyncpg.Connection) -> None:
    # JSON travels as text both ways; the callers parse once, with orjson.
    await connection.set_type_codec("jsonb", encoder=dump, decoder=orjson.loads, schema="pg_catalog")


async def open_database(settings: Settings) -> Database:
    """Open the pools. Raises: OSError or asyncpg.PostgresError when Postgres is out of reach."""
    url = settings.database_url.get_secret_value()
    engine = create_async_engine(
        sqlalchemy_url(url),
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

    pool = await asyncpg.create_pool(
        plain_url(url),
        min_size=1,
        max_size=settings.pool_size,
        init=_prepare,
        reset=_no_reset,
        timeout=5,
        command_timeout=COMMAND_TIMEOUT,
        server_settings={"timezone": "UTC", "jit": "off"},
    )
    return Database(engine, async_sessionmaker(engine, expire_on_commit=False), pool)


async def _no_reset(_connection: object) -> None:
    """The hot statements leave no session state behind, so no reset query is paid for."""
