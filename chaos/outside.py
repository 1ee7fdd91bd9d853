"""The services elsewhere: take every call down, answer as the mood is, and publish a feed."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from aiohttp import web

HANG_SECONDS = 13.0
"""How long a hanging call is left without an answer; the reactions give up after ten."""
REFUSED = "refused"
"""The step whose calls are always refused."""
SLOW_STEPS = {"slow", "beside"}
"""Steps whose calls always take a second or two: what goes on beside them has ended by then."""
SLOW = 0.05
"""Share of the calls that take a second or two even in a good mood."""


@dataclass(slots=True)
class Call:
    """One request that arrived."""

    key: str
    """Its Idempotency-Key: one for each step of each run."""
    event: str
    step: str
    at: float
    mood: str
    until: float = 0.0
    """When its answer began to go out; 0 while there is none."""

    @property
    def took_effect(self) -> bool:
        """Whether the other side did what was asked: not so where it said that it did not."""
        return self.mood not in ("500", "429", "refused")

    @property
    def was_answered(self) -> bool:
        """Whether a whole answer went out."""
        return self.mood not in ("hang", "cut")


class Outside:
    """The sink and the feed."""

    def __init__(self, rng: random.Random) -> None:
        self.url = ""
        self.calls: list[Call] = []
        self.items: list[str] = ["what was there before"]
        self.mood = "ok"
        self.share = 0.5
        """Of the calls, how many meet the mood; the others are answered well."""
        self._rng = rng

    async def call(self, request: web.Request) -> web.StreamResponse:
        """Take one call."""
        body: dict[str, Any] = await request.json()
        mood = self.mood if self._rng.random() < self.share else "ok"
        step = request.match_info["step"]
        if step == REFUSED:
            mood = "refused"
        call = Call(request.headers.get("Idempotency-Key", ""), str(body["event"]), step, time.time(), mood)
        self.calls.append(call)
        slow = step in SLOW_STEPS or self._rng.random() < SLOW
        await asyncio.sleep(self._rng.uniform(1, 2) if slow else self._rng.uniform(0, 0.2))
        call.until = time.time()
        match mood:
            case "refused":
                return web.json_response({"error": "never"}, status=422)
            case "500":
                return web.json_response({"error": "not now"}, status=500)
            case "429":
                return web.json_response({"error": "slower"}, status=429, headers={"Retry-After": "2"})
            case "hang":
                await asyncio.sleep(HANG_SECONDS)
                return self._gone(request)
            case "cut":
                return await self._cut(request)
            case _:
                return web.json_response({"done": True})

    async def _cut(self, request: web.Request) -> web.StreamResponse:
        """Half an answer, then the end of the connection."""
        answer = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "100"})
        with suppress(OSError):
            await answer.prepare(request)
            await answer.write(b'{"do')
        return self._gone(request, answer)

    def _gone(self, request: web.Request, answer: web.StreamResponse | None = None) -> web.StreamResponse:
        if request.transport is not None:
            request.transport.abort()
        return answer or web.Response()

    async def feed(self, _request: web.Request) -> web.Response:
        """The feed, newest first."""
        items = "".join(f"<item><title>{name}</title><guid>{name}</guid></item>" for name in reversed(self.items))
        text = f'<?xml version="1.0"?><rss version="2.0"><channel><title>News</title>{items}</channel></rss>'
        return web.Response(text=text, content_type="application/rss+xml")


@asynccontextmanager
async def outside_world(rng: random.Random) -> AsyncIterator[Outside]:
    """The services, on loopback."""
    world = Outside(rng)
    app = web.Application()
    app.router.add_route("*", "/call/{step}", world.call)
    app.router.add_get("/feed.xml", world.feed)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    world.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield world
    finally:
        await runner.cleanup()
