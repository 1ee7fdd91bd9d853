"""Bluesky: sessions by app passwords, records in repositories, feeds and notifications, the newest first."""

import base64
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.responses import JSONResponse, Response

from tests.providers.base import Auth, StandIn
from tests.providers.calls import Call
from tests.providers.oauth import User

PASSWORD = "abcd-efgh-ijkl-mnop"
ADA, GRACE = "did:plc:z72i7hdynmk6r22z27h6tvur", "did:plc:ewvi7nxzyoun6zhxrhs64oiz"
CID = "bafyreidfayvfuwqa7qlnopdjiqrxzs6blmoeu4rujcjtnci5beludirz2a"
MOMENT = datetime(2026, 3, 1, 8, tzinfo=UTC)
SIGHT = 4
"""Rows of a page at most, whatever is asked for, so that a few posts are several pages."""
POSTS, REPOSTS = "app.bsky.feed.post", "app.bsky.feed.repost"


class Bluesky(StandIn):
    """One server. ``records`` are by URI; ``feed`` and ``notices`` are what the lists show, the oldest first."""

    def __init__(self) -> None:
        people = [User(ADA, "ada.bsky.test", "Ada Lovelace"), User(GRACE, "grace.bsky.test", "Grace Hopper")]
        super().__init__("bluesky", users=people)
        self.records: dict[str, dict[str, Any]] = {}
        self.feed: list[dict[str, Any]] = []
        self.notices: list[dict[str, Any]] = []
        self.sessions: dict[str, User] = {}
        """Access tokens that are good."""
        self.refreshes: dict[str, User] = {}
        self.password = PASSWORD
        self.now = MOMENT
        self.knows_reasons = True
        """Whether notifications can be asked for by their reasons."""
        self._made = 0
        for method, name, handler, auth in (
            ("POST", "com.atproto.server.createSession", self.create_session, "none"),
            ("POST", "com.atproto.server.refreshSession", self.refresh_session, "none"),
            ("GET", "com.atproto.server.getSession", self.get_session, "user"),
            ("GET", "com.atproto.identity.resolveHandle", self.resolve, "user"),
            ("GET", "com.atproto.repo.getRecord", self.get_record, "user"),
            ("POST", "com.atproto.repo.putRecord", self.put_record, "user"),
            ("GET", "app.bsky.feed.getPosts", self.get_posts, "user"),
            ("GET", "app.bsky.feed.getAuthorFeed", self.author_feed, "user"),
            ("GET", "app.bsky.notification.listNotifications", self.notifications, "user"),
        ):
            self.route(method, f"/xrpc/{name}", handler, auth=auth)  # type: ignore[arg-type]

    def admit(self, call: Call, auth: Auth, scopes: Sequence[str]) -> Response | None:
        """The session's token; one that has ended is refused with 400."""
        if auth == "none" or self._bearer(call) in self.sessions:
            return None
        if not self._bearer(call):
            return self.refuse(401, "AuthMissing", "Authentication Required")
        return self.refuse(400, "ExpiredToken", "Token has expired")

    def refuse(self, status: int, code: str, words: str) -> Response:
        """As XRPC does."""
        return JSONResponse({"error": code, "message": words}, status)

    def session(self, user: User, life: timedelta = timedelta(hours=2)) -> dict[str, Any]:
        """Open one; only the newest is good."""
        self._made += 1
        for kept in (self.sessions, self.refreshes):
            for token in [token for token, whose in kept.items() if whose is user]:
                del kept[token]
        access, refresh = (_jwt(kind, self._made, life) for kind in ("access", "refresh"))
        self.sessions[access], self.refreshes[refresh] = user, user
        return {"accessJwt": access, "refreshJwt": refresh, "handle": user.login, "did": user.id, "active": True}

    async def create_session(self, call: Call) -> Any:
        given = call.json
        user = next((one for one in self.users if given["identifier"] in (one.login, one.id)), None)
        if user is None or given["password"] != self.password:
            return self.refuse(401, "AuthenticationRequired", "Invalid identifier or password")
        return self.session(user)

    async def refresh_session(self, call: Call) -> Any:
        user = self.refreshes.get(self._bearer(call))
        return self.session(user) if user else self.refuse(400, "ExpiredToken", "Token has been revoked")

    async def get_session(self, call: Call) -> Any:
        user = self._who(call)
        return {"handle": user.login, "did": user.id, "active": True}

    async def resolve(self, call: Call) -> Any:
        user = next((one for one in self.users if one.login == call.query["handle"].lower()), None)
        return {"did": user.id} if user else self.refuse(400, "InvalidRequest", "Unable to resolve handle")

    async def get_record(self, call: Call) -> Any:
        uri = f"at://{call.query['repo']}/{call.query['collection']}/{call.query['rkey']}"
        if uri not in self.records:
            return self.refuse(400, "RecordNotFound", f"Could not locate record: {uri}")
        return {"uri": uri, "cid": CID, "value": self.records[uri]}

    async def put_record(self, call: Call) -> Any:
        given = call.json
        if len(given["record"].get("text", "")) > 300:
            return self.refuse(400, "InvalidRequest", "Record/text must not be longer than 300 graphemes")
        self._put(self._who(call), given["collection"], given["rkey"], given["record"])
        return {"uri": f"at://{given['repo']}/{given['collection']}/{given['rkey']}", "cid": CID}

    async def get_posts(self, call: Call) -> Any:
        found = [self._view(uri) for uri in call.request.query_params.getlist("uris") if uri in self.records]
        for view in found:
            own = [
                uri
                for uri, record in self.records.items()
                if uri.startswith(f"at://{self._who(call).id}/{REPOSTS}/") and record["subject"]["uri"] == view["uri"]
            ]
            view["viewer"] = {"repost": own[0]} if own else {}
        return {"posts": found}

    async def author_feed(self, call: Call) -> Any:
        actor = call.query["actor"]
        if not any(user.id == actor for user in self.users):
            return self.refuse(400, "InvalidRequest", "Profile not found")
        rows = [row for row in self.feed if row["by"] == actor]
        if call.query.get("filter") == "posts_no_replies":
            rows = [row for row in rows if "reply" not in row["post"]["record"]]
        return self._page(call, "feed", [{name: row[name] for name in row if name != "by"} for row in rows])

    async def notifications(self, call: Call) -> Any:
        wanted = call.request.query_params.getlist("reasons") if self.knows_reasons else []
        return self._page(call, "notifications", [row for row in self.notices if not wanted or row["reason"] in wanted])

    # What happens there

    def write(self, text: str, *, by: str = GRACE, reason: str = "mention", **more: Any) -> str:
        """Somebody posts, and Ada hears of it for a reason unless it is hers; gives the URI."""
        self._made += 1
        record = {"$type": POSTS, "text": text, "createdAt": _told(self.now), **more}
        user = next(one for one in self.users if one.id == by)
        uri = self._put(user, POSTS, f"3l6oveex3{self._made:04}", record)
        if by != ADA:
            self.notices.append({**self._view(uri), "reason": reason, "isRead": False})
        return uri

    def repost(self, uri: str, *, by: str = GRACE) -> None:
        """Somebody reposts: their feed shows it once more, and Ada hears of it."""
        reason = {"$type": "app.bsky.feed.defs#reasonRepost", "by": {"did": by}, "indexedAt": _told(self.now)}
        self.feed.append({"by": by, "post": self._view(uri), "reason": reason})
        record = {"$type": REPOSTS, "subject": {"uri": uri, "cid": CID}, "createdAt": _told(self.now)}
        told = {"uri": f"at://{by}/{REPOSTS}/3k", "cid": CID, "author": self._author(by), "record": record}
        self.notices.append({**told, "reason": "repost", "isRead": False, "indexedAt": _told(self.now)})

    def texts(self) -> list[str]:
        """What Ada wrote."""
        return [record["text"] for uri, record in self.records.items() if uri.startswith(f"at://{ADA}/{POSTS}/")]

    def reposted(self) -> list[str]:
        """What Ada reposted."""
        mine = f"at://{ADA}/{REPOSTS}/"
        return [record["subject"]["uri"] for uri, record in self.records.items() if uri.startswith(mine)]

    @property
    def hint(self) -> str:
        """Ada's handle and app password."""
        return f"Connect the account ada.bsky.test by the app password {PASSWORD}."

    def tricks(self) -> Mapping[str, Callable[[], Awaitable[Any]]]:
        """What a person can make happen."""

        async def mention() -> None:
            self.now = datetime.now(UTC)
            self.write("@ada.bsky.test Grüße 🎉")

        return {"Grace mentions Ada": mention}

    # How it looks

    def _put(self, user: User, collection: str, key: str, record: dict[str, Any]) -> str:
        uri = f"at://{user.id}/{collection}/{key}"
        is_new = uri not in self.records
        self.records[uri] = record
        if is_new and collection == POSTS:
            self.feed.append({"by": user.id, "post": self._view(uri)})
        return uri

    def _page(self, call: Call, name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
        end = int(call.query.get("cursor") or len(rows))
        start = max(0, end - min(int(call.query.get("limit", 50)), SIGHT))
        found: dict[str, Any] = {name: rows[start:end][::-1]}
        return {**found, "cursor": str(start)} if start else found

    def _view(self, uri: str) -> dict[str, Any]:
        who = uri.split("/")[2]
        return {
            "uri": uri, "cid": CID, "author": self._author(who), "record": self.records[uri], "indexedAt": _told(self.now),
        }  # fmt: skip

    def _author(self, did: str) -> dict[str, Any]:
        user = next(one for one in self.users if one.id == did)
        return {"did": did, "handle": user.login, "displayName": user.name}

    def _bearer(self, call: Call) -> str:
        return call.headers.get("authorization", "").removeprefix("Bearer ")

    def _who(self, call: Call) -> User:
        return self.sessions[self._bearer(call)]


def _jwt(kind: str, number: int, life: timedelta) -> str:
    claims = {"jti": f"{kind}-{number}", "exp": int((datetime.now(UTC) + life).timestamp())}
    parts = ({"alg": "none"}, claims)
    return ".".join([*(base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=").decode() for one in parts), "s"])


def _told(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def make() -> StandIn:
    """With nothing written."""
    return Bluesky()
