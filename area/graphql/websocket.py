"""graphql-transport-ws, mended: odd messages close with 4400, errors stay with their operation, contexts are fresh.

Protocol: https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

import orjson
from starlette.websockets import WebSocketDisconnect
from strawberry.asgi import ASGIWebSocketAdapter
from strawberry.http.exceptions import NonJsonMessageReceived, WebSocketDisconnected
from strawberry.subscriptions.protocols.graphql_transport_ws.handlers import BaseGraphQLTransportWSHandler, Operation

from area.auth.caller import Caller
from area.auth.errors import Unauthenticated
from area.auth.service import AuthService
from area.core.log import get
from area.graphql.documents import Refused, is_subscription
from area.graphql.execution import Request
from area.graphql.formatting import format_errors
from area.graphql.limits import refused

if TYPE_CHECKING:
    from area.graphql.app import GraphQLApp

SEND_SECONDS = 15.0
PING_SECONDS = 20.0
MAX_MESSAGE = 256 << 10
MAX_OPERATIONS = 100
_TEXT_OR_NONE = (str, type(None))
_OBJECT_OR_NONE = (dict, type(None))
logger = get("area.graphql")


class TextSocket(ASGIWebSocketAdapter):
    """Reads and writes JSON text; a peer that stops reading is let go."""

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
        """Send one message. Raises: WebSocketDisconnected."""
        try:
            await asyncio.wait_for(self.ws.send_text(orjson.dumps(message).decode()), SEND_SECONDS)
        except TimeoutError as error:
            await self.close(1013, "Too slow")
            raise WebSocketDisconnected from error
        except (WebSocketDisconnect, RuntimeError) as error:
            raise WebSocketDisconnected from error

    async def close(self, code: int, reason: str) -> None:
        """Close, unless it is closed already."""
        # A reason has at most 123 bytes (RFC 6455, 5.5).
        with suppress(RuntimeError, WebSocketDisconnect, TimeoutError):
            await asyncio.wait_for(self.ws.close(code, reason.encode()[:123].decode(errors="ignore")), SEND_SECONDS)


class SocketHandler(BaseGraphQLTransportWSHandler[Any, Any]):
    """One connection: who it is, and its operations."""

    caller: Caller | None = None
    upkeep: asyncio.Task[None] | None = None

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

    async def run_operation(self, operation: Operation[Any, Any]) -> None:
        """Run one operation to its end; its errors are its own."""
        try:
            await self._run(operation)
        except Refused as error:
            await self._fail(operation, format_errors(error.errors))
        except WebSocketDisconnected:
            self.operations.pop(operation.id, None)
        except Exception as error:
            logger.error("graphql.stream_failed", exc_info=error)
            self.operations.pop(operation.id, None)
            # Clients retry this code, with their last cursor.
            await self.websocket.close(1013, "Try again")

    async def shutdown(self) -> None:
        """End every operation and the upkeep."""
        if self.upkeep is not None:
            self.upkeep.cancel()
        await super().shutdown()

    async def _run(self, operation: Operation[Any, Any]) -> None:
        executor = self.app.executor
        client = self.context.client.host if self.context.client else "unknown"
        context = self.app.context(self.caller, client)
        request = Request(operation.query, operation.operation_name or None, operation.variables or {})
        ready = executor.charge(request, context)
        if is_subscription(ready.operation):
            async with aclosing(cast(AsyncGenerator[dict[str, Any], None], executor.stream(ready, context))) as answers:
                async for answer in answers:
                    await self._send(operation, {"id": operation.id, "type": "next", "payload": answer})
        else:
            answer = await executor.run(ready, context)
            await self._send(operation, {"id": operation.id, "type": "next", "payload": answer})
        await self._send(operation, {"id": operation.id, "type": "complete"})

    async def _fail(self, operation: Operation[Any, Any], errors: list[dict[str, Any]]) -> None:
        with suppress(WebSocketDisconnected):
            await self._send(operation, {"id": operation.id, "type": "error", "payload": errors})

    async def _send(self, operation: Operation[Any, Any], message: Any) -> None:
        await operation.send_operation_message(message)

    async def handle_subscribe(self, message: Any) -> None:
        """Begin an operation, unless the connection has too many."""
        if self.connection_acknowledged and len(self.operations) >= MAX_OPERATIONS:
            error = refused("SUBSCRIPTION_LIMIT", f"A connection may have {MAX_OPERATIONS} operations at once.")
            payload: Any = format_errors([error])
            await self.send_message({"id": message["id"], "type": "error", "payload": payload})
            return
        await super().handle_subscribe(message)

    async def _keep_up(self) -> None:
        """Ping, so that dead peers are noticed; close when the caller may not stay."""
        auth, pinged = self.app.auth, monotonic()
        with suppress(WebSocketDisconnected):
            while True:
                wait = PING_SECONDS
                if self.caller is not None:
                    if problem := await _judged(auth, self.caller):
                        await self.websocket.close(4403, problem)
                        return
                    wait = min(wait, auth.recheck, self.caller.seconds_left)
                await asyncio.sleep(wait)
                if monotonic() - pinged >= PING_SECONDS:
                    pinged = monotonic()
                    await self.send_message({"type": "ping"})


async def _judged(auth: AuthService, caller: Caller) -> str | None:
    try:
        return await auth.problem(caller)
    except Exception as error:
        # The database is away: nobody is turned out for that.
        logger.warning("graphql.recheck_failed", error=repr(error))
        return None


def _problem(message: object) -> str | None:
    """What is wrong with a message's shape, or None."""
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        return "A message must be an object with a `type`"
    kind, payload = message["type"], message.get("payload")
    if kind in ("connection_init", "ping", "pong") and not isinstance(payload, _OBJECT_OR_NONE):
        return f"The payload of {kind} must be an object"
    if kind in ("subscribe", "complete") and not (isinstance(message.get("id"), str) and message["id"]):
        return f"{kind} needs an `id`"
    if kind == "subscribe" and not (
        isinstance(payload, dict)
        and isinstance(payload.get("query"), str)
        and isinstance(payload.get("operationName"), _TEXT_OR_NONE)
        and isinstance(payload.get("variables"), _OBJECT_OR_NONE)
    ):
        return "The payload of subscribe must be a GraphQL request"
    return None
