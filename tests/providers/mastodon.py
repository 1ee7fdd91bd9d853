"""Mastodon: accounts by their access tokens, posts with growing ids, mentions, boosts, and keys by which a repeat is the first."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from html import escape
from typing import Any

from starlette.responses import JSONResponse, Response

from tests.providers.base import Auth, StandIn
from tests.providers.calls import Call
from tests.providers.oauth import User

TOKEN = "ZA-Yj3aBD8U8Cm7lKUp-lm9O9BmDgdhHzDeqsY8tlL0"
READ_ONLY = "ro-Yj3aBD8U8Cm7lKUp-lm9O9BmDgdhHzDeqsY8tlL0"
MOMENT = datetime(2026, 3, 1, 8, tzinfo=UTC)
MOST = 500
SIGHT = 4
"""Rows that a page holds at most, whatever is asked for, so that a few posts are several pages."""


class Mastodon(StandIn):
    """One instance. ``posts`` and ``notices`` are by id; what a page would show and ``hidden`` has is left out of it."""

    def __init__(self) -> None:
        ada, grace = User("1001", "ada", "Ada Lovelace"), User("1002", "grace", "Grace Hopper")
        super().__init__("mastodon", users=[ada, grace])
        self.tokens = {TOKEN: ada, READ_ONLY: ada}
        self.posts: dict[int, dict[str, Any]] = {}
        self.sources: dict[int, str] = {}
        self.notices: dict[int, dict[str, Any]] = {}
        self.hidden: set[int] = set()
        self.keys: dict[str, int] = {}
        """Idempotency keys to posts."""
        self.now = MOMENT
        self._id = 103_254_962_155_278_000
        for method, path, handler in (
            ("GET", "/accounts/verify_credentials", self.me),
            ("GET", "/accounts/lookup", self.lookup),
            ("GET", "/accounts/{id}/statuses", self.posts_of),
            ("GET", "/notifications", self.notifications),
            ("POST", "/statuses", self.create),
            ("GET", "/statuses/{id}/source", self.source),
            ("POST", "/statuses/{id}/reblog", self.reblog),
        ):
            self.route(method, f"/api/v1{path}", handler)

    def admit(self, call: Call, auth: Auth, scopes: Sequence[str]) -> Response | None:
        """The token as its owner made it."""
        token = call.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in self.tokens:
            return self.refuse(401, "", "The access token is invalid")
        if token == READ_ONLY and call.method == "POST":
            return self.refuse(403, "", "This action is outside the authorized scopes")
        return None

    def refuse(self, status: int, code: str, words: str) -> Response:
        """As Mastodon does."""
        return JSONResponse({"error": words}, status)

    async def me(self, call: Call) -> Any:
        account = self._account(self._who(call))
        source = {
            "fields": [], "follow_requests_count": 0, "indexable": False, "note": "", "privacy": "public", "sensitive": False,
        }  # fmt: skip
        role = {"color": "", "highlighted": False, "id": "-99", "name": "", "permissions": "0"}
        return {**account, "source": source, "role": role}

    async def lookup(self, call: Call) -> Any:
        found = next((user for user in self.users if user.login == call.query["acct"].removesuffix("@home.test")), None)
        return self._account(found) if found else self.refuse(404, "", "Record not found")

    async def posts_of(self, call: Call) -> Any:
        rows = [row for row in self.posts.values() if row["account"]["id"] == call.parameters["id"]]
        if call.query.get("exclude_reblogs") == "true":
            rows = [row for row in rows if row["reblog"] is None]
        if call.query.get("exclude_replies") == "true":
            rows = [row for row in rows if row["in_reply_to_id"] is None]
        return self._page(call, rows)

    async def notifications(self, call: Call) -> Any:
        wanted = call.request.query_params.getlist("types[]")
        return self._page(call, [row for row in self.notices.values() if not wanted or row["type"] in wanted])

    async def create(self, call: Call) -> Any:
        key, given = call.headers.get("idempotency-key", ""), call.json
        if key in self.keys:
            return self.posts[self.keys[key]]
        if len(given["status"]) + len(given.get("spoiler_text", "")) > MOST:
            return self.refuse(422, "", f"Validation failed: Text character limit of {MOST} exceeded")
        made = self.write(
            given["status"], by=self._who(call), reply_to=given.get("in_reply_to_id"),
            visibility=given.get("visibility", "public"), spoiler_text=given.get("spoiler_text", ""),
            language=given.get("language"),
        )  # fmt: skip
        self.keys |= {key: int(made["id"])} if key else {}
        return made

    async def source(self, call: Call) -> Any:
        number = int(call.parameters["id"])
        return {
            "id": str(number),
            "text": self.sources[number],
            "spoiler_text": self.posts[number]["spoiler_text"],
        }

    async def reblog(self, call: Call) -> Any:
        post = self.posts.get(int(call.parameters["id"]))
        if post is None:
            return self.refuse(404, "", "Record not found")
        return self.boost(post, by=self._who(call))

    # What happens there

    def write(self, text: str, *, by: User | None = None, reply_to: str | None = None, **more: Any) -> dict[str, Any]:
        """Somebody (by default Grace) posts; whom it names is told."""
        author = by or self.users[1]
        named = [user for user in self.users if f"@{user.login}" in text and "\u200b" not in text]
        number = self._next()
        html = "".join(f"<p>{escape(part, quote=False)}</p>" for part in text.split("\n\n")).replace("\n", "<br />")
        made = self._status(number, author, content=html, in_reply_to_id=reply_to)
        made |= {"mentions": [self._mention(user) for user in named], **more}
        self.posts[number], self.sources[number] = made, text
        if self.users[0] in named:
            self.notify("mention", author, made)
        return made

    def boost(self, post: dict[str, Any], *, by: User | None = None) -> dict[str, Any]:
        """Somebody (by default Grace) boosts a post, once."""
        who = by or self.users[1]
        mine = (row for row in self.posts.values() if row["account"]["id"] == who.id and row["reblog"])
        found = next((row for row in mine if row["reblog"]["id"] == post["id"]), None)
        if found is None:
            number = self._next()
            found = self.posts[number] = self._status(number, who, content=post["content"], reblog=post)
            self.notify("reblog", who, post)
        return found

    def edit(self, post: dict[str, Any], html: str) -> None:
        """The author changes a post; those who boosted it are told."""
        post |= {"content": html, "edited_at": _told(self.now + timedelta(minutes=5))}
        self.notify("update", self.users[1], post)

    def notify(self, kind: str, who: User, post: dict[str, Any]) -> int:
        """Tell Ada."""
        number = self._next()
        told = {"id": str(number), "type": kind, "created_at": _told(self.now), "group_key": f"ungrouped-{number}"}
        self.notices[number] = {**told, "account": self._account(who), "status": post}
        return number

    def texts(self) -> list[str]:
        """What Ada wrote."""
        return [
            self.sources[number]
            for number, row in self.posts.items()
            if row["account"]["id"] == "1001" and number in self.sources
        ]

    @property
    def hint(self) -> str:
        """Ada's access token."""
        return f"Connect the account at the instance {self.url} by the access token {TOKEN}."

    def tricks(self) -> Mapping[str, Callable[[], Awaitable[Any]]]:
        """What a person can make happen."""

        async def mention() -> None:
            self.write("@ada Grüße 🎉")

        return {"Grace mentions Ada": mention}

    # How it looks

    def _page(self, call: Call, rows: list[dict[str, Any]]) -> Response:
        """With min_id what comes next, else the newest; always the newest first."""
        most = min(int(call.query.get("limit", 20)), SIGHT)
        rows = sorted(rows, key=lambda row: int(row["id"]))
        after = call.query.get("min_id")
        rows = [row for row in rows if int(row["id"]) > int(after)][:most] if after else rows[-most:]
        links = {}
        if rows:
            first = f"{self.url or 'http://mastodon.test'}{call.path}?min_id={rows[-1]['id']}"
            links = {"Link": f'<{first}>; rel="prev"'}
        shown = [row for row in reversed(rows) if int(row["id"]) not in self.hidden]
        return JSONResponse(shown, headers=links)

    def _who(self, call: Call) -> User:
        return self.tokens[call.headers["authorization"].removeprefix("Bearer ")]

    def _next(self) -> int:
        self._id += 1
        return self._id

    def _account(self, user: User) -> dict[str, Any]:
        picture, page = f"https://home.test/{user.login}.png", f"https://home.test/@{user.login}"
        return {
            "id": user.id, "username": user.login, "acct": user.login, "display_name": user.name, "bot": False,
            "url": page, "uri": f"https://home.test/users/{user.login}", "note": "", "locked": False, "group": False,
            "avatar": picture, "avatar_static": picture, "header": picture, "header_static": picture,
            "created_at": _told(MOMENT), "emojis": [], "fields": [], "indexable": True,
            "followers_count": 1, "following_count": 1, "statuses_count": 1,
        }  # fmt: skip

    def _status(self, number: int, author: User, **more: Any) -> dict[str, Any]:
        return {
            "id": str(number), "account": self._account(author), "created_at": _told(self.now), "edited_at": None,
            "url": f"https://home.test/@{author.login}/{number}", "uri": f"https://home.test/statuses/{number}",
            "emojis": [], "media_attachments": [], "mentions": [], "tags": [], "sensitive": False, "spoiler_text": "",
            "visibility": "public", "language": "en", "in_reply_to_id": None, "reblog": None,
            "favourites_count": 0, "reblogs_count": 0, "replies_count": 0, **more,
        }  # fmt: skip

    def _mention(self, user: User) -> dict[str, Any]:
        account = self._account(user)
        return {name: account[name] for name in ("id", "username", "acct", "url")}


def _told(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def make() -> StandIn:
    """With nothing written."""
    return Mastodon()
