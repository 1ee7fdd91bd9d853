"""Errors of the HTTP routes, as application/problem+json (RFC 9457)."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from area.db.orm import is_away

RETRY_AFTER = 5
"""Seconds after which a provider may try again."""


class Problem(Exception):
    """A refusal with its status; ``detail`` says what happened and what to do next."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None, **more: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.more = more

    def response(self) -> Response:
        """The refusal as it goes out."""
        body = {"type": "about:blank", "title": HTTPStatus(self.status).phrase, "status": self.status}
        content = orjson.dumps(body | {"detail": self.detail} | self.more)
        return Response(content, self.status, self.headers, media_type="application/problem+json")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The refusal as an ASGI application."""
        await self.response()(scope, receive, send)


def unavailable() -> Problem:
    """Postgres is out of reach: nothing is known to be accepted, the sender shall try again."""
    return Problem(
        503,
        "The database is out of reach, so this was not confirmed; send it again.",
        {"Retry-After": str(RETRY_AFTER)},
    )


async def on_problem(_request: Request, error: Exception) -> Response:
    """Starlette's handler for `Problem`."""
    assert isinstance(error, Problem)  # noqa: S101 - registered for this class
    return error.response()


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Starlette's handler for its own refusals: unknown path, wrong method."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class
    detail = error.detail
    if error.status_code == 404:
        detail = f"Nothing is at {request.url.path}; the API is at /graphql."
    elif error.status_code == 405:
        detail = f"{request.method} is not for {request.url.path}; the header Allow lists what is."
    return Problem(error.status_code, detail, error.headers).response()


async def on_error(_request: Request, error: Exception) -> Response:
    """Starlette's handler for what nobody foresaw; the text of ``error`` stays in the log."""
    if is_away(error):
        return unavailable().response()
    return Problem(500, "Something went wrong on our side; it is in the log.").response()
