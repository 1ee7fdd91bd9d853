"""What happens in a playlist: its snapshot says that something did, its items what came.

https://developer.spotify.com/documentation/web-api/concepts/playlists
"""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from area.nodes import sdk
from area.nodes.spotify.listening import EVERY, PER_PAGE
from area.nodes.spotify.provider import PLAYLISTS, inner, listed, mapping, moment_of, segment, service
from area.nodes.spotify.tracks import NOTHING, OPEN, Added, PlaylistId, newer, track

PAGES = 40
"""Of a playlist with more items, the first and the last are read: most people add at one of its ends."""
END = PAGES // 2 * PER_PAGE
"""Items that are read at each end."""
CHOICE_PAGES = 4
MOST_TOLD = 100
EXAMPLE = "3cEYpjA9oz9GiPac4AsH4n"


async def playlist_choices(ctx: sdk.Context, so_far: Mapping[str, Any]) -> list[sdk.Choice]:
    """The account's playlists, and those of others that it follows."""
    return [_choice(one, ctx.account.external_id) for one in await _playlists(ctx)]


async def fillable_choices(ctx: sdk.Context, so_far: Mapping[str, Any]) -> list[sdk.Choice]:
    """The playlists that the account may add to."""
    me = ctx.account.external_id
    return [_choice(one, me) for one in await _playlists(ctx) if _owner(one) == me or one.get("collaborative") is True]


class Which(sdk.Inputs):
    """Which playlist."""

    playlist: Annotated[PlaylistId, sdk.Choices(playlist_choices), sdk.NoTemplate] = Field(
        title="Playlist",
        description="A playlist of the account's own, or one that it works on; its link or id.",
        max_length=300,
        examples=[EXAMPLE],
    )


class Listed(Added):
    """A track that was put into a playlist."""

    added_by: str = Field(title="Added by", description="The id of the user who did.", examples=["ada"])
    playlist_id: str = Field(title="Playlist", description="The playlist's id.", examples=[EXAMPLE])
    playlist_name: str = Field(title="Playlist's name", description="Its name.", examples=["Fête 🎉"])


class Change(sdk.Outputs):
    """What a look found changed."""

    snapshot_id: Annotated[str, sdk.Identity] = Field(
        title="Snapshot", description="Spotify's id of this state of the playlist.", examples=["MTgsYWJj"]
    )
    playlist_id: str = Field(title="Playlist", description="The playlist's id.", examples=[EXAMPLE])
    playlist_name: str = Field(title="Playlist's name", description="Its name.", examples=["Fête 🎉"])
    owner: str = Field(title="Owner", description="The owner's name, or id.", examples=["Ada Lovelace"])
    total: int = Field(title="Items", description="How many there are now.", examples=[12])
    added_count: int = Field(title="Added", description="How many were added.", examples=[1])
    added_text: str = Field(
        title="Added, as text",
        description="What was added, each on a line of its own; empty where something else changed.",
        examples=["Ada, Bob - Für Elise"],
    )
    added: list[Listed] = Field(
        title="What was added",
        description=f"The tracks one by one, oldest first, {MOST_TOLD} at most.",
        examples=[[sdk.sample_of(Listed)]],
    )
    url: str = Field(title="Address", description="Where it opens.", examples=[f"{OPEN}/playlist/{EXAMPLE}"])


@service.poll("Playlist changed", every=EVERY, scopes=(PLAYLISTS,))
async def playlist_changed(ctx: sdk.Context, where: Which) -> sdk.Page[Change]:
    """Fires when a playlist has changed: items added, taken out or moved, or its name. All between two looks is one event."""
    playlist, fresh, total, cursor = await _look(ctx, where.playlist)
    if fresh is None:
        return sdk.Page([], cursor)
    owner = inner(playlist, "owner")
    change = Change(
        snapshot_id=cursor["snapshot"],
        playlist_id=where.playlist,
        playlist_name=str(playlist.get("name") or ""),
        owner=str(owner.get("display_name") or owner.get("id") or ""),
        total=total,
        added_count=len(fresh),
        added_text="\n".join(f"{one.artist} - {one.name}" if one.artist else one.name for one in fresh[:MOST_TOLD]),
        added=fresh[:MOST_TOLD],
        url=f"{OPEN}/playlist/{where.playlist}",
    )
    return sdk.Page([change], cursor)


@service.poll("Track added to a playlist", every=EVERY, scopes=(PLAYLISTS,))
async def track_added(ctx: sdk.Context, where: Which) -> sdk.Page[Listed]:
    """Fires once for each track or episode that somebody adds to a playlist."""
    _, fresh, _, cursor = await _look(ctx, where.playlist)
    return sdk.Page(fresh or [], cursor)


async def playlist_of(ctx: sdk.Context, playlist: str) -> dict[str, Any]:
    """A playlist without its items. Raises: Gone."""
    query = {"fields": "id,name,snapshot_id,owner(id,display_name)"}
    return mapping(await ctx.http.get(f"/playlists/{segment(playlist)}", params=query), "snapshot_id")


async def items_of(ctx: sdk.Context, playlist: str) -> tuple[list[dict[str, Any]], int]:
    """A playlist's items as Spotify shows them, and how many there are; `PAGES` pages at most are read."""
    body = await _page(ctx, playlist, 0)
    total = body["total"] if isinstance(body["total"], int) else 0
    found, offsets = listed(body, "items"), list(range(PER_PAGE, total, PER_PAGE))
    if len(offsets) >= PAGES:
        half = PAGES // 2
        offsets = offsets[: half - 1] + offsets[-half:]
        ctx.log(f"The playlist has {total} items: the first and the last {END} are looked at.")
    for offset in offsets:
        found += listed(await _page(ctx, playlist, offset), "items")
    return found, total


def item_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The track or episode of an entry; it was ``track`` until 2026, and is still for some apps."""
    return inner(entry, "item") or inner(entry, "track")


async def _look(ctx: sdk.Context, playlist: str) -> tuple[dict[str, Any], list[Listed] | None, int, dict[str, Any]]:
    """The playlist, what was added since the last look, how many items there are, and the cursor. None: nothing changed."""
    known: dict[str, Any] | None = ctx.cursor
    about = await playlist_of(ctx, playlist)
    if known is not None and about["snapshot_id"] == known["snapshot"]:
        return about, None, 0, known
    entries, total = await items_of(ctx, playlist)
    shown = [one for one in (_listed(entry, playlist, about) for entry in entries) if one]
    fresh, following = newer(shown, known or NOTHING)
    return about, None if known is None else fresh, total, {**following, "snapshot": str(about["snapshot_id"])}


def _listed(entry: Mapping[str, Any], playlist: str, about: Mapping[str, Any]) -> Listed | None:
    """None for what has no moment, as in very old playlists, and for what is not to be had any more."""
    found, moment = item_of(entry), moment_of(entry.get("added_at"))
    if moment is None or not found.get("uri"):
        return None
    return Listed(
        **track(found),
        key=f"{entry['added_at']}/{found['uri']}",
        added_at=moment,
        added_by=added_by(entry),
        playlist_id=playlist,
        playlist_name=str(about.get("name") or ""),
    )


def added_by(entry: Mapping[str, Any]) -> str:
    """The id of who added it; empty where Spotify does not say."""
    return str(inner(entry, "added_by").get("id") or "")


async def _page(ctx: sdk.Context, playlist: str, offset: int) -> dict[str, Any]:
    query: dict[str, str | int] = {"limit": PER_PAGE, "offset": offset, "additional_types": "track,episode"}
    return mapping(await ctx.http.get(f"/playlists/{segment(playlist)}/items", params=query), "items", "total")


async def _playlists(ctx: sdk.Context) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for page in range(CHOICE_PAGES):
        query = {"limit": PER_PAGE, "offset": page * PER_PAGE}
        body = mapping(await ctx.http.get("/me/playlists", params=query), "items")
        found += [one for one in listed(body, "items") if one.get("id")]
        if not body.get("next"):
            break
    return found


def _owner(playlist: Mapping[str, Any]) -> str:
    return str(inner(playlist, "owner").get("id") or "")


def _choice(playlist: Mapping[str, Any], me: str) -> sdk.Choice:
    name, owner = str(playlist.get("name") or playlist["id"]), inner(playlist, "owner")
    whose = "" if _owner(playlist) == me else str(owner.get("display_name") or owner.get("id") or "")
    return sdk.Choice(str(playlist["id"]), f"{name} ({whose})" if whose else name)
