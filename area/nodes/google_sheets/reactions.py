"""What can be done in a sheet: rows are appended, changed and looked up."""

from typing import Any, Self

from pydantic import Field, model_validator

from area.nodes import sdk
from area.nodes._google import mapping
from area.nodes.google_sheets.provider import FILES, READ, WRITE, Table, service
from area.nodes.google_sheets.tables import (
    CHUNK,
    UPDATED_ROW,
    Grid,
    Row,
    column_of,
    grid_of,
    headings,
    letters,
    place_of,
    read,
    row_of,
    rows_in,
)

MOST_TEXT = 50_000
"""Characters that a cell can hold."""
MOST_ROWS = 50_000
"""Rows that are searched."""


class Cells(Table):
    """What to write, and where."""

    values: dict[str, str] = Field(
        title="Values",
        description="Texts by the names of their columns, or by the columns' letters.",
        min_length=1,
        max_length=200,
        examples=[{"Name": "Ada", "City": "London"}],
    )
    as_typed: bool = Field(
        False,
        title="As if typed",
        description="Reads dates, numbers and formulas in the texts. Not for what strangers have written: it could be a formula.",
        examples=[False],
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for name, value in self.values.items():
            if len(value) > MOST_TEXT:
                raise ValueError(f"the text for {name!r} is too long; a cell holds {MOST_TEXT:,} characters")
        return self


class Change(Cells):
    """Which row, and what becomes of it."""

    row: int = Field(title="Row", description="Its number, counted from 1.", ge=1, le=10_000_000, examples=[5])

    @model_validator(mode="after")
    def _below(self) -> Self:
        if self.row <= self.header_row:
            raise ValueError("the row must be below the row of headings")
        return self


class Sought(Table):
    """What to look for, and where."""

    column: str = Field(
        title="Column", description="Its heading, or its letters.", min_length=1, max_length=500, examples=["Name"]
    )
    value: str = Field(
        title="Value",
        description="What stands there, in upper or lower case.",
        min_length=1,
        max_length=1000,
        examples=["Ada"],
    )


class Found(Row):
    """The first row that fits."""

    found: bool = Field(title="Found", description="Whether there is one; else the row is 0.", examples=[True])


@service.reaction("Append a row", idempotent=False, scopes=(WRITE, FILES))
async def append_row(ctx: sdk.Context, given: Cells) -> Row:
    """Writes a row below the last one of a sheet."""
    _, names, cells = await _laid_out(ctx, given)
    row = ["" if cell is None else cell for cell in cells]
    place = place_of(given, f"A{max(given.header_row, 1)}")
    query = {"valueInputOption": _option(given), "insertDataOption": "INSERT_ROWS"}
    answer = mapping(await ctx.http.post(f"{place}:append", json={"values": [row]}, params=query), "updates")
    updates = answer["updates"]
    written = UPDATED_ROW.search(str(updates.get("updatedRange") if isinstance(updates, dict) else ""))
    if written is None:
        raise sdk.Unknown("Google Sheets does not say where it has put the row. The row may have been written.")
    return Row(**row_of(given, names, int(written[1]), row))


@service.reaction("Update a row", idempotent=True, scopes=(WRITE, FILES))
async def update_row(ctx: sdk.Context, change: Change) -> Row:
    """Writes into some columns of a row, and leaves the others as they are."""
    grid, names, cells = await _laid_out(ctx, change)
    place = place_of(change, f"A{change.row}:{letters(len(cells))}{change.row}")
    answer = await ctx.http.put(place, json={"values": [cells]}, params={"valueInputOption": _option(change)})
    mapping(answer, "updatedRange", safe=True)
    whole = await read(ctx, change, grid, change.row, change.row)
    return Row(**row_of(change, names, change.row, whole[0] if whole else []))


@service.reaction("Look up a row", idempotent=True, pure=True, scopes=(READ, FILES))
async def look_up_row(ctx: sdk.Context, sought: Sought) -> Found:
    """Finds the first row that has a value in a column."""
    grid = await grid_of(ctx, sought)
    names = await headings(ctx, sought, grid)
    column = letters(column_of(names, sought.column, "column") + 1)
    wanted = sought.value.strip().casefold()
    top = sought.header_row + 1
    for first in range(top, min(grid.rows, top + MOST_ROWS - 1) + 1, CHUNK):
        place = place_of(sought, f"{column}{first}:{column}{min(first + CHUNK - 1, grid.rows)}")
        rows = rows_in(mapping(await ctx.http.get(place)))
        at = next((at for at, cells in enumerate(rows, first) if cells and cells[0].strip().casefold() == wanted), None)
        if at is not None:
            whole = await read(ctx, sought, grid, at, at)
            return Found(found=True, **row_of(sought, names, at, whole[0] if whole else []))
    if grid.rows >= top + MOST_ROWS:
        ctx.log(f"Only the first {MOST_ROWS:,} rows were searched.", level="warning")
    return Found(found=False, **row_of(sought, names, 0, []))


async def _laid_out(ctx: sdk.Context, given: Cells) -> tuple[Grid, list[str], list[str | None]]:
    """The size of the sheet, the names of its columns, and the texts in their order; None where a column is not given."""
    grid = await grid_of(ctx, given)
    names = await headings(ctx, given, grid)
    places: dict[int, Any] = {column_of(names, name, "values"): value for name, value in given.values.items()}
    return grid, names, [places.get(number) for number in range(max(places) + 1)]


def _option(given: Cells) -> str:
    return "USER_ENTERED" if given.as_typed else "RAW"
