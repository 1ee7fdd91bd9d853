"""Contexts that speak to the stand-in for Notion, without a server in between."""

from typing import Any

import httpx

from area.nodes import notion, sdk
from tests.nodes.conftest import FakeContext
from tests.providers.notion import Notion


def wired(there: Notion, **given: Any) -> FakeContext:
    """As the bot of the first consent."""
    user = there.users[0]
    granted = there.auth.issue(user)
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app=there),
        base_url="https://api.notion.com",
        headers={"Authorization": f"Bearer {granted['access_token']}", **notion.service.headers},
    )
    client.event_hooks = {"response": [sdk.response_hook(authorised=True, judge=notion.service.judge)]}
    given.setdefault("connected", sdk.Account("a1", user.id, "Cat herders 🐈"))
    return FakeContext(client, granted=sdk.read_grant(granted), **given)


async def look(ctx: FakeContext, node: sdk.Action, where: sdk.Inputs) -> list[Any]:
    """What the next look finds; its cursor is kept."""
    page = await node.fn(ctx, where)
    ctx.cursor = page.cursor
    return list(page.items)
