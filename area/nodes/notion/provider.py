"""The service itself: accounts, what Notion's answers mean, and what it offers to choose from.

Since version 2025-09-03 of the API a database has data sources, and it is these that have pages and properties:
https://developers.notion.com/guides/get-started/upgrade-guide-2025-09-03. People know the database, so that is what inputs are
called; its id does too, where it has one data source.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import httpx
from pydantic import AfterValidator, Field

from area.nodes import sdk
from area.nodes._answers import one, read, strange

VERSION = "2025-09-03"
MOST_CHOICES = 100
PER_ANSWER = 25
"""Pages with their properties in one answer. Notion gives a hundred, which may be more than the megabyte that is read."""
IN_PATH = re.compile(r"([0-9a-fA-F]{32}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})$")


class Gone(sdk.Rejected):
    """404: it does not exist, or is not shared with the connection; Notion does not say which."""


ANOTHER = frozenset({"NOT_FOUND", "HTTP_400"})
"""Codes of the errors when an id is asked for as what it is not: Notion says 404, or 400 that it is a page and no database."""


class Secret(sdk.Inputs):
    """The key of an integration of one's own."""

    secret: Annotated[str, sdk.Secret] = Field(
        title="Integration secret",
        description="What Notion shows as the integration's secret.",
        pattern=r"^[\x21-\x7e]+$",
        min_length=10,
        max_length=200,
        examples=["ntn_example0000000000"],
    )


def judge(response: httpx.Response) -> None:
    """Raise what a failing answer means; waits and dead tokens are left to the common parser.

    https://developers.notion.com/reference/status-codes
    """
    status = response.status_code
    if status < 400 or status in (401, 408) or sdk.throttled(response) is not None:
        return
    code, said = _said(response)
    if status >= 500:
        return
    if status == 404:
        told = "There is no such page or database, or it is not shared with the connection: open it in Notion and add it there."
        raise Gone(f"{told} Notion says: {said}", code="NOT_FOUND")
    if status == 403:
        told = "The connection lacks the capability for this: its owner sets what it may read and write."
        raise sdk.Rejected(f"{told} Notion says: {said}", code="FORBIDDEN")
    if code == "conflict_error":
        raise sdk.Unavailable(f"Somebody else wrote there at the same moment. Notion says: {said}")
    raise sdk.Rejected(f"Notion cannot accept this: {said}", code=f"HTTP_{status}")


def _said(response: httpx.Response) -> tuple[str, str]:
    """The code and the words of an error."""
    body = read(response)
    found = body if isinstance(body, dict) else {}
    return str(found.get("code") or ""), " ".join(str(found.get("message") or response.reason_phrase).split())[:300]


service = sdk.Service(
    key="notion",
    name="Notion",
    description="Reacts to pages that are added to a database or changed there; creates pages, writes in them and sets properties.",
    base_url="https://api.notion.com",
    docs_url="https://developers.notion.com/reference/intro",
    headers={"Notion-Version": VERSION},
    auth=sdk.OAuth2(
        authorize_url="https://api.notion.com/v1/oauth/authorize",
        token_url="https://api.notion.com/v1/oauth/token",  # noqa: S106 - an address
        revoke_url="https://api.notion.com/v1/oauth/revoke",
        client_auth="basic",
        json_body=True,
        parameters={"owner": "user"},
    ),
    key_auth=sdk.Key(
        fields=Secret,
        authorise=lambda request, given: request.headers.update({"Authorization": f"Bearer {given['secret']}"}),
        help="Make an internal integration at notion.so/profile/integrations, copy its secret, and add it to your pages.",
    ),
    judge=judge,
)


@service.identify
async def identify(ctx: sdk.Context) -> sdk.Profile:
    """The bot that acts for the connection, one for each consent: https://developers.notion.com/reference/get-self"""
    found = mapping(await ctx.http.get("/v1/users/me"), "id")
    granted = {} if ctx.credentials else ctx.grant.extra
    workspace = text_in(granted.get("workspace_name")) or text_in(found.get("bot"), "workspace_name")
    label = workspace or text_in(found.get("name")) or str(found["id"])
    return sdk.Profile(str(found["id"]), label, facts={"workspace": workspace, "name": text_in(found.get("name"))})


# What answers hold


def mapping(response: httpx.Response, *needed: str, wrote: bool = False) -> dict[str, Any]:
    """The object of an answer. Raises: Unavailable when it is something else, or Unknown where the call ``wrote`` something."""
    found = one(response, *needed, safe=not wrote)
    if found.get("object") == "error":
        raise strange(response, safe=not wrote)
    return found


def objects(given: Any) -> list[dict[str, Any]]:
    """The objects in a list."""
    return [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []


def text_in(given: Any, *names: str) -> str:
    """The text at the end of a path of names; empty where there is none."""
    for name in names:
        given = given.get(name) if isinstance(given, Mapping) else None
    return given if isinstance(given, str) else ""


def plain(given: Any) -> str:
    """Rich text as plain text: https://developers.notion.com/reference/rich-text"""
    return "".join(text_in(part, "plain_text") or text_in(part, "text", "content") for part in objects(given))


def properties_in(found: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The properties of a page or a data source by their names."""
    given = found.get("properties")
    named = given.items() if isinstance(given, Mapping) else ()
    return {str(name): one for name, one in named if isinstance(one, dict)}


# Ids


def id_of(given: str) -> str:
    """The id of a page, database or block, also out of its address. Raises: ValueError."""
    return _id(given, peeked=False)


def page_id_of(given: str) -> str:
    """The same; of a page that is open beside its database, the page's. Raises: ValueError."""
    return _id(given, peeked=True)


def _id(given: str, *, peeked: bool) -> str:
    parts = urlsplit(given.strip())
    beside = parse_qs(parts.query).get("p", [""])[0] if peeked else ""
    found = IN_PATH.search(beside or parts.path.rstrip("/"))
    if found is None or (not parts.netloc and found.start() > 0):
        raise ValueError("must be an id of Notion's, or the address that 'Copy link' gives")
    return str(UUID(found[1]))


async def source_of(ctx: sdk.Context, given: str) -> dict[str, Any]:
    """A data source by its id, or by that of the database which has it alone. Raises: Rejected, also where there are several."""
    try:
        return mapping(await ctx.http.get(f"/v1/data_sources/{given}"), "id")
    except sdk.Rejected as error:
        if error.code not in ANOTHER:
            raise
        database = mapping(await ctx.http.get(f"/v1/databases/{given}"), "id")
    sources = [one for one in objects(database.get("data_sources")) if one.get("id")]
    if len(sources) == 1:
        return mapping(await ctx.http.get(f"/v1/data_sources/{sources[0]['id']}"), "id")
    listed = ", ".join(f"{text_in(one, 'name')} ({one['id']})" for one in sources[:20]) or "none that is shared"
    told = f"The database has several data sources: choose one of them. It has: {listed}."
    first = str(sources[0]["id"]) if sources else None
    raise sdk.Rejected(told, code="SEVERAL_SOURCES", field="database", suggestion=first)


# Choices


async def database_choices(ctx: sdk.Context, so_far: Mapping[str, Any]) -> list[sdk.Choice]:
    """The data sources that are shared with the connection, those edited lately first."""
    return [_choice(one, plain(one.get("title"))) for one in await _searched(ctx, "data_source")]


async def page_choices(ctx: sdk.Context, so_far: Mapping[str, Any]) -> list[sdk.Choice]:
    """The pages that are shared with the connection, those edited lately first."""
    return [_choice(one, title_of(one)) for one in await _searched(ctx, "page")]


async def parent_choices(ctx: sdk.Context, so_far: Mapping[str, Any]) -> list[sdk.Choice]:
    """Where a page can be made: databases, then pages."""
    databases, pages = await database_choices(ctx, so_far), await page_choices(ctx, so_far)
    return [
        sdk.Choice(one.value, f"{kind}: {one.label}")
        for kind, some in (("Database", databases), ("Page", pages))
        for one in some
    ]


async def _searched(ctx: sdk.Context, kind: str) -> Iterable[dict[str, Any]]:
    asked: dict[str, Any] = {
        "filter": {"property": "object", "value": kind},
        "sort": {"timestamp": "last_edited_time", "direction": "descending"},
        "page_size": PER_ANSWER,
    }
    found = list[dict[str, Any]]()
    while len(found) < MOST_CHOICES:
        body = mapping(await ctx.http.post("/v1/search", json=asked), "results")
        found += objects(body["results"])
        asked["start_cursor"] = text_in(body, "next_cursor")
        if not body.get("has_more") or not asked["start_cursor"] or not body["results"]:
            break
    return [one for one in found if one.get("id") and not one.get("in_trash")]


def _choice(found: Mapping[str, Any], title: str) -> sdk.Choice:
    return sdk.Choice(str(found["id"]), title or "Untitled")


def title_of(page: Mapping[str, Any]) -> str:
    """The title of a page, whatever its property is called."""
    given = (one for one in properties_in(page).values() if one.get("type") == "title")
    return next((plain(one.get("title")) for one in given), "")


DatabaseId = Annotated[str, sdk.Choices(database_choices), AfterValidator(id_of)]
PageId = Annotated[str, sdk.Choices(page_choices), AfterValidator(page_id_of)]
ParentId = Annotated[str, sdk.Choices(parent_choices), AfterValidator(id_of)]
