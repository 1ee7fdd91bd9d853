"""What the tests of connected accounts share: platforms that know Acme, accounts without a consent page, AREAs that use them."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from area.core.settings import Settings
from area.engine.connections.connected import Secrets
from area.engine.connections.store import NewAccount
from area.engine.platform import Platform, open_platform
from area.nodes import registry, sdk
from area.nodes.registry import Registry
from tests.engine.conftest import World
from tests.providers.acme import Acme, make_service
from tests.providers.oauth import User


def knowing(service: sdk.Service) -> Registry:
    """Every installed service, and this one."""
    return Registry([*registry.load().services.values(), service])


ROOT = Path(__file__).parents[2]
READY_SECONDS = 60


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """These variables, for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@asynccontextmanager
async def platform_with(
    settings: Settings, given: Mapping[str, str], service: sdk.Service | None = None
) -> AsyncIterator[Platform]:
    """A platform of its own that knows Acme, at the stand-in that ``given`` points to."""
    service = service or make_service()
    with environment(given):
        opened = await open_platform(settings, knowing(service))
        opened.clients.settings(service.key)  # read once, while the environment has it
    try:
        yield opened
    finally:
        await opened.close()


async def connected(platform: Platform, acme: Acme, user: UUID, who: User | None = None, *scopes: str) -> UUID:
    """An account that consented, its tokens fresh from the stand-in."""
    who = who or acme.users[0]
    grant = sdk.read_grant(acme.auth.issue(who, *(scopes or ("profile", "notes:read", "notes:write"))))
    service = platform.registry.services["acme"]
    assert service.auth
    return await platform.accounts.store.save(
        NewAccount(
            user_id=user,
            service="acme",
            method="oauth2",
            profile=sdk.Profile(who.id, who.login),
            secrets=Secrets(grant.access_token, grant.refresh_token),
            scopes=grant.scopes or frozenset(),
            expires_in=grant.expires_in,
            check_every=service.auth.validate_every,
        )
    )


async def ends_in(platform: Platform, account: UUID, seconds: float) -> None:
    """Let the access token's end be this near, and its beginning long ago."""
    await platform.db.pool.execute(
        "UPDATE connected_accounts SET access_expires_at = now() + make_interval(secs => $2), "
        "issued_at = now() - interval '1 hour' WHERE id = $1",
        account,
        seconds,
    )


async def column(platform: Platform, account: UUID, name: str) -> Any:
    """One value of an account's row."""
    return await platform.db.pool.fetchval(f"SELECT {name} FROM connected_accounts WHERE id = $1", account)


@asynccontextmanager
async def context(platform: Platform, account: UUID) -> AsyncIterator[sdk.Context]:
    """A context as a node gets it."""
    service = platform.registry.services["acme"]
    async with platform.accounts.using(service, lambda *_: None, account_id=account) as found:
        yield found


def world_of(platform: Platform, user: UUID) -> World:
    """A world on this platform."""
    return World(platform, user)


@asynccontextmanager
async def worker(
    settings: Settings, acme: Acme, account: UUID, calls: int = 1
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A real process of its own that is about to use the account, at `go`."""
    given = {
        **os.environ,
        **acme.environment(),
        "AREA_DATABASE_URL": settings.database_url.get_secret_value(),
        "AREA_REDIS_URL": settings.redis_url.get_secret_value(),
        "AREA_SECRET_KEY": settings.secret_key.get_secret_value(),
        "AREA_EGRESS_ALLOW": "127.0.0.0/8",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.engine.connection_worker",
        str(account),
        str(calls),
        cwd=ROOT,
        env=given,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout
        assert await asyncio.wait_for(process.stdout.readline(), READY_SECONDS) == b"ready\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def go(process: asyncio.subprocess.Process) -> None:
    """Let a worker begin."""
    assert process.stdin
    process.stdin.write(b"\n")
