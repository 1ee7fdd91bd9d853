"""How deep, large and expensive an operation is, found before it runs; each fragment is measured once."""

from collections.abc import Callable, Mapping
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
)

from area.graphql.pages import DEFAULT_PAGE, LARGEST_PAGE

MAX_TOKENS = 2000
MAX_DEPTH = 15
MAX_ALIASES = 50
MAX_COST = 25_000
PAGED = frozenset({"areas", "runs", "deliveries", "versions", "connectedAccounts", "log", "services"})
_ONE_BY_ONE = frozenset({"node", "service", "viewer"})

Combine = Callable[[FieldNode, int], int]


def check_shape(document: DocumentNode) -> GraphQLError | None:
    """What makes a document too deep or too large, or None."""
    fragments = _fragments(document)
    deepest = _Walk(fragments, lambda _field, inner: inner + 1, max)
    aliases = _Walk(fragments, lambda node, inner: inner + (node.alias is not None), _plus)
    for operation in _operations(document):
        depth = deepest.measure(operation.selection_set)
        if depth > MAX_DEPTH:
            return refused("QUERY_TOO_DEEP", f"The operation is {depth} levels deep; {MAX_DEPTH} are allowed.")
        count = aliases.measure(operation.selection_set)
        if count > MAX_ALIASES:
            return refused("QUERY_TOO_LARGE", f"The operation has {count} aliases; {MAX_ALIASES} are allowed.")
    return None


def cost(document: DocumentNode, operation: OperationDefinitionNode, variables: Mapping[str, Any]) -> int:
    """What an operation may cost: each field is one, times the sizes of the pages that it is in."""

    def combine(node: FieldNode, inner: int) -> int:
        if inner == 0 or node.name.value in _ONE_BY_ONE:
            return 1 + inner
        return 1 + inner * _size(node, variables)

    return _Walk(_fragments(document), combine, _plus).measure(operation.selection_set)


def uses_introspection(document: DocumentNode) -> bool:
    """Whether any part of a document asks for the schema itself."""
    seen = _Walk(
        _fragments(document),
        lambda node, inner: int(inner > 0 or node.name.value in ("__schema", "__type")),
        max,
    )
    return any(seen.measure(operation.selection_set) for operation in _operations(document))


def refused(code: str, message: str) -> GraphQLError:
    """The error of a document that will not run."""
    return GraphQLError(message, extensions={"code": code})


class _Walk:
    """Folds a selection set into a number, with one visit to each fragment; a cycle, which validation refuses, adds 0."""

    def __init__(
        self, fragments: Mapping[str, FragmentDefinitionNode], field: Combine, join: Callable[[int, int], int]
    ) -> None:
        self._fragments = fragments
        self._field = field
        self._join = join
        self._known: dict[str, int] = {}

    def measure(self, selections: SelectionSetNode | None) -> int:
        """The number of this selection set."""
        total = 0
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

    def _fragment(self, name: str) -> int:
        if name not in self._known:
            self._known[name] = 0
            found = self._fragments.get(name)
            if found is not None:
                self._known[name] = self.measure(found.selection_set)
        return self._known[name]


def _plus(left: int, right: int) -> int:
    return left + right


def _size(node: FieldNode, variables: Mapping[str, Any]) -> int:
    given = {argument.name.value: argument.value for argument in node.arguments or ()}
    if node.name.value == "nodes" and "ids" in given:
        return LARGEST_PAGE
    if node.name.value not in PAGED:
        return 1
    for name in ("first", "last"):
        value = given.get(name)
        if isinstance(value, IntValueNode):
            return max(1, int(value.value))
        if isinstance(value, VariableNode):
            size = variables.get(value.name.value, DEFAULT_PAGE)
            return max(1, size) if isinstance(size, int) else DEFAULT_PAGE
    return DEFAULT_PAGE


def _fragments(document: DocumentNode) -> dict[str, FragmentDefinitionNode]:
    return {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}


def _operations(document: DocumentNode) -> list[OperationDefinitionNode]:
    return [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
