"""Linear: requests and answers against its GraphQL schema."""

import gzip
import json
from functools import cache
from typing import Any

import httpx
from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLEnumType,
    GraphQLError,
    GraphQLSchema,
    OperationDefinitionNode,
    SelectionSetNode,
    build_schema,
    get_named_type,
    is_abstract_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
    parse,
    validate,
)
from graphql.execution.values import get_variable_values

from tests.contract.documents import SPECS, ContractBroken


@cache
def schema() -> GraphQLSchema:
    """Linear's schema."""
    text = gzip.decompress((SPECS / "linear/schema.graphql.gz").read_bytes()).decode()
    return build_schema(text, assume_valid=True, assume_valid_sdl=True)


def check_request(name: str, request: httpx.Request) -> None:
    """Raise ContractBroken unless the query is valid and its variables fit."""
    document, operation, sent = _parsed(name, request)
    found = validate(schema(), document)
    if not found:
        values = get_variable_values(schema(), operation.variable_definitions or (), sent.get("variables") or {})
        found = values if isinstance(values, list) else []
        unknown = set(sent.get("variables") or {}) - {
            one.variable.name.value for one in operation.variable_definitions or ()
        }
        found += [GraphQLError(f"variable ${each} is not declared") for each in sorted(unknown)]
    if found:
        raise ContractBroken(f"{name}: {'; '.join(error.message for error in found)}")


def check_answer(name: str, response: httpx.Response) -> None:
    """Raise ContractBroken unless ``data`` has what was asked for, in its types; an answer of errors alone is let through."""
    document, operation, _ = _parsed(name, response.request)
    body = json.loads(response.content)
    if body.get("data") is None:
        if not body.get("errors"):
            raise ContractBroken(f"{name}: the answer has neither data nor errors")
        return
    fragments = {one.name.value: one for one in document.definitions if isinstance(one, FragmentDefinitionNode)}
    root = schema().get_root_type(operation.operation)
    found = list(_wrong(body["data"], root, operation.selection_set, fragments, "data"))
    if found:
        raise ContractBroken(f"{name}: {'; '.join(found)}")


def _parsed(name: str, request: httpx.Request) -> tuple[DocumentNode, OperationDefinitionNode, dict[str, Any]]:
    try:
        sent = json.loads(request.content)
        document = parse(sent["query"])
    except (ValueError, KeyError, TypeError, GraphQLError) as error:
        raise ContractBroken(f"{name}: the body is no GraphQL request: {error}") from None
    operations = [one for one in document.definitions if isinstance(one, OperationDefinitionNode)]
    if len(operations) != 1:
        raise ContractBroken(f"{name}: {len(operations)} operations in one document; send one")
    return document, operations[0], sent


def _wrong(value: Any, kind: Any, selection: SelectionSetNode | None, fragments: dict[str, Any], place: str) -> Any:
    if is_non_null_type(kind):
        if value is None:
            yield f"{place} is null"
            return
        kind = kind.of_type
    if value is None:
        return
    if is_list_type(kind):
        if not isinstance(value, list):
            yield f"{place} is no list"
            return
        for number, one in enumerate(value):
            yield from _wrong(one, kind.of_type, selection, fragments, f"{place}/{number}")
    elif is_leaf_type(kind):
        try:
            if isinstance(kind, GraphQLEnumType) or kind.name in ("String", "ID", "Int", "Float", "Boolean"):
                kind.parse_value(value)
        except GraphQLError as error:
            yield f"{place}: {error.message}"
    elif not isinstance(value, dict):
        yield f"{place} is no object"
    else:
        yield from _wrong_fields(value, kind, selection, fragments, place)


def _wrong_fields(value: dict[str, Any], kind: Any, selection: Any, fragments: dict[str, Any], place: str) -> Any:
    if is_abstract_type(kind):
        kind = schema().type_map.get(value.get("__typename", ""), kind)
    asked = list(_fields(selection, fragments)) if is_object_type(get_named_type(kind)) else []
    for node in asked:
        name = node.alias.value if node.alias else node.name.value
        if node.name.value == "__typename":
            continue
        if name not in value:
            yield f"{place}/{name} is missing"
        elif node.name.value in kind.fields:
            yield from _wrong(
                value[name], kind.fields[node.name.value].type, node.selection_set, fragments, f"{place}/{name}"
            )
    names = {node.alias.value if node.alias else node.name.value for node in asked}
    yield from (f"{place}/{name} was not asked for" for name in value if asked and name not in names)


def _fields(selection: SelectionSetNode, fragments: dict[str, Any]) -> Any:
    for node in selection.selections:
        if isinstance(node, FieldNode):
            yield node
        else:
            inner = fragments[node.name.value] if hasattr(node, "name") and not hasattr(node, "selection_set") else node
            yield from _fields(inner.selection_set, fragments)
