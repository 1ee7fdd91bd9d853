"""A process is killed between the provider's answer and the commit: the account lives, or says that it is dead; never a loop."""

import asyncio
import signal
from datetime import timedelta
from uuid import UUID

import pytest
from starlette.types import Receive, Scope, Send

from area.core.ids import new_id
from area.core.settings import Settings
from area.engine.platform import Platform
from area.nodes import sdk
from tests.engine.conftest import eventually
from tests.engine.connections import column, connected, context, ends_in, go, platform_with, worker
from tests.providers.acme import Acme
from tests.providers.base import serving
from tests.providers.oauth import Dialect

WRITES = "pid <> pg_backend_pid() AND wait_event_type = 'Lock' AND query LIKE '%SET credentials = $3%'"


class Gated(Acme):
    """Its token endpoint answers when it is told to."""

    def __init__(self, dialect: Dialect) -> None:
        super().__init__(dialect)
        self.arrived, self.gate = asyncio.Event(), asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/oauth2/token":
            self.arrived.set()
            await self.gate.wait()
        await super().__call__(scope, receive, send)


async def kill_before_commit(settings: Settings, platform: Platform, acme: Gated, account: UUID) -> None:
    """The process has asked and been answered, cannot write since we hold the row, and is killed."""
    await ends_in(platform, account, -1)
    pool = platform.db.pool

    async def is_about_to_write() -> bool:
        return bool(await pool.fetchval(f"SELECT count(*) FROM pg_stat_activity WHERE {WRITES}"))

    async with worker(settings, acme, account) as process, pool.acquire() as connection:
        go(process)
        await asyncio.wait_for(acme.arrived.wait(), 30)
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("SELECT 1 FROM connected_accounts WHERE id = $1 FOR UPDATE", account)
        acme.gate.set()
        await eventually(is_about_to_write, 30)
        process.send_signal(signal.SIGKILL)
        assert await process.wait() == -signal.SIGKILL
        # Postgres would go on with what was sent: as if the process had died a moment earlier.
        await pool.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {WRITES}")

        async def is_over() -> bool:
            return not await is_about_to_write()

        await eventually(is_over)
        await transaction.rollback()
    assert acme.auth.refreshes == 1
    assert await column(platform, account, "version = 1 AND claim IS NOT NULL AND claim_until > now()")


async def use(platform: Platform, account: UUID) -> int:
    platform.accounts.vault.forget(account)
    async with context(platform, account) as ctx:
        return (await ctx.http.post("/notes", json={"text": "afterwards"})).status_code


async def claim_runs_out(platform: Platform, account: UUID) -> None:
    await platform.db.pool.execute(
        "UPDATE connected_accounts SET claim_until = now() - interval '1 second' WHERE id = $1", account
    )


async def test_where_the_provider_takes_the_old_token_the_account_lives(settings: Settings, user: UUID) -> None:
    acme = Gated(Dialect(rotates=False))
    async with serving(acme) as given, platform_with(settings, given) as platform:
        account = await connected(platform, acme, user)
        await kill_before_commit(settings, platform, acme, account)
        found = await platform.accounts.store.read(account)
        assert found is not None
        # Whoever comes now waits: the dead process might be alive.
        assert not await platform.accounts.store.claim(found, new_id(), timedelta(seconds=1))
        await claim_runs_out(platform, account)
        assert await use(platform, account) == 201
        assert acme.auth.refreshes == 2
        assert await column(platform, account, "status = 'active' AND version = 2 AND claim IS NULL")


async def test_where_the_provider_has_rotated_the_account_says_so_and_nobody_asks_again(
    settings: Settings, user: UUID
) -> None:
    acme = Gated(Dialect(rotates=True))
    async with serving(acme) as given, platform_with(settings, given) as platform:
        account = await connected(platform, acme, user)
        await kill_before_commit(settings, platform, acme, account)
        await claim_runs_out(platform, account)
        for _ in range(3):
            with pytest.raises(sdk.Reconnect):
                await use(platform, account)
        assert (acme.auth.refreshes, acme.auth.reuses) == (1, 1)
        assert await column(platform, account, "status") == "needs_reconnect"
        assert acme.notes == []
        # And its owner mends it as any other.
        assert await connected(platform, acme, user) == account
        assert await use(platform, account) == 201


async def test_a_call_that_is_given_up_does_not_take_the_answer_with_it(settings: Settings, user: UUID) -> None:
    acme = Gated(Dialect(rotates=True))
    async with serving(acme) as given, platform_with(settings, given) as platform:
        account = await connected(platform, acme, user)
        await ends_in(platform, account, -1)
        call = asyncio.create_task(use(platform, account))
        await asyncio.wait_for(acme.arrived.wait(), 30)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        acme.gate.set()
        await platform.accounts.vault.settle()  # as a process does that stops
        assert await column(platform, account, "version") == 2
        assert await use(platform, account) == 201
        assert (acme.auth.refreshes, acme.auth.reuses) == (1, 0)
