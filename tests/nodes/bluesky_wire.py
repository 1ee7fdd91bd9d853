"""A context that speaks to Bluesky's stand-in in a session of Ada's, without a server in between."""

from typing import Any

import httpx

from area.nodes import bluesky, sdk
from tests.nodes.conftest import FakeContext
from tests.providers.bluesky import ADA, PASSWORD, Bluesky


def wired(there: Bluesky, **given: Any) -> FakeContext:
    """In a new session."""
    token = there.session(there.users[0])["accessJwt"]

    class InSession(httpx.Auth):
        def auth_flow(self, request: httpx.Request) -> Any:
            request.headers.setdefault("Authorization", f"Bearer {token}")
            yield request

    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app=there), base_url=bluesky.service.base_url or "", auth=InSession()
    )
    client.event_hooks = {"response": [sdk.response_hook(authorised=True, judge=bluesky.service.judge)]}
    account = sdk.Account("a1", ADA, "@ada.bsky.test", frozenset(), {"did": ADA, "handle": "ada.bsky.test"})
    typed = {"identifier": "ada.bsky.test", "password": PASSWORD}
    return FakeContext(client, connected=account, credentials=typed, **given)
