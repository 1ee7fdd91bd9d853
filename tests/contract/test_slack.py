"""Everything that Slack's nodes send, and all that their stand-in answers, is as Slack's description of the API says."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from area.nodes import sdk
from area.nodes.slack import events, provider, reactions
from tests.contract.documents import SPECS
from tests.contract.plugin import Contracts
from tests.nodes.slack_wire import wired
from tests.providers.slack import GENERAL, HOME, Slack

BEYOND = ("POST /api/conversations.setTopic", "GET /api/conversations.replies", "GET /api/conversations.history")
"""The description is older than the metadata of messages, and leaves the other two out."""


async def test_every_call_is_as_described(contract: Contracts) -> None:
    described, there = contract("slack", beyond=BEYOND), Slack()
    ctx = wired(there, tried_since=datetime.now(UTC))
    await provider.identify(ctx)
    there.page = 1
    assert len(await provider.channel_choices(ctx, {})) == 2
    to: dict[str, Any] = {"channel": GENERAL, "text": "é & <3"}
    said = await reactions.post_message.fn(ctx, reactions.NewMessage(**to))
    await reactions.reply.fn(ctx, reactions.Reply(**to, thread_ts=said.ts, broadcast=True))
    await reactions.update_message.fn(ctx, reactions.Update(**to, ts=said.ts))
    await reactions.add_emoji.fn(ctx, reactions.Emoji(channel=GENERAL, ts=said.ts, emoji="+1"))
    await provider.revoke(ctx, sdk.Grant(ctx.http.headers["authorization"].removeprefix("Bearer ")))
    described.audit(there)
    assert described.checked == 8


def test_real_events_are_heard() -> None:
    if not SPECS.is_dir():
        pytest.skip(f"the providers' samples are not there: {SPECS} is missing")
    told = json.loads((SPECS / "samples/slack_events.json").read_text())
    message, own, revoked, probe = (
        sdk.WebhookDelivery("POST", body=told[name])
        for name in ("event_callback_message", "message_from_our_own_bot (must not loop)", "tokens_revoked", "url_verification")
    )  # fmt: skip
    assert events.message.fn(events.Messages(), message).text == "How many cats did we herd yesterday? <3 & more"
    assert events.message.fn(events.Messages(), own) is None
    assert events.route.route(message) == [f"{HOME}:message"]
    assert events.route.route(revoked) == [sdk.AccountGone(HOME)]
    assert events.route.handshake
    assert events.route.handshake(probe) == sdk.Answer({"challenge": told["url_verification"]["challenge"]})
