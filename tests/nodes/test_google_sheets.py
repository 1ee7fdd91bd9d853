"""Google Sheets: which rows are new, where cells are written, what is taken as it stands, and what refusals mean."""

from typing import Any

import pytest
from pydantic import ValidationError

from area.nodes import google_sheets, sdk
from area.nodes._google import Gone
from area.nodes.google_sheets import reactions, watching
from area.nodes.google_sheets.provider import FILES, READ, WRITE, sheet_choices, spreadsheet_choices
from area.nodes.google_sheets.tables import letters, number
from tests.nodes.conftest import FakeContext
from tests.nodes.google_wire import look, wired
from tests.providers.google_sheets import BOOK, DRIVE, ODD, ORDERS, GoogleSheets

WHERE = {"spreadsheet": BOOK, "sheet": ORDERS}
ORDERS_OF = watching.Watched(**WHERE)


@pytest.fixture
def there() -> GoogleSheets:
    return GoogleSheets()


@pytest.fixture
def ctx(there: GoogleSheets) -> FakeContext:
    made = wired(google_sheets.service, there)
    made.settings = {**made.settings, "drive_url": f"https://google_sheets.test{DRIVE}"}
    return made


async def names(ctx: FakeContext, where: watching.Watched = ORDERS_OF) -> list[str]:
    """The first cells of the rows that the next look finds new."""
    return [row.cells[0] for row in await look(ctx, watching.row_added, where)]


def people(there: GoogleSheets, *given: str) -> None:
    there.sheets[ORDERS] += [[name, "Town"] for name in given]


# New rows


async def test_a_row_that_is_added_fires_once_with_its_cells_by_name(there: GoogleSheets, ctx: FakeContext) -> None:
    people(there, "Ada")
    assert await names(ctx) == []
    there.sheets[ORDERS].append(["Zoë 🎉", "", 7, True])
    (row,) = await look(ctx, watching.row_added, ORDERS_OF)
    assert row.model_dump() == {
        "key": "1/3",
        "row": 3,
        "values": {"Name": "Zoë 🎉", "City": "", "Größe": "7", "D": "TRUE"},
        "cells": ["Zoë 🎉", "", "7", "TRUE"],
        "spreadsheet": BOOK,
        "url": f"https://docs.google.com/spreadsheets/d/{BOOK}",
    }
    assert await names(ctx) == []


async def test_rows_alike_are_each_new_and_the_same_place_anew_too(there: GoogleSheets, ctx: FakeContext) -> None:
    await names(ctx)
    people(there, "x", "x")
    first = await look(ctx, watching.row_added, ORDERS_OF)
    people(there, "x")
    second = await look(ctx, watching.row_added, ORDERS_OF)
    del there.sheets[ORDERS][-1]
    assert await names(ctx) == []
    people(there, "x")
    third = await look(ctx, watching.row_added, ORDERS_OF)
    assert [row.key for row in [*first, *second, *third]] == ["1/2", "2/3", "3/4", "4/4"]


@pytest.mark.parametrize(
    ("change", "new"),
    [
        (lambda rows: rows.append(["new"]), ["new"]),
        (lambda rows: rows[-1].__setitem__(0, "edited"), []),
        (lambda rows: (rows[-1].__setitem__(0, "edited"), rows.append(["new"])), ["new"]),
        (lambda rows: rows.insert(1, ["above"]), []),
        (lambda rows: (rows.insert(1, ["above"]), rows.append(["new"])), ["new"]),
        (lambda rows: rows.insert(-1, ["near the end"]), []),
        (lambda rows: rows.pop(3), []),
        (lambda rows: (rows.pop(3), rows.append(["new"])), ["new"]),
        (lambda rows: rows.__setitem__(slice(1, None), sorted(rows[1:], reverse=True)), []),
        (lambda rows: rows.__delitem__(slice(1, None)), []),
        (lambda rows: rows.extend([[], [""], ["after a gap"]]), ["after a gap"]),
    ],
    ids=["added", "edited", "edited and added", "put in", "put in and added", "put in low", "taken out", "taken out and added",
         "sorted", "emptied", "gap"],
)  # fmt: skip
async def test_only_what_is_added_at_the_end_is_new(
    there: GoogleSheets, ctx: FakeContext, change: Any, new: list[str]
) -> None:
    people(there, *(f"{number:03}" for number in range(120)))
    await names(ctx)
    change(there.sheets[ORDERS])
    assert await names(ctx) == new
    people(there, "the next")
    assert await names(ctx) == ["the next"], "its place is known again"


async def test_many_rows_are_told_a_part_at_a_time(there: GoogleSheets, ctx: FakeContext) -> None:
    await names(ctx)
    people(there, *(f"{number}" for number in range(250)))
    found = [await names(ctx) for _ in range(4)]
    assert found == [[f"{n}" for n in part] for part in (range(100), range(100, 200), range(200, 250), ())]


async def test_the_end_of_a_long_sheet_is_found_from_below(there: GoogleSheets, ctx: FakeContext) -> None:
    there.rows = 20_000
    people(there, "Ada")
    await names(ctx)
    assert (ctx.cursor["last"], len(there.calls)) == (2, 5)
    there.rows = 100_000
    ctx.cursor = None
    with pytest.raises(sdk.Rejected, match="Delete the empty rows") as caught:
        await names(ctx)
    assert caught.value.code == "TOO_MANY_ROWS"


async def test_a_sheet_without_headings_and_with_a_strange_name(there: GoogleSheets, ctx: FakeContext) -> None:
    where = watching.Watched(
        spreadsheet=f"https://docs.google.com/spreadsheets/d/{BOOK}/edit#gid=0", sheet=ODD, header_row=0
    )
    there.sheets[ODD] = []
    await look(ctx, watching.row_added, where)
    there.sheets[ODD].append(["Ada", "London"])
    (row,) = await look(ctx, watching.row_added, where)
    assert (row.row, row.values) == (1, {"A": "Ada", "B": "London"})


async def test_a_sheet_that_is_not_there_is_told_with_those_that_are(ctx: FakeContext) -> None:
    with pytest.raises(sdk.Rejected, match=r"has no sheet 'Missing' with cells\. It has: 'Orders'") as caught:
        await look(ctx, watching.row_added, watching.Watched(spreadsheet=BOOK, sheet="Missing"))
    assert (caught.value.field, caught.value.suggestion) == ("sheet", "Orders")
    with pytest.raises(Gone):
        await look(ctx, watching.row_added, watching.Watched(spreadsheet="x" * 20, sheet=ORDERS))
    with pytest.raises(ValidationError, match="address as the browser shows it"):
        watching.Watched(spreadsheet="../files/x", sheet=ORDERS)


# Writing


async def test_a_row_is_appended_by_the_names_of_its_columns(there: GoogleSheets, ctx: FakeContext) -> None:
    people(there, "Ada")
    given = reactions.Cells(**WHERE, values={"größe": "M", "A": "Zoë 🎉", "e": "far"})
    row = await reactions.append_row.fn(ctx, given)
    assert there.sheets[ORDERS][2] == ["Zoë 🎉", "", "M", "", "far"]
    assert (row.row, row.values["Größe"], row.values["E"]) == (3, "M", "far")
    assert there.calls[-1].query == {"valueInputOption": "RAW", "insertDataOption": "INSERT_ROWS"}


@pytest.mark.parametrize(("as_typed", "kept"), [(False, "=1+1"), (True, "result of =1+1")])
async def test_formulas_of_strangers_stay_text(
    there: GoogleSheets, ctx: FakeContext, as_typed: bool, kept: str
) -> None:
    await reactions.append_row.fn(ctx, reactions.Cells(**WHERE, values={"Name": "=1+1"}, as_typed=as_typed))
    assert there.sheets[ORDERS][1] == [kept]


async def test_some_columns_of_a_row_are_written_and_the_others_stay(there: GoogleSheets, ctx: FakeContext) -> None:
    there.sheets[ORDERS].append(["Ada", "London", "S", "kept"])
    change = reactions.Change(**WHERE, row=2, values={"Größe": "M"})
    for _ in range(2):
        row = await reactions.update_row.fn(ctx, change)
        assert (row.row, row.cells) == (2, ["Ada", "London", "M", "kept"])
    assert there.sheets[ORDERS] == [["Name", "City", "Größe"], ["Ada", "London", "M", "kept"]]
    with pytest.raises(ValidationError, match="below the row of headings"):
        reactions.Change(**WHERE, row=1, values={"Name": "x"})
    with pytest.raises(sdk.Rejected, match="exceeds grid limits"):
        await reactions.update_row.fn(ctx, reactions.Change(**WHERE, row=1001, values={"Name": "x"}))


async def test_what_cannot_be_written_is_told(there: GoogleSheets, ctx: FakeContext) -> None:
    with pytest.raises(sdk.Rejected, match=r"no column 'Town'\. It has: Name, City, Größe, D, E, F") as caught:
        await reactions.append_row.fn(ctx, reactions.Cells(**WHERE, values={"Town": "x"}))
    assert (caught.value.field, caught.value.suggestion) == ("values", "Name")
    with pytest.raises(ValidationError, match="too long"):
        reactions.Cells(**WHERE, values={"Name": "x" * 50_001})
    with pytest.raises(sdk.Rejected, match="has not allowed this"):
        await reactions.append_row.fn(
            wired(google_sheets.service, there, READ), reactions.Cells(**WHERE, values={"A": "x"})
        )
    assert there.sheets[ORDERS] == [["Name", "City", "Größe"]]


# Finding


async def test_the_first_row_that_fits_is_found(there: GoogleSheets, ctx: FakeContext) -> None:
    there.sheets[ORDERS] += [["Ada", "London"], ["Zoë", " PARIS "], ["Bob", "Paris"], ["Name"]]
    found = await reactions.look_up_row.fn(ctx, reactions.Sought(**WHERE, column="city", value="paris"))
    assert (found.found, found.row, found.values) == (True, 3, {"Name": "Zoë", "City": " PARIS ", "Größe": ""})
    missing = await reactions.look_up_row.fn(ctx, reactions.Sought(**WHERE, column="B", value="Berlin"))
    assert (missing.found, missing.row, missing.cells) == (False, 0, [])
    heading = await reactions.look_up_row.fn(ctx, reactions.Sought(**WHERE, column="Name", value="Name"))
    assert heading.row == 5, "the row of headings is no row"


async def test_a_long_sheet_is_searched_so_far(there: GoogleSheets, ctx: FakeContext) -> None:
    there.rows = 60_000
    there.sheets[ORDERS] += [["x"]] * 7000 + [["needle"]]
    assert (await reactions.look_up_row.fn(ctx, reactions.Sought(**WHERE, column="A", value="Needle"))).row == 7002
    assert not (await reactions.look_up_row.fn(ctx, reactions.Sought(**WHERE, column="A", value="none"))).found
    assert ctx.lines == [("warning", "Only the first 50,000 rows were searched.")]


async def test_spreadsheets_and_their_sheets_are_offered(ctx: FakeContext) -> None:
    assert await spreadsheet_choices(ctx, {}) == [sdk.Choice(BOOK, "Bücher 📚")]
    assert await sheet_choices(ctx, {}) == []
    assert [one.value for one in await sheet_choices(ctx, {"spreadsheet": BOOK})] == [ORDERS, ODD]


def test_columns_have_letters_and_nodes_the_least_scopes() -> None:
    assert [letters(n) for n in (1, 26, 27, 52, 702, 703)] == ["A", "Z", "AA", "AZ", "ZZ", "AAA"]
    assert all(number(letters(n)) == n for n in range(1, 1000))
    service = google_sheets.service
    nodes = {**service.actions, **service.reactions}
    assert {key.partition(".")[2]: node.scopes for key, node in nodes.items()} == {
        "row_added": (READ, FILES),
        "append_row": (WRITE, FILES),
        "update_row": (WRITE, FILES),
        "look_up_row": (READ, FILES),
    }
