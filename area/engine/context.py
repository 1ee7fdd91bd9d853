"""What the platform gives a node for one call: HTTP clients, an account, a log, a clock, a stable key."""

import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import aiohttp
import httpx

from area.core.clock import now
from area.core.http import Egress, make_client, make_session
from area.core.settings import service_settings
from area.engine.client import Gate, NodeClient, parsed
from area.nodes import sdk

Log = Callable[[str, str, dict[str, Any]], None]
StartArea = Callable[..., Awaitable[UUID]]


@dataclass(frozen=True, slots=True)
class Access:
    """Who a call acts for, and how its requests are authorised."""

    account: sdk.Account | None = None
    credentials: Mapping[str, Any] = field(default_factory=dict, repr=False)
    grant: sdk.Grant | None = None
    auth: httpx.Auth | None = None
    base_url: str | None = None
    gate: Gate | None = None
    is_trial: bool = False
    """Whether a 401 is the answer that is looked for: it means Reconnect. Else the authorisation has dealt with it."""


NOBODY = Access()


class Clients:
    """HTTP clients over the process's one pool: connections are kept, addresses guarded, answers mapped to errors."""

    def __init__(self, egress: Egress) -> None:
        self.egress = egress
        self.app_access: Callable[[sdk.Service], Access] = lambda _: NOBODY
        """How requests of a service's app itself are authorised."""
        self._session: aiohttp.ClientSession | None = None
        self._plain: dict[str, httpx.AsyncClient] = {}
        self._bare: httpx.AsyncClient | None = None
        self._settings: dict[str, dict[str, str]] = {}

    def of(self, service: sdk.Service, access: Access = NOBODY) -> httpx.AsyncClient:
        """A client of a service, authorised by ``access``."""
        if access is not NOBODY:
            return self._make(service, access)
        client = self._plain.get(service.key)
        if client is None:
            client = self._plain[service.key] = self._make(service, access)
        return client

    def as_app(self, service: sdk.Service) -> httpx.AsyncClient:
        """A client of a service, authorised as the app itself."""
        return self.of(service, self.app_access(service))

    def bare(self) -> httpx.AsyncClient:
        """A guarded client that maps nothing and belongs to no service."""
        if self._bare is None:
            self._bare = make_client(self.egress, session=self._pool())
        return self._bare

    def settings(self, key: str) -> dict[str, str]:
        """What the environment sets for a service, read once."""
        if key not in self._settings:
            self._settings[key] = service_settings(key, dict(os.environ))
        return self._settings[key]

    async def close(self) -> None:
        """Close every connection."""
        if self._session:
            await self._session.close()

    def _pool(self) -> aiohttp.ClientSession:
        self._session = self._session or make_session(self.egress)
        return self._session

    def _make(self, service: sdk.Service, access: Access) -> httpx.AsyncClient:
        base = access.base_url or self.settings(service.key).get("base_url", service.base_url)
        hook = sdk.response_hook(authorised=access.is_trial, judge=service.judge)
        return make_client(
            self.egress,
            session=self._pool(),
            kind=NodeClient,
            headers=dict(service.headers),
            gate=access.gate,
            mapped=hook if service.raise_for_status else None,
            auth=access.auth,
            base_url=parsed(base or ""),
        )


class NodeContext:
    """The `sdk.Context` of one call."""

    __slots__ = (
        "_access",
        "_clients",
        "_clock",
        "_http",
        "_log",
        "_service",
        "_start_area",
        "answer",
        "answer_url",
        "cursor",
        "idempotency_key",
        "resumed",
        "tried_since",
    )

    def __init__(
        self,
        clients: Clients,
        service: sdk.Service,
        write: Log,
        *,
        access: Access = NOBODY,
        idempotency_key: str = "",
        cursor: Any = None,
        resumed: bool = False,
        tried_since: datetime | None = None,
        clock: Callable[[], datetime] = now,
        answer: Any = None,
        answer_url: str = "",
        start_area: StartArea | None = None,
    ) -> None:
        self._clients = clients
        self._access = access
        self._clock = clock
        self._http: httpx.AsyncClient | None = None
        self._service = service
        self._log = write
        self.idempotency_key = idempotency_key
        self.cursor = cursor
        self.resumed = resumed
        self.tried_since = tried_since
        self.answer = answer
        self.answer_url = answer_url
        self._start_area = start_area

    @property
    def http(self) -> httpx.AsyncClient:
        """The service's client, authorised by the account where there is one."""
        if self._http is None:
            self._http = self._clients.of(self._service, self._access)
        return self._http

    @property
    def app_http(self) -> httpx.AsyncClient:
        """The service's client, authorised as the app."""
        return self._clients.as_app(self._service)

    @property
    def client_http(self) -> httpx.AsyncClient:
        """The service's client, not authorised."""
        return self._clients.of(self._service)

    @property
    def account(self) -> sdk.Account:
        """The connected account."""
        if self._access.account is None:
            raise sdk.Rejected(f"{self._service.name} needs a connected account, and this step has none. Choose one.")
        return self._access.account

    @property
    def has_account(self) -> bool:
        """Whether there is an account."""
        return self._access.account is not None

    @property
    def credentials(self) -> Mapping[str, Any]:
        """What the user typed in."""
        return self._access.credentials

    @property
    def grant(self) -> sdk.Grant:
        """What was granted just now."""
        if self._access.grant is None:
            raise sdk.Rejected("Nothing was granted just now.")
        return self._access.grant

    @property
    def settings(self) -> Mapping[str, str]:
        """The service's settings from the environment."""
        return self._clients.settings(self._service.key)

    async def start_area(self, area_id: str, payload: Any, *, wait: bool) -> str:
        """Start another AREA, once for this step."""
        if self._start_area is None:
            raise sdk.Rejected("Another AREA can be run from a run only.")
        return str(await self._start_area(UUID(area_id), payload, wait=wait))

    def log(self, message: str, level: str = "info", **attributes: Any) -> None:
        """Write a line to the run's log."""
        self._log(message, level, attributes)

    def now(self) -> datetime:
        """The present moment, in UTC."""
        return self._clock()

    async def connect(self, host: str, port: int) -> socket.socket:
        """A socket connected to a host that may be reached."""
        return await self._clients.egress.connect(host, port)
