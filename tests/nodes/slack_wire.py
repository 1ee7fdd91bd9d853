"""A context that speaks to Slack's stand-in as its app, without a server in between."""

from typing import Any

import httpx

from area.nodes import sdk, slack
from tests.nodes.conftest import FakeContext
from tests.providers.slack import HOME, Slack

SCOPES = ("channels:read", "channels:history", "channels:manage", "chat:write", "reactions:write")


def wired(there: Slack, *scopes: str, **given: Any) -> FakeContext:
    """In the first workspace, with all scopes that reactions need unless some are named."""
    token = there.auth.issue(there.users[0], *(scopes or SCOPES))["access_token"]
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app=there),
        base_url="https://slack.com/api",
        headers={"authorization": f"Bearer {token}"},
    )
    client.event_hooks = {"response": [sdk.response_hook(authorised=True, judge=slack.service.judge)]}
    account = sdk.Account("a1", HOME, "Cat herders 🐈", frozenset(scopes or SCOPES), {})
    return FakeContext(client, connected=account, **given)
