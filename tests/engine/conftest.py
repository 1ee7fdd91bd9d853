"""What the engine's tests share: making AREAs, firing them, and executing what waits."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from area.db.models import Area
from area.engine.areas import AreaDraft, ReactionDraft, create_area
from area.engine.executor import Executor
from area.engine.platform import Platform
from area.engine.runs import Runs
from area.nodes import sdk
from area.workers.lifecycle import cancel
from area.workers.worker import listener

ENDED = "SELECT bool_and(status IN ('succeeded', 'failed', 'cancelled')) FROM runs WHERE id = ANY($1::uuid[])"


class World:
    """One user's AREAs on the platform."""

    def __init__(self, platform: Platform, user: UUID) -> None:
        self.platform = platform
        self.user = user
        self.pool = platform.db.pool

    def draft(self, *reactions: ReactionDraft, action: str = "webhook.received", **draft: Any) -> AreaDraft:
        return AreaDraft("Test", action, draft.pop("config", {}), list(reactions), **draft)

    async def area(self, *reactions: ReactionDraft, **draft: Any) -> Area:
        return await create_area(self.platform, self.user, self.draft(*reactions, **draft))

    async def fire(self, area: Area, body: Any, **headers: str) -> Any:
        token = await self.pool.fetchval("SELECT token FROM hooks WHERE id = $1", area.hook_id)
        delivery = sdk.WebhookDelivery("POST", headers, {}, b"", body, "application/json")
        return await self.platform.intake.deliver(token, delivery)

    async def run_of(self, area: Area) -> UUID:
        found: UUID = await self.pool.fetchval("SELECT id FROM runs WHERE area_id = $1 ORDER BY id DESC", area.id)
        return found

    async def execute(self, *runs: UUID, executor: Executor | None = None) -> None:
        await (executor or self.platform.executor()).execute(list(runs))

    async def happen(self, area: Area, body: Any) -> UUID:
        """Fire and execute; gives the run."""
        await self.fire(area, body)
        run = await self.run_of(area)
        await self.execute(run)
        return run

    @asynccontextmanager
    async def working(self, **settings: Any) -> AsyncIterator[Executor]:
        """What a worker process does, for a while; gives its executor."""
        given = self.platform.settings.model_copy(update=settings)
        executor = replace(self.platform, settings=given, runs=Runs(self.pool, given.lease_seconds)).executor()
        worker = listener(self.platform, executor)
        tasks = [asyncio.create_task(part) for part in (executor.work(), executor.keep_leases(), worker.start())]
        try:
            yield executor
        finally:
            await executor.stop()
            await worker.stop()
            await cancel(tasks)

    async def ended(self, *runs: UUID) -> None:
        """Wait until these runs have ended."""

        async def all_ended() -> bool:
            return bool(await self.pool.fetchval(ENDED, list(runs)))

        await eventually(all_ended, 30)

    async def status(self, run: UUID) -> str:
        found: str = await self.pool.fetchval("SELECT status FROM runs WHERE id = $1", run)
        return found

    async def steps(self, run: UUID) -> dict[str, Any]:
        rows = await self.pool.fetch("SELECT * FROM run_steps WHERE run_id = $1 ORDER BY position", run)
        return {row["key"]: row for row in rows}

    async def story(self, run: UUID) -> list[str]:
        rows = await self.pool.fetch("SELECT seq, kind FROM run_events WHERE run_id = $1 ORDER BY seq", run)
        assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1)), "the log has a gap"
        assert await self.pool.fetchval("SELECT last_seq FROM runs WHERE id = $1", run) == len(rows)
        return [row["kind"] for row in rows]

    async def due_now(self, run: UUID) -> None:
        """Let a waiting run's time come."""
        await self.pool.execute("UPDATE runs SET due_at = now() WHERE id = $1", run)
        await self.pool.execute("UPDATE run_steps SET due_at = now() WHERE run_id = $1 AND due_at IS NOT NULL", run)

    async def expire_lease(self, run: UUID) -> None:
        """As if the worker had died long ago."""
        await self.pool.execute("UPDATE runs SET lease_until = now() - interval '1 second' WHERE id = $1", run)


@pytest.fixture
async def world(platform: Platform, user: UUID) -> World:
    return World(platform, user)


class Sink:
    """A real HTTP server that records every call and answers as told."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, str], Any]] = []
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.by_path: dict[str, int] = {}
        """The status that it answers calls of a path with, whatever else it is told."""
        self.hold = asyncio.Event()
        self.hold.clear()
        self.holds = ""
        """The path whose calls wait for `hold`; "*" is every path."""
        self.refuses = ""
        """The path whose calls are answered with 422."""
        self.arrived = asyncio.Event()
        self.url = ""
        self.text: str | None = None
        """What it answers instead of JSON."""

    async def handle(self, request: Request) -> Response:
        body = await request.body()
        self.calls.append((request.url.path, dict(request.headers), body.decode()))
        self.arrived.set()
        if request.url.path == self.holds or self.holds == "*":
            await self.hold.wait()
        if request.url.path == self.refuses:
            return JSONResponse({}, status_code=422)
        status, headers = self.answers.pop(0) if self.answers else (200, {})
        status = self.by_path.get(request.url.path, status)
        if self.text is not None:
            return HTMLResponse(self.text, status_code=status, headers=headers)
        return JSONResponse({"number": len(self.calls)}, status_code=status, headers=headers)


@asynccontextmanager
async def serving(app: Starlette) -> AsyncIterator[str]:
    """The app on a free loopback port; gives its address."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off", ws="none"))
    task = asyncio.create_task(server.serve())

    async def started() -> bool:
        return server.started

    await eventually(started)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    await task


@pytest.fixture
async def sink() -> AsyncIterator[Sink]:
    made = Sink()
    async with serving(Starlette(routes=[Route("/{path:path}", made.handle, methods=["GET", "POST", "PUT"])])) as url:
        made.url = url
        yield made
        made.hold.set()


def http(key: str, url: str, method: str = "POST", **more: Any) -> ReactionDraft:
    return ReactionDraft("http.request", {"url": url, "method": method}, key=key, **more)


def log(key: str, message: str = "hello", **more: Any) -> ReactionDraft:
    return ReactionDraft("flow.log", {"message": message}, key=key, **more)


async def eventually(asks: Callable[[], Awaitable[bool]], seconds: float = 10) -> None:
    """Wait until it is so, with a bound."""
    async with asyncio.timeout(seconds):
        while not await asks():  # noqa: ASYNC110 - what is waited for is in another process or in Postgres
            await asyncio.sleep(0.02)
