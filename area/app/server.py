"""The API's ASGI application: hooks first, then everything else."""

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from area.app import problems, watch
from area.app.routes import approvals, demo, graphiql, health, hooks, logos, oauth, webhooks
from area.auth.service import AuthService
from area.core.settings import Settings
from area.engine.platform import Platform
from area.graphql.app import GraphQLApp, make_graphql_app

GRAPHQL = "/graphql"

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
"""On every answer that did not set its own."""


class SecurityHeaders:
    """Adds `SECURITY_HEADERS`."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, adding headers on the way back."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        return await self.app(scope, receive, with_headers)


class GraphQLRoute(BaseRoute):
    """/graphql: the page for browsers that ask for HTML, the API for everything else, WebSockets included."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.settings = settings

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether this route answers ``scope``."""
        here = scope["type"] in ("http", "websocket") and scope["path"].rstrip("/") == GRAPHQL
        return (Match.FULL if here else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the page or pass to the API."""
        if scope["type"] == "http" and scope["method"] in ("GET", "HEAD"):
            request = Request(scope)
            if "text/html" in request.headers.get("accept", "") and "query" not in request.query_params:
                return await graphiql.page(dev=self.settings.dev)(scope, receive, send)
        return await self.app(scope, receive, send)


class Entrance:
    """Sends deliveries to `Hooks` without the cost of routing and middleware, the rest to Starlette."""

    def __init__(self, hooks_app: ASGIApp, graphql: GraphQLApp, rest: ASGIApp) -> None:
        self._hooks = hooks_app
        self._graphql = graphql
        self._rest = rest

    def drain(self) -> None:
        """The server is about to stop: end what would keep it waiting."""
        self._graphql.drain()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on."""
        if scope["type"] == "http" and scope["path"].startswith(hooks.PREFIX):
            return await self._hooks(scope, receive, send)
        return await self._rest(scope, receive, send)


async def home(_request: Request) -> Response:
    """People who open the bare address want the page."""
    return RedirectResponse(GRAPHQL, 307)


def make_app(platform: Platform, auth: AuthService | None = None) -> Entrance:
    """The application on an open platform."""
    settings = platform.settings
    auth = auth or AuthService(platform.db, settings)
    graphql = make_graphql_app(platform, auth, built_in=watch.DOCUMENTS)
    routes: list[BaseRoute] = [
        GraphQLRoute(graphql, settings),
        Route("/", home),
        *webhooks.routes(platform),
        *approvals.routes(platform),
        *oauth.routes(platform),
        *health.routes(platform),
        *graphiql.routes(),
        *logos.routes(platform),
    ]
    if settings.dev:
        routes += demo.routes(settings, auth)
    middleware = [Middleware(SecurityHeaders)]
    if settings.cors_origins:
        cors = Middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "Last-Event-ID"],
            # For the cookie of `startConnection`; nothing is authorised by a cookie.
            allow_credentials="*" not in settings.cors_origins,
            max_age=600,
        )
        middleware.append(cors)
    rest = Starlette(
        routes=routes,
        middleware=middleware,
        exception_handlers={
            problems.Problem: problems.on_problem,
            HTTPException: problems.on_http_exception,
            Exception: problems.on_error,
        },
    )
    return Entrance(hooks.Hooks(platform), graphql, rest)
