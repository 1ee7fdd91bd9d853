"""``area doctor``: what is wrong with this installation, and how to mend it."""

from dataclasses import dataclass
from datetime import timedelta

import asyncpg
import redis.asyncio as redis_client
from redis.exceptions import RedisError

from area.core.clock import now
from area.core.settings import Settings, SettingsError, load_settings
from area.db import version as schema
from area.db.session import plain_url

CONNECT_SECONDS = 5.0
ALLOWED_SKEW = timedelta(seconds=2)
OLDEST_POSTGRES = 14


@dataclass(frozen=True)
class Finding:
    """One thing looked at. ``mend`` is empty when it is well."""

    what: str
    found: str
    mend: str = ""


async def examine() -> list[Finding]:
    """Every check that can be made, in order of dependence."""
    try:
        settings = load_settings()
    except SettingsError as error:
        return [Finding("settings", "a setting is missing or wrong", line) for line in str(error).splitlines()]
    return [Finding("settings", "complete"), *_advice(settings), *await _postgres(settings), await _redis(settings)]


def _advice(settings: Settings) -> list[Finding]:
    local = settings.public_url.startswith(("http://127.0.0.1", "http://localhost"))
    found = []
    if settings.dev:
        found.append(
            Finding("AREA_DEV", "on", "Unset AREA_DEV in production: it lets anybody sign in as the demo user.")
        )
    if local and not settings.dev:
        found.append(
            Finding(
                "AREA_PUBLIC_URL",
                settings.public_url,
                "Set it to the address that providers reach, or webhook URLs will point at this machine only.",
            )
        )
    return found


async def _postgres(settings: Settings) -> list[Finding]:
    try:
        connection = await asyncpg.connect(plain_url(settings.database_url.get_secret_value()), timeout=CONNECT_SECONDS)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        mend = "Check that Postgres runs and that AREA_DATABASE_URL names its host, port, user and password."
        return [Finding("Postgres", _reason(error), mend)]
    try:
        version = connection.get_server_version()
        old = f"Use Postgres {OLDEST_POSTGRES} or newer." if version.major < OLDEST_POSTGRES else ""
        found = [Finding("Postgres", f"version {version.major}.{version.minor}", old)]
        known = await connection.fetchval("SELECT to_regclass('alembic_version') IS NOT NULL")
        at = await connection.fetchval("SELECT version_num FROM alembic_version") if known else None
        stale = "" if schema.has_all(at) else "Run `area migrate`."
        found.append(Finding("migrations", f"at {at or 'nothing'}, newest is {schema.newest()}", stale))
        if schema.has_all(at):
            found.append(_feed(await connection.fetchval("SELECT area_in_era()")))
        skew = abs(await connection.fetchval("SELECT clock_timestamp()") - now())
        late = (
            "Synchronise this machine's clock (NTP): leases and schedules compare both." if skew > ALLOWED_SKEW else ""
        )
        found.append(Finding("clock", f"{skew.total_seconds():.2f} s away from the database's", late))
        return found
    finally:
        await connection.close()


def _feed(is_here: bool) -> Finding:
    if is_here:
        return Finding("feed", "written in this Postgres")
    mend = "Run `area migrate`: transaction ids begin anew here, and until then subscribers and area.run_failed miss what happens."
    return Finding("feed", "written in another Postgres, or before this one was set back", mend)


async def _redis(settings: Settings) -> Finding:
    client = redis_client.Redis.from_url(
        settings.redis_url.get_secret_value(), socket_connect_timeout=CONNECT_SECONDS, socket_timeout=CONNECT_SECONDS
    )
    try:
        info = await client.info("server")
        return Finding("Redis", f"version {info['redis_version']}")
    except (OSError, RedisError) as error:
        return Finding(
            "Redis", _reason(error), "Check that Redis runs and that AREA_REDIS_URL names its host and port."
        )
    finally:
        await client.aclose()


def _reason(error: Exception) -> str:
    return f"out of reach: {error}" if str(error) else f"out of reach ({type(error).__name__})"
