"""A stand-in for Google Sheets, and for what it needs of Drive: spreadsheets of sheets with cells.

https://developers.google.com/workspace/sheets/api/reference/rest
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import unquote

from tests.providers.base import StandIn
from tests.providers.calls import Call
from tests.providers.google import SCOPE, Google

READ, WRITE, FILES = (f"{SCOPE}{name}" for name in ("spreadsheets.readonly", "spreadsheets", "drive.metadata.readonly"))
BOOK = "1BxiMVs0XRA5nFMdKvBdBZjgmUUqptlbs74OgvE2upms"
ORDERS, ODD = "Orders", "Ada's ✨/2026"
DRIVE = "/drive/v3/files"
RANGE = re.compile(r"'((?:[^']|'')+)'!([A-Z]+)(\d+)(?::([A-Z]+)(\d+))?")


class GoogleSheets(Google):
    """One spreadsheet of two sheets, each with headings, of a thousand rows and six columns."""

    base_path = "/v4"

    def __init__(self) -> None:
        super().__init__("google_sheets")
        self.sheets: dict[str, list[list[Any]]] = {ORDERS: [["Name", "City", "Größe"]], ODD: [["Name"]]}
        self.rows, self.columns = 1000, 6
        self.own_paths.add(DRIVE)
        place = f"{self.base_path}/spreadsheets/{{book}}"
        self.route("GET", DRIVE, self._files, scopes=(FILES,))
        self.route("GET", place, self._book, scopes=(READ, WRITE))
        self.route("POST", f"{place}/values/{{range:path}}", self.append, scopes=(WRITE,))
        self.route("GET", f"{place}/values/{{range:path}}", self._get, scopes=(READ, WRITE))
        self.route("PUT", f"{place}/values/{{range:path}}", self._put, scopes=(WRITE,))

    def environment(self) -> dict[str, str]:
        """Drive is at another host."""
        self.settings["drive_url"] = self.url + DRIVE
        return super().environment()

    def tricks(self) -> Mapping[str, Callable[[], Awaitable[Any]]]:
        """Rows that are added."""

        async def add() -> None:
            self.sheets[ORDERS].append(["Grace Hopper", "New York", "M"])

        return {"A row is added": add}

    # Calls

    async def _files(self, call: Call) -> Any:
        return {"files": [{"id": BOOK, "name": "Bücher 📚"}]}

    async def _book(self, call: Call) -> Any:
        if call.parameters["book"] != BOOK:
            return self.refuse(404, "", "Requested entity was not found.")
        grid = {"rowCount": self.rows, "columnCount": self.columns}
        shown = [{"properties": {"title": name, "sheetType": "GRID", "gridProperties": grid}} for name in self.sheets]
        return {"sheets": [*shown, {"properties": {"title": "Chart", "sheetType": "OBJECT"}}]}

    async def _get(self, call: Call) -> Any:
        found = self._range(call)
        if not isinstance(found, tuple):
            return found
        name, left, top, right, bottom = found
        rows = [[self.shown(cell) for cell in row[left - 1 : right]] for row in self.sheets[name][top - 1 : bottom]]
        for row in rows:
            while row and row[-1] == "":
                row.pop()
        while rows and not rows[-1]:
            rows.pop()
        return {
            "range": unquote(call.parameters["range"]),
            "majorDimension": "ROWS",
            **({"values": rows} if rows else {}),
        }

    async def append(self, call: Call) -> Any:
        """Carry out a call that appends rows."""
        found = self._range(call, ":append")
        if not isinstance(found, tuple):
            return found
        sheet = self.sheets[found[0]]
        at = len(sheet) + 1
        sheet += [self._typed(call, row) for row in call.json["values"]]
        end = f"{chr(64 + len(sheet[-1]))}{len(sheet)}"
        return {"spreadsheetId": BOOK, "updates": self._updated(found[0], f"A{at}:{end}", len(sheet[-1]))}

    async def _put(self, call: Call) -> Any:
        found = self._range(call)
        if not isinstance(found, tuple):
            return found
        name, left, top, right, _ = found
        sheet = self.sheets[name]
        while len(sheet) < top:
            sheet.append([])
        (given,) = call.json["values"]
        row = sheet[top - 1]
        row += [""] * (right - len(row))
        for at, cell in enumerate(self._typed(call, given), left - 1):
            row[at] = row[at] if cell is None else cell
        return self._updated(name, f"A{top}:{chr(64 + right)}{top}", sum(cell is not None for cell in given))

    # How it works

    def _range(self, call: Call, method: str = "") -> Any:
        given = unquote(call.parameters["range"])
        read = RANGE.fullmatch(given.removesuffix(method)) if given.endswith(method) else None
        name = read[1].replace("''", "'") if read else ""
        if call.parameters["book"] != BOOK:
            return self.refuse(404, "", "Requested entity was not found.")
        if read is None or name not in self.sheets:
            return self.refuse(400, "", f"Unable to parse range: {given}")
        left, top = column(read[2]), int(read[3])
        right, bottom = column(read[4] or read[2]), int(read[5] or read[3])
        if right > self.columns or bottom > self.rows:
            words = f"Range ({given}) exceeds grid limits. Max rows: {self.rows}, max columns: {self.columns}"
            return self.refuse(400, "", words)
        return name, left, top, right, bottom

    def _typed(self, call: Call, row: list[Any]) -> list[Any]:
        if call.query["valueInputOption"] == "RAW":
            return row
        return [f"result of {cell}" if str(cell).startswith("=") else cell for cell in row]

    def _updated(self, name: str, cells: str, count: int) -> dict[str, Any]:
        quoted = name if name.isalnum() else "'" + name.replace("'", "''") + "'"
        return {"spreadsheetId": BOOK, "updatedRange": f"{quoted}!{cells}", "updatedRows": 1, "updatedCells": count}

    def shown(self, cell: Any) -> str:
        """A cell as text."""
        return "TRUE" if cell is True else str(cell)


def column(letters: str) -> int:
    """The number of a column."""
    found = 0
    for letter in letters:
        found = found * 26 + ord(letter) - 64
    return found


def make() -> StandIn:
    """With headings alone."""
    return GoogleSheets()
