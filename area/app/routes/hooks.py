"""The private URLs of hooks. Plain ASGI, in front of routing and middleware: it is the busiest path of all."""

import asyncio
from typing import Any
from urllib.parse import parse_qsl

import asyncpg
import orjson
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from area.app import bodies
from area.app.problems import RETRY_AFTER, Problem, unavailable
from area.core import log
from area.db.orm import is_away
from area.engine.intake import ANSWER_SECONDS, BadDelivery, UnknownHook
from area.engine.platform import Platform
from area.nodes import sdk
from area.nodes.registry import UnknownComponent

logger = log.get(__name__)

PREFIX = "/hooks/"
ACCEPTED_HEADERS = [(b"content-type", b"application/json"), (b"x-content-type-options", b"nosniff")]


class Hooks:
    """POST /hooks/{token}: 202 once the event and its runs are committed."""

    def __init__(self, platform: Platform) -> None:
        self._intake = platform.intake
        self._limit = platform.settings.body_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take one delivery."""
        try:
            content = await self._take(scope, receive)
        except Problem as problem:
            return await problem(scope, receive, send)
        except ClientDisconnect:
            return None
        except Exception as error:
            # Starlette's own error handler is behind us, so the last word on errors is here.
            return await explain(error)(scope, receive, send)
        if isinstance(content, sdk.Answer):
            return await answered(content)(scope, receive, send)
        headers = [*ACCEPTED_HEADERS, (b"content-length", b"%d" % len(content))]
        await send({"type": "http.response.start", "status": 202, "headers": headers})
        await send({"type": "http.response.body", "body": content})
        return None

    async def _take(self, scope: Scope, receive: Receive) -> bytes | sdk.Answer:
        token = scope["path"][len(PREFIX) :]
        if scope["method"] != "POST":
            return await self._probe(scope, token)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        try:
            raw = await bodies.read(receive, headers, self._limit)
        except Problem as problem:
            await self._intake.refused(token, str(problem))
            raise
        content_type = headers.get("content-type", "")
        query = scope["query_string"]
        delivery = sdk.WebhookDelivery(
            method="POST",
            headers=headers,
            query=dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True)) if query else {},
            raw=raw,
            content_type=content_type,
        )
        async with asyncio.timeout(ANSWER_SECONDS):
            result = await self._intake.deliver(token, delivery, lambda: parsed(scope, raw, content_type))
        if result.answer is not None:
            return result.answer
        event = None if result.event_id is None else str(result.event_id)
        return orjson.dumps({"event": event, "runs": result.runs, "duplicate": result.duplicate})

    async def _probe(self, scope: Scope, token: str) -> sdk.Answer:
        query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        answer = None
        if scope["method"] in ("GET", "HEAD"):
            answer = await self._intake.probe(token, sdk.WebhookDelivery(scope["method"], {}, query))
        if answer is None:
            raise Problem(405, "Send deliveries to a hook with POST.", {"Allow": "POST"})
        return answer


async def parsed(scope: Scope, raw: bytes, content_type: str) -> Any:
    """The body of a delivery as a value. Raises: BadDelivery."""
    try:
        return await bodies.parse(scope, raw, content_type)
    except Problem as problem:
        raise BadDelivery(str(problem)) from None


def answered(answer: sdk.Answer) -> Response:
    """What a provider wants to hear, as it goes out."""
    if isinstance(answer.body, str):
        return Response(answer.body, answer.status, dict(answer.headers), media_type=answer.content_type)
    return Response(orjson.dumps(answer.body), answer.status, dict(answer.headers), media_type="application/json")


def explain(error: Exception) -> Problem:
    """The refusal of a delivery that failed with ``error``."""
    if isinstance(error, UnknownHook):
        return Problem(404, "No hook has this address; copy it again from its AREA.")
    if isinstance(error, sdk.BadSignature):
        return Problem(error.status, str(error))
    if isinstance(error, BadDelivery):
        return Problem(400, str(error))
    if isinstance(error, asyncpg.DataError):
        return Problem(400, "The body has characters that cannot be stored, such as NUL; send it without them.")
    if is_away(error):
        return unavailable()
    if isinstance(error, UnknownComponent):
        # A release without a service, or one that is being rolled out: the sender keeps it until there is one again.
        detail = f"{error.message} This server is without it at present and accepted nothing; send this again."
        return Problem(503, detail, {"Retry-After": str(RETRY_AFTER)})
    logger.error("hooks.failed", exc_info=error)
    return Problem(500, "Something went wrong on our side and nothing was accepted; send this again.")
