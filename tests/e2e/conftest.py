"""The whole platform, as real processes on a database of its own."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import asyncpg
import pytest

from area.app.embedded import Embedded, free_port
from area.core.ids import new_id
from area.db.migrate import upgrade
from area.db.session import plain_url
from tests.conftest import SECRET_KEY
from tests.e2e.world import Client, Outside, Processes, outside_world, until

REDIS_DATABASE = 5
"""Not the one of the other tests: their runs are not ours to execute."""


@dataclass
class Story:
    """What a story plays with."""

    processes: Processes
    client: Client
    outside: Outside
    database: asyncpg.Connection


@asynccontextmanager
async def empty_database(servers: Embedded) -> AsyncIterator[str]:
    """An empty, migrated database, dropped afterwards; its address."""
    name = f"area_e2e_{new_id().hex}"
    admin = await asyncpg.connect(plain_url(servers.database_url))
    await admin.execute(f'CREATE DATABASE "{name}"')
    url = urlunsplit(urlsplit(servers.database_url)._replace(path=f"/{name}"))
    await asyncio.to_thread(upgrade, url)
    yield url
    await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await admin.close()


@pytest.fixture(scope="package")
async def own_database(servers: Embedded) -> AsyncIterator[str]:
    """One for the stories."""
    async with empty_database(servers) as url:
        yield url


@pytest.fixture
async def story(servers: Embedded, own_database: str, tmp_path: Path) -> AsyncIterator[Story]:
    """An API and a signed-up user; workers and scheduler are for the story to start."""
    port = free_port()
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AREA_")} | {
        "AREA_DATABASE_URL": own_database,
        "AREA_REDIS_URL": urlunsplit(urlsplit(servers.redis_url)._replace(path=f"/{REDIS_DATABASE}")),
        "AREA_SECRET_KEY": SECRET_KEY,
        "AREA_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "AREA_PORT": str(port),
        "AREA_EGRESS_ALLOW": "127.0.0.0/8",
        "AREA_LOG_LEVEL": "WARNING",
    }
    processes = Processes(environ, tmp_path)
    database = await asyncpg.connect(plain_url(own_database))
    try:
        async with outside_world() as outside, aiohttp.ClientSession() as http:
            client = Client(f"http://127.0.0.1:{port}", http)
            processes.start("api")

            async def is_ready() -> bool:
                try:
                    async with http.get(f"{client.url}/readyz") as answer:
                        return answer.status == 200
                except aiohttp.ClientConnectionError:
                    return False

            await until(is_ready, 30, "the API was ready")
            await client.sign_up(f"{new_id().hex}@example.com")
            yield Story(processes, client, outside, database)
    finally:
        await database.close()
        await asyncio.to_thread(processes.close)
