"""Talking in chat. Twitch takes no idempotency keys, and of what was said it can be asked nothing.

https://dev.twitch.tv/docs/api/reference/#send-chat-message
"""

from enum import StrEnum

from pydantic import Field

from area.nodes import sdk
from area.nodes.twitch.provider import AtChannel, OneLine, channel_id, data, only, service


class Line(AtChannel):
    """What to write."""

    message: OneLine = Field(
        title="Message",
        description="One line of chat, 500 characters at most; line breaks become spaces.",
        min_length=1,
        max_length=500,
        examples=["We are live: {{ trigger.title }}"],
        json_schema_extra={"widget": "textarea"},
    )


class ChatLine(Line):
    """A chat message."""

    reply_to: str | None = Field(
        None,
        title="Reply to",
        description="The id of the message that this answers.",
        max_length=100,
        examples=["abc-123-def"],
    )


class Color(StrEnum):
    """How an announcement is set off."""

    PRIMARY = "primary"
    BLUE = "blue"
    GREEN = "green"
    ORANGE = "orange"
    PURPLE = "purple"


class AnnouncementLine(Line):
    """An announcement."""

    color: Color = Field(
        Color.PRIMARY,
        title="Colour",
        description="How it is set off; primary is the channel's own colour.",
        examples=["purple"],
    )


class Said(sdk.Outputs):
    """What the chat shows."""

    message_id: str = Field(title="Message's id", description="Names it.", examples=["abc-123-def"])
    message: str = Field(title="Message", description="What was written.", examples=["We are live"])
    broadcaster_id: str = Field(title="Channel's id", description="Where.", examples=["1337"])


class Announced(sdk.Outputs):
    """What the chat was told."""

    message: str = Field(title="Message", description="What was announced.", examples=["We are live"])
    broadcaster_id: str = Field(title="Channel's id", description="Where.", examples=["1337"])


@service.reaction("Send a chat message", idempotent=False, scopes=("user:write:chat",))
async def send_chat_message(ctx: sdk.Context, what: ChatLine) -> Said:
    """Writes in a channel's chat as your account."""
    where = await channel_id(ctx, what.channel)
    body = {"broadcaster_id": where, "sender_id": ctx.account.external_id, "message": what.message}
    if what.reply_to:
        body["reply_parent_message_id"] = what.reply_to
    sent = only(data(await ctx.http.post("/chat/messages", json=body)), "the message")
    if sent.get("is_sent") is not True:
        given = sent.get("drop_reason")
        reason = given if isinstance(given, dict) else {}
        told = reason.get("message") or reason.get("code") or "it gives no reason"
        raise sdk.Rejected(f"Twitch took the message and did not send it: {told}", code="NOT_SENT")
    return Said(message_id=str(sent.get("message_id")), message=body["message"], broadcaster_id=where)


@service.reaction("Send an announcement", idempotent=False, scopes=("moderator:manage:announcements",))
async def send_announcement(ctx: sdk.Context, what: AnnouncementLine) -> Announced:
    """Announces something in the chat of a channel that is yours or that you moderate."""
    where = await channel_id(ctx, what.channel)
    asked = {"broadcaster_id": where, "moderator_id": ctx.account.external_id}
    await ctx.http.post("/chat/announcements", params=asked, json={"message": what.message, "color": what.color.value})
    return Announced(message=what.message, broadcaster_id=where)
