"""Contexts that speak to GitLab's stand-in, without a server in between, and deliveries as GitLab sends them."""

import json
from datetime import UTC, datetime
from typing import Any

import httpx

from area.nodes import sdk
from area.nodes.gitlab import service
from tests.nodes.conftest import FakeContext
from tests.providers.gitlab import API, GitLab


def wired(there: GitLab, *scopes: str, **given: Any) -> FakeContext:
    """As the first user, who has consented to these scopes; to ``api`` where none are named."""
    user = there.users[0]
    token = there.auth.issue(user, *(scopes or (API,)))["access_token"]
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app=there),
        base_url="https://gitlab.test/api/v4",
        headers={"Authorization": f"Bearer {token}", **service.headers},
    )
    client.event_hooks = {"response": [sdk.response_hook(authorised=True, judge=service.judge)]}
    facts = {"id": user.id, "username": user.login}
    account = sdk.Account("a1", user.id, user.login, frozenset(scopes or (API,)), facts)
    given.setdefault("moment", datetime.now(UTC))
    return FakeContext(client, connected=account, **given)


def delivery(body: Any, **headers: str) -> sdk.WebhookDelivery:
    """What GitLab tells of an event."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return sdk.WebhookDelivery("POST", named, {}, json.dumps(body).encode(), body, "application/json")
