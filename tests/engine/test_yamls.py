"""Readable documents: read again as they were written, and unable to be more than they look."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from area.core import yamls

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(VALUES, st.booleans())
def test_what_is_written_is_read_again(value: object, as_json: bool) -> None:
    assert yamls.load(yamls.dump(value, as_json=as_json)) == value


def test_text_stays_text() -> None:
    found = yamls.load("time: 12:30\nanswer: no\nday: 2026-01-01\ncode: 007\nsize: 1e3\nmerge: <<\nnothing:\n")
    assert found == {
        "time": "12:30", "answer": "no", "day": "2026-01-01", "code": 7, "size": 1000.0, "merge": "<<", "nothing": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: &x 1\nb: *x", r"Anchors and aliases .*line 1, column 4"), ("!!python/name:os.system x", "Tags such as"),
        ("a: 1\na: 2", r"'a' is there twice .*line 2"), ("1: x", "is not text"), ("? [a]\n: b", "is not text"),
        ("a: [", "line 2"), ("a: b: c", "line 1, column 5"), ("[" * 100, "levels deep"), ("- " * 70 + "a", "levels deep"),
        ("- a\n" * 60_000, "200000 is the most"), ("-\n" * 60_000, "more than 50000 parts"), ("\x00", "not YAML"),
    ],
)  # fmt: skip
def test_what_is_refused(text: str, words: str) -> None:
    with pytest.raises(yamls.BadDocument, match=words):
        yamls.load(text)
