"""A context for calling nodes outside the engine."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from area.core.http import Egress

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def _no_network(request: httpx.Request) -> httpx.Response:
    raise AssertionError(f"unexpected request to {request.url}")


@dataclass
class FakeContext:
    """Satisfies sdk.Context; ``lines`` is what the node logged."""

    http: httpx.AsyncClient
    idempotency_key: str = "run-1/step-1"
    cursor: Any = None
    resumed: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)
    moment: datetime = NOON
    lines: list[tuple[str, str]] = field(default_factory=list)

    def log(self, message: str, level: str = "info", **attributes: Any) -> None:
        self.lines.append((level, message))

    def now(self) -> datetime:
        return self.moment

    async def egress_check(self, host: str, port: int) -> None:
        await Egress().check_host(host, port)


MakeContext = Callable[..., FakeContext]


@pytest.fixture
def context() -> MakeContext:
    """Make a context; ``answer`` handles its requests, and without it a request fails the test."""

    def make(answer: Callable[[httpx.Request], httpx.Response] = _no_network, **given: Any) -> FakeContext:
        return FakeContext(httpx.AsyncClient(transport=httpx.MockTransport(answer)), **given)

    return make
