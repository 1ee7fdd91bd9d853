"""Where the story plays: the platform's own processes, three services elsewhere, and a person with a browser."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from area.app.embedded import free_port
from tests.e2e.mission.browser import Browser
from tests.e2e.mission.outside import Say, SlowDiscord, TellingEmail
from tests.e2e.world import Client, Processes, until
from tests.providers.base import serving
from tests.providers.twitch import Twitch

LEASE_SECONDS = 4
"""Half of what is usual: so long nobody touches the run of a worker that died."""


@dataclass
class Stage:
    """What the story plays with; ``say`` is where it is told."""

    processes: Processes
    worker: "subprocess.Popen[bytes]"
    """The only one."""
    client: Client
    browser: Browser
    twitch: Twitch
    discord: SlowDiscord
    mail: TellingEmail
    say: Say


@asynccontextmanager
async def staged(database_url: str, redis_url: str, secret_key: str, folder: Path, say: Say) -> AsyncIterator[Stage]:
    """The platform on a migrated database: API, scheduler and a worker. Call from the main thread."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    twitch, discord, mail = Twitch(), SlowDiscord(say), TellingEmail(say)
    async with AsyncExitStack() as stack:
        given = await stack.enter_async_context(serving(twitch, discord, mail))
        environ = {name: value for name, value in os.environ.items() if not name.startswith("AREA_")}
        # The operator has no mail server: mails leave by the account that the person connects, or not at all.
        environ |= {name: value for name, value in given.items() if not name.startswith("AREA_EMAIL_")}
        environ |= {
            "AREA_DATABASE_URL": database_url,
            "AREA_REDIS_URL": redis_url,
            "AREA_SECRET_KEY": secret_key,
            "AREA_PUBLIC_URL": url,
            "AREA_PORT": str(port),
            "AREA_EGRESS_ALLOW": "127.0.0.0/8",
            "AREA_LEASE_SECONDS": str(LEASE_SECONDS),
            "AREA_LOG_LEVEL": "ERROR",
        }
        processes = Processes(environ, folder)
        stack.push_async_callback(asyncio.to_thread, processes.close)
        # A browser keeps cookies of addresses without a name too.
        http = await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)))
        processes.start("api")
        processes.start("scheduler")
        worker = processes.start("worker")
        await until(lambda: is_ready(http, url), 90, "the API was ready")
        yield Stage(processes, worker, Client(url, http), Browser(http), twitch, discord, mail, say)


async def is_ready(http: aiohttp.ClientSession, url: str) -> bool:
    """Whether the API says so."""
    try:
        async with http.get(f"{url}/readyz") as answer:
            return answer.status == 200
    except aiohttp.ClientConnectionError:
        return False
