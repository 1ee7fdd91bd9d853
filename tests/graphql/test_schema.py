"""The committed schema, its descriptions, and the limits, without a database."""

import time
from pathlib import Path

import pytest
from graphql import (
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    OperationDefinitionNode,
    get_introspection_query,
    parse,
)

from area.graphql.documents import Documents, Refused
from area.graphql.errors import input_path
from area.graphql.forms import BooleanField, ChoiceField, DateTimeField, ListField, MapField, NumberField, form_fields
from area.graphql.limits import MAX_COST, MAX_DEPTH, check_shape, cost
from area.graphql.pages import Page, by_id, by_number, connection, cut, to_cursor, window
from area.graphql.schema import schema
from area.graphql.sdl import sdl

COMMITTED = Path(__file__).parents[2] / "schema.graphql"


def test_schema_graphql_is_current() -> None:
    current = "python -c \"from area.graphql.sdl import sdl; print(sdl(), end='')\" > schema.graphql"
    assert COMMITTED.read_text() == sdl(), f"the schema has changed: {current}"


def test_everything_is_described() -> None:
    missing = []
    for name, kind in schema._schema.type_map.items():
        if name.startswith("__"):
            continue
        if not kind.description:
            missing.append(name)
        if isinstance(kind, GraphQLObjectType | GraphQLInterfaceType | GraphQLInputObjectType):
            for key, part in kind.fields.items():
                if not part.description:
                    missing.append(f"{name}.{key}")
                for argument, given in getattr(part, "args", {}).items():
                    if not given.description:
                        missing.append(f"{name}.{key}({argument})")
    assert missing == []


def price(query: str, **variables: object) -> int:
    document = parse(query)
    operation = next(node for node in document.definitions if isinstance(node, OperationDefinitionNode))
    return cost(document, operation, variables)


def test_cost_follows_page_sizes() -> None:
    assert price("{ viewer { email } }") == 2
    few, many = (price(f"{{ viewer {{ areas(first: {size}) {{ nodes {{ id }} }} }} }}") for size in (1, 100))
    assert many - few == 99 * 2
    query = "query($n: Int) { viewer { areas(first: $n) { nodes { runs(first: $n) { nodes { id status } } } } } }"
    assert price(query, n=100) > MAX_COST > price(query, n=10)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{ viewer { " + "areas { nodes { lastRun { area { " * 5 + "id" + " } } } }" * 5 + " } }", "QUERY_TOO_DEEP"),
        ("{ " + " ".join(f"a{i}: __typename" for i in range(60)) + " }", "QUERY_TOO_LARGE"),
        ("{ " + "__typename " * 3000 + " }", "QUERY_TOO_LARGE"),
        ("{ viewer { nonsense } }", "GRAPHQL_VALIDATION_FAILED"),
        ("{ viewer {", "GRAPHQL_PARSE_FAILED"),
        ("{ a " * 990, "GRAPHQL_PARSE_FAILED"),
    ],
)
def test_documents_are_refused(query: str, code: str) -> None:
    documents = Documents(schema._schema)
    for _ in range(2):
        with pytest.raises(Refused) as found:
            documents.prepare(query)
        assert (found.value.errors[0].extensions or {})["code"] in (code, "QUERY_TOO_DEEP")


def test_fragments_are_measured_once() -> None:
    chain = "".join(f"fragment F{i} on Query {{ ...F{i + 1} ...F{i + 1} }} " for i in range(60))
    document = parse("{ ...F0 } " + chain + "fragment F60 on Query { __typename }")
    began = time.perf_counter()
    assert check_shape(document) is None
    assert time.perf_counter() - began < 0.5


def test_fragment_cycles_are_left_to_validation() -> None:
    assert check_shape(parse("{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }")) is None


def test_introspection_fits() -> None:
    assert MAX_DEPTH == 15
    prepared = Documents(schema._schema).prepare(get_introspection_query())
    assert prepared.uses_introspection


def test_an_ambiguous_operation_is_refused() -> None:
    prepared = Documents(schema._schema).prepare("query A { __typename } query B { __typename }")
    assert prepared.operation("B").name is not None
    for name in (None, "C"):
        with pytest.raises(Refused):
            prepared.operation(name)


def test_pages() -> None:
    asked = window(by_number, 2, to_cursor(10), None, None)
    assert (asked.limit, asked.after, asked.is_backward) == (2, 10, False)
    assert cut([11, 12, 13], asked) == Page([11, 12], True, True)
    back = window(by_number, None, None, 2, to_cursor(10))
    assert cut([9, 8, 7], back) == Page([8, 9], True, True)
    shown = connection(cut([11], asked), str, lambda row: row)
    assert (shown.nodes, shown.page_info.has_next_page, shown.page_info.end_cursor) == (["11"], False, to_cursor(11))


@pytest.mark.parametrize(
    "given",
    [(0, None, None, None), (101, None, None, None), (1, None, 1, None), (1, "?", None, None), (1, "é", None, None)],
)
def test_bad_pages(given: tuple[int | None, str | None, int | None, str | None]) -> None:
    with pytest.raises(Exception, match=r"first|cursor"):
        window(by_id, *given)


def test_form_fields() -> None:
    fields = form_fields(
        {
            "required": ["a"],
            "$defs": {"Color": {"enum": ["red", "blue"], "type": "string"}},
            "properties": {
                "a": {"type": "integer", "minimum": 1},
                "b": {"anyOf": [{"type": "boolean"}, {"type": "null"}], "default": None},
                "c": {"$ref": "#/$defs/Color"},
                "d": {"type": "string", "format": "date-time"},
                "e": {"type": "array", "items": {"type": "string"}},
                "f": {"type": "object", "additionalProperties": {"type": "string"}},
            },
        }
    )
    kinds = [NumberField, BooleanField, ChoiceField, DateTimeField, ListField, MapField]
    assert [type(field) for field in fields] == kinds
    assert [field.is_required for field in fields] == [True, False, False, False, False, False]


def test_paths_are_those_of_the_input() -> None:
    assert input_path(("reactions", 0, "config", "on_failure")) == ["reactions", "0", "config", "on_failure"]
    assert input_path(("reactions", 1, "on_failure")) == ["reactions", "1", "onFailure"]
    assert input_path(("config", "url")) == ["action", "config", "url"]
    assert input_path(("action", "config", "url")) == ["action", "config", "url"]
