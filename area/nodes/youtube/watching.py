"""What happens on YouTube: a channel publishes a video, the account likes one."""

import re
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import Field

from area.nodes import sdk
from area.nodes._google import listed, mapping
from area.nodes.youtube import websub
from area.nodes.youtube.provider import (
    CHANNEL,
    PER_PAGE,
    READ,
    ChannelId,
    address,
    moment_of,
    pages,
    part,
    service,
    thumbnail,
)

LIKES_EVERY = timedelta(minutes=15)
"""96 units a day for each account."""
LIKES = "LL"
"""The playlist of the videos that the account likes, the newest first."""
LOOKED_AT = 4
"""Pages of likes read in one look."""
CHANGED = timedelta(hours=18)
"""How long after it was published a changed video is news, if it was not told: shorter than what has been told is remembered."""
GRACE = timedelta(minutes=1)
"""How far Google's clock may be behind ours."""
DURATION = re.compile(r"P(?:(\d{1,4})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,9})S)?)?")


class Where(sdk.Inputs):
    """Which channel."""

    channel: ChannelId = Field(
        title="Channel",
        description="The channel's id, which begins with UC, or its address with it. YouTube shows it under About, Share channel.",
        pattern=CHANNEL,
        max_length=120,
        examples=["UC_x5XG1OV2P6uZZ5FSM9Ttw"],
    )


class Likes(sdk.Inputs):
    """Those of the account."""


class Video(sdk.Outputs):
    """A video."""

    id: Annotated[str, sdk.Identity] = Field(title="Id", description="YouTube's id.", examples=["dQw4w9WgXcQ"])
    title: str = Field(title="Title", description="What it is called.", examples=["How we built it"])
    url: str = Field(
        title="Address", description="Where it is watched.", examples=["https://www.youtube.com/watch?v=dQw4w9WgXcQ"]
    )
    channel_id: str = Field(
        title="Channel id", description="The id of its channel.", examples=["UC_x5XG1OV2P6uZZ5FSM9Ttw"]
    )
    channel: str = Field(title="Channel", description="Its channel's name.", examples=["Ada builds"])
    published_at: datetime | None = Field(
        None, title="Published at", description="In UTC.", examples=["2026-03-01T08:00:00Z"]
    )
    description: str = Field("", title="Description", description="Its text.", examples=["With all the plans."])
    thumbnail_url: str = Field(
        "",
        title="Picture",
        description="The address of its picture.",
        examples=["https://i.ytimg.com/vi/dQw4w9WgXcQ/hqdefault.jpg"],
    )


class Published(Video):
    """A video that a channel has published. Without an account, what the feed does not tell is empty."""

    duration: int | None = Field(
        None, title="Duration", description="In seconds; empty while it is live, or not known.", examples=[212]
    )
    live: str = Field(
        "", title="Live", description="none, upcoming, live or completed; empty when not known.", examples=["none"]
    )


class Liked(Video):
    """A video that the account likes."""

    liked_at: datetime | None = Field(None, title="Liked at", description="In UTC.", examples=["2026-03-01T09:00:00Z"])


def _confirm(where: Where, delivery: sdk.WebhookDelivery) -> sdk.Answer | None:
    return None if delivery.method == "POST" else websub.confirm(websub.topic_of(where.channel), delivery)


def _let_go(where: Where, delivery: sdk.WebhookDelivery) -> sdk.Answer:
    return websub.let_go(websub.topic_of(where.channel), delivery)


@service.webhook(
    "New video in a channel",
    verify=websub.SIGNED,
    account="optional",
    scopes=(READ,),
    handshake=_confirm,
    farewell=_let_go,
)
def new_video(where: Where, delivery: sdk.WebhookDelivery) -> list[Published]:
    """Fires once for each video that a channel publishes. Older ones that are changed or deleted fire nothing.

    Without an account there are no description, picture and duration.
    """
    since, found = websub.watched_since(delivery.query), []
    for entry in websub.entries(delivery.raw):
        moment, video = moment_of(entry.get("published")), entry.get("id", "").strip()
        # The hub tells of changed titles as well; of videos that have fired lately those are the same event.
        fresh = (
            moment and moment.timestamp() >= since and (moment_of(entry.get("updated")) or moment) - moment < CHANGED
        )
        if video and fresh and entry.get("channel_id") == where.channel:
            told = {"title": entry.get("title", ""), "channel": entry.get("channel", "")}
            found.append(Published(id=video, url=address(video), channel_id=where.channel, published_at=moment, **told))
    return found


@new_video.subscribe
async def subscribe(ctx: sdk.Context, where: Where, hook: sdk.Hook) -> sdk.Subscription:
    """The hub confirms later, by asking our address."""
    return await websub.subscribe(ctx, websub.topic_of(where.channel), hook)


@new_video.unsubscribe
async def unsubscribe(ctx: sdk.Context, where: Where, remote_id: str) -> None:
    """The subscription is known by its callback."""
    await websub.unsubscribe(ctx, websub.topic_of(where.channel), remote_id)


@new_video.enrich
async def add_details(ctx: sdk.Context, event: Published) -> Published:
    """What the feed does not tell, for a unit of the account's quota."""
    if not ctx.has_account:
        return event
    answer = await ctx.http.get("/videos", params={"part": "snippet,contentDetails", "id": event.id})
    found = next((one for one in listed(mapping(answer), "items") if one.get("id") == event.id), {})
    snippet = part(found, "snippet")
    more = {
        "description": str(snippet.get("description") or ""),
        "thumbnail_url": thumbnail(snippet),
        "duration": seconds_of(part(found, "contentDetails").get("duration")),
        "live": str(snippet.get("liveBroadcastContent") or ""),
    }
    return event.model_copy(update=more)


@service.poll("New liked video", every=LIKES_EVERY, scopes=(READ,))
async def liked_video(ctx: sdk.Context, where: Likes) -> sdk.Page[Liked]:
    """Fires once for each video that the account likes; within a quarter of an hour, as Google counts each look."""
    since = moment_of(ctx.cursor["since"]) if ctx.cursor else None
    found: list[Liked] = []
    asked: dict[str, str | int] = {"playlistId": LIKES, "maxResults": PER_PAGE}
    async for page in pages(ctx, "/playlistItems", LOOKED_AT if since else 1, part="snippet,contentDetails", **asked):
        liked = [one for one in map(_liked, page) if one.id and one.liked_at]
        # One from long ago comes into sight again when a later like is taken back.
        new = [one for one in liked if since is None or (one.liked_at and one.liked_at >= since)]
        found += new
        if len(new) < len(liked):
            break
    latest = max((one.liked_at for one in found if one.liked_at), default=since or ctx.now() - GRACE)
    return sdk.Page(found[::-1], {"since": latest.isoformat()})


def _liked(item: dict[str, Any]) -> Liked:
    snippet, details = part(item, "snippet"), part(item, "contentDetails")
    video = str(details.get("videoId") or part(snippet, "resourceId").get("videoId") or "")
    return Liked(
        id=video,
        title=str(snippet.get("title") or ""),
        url=address(video),
        channel_id=str(snippet.get("videoOwnerChannelId") or ""),
        channel=str(snippet.get("videoOwnerChannelTitle") or ""),
        published_at=moment_of(details.get("videoPublishedAt")),
        description=str(snippet.get("description") or ""),
        thumbnail_url=thumbnail(snippet),
        liked_at=moment_of(snippet.get("publishedAt")),
    )


def seconds_of(given: Any) -> int | None:
    """A duration in ISO 8601, in seconds; None for none, as of what is live."""
    found = DURATION.fullmatch(str(given))
    if not found:
        return None
    days, hours, minutes, seconds = (int(one or 0) for one in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds or None
