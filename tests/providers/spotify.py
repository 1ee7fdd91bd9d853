"""A stand-in for Spotify: a library, a history, playlists and a player. https://developer.spotify.com/documentation/web-api"""

import itertools
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.responses import JSONResponse, Response

from tests.providers.base import StandIn
from tests.providers.calls import Call
from tests.providers.oauth import Dialect

API = "/v1"
PARTY, THEIRS = "3cEYpjA9oz9GiPac4AsH4n", "37i9dQZF1DXcBWIGoYBM5M"
KITCHEN, PHONE, LOCKED = "c0ffee1841b0976bae2a3a310dd74c0f3df35489", "0d1841b0976bae2a3a310dd74c0f3df354899bc8", "tv1"


def key_of(number: int) -> str:
    """An id as Spotify makes them: 22 letters and digits."""
    return f"{number:022d}"


def uri(number: int) -> str:
    """The URI of a track."""
    return f"spotify:track:{key_of(number)}"


def track(number: int, name: str = "", **more: Any) -> dict[str, Any]:
    """A track of two artists, with a cover."""
    key = key_of(number)
    names = (("a1", "Ada"), ("b1", "Björk 🎤"))
    artists = [{"id": one, "name": told, "type": "artist", "uri": f"spotify:artist:{one}"} for one, told in names]
    album = {
        "album_type": "album",
        "artists": artists,
        "available_markets": ["DE"],
        "external_urls": {"spotify": "https://open.spotify.com/album/x"},
        "href": "https://api.spotify.com/v1/albums/x",
        "id": "x",
        "images": [{"url": "https://i.scdn.co/image/x", "height": 300, "width": 300}],
        "name": "Homogénic",
        "release_date": "1997-09",
        "release_date_precision": "month",
        "total_tracks": 10,
        "type": "album",
        "uri": "spotify:album:x",
    }
    urls = {"spotify": f"https://open.spotify.com/track/{key}"}
    fixed = {"id": key, "uri": uri(number), "name": name or f"Jóga {number}", "type": "track", "explicit": False}
    return {**fixed, "artists": artists, "album": album, "duration_ms": 305_400, "external_urls": urls, **more}


class Spotify(StandIn):
    """The first user's, who has Premium, a speaker that plays, and a telephone. Tokens rotate, as those made with PKCE do."""

    base_path = API

    def __init__(self) -> None:
        dialect = Dialect(
            authorize="/authorize",
            token="/api/token",
            revoke=None,
            rotates=True,
            pkce="required",
            client_auth="basic",
            shape_error=lambda error, words: {"error": error, "error_description": "Refresh token revoked"},
        )
        super().__init__("spotify", dialect)
        self.saved: list[dict[str, Any]] = []
        self.kept: list[str] = []
        self.history: list[dict[str, Any]] = []
        self.items: dict[str, list[dict[str, Any]]] = {PARTY: [], THEIRS: []}
        self.snapshots = dict.fromkeys(self.items, 1)
        self.names = {PARTY: "Fête 🎉", THEIRS: "Hits"}
        self.owners = {PARTY: self.users[0], THEIRS: self.users[1]}
        self.premium = True
        self.devices = [
            _device(PHONE, "Handy", "Smartphone"),
            _device(KITCHEN, "Küche", "Speaker", is_active=True),
            _device(LOCKED, "TV", "TV", is_restricted=True),
            _device(None, "Car", "Automobile"),
        ]
        self.playing: dict[str, Any] | None = None
        self.skips = 0
        self.moment = datetime.now(UTC).replace(microsecond=0)
        self._numbers = itertools.count(1000)
        self._api()

    def _api(self) -> None:
        control = ("user-modify-playback-state",)
        self.route("GET", f"{API}/me", self._me)
        self.route("GET", f"{API}/me/tracks", self._saved, scopes=("user-library-read",))
        self.route("PUT", f"{API}/me/library", self._keep, scopes=("user-library-modify",))
        self.route("GET", f"{API}/me/playlists", self._playlists, scopes=("playlist-read-private",))
        self.route("GET", f"{API}/playlists/{{id}}", self._playlist)
        self.route("GET", f"{API}/playlists/{{id}}/items", self._items, scopes=("playlist-read-private",))
        self.route("POST", f"{API}/playlists/{{id}}/items", self.fill, scopes=("playlist-modify-private",))
        self.route("GET", f"{API}/me/player", self._player, scopes=("user-read-playback-state",))
        self.route("GET", f"{API}/me/player/devices", self._devices, scopes=("user-read-playback-state",))
        self.route("GET", f"{API}/me/player/recently-played", self._history, scopes=("user-read-recently-played",))
        self.route("PUT", f"{API}/me/player/play", self._play, scopes=control)
        self.route("POST", f"{API}/me/player/next", self._next, scopes=control)

    # What people do

    def like(self, found: dict[str, Any], **ago: float) -> None:
        """The user saves a track."""
        self.saved.insert(0, {"added_at": self._stamp(**ago), "track": found})

    def play(self, found: dict[str, Any], **ago: float) -> None:
        """A track has been played to its end, out of a playlist."""
        moment = f"{self.moment - timedelta(**ago):%Y-%m-%dT%H:%M:%S}.123Z"
        played_from = {"type": "playlist", "uri": f"spotify:playlist:{PARTY}"}
        self.history.insert(0, {"played_at": moment, "track": found, "context": played_from})

    def add(
        self, playlist: str, found: dict[str, Any] | None, *, at: int | None = None, by: str = "", **ago: float
    ) -> None:
        """Somebody adds a track to a playlist, at its end or at a place."""
        who = {"id": by or self.users[0].id, "type": "user"}
        entry = {"added_at": self._stamp(**ago), "added_by": who, "is_local": False, "item": found}
        entries = self.items[playlist]
        entries.insert(len(entries) if at is None else at, entry)
        self.snapshots[playlist] += 1

    def tick(self, seconds: float = 60) -> None:
        """Time passes."""
        self.moment += timedelta(seconds=seconds)

    def tricks(self) -> Mapping[str, Callable[[], Awaitable[Any]]]:
        """What a listener does."""

        def doing(do: Callable[[dict[str, Any]], None]) -> Callable[[], Awaitable[None]]:
            async def trick() -> None:
                self.moment = datetime.now(UTC).replace(microsecond=0)
                do(track(next(self._numbers)))

            return trick

        return {
            "A track is liked": doing(self.like),
            "A track has been played": doing(self.play),
            f"A track is put into {self.names[PARTY]}": doing(lambda found: self.add(PARTY, found)),
        }

    def _stamp(self, **ago: float) -> str:
        return f"{self.moment - timedelta(**ago):%Y-%m-%dT%H:%M:%SZ}"

    # Calls

    def refuse(self, status: int, code: str, words: str) -> Response:
        """Errors as Spotify writes them; its description does not have the reasons that some of the player's come with."""
        error = {"status": status, "message": "Insufficient client scope" if code == "insufficient_scope" else words}
        return JSONResponse({"error": error | ({"reason": code} if code.isupper() else {})}, status)

    async def _me(self, call: Call) -> Any:
        picture = {"url": "https://i.scdn.co/image/me", "height": None, "width": None}
        return {"id": call.user.id, "display_name": call.user.name, "images": [picture], "type": "user"}

    async def _saved(self, call: Call) -> Any:
        return _page(call, self.saved)

    async def _keep(self, call: Call) -> Any:
        self.kept += [one for one in call.query["uris"].split(",") if one not in self.kept]
        return Response(status_code=200)

    async def _playlists(self, call: Call) -> Any:
        return _page(call, [self._shown(one) for one in self.items])

    async def _playlist(self, call: Call) -> Any:
        key = call.parameters["id"]
        if key not in self.items:
            return self.refuse(404, "", "Resource not found")
        wanted = {name.partition("(")[0] for name in call.query["fields"].split(",")}
        return {name: value for name, value in self._shown(key).items() if name in wanted}

    async def _items(self, call: Call) -> Any:
        key = call.parameters["id"]
        return _page(call, self.items[key]) if self._open(key, call) else self.refuse(403, "", "Forbidden")

    async def fill(self, call: Call) -> Any:
        """Carry out a call that adds to a playlist."""
        key, given = call.parameters["id"], call.json
        if not self._open(key, call):
            return self.refuse(403, "", "You cannot add tracks to a playlist you don't own.")
        for number, one in enumerate(given["uris"]):
            at = given["position"] + number if "position" in given else None
            self.add(key, track(int(one.rpartition(":")[2])), at=at, by=call.user.id)
        return 201, {"snapshot_id": self._snapshot(key)}

    async def _player(self, call: Call) -> Any:
        return self.playing

    async def _devices(self, call: Call) -> Any:
        return {"devices": self.devices}

    async def _history(self, call: Call) -> Any:
        after = int(call.query.get("after", 0))
        shown = [one for one in self.history if _milliseconds(one["played_at"]) > after][: int(call.query["limit"])]
        page: dict[str, Any] = {"items": shown, "limit": int(call.query["limit"]), "href": str(call.request.url)}
        if shown:  # there are no cursors where there is nothing
            ends = (shown[0]["played_at"], shown[-1]["played_at"])
            page["cursors"] = dict(zip(("after", "before"), (str(_milliseconds(one)) for one in ends), strict=True))
        return page

    async def _play(self, call: Call) -> Any:
        device = self._commanded(call)
        if isinstance(device, Response):
            return device
        if call.json is None and self.playing and self.playing["is_playing"]:
            return self.refuse(403, "", "Player command failed: Restriction violated")
        given = call.json or {}
        item = track(int(given["uris"][0].rpartition(":")[2])) if "uris" in given else track(1)
        context = {"context": {"type": "playlist", "uri": given["context_uri"]}} if "context_uri" in given else {}
        self.playing = {"device": device, "is_playing": True, "item": item, **context}
        return None

    async def _next(self, call: Call) -> Any:
        device = self._commanded(call)
        if isinstance(device, Response):
            return device
        self.skips += 1
        return None

    def _commanded(self, call: Call) -> Any:
        """The device that a command is for, or the refusal."""
        wanted = call.query.get("device_id")
        found = [one for one in self.devices if (one["id"] == wanted if wanted else one["is_active"])]
        if not self.premium:
            return self.refuse(403, "", "Player command failed: Premium required")
        if not found and wanted:
            return self.refuse(404, "", "Device not found")
        return (
            found[0] if found else self.refuse(404, "NO_ACTIVE_DEVICE", "Player command failed: No active device found")
        )

    def _open(self, key: str, call: Call) -> bool:
        return key in self.items and self.owners[key] is call.user

    def _snapshot(self, key: str) -> str:
        return f"snapshot{self.snapshots[key]}"

    def _shown(self, key: str) -> dict[str, Any]:
        owner = self.owners[key]
        about = {"id": key, "name": self.names[key], "snapshot_id": self._snapshot(key), "collaborative": False}
        return {**about, "owner": {"id": owner.id, "display_name": owner.name, "type": "user"}}


def _device(key: str | None, name: str, kind: str, **more: Any) -> dict[str, Any]:
    return {"id": key, "name": name, "type": kind, "is_active": False, "is_restricted": False, **more}


def _milliseconds(stamp: str) -> int:
    return round(datetime.fromisoformat(stamp).timestamp() * 1000)


def _page(call: Call, found: list[Any]) -> dict[str, Any]:
    offset, limit = int(call.query["offset"]), int(call.query["limit"])
    more = f"https://api.spotify.com{call.path}?offset={offset + limit}&limit={limit}"
    return {
        "href": str(call.request.url),
        "items": found[offset : offset + limit],
        "limit": limit,
        "next": more if offset + limit < len(found) else None,
        "offset": offset,
        "previous": None,
        "total": len(found),
    }


def make() -> StandIn:
    """With two playlists, of which one is the first user's."""
    return Spotify()
