"""What can be done in Notion: pages are created and written in, and their properties set."""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import Field

from area.nodes import sdk
from area.nodes.notion.blocks import MOST_TEXT, blocks_of, rich_text, text_of
from area.nodes.notion.provider import (
    ANOTHER,
    PER_ANSWER,
    PageId,
    ParentId,
    mapping,
    objects,
    page_id_of,
    properties_in,
    service,
    source_of,
    text_in,
)
from area.nodes.notion.values import WRITTEN, Page, find, moment, page_of, read, written

PER_PAGE = 100
PAGES = 10
"""Pages of a list that are looked through for what was written."""
CLOCKS = timedelta(seconds=30)
"""How far Notion's clock may be behind ours."""
NORMALISED = frozenset({"date", "people", "relation"})
"""Types whose values come back in another form than they were written in."""


class NewPage(sdk.Inputs):
    """What to create, and where."""

    parent: ParentId = Field(
        title="Where",
        description="A database or a page: choose it, or its id or address.",
        max_length=500,
        examples=["bc1211ca-e3f1-4939-ae34-5260b16f627c"],
    )
    title: str = Field(title="Title", description="Its title.", min_length=1, max_length=2000, examples=["Release 1.2"])
    properties: dict[str, str] = Field(
        default_factory=dict,
        title="Properties",
        description="In a database: values by the names of its other properties; dates as 2026-03-01, several by commas.",
        max_length=100,
        examples=[{"Status": "Done", "Due": "2026-03-01"}],
    )
    text: str = Field(
        "",
        title="Text",
        description="What stands in it. Blank lines set paragraphs apart, and lines that begin with a dash are bullets.",
        max_length=MOST_TEXT,
        examples=["What is new:\n- Faster\n- Smaller"],
    )


class MoreText(sdk.Inputs):
    """What to append, and where."""

    page: PageId = Field(
        title="Page",
        description="Choose it, or its id or address.",
        max_length=500,
        examples=["59833787-2cf9-4fdf-8782-e53db20768a5"],
    )
    text: str = Field(
        title="Text",
        description="Blank lines set paragraphs apart, and lines that begin with a dash are bullets.",
        min_length=1,
        max_length=MOST_TEXT,
        examples=["Deployed at noon."],
    )


async def property_choices(ctx: sdk.Context, so_far: Mapping[str, Any]) -> list[sdk.Choice]:
    """The properties of the page that can be set; none while the page is known only when the AREA runs."""
    try:
        page = page_id_of(str(so_far.get("page") or ""))
    except ValueError:
        return []
    found = properties_in(mapping(await ctx.http.get(f"/v1/pages/{page}"), "id"))
    kinds = {name: text_in(one, "type") for name, one in found.items()}
    return [sdk.Choice(name, f"{name} ({kind.replace('_', ' ')})") for name, kind in kinds.items() if kind in WRITTEN]


class Setting(sdk.Inputs):
    """Which property of which page, and its value."""

    page: PageId = Field(
        title="Page",
        description="Choose it, or its id or address.",
        max_length=500,
        examples=["59833787-2cf9-4fdf-8782-e53db20768a5"],
    )
    property: Annotated[str, sdk.Choices(property_choices)] = Field(
        title="Property", description="Its name.", min_length=1, max_length=500, examples=["Status"]
    )
    value: str = Field(
        title="Value",
        description="By the property's type: text, 12.5, true, 2026-03-01, an option's name, ids; several go by commas. "
        "Empty takes it away.",
        max_length=MOST_TEXT,
        examples=["Done"],
    )


class Appended(sdk.Outputs):
    """What was appended."""

    page: str = Field(title="Page", description="The page's id.", examples=["59833787-2cf9-4fdf-8782-e53db20768a5"])
    blocks: list[str] = Field(
        title="Blocks",
        description="The ids of the new blocks, in their order.",
        examples=[["7985540b-2e77-4ac6-8615-c3047e36f872"]],
    )


# Creating


@service.reaction("Create a page", idempotent=False)
async def create_page(ctx: sdk.Context, page: NewPage) -> Page:
    """Creates a page in a database, with its properties, or under another page."""
    parent, properties = await _laid_out(ctx, page)
    asked: dict[str, Any] = {"parent": parent, "properties": properties}
    if children := blocks_of(page.text):
        asked["children"] = children
    return page_of(await ctx.http.post("/v1/pages", json=asked), wrote=True)


@create_page.reconcile
async def _created(ctx: sdk.Context, page: NewPage) -> Page | None:
    """The page of the same title, properties and text that this account has created there since the first attempt."""
    parent, properties = await _laid_out(ctx, page)
    under = parent.get("page_id")
    wanted = {name: _compared(value) for name, value in properties.items()}
    async for one in _under_page(ctx, under, page.title) if under else _in_source(ctx, parent["data_source_id"]):
        has = {name: read(value) for name, value in properties_in(one).items()}
        same = under or all(text in (None, has.get(name)) for name, text in wanted.items())
        if same and await _begins(ctx, one["id"], page.text):
            return page_of(await ctx.http.get(f"/v1/pages/{one['id']}"))
    return None


async def _begins(ctx: sdk.Context, page: str, text: str) -> bool:
    """Whether a page begins with this text; what somebody has written below it since does not matter."""
    wanted = [text_of(block) for block in blocks_of(text)]
    if not wanted:
        return True
    found = mapping(await ctx.http.get(f"/v1/blocks/{page}/children", params={"page_size": PER_PAGE}), "results")
    return [text_of(block) for block in objects(found["results"])][: len(wanted)] == wanted


async def _laid_out(ctx: sdk.Context, page: NewPage) -> tuple[dict[str, str], dict[str, Any]]:
    """The parent and the properties, as Notion takes them. Raises: Rejected."""
    try:
        source = await source_of(ctx, page.parent)
    except sdk.Rejected as error:
        if error.code not in ANOTHER:
            raise
        if page.properties:  # else it is a page, or creating says that it is nothing
            told = "Only pages of a database have properties: leave them out, or choose a database that the connection may see."
            raise sdk.Rejected(told, code="NO_DATABASE", field="parent") from None
        return {"type": "page_id", "page_id": page.parent}, {"title": {"title": rich_text(page.title)}}
    known = properties_in(source)
    title = next((name for name, one in known.items() if one.get("type") == "title"), "title")
    properties: dict[str, Any] = {title: {"title": rich_text(page.title)}}
    for wanted, text in page.properties.items():
        name, kind = find(known, wanted, "properties")
        if name in properties:
            raise sdk.Rejected(f"The property {name!r} is given twice.", code="GIVEN_TWICE", field="properties")
        if text.strip():  # it begins without a value
            properties[name] = written(name, kind, text)
    return {"type": "data_source_id", "data_source_id": str(source["id"])}, properties


def _compared(value: Mapping[str, Any]) -> str | None:
    """What a written value reads as; None where that cannot be said."""
    (kind,) = value
    return None if kind in NORMALISED else read({"type": kind, **value})


async def _in_source(ctx: sdk.Context, source: str) -> AsyncIterator[dict[str, Any]]:
    """What this account has created in a data source lately."""
    began = _began(ctx)
    asked: dict[str, Any] = {
        "filter": {"timestamp": "created_time", "created_time": {"on_or_after": f"{began:%Y-%m-%dT%H:%M:00.000Z}"}},
        "sorts": [{"timestamp": "created_time", "direction": "ascending"}],
        "page_size": PER_ANSWER,
    }
    for _ in range(PAGES):
        body = mapping(await ctx.http.post(f"/v1/data_sources/{source}/query", json=asked), "results")
        for one in objects(body["results"]):
            if _is_own(ctx, one, began):
                yield one
        asked["start_cursor"] = text_in(body, "next_cursor")
        if not body.get("has_more") or not asked["start_cursor"]:
            return
    raise sdk.Unknown("So much was created there that it cannot be said whether this was.")


async def _under_page(ctx: sdk.Context, page: str, title: str) -> AsyncIterator[dict[str, Any]]:
    """The pages of a title that this account has created under a page lately."""
    began = _began(ctx)
    async for block in _children(ctx, page):
        if text_in(block, "child_page", "title") == title and _is_own(ctx, block, began):
            yield mapping(await ctx.http.get(f"/v1/pages/{block['id']}"), "id")


# Writing in pages


@service.reaction("Append text", idempotent=False)
async def append_blocks(ctx: sdk.Context, more: MoreText) -> Appended:
    """Writes paragraphs and bullets at the end of a page, all or nothing."""
    children = blocks_of(more.text)
    if not children:
        raise sdk.Rejected("There is no text to append. Give some.", code="NO_TEXT", field="text")
    answer = await ctx.http.patch(f"/v1/blocks/{more.page}/children", json={"children": children})
    made = objects(mapping(answer, "results", wrote=True)["results"])
    return Appended(page=more.page, blocks=[str(one.get("id")) for one in made])


@append_blocks.reconcile
async def _appended(ctx: sdk.Context, more: MoreText) -> Appended | None:
    """The blocks of the same words, one after another, that this account has written there since the first attempt."""
    wanted, began = [text_of(block) for block in blocks_of(more.text)], _began(ctx)
    there = [block async for block in _children(ctx, more.page)]
    said = [text_of(block) if _is_own(ctx, block, began) else None for block in there]
    for at in range(len(said) - len(wanted), -1, -1):
        if said[at : at + len(wanted)] == wanted:
            return Appended(page=more.page, blocks=[str(block["id"]) for block in there[at : at + len(wanted)]])
    return None


async def _children(ctx: sdk.Context, page: str) -> AsyncIterator[dict[str, Any]]:
    """The blocks of a page. Raises: Unknown when there are more than can be looked through."""
    asked: dict[str, str | int] = {"page_size": PER_PAGE}
    for _ in range(PAGES):
        body = mapping(await ctx.http.get(f"/v1/blocks/{page}/children", params=asked), "results")
        for block in objects(body["results"]):
            if block.get("id"):
                yield block
        asked["start_cursor"] = text_in(body, "next_cursor")
        if not body.get("has_more") or not asked["start_cursor"]:
            return
    raise sdk.Unknown("The page is so long that it cannot be said whether the text was written.")


def _began(ctx: sdk.Context) -> datetime:
    """The minute of the first attempt: what is older is somebody's earlier one of the same words."""
    return ((ctx.tried_since or ctx.now()) - CLOCKS).replace(second=0, microsecond=0)


def _is_own(ctx: sdk.Context, found: Mapping[str, Any], began: datetime) -> bool:
    mine = text_in(found, "created_by", "id") == ctx.account.external_id
    return mine and moment(found, "created_time") >= began


# Setting properties


@service.reaction("Set a property", idempotent=True)
async def update_property(ctx: sdk.Context, given: Setting) -> Page:
    """Sets one property of a page, by its type."""
    page = mapping(await ctx.http.get(f"/v1/pages/{given.page}"), "id")
    name, kind = find(properties_in(page), given.property, "property")
    value = {"properties": {name: written(name, kind, given.value)}}
    return page_of(await ctx.http.patch(f"/v1/pages/{given.page}", json=value))
