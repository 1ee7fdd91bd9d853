"""The service itself, and what Spotify's answers mean. API: https://developer.spotify.com/documentation/web-api/concepts/api-calls"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx

from area.nodes import sdk
from area.nodes._answers import one, read, strange

LIBRARY_READ = "user-library-read"
LIBRARY_CHANGE = "user-library-modify"
HISTORY = "user-read-recently-played"
PLAYLISTS = "playlist-read-private"
PLAYLISTS_CHANGE = ("playlist-modify-public", "playlist-modify-private")
PLAYER = "user-read-playback-state"
PLAYER_CHANGE = "user-modify-playback-state"
SHOWN = 300
"""Characters of an error that are quoted."""


class Gone(sdk.Rejected):
    """404: it does not exist any more, or the account may not see it."""


class Restricted(sdk.Rejected):
    """403: the player does not take this command now, such as "play" while it plays."""


def judge(response: httpx.Response) -> None:
    """Raise what a failing answer means at Spotify; 401, 429 and 5xx are left to the platform.

    The player gives a ``reason`` beside the words: https://developer.spotify.com/documentation/web-api/reference/start-a-users-playback
    """
    status = response.status_code
    if status < 400 or status in (401, 408) or status >= 500 or sdk.throttled(response) is not None:
        return
    said, reason = _words(response), str(_error(response).get("reason") or "")
    words = said.lower()
    if reason == "NO_ACTIVE_DEVICE" or "no active device" in words:
        told = "Spotify is open on no device of this account. Open it on one, or choose a device that is there."
        raise sdk.Rejected(f"{told} Spotify says: {said}", code="NO_ACTIVE_DEVICE", field="device")
    if reason == "PREMIUM_REQUIRED" or "premium required" in words:
        told = "Spotify allows this to Premium accounts only: connect one that has it."
        raise sdk.Rejected(f"{told} Spotify says: {said}", code="PREMIUM_REQUIRED")
    if status == 404 and "device" in words:
        told = "This device is not there. Open Spotify on it, or choose another one."
        raise sdk.Rejected(f"{told} Spotify says: {said}", code="DEVICE_NOT_FOUND", field="device")
    if status == 404:
        raise Gone(f"There is no such thing, or the account may not see it. Spotify says: {said}", code="NOT_FOUND")
    if status == 403 and "scope" in words:
        told = f"The account has not allowed this: connect it again, and allow what is asked for. Spotify says: {said}"
        raise sdk.Rejected(told, code="MISSING_SCOPE")
    if status == 403 and "player command failed" in words:
        raise Restricted(f"The player does not take this command now. Spotify says: {said}", code="RESTRICTED")
    if status == 403:
        listing = "/playlists/" in response.request.url.path
        told = ": a playlist is open to its owner and to those who work on it" if listing else ""
        raise sdk.Rejected(f"The account may not do this{told}. Spotify says: {said}", code="FORBIDDEN")
    raise sdk.Rejected(f"Spotify cannot accept this: {said}", code=f"HTTP_{status}")


def _words(response: httpx.Response) -> str:
    """Spotify's own words: ``error.message``, or a line of text, as of an app that is not open to this user."""
    told = _error(response).get("message")
    if not told and "html" not in response.headers.get("content-type", "") and not response.text.startswith(("{", "<")):
        told = response.text
    return " ".join(str(told or response.reason_phrase).split())[:SHOWN]


def _error(response: httpx.Response) -> Mapping[str, Any]:
    body = read(response)
    error = body.get("error") if isinstance(body, dict) else None
    return error if isinstance(error, dict) else {}


service = sdk.Service(
    key="spotify",
    name="Spotify",
    description="Reacts to tracks that are saved, played or put into playlists; fills playlists and the library, and plays.",
    base_url="https://api.spotify.com/v1",
    docs_url="https://developer.spotify.com/documentation/web-api",
    # After six months `invalid_grant` sends the user through consent again, however often it was refreshed:
    # https://developer.spotify.com/blog/2026-06-18-refresh-token-expiration. It is taken back on Spotify's own page of apps only.
    auth=sdk.OAuth2(
        authorize_url="https://accounts.spotify.com/authorize",
        token_url="https://accounts.spotify.com/api/token",  # noqa: S106 - an address
        client_auth="basic",
        pkce=True,
        consent_lasts=timedelta(days=180),
    ),
    judge=judge,
)


@service.identify
async def identify(ctx: sdk.Context) -> sdk.Profile:
    """Whose account it is; this needs no scope."""
    found = mapping(await ctx.http.get("/me"), "id")
    picture = next(iter(listed(found, "images")), {}).get("url")
    return sdk.Profile(
        external_id=str(found["id"]),
        label=str(found.get("display_name") or found["id"]),
        avatar_url=str(picture) if picture else None,
    )


def mapping(response: httpx.Response, *needed: str) -> dict[str, Any]:
    """The object of an answer. Raises: Unavailable when it is something else, or Unknown where the call may have done something."""
    found = one(response, *needed)
    if "error" in found:
        raise strange(response)
    return found


def accepted(response: httpx.Response, *, safe: bool) -> None:
    """Look at an answer that says nothing: 204, or 200 with an empty body or an id of the player's.

    Raises: what `mapping` raises, where it is a page or an error all the same; ``safe`` says that the call can be repeated.
    """
    said = response.text.lstrip()
    if "html" in response.headers.get("content-type", "") or said.startswith("<") or _error(response):
        raise strange(response, safe=safe)


def listed(found: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """The objects of a list in an answer; Spotify has null where something cannot be shown."""
    given = found.get(name)
    return [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []


def inner(found: Mapping[str, Any], name: str) -> dict[str, Any]:
    """An object within an object; empty where there is none."""
    given = found.get(name)
    return given if isinstance(given, dict) else {}


def segment(part: str) -> str:
    """One segment of a path."""
    return quote(part, safe="")


def moment_of(given: Any) -> datetime | None:
    """A moment in UTC; None when it is no time."""
    try:
        moment = datetime.fromisoformat(str(given))
    except ValueError:
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
