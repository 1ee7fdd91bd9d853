"""Cells, columns and rows. Notation: https://developers.google.com/workspace/sheets/api/guides/concepts#cell"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from area.nodes import sdk
from area.nodes._google import listed, mapping, segment
from area.nodes.google_sheets.provider import Table

MOST_COLUMNS = 200
CHUNK = 5000
"""Rows read at once."""
CHUNKS = 10
LETTERS = re.compile(r"[A-Za-z]{1,3}")
UPDATED_ROW = re.compile(r"![A-Z]+(\d+)")


class Row(sdk.Outputs):
    """A row."""

    row: int = Field(title="Row", description="Its number, counted from 1.", examples=[5])
    values: dict[str, str] = Field(
        title="Values",
        description="Its cells by the names of their columns.",
        examples=[{"Name": "Ada", "City": "London"}],
    )
    cells: list[str] = Field(title="Cells", description="The same in their order.", examples=[["Ada", "London"]])
    spreadsheet: str = Field(
        title="Spreadsheet", description="Its id.", examples=["1BxiMVs0XRA5nFMdKvBdBZjgmUUqptlbs74OgvE2upms"]
    )
    url: str = Field(
        title="Address",
        description="Where the spreadsheet opens.",
        examples=["https://docs.google.com/spreadsheets/d/1BxiMVs0XRA5nFMdKvBdBZjgmUUqptlbs74OgvE2upms"],
    )


@dataclass(frozen=True, slots=True)
class Grid:
    """How large a sheet is: what is asked for beyond its end is an error."""

    rows: int
    columns: int


async def grid_of(ctx: sdk.Context, table: Table) -> Grid:
    """The size of a sheet. Raises: Rejected when the spreadsheet has no such sheet."""
    asked = {"fields": "sheets.properties(title,gridProperties(rowCount,columnCount))"}
    found = mapping(await ctx.http.get(f"/spreadsheets/{table.spreadsheet}", params=asked))
    named = [one["properties"] for one in listed(found, "sheets") if isinstance(one.get("properties"), dict)]
    for one in named:
        grid = one.get("gridProperties")
        if one.get("title") == table.sheet and isinstance(grid, Mapping):
            return Grid(_number(grid.get("rowCount")), min(_number(grid.get("columnCount")), MOST_COLUMNS))
    if not named:
        raise sdk.Unavailable("Google Sheets named no sheet of the spreadsheet.")
    titles = ", ".join(repr(str(one.get("title"))) for one in named[:20])
    told = f"The spreadsheet has no sheet {table.sheet!r} with cells. It has: {titles}."
    raise sdk.Rejected(told, code="NO_SHEET", field="sheet", suggestion=str(named[0].get("title")))


async def read(ctx: sdk.Context, table: Table, grid: Grid, first: int, last: int) -> list[list[str]]:
    """Rows as texts, from the first to the last, those after the last that has something left out."""
    last = min(last, grid.rows)
    if first > last or grid.columns < 1:
        return []
    place = place_of(table, f"A{first}:{letters(grid.columns)}{last}")
    return rows_in(mapping(await ctx.http.get(place)))


def rows_in(answer: Mapping[str, Any]) -> list[list[str]]:
    """The rows of an answer, as texts."""
    given = answer.get("values")
    rows = given if isinstance(given, list) else []
    return [[text(cell) for cell in row] if isinstance(row, list) else [] for row in rows]


def text(cell: Any) -> str:
    """A cell as Sheets shows it."""
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    return "" if cell is None else str(cell)


async def headings(ctx: sdk.Context, table: Table, grid: Grid) -> list[str]:
    """The names of all columns: the headings, and letters where there is none or one that is there already."""
    rows = await read(ctx, table, grid, table.header_row, table.header_row) if table.header_row else []
    named = [name.strip() for name in (rows[0] if rows else [])]
    names: list[str] = []
    for number in range(grid.columns):
        name = named[number] if number < len(named) else ""
        names.append(name if name and name not in names else letters(number + 1))
    return names


def column_of(names: Sequence[str], wanted: str, field: str) -> int:
    """A column by its heading, in whatever case, or by its letters; counted from 0. Raises: Rejected."""
    folded = [name.casefold() for name in names]
    name = wanted.strip()
    if name.casefold() in folded:
        return folded.index(name.casefold())
    if LETTERS.fullmatch(name) and number(name) <= len(names):
        return number(name) - 1
    told = f"The sheet has no column {wanted!r}. It has: {', '.join(names[:30])}."
    raise sdk.Rejected(told, code="NO_COLUMN", field=field, suggestion=names[0] if names else None)


def row_of(table: Table, names: Sequence[str], row: int, cells: Sequence[str]) -> dict[str, Any]:
    """What a row tells."""
    filled = [*cells, *[""] * (len(names) - len(cells))]
    headed = max((at + 1 for at, name in enumerate(names) if name != letters(at + 1)), default=0)
    return {
        "row": row,
        "values": dict(zip(names[: max(headed, len(cells))], filled, strict=False)),
        "cells": list(cells),
        "spreadsheet": table.spreadsheet,
        "url": f"https://docs.google.com/spreadsheets/d/{table.spreadsheet}",
    }


def place_of(table: Table, cells: str) -> str:
    """Where a range of the sheet is."""
    quoted = "'" + table.sheet.replace("'", "''") + "'"
    return f"/spreadsheets/{table.spreadsheet}/values/{segment(f'{quoted}!{cells}')}"


def letters(number: int) -> str:
    """The letters of a column: 1 is A, 27 is AA."""
    found = ""
    while number > 0:
        number, rest = divmod(number - 1, 26)
        found = chr(65 + rest) + found
    return found


def number(letters_: str) -> int:
    """The number of a column: A is 1."""
    found = 0
    for letter in letters_.upper():
        found = found * 26 + ord(letter) - 64
    return found


def _number(given: Any) -> int:
    return given if isinstance(given, int) and given > 0 else 0
