"""Contexts that speak to GitHub's stand-in, without a server in between, and deliveries as GitHub sends them."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx

from area.nodes import sdk
from area.nodes.github import service
from tests.nodes.conftest import FakeContext
from tests.providers.github import HOOKS, REPO, GitHub


def wired(there: GitHub, *scopes: str, **given: Any) -> FakeContext:
    """As the first user, who has consented to these scopes; to all that nodes need where none are named."""
    user, settings = there.users[0], {"client_id": there.auth.client_id, "client_secret": there.auth.client_secret}
    token = there.auth.issue(user, *(scopes or (REPO, HOOKS)))["access_token"]
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app=there),
        base_url="https://github.test",
        headers={"Authorization": f"Bearer {token}", **service.headers},
    )
    client.event_hooks = {"response": [sdk.response_hook(authorised=True, judge=service.judge)]}
    account = sdk.Account("a1", user.id, user.login, frozenset(scopes or (REPO, HOOKS)), {"login": user.login})
    given.setdefault("moment", datetime.now(UTC))
    return FakeContext(client, connected=account, settings=settings, **given)


def delivery(event: str, body: Any) -> sdk.WebhookDelivery:
    """What GitHub tells of an event."""
    headers = {"x-github-event": event, "x-github-delivery": str(uuid4())}
    return sdk.WebhookDelivery("POST", headers, {}, json.dumps(body).encode(), body, "application/json")
