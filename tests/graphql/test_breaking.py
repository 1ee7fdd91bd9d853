"""Changes that break clients are found, unless they were announced in time, or decided on and recorded."""

import subprocess
from datetime import date
from pathlib import Path

import pytest

from area.app.history import earlier
from area.graphql.breaking import problems

TODAY = date(2026, 6, 1)
BEFORE = """type Query { a: Int  old: Int @deprecated(reason: "Use a. Removal 2026-05-31.")
  young: Int @deprecated(reason: "Use a. Removal 2026-06-02.") } enum E { A B }"""


@pytest.mark.parametrize(
    ("after", "found"),
    [
        (BEFORE, []),
        (BEFORE.replace("a: Int ", "a: Int  more(x: Int): E "), []),
        (BEFORE.replace('old: Int @deprecated(reason: "Use a. Removal 2026-05-31.")', ""), []),
        (BEFORE.replace("a: Int ", ""), ["FIELD_REMOVED Field Query.a was removed."]),
        (BEFORE.replace("a: Int ", "a: String "), ["FIELD_CHANGED_KIND Field Query.a changed type from Int to String."]),
        (BEFORE.replace("A B", "A"), ["VALUE_REMOVED_FROM_ENUM Enum value E.B was removed."]),
        (BEFORE.split("young")[0] + "} enum E { A B }", ["FIELD_REMOVED Field Query.young was removed."]),
        (BEFORE.replace("A B", 'A B @deprecated(reason: "x. Removal 2026-09-01.")'), []),
        (BEFORE.replace("A B", 'A B @deprecated(reason: "gone soon")'),
         ["E.B: the reason of a deprecation ends in 'Removal YYYY-MM-DD.'"]),
        (BEFORE.replace("A B", 'A B @deprecated(reason: "x. Removal 2026-08-01.")'),
         ["E.B: a removal is announced at least 90 days ahead; 2026-08-01 is too soon."]),
    ],
)  # fmt: skip
def test_what_breaks(after: str, found: list[str]) -> None:
    assert problems(BEFORE, after, "", TODAY) == found


def test_a_recorded_decision_is_let_through() -> None:
    after = BEFORE.replace("a: Int ", "")
    assert problems(BEFORE, after, "FIELD_REMOVED Field Query.a was removed. # nobody used it\n", TODAY) == []


def test_the_schema_before_comes_from_history(tmp_path: Path) -> None:
    def git(*words: str) -> None:
        who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True)

    path = tmp_path / "schema.graphql"
    path.write_text("one")
    assert earlier(path) is None
    git("init")
    for text in ("one", "two"):
        path.write_text(text)
        git("add", "."), git("commit", "-m", text)
    assert earlier(path) == "one"
    path.write_text("three")
    assert earlier(path) == "two"
