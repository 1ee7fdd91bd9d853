"""A context that speaks to Stripe's stand-in by one of its keys, without a server in between, and Stripe's deliveries."""

import json
from typing import Any

import httpx

from area.nodes import sdk
from area.nodes.stripe import service
from area.nodes.stripe.provider import authorise
from tests.nodes.conftest import FakeContext
from tests.providers.stripe import ACCOUNT, KEY, Stripe


def wired(there: Stripe, key: str = KEY, **given: Any) -> FakeContext:
    """By this key."""

    class ByKey(httpx.Auth):
        def auth_flow(self, request: httpx.Request) -> Any:
            authorise(request, {"key": key})
            yield request

    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app=there),
        base_url="https://api.stripe.com",
        auth=ByKey(),
        headers=dict(service.headers),
    )
    client.event_hooks = {"response": [sdk.response_hook(authorised=True, judge=service.judge)]}
    account = sdk.Account("a1", f"{ACCOUNT}:test", "Ada's Doors (test mode)")
    return FakeContext(client, connected=account, credentials={"key": key}, **given)


def delivery(event: Any) -> sdk.WebhookDelivery:
    """What Stripe tells of an event."""
    return sdk.WebhookDelivery("POST", {}, {}, json.dumps(event).encode(), event, "application/json")
