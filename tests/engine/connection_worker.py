"""A worker process: ``python -m tests.engine.connection_worker <account> [<calls>]`` uses one account at once. It may be killed.

It says "ready" when it has opened everything, and goes on at a line on its standard input.
"""

import asyncio
import sys
from uuid import UUID

from area.core.settings import load_settings
from area.engine.platform import open_platform
from tests.engine.connections import context, knowing
from tests.providers.acme import make_service


async def main(account: str, calls: int) -> None:
    """Write notes all at once, which refreshes the token first."""
    platform = await open_platform(load_settings(), knowing(make_service()))

    async def write() -> None:
        async with context(platform, UUID(account)) as ctx:
            await ctx.http.post("/notes", json={"text": "from the other process"})

    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await asyncio.gather(*(write() for _ in range(calls)))
    await platform.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1))
