"""Tracks and episodes as Spotify shows them, and the links by which people name them.

https://developer.spotify.com/documentation/web-api/concepts/spotify-uris-ids
"""

import re
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, Field

from area.nodes import sdk
from area.nodes.spotify.provider import inner, listed

OPEN = "https://open.spotify.com"
EXAMPLE = "4iV5W9uYEdYUVa79Axb7Rh"
LINK = re.compile(
    r"(?:spotify:(?:user:[^:\s]+:)?|https://open\.spotify\.com/(?:intl-[\w-]{2,10}/)?)([a-z]+)[:/]([A-Za-z0-9]{22})(?:\?\S*)?"
)
ID = re.compile(r"[A-Za-z0-9]{22}")
NOTHING: dict[str, Any] = {"since": "1970-01-01T00:00:00+00:00", "seen": []}
"""Where there is nothing yet, all that comes is new."""


def uri_of(given: str, kinds: tuple[str, ...]) -> str:
    """The URI of what a link, a URI or, for the first of ``kinds``, a bare id names. Raises: ValueError."""
    text = given.strip()
    if ID.fullmatch(text):
        return f"spotify:{kinds[0]}:{text}"
    found = LINK.fullmatch(text)
    if found is None or found[1] not in kinds:
        named = " or ".join(kinds)
        raise ValueError(f"this is no {named}: copy its link in Spotify, such as {OPEN}/{kinds[0]}/{EXAMPLE}")
    return f"spotify:{found[1]}:{found[2]}"


def link_of(uri: str) -> str:
    """Where a URI opens."""
    _, kind, key = uri.split(":")
    return f"{OPEN}/{kind}/{key}"


def _playlist_id(given: str) -> str:
    return uri_of(given, ("playlist",)).rpartition(":")[2]


PlaylistId = Annotated[str, AfterValidator(_playlist_id)]
"""A playlist's id, also by its link or URI."""
Playable = Annotated[str, AfterValidator(partial(uri_of, kinds=("track", "episode")))]
Keepable = Annotated[str, AfterValidator(partial(uri_of, kinds=("track", "episode", "album", "show")))]
Startable = Annotated[
    str, AfterValidator(partial(uri_of, kinds=("track", "episode", "album", "playlist", "artist", "show")))
]


class Track(sdk.Outputs):
    """A track, or an episode of a show."""

    id: str = Field(title="Id", description="Spotify's id; empty for a file of the user's own.", examples=[EXAMPLE])
    uri: str = Field(title="URI", description="What reactions take.", examples=[f"spotify:track:{EXAMPLE}"])
    name: str = Field(title="Name", description="Its title.", examples=["Für Elise"])
    artist: str = Field(
        title="Artist",
        description="Its artists with commas between them; of an episode, the show.",
        examples=["Ada, Bob"],
    )
    artists: list[str] = Field(title="Artists", description="The artists one by one.", examples=[["Ada", "Bob"]])
    album: str = Field(title="Album", description="The album's name; of an episode, the show's.", examples=["Klavier"])
    seconds: int = Field(title="Length", description="In seconds.", examples=[207])
    explicit: bool = Field(title="Explicit", description="Whether its words are said to be.", examples=[False])
    image_url: str = Field(
        title="Picture",
        description="The cover's address; empty where there is none.",
        examples=["https://i.scdn.co/image/ab67616d00001e02ff9ca10b55ce82ae553c8228"],
    )
    url: str = Field(title="Address", description="Where it opens.", examples=[f"{OPEN}/track/{EXAMPLE}"])


class Added(Track):
    """A track that was put somewhere."""

    key: Annotated[str, sdk.Identity] = Field(
        title="Key", description="The moment and the track.", examples=[f"2026-03-01T08:00:00Z/spotify:track:{EXAMPLE}"]
    )
    added_at: datetime = Field(title="Added at", description="In UTC.", examples=["2026-03-01T08:00:00Z"])


AddedT = TypeVar("AddedT", bound=Added)


def track(found: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a `Track`."""
    show, album = inner(found, "show"), inner(found, "album")
    names = [str(one.get("name") or "") for one in listed(found, "artists")] or [str(show.get("name") or "")]
    artists = [name for name in names if name]
    pictures = listed(album, "images") or listed(found, "images") or listed(show, "images")
    length = found.get("duration_ms")
    return {
        "id": str(found.get("id") or ""),
        "uri": str(found.get("uri") or ""),
        "name": str(found.get("name") or ""),
        "artist": ", ".join(artists),
        "artists": artists,
        "album": str(album.get("name") or show.get("name") or ""),
        "seconds": round(length / 1000) if isinstance(length, int) else 0,
        "explicit": found.get("explicit") is True,
        "image_url": str((pictures[0].get("url") if pictures else "") or ""),
        "url": str(inner(found, "external_urls").get("spotify") or ""),
    }


def is_it(found: Mapping[str, Any], uri: str) -> bool:
    """Whether a track is the one meant, also where another of the same was put in its place for the account's country."""
    return uri in (found.get("uri"), inner(found, "linked_from").get("uri"))


def newer(entries: list[AddedT], cursor: Mapping[str, Any]) -> tuple[list[AddedT], dict[str, Any]]:
    """The entries that were added since the last look, oldest first, and the next cursor.

    That is the newest moment, and what was added at it: others may follow within the same second.
    """
    since, seen = datetime.fromisoformat(cursor["since"]), set(cursor["seen"])
    fresh = {one.key: one for one in entries if one.added_at >= since and one.key not in seen}
    newest = max([since, *(one.added_at for one in entries)])
    last = {one.key for one in entries if one.added_at == newest} | (seen if newest == since else set())
    found = sorted(fresh.values(), key=lambda one: one.added_at)
    return found, {"since": newest.isoformat(), "seen": sorted(last)}
