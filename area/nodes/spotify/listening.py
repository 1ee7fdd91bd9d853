"""What an account saves and plays. Spotify sends no webhooks: it is asked.

https://developer.spotify.com/documentation/web-api/reference/get-users-saved-tracks
https://developer.spotify.com/documentation/web-api/reference/get-recently-played
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import Field

from area.nodes import sdk
from area.nodes.spotify.provider import HISTORY, LIBRARY_READ, inner, listed, mapping, moment_of, service
from area.nodes.spotify.tracks import EXAMPLE, NOTHING, Added, Track, newer, track

EVERY = timedelta(minutes=2)
"""All users of an app share its rate limit."""
PER_PAGE = 50
"""The most that Spotify gives."""
PAGES = 10


class Everything(sdk.Inputs):
    """There is nothing to choose."""


class Saved(Added):
    """A track that was saved."""


class Played(Track):
    """A track that was played."""

    key: Annotated[str, sdk.Identity] = Field(
        title="Key",
        description="The moment and the track.",
        examples=[f"2026-03-01T08:00:00.123Z/spotify:track:{EXAMPLE}"],
    )
    played_at: datetime = Field(title="Played at", description="In UTC.", examples=["2026-03-01T08:00:00.123000Z"])
    context_uri: str = Field(
        title="Played from",
        description="The URI of the playlist, album or artist that it was played from; empty where there is none.",
        examples=["spotify:playlist:3cEYpjA9oz9GiPac4AsH4n"],
    )


@service.poll("Track saved", every=EVERY, scopes=(LIBRARY_READ,))
async def track_saved(ctx: sdk.Context, where: Everything) -> sdk.Page[Saved]:
    """Fires once for each track that the account saves (likes). One that is taken out and saved again fires again."""
    cursor: dict[str, Any] = dict(ctx.cursor or NOTHING)
    found: list[Saved] = []
    for page in range(PAGES if ctx.cursor else 1):
        body = mapping(await ctx.http.get("/me/tracks", params={"limit": PER_PAGE, "offset": page * PER_PAGE}), "items")
        shown = list(_saved(body))
        found += shown
        # The newest come first.
        if not body.get("next") or not shown or shown[-1].added_at < datetime.fromisoformat(cursor["since"]):
            break
    else:
        if ctx.cursor:
            ctx.log(f"More than {PAGES * PER_PAGE} tracks were saved since the last look: the oldest are passed over.")
    fresh, following = newer(found, cursor)
    return sdk.Page(fresh if ctx.cursor else [], following)


@service.poll("Track played", every=EVERY, scopes=(HISTORY,))
async def track_played(ctx: sdk.Context, where: Everything) -> sdk.Page[Played]:
    """Fires once for each track that the account has played, soon after its end; never what is played in a private session."""
    asked: dict[str, int] = {"limit": 1} if ctx.cursor is None else {"limit": PER_PAGE, "after": ctx.cursor["after"]}
    body = mapping(await ctx.http.get("/me/player/recently-played", params=asked), "items")
    played = sorted(_played(body), key=lambda one: one.played_at)
    known = ctx.cursor["after"] if ctx.cursor else 0
    told = str(inner(body, "cursors").get("after") or "")
    after = max(
        known,
        int(told) if told.isascii() and told.isdigit() and len(told) < 16 else 0,
        *(_milliseconds(one.played_at) for one in played),
    )
    # Of an account that has played nothing, what is played from now on is news.
    return sdk.Page(played, {"after": after or _milliseconds(ctx.now())})


def _saved(body: dict[str, Any]) -> Iterator[Saved]:
    for one in listed(body, "items"):
        found, moment = inner(one, "track"), moment_of(one.get("added_at"))
        if moment and found.get("uri"):
            yield Saved(**track(found), added_at=moment, key=f"{one['added_at']}/{found['uri']}")


def _played(body: dict[str, Any]) -> Iterator[Played]:
    for one in listed(body, "items"):
        found, moment = inner(one, "track"), moment_of(one.get("played_at"))
        if moment and found.get("uri"):
            yield Played(
                **track(found),
                played_at=moment,
                context_uri=str(inner(one, "context").get("uri") or ""),
                key=f"{one['played_at']}/{found['uri']}",
            )


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
