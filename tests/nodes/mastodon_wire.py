"""A context that speaks to Mastodon's stand-in as one of its accounts, without a server in between."""

from typing import Any

import httpx

from area.nodes import mastodon, sdk
from area.nodes.mastodon.provider import authorise
from tests.nodes.conftest import FakeContext
from tests.providers.mastodon import TOKEN, Mastodon


def wired(there: Mastodon, token: str = TOKEN, **given: Any) -> FakeContext:
    """As the account of this token."""
    credentials = {"instance": "home.test", "token": token}

    class ByToken(httpx.Auth):
        def auth_flow(self, request: httpx.Request) -> Any:
            authorise(request, credentials)
            yield request

    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app=there), base_url=mastodon.provider.base_url(credentials), auth=ByToken()
    )
    client.event_hooks = {"response": [sdk.response_hook(authorised=True, judge=mastodon.service.judge)]}
    facts = {"id": "1001", "username": "ada", "instance": "home.test"}
    account = sdk.Account("a1", "1001@home.test", "@ada@home.test", frozenset(), facts)
    return FakeContext(client, connected=account, credentials=credentials, **given)
