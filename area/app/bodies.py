"""Reading a request's body within a limit, and parsing it by its content type."""

from typing import Any
from urllib.parse import parse_qsl

import orjson
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message, Receive, Scope

from area.app.problems import Problem
from area.core.jsons import DEEPEST, is_deeper

MAX_FIELDS = 1000


async def read(receive: Receive, headers: dict[str, str], limit: int) -> bytes:
    """The whole body. Raises: Problem 413 above ``limit`` bytes, before it is read where its length was announced."""
    announced = headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        raise _too_large(limit)
    message = await receive()
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        parts, size = [body], len(body)
        while message.get("more_body"):
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > limit:
                raise _too_large(limit)
        body = b"".join(parts)
    elif message["type"] == "http.disconnect":
        raise ClientDisconnect
    if len(body) > limit:
        raise _too_large(limit)
    return body


async def parse(scope: Scope, raw: bytes, content_type: str) -> Any:
    """JSON and forms as values, anything else as text, nothing as None. Raises: Problem 400."""
    if not raw:
        return None
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/json" or kind.endswith("+json"):
        return _json(raw)
    if kind == "application/x-www-form-urlencoded":
        try:
            return _grouped(parse_qsl(raw.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS))
        except ValueError as error:
            raise Problem(400, f"The body is not a form: {error}.") from None
    if kind == "multipart/form-data":
        return await _multipart(scope, raw)
    return raw.decode(errors="replace")


def _json(raw: bytes) -> Any:
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Problem(400, f"The body is not JSON that can be read: {error}.") from None
    # Few bodies have so many brackets that they could be too deep, and have to be looked at.
    if raw.count(b"[") + raw.count(b"{") > DEEPEST and is_deeper(value):
        raise Problem(400, f"The body has more than {DEEPEST} lists or objects in one another; send it flatter.")
    return value


def _grouped(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A field given once is a value, given more often a list."""
    fields: dict[str, Any] = {}
    for name, value in pairs:
        if name not in fields:
            fields[name] = value
        elif isinstance(fields[name], list):
            fields[name].append(value)
        else:
            fields[name] = [fields[name], value]
    return fields


async def _multipart(scope: Scope, raw: bytes) -> dict[str, Any]:
    async def replay() -> Message:
        return {"type": "http.request", "body": raw, "more_body": False}

    try:
        async with Request(scope, replay).form(max_fields=MAX_FIELDS, max_files=MAX_FIELDS) as form:
            return _grouped([(name, _field(value)) for name, value in form.multi_items()])
    except (MultiPartException, ValueError, KeyError) as error:
        raise Problem(400, f"The body is not a multipart form: {error}.") from None
    except Exception as error:
        # Inside an application, Starlette turns the parser's complaint into its own HTTP 400.
        if getattr(error, "status_code", None) == 400:
            raise Problem(400, "The body is not a multipart form.") from None
        raise


def _field(value: str | UploadFile) -> Any:
    if isinstance(value, str):
        return value
    return {"filename": value.filename, "contentType": value.content_type, "size": value.size}


def _too_large(limit: int) -> Problem:
    return Problem(413, f"The body is larger than the {limit} bytes accepted here; send less, or a link to it.")
