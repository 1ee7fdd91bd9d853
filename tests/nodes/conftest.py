"""A context for calling nodes outside the engine."""

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from area.core.http import Egress, Network
from area.nodes import sdk

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def _no_network(request: httpx.Request) -> httpx.Response:
    raise AssertionError(f"unexpected request to {request.url}")


@dataclass
class FakeContext:
    """Satisfies sdk.Context; ``lines`` is what the node logged. All of its clients are one."""

    http: httpx.AsyncClient
    idempotency_key: str = "run-1/step-1"
    cursor: Any = None
    resumed: bool = False
    tried_since: datetime | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    moment: datetime = NOON
    may_reach: tuple[Network, ...] = ()
    lines: list[tuple[str, str]] = field(default_factory=list)
    connected: sdk.Account | None = None
    credentials: Mapping[str, Any] = field(default_factory=dict)
    granted: sdk.Grant | None = None
    answer: Any = None
    answer_url: str = "https://area.example/approvals/token"
    started: list[tuple[str, Any, bool]] = field(default_factory=list)

    async def start_area(self, area_id: str, payload: Any, *, wait: bool) -> str:
        self.started.append((area_id, payload, wait))
        return "0198c9a6-11aa-7d10-8a55-0c1d2e3f4a5b"

    @property
    def app_http(self) -> httpx.AsyncClient:
        return self.http

    @property
    def client_http(self) -> httpx.AsyncClient:
        return self.http

    @property
    def has_account(self) -> bool:
        return self.connected is not None

    @property
    def account(self) -> sdk.Account:
        if self.connected is None:
            raise sdk.Rejected("No account was given.")
        return self.connected

    @property
    def grant(self) -> sdk.Grant:
        if self.granted is None:
            raise sdk.Rejected("Nothing was granted just now.")
        return self.granted

    def log(self, message: str, level: str = "info", **attributes: Any) -> None:
        self.lines.append((level, message))

    def now(self) -> datetime:
        return self.moment

    async def connect(self, host: str, port: int) -> socket.socket:
        return await Egress(self.may_reach).connect(host, port)


MakeContext = Callable[..., FakeContext]


@pytest.fixture
def context() -> MakeContext:
    """Make a context; ``answer`` handles its requests, and without it a request fails the test.

    With ``service`` its client has that service's base URL, headers, and mapping of answers to errors.
    """

    def make(
        answer: Callable[[httpx.Request], httpx.Response] = _no_network,
        *,
        service: sdk.Service | None = None,
        **given: Any,
    ) -> FakeContext:
        client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
        if service is not None:
            client.base_url = httpx.URL(service.base_url or "")
            client.headers.update(service.headers)
            if service.raise_for_status:
                hook = sdk.response_hook(authorised=True, judge=service.judge)
                client.event_hooks = {"response": [hook]}
        return FakeContext(client, **given)

    return make
