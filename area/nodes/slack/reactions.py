"""What can be said and done in a workspace. https://docs.slack.dev/reference/methods"""

from datetime import timedelta
from enum import StrEnum
from typing import Any

from pydantic import Field

from area.nodes import sdk
from area.nodes.slack.provider import Channel, Refused, call, channel_field, escaped, listed, plain, service

MOST_TEXT = 40_000
TS = r"^\d{10}\.\d{6}$"
CLOCKS = timedelta(minutes=2)
"""How far Slack's clock and ours may be apart."""
MARK = "area_step"
"""What our messages' metadata is called."""


class Format(StrEnum):
    """How a text is read."""

    PLAIN = "plain"
    MRKDWN = "mrkdwn"


class Said(sdk.Inputs):
    """What to say, and where."""

    channel: Channel = channel_field()
    text: str = Field(
        title="Text",
        description="Slack advises 4,000 characters, and cuts at 40,000.",
        min_length=1,
        max_length=MOST_TEXT,
        examples=["New order: {{ trigger.body.order }}"],
        json_schema_extra={"widget": "textarea"},
    )
    format: Format = Field(
        Format.PLAIN,
        title="Format",
        description="Plain pings nobody. With mrkdwn, *bold* and <@U…> work, also in what others wrote.",
        examples=["plain"],
    )


class NewMessage(Said):
    """What to say, and where."""

    unfurl: bool = Field(
        True, title="Show links", description="Whether addresses are shown with a preview.", examples=[True]
    )


class Reply(Said):
    """What to answer."""

    thread_ts: str = Field(
        title="Thread", description="The ts of the thread's first message.", pattern=TS, examples=["1763892672.000001"]
    )
    broadcast: bool = Field(
        False, title="Also to the channel", description="Whether all see it, not the thread alone.", examples=[False]
    )


class Update(Said):
    """What to say instead."""

    ts: str = Field(
        title="ts", description="Of one of the app's own messages.", pattern=TS, examples=["1763892672.000001"]
    )


class Topic(sdk.Inputs):
    """What a channel is about."""

    channel: Channel = channel_field()
    topic: str = Field(
        title="Topic",
        description="Up to 250 characters.",
        max_length=250,
        examples=["On call: {{ trigger.body.name }}"],
    )


class Emoji(sdk.Inputs):
    """Which emoji, to which message."""

    channel: Channel = channel_field()
    ts: str = Field(title="ts", description="The message's.", pattern=TS, examples=["1763892672.000001"])
    emoji: str = Field(
        title="Emoji",
        description="Its name without colons.",
        pattern=r"^:?[a-z0-9_+'-]+:?$",
        max_length=100,
        examples=["eyes"],
    )


class Written(sdk.Outputs):
    """The message."""

    channel: str = Field(title="Channel", description="Its id.", examples=["C0PNCRP9N"])
    ts: str = Field(
        title="ts", description="Slack's name of it: to answer, change or react to.", examples=["1763892672.000001"]
    )


class Set(sdk.Outputs):
    """The topic."""

    topic: str = Field(title="Topic", description="As it is now.", examples=["On call: Ada"])


class Added(sdk.Outputs):
    """The emoji."""

    emoji: str = Field(title="Emoji", description="Its name.", examples=["eyes"])


@service.reaction("Send a message", idempotent=False, scopes=("chat:write", "channels:history"))
async def post_message(ctx: sdk.Context, said: NewMessage) -> Written:
    """Writes in a channel that the app is in."""
    return await _post(ctx, said, unfurl_links=said.unfurl, unfurl_media=said.unfurl)


@service.reaction("Reply in a thread", idempotent=False, scopes=("chat:write", "channels:history"))
async def reply(ctx: sdk.Context, said: Reply) -> Written:
    """Answers a message, in its thread."""
    return await _post(ctx, said, thread_ts=said.thread_ts, reply_broadcast=True if said.broadcast else None)


@post_message.reconcile
async def _posted(ctx: sdk.Context, said: NewMessage) -> Written | None:
    """The message that an earlier attempt has written."""
    return await _found(ctx, said, "conversations.history")


@reply.reconcile
async def _replied(ctx: sdk.Context, said: Reply) -> Written | None:
    """The answer that an earlier attempt has written."""
    return await _found(ctx, said, "conversations.replies", ts=said.thread_ts)


@service.reaction("Change a message", idempotent=True, scopes=("chat:write",))
async def update_message(ctx: sdk.Context, said: Update) -> Written:
    """Replaces the text of one of the app's own messages."""
    return _written(await call(ctx, "chat.update", channel=said.channel, ts=said.ts, text=_text(said)))


@service.reaction("Set a channel's topic", idempotent=True, scopes=("channels:manage",))
async def set_topic(ctx: sdk.Context, given: Topic) -> Set:
    """Sets the topic of a channel that the app is in."""
    body = await call(ctx, "conversations.setTopic", channel=given.channel, topic=given.topic)
    topic = ((body.get("channel") or {}).get("topic") or {}).get("value")
    return Set(topic=plain(given.topic if topic is None else topic))


@service.reaction("React with an emoji", idempotent=True, scopes=("reactions:write",))
async def add_emoji(ctx: sdk.Context, given: Emoji) -> Added:
    """Adds an emoji to a message."""
    name = given.emoji.strip(":")
    try:
        await call(ctx, "reactions.add", channel=given.channel, timestamp=given.ts, name=name)
    except Refused as error:
        if error.code != "already_reacted":
            raise
    return Added(emoji=name)


async def _post(ctx: sdk.Context, said: Said, **more: Any) -> Written:
    """Write a message that carries our key, as Slack takes none: https://docs.slack.dev/messaging/message-metadata"""
    more["metadata"] = {"event_type": MARK, "event_payload": {"key": ctx.idempotency_key}}
    mrkdwn = said.format is Format.MRKDWN
    return _written(await call(ctx, "chat.postMessage", channel=said.channel, text=_text(said), mrkdwn=mrkdwn, **more))


async def _found(ctx: sdk.Context, said: Said, method: str, **more: str) -> Written | None:
    """By the key, as Slack rewrites texts: links and emojis come back otherwise than they went."""
    asked = {"channel": said.channel, "include_all_metadata": "true", "limit": "200", **more}
    if ctx.tried_since is not None:
        asked["oldest"] = f"{(ctx.tried_since - CLOCKS).timestamp():.6f}"
    for found in await listed(ctx, method, "messages", asked):
        mark = found.get("metadata")
        if mark == {"event_type": MARK, "event_payload": {"key": ctx.idempotency_key}}:
            return Written(channel=said.channel, ts=str(found.get("ts")))
    return None


def _text(said: Said) -> str:
    return said.text if said.format is Format.MRKDWN else escaped(said.text)


def _written(body: dict[str, Any]) -> Written:
    if not body.get("ts"):
        raise sdk.Unknown("Slack did not say what became of the message. It may have been sent.")
    return Written(channel=str(body.get("channel") or ""), ts=str(body["ts"]))
