"""The ASGI application of ``/graphql``: GraphQL over HTTP, and subscriptions by graphql-transport-ws."""

from __future__ import annotations

import json
from typing import Any

import orjson
from graphql import GraphQLError
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket
from strawberry.asgi import GraphQL
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL

from area.auth.caller import Caller
from area.auth.errors import Unauthenticated
from area.auth.service import AuthService
from area.engine.platform import Platform
from area.graphql.context import Context
from area.graphql.documents import Refused, is_query, is_subscription
from area.graphql.execution import Executor, Request
from area.graphql.formatting import format_errors
from area.graphql.limits import refused
from area.graphql.schema import schema
from area.graphql.websocket import SocketHandler, TextSocket

RESPONSE_JSON = "application/graphql-response+json"
PLAIN_JSON = "application/json"
_STATUS = {"UNAUTHENTICATED": 401, "FORBIDDEN": 403, "RATE_LIMITED": 429}


class BadRequest(Exception):
    """A request that is not GraphQL over HTTP; ``status`` is what to answer."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


class GraphQLApp(GraphQL[Any, Any]):
    """Strawberry's application with an HTTP side of its own, and a mended WebSocket side."""

    websocket_adapter_class = TextSocket
    graphql_transport_ws_handler_class = SocketHandler

    def __init__(self, platform: Platform, auth: AuthService) -> None:
        super().__init__(
            schema,
            graphql_ide=None,
            subscription_protocols=(GRAPHQL_TRANSPORT_WS_PROTOCOL,),
            allowed_origins=platform.settings.cors_origins,
        )
        self.platform = platform
        self.auth = auth
        self.executor = Executor()

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

    async def _answer(self, http: HttpRequest) -> Response:
        media = _media_type(http.headers.get("accept", ""))
        if media is None:
            return _response({"errors": format_errors([_bad("Accept allows no JSON answer.")])}, PLAIN_JSON, 406)
        try:
            request = await _read(http, self.platform.settings.body_limit)
            caller = await self.auth.authenticate(http.headers.get("authorization"))
            context = self.context(caller, client_of(http))
            _, operation = self.executor.find(request)
            if http.method == "GET" and not is_query(operation):
                raise BadRequest("GET is for queries only; send this operation by POST.", 405)
            if is_subscription(operation):
                raise BadRequest("Subscriptions are served over WebSocket, by graphql-transport-ws.")
            answer = await self.executor.run(self.executor.charge(request, context), context)
        except BadRequest as error:
            return _response({"errors": format_errors([_bad(error.message)])}, media, error.status)
        except Unauthenticated as error:
            errors = format_errors([refused("UNAUTHENTICATED", error.message)])
            return _response({"errors": errors}, media, 401)
        except Refused as error:
            code = str((error.errors[0].extensions or {}).get("code"))
            # Plain JSON is for older clients, which read the body of a 200 only.
            status = _STATUS.get(code, 400 if media == RESPONSE_JSON else 200)
            return _response({"errors": format_errors(error.errors)}, media, status)
        return _response(answer, media, 400 if "data" not in answer and media == RESPONSE_JSON else 200)


def make_graphql_app(platform: Platform, auth: AuthService) -> GraphQLApp:
    """The application to mount at ``/graphql``."""
    return GraphQLApp(platform, auth)


def client_of(connection: HttpRequest | WebSocket) -> str:
    """Who pays for what an anonymous client asks."""
    return connection.client.host if connection.client else "unknown"


def as_request(given: object) -> Request:
    """A request's parameters, checked. Raises: BadRequest."""
    if not isinstance(given, dict):
        raise BadRequest("The body must be one JSON object with `query`; batches are not served.")
    query, name, variables = given.get("query"), given.get("operationName"), given.get("variables")
    if not isinstance(query, str) or not query.strip():
        raise BadRequest("`query` must be the text of a GraphQL document.")
    if name is not None and not isinstance(name, str):
        raise BadRequest("`operationName` must be text.")
    if variables is not None and not isinstance(variables, dict):
        raise BadRequest("`variables` must be an object.")
    if not isinstance(given.get("extensions"), dict | None):
        raise BadRequest("`extensions` must be an object.")
    return Request(query, name or None, variables or {})


async def _read(http: HttpRequest, limit: int) -> Request:
    if http.method == "GET":
        asked: dict[str, Any] = dict(http.query_params)
        for name in ("variables", "extensions"):
            if asked.get(name):
                asked[name] = _decode(asked[name].encode(), f"`{name}`")
        return as_request(asked)
    if http.method != "POST":
        raise BadRequest("GraphQL is served by GET and POST.", 405)
    # A form of another site can send any other type without asking first (CSRF), so only this one is read.
    kind = http.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != PLAIN_JSON:
        raise BadRequest("Send the body as Content-Type: application/json.", 415)
    body = bytearray()
    async for part in http.stream():
        body += part
        if len(body) > limit:
            raise BadRequest(f"The body is larger than {limit} bytes.", 413)
    return as_request(_decode(bytes(body), "The body"))


def _decode(raw: bytes, name: str) -> Any:
    try:
        return orjson.loads(raw)
    except (json.JSONDecodeError, RecursionError):
        raise BadRequest(f"{name} is not valid JSON.") from None


def _media_type(accept: str) -> str | None:
    kinds = [part.partition(";")[0].strip().lower() for part in accept.split(",") if part.strip()]
    if RESPONSE_JSON in kinds:
        return RESPONSE_JSON
    if not kinds or PLAIN_JSON in kinds or "application/*" in kinds or "*/*" in kinds:
        return PLAIN_JSON if PLAIN_JSON in kinds else RESPONSE_JSON
    return None


def _bad(message: str) -> GraphQLError:
    return refused("BAD_USER_INPUT", message)


def _response(answer: dict[str, Any], media: str, status: int) -> Response:
    headers = {"allow": "GET, POST"} if status == 405 else None
    return Response(orjson.dumps(answer), status, headers, f"{media}; charset=utf-8")
