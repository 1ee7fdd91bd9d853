"""Everything that Google Sheets' nodes send, and all that their stand-in answers, is as Google's description of the API says."""

from area.nodes import google_sheets
from area.nodes.google_sheets import reactions, watching
from area.nodes.google_sheets.provider import sheet_choices, spreadsheet_choices
from tests.contract.plugin import Contracts
from tests.nodes.google_wire import look, wired
from tests.providers.google_sheets import BOOK, DRIVE, ODD, GoogleSheets

WHERE = {"spreadsheet": BOOK, "sheet": ODD}


async def test_every_call_is_as_described(contract: Contracts) -> None:
    described, there = contract("sheets"), GoogleSheets()
    ctx = wired(google_sheets.service, there)
    await look(ctx, watching.row_added, watching.Watched(**WHERE))
    await reactions.append_row.fn(ctx, reactions.Cells(**WHERE, values={"Name": "Zoë", "C": "=1"}))
    assert len(await look(ctx, watching.row_added, watching.Watched(**WHERE))) == 1
    await reactions.update_row.fn(ctx, reactions.Change(**WHERE, row=2, values={"B": "x"}, as_typed=True))
    assert (await reactions.look_up_row.fn(ctx, reactions.Sought(**WHERE, column="Name", value="zoë"))).found
    assert len(await sheet_choices(ctx, {"spreadsheet": BOOK})) == 2
    described.audit(there)
    assert described.checked > 15


async def test_the_files_are_asked_for_as_drive_describes(contract: Contracts) -> None:
    drive, there = contract("drive"), GoogleSheets()
    ctx = wired(google_sheets.service, there)
    ctx.settings = {"drive_url": f"https://drive.test{DRIVE}"}
    there.own_paths.clear()
    there.base_path = ""
    assert len(await spreadsheet_choices(ctx, {})) == 1
    drive.audit(there)
    assert drive.checked == 1
