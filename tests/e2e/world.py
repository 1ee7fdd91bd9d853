"""What the stories need: the platform's processes, a world outside to call and to poll, and a client."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from area.app.processes import stop, tied_to_parent

PROTOCOL = Subprotocol("graphql-transport-ws")


async def until(condition: Callable[[], Awaitable[Any]], seconds: float, what: str) -> Any:
    """The first true answer of ``condition``; fails the test after ``seconds``."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if answer := await condition():
            return answer
        await asyncio.sleep(0.05)
    raise AssertionError(f"Within {seconds} seconds it did not happen that {what}.")


class Processes:
    """Roles of the platform, each a process of its own."""

    def __init__(self, environ: Mapping[str, str], directory: Path) -> None:
        self._environ = environ
        self._directory = directory
        self._running: list[subprocess.Popen[bytes]] = []

    def start(self, role: str) -> "subprocess.Popen[bytes]":
        """Start one role."""
        process = subprocess.Popen(
            [sys.executable, "-m", "area.app.main", role],
            cwd=self._directory,
            env=dict(self._environ),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=tied_to_parent(signal.SIGKILL),
        )
        self._running.append(process)
        return process

    def stop(self, process: "subprocess.Popen[bytes]") -> None:
        """Stop one, politely first."""
        stop(process, signal.SIGTERM, 25)
        self._running.remove(process)

    def close(self) -> None:
        """Stop all."""
        for process in list(self._running):
            self.stop(process)


class Outside:
    """The services elsewhere: counts calls by path, holds those to /slow until released, and has a feed."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.released = asyncio.Event()
        self.items = ["old"]
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one call."""
        self.calls[request.path] += 1
        if request.path == "/slow":
            await self.released.wait()
        if request.path == "/feed.xml":
            return web.Response(text=self._feed(), content_type="application/rss+xml")
        return web.json_response({"got": await request.text()})

    def _feed(self) -> str:
        items = "".join(f"<item><title>{name}</title><guid>{name}</guid></item>" for name in reversed(self.items))
        return f'<?xml version="1.0"?><rss version="2.0"><channel><title>News</title>{items}</channel></rss>'


@asynccontextmanager
async def outside_world() -> AsyncIterator[Outside]:
    """A world on loopback."""
    world = Outside()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", world.answer)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    world.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield world
    finally:
        world.released.set()
        await runner.cleanup()


class Client:
    """A person's frontend."""

    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self.url = url
        self.token = ""
        self._http = http

    async def ask(self, query: str, **variables: Any) -> Any:
        """The data of one operation; any error fails the test."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        body = {"query": query, "variables": variables}
        async with self._http.post(f"{self.url}/graphql", json=body, headers=headers) as response:
            answer = await response.json(content_type=None)
        assert "errors" not in answer, answer
        return answer["data"]

    async def sign_up(self, email: str) -> None:
        """A new account, signed in."""
        query = "mutation ($i: SignUpInput!) { signUp(input: $i) { session { accessToken } errors { message } } }"
        payload = (await self.ask(query, i={"email": email, "password": "a long enough word"}))["signUp"]
        assert payload["errors"] == []
        self.token = payload["session"]["accessToken"]

    async def create_area(self, name: str, action: str, config: Any, reactions: list[dict[str, Any]]) -> Any:
        """A new AREA: its id, and its hook's address where it has one."""
        query = """mutation ($i: CreateAreaInput!) {
          createArea(input: $i) { area { id hook { webhookUrl } } errors { message path } } }"""
        given = {"name": name, "action": {"action": action, "config": config}, "reactions": reactions}
        payload = (await self.ask(query, i=given))["createArea"]
        assert payload["errors"] == []
        return payload["area"]

    async def fire(self, address: str, body: Any) -> None:
        """Call a webhook; it must start exactly one run."""
        async with self._http.post(address, json=body) as response:
            assert response.status == 202
            answer = await response.json()
        assert (answer["runs"], answer["duplicate"]) == (1, False)

    @asynccontextmanager
    async def feed(self) -> AsyncIterator["asyncio.Queue[dict[str, Any]]"]:
        """The account's events from now on, by subscription."""
        events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        listening = asyncio.Event()
        query = "subscription { feed { cursor events { kind seq stepKey message run { id } area { id } } } }"
        async with connect(self.url.replace("http", "ws") + "/graphql", subprotocols=[PROTOCOL]) as socket:

            async def send(**message: Any) -> None:
                await socket.send(json.dumps(message))

            async def read() -> None:
                async for raw in socket:
                    message = json.loads(raw)
                    if message["type"] == "ping":
                        await send(type="pong")
                    elif message["type"] == "next":
                        assert "errors" not in message["payload"], message
                        for event in message["payload"]["data"]["feed"]["events"]:
                            events.put_nowait(event)
                        listening.set()
                    elif message["type"] == "connection_ack":
                        await send(type="subscribe", id="1", payload={"query": query})

            await send(type="connection_init", payload={"Authorization": f"Bearer {self.token}"})
            reader = asyncio.create_task(read())
            try:
                await asyncio.wait_for(listening.wait(), 10)
                yield events
            finally:
                reader.cancel()
                await asyncio.gather(reader, return_exceptions=True)
