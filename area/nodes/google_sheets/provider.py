"""The service itself, and what it offers to choose from. API: https://developers.google.com/workspace/sheets/api/reference/rest"""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from area.nodes import sdk
from area.nodes._google import SCOPE, google, listed, mapping

READ = f"{SCOPE}spreadsheets.readonly"
WRITE = f"{SCOPE}spreadsheets"
FILES = f"{SCOPE}drive.metadata.readonly"
"""To offer the account's spreadsheets as choices: Sheets itself lists none."""
DRIVE = "https://www.googleapis.com/drive/v3/files"
MOST_FILES = 100
IN_ADDRESS = re.compile(r"/spreadsheets/d/([A-Za-z0-9_-]+)")
SPREADSHEET_ID = re.compile(r"[A-Za-z0-9_-]{10,200}")

service = google(
    "google_sheets",
    "Google Sheets",
    "Reacts to new rows; appends, changes and looks up rows.",
    "https://sheets.googleapis.com/v4",
    "https://developers.google.com/workspace/sheets/api/reference/rest",
    implies={WRITE: (READ,)},
)


async def spreadsheet_choices(ctx: sdk.Context, so_far: Mapping[str, Any]) -> list[sdk.Choice]:
    """The account's spreadsheets, those used lately first. The setting ``drive_url`` replaces the address of Drive's files."""
    asked: dict[str, str | int] = {
        "q": "mimeType = 'application/vnd.google-apps.spreadsheet' and trashed = false",
        "orderBy": "recency desc",
        "fields": "files(id,name)",
        "pageSize": MOST_FILES,
    }
    found = mapping(await ctx.http.get(ctx.settings.get("drive_url") or DRIVE, params=asked))
    return [
        sdk.Choice(str(one["id"]), str(one.get("name") or one["id"])) for one in listed(found, "files") if one.get("id")
    ]


async def sheet_choices(ctx: sdk.Context, so_far: Mapping[str, Any]) -> list[sdk.Choice]:
    """The sheets of the spreadsheet that was chosen."""
    if not so_far.get("spreadsheet"):
        return []
    asked = {"fields": "sheets.properties(title,sheetType)"}
    found = mapping(await ctx.http.get(f"/spreadsheets/{id_of(str(so_far['spreadsheet']))}", params=asked))
    named = [one["properties"] for one in listed(found, "sheets") if isinstance(one.get("properties"), dict)]
    return [sdk.Choice(str(one["title"]), str(one["title"])) for one in named if one.get("title") and _has_cells(one)]


def _has_cells(properties: Mapping[str, Any]) -> bool:
    return str(properties.get("sheetType", "GRID")) == "GRID"


def id_of(given: str) -> str:
    """The id of a spreadsheet, also out of its address. Raises: ValueError."""
    found = IN_ADDRESS.search(given)
    named = found[1] if found else given.strip()
    if not SPREADSHEET_ID.fullmatch(named):
        raise ValueError("must be a spreadsheet's id, or its address as the browser shows it")
    return named


Spreadsheet = Annotated[str, sdk.Choices(spreadsheet_choices), AfterValidator(id_of)]
SheetName = Annotated[str, sdk.Choices(sheet_choices)]


class Table(sdk.Inputs):
    """Which sheet, and where its headings are."""

    spreadsheet: Spreadsheet = Field(
        title="Spreadsheet",
        description="Its id, or its address as the browser shows it.",
        max_length=500,
        examples=["1BxiMVs0XRA5nFMdKvBdBZjgmUUqptlbs74OgvE2upms"],
    )
    sheet: SheetName = Field(
        title="Sheet", description="Its name, as on its tab.", min_length=1, max_length=100, examples=["Orders"]
    )
    header_row: int = Field(
        1,
        title="Row of headings",
        description="Where the names of the columns are; 0 without any, and columns are named A, B, C.",
        ge=0,
        le=1000,
        examples=[1],
    )
