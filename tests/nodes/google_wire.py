"""Contexts that speak to a stand-in of one of Google's services, without a server in between."""

from datetime import UTC, datetime
from typing import Any

import httpx

from area.nodes import sdk
from tests.nodes.conftest import FakeContext
from tests.providers.google import USERINFO, Google


def wired(service: sdk.Service, there: Google, *scopes: str, **given: Any) -> FakeContext:
    """As the first user, who has consented to these scopes, and to all that the service's nodes need where none are named."""
    assert service.auth
    nodes = [*service.actions.values(), *service.reactions.values()]
    wanted = {*service.auth.scopes, *(scopes or {scope for node in nodes for scope in node.scopes})}
    user, token = there.users[0], there.auth.issue(there.users[0], *wanted)["access_token"]
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app=there),
        base_url=f"https://{service.key}.test{there.base_path}",
        headers={"Authorization": f"Bearer {token}", **service.headers},
    )
    client.event_hooks = {"response": [sdk.response_hook(authorised=True, judge=service.judge)]}
    account = sdk.Account("a1", user.id, user.email, frozenset(wanted), {"email": user.email})
    given.setdefault("moment", datetime.now(UTC))
    given.setdefault("settings", {"userinfo_url": f"https://{service.key}.test{USERINFO}"})
    return FakeContext(client, connected=account, **given)


async def look(ctx: FakeContext, node: sdk.Action, where: sdk.Inputs) -> list[Any]:
    """What the next look finds; its cursor is kept."""
    page = await node.fn(ctx, where)
    ctx.cursor = page.cursor
    return list(page.items)


def refusal(status: int, reason: str, words: str = "No") -> httpx.Response:
    """An error as Google writes it."""
    error = {"code": status, "message": words, "errors": [{"reason": reason, "message": words}]}
    return httpx.Response(status, json={"error": error}, request=httpx.Request("GET", "https://www.googleapis.com/x"))
