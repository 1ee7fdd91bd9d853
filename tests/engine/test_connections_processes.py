"""Several processes find one token ended at the same moment: one of them refreshes it, and all go on."""

import asyncio
from contextlib import AsyncExitStack
from uuid import UUID

from area.core.settings import Settings
from tests.engine.connections import column, connected, ends_in, go, platform_with, worker
from tests.providers.acme import Acme
from tests.providers.base import serving
from tests.providers.oauth import Dialect

PROCESSES, CALLS = 4, 5


async def test_four_processes_refresh_a_rotating_token_once(settings: Settings, user: UUID) -> None:
    acme = Acme(Dialect(rotates=True))
    async with serving(acme) as given, platform_with(settings, given) as platform, AsyncExitStack() as stack:
        account = await connected(platform, acme, user)
        await ends_in(platform, account, -1)
        processes = [await stack.enter_async_context(worker(settings, acme, account, CALLS)) for _ in range(PROCESSES)]
        for process in processes:
            go(process)
        ended = await asyncio.wait_for(asyncio.gather(*(process.wait() for process in processes)), 60)
        assert ended == [0] * PROCESSES
        assert (acme.auth.refreshes, acme.auth.reuses) == (1, 0)
        assert len(acme.notes) == PROCESSES * CALLS
        assert await column(platform, account, "status = 'active' AND version = 2 AND claim IS NULL")
