"""Contexts that speak to the stand-in of Spotify, without a server in between."""

from typing import Any

import httpx

from area.nodes import sdk, spotify
from tests.nodes.conftest import FakeContext
from tests.providers.spotify import Spotify


def wired(there: Spotify, *scopes: str) -> FakeContext:
    """As the first user, who has consented to these scopes, and to all that the nodes need where none are named."""
    service, user = spotify.service, there.users[0]
    nodes = [*service.actions.values(), *service.reactions.values()]
    wanted = set(scopes or {scope for node in nodes for scope in node.scopes})
    token = there.auth.issue(user, *wanted)["access_token"]
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app=there),
        base_url=f"https://spotify.test{there.base_path}",
        headers={"Authorization": f"Bearer {token}"},
    )
    client.event_hooks = {"response": [sdk.response_hook(authorised=True, judge=service.judge)]}
    account = sdk.Account("a1", user.id, user.name, frozenset(wanted))
    return FakeContext(client, connected=account, moment=there.moment)


async def look(ctx: FakeContext, node: sdk.Action, where: sdk.Inputs) -> list[Any]:
    """What the next look finds; its cursor is kept. The first one is a baseline, as the engine has it."""
    first = ctx.cursor is None
    page = await node.fn(ctx, where)
    ctx.cursor = page.cursor
    return [] if first else list(page.items)
