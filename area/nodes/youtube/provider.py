"""The service itself, and what an account has there. API: https://developers.google.com/youtube/v3/docs

Google counts all calls of one client together, 10,000 units a day: a list costs 1, a write 50 (determine_quota_cost in the same
documentation). So nodes list, never search, and look no more often than they must. A quota that is used up is waited for.
"""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any

import httpx
from pydantic import AfterValidator, BeforeValidator

from area.nodes import _google as google
from area.nodes import sdk

READ = f"{google.SCOPE}youtube.readonly"
WRITE = f"{google.SCOPE}youtube"
COMMENT = f"{google.SCOPE}youtube.force-ssl"
PER_PAGE = 50
PAGES = 4
"""Pages of choices that are read."""
HUB_PATH = "/subscribe"
COMMENTS = "/commentThreads"

CHANNEL = r"^(https?://(www\.|m\.)?youtube\.com/channel/)?UC[A-Za-z0-9_-]{1,62}/?$"
VIDEO = (
    r"^([A-Za-z0-9_-]{6,64}"
    r"|https?://((www\.|m\.|music\.)?youtube\.com/(watch\?(\S*&)?v=|shorts/|live/|embed/)|youtu\.be/)"
    r"[A-Za-z0-9_-]{6,64}([?&#]\S*)?)$"
)
_ID = re.compile(r"(?:[?&]v=|/)([A-Za-z0-9_-]{6,64})(?=[?&#]|$)")

service = google.google(
    "youtube",
    "YouTube",
    "Reacts to new videos of channels and to likes; adds videos to playlists, likes them and comments on them.",
    "https://youtube.googleapis.com/youtube/v3",
    "https://developers.google.com/youtube/v3/docs",
    # As the scopes stand beside each method of the reference.
    implies={COMMENT: (WRITE,), WRITE: (READ,)},
)


def judge(response: httpx.Response) -> None:
    """Google's errors as everywhere; the hub's are plain text. A comment is the one thing that a repetition would make twice."""
    status, request = response.status_code, response.request
    if request.url.path != HUB_PATH or status in (401, 408) or sdk.throttled(response) is not None:
        google.judge(response)
    elif 400 <= status < 500:
        said = " ".join(response.text[:300].split()) or response.reason_phrase
        raise sdk.Rejected(f"YouTube's hub does not take this subscription: {said}", code=f"HTTP_{status}")


service.judge = judge


@service.identify
async def whose(ctx: sdk.Context) -> sdk.Profile:
    """Whose account it is, by its channel's name where that may be seen and there is one."""
    person = await google.identify(ctx)
    channel: Mapping[str, Any] = {}
    with suppress(sdk.Rejected, sdk.Throttled, sdk.Unavailable):
        channel = await own_channel(ctx)
    title = str(part(channel, "snippet").get("title") or "")
    facts = {**person.facts, "channel_id": str(channel.get("id") or "")}
    return sdk.Profile(person.external_id, title or person.label, person.avatar_url, facts)


async def own_channel(ctx: sdk.Context) -> Mapping[str, Any]:
    """The account's channel; empty when it has none."""
    body = google.mapping(await ctx.http.get("/channels", params={"part": "snippet", "mine": "true"}))
    return next((one for one in google.listed(body, "items") if one.get("id")), {})


async def pages(ctx: sdk.Context, path: str, most: int, **asked: str | int) -> AsyncIterator[list[dict[str, Any]]]:
    """The items of a list, page by page, of ``most`` pages; each costs a unit."""
    for _ in range(most):
        body = google.mapping(await ctx.http.get(path, params=asked))
        yield google.listed(body, "items")
        if not body.get("nextPageToken"):
            return
        asked["pageToken"] = str(body["nextPageToken"])


async def playlist_choices(ctx: sdk.Context, so_far: Mapping[str, Any]) -> list[sdk.Choice]:
    """The account's own playlists."""
    found: list[sdk.Choice] = []
    async for page in pages(ctx, "/playlists", PAGES, part="snippet", mine="true", maxResults=PER_PAGE):
        found += [sdk.Choice(str(one["id"]), _title(one)) for one in page if one.get("id")]
    return sorted(found, key=lambda one: one.label.casefold())


async def channel_choices(ctx: sdk.Context, so_far: Mapping[str, Any]) -> list[sdk.Choice]:
    """The channels that the account has subscribed to; none without an account."""
    if not ctx.has_account:
        return []
    found: list[sdk.Choice] = []
    asked: dict[str, str | int] = {"mine": "true", "order": "alphabetical", "maxResults": PER_PAGE}
    async for page in pages(ctx, "/subscriptions", PAGES, part="snippet", **asked):
        for one in page:
            channel = part(one, "snippet", "resourceId").get("channelId")
            if channel:
                found.append(sdk.Choice(str(channel), _title(one)))
    return found


def part(found: Any, *names: str) -> dict[str, Any]:
    """An object within an answer; empty where there is none."""
    for name in names:
        found = found.get(name) if isinstance(found, Mapping) else None
    return dict(found) if isinstance(found, Mapping) else {}


def _title(one: Mapping[str, Any]) -> str:
    snippet = part(one, "snippet")
    return str(snippet.get("title") or one.get("id") or part(snippet, "resourceId").get("channelId"))


def no_handle(given: Any) -> Any:
    """Raises: ValueError, that says where ids are found, for what people know a channel by."""
    if isinstance(given, str) and given.rpartition("/")[2].startswith("@"):
        raise ValueError("is a handle, which can change; YouTube shows the channel's id under About, Share channel")
    return given


def channel_of(given: str) -> str:
    """A channel's id, out of itself or its address."""
    return given.rstrip("/").rpartition("/")[2]


def video_of(given: str) -> str:
    """A video's id, out of itself or one of its addresses."""
    found = _ID.search(given)
    return found[1] if found else given


PlaylistId = Annotated[str, sdk.Choices(playlist_choices)]
ChannelId = Annotated[
    str, sdk.Choices(channel_choices), sdk.NoTemplate, BeforeValidator(no_handle), AfterValidator(channel_of)
]
VideoId = Annotated[str, AfterValidator(video_of)]


def address(video_id: str) -> str:
    """Where a video is watched."""
    return f"https://www.youtube.com/watch?v={video_id}"


def thumbnail(snippet: Mapping[str, Any]) -> str:
    """The address of its picture, the largest of the usual sizes."""
    sizes = part(snippet, "thumbnails")
    found = (part(sizes, size).get("url") for size in ("maxres", "standard", "high", "medium", "default"))
    return str(next(filter(None, found), ""))


def moment_of(given: Any) -> datetime | None:
    """A moment in UTC; None when it is no time."""
    try:
        moment = datetime.fromisoformat(str(given))
    except ValueError:
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
