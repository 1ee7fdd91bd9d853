"""`area keys rotate`, as an operator runs it: every secret is sealed anew, or it says what is missing and changes nothing."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
from pydantic import SecretStr

from area.core.crypto import Sealer
from area.core.ids import new_id
from area.core.settings import Settings
from area.db.migrate import upgrade
from area.db.session import plain_url
from tests.app.test_cli import area
from tests.engine.connections import column, connected, context, platform_with
from tests.providers.acme import Acme
from tests.providers.base import serving

OLD, NEW = "the-old-key-of-thirty-two-letters", "the-new-key-of-thirty-two-letters"


@pytest.fixture
async def alone(settings: Settings) -> AsyncIterator[Settings]:
    """A database with nobody else's secrets, sealed with the old key."""
    url, name = settings.database_url.get_secret_value(), f"area_test_{new_id().hex}"
    admin = await asyncpg.connect(plain_url(url))
    await admin.execute(f'CREATE DATABASE "{name}"')
    own = urlunsplit(urlsplit(url)._replace(path=f"/{name}"))
    await asyncio.to_thread(upgrade, own)
    yield settings.model_copy(update={"database_url": SecretStr(own), "secret_key": SecretStr(OLD)})
    await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await admin.close()


async def test_the_key_is_rotated_from_the_command_line(alone: Settings, tmp_path: Path) -> None:
    servers = {
        "AREA_DATABASE_URL": alone.database_url.get_secret_value(),
        "AREA_REDIS_URL": alone.redis_url.get_secret_value(),
        "AREA_SECRET_KEY": NEW,
    }
    acme, user = Acme(), new_id()
    async with serving(acme) as given, platform_with(alone, given) as platform:
        await platform.db.pool.execute("INSERT INTO users (id, email) VALUES ($1, 'ada@example.com')", user)
        account = await connected(platform, acme, user)
        before = await column(platform, account, "credentials")

        forgotten = await asyncio.to_thread(area, tmp_path, "keys", "rotate", **servers)
        assert forgotten.returncode == 1
        told = " ".join(forgotten.stderr.split())
        assert "Not readable: 1 of connected accounts. Put the key that sealed them into AREA_OLD_SECRET_KEYS" in told
        assert "Traceback" not in forgotten.stderr
        assert await column(platform, account, "credentials") == before

        done = await asyncio.to_thread(area, tmp_path, "keys", "rotate", AREA_OLD_SECRET_KEYS=OLD, **servers)
        assert done.returncode == 0, done.stderr
        assert "connected accounts: 1 sealed with the present key" in done.stdout
        assert Sealer(NEW).is_current(await column(platform, account, "credentials"))

        again = await asyncio.to_thread(area, tmp_path, "keys", "rotate", AREA_OLD_SECRET_KEYS=OLD, **servers)
        assert again.returncode == 0, again.stderr
        assert "connected accounts: 0 sealed with the present key" in again.stdout
        for output in (forgotten, done, again):
            assert not any(key in output.stdout + output.stderr for key in (OLD, NEW))

        # The old key is gone, and the account works.
        renewed = alone.model_copy(update={"secret_key": SecretStr(NEW)})
        async with platform_with(renewed, given) as later, context(later, account) as ctx:
            assert (await ctx.http.get("/me")).json()["login"] == "ada"
