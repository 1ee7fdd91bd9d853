"""A stand-in for Notion: databases with data sources, pages with properties and blocks, times that are rounded down to the minute.

https://developers.notion.com/reference/intro, version 2025-09-03.
"""

import itertools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from starlette.responses import JSONResponse, Response

from tests.providers.base import Auth, StandIn
from tests.providers.calls import Call
from tests.providers.oauth import Dialect, Grant, User

ADA, GRACE = "16d84278-ab0e-484c-9bdd-b35da3bd8905", "26d84278-ab0e-484c-9bdd-b35da3bd8906"
"""The bots that two consents make."""
PERSON = "5389a034-eb5c-47b5-8a9e-f79c99ef166c"
SOURCE, DATABASE = "bc1211ca-e3f1-4939-ae34-5260b16f627c", "248104cd-477e-80fd-b757-e945d38000bd"
TWO = "348104cd-477e-80fd-b757-e945d38000bd"
"""A database of two data sources."""
HOME = "59833787-2cf9-4fdf-8782-e53db20768a5"
KEY = "ntn_of_an_integration"
SCHEMA = {
    "Name": "title", "Status": "status", "Tags": "multi_select", "Size": "select", "Due": "date", "Count": "number",
    "Done": "checkbox", "Link": "url", "Mail": "email", "Phone": "phone_number", "Größe 📏": "rich_text", "Owner": "people",
    "Blocks": "relation", "Total": "formula",
}  # fmt: skip
STATUSES = ("To do", "Done")
MOST = 100


class Notion(StandIn):
    """One workspace. ``moment`` stands for its clock where a test sets it, and then answers have it as their date."""

    def __init__(self, *, refreshes: bool = False) -> None:
        dialect = Dialect(
            authorize="/v1/oauth/authorize",
            token="/v1/oauth/token",
            revoke="/v1/oauth/revoke",
            expires_in=None,
            refreshes=refreshes,
            rotates=refreshes,
            scope_as="absent",
            pkce="ignored",
            client_auth="basic",
            json_body=True,
            token_type="bearer",
            shape=_workspace,
        )
        users = [User(ADA, "ada", "Ada Lovelace", "ada@example.com"), User(GRACE, "grace", "Grace Hopper")]
        super().__init__("notion", dialect, users=users)
        self.moment: datetime | None = None
        self.sources = {SOURCE: ("Aufgaben ✅", DATABASE)}
        self.databases = {DATABASE: [SOURCE], TWO: [SOURCE, HOME]}
        self.pages: dict[str, dict[str, Any]] = {}
        self.blocks: dict[str, list[dict[str, Any]]] = {}
        self.unshared: set[str] = set()
        self.forgotten = 0
        """How many times the place where a list goes on is not known any more."""
        self._numbers = itertools.count(1)
        self.add("Home 🏠", parent={"type": "workspace", "workspace": True}, key=HOME, ago=timedelta(days=9))
        self.route("GET", "/v1/users/me", self._me)
        self.route("POST", "/v1/search", self._search)
        self.route("GET", "/v1/data_sources/{id}", self._source)
        self.route("POST", "/v1/data_sources/{id}/query", self._query)
        self.route("GET", "/v1/databases/{id}", self._database)
        self.route("GET", "/v1/pages/{id}", self._page)
        self.route("POST", "/v1/pages", self._create)
        self.route("PATCH", "/v1/pages/{id}", self._update)
        self.route("GET", "/v1/blocks/{id}/children", self._children)
        self.route("PATCH", "/v1/blocks/{id}/children", self._append)

    # What happens in the workspace

    def now(self) -> datetime:
        """What time it is there."""
        return self.moment or datetime.now(UTC)

    def add(
        self,
        title: str,
        *,
        parent: Mapping[str, Any] | None = None,
        key: str = "",
        by: str = PERSON,
        ago: timedelta = timedelta(0),
        **values: Any,
    ) -> str:
        """Somebody adds a page, to the data source unless a parent is given; gives its id."""
        key = key or str(UUID(int=(7 << 100) + next(self._numbers)))
        inside = dict(parent or {"type": "data_source_id", "data_source_id": SOURCE, "database_id": DATABASE})
        schema = SCHEMA if "data_source_id" in inside else {"title": "title"}
        named = {name: self._value(kind, _empty(kind)) for name, kind in schema.items()}
        made = self._stamped("page", key, by, self.now() - ago)
        url = f"https://www.notion.so/{key.replace('-', '')}"
        self.pages[key] = {**made, "parent": inside, "properties": named, "url": url, "icon": None, "cover": None}
        self.pages[key]["properties"][next(iter(schema))] = self._value("title", rich(title))
        for name, value in values.items():
            self.pages[key]["properties"][name] = self._value(SCHEMA[name], value)
        self.blocks[key] = []
        return key

    def edit(self, page: str, *, by: str = PERSON, ago: timedelta = timedelta(0), **values: Any) -> None:
        """Somebody edits a page: values of properties, or without any its text."""
        found = self.pages[page]
        found |= {"last_edited_time": stamp(self.now() - ago), "last_edited_by": {"object": "user", "id": by}}
        for name, value in values.items():
            found["properties"][name] = self._value(SCHEMA[name], value)

    def text(self, page: str) -> list[tuple[str, str]]:
        """What stands in a page: kinds and texts of its blocks."""
        return [
            (one["type"], "".join(part["text"]["content"] for part in one[one["type"]]["rich_text"]))
            for one in self.blocks[page]
        ]

    def titled(self, title: str) -> list[str]:
        """Ids of the pages of this title."""
        return [key for key, page in self.pages.items() if shown(page) == title]

    def tricks(self) -> Mapping[str, Callable[[], Awaitable[Any]]]:
        """Pages that are added and edited."""

        async def add() -> None:
            self.add("Water the plants 🌱", Status={"name": "To do"})

        async def edit() -> None:
            for page in self.titled("Water the plants 🌱"):
                self.edit(page, Status={"name": "Done"})

        return {"A page is added": add, "It is done": edit}

    # Calls

    async def _me(self, call: Call) -> Any:
        user = call.user
        person = {"object": "user", "id": PERSON, "name": user.name, "avatar_url": None, "type": "person"}
        owner = {"type": "user", "user": {**person, "person": {"email": user.email}}}
        about = {"object": "user", "id": user.id, "name": "AREA", "avatar_url": None, "type": "bot"}
        return {**about, "bot": {"owner": owner}}

    async def _search(self, call: Call) -> Any:
        if call.json["filter"] == {"property": "object", "value": "page"}:
            found = [one for one in self.pages.values() if one["id"] not in self.unshared]
        else:
            found = [self._shown(key) for key in self.sources if key not in self.unshared]
        return self._listed(call, found, call.json)

    async def _source(self, call: Call) -> Any:
        key = call.parameters["id"]
        return self._told(self._shown(key)) if self._has(self.sources, key) else self._missing("data_source", key)

    async def _database(self, call: Call) -> Any:
        key = call.parameters["id"]
        if self._has(self.pages, key):
            return self.refuse(400, "validation_error", f"Provided ID {key} is a page, not a database.")
        if not self._has(self.databases, key):
            return self._missing("database", key)
        names = [{"id": one, "name": self.sources.get(one, ("Archiv", ""))[0]} for one in self.databases[key]]
        return {"object": "database", "id": key, "title": rich("Aufgaben ✅"), "data_sources": names}

    async def _query(self, call: Call) -> Any:
        key, asked = call.parameters["id"], call.json
        if not self._has(self.sources, key):
            return self._missing("data_source", key)
        (sort,) = asked["sorts"]
        by, since = sort["timestamp"], asked["filter"][sort["timestamp"]]["on_or_after"]
        assert (asked["filter"]["timestamp"], sort["direction"]) == (by, "ascending")
        if self.forgotten and "start_cursor" in asked:
            self.forgotten -= 1
            return self.refuse(400, "validation_error", "The start_cursor provided is invalid")
        rows = [one for one in self.pages.values() if one["parent"].get("data_source_id") == key and one[by] >= since]
        return self._listed(call, sorted(rows, key=lambda one: str(one[by])), asked)

    async def _page(self, call: Call) -> Any:
        key = call.parameters["id"]
        return self._told(self.pages[key]) if self._has(self.pages, key) else self._missing("page", key)

    async def _create(self, call: Call) -> Any:
        given = call.json
        kind = given["parent"]["type"]
        above = given["parent"][kind]
        if not self._has(self.sources if kind == "data_source_id" else self.pages, above):
            return self._missing(kind.removesuffix("_id"), above)
        schema = SCHEMA if kind == "data_source_id" else {"title": "title"}
        refused = self._unfit(given["properties"], schema) or self._too_much(given.get("children", []))
        if refused:
            return refused
        key = self.add("", parent=given["parent"], by=call.user.id)
        self._set(key, given["properties"])
        self._write(key, given.get("children", []), call.user.id)
        if kind == "page_id":
            block = self._stamped("block", key, call.user.id, self.now())
            held = {"type": "child_page", "child_page": {"title": shown(self.pages[key])}}
            self.blocks[above].append({**block, **held, "has_children": True})
        return self._told(self.pages[key])

    async def _update(self, call: Call) -> Any:
        key, given = call.parameters["id"], call.json["properties"]
        if not self._has(self.pages, key):
            return self._missing("page", key)
        schema = {name: one["type"] for name, one in self.pages[key]["properties"].items()}
        refused = self._unfit(given, schema)
        if refused:
            return refused
        self._set(key, given)
        self.edit(key, by=call.user.id)
        return self._told(self.pages[key])

    async def _children(self, call: Call) -> Any:
        key = call.parameters["id"]
        return self._listed(call, self.blocks[key], call.query) if key in self.blocks else self._missing("block", key)

    async def _append(self, call: Call) -> Any:
        key, children = call.parameters["id"], call.json["children"]
        if not self._has(self.pages, key):
            return self._missing("block", key)
        refused = self._too_much(children)
        if refused:
            return refused
        self.edit(key, by=call.user.id)
        return self._listed(call, self._write(key, children, call.user.id), {})

    # How it works

    def admit(self, call: Call, auth: Auth, scopes: Sequence[str]) -> Response | None:
        """The key of an integration is good too; and every call names the version of the API."""
        if auth != "none" and call.headers.get("notion-version") != "2025-09-03":
            return self.refuse(400, "missing_version", "Notion-Version header should be defined")
        if call.headers.get("authorization") == f"Bearer {KEY}":
            call.grant = Grant(self.users[0], ())
            return None
        return super().admit(call, auth, scopes)

    def refuse(self, status: int, code: str, words: str) -> Response:
        """Errors as Notion writes them."""
        code = "object_not_found" if code == "not_found" else code
        return JSONResponse({"object": "error", "status": status, "code": code, "message": words}, status)

    def _missing(self, kind: str, key: str) -> Response:
        told = f"Could not find {kind} with ID: {key}. Make sure the relevant pages and databases are shared."
        return self.refuse(404, "object_not_found", told)

    def _has(self, some: Mapping[str, Any], key: str) -> bool:
        return key in some and key not in self.unshared

    def _told(self, body: Any) -> Any:
        """An answer, dated by the clock that the test has set."""
        return JSONResponse(body, headers={"date": f"{self.moment:%a, %d %b %Y %H:%M:%S GMT}"}) if self.moment else body

    def _listed(self, call: Call, rows: Sequence[Any], asked: Mapping[str, Any]) -> Any:
        start, size = int(asked.get("start_cursor", 0)), int(asked.get("page_size", MOST))
        assert 1 <= size <= MOST
        more = start + size < len(rows)
        shown = {"object": "list", "results": list(rows[start : start + size]), "has_more": more}
        return self._told({**shown, "next_cursor": str(start + size) if more else None})

    def _shown(self, key: str) -> dict[str, Any]:
        name, database = self.sources[key]
        kinds = {
            name: {"id": str(at), "name": name, "type": kind, kind: {}}
            for at, (name, kind) in enumerate(SCHEMA.items())
        }
        above = {"type": "database_id", "database_id": database}
        return {"object": "data_source", "id": key, "title": rich(name), "properties": kinds, "parent": above}

    def _stamped(self, kind: str, key: str, by: str, at: datetime) -> dict[str, Any]:
        who = {"object": "user", "id": by}
        made = {"object": kind, "id": key, "created_time": stamp(at), "created_by": who, "in_trash": False}
        return {**made, "last_edited_time": stamp(at), "last_edited_by": who}

    def _value(self, kind: str, value: Any) -> dict[str, Any]:
        if kind in ("title", "rich_text"):
            value = [{**one, "plain_text": one["text"]["content"]} for one in value]
        if kind == "date" and value and "T" in value["start"]:  # times come back in one form
            value = {"start": f"{datetime.fromisoformat(value['start']):%Y-%m-%dT%H:%M:%S.000%:z}", "end": None}
        return {"id": kind, "type": kind, kind: value}

    def _set(self, key: str, given: Mapping[str, Any]) -> None:
        known = self.pages[key]["properties"]
        for name, value in given.items():
            known[name] = self._value(known[name]["type"], value[known[name]["type"]])

    def _unfit(self, given: Mapping[str, Any], schema: Mapping[str, str]) -> Response | None:
        for name, value in given.items():
            if name not in schema:
                return self.refuse(400, "validation_error", f"{name} is not a property that exists.")
            kind = schema[name]
            if list(value) != [kind]:
                return self.refuse(400, "validation_error", f"{name} is expected to be {kind}.")
            if kind == "status" and value[kind] and value[kind]["name"] not in STATUSES:
                words = f'Invalid status option. Status option "{value[kind]["name"]}" does not exist.'
                return self.refuse(400, "validation_error", words)
            if kind in ("title", "rich_text") and (refused := self._too_long(value[kind])):
                return refused
        return None

    def _too_long(self, pieces: Sequence[Any]) -> Response | None:
        longest = max((len(one["text"]["content"].encode("utf-16-le")) // 2 for one in pieces), default=0)
        if longest > 2000 or len(pieces) > MOST:
            return self.refuse(
                400, "validation_error", f"{len(pieces)} pieces of up to {longest} characters are too much"
            )
        return None

    def _too_much(self, children: Sequence[Any]) -> Response | None:
        if len(children) > MOST:
            return self.refuse(
                400, "validation_error", f"children.length should be ≤ `100`, instead was `{len(children)}`"
            )
        return next(filter(None, (self._too_long(one[one["type"]]["rich_text"]) for one in children)), None)

    def _write(self, key: str, children: Sequence[Any], by: str) -> list[dict[str, Any]]:
        made = [
            {**self._stamped("block", str(UUID(int=(8 << 100) + next(self._numbers))), by, self.now()), **one}
            for one in children
        ]
        self.blocks[key] += made
        return made


def stamp(at: datetime) -> str:
    """A time as Notion gives it: to the minute below."""
    return f"{at:%Y-%m-%dT%H:%M}:00.000Z"


def rich(text: str) -> list[dict[str, Any]]:
    """Rich text."""
    return [{"type": "text", "text": {"content": text, "link": None}, "plain_text": text}] if text else []


def shown(page: Mapping[str, Any]) -> str:
    """The title of a page."""
    title = next(one["title"] for one in page["properties"].values() if one["type"] == "title")
    return "".join(part["plain_text"] for part in title)


def _empty(kind: str) -> Any:
    several = kind in ("title", "rich_text", "multi_select", "people", "relation")
    return (
        []
        if several
        else False
        if kind == "checkbox"
        else {"type": "number", "number": 12}
        if kind == "formula"
        else None
    )


def _workspace(answer: dict[str, Any], grant: Grant) -> Mapping[str, Any]:
    assert grant.user
    owner = {"type": "user", "user": {"object": "user", "id": PERSON}}
    return {**answer, "bot_id": grant.user.id, "workspace_id": "w1", "workspace_name": "Cat herders 🐈", "owner": owner}


def make() -> StandIn:
    """With a page and an empty database."""
    return Notion()
