"""What tests of Discord share: a server, its ids and messages, and a context whose Discord answers what it is told to."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest

from area.nodes import discord, sdk
from area.nodes.discord.sending import snowflake
from tests.nodes.conftest import NOON, FakeContext, MakeContext

HOME, OTHER = "300000000000000001", "300000000000000002"
CHANNEL, MESSAGE = "400000000000000001", "450000000000000001"
ADA, BOT = "200000000000000001", "100000000000000001"
ROLE = "500000000000000001"
DM = "470000000000000001"
FACTS = {"guild_id": HOME, "guild_name": "Ada's server", "user_id": ADA, "user_name": "Ada"}
ACCOUNT = sdk.Account("a1", HOME, "Ada's server (Ada)", facts=FACTS)
OWN = sdk.Account("a2", "100000000000000002", "Mine (bot)")
TOKEN = {"token": "own.moment.proof"}
HOURS_AGO = NOON - timedelta(hours=5)
HOOK_ID = "700000000000000001"
HOOK = sdk.Hook("h1", "https://area.test/webhooks/discord", "0" * 64)

Answers = Mapping[str, Any]
Make = Callable[..., tuple[FakeContext, list[httpx.Request]]]


def msg(id_: str, text: str = "", *, by: str = ADA, **more: Any) -> dict[str, Any]:
    """A message as Discord shows it."""
    author = {"id": by, "username": "ada", "global_name": "Ada Lovelace", "discriminator": "0"}
    return {"id": id_, "channel_id": CHANNEL, "type": 0, "content": text, "author": author, "embeds": [], **more}


def at(moment: datetime, number: int = 0) -> str:
    """An id of something made then."""
    return str(snowflake(moment) + number)


CHANNEL_INFO = {"id": CHANNEL, "guild_id": HOME, "type": 0, "name": "general"}
SENT = msg(at(NOON), "hi", by=BOT)
POST = f"POST /channels/{CHANNEL}/messages"
LIST = f"GET /channels/{CHANNEL}/messages"
LOOK = f"GET /channels/{CHANNEL}"
ME = "GET /users/@me"
GOOD: Answers = {LOOK: CHANNEL_INFO, POST: SENT, ME: {"id": BOT, "username": "AREA"}}


@pytest.fixture
def make(context: MakeContext) -> Make:
    """A context whose Discord answers ``{"GET /users/@me": body}``: a body, (status, body), a response, or a list of those in turn.

    Each has an address of its own, so that no test knows what another has looked up.
    """

    def of(answers: Answers = GOOD, **given: Any) -> tuple[FakeContext, list[httpx.Request]]:
        seen: list[httpx.Request] = []
        left = {name: list(body) if isinstance(body, Turns) else body for name, body in answers.items()}

        def answer(request: httpx.Request) -> httpx.Response:
            seen.append(request)
            name = f"{request.method} {request.url.raw_path.decode().partition('?')[0].removeprefix('/api/v10')}"
            assert name in left, f"unexpected {name}"
            found = left[name]
            if isinstance(answers[name], Turns):
                found = found.pop(0)
            if isinstance(found, httpx.Response):
                return found
            status, body = found if isinstance(found, tuple) else (200, found)
            return httpx.Response(status, json=body) if body is not None else httpx.Response(status)

        given.setdefault("connected", OWN if given.get("credentials") else ACCOUNT)
        ctx = context(answer, service=discord.service, **given)
        ctx.http.base_url = httpx.URL(f"https://{uuid4().hex}.test/api/v10")
        return ctx, seen

    return of


class Turns(tuple[Any, ...]):
    """Answers to the first, second, … call."""


def names(seen: list[httpx.Request]) -> list[str]:
    return [f"{one.method} {one.url.path.removeprefix('/api/v10')}" for one in seen]


def body_of(request: httpx.Request) -> Any:
    return json.loads(request.content)


def refused(status: int, code: int, words: str = "No", **more: Any) -> tuple[int, dict[str, Any]]:
    return status, {"message": words, "code": code, **more}
