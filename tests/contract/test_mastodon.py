"""Mastodon: what each node sends, held to its OpenAPI description, and what the stand-in answers."""

from typing import Any

from area.nodes.mastodon import provider, reactions, watching
from tests.contract.plugin import Contracts
from tests.nodes.mastodon_wire import wired
from tests.providers.mastodon import MOMENT, Mastodon

LOOKUP = "GET /api/v1/accounts/lookup"
"""https://docs.joinmastodon.org/methods/accounts/#lookup, which the description leaves out."""


def beyond(there: Mastodon) -> list[str]:
    """What the description leaves out: looking up a name, and https://docs.joinmastodon.org/methods/statuses/#source"""
    return [LOOKUP, *(f"GET {call.path}" for call in there.calls if call.path.endswith("/source"))]


async def test_every_call_is_as_described(contract: Contracts) -> None:
    there = Mastodon()
    ctx = wired(there, moment=MOMENT)
    await provider.identify(ctx)
    for action, where in (
        (watching.mention, {}),
        (watching.post_by_account, {"author": "grace", "replies_too": True}),
    ):
        ctx.cursor = None
        ctx.cursor = (await action.fn(ctx, action.inputs.model_validate(where))).cursor
        for number in range(5):
            there.write(f"@ada é{number}")
        assert len((await action.fn(ctx, action.inputs.model_validate(where))).items) == 5
    given: dict[str, Any] = {
        "text": "é, @grace", "visibility": "private", "warning": "ë", "reply_to": "103", "language": "fr", "mentions": False,
    }  # fmt: skip
    written = await reactions.post.fn(ctx, reactions.NewPost.model_validate(given))
    ctx.tried_since = MOMENT - 2 * reactions.KEY_LIVES
    assert await reactions.post.fn(ctx, reactions.NewPost.model_validate(given)) == written
    await reactions.boost.fn(ctx, reactions.Chosen(post_id=written.id))
    described = contract("mastodon", beyond=beyond(there))
    described.audit(there)
    assert described.checked == 12
