"""New rows. Rows have no ids and nothing tells of them, so that each look compares the sheet's end with what it was."""

import hashlib
import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated

from pydantic import Field

from area.nodes import sdk
from area.nodes.google_sheets.provider import FILES, READ, SheetName, Spreadsheet, Table, service
from area.nodes.google_sheets.tables import CHUNK, CHUNKS, Grid, Row, grid_of, headings, read, row_of

EVERY = timedelta(minutes=1)
REMEMBERED = 50
"""Rows at the end by which the next look finds its place."""
ENOUGH = 3
"""Rows that must agree on where the end has moved."""
PER_LOOK = 100


class Watched(Table):
    """Which sheet to watch."""

    spreadsheet: Annotated[Spreadsheet, sdk.NoTemplate] = Field(
        title="Spreadsheet",
        description="Its id, or its address as the browser shows it.",
        max_length=500,
        examples=["1BxiMVs0XRA5nFMdKvBdBZjgmUUqptlbs74OgvE2upms"],
    )
    sheet: Annotated[SheetName, sdk.NoTemplate] = Field(
        title="Sheet", description="Its name, as on its tab.", min_length=1, max_length=100, examples=["Orders"]
    )
    header_row: Annotated[int, sdk.NoTemplate] = Field(
        1,
        title="Row of headings",
        description="Where the names of the columns are; 0 without any, and columns are named A, B, C.",
        ge=0,
        le=1000,
        examples=[1],
    )


class NewRow(Row):
    """A row that is new."""

    key: Annotated[str, sdk.Identity] = Field(
        title="Key", description="Which of the new rows it is, and its number.", examples=["12/5"]
    )


@service.poll("New row", every=EVERY, scopes=(READ, FILES))
async def row_added(ctx: sdk.Context, where: Watched) -> sdk.Page[NewRow]:
    """Fires once for each row that is added at the end of a sheet. Rows that are edited, moved or put in between fire nothing."""
    grid = await grid_of(ctx, where)
    if ctx.cursor is None:
        last, tail = await _end(ctx, where, grid)
        return sdk.Page([], {"last": last, "tail": tail, "told": 0})
    last, tail, so_far = ctx.cursor["last"], ctx.cursor["tail"], ctx.cursor["told"]
    first = max(where.header_row + 1, last - 2 * REMEMBERED + 1)
    rows = await read(ctx, where, grid, first, last + REMEMBERED + PER_LOOK)
    if not rows and last > where.header_row:  # much has been taken away: where does it end now?
        last, tail = await _end(ctx, where, grid)
        return sdk.Page([], {"last": last, "tail": tail, "told": so_far})
    marks = [mark(row) for row in rows]
    by, in_place = _moved(marks, tail, last - first + 1)
    start = max(0, last - first + 1 + by)
    known = set() if in_place else set(tail)
    found = enumerate(rows[start : start + PER_LOOK], start)
    fresh = [(at, row) for at, row in found if any(row) and marks[at] not in known]
    names = await headings(ctx, where, grid) if fresh else []
    items = [
        NewRow(key=f"{so_far + number}/{first + at}", **row_of(where, names, first + at, row))
        for number, (at, row) in enumerate(fresh, 1)
    ]
    seen = marks[: start + PER_LOOK]
    cursor = {"last": first + len(seen) - 1, "tail": seen[-REMEMBERED:], "told": so_far + len(items)}
    return sdk.Page(items, cursor)


async def _end(ctx: sdk.Context, table: Table, grid: Grid) -> tuple[int, list[str]]:
    """The number of the last row that has something, and the marks of those at the end. Raises: Rejected when it is too far up."""
    top = table.header_row + 1
    bottom = grid.rows
    for _ in range(CHUNKS):
        if bottom < top:
            return table.header_row, []
        first = max(top, bottom - CHUNK + 1)
        rows = await read(ctx, table, grid, first, bottom)
        if rows:
            return first + len(rows) - 1, [mark(row) for row in rows[-REMEMBERED:]]
        bottom = first - 1
    raise sdk.Rejected(
        f"The last {CHUNK * CHUNKS:,} rows of {table.sheet!r} are empty. Delete the empty rows below your data.",
        code="TOO_MANY_ROWS",
        field="sheet",
    )


def mark(row: Sequence[str]) -> str:
    """What tells a row from others."""
    return hashlib.sha256(json.dumps(list(row)).encode()).hexdigest()[:12]


def _moved(marks: Sequence[str], tail: Sequence[str], end: int) -> tuple[int, bool]:
    """By how many rows the old end, ``tail`` up to ``end``, has moved, as rows were put in or taken away above it.

    It is the move that the most rows at the very end agree with; none where they are too few to tell, as after sorting. The second
    says whether the end is where it was: else rows behind it that have been there before are not new.
    """

    def fit(by: int) -> tuple[int, int]:
        same = [
            0 <= end - 1 - back + by < len(marks) and marks[end - 1 - back + by] == wanted
            for back, wanted in enumerate(reversed(tail))
        ]
        return next((at for at, is_same in enumerate(same) if not is_same), len(same)), -abs(by)

    best = max(range(-REMEMBERED, REMEMBERED + 1), key=fit)
    agreeing, _ = fit(best)
    if best == 0 or agreeing < min(ENOUGH, len(tail)):
        return 0, not tail or fit(0)[0] > 0
    return best, False
