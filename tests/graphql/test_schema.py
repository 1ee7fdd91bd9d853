"""The committed schema, its descriptions, and the limits, without a database."""

from pathlib import Path

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    OperationDefinitionNode,
    execute,
    get_introspection_query,
    parse,
    print_ast,
)

from area.graphql.documents import Documents, Refused
from area.graphql.errors import input_path
from area.graphql.forms import BooleanField, ChoiceField, DateTimeField, ListField, MapField, NumberField, form_fields
from area.graphql.limits import MAX_COST, MAX_DEPTH, MAX_LENGTH, Sizes, check_shape
from area.graphql.pages import Page, by_id, by_number, connection, cut, to_cursor, window
from area.graphql.schema import schema
from area.graphql.sdl import sdl

SIZES = Sizes(schema._schema)
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
        if isinstance(kind, GraphQLEnumType):
            missing += [f"{name}.{key}" for key, value in kind.values.items() if not value.description]
    assert missing == []


def price(query: str, **variables: object) -> int:
    document = parse(query)
    operation = next(node for node in document.definitions if isinstance(node, OperationDefinitionNode))
    return SIZES.cost(document, operation, variables)


def test_cost_follows_page_sizes() -> None:
    assert price("{ viewer { email } }") == 2
    assert price("{ viewer { areas { nodes { id } } } }") == 1 + 1 + 20 * 2
    assert price("{ viewer { areas { nodes { reactions { key } } } } }") == 1 + 1 + 20 * (1 + 1 + 5)
    assert price('{ nodes(ids: ["a", "b"]) { id } }') == 1 + 2
    assert price("query($ids: [ID!]!) { nodes(ids: $ids) { id } }", ids=["a"] * 7) == 1 + 7
    few, many = (price(f"{{ viewer {{ areas(first: {size}) {{ nodes {{ id }} }} }} }}") for size in (1, 100))
    assert many - few == 99 * 2
    query = "query($n: Int) { viewer { areas(first: $n) { nodes { runs(first: $n) { nodes { id status } } } } } }"
    assert price(query, n=100) > MAX_COST > price(query, n=10)


def test_every_list_has_a_size() -> None:
    assert {
        "areas",
        "runs",
        "log",
        "versions",
        "deliveries",
        "connectedAccounts",
        "apiTokens",
        "services",
    } <= SIZES.pages
    assert {"reactions", "steps", "events", "entries", "errors", "fields"} <= SIZES.lists
    assert not {"edges", "nodes"} & (SIZES.lists - {"nodes"})


def test_introspection_costs_what_it_answers() -> None:
    query = get_introspection_query(input_value_deprecation=True)
    answer = execute(schema._schema, parse(query)).data

    def fields(value: object) -> int:
        if isinstance(value, dict):
            return sum(1 + fields(part) for part in value.values())
        return sum(fields(part) for part in value) if isinstance(value, list) else 0

    assert 0.5 < price(query) / fields(answer) < 2
    assert price(query) < MAX_COST
    again = "fields { type { ofType { " * 2 + "name" + " } } }" * 2
    assert price("{ __schema { types { " + " ".join(f"a{i}: {again}" for i in range(50)) + " } } }") > MAX_COST


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("{ __schema { description } viewer { id } }", "BAD_USER_INPUT"),
        ("{ __typename } #" + "x" * MAX_LENGTH, "QUERY_TOO_LARGE"),
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
    # Unfolded, this has more fields than could be counted in a lifetime.
    document = parse("{ ...F0 } " + chain + "fragment F60 on Query { __typename }")
    assert check_shape(document) is None
    assert Documents(schema._schema).prepare(print_ast(document)).operations.keys() == {None}


def test_fragment_cycles_are_left_to_validation() -> None:
    assert check_shape(parse("{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }")) is None


def test_introspection_fits() -> None:
    assert MAX_DEPTH == 15
    prepared = Documents(schema._schema).prepare(get_introspection_query())
    assert prepared.introspects(prepared.operation(None))


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
