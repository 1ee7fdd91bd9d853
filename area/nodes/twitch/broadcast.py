"""Clips, markers, and what a channel shows of itself. Twitch takes no idempotency keys; of clips and markers it can be asked.

https://dev.twitch.tv/docs/api/reference/#create-clip
"""

import unicodedata
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import Field, field_validator

from area.nodes import sdk
from area.nodes.twitch.provider import AtChannel, OneLine, channel_id, data, only, service

TAG = 25
PAGES = 5
SKEW = timedelta(seconds=3)


class NewClip(AtChannel):
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


class NewMarker(AtChannel):
    """What to mark."""

    description: str = Field(
        "",
        title="Description",
        description="Why this place is worth finding again, 140 characters at most.",
        max_length=140,
        examples=["Raid by {{ trigger.from_name }}"],
    )


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


@service.reaction("Create a clip", idempotent=False, scopes=("clips:edit",))
async def create_clip(ctx: sdk.Context, what: NewClip) -> Clip:
    """Makes a clip of the last seconds of a live stream."""
    asked: dict[str, Any] = {"broadcaster_id": await channel_id(ctx, what.channel)}
    if what.title:
        asked["title"] = what.title
    if what.duration is not None:
        asked["duration"] = f"{what.duration:g}"
    made = only(data(await ctx.http.post("/clips", params=asked), "id", "edit_url"), "the clip")
    return Clip(id=made["id"], url=f"https://clips.twitch.tv/{made['id']}", edit_url=made["edit_url"])


@create_clip.reconcile
async def find_clip(ctx: sdk.Context, what: NewClip) -> Clip:
    """A clip that this account has made of the channel since. Raises: Unknown when there is none: one takes a minute to show."""
    since = _since(ctx)
    asked = {"broadcaster_id": await channel_id(ctx, what.channel), "started_at": _text(since), "first": "100"}
    found = data(await ctx.http.get("/clips", params=asked), "id", "url", "creator_id")
    for clip in found:
        if clip["creator_id"] == ctx.account.external_id:
            return Clip(id=clip["id"], url=clip["url"], edit_url=f"https://clips.twitch.tv/{clip['id']}/edit")
    raise sdk.Unknown("Twitch shows no clip of this account yet, which does not say that none is being made.")


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
    made = only(data(await ctx.http.post("/streams/markers", json=body), "created_at"), "the marker")
    return _marked(made, what.description)


@create_marker.reconcile
async def find_marker(ctx: sdk.Context, what: NewMarker) -> Marked | None:
    """A marker with these words that has been set since; None when there is none.

    Raises: Unknown when there are more markers than are looked at.
    """
    since, asked = _since(ctx), {"user_id": await channel_id(ctx, what.channel), "first": "100"}
    for _ in range(PAGES):
        answer = await ctx.http.get("/streams/markers", params=asked)
        videos = [video for user in data(answer) for video in user.get("videos") or ()]
        for made in (marker for video in videos for marker in video.get("markers") or ()):
            marked = _marked(made, "")
            if marked.created_at >= since and marked.description == what.description:
                return marked
        cursor = (answer.json().get("pagination") or {}).get("cursor")
        if not cursor:
            return None
        asked["after"] = cursor
    raise sdk.Unknown("The stream has too many markers to look through.")


def _marked(made: dict[str, Any], description: str) -> Marked:
    """The reference calls a marker's id text and shows a number."""
    return Marked(
        id=str(made.get("id")),
        created_at=made["created_at"],
        position_seconds=made.get("position_seconds", 0),
        description=made.get("description") or description,
    )


def _since(ctx: sdk.Context) -> datetime:
    """The first attempt, by Twitch's clock, which tells whole seconds and may be a little behind."""
    return (ctx.tried_since or ctx.now()) - SKEW


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def _game(ctx: sdk.Context, name: str) -> dict[str, Any]:
    """A game by its exact name. Raises: Rejected."""
    found = data(await ctx.http.get("/games", params={"name": name}), "id", "name")
    if not found:
        raise sdk.Rejected(
            f"Twitch has no game or category {name!r}: write its whole name as Twitch does.", code="NO_GAME"
        )
    return found[0]
