"""docs/DB_SCHEMA.md names each table and column of the models, with type and nullability, and no other."""

import re
from pathlib import Path

from sqlalchemy.dialects import postgresql

from area.db.models import Base

PAGE = Path(__file__).parents[2] / "docs" / "DB_SCHEMA.md"
_TABLE = re.compile(r"^## `(\w+)`$")
_COLUMN = re.compile(r"^\| `(\w+)` \| ([^|]+) \| (yes|no) \| ([^|]+) \|$")

Columns = dict[str, tuple[str, str]]


def documented() -> dict[str, Columns]:
    """Type and nullability by table and column, as the page has them."""
    tables: dict[str, Columns] = {}
    columns: Columns = {}
    for line in PAGE.read_text().splitlines():
        if heading := _TABLE.match(line):
            columns = tables.setdefault(heading[1], {})
        elif line.startswith("| `"):
            cells = _COLUMN.match(line)
            assert cells, f"not a row of four cells: {line}"
            assert cells[1] not in columns, f"twice: {line}"
            assert cells[4].strip()
            columns[cells[1]] = (cells[2].strip(), cells[3])
    return tables


def declared() -> dict[str, Columns]:
    """The same, as the models have them."""
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    short = {"timestamp with time zone": "timestamptz"}
    return {
        name: {
            column.name: (
                short.get(kind := column.type.compile(dialect=dialect).lower(), kind),
                "yes" if column.nullable else "no",
            )
            for column in table.columns
        }
        for name, table in Base.metadata.tables.items()
    }


def test_page_has_each_table_and_no_other() -> None:
    assert set(documented()) == set(declared())


def test_page_has_each_column_with_its_type_and_no_other() -> None:
    assert documented() == declared()
