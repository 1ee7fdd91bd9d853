"""What the platform gives a node for one call: an HTTP client, a log, a clock, a stable key."""

import os
import socket
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import aiohttp
import httpx

from area.core.clock import now
from area.core.http import Egress, make_client, make_session
from area.core.settings import service_settings
from area.nodes import sdk

Log = Callable[[str, str, dict[str, Any]], None]


class Clients:
    """One HTTP client a service and process: connections are kept, addresses guarded, answers mapped to errors."""

    def __init__(self, egress: Egress) -> None:
        self.egress = egress
        self._session: aiohttp.ClientSession | None = None
        self._made: dict[str, httpx.AsyncClient] = {}
        self._settings: dict[str, dict[str, str]] = {}

    def of(self, service: sdk.Service) -> httpx.AsyncClient:
        """The client of a service."""
        client = self._made.get(service.key)
        if client is None:
            self._session = self._session or make_session(self.egress)
            client = make_client(self.egress, session=self._session)
            base = self.settings(service.key).get("base_url", service.base_url)
            if base:
                client.base_url = httpx.URL(base)
            if service.raise_for_status:
                client.event_hooks = {"response": [sdk.response_hook(authorised=False, judge=service.judge)]}
            client.headers.update(service.headers)
            self._made[service.key] = client
        return client

    def settings(self, key: str) -> dict[str, str]:
        """What the environment sets for a service, read once."""
        if key not in self._settings:
            self._settings[key] = service_settings(key, dict(os.environ))
        return self._settings[key]

    async def close(self) -> None:
        """Close every connection."""
        for client in self._made.values():
            await client.aclose()
        if self._session:
            await self._session.close()


class NodeContext:
    """The `sdk.Context` of one call."""

    __slots__ = ("_clients", "_clock", "_log", "_service", "cursor", "idempotency_key", "resumed", "tried_since")

    def __init__(
        self,
        clients: Clients,
        service: sdk.Service,
        write: Log,
        *,
        idempotency_key: str = "",
        cursor: Any = None,
        resumed: bool = False,
        tried_since: datetime | None = None,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._clients = clients
        self._clock = clock
        self._service = service
        self._log = write
        self.idempotency_key = idempotency_key
        self.cursor = cursor
        self.resumed = resumed
        self.tried_since = tried_since

    @property
    def http(self) -> httpx.AsyncClient:
        """The service's client."""
        return self._clients.of(self._service)

    @property
    def app_http(self) -> httpx.AsyncClient:
        """The service's client, authorised as the app."""
        return self._clients.of(self._service)

    @property
    def client_http(self) -> httpx.AsyncClient:
        """The service's client, not authorised."""
        return self._clients.of(self._service)

    @property
    def account(self) -> sdk.Account:
        """The connected account."""
        raise sdk.Rejected(f"{self._service.name} needs a connected account, and this step has none. Choose one.")

    @property
    def has_account(self) -> bool:
        """Whether there is an account."""
        return False

    @property
    def credentials(self) -> Mapping[str, Any]:
        """What the user typed in."""
        return {}

    @property
    def grant(self) -> sdk.Grant:
        """What was granted just now."""
        raise sdk.Rejected("Nothing was granted just now.")

    @property
    def settings(self) -> Mapping[str, str]:
        """The service's settings from the environment."""
        return self._clients.settings(self._service.key)

    def log(self, message: str, level: str = "info", **attributes: Any) -> None:
        """Write a line to the run's log."""
        self._log(message, level, attributes)

    def now(self) -> datetime:
        """The present moment, in UTC."""
        return self._clock()

    async def connect(self, host: str, port: int) -> socket.socket:
        """A socket connected to a host that may be reached."""
        return await self._clients.egress.connect(host, port)
