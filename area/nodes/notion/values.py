"""Pages, and the values of their properties: https://developers.notion.com/reference/page-property-values"""

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
from pydantic import Field

from area.nodes import sdk
from area.nodes.notion.blocks import rich_text
from area.nodes.notion.provider import id_of, mapping, objects, plain, properties_in, text_in, title_of

YES = frozenset({"true", "yes", "1", "on", "x", "✓"})
NO = frozenset({"false", "no", "0", "off", ""})
SEPARATOR = re.compile(r"\s*,\s*")


class Page(sdk.Outputs):
    """A page."""

    id: str = Field(title="Id", description="The page's id.", examples=["59833787-2cf9-4fdf-8782-e53db20768a5"])
    url: str = Field(
        title="Address",
        description="Where the page opens.",
        examples=["https://www.notion.so/Release-598337872cf94fdf8782e53db20768a5"],
    )
    title: str = Field(title="Title", description="Its title as plain text.", examples=["Release 1.2"])
    properties: dict[str, str] = Field(
        title="Properties",
        description="Their values as text, by their names; several in one are set apart by commas.",
        examples=[{"Name": "Release 1.2", "Status": "Done", "Due": "2026-03-01"}],
    )
    database: str = Field(
        title="Database",
        description="The id of its data source; empty where it is under a page.",
        examples=["bc1211ca-e3f1-4939-ae34-5260b16f627c"],
    )
    created_at: datetime = Field(
        title="Created at",
        description="In UTC, to the minute.",
        examples=[datetime(2026, 3, 1, 12, 0, tzinfo=UTC)],
    )
    edited_at: datetime = Field(
        title="Edited at",
        description="When it was last edited, in UTC, to the minute.",
        examples=[datetime(2026, 3, 1, 12, 5, tzinfo=UTC)],
    )
    created_by: str = Field(
        title="Created by", description="The id of who made it.", examples=["5389a034-eb5c-47b5-8a9e-f79c99ef166c"]
    )
    edited_by: str = Field(
        title="Edited by",
        description="The id of who edited it last.",
        examples=["5389a034-eb5c-47b5-8a9e-f79c99ef166c"],
    )


def told(found: Mapping[str, Any]) -> dict[str, Any]:
    """What a page tells."""
    return {
        "id": str(found.get("id")),
        "url": text_in(found, "url"),
        "title": title_of(found),
        "properties": {name: read(one) for name, one in properties_in(found).items()},
        "database": text_in(found, "parent", "data_source_id"),
        "created_at": moment(found, "created_time"),
        "edited_at": moment(found, "last_edited_time"),
        "created_by": text_in(found, "created_by", "id"),
        "edited_by": text_in(found, "last_edited_by", "id"),
    }


def page_of(response: httpx.Response, *, wrote: bool = False) -> Page:
    """The page that an answer is. Raises: Unavailable when it is none, or Unknown where the call ``wrote`` something."""
    found = mapping(response, "id", wrote=wrote)
    try:
        return Page(**told(found))
    except sdk.Unavailable as error:
        raise (sdk.Unknown(f"{error.message} The page may have been created.") if wrote else error) from None


def moment(found: Mapping[str, Any], name: str) -> datetime:
    """A time that Notion gives. Raises: Unavailable when it is none."""
    try:
        at = datetime.fromisoformat(text_in(found, name))
    except ValueError:
        raise sdk.Unavailable(f"Notion says {found.get(name)!r} for a page's {name}.") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def read(value: Any) -> str:
    """A property's value as text; empty for what has none."""
    if not isinstance(value, Mapping):
        return ""
    kind = text_in(value, "type")
    held = value.get(kind)
    if isinstance(held, bool):
        return "true" if held else "false"
    if isinstance(held, str | int | float):
        return str(held)
    if isinstance(held, list):
        return plain(held) if kind in ("title", "rich_text") else ", ".join(filter(None, map(_one, objects(held))))
    return _one(held) if isinstance(held, Mapping) else ""


def _one(held: Mapping[str, Any]) -> str:
    """One option, date, person, relation, file, formula, number of a series, or value of a rollup."""
    if isinstance(held.get("start"), str):
        return " / ".join(text_in(held, name) for name in ("start", "end") if text_in(held, name))
    if isinstance(held.get("number"), int) and "prefix" in held:
        return f"{held['prefix']}-{held['number']}" if held["prefix"] else str(held["number"])
    return text_in(held, "name") or (read(held) if text_in(held, "type") in held else text_in(held, "id"))


# Writing


def written(name: str, kind: str, text: str) -> dict[str, Any]:
    """The value of a property, out of text. Raises: Rejected."""
    write = WRITTEN.get(kind)
    if write is None:
        raise sdk.Rejected(
            f"The property {name!r} is of the type {kind!r}, which cannot be set here.", code="NOT_WRITABLE"
        )
    try:
        return {kind: write(text)}
    except ValueError as error:
        raise sdk.Rejected(f"The property {name!r} cannot be {text[:80]!r}: {error}.", code="BAD_VALUE") from None


def find(properties: Mapping[str, Mapping[str, Any]], wanted: str, field: str) -> tuple[str, str]:
    """The name and the type of a property, in whatever case it was written. Raises: Rejected, with those there are."""
    names = {name.strip().casefold(): name for name in properties}
    name = wanted if wanted in properties else names.get(wanted.strip().casefold())
    if name is None:
        known = ", ".join(repr(name) for name in list(properties)[:30])
        told = f"There is no property {wanted!r}. There are: {known or 'none'}."
        raise sdk.Rejected(told, code="NO_PROPERTY", field=field, suggestion=next(iter(properties), None))
    return name, text_in(properties[name], "type")


def _number(text: str) -> float | int | None:
    if not text.strip():
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError("it must be a number such as 12.5")
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


def _checkbox(text: str) -> bool:
    answer = text.strip().casefold()
    if answer not in YES | NO:
        raise ValueError("it must be true or false")
    return answer in YES


def _date(text: str) -> dict[str, str] | None:
    if not text.strip():
        return None
    ends = [part.strip() for part in text.split("/")]
    try:
        moments = [datetime.fromisoformat(part) for part in ends]
    except ValueError:
        moments = []
    if not 1 <= len(moments) <= 2:
        raise ValueError("it must be a date such as 2026-03-01 or 2026-03-01T09:00:00Z, or two with a / between")
    return dict(zip(("start", "end"), ends, strict=False))


def _several(text: str) -> list[str]:
    return [part for part in SEPARATOR.split(text.strip()) if part]


def _option(text: str) -> dict[str, str] | None:
    return {"name": text.strip()} if text.strip() else None


def _line(text: str) -> str | None:
    return text.strip() or None


WRITTEN: dict[str, Callable[[str], Any]] = {
    "title": rich_text,
    "rich_text": rich_text,
    "number": _number,
    "checkbox": _checkbox,
    "date": _date,
    "select": _option,
    "status": _option,
    "multi_select": lambda text: [{"name": name} for name in _several(text)],
    "url": _line,
    "email": _line,
    "phone_number": _line,
    "relation": lambda text: [{"id": id_of(page)} for page in _several(text)],
    "people": lambda text: [{"object": "user", "id": id_of(person)} for person in _several(text)],
}
"""How each type that can be set is written; an empty text takes the value away."""
