"""A stand-in for Twitch: consent, validation, the calls of the API that AREA makes, and EventSub with its verification.

https://dev.twitch.tv/docs/api/reference/ and https://dev.twitch.tv/docs/eventsub/
"""

import itertools
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import httpx
from starlette.responses import JSONResponse, Response

from tests.providers.base import Auth, Handler, StandIn
from tests.providers.calls import Call
from tests.providers.oauth import Dialect, User
from tests.providers.twitch_eventsub import CONSENT, EventSub, stamp

GAMES = {"509658": "Just Chatting", "509670": "Science & Technology", "33214": "Fortnite"}


def problem(error: str, words: str) -> Mapping[str, Any]:
    """A refusal of the token endpoint; it has no code as in RFC 6749."""
    told = {"invalid_grant": "Invalid refresh token", "invalid_client": "invalid client secret"}.get(error, words)
    return {"error": "Bad Request", "status": 400, "message": told}


class Twitch(EventSub):
    """Twitch. Users are channels; what they show is in ``channels`` by their id."""

    def __init__(self, users: Sequence[User] = ()) -> None:
        dialect = Dialect(
            scope_as="list",
            token_type="bearer",
            client_auth="post",
            pkce="ignored",
            client_credentials=True,
            expires_in=14124,
            shape_error=problem,
        )
        super().__init__(dialect, list(users))
        self.channels = {user.id: self._channel(user) for user in self.users}
        self.streams: dict[str, dict[str, Any]] = {}
        self.rewards: dict[str, list[dict[str, Any]]] = {}
        self.chat: list[dict[str, Any]] = []
        self.announcements: list[dict[str, Any]] = []
        self.clips: list[dict[str, Any]] = []
        self.markers: list[dict[str, Any]] = []
        self.dropped: dict[str, str] | None = None
        """Why the next chat messages are not sent: ``{"code": "automod", "message": "..."}``."""
        self._numbers = itertools.count(9001)
        self.route("GET", "/oauth2/validate", self._validate, auth="none")
        self.own_paths.add("/oauth2/validate")
        calls: tuple[tuple[str, str, Handler, Auth, tuple[str, ...]], ...] = (
            ("GET", "/users", self._get_users, "any", ()),
            ("GET", "/streams", self._get_streams, "any", ()),
            ("GET", "/channels", self._get_channels, "any", ()),
            ("PATCH", "/channels", self._patch_channels, "user", ("channel:manage:broadcast",)),
            ("GET", "/channels/followed", self._get_followed, "user", ("user:read:follows",)),
            ("GET", "/games", self._get_games, "any", ()),
            ("GET", "/channel_points/custom_rewards", self._get_rewards, "user", ("channel:read:redemptions",)),
            ("POST", "/chat/messages", self._post_message, "user", ("user:write:chat",)),
            ("POST", "/chat/announcements", self._post_announcement, "user", ("moderator:manage:announcements",)),
            ("POST", "/clips", self._post_clip, "user", ("clips:edit",)),
            ("GET", "/clips", self._get_clips, "any", ()),
            ("POST", "/streams/markers", self._post_marker, "user", ("channel:manage:broadcast",)),
            ("GET", "/streams/markers", self._get_markers, "user", ("channel:manage:broadcast",)),
        )
        for method, path, handler, auth, scopes in calls:
            self.route(method, self.base_path + path, handler, auth=auth, scopes=scopes)

    # What happens at Twitch

    async def go_live(
        self, user: User, title: str = "", game_id: str = "", *, listed: bool = True
    ) -> list[httpx.Response]:
        """The user starts a stream; ``listed=False`` is Twitch's list of streams lagging behind."""
        channel = self.channels[user.id]
        channel |= {"title": title or channel["title"]}
        channel |= {"game_id": game_id, "game_name": GAMES[game_id]} if game_id else {}
        stream = {"id": str(next(self._numbers)), "type": "live", "started_at": stamp()}
        if listed:
            self.streams[user.id] = self._stream(user, channel, stream)
        return await self.tell("stream.online", who(user), {**who(user), **stream})

    async def go_offline(self, user: User) -> list[httpx.Response]:
        """The user ends the stream."""
        self.streams.pop(user.id, None)
        return await self.tell("stream.offline", who(user), who(user))

    async def disconnect(self, user: User) -> None:
        """The user takes the app's consent back at Twitch: tokens die, subscriptions end, and the app is told of both."""
        self.auth.withdraw(user)
        for found in [one for one in self.subscriptions.values() if self._is_of(one, user) and one["type"] in CONSENT]:
            await self.revoke(found["id"], "authorization_revoked")
        event = {"client_id": self.auth.client_id, **person(user)}
        await self.tell("user.authorization.revoke", {"client_id": self.auth.client_id}, event)

    def tricks(self) -> Mapping[str, Callable[[], Awaitable[Any]]]:
        """Streams that begin and end."""
        return {
            **{f"{user.name} goes live": partial(self.go_live, user) for user in self.users},
            **{f"{user.name} goes offline": partial(self.go_offline, user) for user in self.users},
        }

    # Rules for every call

    def admit(self, call: Call, auth: Auth, scopes: Sequence[str]) -> Response | None:
        """A token needs the Client-Id of its app; a scope that is missing is a 401 here."""
        refused = super().admit(call, auth, ())
        if refused or auth == "none":
            return refused
        if call.headers.get("client-id") != self.auth.client_id:
            return self.refuse(401, "", "Client ID and OAuth token do not match")
        missing = [scope for scope in scopes if call.grant and scope not in call.grant.scopes]
        return self.refuse(401, "", f"Missing scope: {missing[0]}") if missing else None

    def refuse(self, status: int, code: str, words: str) -> Response:
        """Errors as the API writes them."""
        return JSONResponse({"error": HTTPStatus(status).phrase, "status": status, "message": words}, status)

    async def _validate(self, call: Call) -> Any:
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        grant = self.auth.find(token) if scheme == "OAuth" else None
        if grant is None or grant.user is None:
            return JSONResponse({"status": 401, "message": "invalid access token"}, 401)
        user = grant.user
        return {
            "client_id": self.auth.client_id,
            "login": user.login,
            "scopes": list(grant.scopes),
            "user_id": user.id,
            "expires_in": 14124,
        }

    # Users, streams and channels

    async def _get_users(self, call: Call) -> Any:
        asked = call.request.query_params
        ids, logins = asked.getlist("id"), asked.getlist("login")
        if not ids and not logins:
            return {"data": [self._user(call.user)]} if call.grant and call.grant.user else self._bad("id or login")
        return {"data": [self._user(user) for user in self.users if user.id in ids or user.login in logins]}

    async def _get_streams(self, call: Call) -> Any:
        ids = call.request.query_params.getlist("user_id")
        return {"data": [stream for user, stream in self.streams.items() if user in ids], "pagination": {}}

    async def _get_channels(self, call: Call) -> Any:
        ids = call.request.query_params.getlist("broadcaster_id")
        return {"data": [self.channels[one] for one in ids if one in self.channels]}

    async def _patch_channels(self, call: Call) -> Any:
        body, channel = call.json or {}, self.channels.get(call.query.get("broadcaster_id", ""))
        if channel is None or channel["broadcaster_id"] != call.user.id:
            return self.refuse(401, "", "The ID in broadcaster_id must match the user ID in the access token")
        if not body or body.get("title") == "" or body.get("game_id", "509658") not in GAMES:
            return self._bad("title, game_id or tags")
        tags = body.get("tags", [])
        if (
            len(body.get("title", "")) > 140
            or len(tags) > 10
            or any(not re.fullmatch(r"[^\W_]{1,25}", t) for t in tags)
        ):
            return self._bad("title or tags")
        channel |= body
        channel["game_name"] = GAMES.get(channel["game_id"], "")
        return None

    async def _get_followed(self, call: Call) -> Any:
        others = [user for user in self.users if user.id != call.user.id]
        data = [{**self._named(user), "followed_at": stamp()} for user in others]
        return {"data": data, "total": len(data), "pagination": {}}

    async def _get_games(self, call: Call) -> Any:
        names = call.request.query_params.getlist("name")
        box = "https://static-cdn.jtvnw.net/ttv-boxart/{width}x{height}.jpg"
        found = [(key, name) for key, name in GAMES.items() if name in names]
        return {"data": [{"id": key, "name": name, "box_art_url": box, "igdb_id": ""} for key, name in found]}

    async def _get_rewards(self, call: Call) -> Any:
        if call.user.id not in self.rewards:
            return self.refuse(403, "", "The broadcaster is not a partner or affiliate")
        return {"data": [reward(call.user, one) for one in self.rewards[call.user.id]]}

    # Chat, clips and markers

    async def _post_message(self, call: Call) -> Any:
        body = call.json
        if body["broadcaster_id"] not in self.channels or not body["message"]:
            return self._bad("broadcaster_id or message")
        if body["sender_id"] != call.user.id:
            return self.refuse(401, "", "The ID in user_id must match the user ID in the access token")
        if len(body["message"]) > 500:
            return self.refuse(422, "", "The message is too large")
        if self.dropped:
            return {"data": [{"message_id": "", "is_sent": False, "drop_reason": self.dropped}]}
        self.chat.append({"id": str(uuid4()), **body})
        return {"data": [{"message_id": self.chat[-1]["id"], "is_sent": True}]}

    async def _post_announcement(self, call: Call) -> Any:
        if call.query["moderator_id"] != call.user.id or call.query["broadcaster_id"] not in self.channels:
            return self.refuse(401, "", "The ID in moderator_id must match the user ID in the access token")
        self.announcements.append({**call.query, **call.json})
        return None

    async def _post_clip(self, call: Call) -> Any:
        channel = call.query["broadcaster_id"]
        if channel not in self.streams:
            return self.refuse(404, "", "Clipping is not possible for an offline channel.")
        slug = f"Clip{next(self._numbers)}"
        self.clips.append(self._clip(slug, channel, call.user, call.query.get("title", "")))
        return 202, {"data": [{"id": slug, "edit_url": f"https://clips.twitch.tv/{slug}/edit"}]}

    async def _get_clips(self, call: Call) -> Any:
        since = datetime.fromisoformat(call.query.get("started_at", "1970-01-01T00:00:00Z"))
        found = [clip for clip in self.clips if clip["broadcaster_id"] == call.query.get("broadcaster_id")]
        return {"data": [clip for clip in found if moment(clip["created_at"]) >= since], "pagination": {}}

    async def _post_marker(self, call: Call) -> Any:
        if call.json["user_id"] not in self.streams:
            return self.refuse(404, "", "The user is not streaming live")
        told = {"created_at": stamp(), "position_seconds": 244, "description": call.json.get("description", "")}
        self.markers.append({"id": str(next(self._numbers)), "user_id": call.json["user_id"], **told})
        return {"data": [{"id": self.markers[-1]["id"], **told}]}

    async def _get_markers(self, call: Call) -> Any:
        names = ("id", "created_at", "description", "position_seconds")
        mine = [one for one in self.markers if one["user_id"] == call.query["user_id"]]
        videos = [{"video_id": "1", "markers": [{**{n: one[n] for n in names}, "url": ""} for one in mine]}]
        return {"data": [{**person(call.user), "videos": videos}] if mine else [], "pagination": {}}

    # Shapes

    def _named(self, user: User) -> dict[str, Any]:
        return {"broadcaster_id": user.id, "broadcaster_login": user.login, "broadcaster_name": user.name}

    def _channel(self, user: User) -> dict[str, Any]:
        return {
            **self._named(user),
            "broadcaster_language": "en",
            "game_id": "509658",
            "game_name": GAMES["509658"],
            "title": f"{user.name} streams",
            "delay": 0,
            "tags": ["English"],
            "content_classification_labels": [],
            "is_branded_content": False,
        }

    def _user(self, user: User) -> dict[str, Any]:
        return {
            "id": user.id,
            "login": user.login,
            "display_name": user.name,
            "type": "",
            "broadcaster_type": "partner" if user.id in self.rewards else "",
            "description": "",
            "profile_image_url": f"https://static-cdn.jtvnw.net/{user.login}.png",
            "offline_image_url": "",
            "view_count": 0,
            "created_at": "2016-12-14T20:32:28Z",
        }

    def _stream(self, user: User, channel: Mapping[str, Any], stream: Mapping[str, Any]) -> dict[str, Any]:
        return {
            **stream,
            **person(user),
            **{name: channel[name] for name in ("game_id", "game_name", "title", "tags")},
            "language": channel["broadcaster_language"],
            "viewer_count": 0,
            "thumbnail_url": f"https://static-cdn.jtvnw.net/previews-ttv/live_user_{user.login}-{{width}}x{{height}}.jpg",
            "tag_ids": [],
            "is_mature": False,
        }

    def _clip(self, slug: str, channel_id: str, by: User, title: str) -> dict[str, Any]:
        channel = self.channels[channel_id]
        return {
            "id": slug,
            "url": f"https://clips.twitch.tv/{slug}",
            "embed_url": f"https://clips.twitch.tv/embed?clip={slug}",
            "broadcaster_id": channel_id,
            "broadcaster_name": channel["broadcaster_name"],
            "creator_id": by.id,
            "creator_name": by.name,
            "video_id": "",
            "game_id": channel["game_id"],
            "language": "en",
            "title": title or channel["title"],
            "view_count": 0,
            "created_at": stamp(),
            "thumbnail_url": "",
            "duration": 30,
            "vod_offset": None,
            "is_featured": False,
        }


def who(user: User, side: str = "") -> dict[str, Any]:
    """A channel in an event or a condition; ``side`` is ``from_`` or ``to_`` in a raid."""
    named = {"id": user.id, "login": user.login, "name": user.name}
    return {f"{side}broadcaster_user_{part}": value for part, value in named.items()}


def person(user: User) -> dict[str, Any]:
    """A viewer in an event."""
    return {"user_id": user.id, "user_login": user.login, "user_name": user.name}


def moment(text: str) -> datetime:
    """A time with nanoseconds, in microseconds."""
    return datetime.fromisoformat(re.sub(r"(\.\d{6})\d*", r"\1", text))


def reward(user: User, given: Mapping[str, Any]) -> dict[str, Any]:
    """A custom reward, with everything that the API says of one."""
    images = {f"url_{size}x": "https://static-cdn.jtvnw.net/custom-reward-images/default.png" for size in (1, 2, 4)}
    return {
        **{
            f"broadcaster_{part}": value
            for part, value in (("id", user.id), ("login", user.login), ("name", user.name))
        },
        "prompt": "",
        "cost": 100,
        "image": images,
        "default_image": images,
        "background_color": "#00E5CB",
        "is_enabled": True,
        "is_user_input_required": False,
        "max_per_stream_setting": {"is_enabled": False, "max_per_stream": 0},
        "max_per_user_per_stream_setting": {"is_enabled": False, "max_per_user_per_stream": 0},
        "global_cooldown_setting": {"is_enabled": False, "global_cooldown_seconds": 0},
        "is_paused": False,
        "is_in_stock": True,
        "should_redemptions_skip_request_queue": False,
        "redemptions_redeemed_current_stream": None,
        "cooldown_expires_at": None,
        **given,
    }


def make() -> StandIn:
    """Twitch, with two channels."""
    return Twitch()
