"""What an AREA does on Twitch. Twitch takes no idempotency keys, and of what is said in chat it can be asked nothing.

https://dev.twitch.tv/docs/api/reference/
"""

import unicodedata
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, Field, field_validator

from area.nodes import sdk
from area.nodes.twitch.provider import Channel, channel_id, data, service

TAG = 25


def _one_line(text: str) -> str:
    folded = " ".join(text.splitlines())
    if not folded.strip():
        raise ValueError("is blank: give it some text")
    return folded


OneLine = Annotated[str, AfterValidator(_one_line)]


class In(sdk.Inputs):
    """Where."""

    channel: Channel = Field(
        None,
        title="Channel",
        description="Name or address of the channel; empty for your own.",
        examples=["cooler_user"],
    )


class Line(In):
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


class NewClip(In):
    """What to clip."""

    title: OneLine | None = Field(
        None,
        title="Title",
        description="The clip's title; the stream's own without one.",
        min_length=1,
        max_length=140,
        examples=["What a moment"],
    )
    duration: float | None = Field(
        None, title="Duration", description="Seconds, 30 without a value.", ge=5, le=60, examples=[30]
    )


class Face(sdk.Inputs):
    """What your channel shall show. What is left empty stays as it is."""

    title: OneLine | None = Field(
        None,
        title="Title",
        description="The stream's title, 140 characters at most.",
        min_length=1,
        max_length=140,
        examples=["Building a robot, day {{ trigger.body.day }}"],
    )
    game: OneLine | None = Field(
        None,
        title="Game",
        description="The game or category, written as on Twitch.",
        min_length=1,
        max_length=200,
        examples=["Science & Technology"],
    )
    tags: list[str] | None = Field(
        None,
        title="Tags",
        description="Ten at most, of letters and digits, 25 characters each; an empty list removes all.",
        max_length=10,
        examples=[["English", "Robotics"]],
    )

    @field_validator("tags")
    @classmethod
    def _plain(cls, tags: list[str] | None) -> list[str] | None:
        for tag in tags or ():
            if not 1 <= len(tag) <= TAG or not all(unicodedata.category(letter)[0] in "LNM" for letter in tag):
                raise ValueError(
                    f"{tag[:60]!r} is no tag: 1 to {TAG} letters and digits, without spaces or other signs"
                )
        return tags


class NewMarker(In):
    """What to mark."""

    description: str = Field(
        "",
        title="Description",
        description="Why this place is worth finding again, 140 characters at most.",
        max_length=140,
        examples=["Raid by {{ trigger.from_name }}"],
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


class Clip(sdk.Outputs):
    """A clip that Twitch is making; it takes some seconds until it can be seen."""

    id: str = Field(title="Id", description="Names the clip.", examples=["FiveWordsForClipSlug"])
    url: str = Field(
        title="URL", description="Where it will be seen.", examples=["https://clips.twitch.tv/FiveWordsForClipSlug"]
    )
    edit_url: str = Field(
        title="Edit URL",
        description="Where its maker can trim and name it, for a day.",
        examples=["https://clips.twitch.tv/FiveWordsForClipSlug/edit"],
    )


class Shown(sdk.Outputs):
    """What was set; none for what stayed as it was."""

    broadcaster_id: str = Field(title="Channel's id", description="Yours.", examples=["1337"])
    title: str | None = Field(None, title="Title", description="The new title.", examples=["Building a robot"])
    game: str | None = Field(
        None, title="Game", description="The new game, as Twitch writes it.", examples=["Science & Technology"]
    )
    game_id: str | None = Field(None, title="Game's id", description="Twitch's id of it.", examples=["509670"])
    tags: list[str] | None = Field(None, title="Tags", description="The new tags.", examples=[["English"]])


class Marked(sdk.Outputs):
    """A marker in the recording."""

    id: str = Field(title="Id", description="Names the marker.", examples=["123"])
    created_at: datetime = Field(title="Created at", description="In UTC.", examples=["2026-03-01T08:00:00Z"])
    position_seconds: int = Field(title="Position", description="Seconds from the stream's start.", examples=[244])
    description: str = Field("", title="Description", description="What it says.", examples=["Raid by Ada"])


@service.reaction("Send a chat message", idempotent=False, scopes=("user:write:chat",))
async def send_chat_message(ctx: sdk.Context, what: ChatLine) -> Said:
    """Writes in a channel's chat as your account."""
    where = await channel_id(ctx, what.channel)
    body = {"broadcaster_id": where, "sender_id": ctx.account.external_id, "message": what.message}
    if what.reply_to:
        body["reply_parent_message_id"] = what.reply_to
    sent = _first(data(await ctx.http.post("/chat/messages", json=body)), "the message")
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


@service.reaction("Create a clip", idempotent=False, scopes=("clips:edit",))
async def create_clip(ctx: sdk.Context, what: NewClip) -> Clip:
    """Makes a clip of the last seconds of a live stream."""
    asked: dict[str, Any] = {"broadcaster_id": await channel_id(ctx, what.channel)}
    if what.title:
        asked["title"] = what.title
    if what.duration is not None:
        asked["duration"] = f"{what.duration:g}"
    made = _first(data(await ctx.http.post("/clips", params=asked), "id", "edit_url"), "the clip")
    return Clip(id=made["id"], url=f"https://clips.twitch.tv/{made['id']}", edit_url=made["edit_url"])


@service.reaction("Set title, game or tags", idempotent=True, scopes=("channel:manage:broadcast",))
async def update_channel(ctx: sdk.Context, what: Face) -> Shown:
    """Sets the title, the game or the tags of your channel."""
    body: dict[str, Any] = {}
    game = await _game(ctx, what.game) if what.game else None
    if what.title:
        body["title"] = what.title
    if game:
        body["game_id"] = game["id"]
    if what.tags is not None:
        body["tags"] = what.tags
    if not body:
        raise sdk.Rejected("There is nothing to set: give a title, a game or tags.", code="NOTHING_TO_SET")
    await ctx.http.patch("/channels", params={"broadcaster_id": ctx.account.external_id}, json=body)
    return Shown(
        broadcaster_id=ctx.account.external_id,
        title=body.get("title"),
        game=game["name"] if game else None,
        game_id=game["id"] if game else None,
        tags=what.tags,
    )


@service.reaction("Set a stream marker", idempotent=False, scopes=("channel:manage:broadcast",))
async def create_marker(ctx: sdk.Context, what: NewMarker) -> Marked:
    """Marks this moment of a live stream, of your channel or of one that you are an editor of, to find it again."""
    body = {"user_id": await channel_id(ctx, what.channel)}
    if what.description:
        body["description"] = what.description
    made = _first(data(await ctx.http.post("/streams/markers", json=body), "created_at"), "the marker")
    # The reference calls the id text and shows a number.
    return Marked(
        id=str(made.get("id")),
        created_at=made["created_at"],
        position_seconds=made.get("position_seconds", 0),
        description=made.get("description") or what.description,
    )


def _first(found: list[dict[str, Any]], what: str) -> dict[str, Any]:
    if not found:
        raise sdk.Unknown(f"Twitch accepted {what} and did not say what became of it.")
    return found[0]


async def _game(ctx: sdk.Context, name: str) -> dict[str, Any]:
    """A game by its exact name. Raises: Rejected."""
    found = data(await ctx.http.get("/games", params={"name": name}), "id", "name")
    if not found:
        raise sdk.Rejected(
            f"Twitch has no game or category {name!r}: write its whole name as Twitch does.", code="NO_GAME"
        )
    return found[0]
