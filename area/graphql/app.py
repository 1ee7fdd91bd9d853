"""The ASGI application of ``/graphql``: GraphQL over HTTP, and subscriptions by graphql-transport-ws or by event stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from typing import Any, Literal

from graphql import OperationType
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL

from area.auth.caller import Caller
from area.auth.errors import Unauthenticated
from area.auth.service import AuthService
from area.engine.platform import Platform
from area.graphql.context import BROWSER_COOKIE, Context
from area.graphql.documents import Refused
from area.graphql.execution import Executor, Ready
from area.graphql.formatting import format_errors
from area.graphql.http import EVENT_STREAM, PLAIN_JSON, RESPONSE_JSON, BadRequest, accepted, answer, read, refusal
from area.graphql.schema import schema
from area.graphql.sse import EventStream
from area.graphql.websocket import SocketHandler, TextSocket

BROWSER_SECONDS = 3600
"""How long a browser is known by its cookie."""


class GraphQLApp(GraphQL[Any, Any]):
    """Strawberry's application with an HTTP side of its own, and a mended WebSocket side."""

    websocket_adapter_class = TextSocket
    graphql_transport_ws_handler_class = SocketHandler

    def __init__(self, platform: Platform, auth: AuthService, built_in: Iterable[str] = ()) -> None:
        super().__init__(
            schema,
            graphql_ide=None,
            subscription_protocols=(GRAPHQL_TRANSPORT_WS_PROTOCOL,),
            allowed_origins=platform.settings.cors_origins,
        )
        self.platform = platform
        self.auth = auth
        self.executor = Executor(
            platform.db.pool,
            most_streams=platform.settings.max_streams,
            trusted_only=platform.settings.trusted_documents_only,
            built_in=built_in,
        )
        self.draining = asyncio.Event()

    def drain(self) -> None:
        """End the event streams, so that their clients go elsewhere; the server itself ends the sockets, with 1012."""
        self.draining.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request, or serve one WebSocket."""
        if scope["type"] == "http":
            response = await self._answer(HttpRequest(scope, receive))
            await response(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    async def get_context(self, request: Any, response: Any) -> Any:
        """The socket itself: each operation on it makes a context of its own."""
        return request

    def context(self, caller: Caller | None, client: str) -> Context:
        """A new operation's context."""
        return Context(self.platform, self.auth, caller, client)

    async def _answer(self, http: HttpRequest) -> ASGIApp:
        kinds = accepted(http.headers.get("accept", ""))
        if not kinds:
            return refusal("Accept allows neither a JSON answer nor an event stream.", PLAIN_JSON, 406)
        media = next((kind for kind in kinds if kind != EVENT_STREAM), RESPONSE_JSON)
        try:
            request = await read(http, self.platform.settings.body_limit)
            context = self.context(await self.auth.authenticate(http.headers.get("authorization")), client_of(http))
            # A browser sends this by itself when it opens a broken stream again.
            context.resume_after = http.headers.get("last-event-id") or None
            ready = await self.executor.prepare(request, context)
            if is_stream(ready, kinds, http.method):
                return EventStream(self, self.executor.answers(ready, context), context)
            return await self._with_cookie(http, context, ready, media)
        except BadRequest as error:
            return refusal(error.message, media, error.status)
        except Unauthenticated as error:
            return refusal(error.message, media, 401, "UNAUTHENTICATED")
        except Refused as error:
            told = {"errors": format_errors(error.errors)}
            # Over an event stream, an operation that cannot run is told by an event: browsers hide other answers.
            return EventStream(self, _only(told)) if kinds[0] == EVENT_STREAM else answer(told, media)

    async def _with_cookie(self, http: HttpRequest, context: Context, ready: Ready, media: str) -> Response:
        """Run an operation; the browser in which a connection was begun is known again by the cookie of the answer."""
        browser = context.browser = http.cookies.get(BROWSER_COOKIE)
        context.has_cookies = True
        response = answer(await self.executor.run(ready, context), media)
        if context.browser and context.browser != browser:
            # The provider's redirect brings it back. Frontends on other sites need SameSite=None, which only https may have.
            is_secure = self.platform.settings.public_url.startswith("https:")
            same_site: Literal["none", "lax"] = "none" if is_secure else "lax"
            response.set_cookie(
                BROWSER_COOKIE,
                context.browser,
                max_age=BROWSER_SECONDS,
                httponly=True,
                secure=is_secure,
                samesite=same_site,
            )
        return response


def is_stream(ready: Ready, kinds: list[str], method: str) -> bool:
    """Whether an operation is answered by an event stream. Raises: BadRequest when it cannot be answered at all."""
    operation = ready.operation.operation
    if method == "GET" and operation is OperationType.MUTATION:
        raise BadRequest("GET is not for mutations; send this operation by POST.", 405)
    if operation is not OperationType.SUBSCRIPTION:
        return kinds[0] == EVENT_STREAM
    if EVENT_STREAM not in kinds:
        raise BadRequest(
            "Subscriptions are served as an event stream (send 'Accept: text/event-stream'), "
            "or over WebSocket by graphql-transport-ws."
        )
    return True


async def _only(told: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
    yield told


def make_graphql_app(platform: Platform, auth: AuthService, built_in: Iterable[str] = ()) -> GraphQLApp:
    """The application to mount at ``/graphql``; ``built_in`` are documents of our own that are always trusted."""
    return GraphQLApp(platform, auth, built_in)


def client_of(connection: HttpRequest | WebSocket) -> str:
    """Who pays for what an anonymous client asks."""
    return connection.client.host if connection.client else "unknown"
