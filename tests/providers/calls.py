"""One request that a stand-in got, and the faults that may befall it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.types import Send

from tests.providers.oauth import Grant, User


@dataclass(eq=False)
class Call:
    """One request as it came, and who sent it. Header names are lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    request: Request = field(repr=False)
    """For what is rare: ``await call.request.form()`` reads multipart, ``call.request.query_params`` has repeated names."""
    parameters: dict[str, Any] = field(default_factory=dict)
    """What the route's path took out of the address."""
    grant: Grant | None = None
    raw_path: str = ""
    """The path with its percent signs."""
    fault: "Fault | None" = None
    answer: tuple[int, dict[str, str], bytes] | None = None
    """Status, headers and body that it got; None when it got nothing."""

    @property
    def user(self) -> User:
        """Whose token it was."""
        assert self.grant
        assert self.grant.user, "an app token acts for nobody"
        return self.grant.user

    @cached_property
    def json(self) -> Any:
        """The body, parsed; None when it is empty or no JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @cached_property
    def form(self) -> dict[str, str]:
        """The urlencoded body; the last of repeated names."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What happens to a call instead of, or after, what should."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = b""
    """Bytes or text as they are, else JSON. A page of HTML is text with a ``content-type`` of text/html."""
    size: int = 0
    """The body is padded with spaces to this many bytes: ``10 << 20`` for 10 MB."""
    cut: bool = False
    """The connection closes in the middle of the body."""
    hang: bool = False
    """No answer until the client goes, or `StandIn.release` is called."""
    lose: bool = False
    """The call is carried out, and its answer is lost: the connection closes."""


async def fail(fault: Fault, send: Send) -> None:
    """Answer as the fault says; the connection closes afterwards where it is cut."""
    plain = isinstance(fault.body, bytes | str)
    raw = (
        fault.body
        if isinstance(fault.body, bytes)
        else fault.body.encode()
        if plain
        else json.dumps(fault.body).encode()
    )
    raw = raw.ljust(fault.size)
    if fault.cut:
        raw = raw or b'{"data": [{"id": 1'
    headers = {
        "content-type": "text/plain" if plain else "application/json",
        **{k.lower(): v for k, v in fault.headers.items()},
    }
    if fault.status not in (204, 304):
        headers["content-length"] = str(len(raw) + 64 * fault.cut)
    pairs = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": fault.status, "headers": pairs})
    await send({"type": "http.response.body", "body": raw, "more_body": fault.cut})
