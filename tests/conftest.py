"""A real, migrated Postgres and a real Redis for the whole session; every test gets a user of its own."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from io import StringIO
from ipaddress import ip_network
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import asyncpg
import pytest
import structlog
from pydantic import SecretStr

from area.app.embedded import Embedded
from area.core import log
from area.core.ids import new_id
from area.core.settings import Settings
from area.db.migrate import upgrade
from area.db.session import plain_url
from area.engine.platform import Platform, open_platform

pytest_plugins = ["tests.contract.plugin"]

SECRET_KEY = "only-for-tests-only-for-tests-only-for-tests"


# As the platform's own processes log. The library's default draws tracebacks with all local variables, which takes seconds.
log.configure("ERROR")
# Loggers are not remembered, so that a test can listen to those that others have used.
structlog.configure(cache_logger_on_first_use=False)


@pytest.fixture(scope="session")
def servers() -> Iterator[Embedded]:
    """Postgres and Redis: our own, except where AREA_TEST_DATABASE_URL or AREA_TEST_REDIS_URL name others."""
    database, redis = os.environ.get("AREA_TEST_DATABASE_URL", ""), os.environ.get("AREA_TEST_REDIS_URL", "")
    directory = Path(tempfile.mkdtemp(prefix="area-test-"))
    directory.chmod(0o755)
    try:
        with Embedded(directory, with_postgres=not database, with_redis=not redis, durable=False) as embedded:
            embedded.database_url = embedded.database_url or database
            embedded.redis_url = embedded.redis_url or redis
            yield embedded
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
async def database_url(servers: Embedded) -> AsyncIterator[str]:
    """An empty database, dropped afterwards."""
    name = f"area_test_{new_id().hex}"
    admin = await asyncpg.connect(plain_url(servers.database_url))
    await admin.execute(f'CREATE DATABASE "{name}"')
    parts = urlsplit(servers.database_url)
    yield urlunsplit(parts._replace(path=f"/{name}"))
    await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await admin.close()


@pytest.fixture(scope="session")
def settings(servers: Embedded, database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings that name only what this session started; the database is migrated."""
    upgrade(database_url)
    return Settings(
        _env_file=None,
        database_url=SecretStr(database_url),
        redis_url=SecretStr(servers.redis_url),
        secret_key=SecretStr(SECRET_KEY),
        egress_allow=[ip_network("127.0.0.0/8")],
        data_dir=tmp_path_factory.mktemp("data"),
        dev=True,
    )


@pytest.fixture(scope="session")
async def platform(settings: Settings) -> AsyncIterator[Platform]:
    """The opened platform."""
    opened = await open_platform(settings)
    yield opened
    await opened.close()


@pytest.fixture
async def user(platform: Platform) -> UUID:
    """A new user's row id."""
    user_id = new_id()
    await platform.db.pool.execute(
        "INSERT INTO users (id, email, display_name) VALUES ($1, $2, 'Test')", user_id, f"{user_id.hex}@example.com"
    )
    return user_id


@pytest.fixture
def lines() -> Iterator[StringIO]:
    """All that is logged from now on, as a collector gets it: every level, tracebacks included."""
    before, heard = structlog.get_config(), StringIO()
    log.configure("DEBUG", json=True)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(heard), cache_logger_on_first_use=False)
    yield heard
    structlog.configure(**before)
