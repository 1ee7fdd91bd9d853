"""A stand-in for Slack: workspaces with channels, threads, topics and reactions, one app in them, and its signed events.

As https://docs.slack.dev says: refusals are ``ok: false`` with status 200, tokens do not end, a message keeps its metadata, and
events of all workspaces go to the one address of the app's settings. A user here is a workspace, as tokens are a workspace's.
"""

import itertools
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import httpx
from starlette.responses import JSONResponse, Response

from tests.providers.base import StandIn
from tests.providers.calls import Call
from tests.providers.oauth import AuthorizationServer, Dialect, Grant, Params, User
from tests.providers.signing import slack as signed

HOME, OTHER = "T1H9RESGL", "T9TK3CUKW"
GENERAL, QUIET, ADA, BOT = "C0PNCRP9N", "C024BE91L", "U061F7AUR", "U0LAN0Z89"
SIGNING_SECRET = "8f742231b10e8888abcd99yyyzzz85a5"


class Workspaces(AuthorizationServer):
    """Remembers where the app lives, which its settings at Slack say."""

    origin = ""

    def authorize(self, asked: Params) -> Response:
        """The consent page, or its outcome."""
        at = urlsplit(asked.get("redirect_uri", ""))
        self.origin = f"{at.scheme}://{at.netloc}"
        return super().authorize(asked)


def _named(answer: dict[str, Any], grant: Grant) -> Mapping[str, Any]:
    token = f"xoxb-{answer['access_token']}"
    grant.access[token] = grant.access.pop(answer["access_token"])
    team = {"id": grant.user.id, "name": grant.user.name} if grant.user else None
    told = {"ok": True, "token_type": "bot", "bot_user_id": BOT, "app_id": "A2H9RFS1A", "team": team}
    return {**answer, **told, "access_token": token, "enterprise": None, "authed_user": {"id": ADA}}


class Slack(StandIn):
    """The app is in the channel ``GENERAL`` and not in ``QUIET``."""

    base_path = "/api"

    def __init__(self) -> None:
        dialect = Dialect(
            authorize="/oauth/v2/authorize",
            token="/api/oauth.v2.access",
            revoke=None,
            expires_in=None,
            refreshes=False,
            scope_as="comma",
            pkce="ignored",
            errors_in_200=True,
            shape=_named,
            shape_error=lambda error, words: {"ok": False, "error": error},
        )
        teams = [User(HOME, "herders", "Cat herders 🐈"), User(OTHER, "corp", "Slack Corp")]
        super().__init__("slack", dialect, settings={"signing_secret": SIGNING_SECRET}, users=teams)
        self.auth = self.app = Workspaces(dialect, self.auth.client_id, self.auth.client_secret, self.users)
        self.messages: list[dict[str, Any]] = []
        self.topics: dict[str, str] = {}
        self.reactions: set[tuple[str, str, str]] = set()
        self.page = 200
        self._numbers = itertools.count(1)
        self.route("GET", "/api/auth.test", self._test)
        self.route("GET", "/api/auth.revoke", self._revoke)
        self.route("GET", "/api/conversations.list", self._list, scopes=("channels:read",))
        self.route("POST", "/api/chat.postMessage", self._post, scopes=("chat:write",))
        self.route("POST", "/api/chat.update", self._update, scopes=("chat:write",))
        self.route("POST", "/api/conversations.setTopic", self._topic, scopes=("channels:manage",))
        self.route("POST", "/api/reactions.add", self._react, scopes=("reactions:write",))
        for method in ("history", "replies"):
            self.route("GET", f"/api/conversations.{method}", self._history, scopes=("channels:history",))

    # What happens in a workspace

    def says(self, text: str, kind: str = "message", **more: Any) -> dict[str, Any]:
        """The event of a person's message."""
        ts = self._ts()
        said = {"type": kind, "user": ADA, "text": text, "ts": ts, "event_ts": ts, "channel": GENERAL, **more}
        return {**said, "channel_type": "channel"} if kind == "message" else said

    async def send(
        self, event: Mapping[str, Any], team: str = HOME, *, key: str = "", secret: str = SIGNING_SECRET, **more: Any
    ) -> httpx.Response:
        """Deliver an event; with the ``key`` of an earlier one it is a retry of that."""
        body = {"team_id": team, "api_app_id": "A2H9RFS1A", "type": "event_callback", "event": dict(event)}
        body |= {"event_id": key or f"Ev{next(self._numbers)}{time.time_ns()}", "event_time": int(time.time())}
        headers = {"X-Slack-Retry-Num": "1", "X-Slack-Retry-Reason": "http_timeout"} if key else {}
        return await self.deliver(self.request_url, body, sign=signed(secret), headers=headers, within=3.0, **more)

    @property
    def request_url(self) -> str:
        """The address for events; it is known once somebody has consented."""
        return f"{self.app.origin}/webhooks/slack"

    def tricks(self) -> Mapping[str, Callable[[], Awaitable[Any]]]:
        """What people in the workspace do."""

        async def say(kind: str) -> None:
            await self.send(self.says(f"<@{BOT}> how many cats?", kind))

        return {"Somebody writes": partial(say, "message"), "… and mentions the app": partial(say, "app_mention")}

    # How it works

    def refuse(self, status: int, code: str, words: str) -> Response:
        """Errors have status 200."""
        named = {"unauthorized": "invalid_auth", "insufficient_scope": "missing_scope", "not_found": "unknown_method"}
        needed = {"needed": words.partition(": ")[2]} if code == "insufficient_scope" else {}
        return JSONResponse({"ok": False, "error": named.get(code, code), **needed})

    def texts(self) -> list[str]:
        """What the app has written, as it stands now."""
        return [one["text"] for one in self.messages]

    def _ts(self) -> str:
        return f"{int(time.time())}.{next(self._numbers):06d}"

    def _unseen(self, channel: str) -> Response | None:
        if channel == GENERAL:
            return None
        return self.refuse(200, "not_in_channel" if channel == QUIET else "channel_not_found", "")

    async def _test(self, call: Call) -> Any:
        team = {"team": call.user.name, "team_id": call.user.id, "url": f"https://{call.user.login}.slack.com/"}
        return {"ok": True, **team, "user": "area", "user_id": BOT, "bot_id": "B19LU7CSY"}

    async def _revoke(self, call: Call) -> Any:
        assert call.grant
        call.grant.withdrawn = True
        return {"ok": True, "revoked": True}

    async def _list(self, call: Call) -> Any:
        found = [shown(GENERAL, "general", member=True), shown(QUIET, "türen", member=False)]
        page, more = self._paged(call, found)
        return {"ok": True, "channels": page, "response_metadata": {"next_cursor": more}}

    async def _post(self, call: Call) -> Any:
        asked = call.json
        refused = self._unseen(asked["channel"])
        if refused:
            return refused
        kept = {name: asked[name] for name in ("text", "thread_ts", "metadata") if name in asked}
        message = {"type": "message", "user": BOT, "bot_id": "B19LU7CSY", "ts": self._ts(), **kept}
        self.messages.append(message)
        return {"ok": True, "channel": asked["channel"], "ts": message["ts"], "message": message}

    async def _update(self, call: Call) -> Any:
        found = next((one for one in self.messages if one["ts"] == call.json["ts"]), None)
        if found is None:
            return self.refuse(200, "message_not_found", "")
        found["text"] = text = call.json["text"]
        return {"ok": True, "channel": call.json["channel"], "ts": found["ts"], "text": text, "message": found}

    async def _topic(self, call: Call) -> Any:
        channel, topic = call.json["channel"], call.json["topic"]
        refused = self._unseen(channel)
        if refused:
            return refused
        self.topics[channel] = topic
        told = topic.replace("&", "&amp;")
        return {"ok": True, "channel": {"id": channel, "topic": {"value": told, "creator": BOT, "last_set": 0}}}

    async def _react(self, call: Call) -> Any:
        asked = call.json
        refused = self._unseen(asked["channel"])
        if refused:
            return refused
        reaction = (asked["channel"], asked["timestamp"], asked["name"])
        if asked["name"] == "no_such" or reaction in self.reactions:
            return self.refuse(200, "invalid_name" if asked["name"] == "no_such" else "already_reacted", "")
        self.reactions.add(reaction)
        return {"ok": True}

    async def _history(self, call: Call) -> Any:
        thread = call.query.get("ts")
        since = float(call.query.get("oldest", 0))
        found = [one for one in reversed(self.messages) if float(one["ts"]) > since and one.get("thread_ts") == thread]
        page, more = self._paged(call, found)
        if call.query.get("include_all_metadata") != "true":
            page = [{name: value for name, value in one.items() if name != "metadata"} for one in page]
        rest = {"response_metadata": {"next_cursor": more}} if more else {}
        return {"ok": True, "messages": page, "has_more": bool(more), "pin_count": 0, **rest}

    def _paged(self, call: Call, found: list[Any]) -> tuple[list[Any], str]:
        start, size = int(call.query.get("cursor") or 0), min(self.page, int(call.query["limit"]))
        return found[start : start + size], str(start + size) if len(found) > start + size else ""


def shown(channel: str, name: str, *, member: bool) -> dict[str, Any]:
    """A public channel as lists show it."""
    no = ("archived", "ext_shared", "group", "im", "mpim", "org_shared", "pending_ext_shared", "private", "shared")
    noted = {"creator": "", "last_set": 0, "value": ""}
    return {
        "id": channel, "name": name, "name_normalized": name, "created": 1449252889, "creator": ADA, "is_channel": True,
        "is_general": member, "is_member": member, "num_members": 4, "pending_shared": [], "previous_names": [],
        "purpose": noted, "topic": noted, "unlinked": 0, **{f"is_{one}": False for one in no},
    }  # fmt: skip


def make() -> StandIn:
    """With two workspaces where nobody has written."""
    return Slack()
