"""Bluesky: what each node sends, held to the lexicons, and what the stand-in answers."""

from typing import Any

from area.nodes.bluesky import provider, reactions, watching
from tests.contract.plugin import Contracts
from tests.nodes.bluesky_wire import wired
from tests.providers.bluesky import MOMENT, Bluesky

BEYOND = ["GET /xrpc/app.bsky.feed.getPosts", "GET /xrpc/com.atproto.repo.getRecord"]
"""Whose lexicons are not among those kept: https://docs.bsky.app/docs/api/app-bsky-feed-get-posts, com-atproto-repo-get-record"""


async def test_every_call_is_as_described(contract: Contracts) -> None:
    described, there = contract("bluesky", beyond=BEYOND), Bluesky()
    ctx = wired(there, moment=MOMENT)
    for action, where in (
        (watching.mention, {"replies_too": True}),
        (watching.post_by_account, {"author": "grace.bsky.test"}),
    ):
        ctx.cursor = None
        ctx.cursor = (await action.fn(ctx, action.inputs.model_validate(where))).cursor
        for number in range(5):
            there.write(f"é{number}")
        assert len((await action.fn(ctx, action.inputs.model_validate(where))).items) == 5
    uri = there.write("parent")
    given: dict[str, Any] = {
        "text": "é #straße @grace.bsky.test @nobody.test https://example.com/é", "reply_to": uri, "language": "fr",
        "link": "https://example.com/card", "link_title": "É", "link_text": "…",
    }  # fmt: skip
    written = await reactions.post.fn(ctx, reactions.NewPost.model_validate(given))
    ctx.tried_since = MOMENT
    assert await reactions.post.fn(ctx, reactions.NewPost.model_validate(given)) == written
    await reactions.repost.fn(ctx, reactions.Chosen(post=uri))
    await provider.identify(ctx)
    grant = await provider.open_session(ctx, ctx.credentials)
    await provider.prolong(ctx, grant.refresh_token or "")
    described.audit(there)
    assert described.checked == 15
