"""GraphQL over HTTP: what a request may look like, which answer its sender reads, and with which status.

Specification: https://graphql.github.io/graphql-over-http/draft/
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import orjson
from starlette.requests import Request as HttpRequest
from starlette.responses import Response

from area.graphql.execution import Request
from area.graphql.formatting import format_errors
from area.graphql.limits import refused

RESPONSE_JSON = "application/graphql-response+json"
PLAIN_JSON = "application/json"
EVENT_STREAM = "text/event-stream"
_SERVED = (RESPONSE_JSON, PLAIN_JSON, EVENT_STREAM)
_STATUS = {"UNAUTHENTICATED": 401, "FORBIDDEN": 403, "RATE_LIMITED": 429}
_HEADERS = {401: {"www-authenticate": "Bearer"}, 405: {"allow": "GET, POST"}}
_SHA256 = re.compile(r"[0-9a-f]{64}")


class BadRequest(Exception):
    """A request that is not GraphQL over HTTP; ``status`` is what to answer."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


def accepted(accept: str) -> list[str]:
    """The media types that may be answered, best first; empty when there is none."""
    found: list[tuple[float, str]] = []
    for part in accept.split(",") if accept.strip() else ["*/*"]:
        kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weight = next((_weight(text[2:]) for text in parameters if text.startswith("q=")), 1.0)
        kinds = (RESPONSE_JSON, PLAIN_JSON) if kind in ("*/*", "application/*") else (kind,)
        found += [(weight, kind) for kind in kinds if weight > 0 and kind in _SERVED]
    return list(dict.fromkeys(kind for _, kind in sorted(found, key=lambda pair: -pair[0])))


async def read(http: HttpRequest, limit: int) -> Request:
    """The GraphQL request in an HTTP request. Raises: BadRequest."""
    if http.method == "GET":
        asked: dict[str, Any] = dict(http.query_params)
        for name in ("variables", "extensions"):
            if asked.get(name):
                asked[name] = _decode(asked[name].encode(), f"`{name}`")
        return as_request(asked)
    if http.method != "POST":
        raise BadRequest("GraphQL is served by GET and POST.", 405)
    # A form of another site can send any other type without asking first (CSRF), so only this one is read.
    kind, _, parameters = http.headers.get("content-type", "").lower().partition(";")
    charset = parameters.partition("charset=")[2].strip(' "') or "utf-8"
    if kind.strip() != PLAIN_JSON or charset not in ("utf-8", "utf8"):
        raise BadRequest("Send the body as Content-Type: application/json, in UTF-8.", 415)
    body = bytearray()
    async for part in http.stream():
        body += part
        if len(body) > limit:
            raise BadRequest(f"The body is larger than {limit} bytes.", 413)
    return as_request(_decode(bytes(body), "The body"))


def as_request(given: object) -> Request:
    """A request's parameters, checked. Raises: BadRequest."""
    if not isinstance(given, dict):
        raise BadRequest("The body must be one JSON object with `query`; batches are not served.")
    query, name, variables = given.get("query"), given.get("operationName"), given.get("variables")
    extensions = given.get("extensions")
    if not isinstance(extensions, dict | None):
        raise BadRequest("`extensions` must be an object.")
    document_id = _document_id(given.get("documentId"), extensions or {})
    if not isinstance(query, str | None) or not ((query and query.strip()) or document_id):
        raise BadRequest("`query` must be the text of a GraphQL document, unless `documentId` names a registered one.")
    if not isinstance(name, str | None):
        raise BadRequest("`operationName` must be text.")
    if not isinstance(variables, dict | None):
        raise BadRequest("`variables` must be an object.")
    return Request(query or None, name or None, variables or {}, document_id)


def answer(told: Mapping[str, Any], media: str, status: int | None = None) -> Response:
    """An answer as it goes out; the status follows from what is told, by the rules of ``media``."""
    headers: dict[str, str] = {}
    if status is None:
        status = 200
        if "data" not in told and media == RESPONSE_JSON:
            # Plain JSON is for older clients, which read the body of a 200 only.
            extensions = told["errors"][0]["extensions"]
            status = _STATUS.get(extensions["code"], 400)
            if status == 429:
                headers["retry-after"] = str(int(extensions["retryAfter"]) + 1)
    return Response(orjson.dumps(told), status, headers | _HEADERS.get(status, {}), f"{media}; charset=utf-8")


def refusal(message: str, media: str, status: int, code: str = "BAD_USER_INPUT") -> Response:
    """The answer to a request that never became an operation."""
    return answer({"errors": format_errors([refused(code, message)])}, media, status)


def _document_id(given: object, extensions: Mapping[str, Any]) -> str | None:
    """Which registered document is meant: by ``documentId``, or in the way of automatic persisted queries."""
    persisted = extensions.get("persistedQuery")
    if given is None and persisted is not None:
        digest = persisted.get("sha256Hash") if isinstance(persisted, dict) else None
        if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
            raise BadRequest("`extensions.persistedQuery.sha256Hash` must be a SHA-256 in lower-case hex.")
        return digest
    if given is None:
        return None
    if not isinstance(given, str) or not 1 <= len(given) <= 200:
        raise BadRequest("`documentId` must be text of at most 200 characters.")
    return given.removeprefix("sha256:")


def _decode(raw: bytes, name: str) -> Any:
    try:
        return orjson.loads(raw)
    except (json.JSONDecodeError, RecursionError):
        raise BadRequest(f"{name} is not valid JSON.") from None


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
