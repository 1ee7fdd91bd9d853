"""A stand-in for YouTube and its hub: channels, playlists, likes, comments, and videos that subscribers are told of.

https://developers.google.com/youtube/v3/docs and https://developers.google.com/youtube/v3/guides/push_notifications
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.sax.saxutils import escape

import httpx
from starlette.responses import PlainTextResponse, Response

from tests.providers.base import StandIn
from tests.providers.calls import Call
from tests.providers.google import SCOPE, Google
from tests.providers.signing import hmac_body

READ, WRITE, FORCE = f"{SCOPE}youtube.readonly", f"{SCOPE}youtube", f"{SCOPE}youtube.force-ssl"
PLACE, HUB = "/youtube/v3", "/subscribe"
OWN, CHANNEL, MIX = "UCownChannel", "UC_grace", "PLmix"
FEED = "https://www.youtube.com/xml/feeds/videos.xml?channel_id="
NAMESPACES = 'xmlns:yt="http://www.youtube.com/xml/schemas/2015" xmlns="http://www.w3.org/2005/Atom"'


class YouTube(Google):
    """The first user has a channel, a playlist, and a subscription to the channel of the second."""

    base_path = PLACE

    def __init__(self) -> None:
        super().__init__("youtube")
        self.channels = {OWN: "Ada builds 🛠", CHANNEL: "Grace & Co"}
        self.playlists: dict[str, list[dict[str, Any]]] = {"LL": [], MIX: []}
        self.videos: dict[str, dict[str, Any]] = {}
        self.liked: list[str] = []
        self.comments: list[dict[str, Any]] = []
        self.subscribed: dict[str, dict[str, str]] = {}
        """What the hub has confirmed: by callback, what was asked for."""
        self.lease = 432_000
        self.at_once = False
        """Whether the hub asks the callback before it answers who subscribes, and not after."""
        self.page = 50
        self._numbers = itertools.count(1)
        self._asking: set[asyncio.Task[None]] = set()
        read = (READ, WRITE, FORCE)
        self.route("GET", f"{PLACE}/channels", self._channels, scopes=read)
        self.route("GET", f"{PLACE}/subscriptions", self._subscriptions, scopes=read)
        self.route("GET", f"{PLACE}/playlists", self._playlists, scopes=read)
        self.route("GET", f"{PLACE}/playlistItems", self._items, scopes=read)
        self.route("POST", f"{PLACE}/playlistItems", self.insert, scopes=(WRITE, FORCE))
        self.route("GET", f"{PLACE}/videos", self._videos, scopes=read)
        self.route("POST", f"{PLACE}/videos/rate", self._rate, scopes=(WRITE, FORCE))
        self.route("GET", f"{PLACE}/commentThreads", self._threads, scopes=(FORCE,))
        self.route("POST", f"{PLACE}/commentThreads", self.write, scopes=(FORCE,))
        self.route("POST", HUB, self._hub, auth="none")

    def environment(self) -> dict[str, str]:
        """The hub is at an address of its own."""
        self.settings["hub_url"] = self.url + HUB
        return super().environment()

    # What happens on YouTube

    def put(self, title: str, key: str = "", *, at: datetime | None = None, **more: Any) -> str:
        """Somebody uploads a video; gives its id."""
        key = key or f"video{next(self._numbers):06}"
        self.videos[key] = {"title": title, "channel": CHANNEL, "at": at or datetime.now(UTC), **more}
        return key

    def like(self, key: str, *, at: datetime | None = None) -> None:
        """The first user likes a video in a browser."""
        self.playlists["LL"].insert(0, self._place("LL", key, at))

    def feed(self, *keys: str) -> str:
        """What the hub delivers of these videos, the newest first."""
        shown = "".join(self._entry(key) for key in keys)
        return f"<?xml version='1.0' encoding='UTF-8'?>\n<feed {NAMESPACES}><title>YouTube video feed</title>{shown}</feed>"

    def _entry(self, key: str) -> str:
        video = self.videos[key]
        channel = video["channel"]
        at, changed = (f"{one:%Y-%m-%dT%H:%M:%S+00:00}" for one in (video["at"], video.get("changed", video["at"])))
        return (
            f"<entry><id>yt:video:{key}</id><yt:videoId>{key}</yt:videoId><yt:channelId>{channel}</yt:channelId>"
            f'<title>{escape(video["title"])}</title><link rel="alternate" href="https://www.youtube.com/watch?v={key}"/>'
            f"<author><name>{escape(self.channels[channel])}</name><uri>https://www.youtube.com/channel/{channel}</uri></author>"
            f"<published>{at}</published><updated>{changed[:-6]}.552394234+00:00</updated></entry>"
        )

    async def tell(self, *keys: str) -> list[httpx.Response]:
        """The hub delivers these videos to all who have subscribed to their channel."""
        return await self.send(self.feed(*keys), self.videos[keys[0]]["channel"])

    async def delete(self, key: str) -> list[httpx.Response]:
        """A video is deleted, and the hub delivers a tombstone."""
        channel = self.videos.pop(key)["channel"]
        gone = f'<at:deleted-entry xmlns:at="http://purl.org/atompub/tombstones/1.0" ref="yt:video:{key}" when="{stamp()}"/>'
        return await self.send(f"<feed {NAMESPACES}>{gone}</feed>", channel)

    async def send(self, body: str, channel: str = CHANNEL) -> list[httpx.Response]:
        """The hub delivers this."""
        told = []
        for callback, asked in list(self.subscribed.items()):
            if asked["hub.topic"] == FEED + channel:
                sign = hmac_body(asked["hub.secret"], "X-Hub-Signature", "sha1=", "sha1")
                told.append(
                    await self.deliver(callback, body, sign=sign, headers={"content-type": "application/atom+xml"})
                )
        return told

    def tricks(self) -> Mapping[str, Callable[[], Awaitable[Any]]]:
        """A video that is published, and one that is liked."""

        async def publish() -> None:
            await self.tell(self.put("Wie wir es gebaut haben"))

        async def like() -> None:
            self.like(self.put("Ein Lied 🎵"))

        return {f"The channel {CHANNEL} publishes a video": publish, "You like a video in the browser": like}

    # The hub

    async def _hub(self, call: Call) -> Any:
        asked = call.form
        if not asked.get("hub.topic", "").startswith(FEED) or "hub.callback" not in asked:
            return PlainTextResponse("Invalid value for hub.topic: not a feed of YouTube", 400)
        if self.at_once:
            await self.verify(asked)
        elif self.url:  # not before it has a network
            task = asyncio.create_task(self.verify(asked))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)
        return Response(status_code=202)

    async def verify(self, asked: Mapping[str, str]) -> None:
        """Ask the callback whether it wants what was asked for, and do it when it says so."""
        mode, callback = asked["hub.mode"], asked["hub.callback"]
        challenge = f"challenge-{next(self._numbers)}"
        query = {"hub.mode": mode, "hub.topic": asked["hub.topic"], "hub.challenge": challenge}
        query |= {"hub.lease_seconds": str(self.lease)} if mode == "subscribe" else {}
        async with httpx.AsyncClient(trust_env=False) as client:
            got = await client.get(httpx.URL(callback).copy_merge_params(query))
        if not got.is_success or got.text != challenge:
            return
        if mode == "subscribe":
            self.subscribed[callback] = dict(asked)
        else:
            self.subscribed.pop(callback, None)

    async def settled(self) -> None:
        """Wait until the hub has asked all that it has to ask."""
        await asyncio.gather(*self._asking)

    # Calls

    async def _channels(self, call: Call) -> Any:
        own = call.user is self.users[0]
        items = [{"kind": "youtube#channel", "id": OWN, "snippet": {"title": self.channels[OWN]}}] if own else []
        return {"kind": "youtube#channelListResponse", "items": items}

    async def _subscriptions(self, call: Call) -> Any:
        resource = {"kind": "youtube#channel", "channelId": CHANNEL}
        item = {"kind": "youtube#subscription", "id": "s1"}
        return {"items": [{**item, "snippet": {"title": self.channels[CHANNEL], "resourceId": resource}}]}

    async def _playlists(self, call: Call) -> Any:
        return self._paged(call, [{"id": MIX, "snippet": {"title": "Mix 🎧", "channelId": OWN}}])

    async def _items(self, call: Call) -> Any:
        items = self.playlists.get(call.query["playlistId"])
        if items is None:
            return self.refuse(
                404, "", "The playlist identified with the request's playlistId parameter cannot be found."
            )
        wanted = call.query.get("videoId")
        return self._paged(call, [one for one in items if wanted in (None, one["contentDetails"]["videoId"])])

    def _paged(self, call: Call, items: Sequence[Any]) -> Any:
        start, size = int(call.query.get("pageToken", 0)), min(int(call.query.get("maxResults", 5)), self.page)
        more = {"nextPageToken": str(start + size)} if start + size < len(items) else {}
        return {"items": list(items[start : start + size]), "pageInfo": {"totalResults": len(items)}, **more}

    def _place(self, playlist: str, key: str, at: datetime | None = None) -> dict[str, Any]:
        video = self.videos[key]
        snippet = {
            "publishedAt": stamp(at),
            "channelId": OWN,
            "title": video["title"],
            "description": f"About {video['title']}",
            "thumbnails": thumbnails(key),
            "playlistId": playlist,
            "position": len(self.playlists[playlist]),
            "resourceId": {"kind": "youtube#video", "videoId": key},
            "videoOwnerChannelTitle": self.channels[video["channel"]],
            "videoOwnerChannelId": video["channel"],
        }
        details = {"videoId": key, "videoPublishedAt": stamp(video["at"])}
        return {"id": f"item{next(self._numbers)}", "snippet": snippet, "contentDetails": details}

    async def insert(self, call: Call) -> Any:
        """Carry out a call that adds to a playlist."""
        playlist, video = call.json["snippet"]["playlistId"], call.json["snippet"]["resourceId"]["videoId"]
        if playlist not in self.playlists or video not in self.videos:
            return self.refuse(404, "", f"{'Video' if playlist in self.playlists else 'Playlist'} not found.")
        self.playlists[playlist].append(self._place(playlist, video))
        return self.playlists[playlist][-1]

    async def _videos(self, call: Call) -> Any:
        key = call.query["id"]
        if key not in self.videos:
            return {"items": []}
        snippet = {"description": "Alle Pläne ✨", "liveBroadcastContent": "none", "thumbnails": thumbnails(key)}
        return {"items": [{"id": key, "snippet": snippet, "contentDetails": {"duration": "PT1H3M32S"}}]}

    async def _rate(self, call: Call) -> Any:
        if call.query["id"] not in self.videos:
            return self.refuse(404, "", "The video that you are trying to rate cannot be found.")
        if call.query["id"] not in self.liked:
            self.liked.append(call.query["id"])
        return None

    async def write(self, call: Call) -> Any:
        """Carry out a call that comments."""
        video, text = (
            call.json["snippet"]["videoId"],
            call.json["snippet"]["topLevelComment"]["snippet"]["textOriginal"],
        )
        if video not in self.videos:
            return self.refuse(404, "", "The video identified by the videoId parameter could not be found.")
        if self.videos[video].get("closed"):
            return self.refuse(
                403, "commentsDisabled", "The video identified by the videoId parameter has disabled comments."
            )
        return self.commented(video, text.strip())

    def commented(self, video: str, text: str, author: str = OWN, at: datetime | None = None) -> dict[str, Any]:
        """Somebody comments."""
        key = f"Ugz{next(self._numbers)}"
        shown = {
            "textDisplay": text,
            "textOriginal": text,
            "publishedAt": stamp(at),
            "authorChannelId": {"value": author},
        }
        top = {"id": key, "snippet": {**shown, "authorDisplayName": "@adabuilds", "videoId": video}}
        self.comments.insert(0, {"id": key, "snippet": {"videoId": video, "topLevelComment": top, "isPublic": True}})
        return self.comments[0]

    async def _threads(self, call: Call) -> Any:
        return self._paged(call, [one for one in self.comments if one["snippet"]["videoId"] == call.query["videoId"]])


def thumbnails(key: str) -> dict[str, Any]:
    """A video's pictures."""
    return {
        "default": {"url": f"https://i.ytimg.com/vi/{key}/default.jpg"},
        "high": {"url": f"https://i.ytimg.com/vi/{key}/hq.jpg"},
    }


def stamp(at: datetime | None = None) -> str:
    """A moment, now by default, as YouTube writes it."""
    return f"{at or datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


def ago(**given: float) -> datetime:
    """A moment in the past."""
    return datetime.now(UTC) - timedelta(**given)


def make() -> StandIn:
    """With an empty playlist."""
    return YouTube()
