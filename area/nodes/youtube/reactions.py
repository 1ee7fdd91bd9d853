"""What can be done on YouTube. Each write costs 50 units of the day's 10,000, a look before it 1."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from pydantic import Field

from area.nodes import sdk
from area.nodes._google import Exists, mapping
from area.nodes.youtube.provider import (
    COMMENT,
    COMMENTS,
    VIDEO,
    WRITE,
    PlaylistId,
    VideoId,
    address,
    moment_of,
    own_channel,
    pages,
    part,
    service,
)

GRACE = timedelta(minutes=1)
"""How far Google's clock may be behind ours."""
LOOKED_THROUGH = 3
"""Pages of a video's comments looked through for one whose answer was lost, the newest first."""


class Which(sdk.Inputs):
    """Which video."""

    video: VideoId = Field(
        title="Video",
        description="The video's id, or its address.",
        pattern=VIDEO,
        max_length=500,
        examples=["dQw4w9WgXcQ"],
    )


class Adding(Which):
    """Which video, and to which playlist."""

    playlist: PlaylistId = Field(
        title="Playlist",
        description="The id of one of the account's own playlists.",
        pattern=r"^[A-Za-z0-9_-]{2,100}$",
        examples=["PLexampleA1b2C3d4E5f6G7h8I9j0K1l2"],
    )


class NewComment(Which):
    """Which video, and what to write."""

    text: str = Field(
        title="Text",
        description="Plain text; everybody can read it.",
        min_length=1,
        max_length=10_000,
        examples=["Well made!"],
        json_schema_extra={"widget": "textarea"},
    )


class Added(sdk.Outputs):
    """A video in a playlist."""

    id: str = Field(title="Id", description="The id of its place in the playlist.", examples=["UExleGFtcGxlLjEy"])
    video_id: str = Field(title="Video", description="The video's id.", examples=["dQw4w9WgXcQ"])
    playlist_id: str = Field(
        title="Playlist", description="The playlist's id.", examples=["PLexampleA1b2C3d4E5f6G7h8I9j0K1l2"]
    )
    title: str = Field(title="Title", description="The video's title.", examples=["How we built it"])
    position: int = Field(title="Position", description="Counted from 0.", examples=[12])
    url: str = Field(
        title="Address",
        description="Where it plays within the playlist.",
        examples=["https://www.youtube.com/watch?v=dQw4w9WgXcQ&list=PLexampleA1b2C3d4E5f6G7h8I9j0K1l2"],
    )


class Rated(sdk.Outputs):
    """A video that the account likes."""

    video_id: str = Field(title="Video", description="The video's id.", examples=["dQw4w9WgXcQ"])
    url: str = Field(
        title="Address", description="Where it is watched.", examples=["https://www.youtube.com/watch?v=dQw4w9WgXcQ"]
    )


class Comment(sdk.Outputs):
    """A comment."""

    id: str = Field(title="Id", description="YouTube's id.", examples=["UgzExampleComment4AaABAg"])
    video_id: str = Field(title="Video", description="The video's id.", examples=["dQw4w9WgXcQ"])
    text: str = Field(title="Text", description="What it says.", examples=["Well made!"])
    author: str = Field(title="Author", description="The name it is written under.", examples=["@adabuilds"])
    published_at: datetime | None = Field(
        None, title="Written at", description="In UTC.", examples=["2026-03-01T08:00:00Z"]
    )
    url: str = Field(
        title="Address",
        description="Where it can be read.",
        examples=["https://www.youtube.com/watch?v=dQw4w9WgXcQ&lc=UgzExampleComment4AaABAg"],
    )


@service.reaction("Add to a playlist", idempotent=False, scopes=(WRITE,))
async def add_to_playlist(ctx: sdk.Context, adding: Adding) -> Added:
    """Adds a video to the end of a playlist. One that is there already stays where it is."""
    there = await _in_playlist(ctx, adding)
    if there is not None:
        return there
    resource = {"kind": "youtube#video", "videoId": adding.video}
    asked = {"snippet": {"playlistId": adding.playlist, "resourceId": resource}}
    try:
        answer = await ctx.http.post("/playlistItems", params={"part": "snippet"}, json=asked)
    except Exists:
        there = await _in_playlist(ctx, adding)
        if there is None:
            raise
        return there
    return _added(mapping(answer, "id"), adding)


@add_to_playlist.reconcile
async def _in_playlist(ctx: sdk.Context, adding: Adding) -> Added | None:
    asked = {"part": "snippet", "playlistId": adding.playlist, "videoId": adding.video}
    async for page in pages(ctx, "/playlistItems", 1, **asked):
        for item in page:
            if item.get("id") and part(item, "snippet", "resourceId").get("videoId") == adding.video:
                return _added(item, adding)
    return None


def _added(item: Mapping[str, Any], adding: Adding) -> Added:
    snippet = part(item, "snippet")
    position = snippet.get("position")
    return Added(
        id=str(item["id"]),
        video_id=adding.video,
        playlist_id=adding.playlist,
        title=str(snippet.get("title") or ""),
        position=position if isinstance(position, int) else 0,
        url=f"{address(adding.video)}&list={adding.playlist}",
    )


@service.reaction("Like a video", idempotent=True, scopes=(WRITE,))
async def like(ctx: sdk.Context, which: Which) -> Rated:
    """Gives a video the account's like. One that has it keeps it."""
    await ctx.http.post("/videos/rate", params={"id": which.video, "rating": "like"})
    return Rated(video_id=which.video, url=address(which.video))


@service.reaction("Comment on a video", idempotent=False, scopes=(COMMENT,))
async def comment(ctx: sdk.Context, said: NewComment) -> Comment:
    """Writes a comment under a video, in the name of the account's channel."""
    written = {"snippet": {"textOriginal": said.text}}
    asked = {"snippet": {"videoId": said.video, "topLevelComment": written}}
    answer = await ctx.http.post(COMMENTS, params={"part": "snippet"}, json=asked)
    return _comment(mapping(answer, "id"), said)


@comment.reconcile
async def _written(ctx: sdk.Context, said: NewComment) -> Comment | None:
    """Of the account's own comments since the first attempt, the one with this text. One that is held for review is not found.

    Raises: Unknown when there are more comments since then than are looked through.
    """
    since = ctx.tried_since - GRACE if ctx.tried_since else None
    own = ctx.account.facts.get("channel_id") or (await own_channel(ctx)).get("id")
    asked: dict[str, str | int] = {"videoId": said.video, "order": "time", "textFormat": "plainText", "maxResults": 100}
    looked = 0
    async for page in pages(ctx, COMMENTS, LOOKED_THROUGH + 1, part="snippet", **asked):
        if looked == LOOKED_THROUGH:
            raise sdk.Unknown("The video has many new comments: look whether this one is among them.")
        looked, is_old = looked + 1, False
        for thread in page:
            found = part(thread, "snippet", "topLevelComment", "snippet")
            moment = moment_of(found.get("publishedAt"))
            # The last one tells where a page ends: one that stands above newer ones does not.
            is_old = bool(since and moment and moment < since)
            mine = own and part(found, "authorChannelId").get("value") == own
            if not is_old and thread.get("id") and mine and _same(found.get("textOriginal"), said.text):
                return _comment(thread, said)
        if is_old:
            return None
    return None


def _same(found: Any, text: str) -> bool:
    """YouTube trims texts."""
    return str(found or "").split() == text.split()


def _comment(thread: Mapping[str, Any], said: NewComment) -> Comment:
    top = part(thread, "snippet", "topLevelComment", "snippet")
    return Comment(
        id=str(thread["id"]),
        video_id=said.video,
        text=said.text,
        author=str(top.get("authorDisplayName") or ""),
        published_at=moment_of(top.get("publishedAt")),
        url=f"{address(said.video)}&lc={thread['id']}",
    )
