"""What can be done: playlists and the library are filled, and the player is told to play. https://developer.spotify.com/documentation/web-api/reference/start-a-users-playback"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

from pydantic import Field

from area.nodes import sdk
from area.nodes.spotify.playlists import END, EXAMPLE, added_by, fillable_choices, item_of, items_of, playlist_of
from area.nodes.spotify.provider import (
    LIBRARY_CHANGE,
    PLAYER,
    PLAYER_CHANGE,
    PLAYLISTS,
    PLAYLISTS_CHANGE,
    Restricted,
    accepted,
    inner,
    listed,
    mapping,
    moment_of,
    segment,
    service,
)
from area.nodes.spotify.tracks import EXAMPLE as TRACK
from area.nodes.spotify.tracks import OPEN, Keepable, Playable, PlaylistId, Startable, is_it, link_of

GRACE = timedelta(minutes=1)
"""How far Spotify's clock may be behind ours."""
SINGLE = ("track", "episode")
NEIGHBOURS = 100
"""Tracks that others may have put before one meanwhile."""


async def device_choices(ctx: sdk.Context, so_far: Mapping[str, Any]) -> list[sdk.Choice]:
    """The devices that Spotify is open on, and that take commands; the one that plays first."""
    found = listed(mapping(await ctx.http.get("/me/player/devices"), "devices"), "devices")
    there = [one for one in found if one.get("id") and one.get("is_restricted") is not True]
    there.sort(key=lambda one: one.get("is_active") is not True)
    return [sdk.Choice(str(one["id"]), _device(one)) for one in there]


DeviceId = Annotated[str | None, sdk.Choices(device_choices)]
DEVICE = "c0ffee1841b0976bae2a3a310dd74c0f3df35489"


class Addition(sdk.Inputs):
    """What to add, and where."""

    playlist: Annotated[PlaylistId, sdk.Choices(fillable_choices)] = Field(
        title="Playlist",
        description="A playlist of the account's own, or one that it works on; its link or id.",
        max_length=300,
        examples=[EXAMPLE],
    )
    track: Playable = Field(
        title="Track",
        description="A track or an episode: its link, URI or id.",
        max_length=300,
        examples=[f"spotify:track:{TRACK}", f"{OPEN}/track/{TRACK}"],
    )
    position: int | None = Field(
        None, title="Position", description="0 is the top; left out, it goes to the end.", ge=0, examples=[0]
    )
    once: bool = Field(
        False,
        title="Only once",
        description="Leaves it out if it is there already; of a playlist with more than 2,000 items, if it is near an end.",
        examples=[True],
    )


class Keeping(sdk.Inputs):
    """What to save."""

    what: Keepable = Field(
        title="What",
        description="A track, an album, an episode or a show: its link or URI; an id is a track's.",
        max_length=300,
        examples=[f"spotify:track:{TRACK}", f"{OPEN}/track/{TRACK}"],
    )


class Start(sdk.Inputs):
    """What to play, and where."""

    what: Startable | None = Field(
        None,
        title="What",
        description="A track, an episode, an album, a playlist, an artist or a show, by its link or URI; left out, it goes on.",
        max_length=300,
        examples=[f"spotify:track:{TRACK}", f"{OPEN}/playlist/{EXAMPLE}"],
    )
    device: DeviceId = Field(
        None,
        title="Device",
        description="A device that Spotify is open on; left out, the one that is playing.",
        min_length=1,
        max_length=100,
        examples=[DEVICE],
    )


class Skip(sdk.Inputs):
    """Where to skip."""

    device: DeviceId = Field(
        None,
        title="Device",
        description="A device that Spotify is open on; left out, the one that is playing.",
        min_length=1,
        max_length=100,
        examples=[DEVICE],
    )


class AddedTo(sdk.Outputs):
    """What was added."""

    added: bool = Field(title="Added", description="No, where it was there already.", examples=[True])
    uri: str = Field(title="URI", description="What was added.", examples=[f"spotify:track:{TRACK}"])
    url: str = Field(title="Address", description="Where it opens.", examples=[f"{OPEN}/track/{TRACK}"])
    playlist_id: str = Field(title="Playlist", description="The playlist's id.", examples=[EXAMPLE])
    playlist_url: str = Field(
        title="Playlist's address", description="Where it opens.", examples=[f"{OPEN}/playlist/{EXAMPLE}"]
    )
    snapshot_id: str = Field(
        title="Snapshot", description="Spotify's id of this state of the playlist.", examples=["MTgsYWJj"]
    )


class Kept(sdk.Outputs):
    """What is in the library now."""

    uri: str = Field(title="URI", description="What was saved.", examples=[f"spotify:track:{TRACK}"])
    url: str = Field(title="Address", description="Where it opens.", examples=[f"{OPEN}/track/{TRACK}"])


class Playing(sdk.Outputs):
    """What was started."""

    uri: str = Field(
        title="URI",
        description="What was asked for; empty where the player went on.",
        examples=[f"spotify:track:{TRACK}"],
    )
    url: str = Field(title="Address", description="Where it opens.", examples=[f"{OPEN}/track/{TRACK}"])
    device_id: str = Field(title="Device", description="The device that was chosen, if one was.", examples=[DEVICE])


class Skipped(sdk.Outputs):
    """Where it was skipped."""

    device_id: str = Field(title="Device", description="The device that was chosen, if one was.", examples=[DEVICE])


@service.reaction("Add to a playlist", idempotent=False, scopes=(*PLAYLISTS_CHANGE, PLAYLISTS))
async def add_to_playlist(ctx: sdk.Context, given: Addition) -> AddedTo:
    """Adds a track or an episode to a playlist: always, or only if it is not there yet."""
    if given.once:
        about, (entries, _) = await playlist_of(ctx, given.playlist), await items_of(ctx, given.playlist)
        if any(is_it(item_of(entry), given.track) for entry in entries):
            return _added(given, about, added=False)
    body: dict[str, Any] = {"uris": [given.track]}
    if given.position is not None:
        body["position"] = given.position
    answer = await ctx.http.post(f"/playlists/{segment(given.playlist)}/items", json=body)
    return _added(given, mapping(answer, "snapshot_id"))


@add_to_playlist.reconcile
async def _was_added(ctx: sdk.Context, given: Addition) -> AddedTo | None:
    """Whether this account has added it since the step began; also by another run, if that was within the same minute."""
    since = (ctx.tried_since or ctx.now()) - GRACE
    about = await playlist_of(ctx, given.playlist)
    entries, total = await items_of(ctx, given.playlist)
    for entry in entries:
        moment, mine = moment_of(entry.get("added_at")), added_by(entry) in ("", ctx.account.external_id)
        if mine and moment and moment >= since and is_it(item_of(entry), given.track):
            return _added(given, about)
    if total > 2 * END and given.position is not None and END - NEIGHBOURS < given.position < total - END:
        raise sdk.Unknown("The playlist is so long that it cannot be said whether the track was added in its middle.")
    return None


@service.reaction("Save to the library", idempotent=True, scopes=(LIBRARY_CHANGE,))
async def save(ctx: sdk.Context, given: Keeping) -> Kept:
    """Saves (likes) a track, an album, an episode or a show. What is saved already stays so."""
    accepted(await ctx.http.put("/me/library", params={"uris": given.what}), safe=True)
    return Kept(uri=given.what, url=link_of(given.what))


def _goes_on(given: Start) -> bool:
    """To go on twice is to go on; to start twice begins from the top again."""
    return given.what is None


@service.reaction("Play", idempotent=_goes_on, scopes=(PLAYER_CHANGE, PLAYER))
async def play(ctx: sdk.Context, given: Start) -> Playing:
    """Plays something, or goes on with what was playing. Needs Premium, and a device that Spotify is open on."""
    body: dict[str, Any] | None = None
    if given.what:
        single = given.what.split(":")[1] in SINGLE
        body = {"uris": [given.what]} if single else {"context_uri": given.what}
    try:
        answer = await ctx.http.put("/me/player/play", params=_query(given.device), json=body)
        accepted(answer, safe=_goes_on(given))
    except Restricted:
        # A player that plays already refuses to go on.
        if given.what or not _plays(await _player(ctx), given):
            raise
    return _playing(given)


@play.reconcile
async def _was_started(ctx: sdk.Context, given: Start) -> Playing | None:
    """Whether that is what is playing."""
    return _playing(given) if _plays(await _player(ctx), given) else None


@service.reaction("Skip to the next track", idempotent=False, scopes=(PLAYER_CHANGE, PLAYER))
async def skip(ctx: sdk.Context, given: Skip) -> Skipped:
    """Skips what is playing. Needs Premium, and a device that Spotify is open on."""
    accepted(await ctx.http.post("/me/player/next", params=_query(given.device)), safe=False)
    return Skipped(device_id=given.device or "")


async def _player(ctx: sdk.Context) -> dict[str, Any]:
    """What the player does; nothing, where it is closed."""
    answer = await ctx.http.get("/me/player", params={"additional_types": "track,episode"})
    return {} if answer.status_code == 204 else mapping(answer, "device")


def _plays(player: Mapping[str, Any], given: Start) -> bool:
    here = given.device in (None, inner(player, "device").get("id"))
    what = given.what
    it = not what or inner(player, "context").get("uri") == what or is_it(inner(player, "item"), what)
    return player.get("is_playing") is True and here and it


def _playing(given: Start) -> Playing:
    what = given.what or ""
    return Playing(uri=what, url=link_of(what) if what else "", device_id=given.device or "")


def _added(given: Addition, playlist: Mapping[str, Any], *, added: bool = True) -> AddedTo:
    return AddedTo(
        added=added,
        uri=given.track,
        url=link_of(given.track),
        playlist_id=given.playlist,
        playlist_url=f"{OPEN}/playlist/{given.playlist}",
        snapshot_id=str(playlist["snapshot_id"]),
    )


def _query(device: str | None) -> dict[str, str]:
    return {"device_id": device} if device else {}


def _device(found: Mapping[str, Any]) -> str:
    more = [str(found.get("type") or "").lower(), "playing" if found.get("is_active") is True else ""]
    told = ", ".join(part for part in more if part)
    name = str(found.get("name") or found["id"])
    return f"{name} ({told})" if told else name
