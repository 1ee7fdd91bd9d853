"""How deep, large and expensive an operation is, found before it runs; each fragment is measured once."""

from collections.abc import Callable, Mapping
from math import ceil
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLOutputType,
    GraphQLSchema,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_abstract_type,
    is_composite_type,
    is_enum_type,
    is_input_object_type,
    is_interface_type,
    is_list_type,
    is_object_type,
)

from area.graphql.pages import DEFAULT_PAGE

MAX_LENGTH = 100_000
MAX_TOKENS = 2000
MAX_DEPTH = 15
MAX_ALIASES = 50
MAX_COST = 25_000
LIST_SIZE = 5
"""How many items a list without pages is taken to have, such as the reactions of an AREA."""

Combine = Callable[[FieldNode, float], float]


def check_shape(document: DocumentNode) -> GraphQLError | None:
    """What makes a document too deep or too large, or None."""
    fragments = _fragments(document)
    deepest = _Walk(fragments, lambda _field, inner: inner + 1, max)
    aliases = _Walk(fragments, lambda node, inner: inner + (node.alias is not None), _plus)
    for operation in _operations(document):
        depth = deepest.measure(operation.selection_set)
        if depth > MAX_DEPTH:
            return refused("QUERY_TOO_DEEP", f"The operation is {depth:.0f} levels deep; {MAX_DEPTH} are allowed.")
        count = aliases.measure(operation.selection_set)
        if count > MAX_ALIASES:
            return refused("QUERY_TOO_LARGE", f"The operation has {count:.0f} aliases; {MAX_ALIASES} are allowed.")
    return None


class Sizes:
    """How many items each list of a schema has: pages what is asked for, other lists a guess, introspection the average."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self.pages: set[str] = set()
        self.lists: set[str] = set()
        for kind in schema.type_map.values():
            if is_interface_type(kind) or is_object_type(kind):
                for name, field in kind.fields.items():
                    self._learn(kind.name, name, field.type)
        self.introspection = _averages(schema)

    def _learn(self, owner: str, name: str, kind: GraphQLOutputType) -> None:
        named = get_named_type(kind)
        if named.name.endswith("Connection"):
            self.pages.add(name)
        elif is_list_type(get_nullable_type(kind)) and is_composite_type(named) and not owner.endswith("Connection"):
            self.lists.add(name)

    def cost(self, document: DocumentNode, operation: OperationDefinitionNode, variables: Mapping[str, Any]) -> int:
        """What an operation may cost: each field is one, times the sizes of the lists that it is in."""
        is_about_schema = True in introspection(document, operation)

        def combine(node: FieldNode, inner: float) -> float:
            if is_about_schema:
                return 1 + inner * self.introspection.get(node.name.value, 1)
            return 1 + inner * self._size(node, variables)

        walk = _Walk(_fragments(document), combine, _plus)
        return ceil(walk.measure(operation.selection_set))

    def _size(self, node: FieldNode, variables: Mapping[str, Any]) -> int:
        name = node.name.value
        given = {argument.name.value: argument.value for argument in node.arguments or ()}
        if name == "nodes":
            # A connection has counted its page already; the root field of this name has ids.
            ids = given.get("ids")
            asked = variables.get(ids.name.value) if isinstance(ids, VariableNode) else getattr(ids, "values", None)
            return len(asked) if isinstance(asked, list | tuple) else 1
        if name in self.pages:
            return _page(given, variables)
        return LIST_SIZE if name in self.lists else 1


def introspection(document: DocumentNode, operation: OperationDefinitionNode) -> set[bool]:
    """Whether an operation asks for the schema itself (True), for anything else (False), or both."""
    fragments = _fragments(document)
    found: set[bool] = set()
    seen: set[str] = set()
    pending = [operation.selection_set]
    while pending:
        for node in pending.pop().selections:
            if isinstance(node, FieldNode) and node.name.value != "__typename":
                found.add(node.name.value in ("__schema", "__type"))
            elif isinstance(node, InlineFragmentNode):
                pending.append(node.selection_set)
            elif isinstance(node, FragmentSpreadNode) and node.name.value not in seen:
                seen.add(node.name.value)
                if node.name.value in fragments:
                    pending.append(fragments[node.name.value].selection_set)
    return found


def refused(code: str, message: str) -> GraphQLError:
    """The error of a document that will not run."""
    return GraphQLError(message, extensions={"code": code})


class _Walk:
    """Folds a selection set into a number, with one visit to each fragment; a cycle, which validation refuses, adds 0."""

    def __init__(
        self, fragments: Mapping[str, FragmentDefinitionNode], field: Combine, join: Callable[[float, float], float]
    ) -> None:
        self._fragments = fragments
        self._field = field
        self._join = join
        self._known: dict[str, float] = {}

    def measure(self, selections: SelectionSetNode | None) -> float:
        """The number of this selection set."""
        total: float = 0
        for node in selections.selections if selections else ():
            if isinstance(node, FieldNode):
                value = self._field(node, self.measure(node.selection_set))
            elif isinstance(node, InlineFragmentNode):
                value = self.measure(node.selection_set)
            elif isinstance(node, FragmentSpreadNode):
                value = self._fragment(node.name.value)
            else:
                continue
            total = self._join(total, value)
        return total

    def _fragment(self, name: str) -> float:
        if name not in self._known:
            self._known[name] = 0
            found = self._fragments.get(name)
            if found is not None:
                self._known[name] = self.measure(found.selection_set)
        return self._known[name]


def _plus(left: float, right: float) -> float:
    return left + right


def _page(given: Mapping[str, Any], variables: Mapping[str, Any]) -> int:
    for name in ("first", "last"):
        value = given.get(name)
        if isinstance(value, IntValueNode):
            return max(1, int(value.value))
        if isinstance(value, VariableNode):
            size = variables.get(value.name.value, DEFAULT_PAGE)
            return max(1, size) if isinstance(size, int) else DEFAULT_PAGE
    return DEFAULT_PAGE


def _averages(schema: GraphQLSchema) -> dict[str, float]:
    """How many items the lists of introspection have, for a type or a field of this schema on average."""
    kinds = list(schema.type_map.values())
    fields = [field for kind in kinds for field in getattr(kind, "fields", {}).values()]
    inputs = sum(len(kind.fields) for kind in kinds if is_input_object_type(kind))
    outputs = len(fields) - inputs
    totals = {
        "fields": outputs,
        "inputFields": inputs,
        "enumValues": sum(len(kind.values) for kind in kinds if is_enum_type(kind)),
        "interfaces": sum(len(getattr(kind, "interfaces", ())) for kind in kinds),
        "possibleTypes": sum(len(schema.get_possible_types(kind)) for kind in kinds if is_abstract_type(kind)),
    }
    arguments = [argument for field in fields for argument in getattr(field, "args", {}).values()]
    references = [given.type for given in (*fields, *arguments)]
    wrappers = sum(str(kind).count("!") + str(kind).count("[") for kind in references)
    averages = {name: total / len(kinds) for name, total in totals.items()}
    return averages | {
        "types": len(kinds),
        "directives": len(schema.directives),
        "args": len(arguments) / max(outputs, 1),
        "ofType": wrappers / max(wrappers + len(references), 1),
    }


def _fragments(document: DocumentNode) -> dict[str, FragmentDefinitionNode]:
    return {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}


def _operations(document: DocumentNode) -> list[OperationDefinitionNode]:
    return [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
