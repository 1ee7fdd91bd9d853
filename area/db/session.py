"""Connections to Postgres: SQLAlchemy sessions for everyday work, an asyncpg pool for the hot path.

SQLAlchemy is loaded by the first session: the worker and the scheduler live without it, and without its 20 MB.
"""

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

import asyncpg
import orjson

from area.core.jsons import dump
from area.core.settings import Settings

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

Connection = asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
"""What the hot statements run on."""

COMMAND_TIMEOUT = 15.0
"""Seconds after which a statement is given up: a database that hangs must not hang its callers."""

CLOSE_SECONDS = 5.0

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


class Database:
    """The two ways into one Postgres: ``sessions`` (SQLAlchemy) and ``pool`` (asyncpg)."""

    def __init__(self, settings: Settings, pool: asyncpg.Pool) -> None:
        self.pool = pool
        self._settings = settings
        self._engine: AsyncEngine | None = None
        self._sessions: async_sessionmaker[AsyncSession] | None = None

    @property
    def sessions(self) -> "async_sessionmaker[AsyncSession]":
        """Makes sessions. Their connections are opened when they are first needed."""
        if self._sessions is None:
            from area.db import orm

            self._engine = orm.make_engine(self._settings)
            self._sessions = orm.make_sessions(self._engine)
        return self._sessions

    async def close(self) -> None:
        """Let go of every connection; of a Postgres that does not answer, without taking leave."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                if self._engine is not None:
                    await self._engine.dispose()
                await self.pool.close()
        except AWAY:
            self.pool.terminate()


def plain_url(url: str) -> str:
    """The address as libpq and asyncpg read it: scheme postgresql, no driver."""
    login, at, place = url.partition("://")[2].partition("@")
    if not at:
        return f"postgresql://{login}"
    user, colon, password = login.partition(":")
    # What a password must not hold in an address is written as one would anyway, and meant.
    return f"postgresql://{user}{colon}{quote(unquote(password), safe='')}@{place}"


async def _prepare(connection: asyncpg.Connection) -> None:
    # JSON travels as text both ways; the callers parse once, with orjson.
    await connection.set_type_codec("jsonb", encoder=dump, decoder=orjson.loads, schema="pg_catalog")


async def open_database(settings: Settings) -> Database:
    """Open the pool. Raises: OSError or asyncpg.PostgresError when Postgres is out of reach."""
    pool = await asyncpg.create_pool(
        plain_url(settings.database_url.get_secret_value()),
        min_size=1,
        max_size=settings.pool_size,
        init=_prepare,
        reset=_no_reset,
        timeout=5,
        command_timeout=COMMAND_TIMEOUT,
        server_settings={"timezone": "UTC", "jit": "off"},
    )
    return Database(settings, pool)


async def _no_reset(_connection: object) -> None:
    """The hot statements leave no session state behind, so no reset query is paid for."""
