"""graphql-transport-ws, mended: odd messages close with 4400, errors stay with their operation, contexts are fresh.

Protocol: https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

import orjson
from starlette.websockets import WebSocketDisconnect
from strawberry.asgi import ASGIWebSocketAdapter
from strawberry.http.exceptions import NonJsonMessageReceived, WebSocketDisconnected
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import BaseGraphQLTransportWSHandler

from area.auth.caller import Caller
from area.auth.errors import Unauthenticated
from area.core.log import get
from area.db.orm import is_away
from area.graphql.documents import Refused
from area.graphql.execution import Request
from area.graphql.formatting import format_errors
from area.graphql.http import BadRequest, as_request
from area.graphql.limits import refused
from area.graphql.rights import judged

if TYPE_CHECKING:
    from area.graphql.app import GraphQLApp

PING_SECONDS = 20.0
MAX_MESSAGE = 256 << 10
MAX_OPERATIONS = 100
logger = get("area.graphql")


class TextSocket(ASGIWebSocketAdapter):
    """Reads and writes JSON text."""

    async def iter_json(self, *, ignore_parsing_errors: bool = False) -> AsyncGenerator[object, None]:
        """Each message, parsed. Raises: NonJsonMessageReceived."""
        while True:
            message = await self.ws.receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            if text is None or len(text) > MAX_MESSAGE:
                raise NonJsonMessageReceived
            try:
                yield orjson.loads(text)
            except ValueError as error:
                raise NonJsonMessageReceived from error

    async def send_json(self, message: Mapping[str, object]) -> None:
        """Send one message, once the peer has read enough of the earlier ones. Raises: WebSocketDisconnected."""
        try:
            await self.ws.send_text(orjson.dumps(message).decode())
        except (WebSocketDisconnect, RuntimeError) as error:
            raise WebSocketDisconnected from error

    async def close(self, code: int, reason: str) -> None:
        """Close, unless it is closed already."""
        # A reason has at most 123 bytes (RFC 6455, 5.5).
        with suppress(RuntimeError, WebSocketDisconnect):
            await self.ws.close(code, reason.encode()[:123].decode(errors="ignore"))


@dataclass(slots=True)
class LiveOperation:
    """An operation that is under way on a connection."""

    id: str
    request: Request
    task: asyncio.Task[None] | None = None


class SocketHandler(BaseGraphQLTransportWSHandler[Any, Any]):
    """One connection: who it is, and its operations."""

    caller: Caller | None = None
    upkeep: asyncio.Task[None] | None = None

    @property
    def live(self) -> dict[str, LiveOperation]:
        """What is under way, by its id."""
        return cast(dict[str, LiveOperation], self.operations)

    @property
    def app(self) -> GraphQLApp:
        """The application that serves this connection."""
        return cast("GraphQLApp", self.view)

    async def handle_message(self, message: Any) -> None:
        """Check a message's shape before Strawberry reads it."""
        problem = _problem(message)
        if problem is not None:
            await self.handle_invalid_message(problem)
            return
        await super().handle_message(message)

    async def handle_connection_init(self, message: Any) -> None:
        """Find out who is calling; a bad token closes with 4403, and none is an anonymous connection."""
        payload = message.get("payload") or {}
        if not self.connection_init_received:
            given = next((value for name, value in payload.items() if name.lower() == "authorization"), None)
            header = self.context.headers.get("authorization") if given is None else str(given)
            try:
                self.caller = await self.app.auth.authenticate(header)
            except Unauthenticated as error:
                await self.websocket.close(4403, error.message)
                return
        await super().handle_connection_init({"type": "connection_init", "payload": payload})
        if self.connection_acknowledged and self.upkeep is None:
            self.upkeep = asyncio.create_task(self._keep_up())

    async def shutdown(self) -> None:
        """End every operation and the upkeep."""
        if self.upkeep is not None:
            self.upkeep.cancel()
        await super().shutdown()

    async def handle_subscribe(self, message: Any) -> None:
        """Begin an operation, unless the connection has too many."""
        if not self.connection_acknowledged:
            await self.websocket.close(4401, "Send connection_init first, and wait for connection_ack")
            return
        key = message["id"]
        if key in self.live:
            await self.websocket.close(4409, f"An operation {key[:40]!r} is under way already")
            return
        if len(self.live) >= MAX_OPERATIONS:
            error = refused("SUBSCRIPTION_LIMIT", f"A connection may have {MAX_OPERATIONS} operations at once.")
            await self._send({"id": key, "type": "error", "payload": format_errors([error])})
            return
        try:
            operation = LiveOperation(key, as_request(message["payload"]))
        except BadRequest as error:
            await self.handle_invalid_message(error.message)
            return
        self.live[key] = operation
        operation.task = asyncio.create_task(self._serve(operation))

    async def _serve(self, operation: LiveOperation) -> None:
        """Run one operation to its end; its errors are its own."""
        try:
            await self._run(operation)
        except Refused as error:
            await self._end(operation, {"type": "error", "payload": format_errors(error.errors)})
        except WebSocketDisconnected:
            self._forget(operation)
        except Exception as error:
            if is_away(error):  # said once, where Postgres is watched; each stream of each client needs no traceback
                logger.warning("graphql.stream_interrupted", reason=str(error) or type(error).__name__)
            else:
                logger.error("graphql.stream_failed", exc_info=error)
            self._forget(operation)
            # Clients retry this code, with their last cursor.
            await self.websocket.close(1013, "Try again")

    async def _run(self, operation: LiveOperation) -> None:
        executor = self.app.executor
        client = self.context.client.host if self.context.client else "unknown"
        context = self.app.context(self.caller, client)
        ready = await executor.prepare(operation.request, context)
        async with aclosing(executor.answers(ready, context)) as answers:
            async for answer in answers:
                await self._send({"id": operation.id, "type": "next", "payload": answer})
        await self._end(operation, {"type": "complete"})

    async def _end(self, operation: LiveOperation, message: dict[str, Any]) -> None:
        # Its id is free before the client learns of the end, and may use it again.
        self._forget(operation)
        with suppress(WebSocketDisconnected):
            await self._send({"id": operation.id, **message})

    def _forget(self, operation: LiveOperation) -> None:
        if self.live.get(operation.id) is operation:
            del self.live[operation.id]

    async def _send(self, message: Any) -> None:
        await self.websocket.send_json(message)

    async def _keep_up(self) -> None:
        """Ping, so that dead peers are noticed; close when the caller may not stay."""
        auth, pinged = self.app.auth, monotonic()
        with suppress(WebSocketDisconnected):
            while True:
                wait = PING_SECONDS
                if self.caller is not None:
                    if problem := await judged(auth, self.caller):
                        await self.websocket.close(4403, problem)
                        return
                    wait = min(wait, auth.recheck, self.caller.seconds_left)
                await asyncio.sleep(wait)
                if monotonic() - pinged >= PING_SECONDS:
                    pinged = monotonic()
                    await self._send({"type": "ping"})


def _problem(message: object) -> str | None:
    """What is wrong with a message's shape, or None."""
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        return "A message must be an object with a `type`"
    kind, payload = message["type"], message.get("payload")
    if kind in ("connection_init", "ping", "pong") and not isinstance(payload, dict | None):
        return f"The payload of {kind} must be an object"
    if kind in ("subscribe", "complete") and not (isinstance(message.get("id"), str) and message["id"]):
        return f"{kind} needs an `id`"
    if kind == "subscribe" and not isinstance(payload, dict):
        return "The payload of subscribe must be a GraphQL request"
    return None
