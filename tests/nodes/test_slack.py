"""Slack: what is heard in a workspace, whose it is, and what is said; Slack's refusals and what they mean."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from area.nodes import sdk
from area.nodes.slack import events, provider, reactions
from tests.nodes.conftest import FakeContext, MakeContext
from tests.nodes.slack_wire import wired
from tests.providers.calls import Fault
from tests.providers.slack import ADA, BOT, GENERAL, HOME, QUIET, Slack

TS = "1763892672.000001"


@pytest.fixture
def there() -> Slack:
    return Slack()


@pytest.fixture
def ctx(there: Slack) -> FakeContext:
    return wired(there)


def event(kind: str = "message", **found: Any) -> sdk.WebhookDelivery:
    """An event of our workspace."""
    told = {"type": kind, "user": ADA, "channel": GENERAL, "ts": TS, "event_ts": TS, **found}
    body = {"type": "event_callback", "team_id": HOME, "event_id": "Ev0PV52K25", "event": told}
    return sdk.WebhookDelivery("POST", {}, {}, b"", body, "application/json")


def reacted(**found: Any) -> sdk.WebhookDelivery:
    item = {"type": "message", "channel": GENERAL, "ts": TS}
    return event("reaction_added", **{"reaction": "eyes", "item_user": BOT, "item": item, **found})


# What is heard


def test_a_message_is_told_as_it_was_written() -> None:
    heard = events.message.fn(events.Messages(channel=GENERAL, contains="GRÜSSE &"), event(text="Grüße &amp; &lt;3 🎉"))
    assert heard.model_dump() == {
        "channel": GENERAL,
        "user": ADA,
        "text": "Grüße & <3 🎉",
        "ts": TS,
        "thread_ts": TS,
        "in_thread": False,
        "sent_at": datetime(2025, 11, 23, 10, 11, 12, tzinfo=UTC),
        "team": HOME,
    }
    answer = events.message.fn(events.Messages(), event(text="Ja", thread_ts="1763892000.000001"))
    assert (answer.thread_ts, answer.in_thread) == ("1763892000.000001", True)


@pytest.mark.parametrize(
    "found",
    [
        {"text": "other"},
        {"text": "help", "channel": QUIET},
        {"text": "help", "bot_id": "B1"},
        {"text": "help", "subtype": "bot_message", "bot_id": "B1"},
        {"text": "help", "subtype": "message_changed"},
        {"text": "help", "subtype": "channel_join"},
        {"text": "help", "user": None},
    ],
)
def test_what_was_not_asked_for_fires_nothing(found: dict[str, Any]) -> None:
    assert events.message.fn(events.Messages(channel=GENERAL, contains="help"), event(**found)) is None


def test_a_mention_is_heard_where_it_was_wanted_and_not_of_bots() -> None:
    mention = events.mention.fn
    said = f"<@{BOT}> hej"
    assert mention(events.Anywhere(), event("app_mention", text=said)).text == said
    assert mention(events.Anywhere(channel=QUIET), event("app_mention", text=said)) is None
    assert mention(events.Anywhere(), event("app_mention", text=said, bot_id="B1")) is None


def test_a_reaction_says_to_which_message() -> None:
    heard = events.reaction_added.fn(events.Emojis(emoji="eyes", channel=GENERAL), reacted())
    assert heard.model_dump() == {
        "emoji": "eyes", "user": ADA, "author": BOT, "channel": GENERAL, "ts": TS, "team": HOME,
    }  # fmt: skip
    assert events.reaction_added.fn(events.Emojis(emoji="tada"), reacted()) is None
    assert events.reaction_added.fn(events.Emojis(channel=QUIET), reacted()) is None
    assert events.reaction_added.fn(events.Emojis(), reacted(item={"type": "file"})) is None


def test_a_new_channel_is_told() -> None:
    made = event("channel_created", channel={"id": QUIET, "name": "türen", "creator": ADA, "created": 1})
    heard = events.channel_created.fn(events.NoChoice(), made)
    assert heard.model_dump() == {"channel": QUIET, "name": "türen", "creator": ADA, "team": HOME}


# Whose it is


def test_an_event_goes_to_its_workspace_and_a_retry_has_its_name() -> None:
    assert events.route.route(event("app_mention")) == [f"{HOME}:app_mention"]
    account = sdk.Account("a1", HOME, "", frozenset(), {})
    assert events.mention.topic_of is not None
    assert events.mention.topic_of(events.Anywhere(), account) == f"{HOME}:app_mention"
    assert callable(events.mention.dedupe)
    assert events.mention.dedupe(event("app_mention")) == "Ev0PV52K25"


@pytest.mark.parametrize(
    ("found", "gone"),
    [
        ({"kind": "app_uninstalled"}, True),
        ({"kind": "tokens_revoked", "tokens": {"bot": [BOT]}}, True),
        ({"kind": "tokens_revoked", "tokens": {"oauth": [ADA]}}, False),
    ],
)
def test_an_app_that_is_removed_loses_its_account(found: dict[str, Any], gone: bool) -> None:
    wanted: list[Any] = [sdk.AccountGone(HOME)] if gone else [f"{HOME}:tokens_revoked"]
    assert events.route.route(event(**found)) == wanted


@pytest.mark.parametrize("body", [None, [], "x", {}, {"type": "event_callback"}, {"type": "app_rate_limited"}])
def test_nonsense_is_routed_nowhere(body: Any) -> None:
    assert events.route.route(sdk.WebhookDelivery("POST", body=body)) == []


def test_the_address_answers_its_challenge() -> None:
    assert events.route.handshake
    asked = sdk.WebhookDelivery("POST", body={"type": "url_verification", "challenge": "3eZbrw1a"})
    answer = events.route.handshake(asked)
    assert answer
    assert (answer.status, answer.body) == (200, {"challenge": "3eZbrw1a"})
    assert events.route.handshake(event()) is None


# What is said


async def test_plain_text_pings_nobody(there: Slack, ctx: FakeContext) -> None:
    said = await reactions.post_message.fn(
        ctx, reactions.NewMessage(channel=GENERAL, text="<!channel> Türen & 🎉", unfurl=False)
    )
    assert (said.channel, said.ts) == (GENERAL, there.messages[0]["ts"])
    assert there.calls[-1].json == {
        "channel": GENERAL,
        "text": "&lt;!channel&gt; Türen &amp; 🎉",
        "mrkdwn": False,
        "unfurl_links": False,
        "unfurl_media": False,
        "metadata": {"event_type": "area_step", "event_payload": {"key": "run-1/step-1"}},
    }
    form = reactions.Format.MRKDWN
    await reactions.update_message.fn(
        ctx, reactions.Update(channel=GENERAL, ts=said.ts, text="*ja* <@U1>", format=form)
    )
    assert there.texts() == ["*ja* <@U1>"]


async def test_a_reply_is_in_its_thread(there: Slack, ctx: FakeContext) -> None:
    await reactions.reply.fn(ctx, reactions.Reply(channel=GENERAL, text="ja", thread_ts=TS, broadcast=True))
    assert (there.calls[-1].json["thread_ts"], there.calls[-1].json["reply_broadcast"]) == (TS, True)


async def test_a_topic_and_an_emoji_are_set_once(there: Slack, ctx: FakeContext) -> None:
    done = await reactions.set_topic.fn(ctx, reactions.Topic(channel=GENERAL, topic="Ada & Zoë"))
    assert (done.topic, there.topics) == ("Ada & Zoë", {GENERAL: "Ada & Zoë"})
    for _ in range(2):
        emoji = await reactions.add_emoji.fn(ctx, reactions.Emoji(channel=GENERAL, ts=TS, emoji=":eyes:"))
        assert emoji.emoji == "eyes"
    assert there.reactions == {(GENERAL, TS, "eyes")}


@pytest.mark.parametrize(
    ("node", "given"),
    [
        (reactions.post_message, reactions.NewMessage(channel=GENERAL, text="https://example.com 🎉")),
        (reactions.reply, reactions.Reply(channel=GENERAL, text="ja", thread_ts=TS)),
    ],
)
async def test_what_was_said_is_found_by_its_key_on_any_page(
    there: Slack, ctx: FakeContext, node: sdk.Reaction, given: Any
) -> None:
    said = await node.fn(ctx, given)
    there.messages[0]["text"] = "<https://example.com> :tada:"  # Slack keeps texts in its own words
    ctx.idempotency_key, there.page = "run-2/step-1", 1
    await node.fn(ctx, given)
    ctx.idempotency_key, ctx.tried_since = "run-1/step-1", datetime.now(UTC)
    assert node.reconciler
    assert await node.reconciler(ctx, given) == said
    ctx.idempotency_key = "run-3/step-1"
    assert await node.reconciler(ctx, given) is None
    ctx.idempotency_key, ctx.tried_since = "run-1/step-1", datetime.now(UTC) + timedelta(hours=1)
    assert await node.reconciler(ctx, given) is None, "it looks no further back than the first attempt"


async def test_channels_are_offered_by_name(there: Slack, ctx: FakeContext) -> None:
    there.page = 1
    found = await provider.channel_choices(ctx, {})
    assert found == [sdk.Choice(GENERAL, "#general"), sdk.Choice(QUIET, "#türen (app not in it)")]
    assert {call.query["types"] for call in there.calls} == {"public_channel"}
    await provider.channel_choices(wired(there, "channels:read", "groups:read"), {})
    assert there.calls[-1].query["types"] == "public_channel,private_channel"


# What refusals mean


@pytest.mark.parametrize(
    ("error", "raised", "words"),
    [
        ("channel_not_found", sdk.Rejected, "invite the app there"),
        ("an_error_of_next_year", sdk.Rejected, "Slack says: an_error_of_next_year"),
        ("token_revoked", sdk.Reconnect, "connect the workspace again"),
        ("internal_error", sdk.Unavailable, "internal_error"),
        ("ratelimited", sdk.Throttled, "slower"),
    ],
)
async def test_a_refusal_comes_with_200_and_is_one(
    there: Slack, ctx: FakeContext, error: str, raised: type[Exception], words: str
) -> None:
    there.next(Fault(body={"ok": False, "error": error}))
    with pytest.raises(raised, match=words):
        await reactions.set_topic.fn(ctx, reactions.Topic(channel=GENERAL, topic="x"))


async def test_a_missing_scope_and_a_missing_invitation_are_named(there: Slack, ctx: FakeContext) -> None:
    said = reactions.NewMessage(channel=GENERAL, text="x")
    with pytest.raises(sdk.Rejected, match="connect the workspace again, and allow chat:write"):
        await reactions.post_message.fn(wired(there, "channels:read"), said)
    with pytest.raises(sdk.Rejected, match="/invite"):
        await reactions.post_message.fn(ctx, said.model_copy(update={"channel": QUIET}))
    with pytest.raises(sdk.Rejected, match="without colons"):
        await reactions.add_emoji.fn(ctx, reactions.Emoji(channel=GENERAL, ts=TS, emoji="no_such"))
    with pytest.raises(sdk.Rejected, match="check its ts"):
        await reactions.update_message.fn(ctx, reactions.Update(channel=GENERAL, ts=TS, text="x"))


async def test_a_limit_says_how_long(there: Slack, ctx: FakeContext) -> None:
    there.next(Fault(status=429, headers={"Retry-After": "7"}, body={"ok": False, "error": "ratelimited"}))
    with pytest.raises(sdk.Throttled) as caught:
        await reactions.set_topic.fn(ctx, reactions.Topic(channel=GENERAL, topic="x"))
    assert caught.value.retry_after == pytest.approx(7, abs=1)


@pytest.mark.parametrize("body", ["<!doctype html>", "{}", '{"ok": true}', "[]"])
async def test_a_200_that_does_not_say_what_became_of_it_is_not_trusted(context: MakeContext, body: str) -> None:
    ctx = context(lambda request: httpx.Response(200, text=body), service=provider.service)
    with pytest.raises(sdk.Unknown):
        await reactions.post_message.fn(ctx, reactions.NewMessage(channel=GENERAL, text="x"))


@pytest.mark.parametrize(
    ("model", "given"),
    [
        (reactions.NewMessage, {"channel": "#general", "text": "x"}),
        (reactions.NewMessage, {"channel": GENERAL, "text": ""}),
        (reactions.Reply, {"channel": GENERAL, "text": "x", "thread_ts": "yesterday"}),
        (reactions.Topic, {"channel": GENERAL, "topic": "x" * 251}),
        (reactions.Emoji, {"channel": GENERAL, "ts": TS, "emoji": "👀"}),
    ],
)
def test_what_slack_would_refuse_is_refused_here(model: type[sdk.Inputs], given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        model.model_validate(given)


async def test_the_account_is_the_workspace(ctx: FakeContext) -> None:
    found = await provider.identify(ctx)
    assert (found.external_id, found.label, found.facts["user_id"]) == (HOME, "Cat herders 🐈", BOT)
