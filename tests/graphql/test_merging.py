"""The rule on merging fields says the same as graphql-core's, and is done where that one would never be."""

import re

import pytest
from graphql import OverlappingFieldsCanBeMergedRule, build_schema, parse, validate
from hypothesis import given, settings
from hypothesis import strategies as st

from area.graphql.documents import Documents
from area.graphql.documents import Refused as DocumentRefused
from area.graphql.merging import FieldsMergeRule
from area.graphql.schema import schema

SCHEMA = build_schema("""
interface Pet { name(of: Int): String  friend: Pet }
type Dog implements Pet { name(of: Int): String  friend: Pet  age: Int  toys: [Toy]  first: Toy }
type Cat implements Pet { name(of: Int): String  friend: Pet  age: String  toys: [Toy!]!  first: Toy }
type Toy { name: Int!  size: Int  owner: Pet }
union Thing = Dog | Toy
type Query { pet: Pet  dog: Dog  cat: Cat  thing: Thing }
""")
FIELDS = {
    "Query": {"pet": "Pet", "dog": "Dog", "cat": "Cat", "thing": "Thing"},
    "Pet": {"name": None, "name(of: 1)": None, "name(of: 2)": None, "friend": "Pet"},
    "Dog": {"name": None, "age": None, "toys": "Toy", "first": "Toy", "friend": "Pet"},
    "Cat": {"name": None, "age": None, "toys": "Toy", "first": "Toy", "friend": "Pet"},
    "Toy": {"name": None, "size": None, "owner": "Pet"},
    "Thing": {"__typename": None},
}
INSIDE = {"Pet": ["Pet", "Dog", "Cat"], "Thing": ["Dog", "Toy"]}


@st.composite
def selections(draw: st.DrawFn, kind: str, depth: int) -> str:
    parts = []
    for _ in range(draw(st.integers(1, 4))):
        if kind in INSIDE and draw(st.booleans()):
            on = draw(st.sampled_from(INSIDE[kind]))
            if kind == "Pet" and draw(st.booleans()):
                parts.append(f"...F{on}")
            else:
                parts.append(f"... on {on} {draw(selections(on, depth))}")
            continue
        named = {name: of for name, of in FIELDS[kind].items() if depth or of is None}
        if not named:
            parts.append("__typename")
            continue
        name = draw(st.sampled_from(sorted(named)))
        alias = draw(st.sampled_from(["", "", "x: ", "name: ", "friend: "])) if not name.startswith("__") else ""
        inner = named[name]
        parts.append(f"{alias}{name}" + (f" {draw(selections(inner, depth - 1))}" if inner else ""))
    return "{ " + " ".join(parts) + " }"


@st.composite
def documents(draw: st.DrawFn) -> str:
    text = draw(selections("Query", 3))
    used = [on for on in ("Pet", "Dog", "Cat") if f"...F{on}" in text]
    return text + "".join(f" fragment F{on} on {on} {_flat(draw, on)}" for on in used)


def _flat(draw: st.DrawFn, kind: str) -> str:
    names = draw(st.lists(st.sampled_from([name for name, of in FIELDS[kind].items() if of is None]), min_size=1))
    return "{ " + " ".join(names) + " }"


@settings(max_examples=150, deadline=None)
@given(documents())
def test_it_says_what_graphql_core_says(text: str) -> None:
    document = parse(text)
    official = validate(SCHEMA, document, [OverlappingFieldsCanBeMergedRule])
    ours = validate(SCHEMA, document, [FieldsMergeRule])
    assert bool(ours) == bool(official), [*ours, *official]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{ dog { x: name x: age } }", "conflicting types|different fields"),
        ("{ pet { name(of: 1) name(of: 2) } }", "differing arguments"),
        ("{ pet { ... on Dog { x: name } ... on Cat { x: age } } }", None),
        ("{ pet { ... on Dog { x: age } ... on Cat { x: name } } }", "conflicting types"),
        ("{ pet { ... on Dog { toys { name } } ... on Cat { toys { name } } } }", "conflicting types"),
        ("{ pet { ... on Dog { first { x: name } } ... on Cat { first { x: size } } } }", "conflicting types"),
        ("{ dog { first { x: size x: size } } }", None),
    ],
)
def test_conflicts_are_told(text: str, words: str | None) -> None:
    found = validate(SCHEMA, parse(text), [FieldsMergeRule])
    if words is None:
        assert found == []
    else:
        assert len(found) == 1
        assert re.search(words, found[0].message)


def test_what_unfolds_without_end_is_too_large() -> None:
    levels = 11
    fragments = "".join(
        f" fragment F{i} on Area {{ lastRun {{ area {{ ...F{i + 1} }} replayOf {{ area {{ ...F{i + 1} }} }} }} }}"
        for i in range(levels)
    )
    text = "query($id: ID!) { node(id: $id) { ...F0 } }" + fragments + f" fragment F{levels} on Area {{ id }}"
    wide = "query($id: ID!) { node(id: $id) { ...F0 } }" + "".join(
        f" fragment F{i} on Run {{ area {{ lastRun {{ ...F{i + 1} }} }} replayOf {{ ...F{i + 1} }} }}" for i in range(40)
    ) + " fragment F40 on Run { id }"  # fmt: skip
    for document in (text, wide):
        with pytest.raises(DocumentRefused) as found:
            Documents(schema._schema).prepare(document)
        assert (found.value.errors[0].extensions or {})["code"] in ("QUERY_TOO_DEEP", "QUERY_TOO_LARGE")
    cross = " ".join(f"...G{i}" for i in range(120))
    same = "".join(f" fragment G{i} on Query {{ viewer {{ id email }} }}" for i in range(120))
    assert Documents(schema._schema).prepare("{ " + cross + " }" + same).operations
