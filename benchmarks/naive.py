"""The naive way, beside which AREA is measured: what one writes first, with the same libraries.

An ORM session and a commit for every write, a job for every run, a publish for every line, a stock httpx client. It keeps none of
the laws (no lease, no fence, no ledger of effects, no retry); it stores what AREA stores. ``python -m benchmarks.naive`` with
``api PORT``, ``worker``, or ``poll URL COUNT``.
"""

import asyncio
import hashlib
import hmac
import os
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import orjson
import redis.asyncio as redis
import uvicorn
import uvloop
from liquid import Environment
from saq import Worker
from saq.queue.redis import RedisQueue
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import DateTime
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from area.db.orm import sqlalchemy_url
from benchmarks.fixtures import SECRET

CHANNEL = "naive-feed"
AT_ONCE = 200
AREAS = 10_000
HOOKS = """
INSERT INTO naive_hooks SELECT 'copy-' || n, 'log', :secret FROM generate_series(0, :areas - 1) AS n ON CONFLICT DO NOTHING
"""
SHAPES = {
    "log": ["log"],
    "calls": ["call"] * 2,
    "computed": ["set"] * 10 + ["call"],
    "slow": ["slow"],
    "timed": ["timed"],
}
TEMPLATES = {
    "log": "Order {{ trigger.body.n }}",
    "call": '{"n": "{{ trigger.body.n }}"}',
    "slow": '{"n": "{{ trigger.body.n }}"}',
    "timed": '{"sent": "{{ trigger.body.sent }}"}',
    "set": '{"total": "{{ trigger.body.n | plus: 1 }}"}',
}


class Base(DeclarativeBase):
    """The naive tables."""

    type_annotation_map = {datetime: DateTime(timezone=True), dict[str, Any]: JSONB}  # noqa: RUF012


class Hook(Base):
    """A private address."""

    __tablename__ = "naive_hooks"
    token: Mapped[str] = mapped_column(primary_key=True)
    shape: Mapped[str]
    secret: Mapped[str]


class Event(Base):
    """What came in."""

    __tablename__ = "naive_events"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    payload: Mapped[dict[str, Any]]
    at: Mapped[datetime]


class Run(Base):
    """What is done about it."""

    __tablename__ = "naive_runs"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    event_id: Mapped[UUID]
    shape: Mapped[str]
    status: Mapped[str] = mapped_column(default="queued")
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class Step(Base):
    """One reaction."""

    __tablename__ = "naive_steps"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    run_id: Mapped[UUID]
    status: Mapped[str]
    input: Mapped[dict[str, Any]]
    output: Mapped[dict[str, Any] | None]


class Line(Base):
    """One line of a run's log."""

    __tablename__ = "naive_lines"
    id: Mapped[int] = mapped_column(primary_key=True)
    run_id: Mapped[UUID]
    message: Mapped[str]
    at: Mapped[datetime]


class Naive:
    """Everything that a process of it needs."""

    def __init__(self) -> None:
        self.engine = create_async_engine(
            sqlalchemy_url(os.environ["AREA_DATABASE_URL"]), pool_size=10, max_overflow=10, json_serializer=_dump
        )
        self.sessions = async_sessionmaker(self.engine, expire_on_commit=False)
        self.redis = redis.Redis.from_url(os.environ["AREA_REDIS_URL"], max_connections=1_000)
        self.queue = RedisQueue(redis.Redis.from_url(os.environ["AREA_REDIS_URL"], max_connections=1_000), name="naive")
        self.http = httpx.AsyncClient(timeout=30)
        self.liquid = Environment()

    async def open(self) -> None:
        """Make the tables."""
        async with self.engine.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(1)"))
            await connection.run_sync(Base.metadata.create_all)
            await connection.execute(text(HOOKS), {"areas": AREAS, "secret": SECRET})

    async def store(self, *rows: Base) -> None:
        """Write rows, in a transaction."""
        async with self.sessions() as session:
            for row in rows:
                await session.merge(row)
            await session.commit()

    async def tell(self, run: Run, message: str, **more: Any) -> None:
        """Write a line, and publish it."""
        async with self.sessions() as session:
            session.add(Line(run_id=run.id, message=message, at=datetime.now(UTC)))
            await session.commit()
        await self.redis.publish(CHANNEL, orjson.dumps({"message": message, "run": str(run.id), **more}))

    async def accept(self, request: Request) -> JSONResponse:
        """A signed webhook."""
        body, shape, secret = await request.body(), request.path_params["shape"], SECRET
        if shape not in SHAPES:
            async with self.sessions() as session:
                hook = await session.get_one(Hook, shape)
            shape, secret = hook.shape, hook.secret
        digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(request.headers.get("x-signature-256", ""), f"sha256={digest}"):
            return JSONResponse({"error": "bad signature"}, 401)
        event = await self.begin(shape, orjson.loads(body))
        return JSONResponse({"event": str(event.id), "runs": 1}, 202)

    async def begin(self, shape: str, body: Any) -> Event:
        """Store an event with its run, and queue a job for it."""
        event = Event(id=uuid4(), payload={"body": body}, at=datetime.now(UTC))
        run = Run(id=uuid4(), event_id=event.id, shape=shape, status="queued")
        async with self.sessions() as session:
            session.add_all((event, run))
            await session.commit()
        await self.redis.publish(CHANNEL, orjson.dumps({"message": "event received", "event": str(event.id)}))
        await self.queue.enqueue("execute", run_id=str(run.id), timeout=60, retries=3)
        return event

    async def execute(self, run_id: str) -> None:
        """Take a run through its steps."""
        async with self.sessions() as session:
            run = await session.get_one(Run, UUID(run_id))
            event = await session.get_one(Event, run.event_id)
            run.status, run.started_at = "running", datetime.now(UTC)
            await session.commit()
        await self.tell(run, "run started")
        for kind in SHAPES[run.shape]:
            given = self.liquid.from_string(TEMPLATES[kind]).render(trigger=event.payload)
            step = Step(id=uuid4(), run_id=run.id, status="running", input={"given": given})
            await self.store(step)
            await self.tell(run, f"{kind} started")
            output: dict[str, Any] = {"message": given}
            if kind in ("call", "slow", "timed"):
                path = "slow" if kind == "slow" else "sink"
                answer = await self.http.post(f"{os.environ['NAIVE_SINK']}/{path}", content=given.encode())
                output = {"status": answer.status_code, "headers": dict(answer.headers), "body": answer.json()}
            step.status, step.output = "succeeded", output
            await self.store(step)
            await self.tell(run, f"{kind} succeeded")
        run.status, run.finished_at = "succeeded", datetime.now(UTC)
        await self.store(run)
        await self.tell(run, "run finished")

    async def feed(self, socket: WebSocket) -> None:
        """Every published line, to one socket."""
        await socket.accept()
        async with self.redis.pubsub() as published:
            await published.subscribe(CHANNEL)
            await socket.send_text("{}")
            with suppress(Exception):
                async for message in published.listen():
                    if message["type"] == "message":
                        await socket.send_text(message["data"].decode())

    async def poll(self, url: str, count: int) -> float:
        """Poll for every AREA of its own; runs a second, stored and queued."""
        began, turn = time.perf_counter(), asyncio.Semaphore(10)

        async def one() -> None:
            async with turn:
                await self.begin("log", (await self.http.get(url)).json())

        await asyncio.gather(*(one() for _ in range(count)))
        return count / (time.perf_counter() - began)


def _dump(value: Any) -> str:
    return orjson.dumps(value).decode()


async def main(role: str, *rest: str) -> None:
    """Be a process of this role."""
    naive = Naive()
    await naive.open()
    if role == "poll":
        print(await naive.poll(rest[0], int(rest[1])))
    elif role == "api":
        routes = [Route("/noted", lambda _: JSONResponse({})), Route("/hooks/{shape}", naive.accept, methods=["POST"])]
        app = Starlette(routes=[*routes, WebSocketRoute("/feed", naive.feed)])
        config = uvicorn.Config(
            app,
            port=int(rest[0]),
            http="httptools",
            backlog=4096,
            access_log=False,
            lifespan="off",
            log_level="warning",
        )
        await uvicorn.Server(config).serve()
    else:

        async def execute(_context: Any, *, run_id: str) -> None:
            await naive.execute(run_id)

        await Worker(naive.queue, functions=[("execute", execute)], concurrency=AT_ONCE).start()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(*sys.argv[1:]))
