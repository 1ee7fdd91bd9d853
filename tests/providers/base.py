"""What a stand-in provider is made of: a small real HTTP server that behaves as the provider's documentation says.

How to write one, ``tests/providers/acme.py``; nothing global, so that each test has a provider of its own::

    from typing import Any

    from starlette.responses import JSONResponse, Response

    from tests.providers.base import StandIn
    from tests.providers.calls import Call
    from tests.providers.oauth import Dialect
    from tests.providers.signing import hmac_body

    class Acme(StandIn):
        base_path = "/v1"  # AREA_ACME_BASE_URL is the address plus this

        def __init__(self) -> None:
            super().__init__("acme", Dialect(scope_as="list", rotates=True), settings={"webhook_secret": "s" * 32})
            self.notes: list[dict[str, Any]] = []
            self.route("GET", "/v1/me", self.me)
            self.route("POST", "/v1/notes", self.create, scopes=("notes:write",))
            self.route("GET", "/v1/public/{id}", self.public, auth="none")

        async def me(self, call: Call) -> Any:
            return {"id": call.user.id, "login": call.user.login}  # 200 as JSON

        async def create(self, call: Call) -> Any:
            if len(call.json["text"]) > 500:
                return self.refuse(422, "too_long", "text has more than 500 characters")
            self.notes.append({"id": len(self.notes) + 1, "by": call.user.id, **call.json})
            return 201, self.notes[-1]  # a status with it; None is a 204; a Response is itself

        async def public(self, call: Call) -> Any:
            return {"id": call.parameters["id"], "page": call.query.get("page", "1")}

        def refuse(self, status: int, code: str, words: str) -> Response:  # errors in the provider's own shape
            return JSONResponse({"ok": False, "code": code, "message": words}, status)

        async def note_added(self, url: str, secret: str) -> None:
            await self.deliver(url, {"note": self.notes[-1]}, sign=hmac_body(secret, "X-Acme-Signature"))

    def make() -> StandIn:
        return Acme()

In a test::

    async with serving(acme := Acme()) as environment:    # AREA_ACME_BASE_URL, _TOKEN_URL, _CLIENT_ID, _WEBHOOK_SECRET, ...
        back = await acme.consent(url_of_start_connection, untick=("notes:write",))    # where the browser is sent
        token = acme.auth.issue(acme.users[0], "notes:write")["access_token"]          # or with no page at all
        acme.next(Fault(status=429, headers={"Retry-After": "7"}), "POST /v1/notes")   # what happens to the next call
        assert [call.json for call in acme.asked("POST", "/v1/notes")] == [{"text": "hello"}]

Checks of the answers against the provider's own specification are in tests/contract.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import cached_property
from typing import Any, Literal
from urllib.parse import parse_qsl

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from tests.providers.calls import Call, Fault, fail
from tests.providers.oauth import AuthorizationServer, Dialect, User
from tests.providers.signing import Sign

Auth = Literal["user", "app", "any", "none"]
Handler = Callable[[Call], Awaitable[Any]]


class StandIn:
    """One provider. It is an ASGI app; `serving` gives it an address, ``url``."""

    base_path = ""

    def __init__(
        self,
        service: str,
        dialect: Dialect | None = None,
        *,
        settings: Mapping[str, str] | None = None,
        users: Sequence[User] = (),
    ) -> None:
        self.service = service
        self.settings = dict(settings or {})
        """More settings of the service: ``bot_token`` becomes ``AREA_<SERVICE>_BOT_TOKEN``."""
        self.users = list(users) or [
            User("1001", "ada", "Ada Lovelace", "ada@example.com"),
            User("1002", "grace", "Grace Hopper", "grace@example.com"),
        ]
        self.dialect = dialect
        self.auth = AuthorizationServer(
            dialect or Dialect(authorize=None), f"{service}-client", f"{service}-secret", self.users
        )
        self.url = ""
        self.calls: list[Call] = []
        self.faults: list[tuple[str, Fault]] = []
        self.own_paths: set[str] = set()
        """Addresses of the authorisation server, which no API specification describes."""
        self._released = asyncio.Event()
        self._routes: list[Route] = []
        if dialect:
            self._oauth_routes(dialect)

    # What an author uses

    def route(
        self, method: str, path: str, handler: Handler, *, auth: Auth = "user", scopes: Sequence[str] = ()
    ) -> None:
        """``handler`` answers ``method path``; ``auth`` is whose token is needed, and ``scopes`` what that must have."""

        async def endpoint(request: Request) -> Response:
            call: Call = request.scope["call"]
            call.request, call.parameters = request, dict(request.path_params)
            refused = self.admit(call, auth, scopes)
            return refused or _response(await handler(call))

        self._routes.append(Route(path, endpoint, methods=[method]))

    def admit(self, call: Call, auth: Auth, scopes: Sequence[str]) -> Response | None:
        """The refusal of a call with no good token, else None; override it for ``Bot <token>``, keys, tokens in the path."""
        if auth == "none":
            return None
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        grant = self.auth.find(token) if scheme.lower() == "bearer" else None
        if grant is None:
            return self.refuse(401, "unauthorized", "The access token is missing, expired or revoked.")
        if auth != "any" and (grant.user is None) != (auth == "app"):
            return self.refuse(
                401, "unauthorized", f"This needs the token of {'an app' if auth == 'app' else 'a user'}."
            )
        missing = [scope for scope in scopes if scope not in grant.scopes]
        if missing:
            return self.refuse(403, "insufficient_scope", f"Missing scope: {', '.join(missing)}")
        call.grant = grant
        return None

    def refuse(self, status: int, code: str, words: str) -> Response:
        """An error in the provider's own shape; override it."""
        return JSONResponse({"error": code, "message": words}, status)

    async def deliver(
        self,
        url: str,
        body: Any,
        *,
        sign: Sign | None = None,
        headers: Mapping[str, str] | None = None,
        expects: int | None = None,
        answer: str | None = None,
        within: float = 10.0,
    ) -> httpx.Response:
        """Send a webhook as the provider does. Bytes and text go as they are, else as JSON.

        Raises AssertionError unless the answer has the status ``expects`` (any 2xx by default), comes ``within``
        so many seconds, and its body is ``answer`` where that is given.
        """
        raw = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
        sent = httpx.Headers({"content-type": "application/json", **(headers or {})})
        if sign:
            sent.update(sign(raw, dict(sent)))
        async with httpx.AsyncClient(timeout=within, trust_env=False) as client:
            got = await client.post(url, content=raw, headers=sent)
        fits = got.status_code == expects if expects is not None else got.is_success
        assert fits, f"{self.service} wanted {expects or '2xx'} from {url} and got {got.status_code}: {got.text[:500]}"
        assert answer is None or got.text == answer, f"{self.service} wanted {answer!r} from {url} and got {got.text!r}"
        return got

    # What a test uses

    def next(self, fault: Fault, call: str = "", times: int = 1) -> None:
        """``fault`` befalls the next ``times`` calls whose ``METHOD /path`` contains ``call``."""
        self.faults += [(call, fault)] * times

    def release(self) -> None:
        """Calls that hang are dropped now."""
        self._released.set()

    @property
    def hint(self) -> str:
        """What a person types in to connect an account, where there is no consent page."""
        return ""

    def tricks(self) -> Mapping[str, Callable[[], Awaitable[Any]]]:
        """What a person can make happen here by a button, by what the button says."""
        return {}

    def asked(self, method: str, path: str) -> list[Call]:
        """The calls so far of this method and exact path."""
        return [call for call in self.calls if (call.method, call.path) == (method, path)]

    async def consent(self, url: str, *, allow: bool = True, user: str = "", untick: Sequence[str] = ()) -> str:
        """What the browser of ``user`` (a login; by default the first) does with an authorise address; gives where it is sent."""
        more = {"auto": "allow" if allow else "deny", "user": user, "untick": " ".join(untick)}
        async with httpx.AsyncClient(trust_env=False) as client:
            got = await client.get(httpx.URL(url).copy_merge_params(more))
        assert got.status_code == 302, f"the consent page of {self.service} said {got.status_code}: {got.text}"
        return got.headers["location"]

    def environment(self) -> dict[str, str]:
        """The settings that point the service at this stand-in."""
        values = {"base_url": self.url + self.base_path}
        if self.dialect:
            paths = {"authorize": self.dialect.authorize, "token": self.dialect.token, "revoke": self.dialect.revoke}
            values |= {f"{name}_url": self.url + path for name, path in paths.items() if path}
            values |= {"client_id": self.auth.client_id, "client_secret": self.auth.client_secret}
        return {f"AREA_{self.service}_{name}".upper(): value for name, value in {**values, **self.settings}.items()}

    @asynccontextmanager
    async def beside(self) -> AsyncIterator[None]:
        """What else runs while it is served, as servers of another protocol."""
        yield

    # How it works

    def _oauth_routes(self, dialect: Dialect) -> None:
        self.own_paths |= {path for path in (dialect.authorize, dialect.token, dialect.revoke) if path}

        async def authorize(call: Call) -> Response:
            asked = {**call.query, **call.form}
            if call.method == "POST":  # from the page: what is not ticked is refused
                ticked = {value for name, value in parse_qsl(call.body.decode()) if name == "ticked"}
                wanted = asked.get("scope", "").replace(",", " ").split()
                asked["untick"] = " ".join(scope for scope in wanted if scope not in ticked)
            return self.auth.authorize(asked)

        def given(call: Call) -> Mapping[str, str]:
            return call.json if dialect.json_body and isinstance(call.json, dict) else call.form

        async def token(call: Call) -> Response:
            return self.auth.exchange(given(call), call.headers)

        async def revoke(call: Call) -> Response:
            return self.auth.revoke(given(call), call.headers)

        if dialect.authorize:
            self.route("GET", dialect.authorize, authorize, auth="none")
            self.route("POST", dialect.authorize, authorize, auth="none")
        self.route("POST", dialect.token, token, auth="none")
        if dialect.revoke:
            self.route("POST", dialect.revoke, revoke, auth="none")

    @cached_property
    def _app(self) -> Starlette:
        async def nothing_here(request: Request, error: Exception) -> Response:
            status = error.status_code if isinstance(error, HTTPException) else 500
            return self.refuse(
                status, "not_found" if status == 404 else "failed", f"{request.method} {request.url.path}"
            )

        return Starlette(routes=self._routes, exception_handlers={HTTPException: nothing_here})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        request = Request(scope, receive)
        body = await request.body()
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        call = Call(scope["method"], path, dict(request.query_params), dict(request.headers), body, request)
        raw = scope.get("raw_path", path.encode()).decode("latin-1").partition("?")[0]
        call.raw_path = raw.removeprefix(scope.get("root_path", ""))
        self.calls.append(call)

        async def replay() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                call.answer = (message["status"], {k.decode(): v.decode("latin-1") for k, v in message["headers"]}, b"")
            elif call.answer:
                status, headers, so_far = call.answer
                call.answer = (status, headers, so_far + message.get("body", b""))
            await send(message)

        fault = call.fault = self._fault(f"{call.method} {path}")
        if fault is None or fault.lose:
            await self._app({**scope, "call": call}, replay, _nowhere if fault else told)
            if fault:  # a status line and no body: uvicorn would answer 500 for silence
                await fail(Fault(cut=True), send)
        elif not fault.hang:
            await fail(fault, told)
        else:
            await self._hang(receive)

    def _fault(self, call: str) -> Fault | None:
        for number, (wanted, fault) in enumerate(self.faults):
            if wanted in call:
                del self.faults[number]
                return fault
        return None

    async def _hang(self, receive: Receive) -> None:
        gone = asyncio.ensure_future(receive())
        released = asyncio.ensure_future(self._released.wait())
        await asyncio.wait([gone, released], return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        released.cancel()


@asynccontextmanager
async def serving(*standins: StandIn) -> AsyncIterator[dict[str, str]]:
    """Each stand-in on a free loopback port of its own; gives the environment that points their services at them."""
    servers = [_Server(_config(standin)) for standin in standins]
    tasks = [asyncio.create_task(server.serve()) for server in servers]
    environment: dict[str, str] = {}
    try:
        async with asyncio.timeout(10):
            while not all(server.started for server in servers):  # noqa: ASYNC110 - uvicorn tells nobody
                await asyncio.sleep(0.01)
        for standin, server in zip(standins, servers, strict=True):
            standin.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        async with AsyncExitStack() as stack:
            for standin in standins:
                await stack.enter_async_context(standin.beside())
                environment |= standin.environment()
            yield environment
    finally:
        for standin, server in zip(standins, servers, strict=True):
            standin.release()
            server.should_exit = True
        await asyncio.gather(*tasks)


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave Ctrl-C to whoever serves."""
        yield


def _config(standin: StandIn) -> uvicorn.Config:
    # Faults close connections early, which uvicorn would log as errors of the app.
    return uvicorn.Config(standin, port=0, log_level="critical", lifespan="off", ws="none", timeout_graceful_shutdown=2)


def _response(result: Any) -> Response:
    if isinstance(result, Response):
        return result
    if result is None:
        return Response(status_code=204)
    status, body = result if isinstance(result, tuple) else (200, result)
    return JSONResponse(body, status)


async def _nowhere(message: Message) -> None:
    """An answer that is lost."""
