"""Answers as an event stream, one connection an operation: for ``curl -N``, and where WebSockets do not get through.

Protocol: https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md, "Distinct connections mode". Each ``next`` of a
subscription has its cursor as event id; a client that comes back with it as ``Last-Event-ID`` goes on from there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from time import monotonic
from typing import TYPE_CHECKING, Any

import orjson
from starlette.types import Receive, Scope, Send

from area.graphql.context import Context
from area.graphql.documents import Refused
from area.graphql.formatting import format_errors
from area.graphql.limits import refused
from area.graphql.rights import judged

if TYPE_CHECKING:
    from area.graphql.app import GraphQLApp

PING_SECONDS = 15.0
HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]
COMPLETE = b"event: complete\ndata:\n\n"
PING = b":\n\n"


class EventStream:
    """The answers of one operation as an ASGI application; ``context`` is theirs, where there is an operation."""

    def __init__(
        self, app: GraphQLApp, answers: AsyncGenerator[dict[str, Any], None], context: Context | None = None
    ) -> None:
        self._app = app
        self._answers = answers
        self._context = context
        self._judge_at = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send everything, until there is no more, nobody listens, or the caller may not stay."""
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        ends: list[asyncio.Future[Any]] = [
            asyncio.ensure_future(_gone(receive)),
            asyncio.ensure_future(self._app.draining.wait()),
        ]
        # One task at a time reads the answers: nothing is read ahead for a slow listener.
        following: asyncio.Future[Any] = self._next()
        pinged = monotonic()
        try:
            while True:
                await asyncio.wait([following, *ends], timeout=self._patience(), return_when=asyncio.FIRST_COMPLETED)
                if any(end.done() for end in ends):
                    break
                if problem := await self._problem():
                    await _say(send, {"errors": format_errors([refused("UNAUTHENTICATED", problem)])})
                    break
                if following.done():
                    answer = following.result()
                    if answer is None:
                        await _send(send, COMPLETE)
                        break
                    await _say(send, answer, self._context.position if self._context else None)
                    following = self._next()
                elif monotonic() - pinged >= PING_SECONDS:
                    await _send(send, PING)
                    pinged = monotonic()
        finally:
            for task in (following, *ends):
                task.cancel()
            await asyncio.wait({following})
            await self._answers.aclose()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _next(self) -> asyncio.Future[dict[str, Any] | None]:
        return asyncio.ensure_future(self._following())

    async def _following(self) -> dict[str, Any] | None:
        try:
            return await anext(self._answers, None)
        except Refused as error:
            return {"errors": format_errors(error.errors)}

    def _patience(self) -> float:
        caller = self._context.caller if self._context else None
        return PING_SECONDS if caller is None else min(PING_SECONDS, self._app.auth.recheck, caller.seconds_left)

    async def _problem(self) -> str | None:
        caller = self._context.caller if self._context else None
        if caller is None or monotonic() < self._judge_at:
            return None
        problem = await judged(self._app.auth, caller)
        self._judge_at = monotonic() + min(self._app.auth.recheck, caller.seconds_left)
        return problem


async def _say(send: Send, answer: dict[str, Any], position: str | None = None) -> None:
    name = f"id: {position}\n".encode() if position else b""
    await _send(send, name + b"event: next\ndata: " + orjson.dumps(answer) + b"\n\n")


async def _send(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
