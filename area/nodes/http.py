"""HTTP: call any URL, and watch one for changes."""

import hashlib
import json
import re
from datetime import datetime, timedelta
from enum import StrEnum
from time import perf_counter
from typing import Annotated, Any

import httpx
from pydantic import Field, field_validator

from area.nodes import sdk

service = sdk.Service(
    key="http", name="HTTP", description="Calls any URL, and watches one for changes.", raise_for_status=False
)


class Method(StrEnum):
    """The request's method."""

    GET = "GET"
    HEAD = "HEAD"
    POST = "POST"
    PUT = "PUT"
    PATCH = "PATCH"
    DELETE = "DELETE"
    OPTIONS = "OPTIONS"


REPEATABLE = {Method.GET, Method.HEAD, Method.PUT, Method.DELETE, Method.OPTIONS}  # RFC 9110, 9.2.2
HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
HEADER_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
REMEMBERED = 64 << 10
"""Characters of JSON up to which a watched value is kept for `previous`: it is stored anew at each look."""
URL = r"^[Hh][Tt][Tt][Pp][Ss]?://\S+$"


class Request(sdk.Inputs):
    """What to send."""

    url: str = Field(
        title="URL",
        description="Where to send the request; http or https, and a public address.",
        pattern=URL,
        max_length=4000,
        examples=["https://example.com/orders"],
    )
    method: Method = Field(Method.GET, title="Method", description="The request's method.", examples=["POST"])
    headers: dict[str, str] = Field(
        default_factory=dict,
        title="Headers",
        description="Extra headers. Idempotency-Key is set for you unless it is here.",
        examples=[{"X-Source": "area"}],
        json_schema_extra={"widget": "keyvalue"},
    )
    body: Any = Field(
        None,
        title="Body",
        description="Text is sent as it is; anything else is sent as JSON.",
        examples=[{"order": 42}],
        json_schema_extra={"widget": "code"},
    )

    @field_validator("headers")
    @classmethod
    def _sendable(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if not HEADER_NAME.fullmatch(name):
                raise ValueError(f"{name!r} is not a header name: use letters, digits and hyphens")
            if not HEADER_VALUE.fullmatch(value):
                raise ValueError(f"the value of {name} must be one line, without control characters")
        return headers


class Answer(sdk.Outputs):
    """What came back."""

    status: int = Field(title="Status", description="The answer's status code.", examples=[200])
    ok: bool = Field(title="OK", description="Whether the status is 2xx.", examples=[True])
    headers: dict[str, str] = Field(
        title="Headers", description="Names in lower case.", examples=[{"content-type": "application/json"}]
    )
    body: Any = Field(None, title="Body", description="Parsed when it is JSON, else text.", examples=[{"id": 7}])
    duration_ms: float = Field(title="Duration", description="Time to the whole answer, in ms.", examples=[84.2])


class Watched(sdk.Inputs):
    """What to watch."""

    url: str = Field(
        title="URL",
        description="Fetched at each check.",
        pattern=URL,
        max_length=4000,
        examples=["https://example.com/status.json"],
    )
    pointer: str = Field(
        "",
        title="JSON pointer",
        description="The part of a JSON answer to compare (RFC 6901); empty for all of it.",
        pattern=r"^(/.*)?$",
        examples=["/status"],
    )
    headers: dict[str, str] = Field(
        default_factory=dict,
        title="Headers",
        description="Extra headers.",
        examples=[{"Accept": "application/json"}],
        json_schema_extra={"widget": "keyvalue"},
    )


class Change(sdk.Outputs):
    """A new value."""

    id: Annotated[str, sdk.Identity] = Field(
        title="Id", description="Names this change.", examples=["9f86d081884c7d65"]
    )
    value: Any = Field(None, title="Value", description="What it is now.", examples=["down"])
    previous: Any = Field(
        None, title="Previous", description="What it was; empty when that was longer than 64 KiB.", examples=["up"]
    )
    changed_at: datetime = Field(
        title="Changed at", description="When the change was seen, in UTC.", examples=["2026-03-01T08:00:00Z"]
    )


@service.reaction("Send a request", idempotent=lambda request: request.method in REPEATABLE, timeout=40)
async def request(ctx: sdk.Context, what: Request) -> Answer:
    """Sends an HTTP request and hands on the answer. A failing status fails the step."""
    given = what.headers
    if not any(name.lower() == "idempotency-key" for name in given):
        given = {**given, "Idempotency-Key": ctx.idempotency_key}
    headers = httpx.Headers(given, encoding="utf-8")
    started = perf_counter()
    if isinstance(what.body, str):
        response = await ctx.http.request(what.method.value, what.url, headers=headers, content=what.body)
    else:
        response = await ctx.http.request(what.method.value, what.url, headers=headers, json=what.body)
    sdk.map_response(response)
    return Answer(
        status=response.status_code,
        ok=response.is_success,
        headers=dict(response.headers.items()),
        body=_parsed(response),
        duration_ms=round((perf_counter() - started) * 1000, 2),
    )


@service.poll("Value changed", every=timedelta(minutes=1))
async def changed(ctx: sdk.Context, where: Watched) -> sdk.Page[Change]:
    """Fires when what a URL answers, or one part of it, becomes different."""
    response = await ctx.http.get(where.url, headers=where.headers, follow_redirects=True)
    sdk.map_response(response)
    value = _at(_parsed(response), where.pointer)
    digest = _digest(value)
    known = ctx.cursor or {"digest": digest}
    cursor = {"digest": digest, "value": value if _is_small(value) else None}
    if known.get("digest", _digest(known.get("value"))) == digest:
        return sdk.Page([], cursor)
    previous, moment = known.get("value"), ctx.now()
    change = Change(
        id=_digest([digest, previous, moment.isoformat()]), value=value, previous=previous, changed_at=moment
    )
    return sdk.Page([change], cursor)


def _parsed(response: httpx.Response) -> Any:
    """JSON by its media type, else text."""
    if "json" not in response.headers.get("content-type", "") or not response.content:
        return response.text
    try:
        return response.json()
    except ValueError:
        return response.text


def _at(document: Any, pointer: str) -> Any:
    """The part of a JSON document that a pointer names (RFC 6901). Raises: Rejected when there is none."""
    found = document
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        try:
            found = found[int(name)] if isinstance(found, list) else found[name]
        except (KeyError, IndexError, TypeError, ValueError):
            raise sdk.Rejected(f"The answer has nothing at {pointer!r}: {name!r} is missing there.") from None
    return found


def _is_small(value: Any) -> bool:
    return len(json.dumps(value, ensure_ascii=False)) <= REMEMBERED


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]
