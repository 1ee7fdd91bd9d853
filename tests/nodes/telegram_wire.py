"""A context that speaks to Telegram's stand-in as one of its bots, without a server in between."""

from typing import Any

import httpx

from area.nodes import sdk, telegram
from area.nodes.telegram.provider import authorise
from tests.nodes.conftest import FakeContext
from tests.providers.telegram import TOKEN, Telegram


def wired(there: Telegram, token: str = TOKEN, **given: Any) -> FakeContext:
    """As the bot of this token."""

    class ByToken(httpx.Auth):
        def auth_flow(self, request: httpx.Request) -> Any:
            authorise(request, {"token": token})
            yield request

    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app=there), base_url="https://api.telegram.org", auth=ByToken()
    )
    client.event_hooks = {"response": [sdk.response_hook(authorised=True, judge=telegram.service.judge)]}
    account = sdk.Account("a1", "110201543", "@area_bot", frozenset(), {"username": "area_bot"})
    return FakeContext(client, connected=account, **given)
