"""A worker process that uses one account once: ``python -m tests.engine.connection_worker <account>``. It may be killed."""

import asyncio
import sys
from uuid import UUID

from area.core.settings import load_settings
from area.engine.platform import open_platform
from tests.engine.connections import context, knowing
from tests.providers.acme import make_service


async def main(account: str) -> None:
    """Write a note, which refreshes the token first."""
    platform = await open_platform(load_settings(), knowing(make_service()))
    async with context(platform, UUID(account)) as ctx:
        await ctx.http.post("/notes", json={"text": "from the other process"})
    await platform.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
