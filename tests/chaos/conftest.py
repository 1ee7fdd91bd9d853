"""A platform whose wires to Postgres and Redis can be cut."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import SecretStr

from area.core.settings import Settings
from area.engine.platform import Platform, open_platform
from chaos.proxy import Connect, Proxy, proxied
from tests.engine.conftest import Sink, sink, world

__all__ = ["Sink", "sink", "world"]


@dataclass
class Wired:
    """A platform behind two wires."""

    platform: Platform
    settings: Settings
    postgres: Proxy
    redis: Proxy


def _to(url: str, port: int, socket: str) -> Connect:
    """How to reach the server that ``url`` names."""
    parts = urlsplit(url)
    directory = parse_qs(parts.query).get("host", [""])[0]
    if directory:
        return lambda: asyncio.open_unix_connection(f"{directory}/{socket}")
    return lambda: asyncio.open_connection(parts.hostname, parts.port or port)


def _through(url: str, port: int) -> SecretStr:
    parts = urlsplit(url)
    user, at, _ = parts.netloc.rpartition("@")
    return SecretStr(parts._replace(netloc=f"{user}{at}127.0.0.1:{port}", query="").geturl())


@pytest.fixture
async def wired(settings: Settings) -> AsyncIterator[Wired]:
    database, redis = settings.database_url.get_secret_value(), settings.redis_url.get_secret_value()
    async with (
        proxied(_to(database, 5432, ".s.PGSQL.5432")) as postgres_wire,
        proxied(_to(redis, 6379, "")) as redis_wire,
    ):
        behind = settings.model_copy(
            update={
                "database_url": _through(database, postgres_wire.port),
                "redis_url": _through(redis, redis_wire.port),
                "lease_seconds": 2.0,
            }
        )
        platform = await open_platform(behind)
        try:
            yield Wired(platform, behind, postgres_wire, redis_wire)
        finally:
            for wire in (postgres_wire, redis_wire):
                wire.release()
                if not wire.is_listening:
                    await wire.start()
            await platform.close()
