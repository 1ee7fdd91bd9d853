"""What happens to a stream or a channel, of one's own or of somebody else: Twitch asks nobody's consent to tell it.

https://dev.twitch.tv/docs/eventsub/eventsub-subscription-types/
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from area.nodes import sdk
from area.nodes.twitch import eventsub
from area.nodes.twitch.provider import Channel, data, service

THUMBNAIL = ("1280", "720")


class Where(sdk.Inputs):
    """Whose channel."""

    channel: Annotated[Channel, sdk.NoTemplate] = Field(
        None,
        title="Channel",
        description="Name or address of the channel to watch; empty for your own.",
        examples=["twitchdev"],
    )


class Direction(StrEnum):
    """Which side of a raid the channel is on."""

    INCOMING = "incoming"
    OUTGOING = "outgoing"


class RaidWhere(Where):
    """Whose raids."""

    direction: Annotated[Direction, sdk.NoTemplate] = Field(
        Direction.INCOMING,
        title="Direction",
        description="Raids that arrive at the channel, or raids that it sends out.",
        examples=["incoming"],
    )


class OfChannel(sdk.Outputs):
    """The channel where it happened."""

    broadcaster_id: str = Field(title="Broadcaster's id", description="The channel's id.", examples=["1337"])
    broadcaster_login: str = Field(
        title="Broadcaster's login", description="As in the channel's address.", examples=["cooler_user"]
    )
    broadcaster_name: str = Field(
        title="Broadcaster's name", description="As it is shown on Twitch.", examples=["Cooler_User"]
    )
    url: str = Field(title="URL", description="The channel's page.", examples=["https://www.twitch.tv/cooler_user"])


class StreamStarted(OfChannel):
    """A stream that began. Title and game are empty when Twitch could not be asked for them."""

    id: Annotated[str, sdk.Identity] = Field(title="Stream's id", description="Names this stream.", examples=["9001"])
    type: str = Field(title="Type", description="live, or playlist, watch_party, premiere, rerun.", examples=["live"])
    started_at: datetime = Field(title="Started at", description="In UTC.", examples=["2026-03-01T08:00:00Z"])
    title: str = Field("", title="Title", description="The stream's title.", examples=["Best Stream Ever"])
    game: str = Field("", title="Game", description="The game or category.", examples=["Just Chatting"])
    game_id: str = Field("", title="Game's id", description="Twitch's id of it.", examples=["509658"])
    tags: list[str] = Field(
        default_factory=list, title="Tags", description="The channel's tags.", examples=[["English"]]
    )
    language: str = Field("", title="Language", description="Its code, as en.", examples=["en"])
    thumbnail_url: str = Field(
        title="Thumbnail",
        description="Address of a picture of the running stream.",
        examples=["https://static-cdn.jtvnw.net/previews-ttv/live_user_cooler_user-1280x720.jpg"],
    )


class StreamEnded(OfChannel):
    """A stream that ended."""

    ended_at: datetime | None = Field(
        None, title="Ended at", description="When Twitch told it, in UTC.", examples=["2026-03-01T10:00:00Z"]
    )


class ChannelChanged(OfChannel):
    """What a channel shows of itself now."""

    title: str = Field(title="Title", description="The title.", examples=["Best Stream Ever"])
    game: str = Field("", title="Game", description="The game or category.", examples=["Just Chatting"])
    game_id: str = Field("", title="Game's id", description="Twitch's id of it.", examples=["509658"])
    language: str = Field("", title="Language", description="Its code, as en.", examples=["en"])
    content_labels: list[str] = Field(
        default_factory=list,
        title="Content labels",
        description="What viewers are warned of.",
        examples=[["MatureGame"]],
    )


class Raid(sdk.Outputs):
    """One channel sent its viewers to another."""

    from_id: str = Field(title="Raider's id", description="The channel that raids.", examples=["1234"])
    from_login: str = Field(title="Raider's login", description="As in its address.", examples=["cool_user"])
    from_name: str = Field(title="Raider's name", description="As it is shown.", examples=["Cool_User"])
    from_url: str = Field(title="Raider's URL", description="Its page.", examples=["https://www.twitch.tv/cool_user"])
    to_id: str = Field(title="Raided id", description="The channel that is raided.", examples=["1337"])
    to_login: str = Field(title="Raided login", description="As in its address.", examples=["cooler_user"])
    to_name: str = Field(title="Raided name", description="As it is shown.", examples=["Cooler_User"])
    to_url: str = Field(title="Raided URL", description="Its page.", examples=["https://www.twitch.tv/cooler_user"])
    viewers: int = Field(title="Viewers", description="How many came along.", examples=[9001])


def page(login: Any) -> str:
    """The address of a channel."""
    return f"https://www.twitch.tv/{login}"


def of_channel(event: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of `OfChannel`."""
    return {
        "broadcaster_id": event.get("broadcaster_user_id"),
        "broadcaster_login": event.get("broadcaster_user_login"),
        "broadcaster_name": event.get("broadcaster_user_name"),
        "url": page(event.get("broadcaster_user_login")),
    }


@service.webhook("Stream online", app_level=True, dedupe=eventsub.ID)
def stream_online(where: Where, delivery: sdk.WebhookDelivery) -> StreamStarted | None:
    """Fires when a channel goes live, with the stream's title and game."""
    event = eventsub.event_of(delivery)
    return eventsub.read(
        StreamStarted,
        **of_channel(event),
        id=event.get("id"),
        type=event.get("type"),
        started_at=event.get("started_at"),
        thumbnail_url=f"https://static-cdn.jtvnw.net/previews-ttv/live_user_{event.get('broadcaster_user_login')}"
        f"-{'x'.join(THUMBNAIL)}.jpg",
    )


@stream_online.enrich
async def with_title(ctx: sdk.Context, event: StreamStarted) -> StreamStarted:
    """Title and game, which the delivery lacks: of the stream, or of the channel while Twitch does not list the stream yet."""
    streams = data(await ctx.http.get("/streams", params={"user_id": event.broadcaster_id}))
    found: dict[str, Any] = next((stream for stream in streams if stream.get("id") == event.id), {})
    if not found:
        channels = data(await ctx.http.get("/channels", params={"broadcaster_id": event.broadcaster_id}))
        found = channels[0] if channels else {}
    picture = str(found.get("thumbnail_url") or event.thumbnail_url)
    more = {
        "title": found.get("title") or "",
        "game": found.get("game_name") or "",
        "game_id": found.get("game_id") or "",
        "tags": found.get("tags") or [],
        "language": found.get("language") or found.get("broadcaster_language") or "",
        "thumbnail_url": picture.replace("{width}", THUMBNAIL[0]).replace("{height}", THUMBNAIL[1]),
    }
    return eventsub.read(StreamStarted, **{**event.model_dump(), **more})


@service.webhook("Stream offline", app_level=True, dedupe=eventsub.ID)
def stream_offline(where: Where, delivery: sdk.WebhookDelivery) -> StreamEnded | None:
    """Fires when a channel's stream ends."""
    event = eventsub.event_of(delivery)
    return eventsub.read(StreamEnded, **of_channel(event), ended_at=eventsub.sent_at(delivery))


@service.webhook("Channel updated", app_level=True, dedupe=eventsub.ID)
def channel_updated(where: Where, delivery: sdk.WebhookDelivery) -> ChannelChanged | None:
    """Fires when a channel changes its title, game, language or content labels."""
    event = eventsub.event_of(delivery)
    return eventsub.read(
        ChannelChanged,
        **of_channel(event),
        title=event.get("title"),
        game=event.get("category_name") or "",
        game_id=event.get("category_id") or "",
        language=event.get("language") or "",
        content_labels=event.get("content_classification_labels") or [],
    )


@service.webhook("Raid", app_level=True, dedupe=eventsub.ID)
def raid(where: RaidWhere, delivery: sdk.WebhookDelivery) -> Raid | None:
    """Fires when a channel is raided, or raids another."""
    event = eventsub.event_of(delivery)
    sides = {
        f"{side}_{part}": event.get(f"{side}_broadcaster_user_{part}")
        for side in ("from", "to")
        for part in ("id", "login", "name")
    }
    urls = {f"{side}_url": page(sides[f"{side}_login"]) for side in ("from", "to")}
    return eventsub.read(Raid, **sides, **urls, viewers=event.get("viewers"))


def _side(where: RaidWhere, own: str, watched: str) -> Mapping[str, str]:
    side = "to" if where.direction == Direction.INCOMING else "from"
    return {f"{side}_broadcaster_user_id": watched}


eventsub.listen(stream_online, "stream.online")
eventsub.listen(stream_offline, "stream.offline")
eventsub.listen(channel_updated, "channel.update", "2")
eventsub.listen(raid, "channel.raid", condition=_side)
