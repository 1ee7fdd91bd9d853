"""Whether the fields of an operation can be merged, in time that grows with the operation.

The specification's rule (https://spec.graphql.org/draft/#sec-Field-Selection-Merging) compares fields of one name in pairs, and so
does graphql-core: 450 times ``viewer{id}`` cost it two seconds. Being alike is transitive, so it is enough to compare each field of
a group with the first: once for the shape of what they return, over all fields of a name, and once for what they are, over those
that can be of one object.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from graphql import (
    FieldNode,
    FragmentSpreadNode,
    GraphQLError,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLOutputType,
    InlineFragmentNode,
    NamedTypeNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValidationContext,
    ValidationRule,
    get_named_type,
    is_composite_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
    print_ast,
    type_from_ast,
)

MOST_STEPS = 20_000
"""Fields looked at in one operation, fragments unfolded; an operation that needs more is too large."""


@dataclass(frozen=True, slots=True)
class _Found:
    """A field as it was selected: on which type, and what it returns."""

    parent: Any
    node: FieldNode
    returns: GraphQLOutputType | None


_Set = tuple[Any, SelectionSetNode]


class FieldsMergeRule(ValidationRule):
    """Fields of one response name must be the same field, or of objects that cannot be the same."""

    context: ValidationContext

    def enter_operation_definition(self, node: OperationDefinitionNode, *_args: Any) -> None:
        """Check one operation with all of its fragments."""
        root = self.context.schema.get_root_type(node.operation)
        check = _Check(self.context)
        try:
            check.shapes([(root, node.selection_set)])
            check.identities([(root, node.selection_set)])
        except GraphQLError as error:
            self.report_error(error)


class _Check:
    def __init__(self, context: ValidationContext) -> None:
        self._context = context
        self._arguments: dict[FieldNode, str] = {}
        self._steps = 0

    def shapes(self, sets: list[_Set]) -> None:
        """Values of one name must look alike, whichever objects they come from. Raises: GraphQLError."""
        for name, group in self._gather(sets).items():
            first = group[0]
            for other in group[1:]:
                if first.returns and other.returns and _differ(first.returns, other.returns):
                    what = f"they return conflicting types {first.returns} and {other.returns}"
                    raise _conflict(name, what, first, other)
            self.shapes(_below(group))

    def identities(self, sets: list[_Set]) -> None:
        """Fields of one name that can be of one object must be one field with the same arguments. Raises: GraphQLError."""
        for name, group in self._gather(sets).items():
            for alike in _by_object(group):
                first = alike[0]
                for other in alike[1:]:
                    if first.node.name.value != other.node.name.value:
                        what = f"{first.node.name.value!r} and {other.node.name.value!r} are different fields"
                        raise _conflict(name, what, first, other)
                    if self._said(first.node) != self._said(other.node):
                        raise _conflict(name, "they have differing arguments", first, other)
                self.identities(_below(alike))

    def _gather(self, sets: Iterable[_Set]) -> dict[str, list[_Found]]:
        """The fields of these selection sets by response name; each fragment is unfolded once."""
        found: dict[str, list[_Found]] = {}
        seen: set[str] = set()
        pending = list(sets)
        while pending:
            parent, selections = pending.pop()
            for node in selections.selections:
                if isinstance(node, FieldNode):
                    self._count(node)
                    name = node.alias.value if node.alias else node.name.value
                    found.setdefault(name, []).append(_Found(parent, node, self._returned(parent, node)))
                elif isinstance(node, InlineFragmentNode):
                    self._count(node)
                    pending.append((self._type(node.type_condition) or parent, node.selection_set))
                elif isinstance(node, FragmentSpreadNode) and node.name.value not in seen:
                    self._count(node)
                    seen.add(node.name.value)
                    fragment = self._context.get_fragment(node.name.value)
                    if fragment:
                        pending.append((self._type(fragment.type_condition), fragment.selection_set))
        return found

    def _type(self, condition: NamedTypeNode | None) -> GraphQLNamedType | None:
        return type_from_ast(self._context.schema, condition) if condition else None

    def _returned(self, parent: Any, node: FieldNode) -> GraphQLOutputType | None:
        known = self._context.schema.get_field(parent, node.name.value) if is_composite_type(parent) else None
        return known.type if known else None

    def _said(self, node: FieldNode) -> str:
        if not node.arguments:
            return ""
        if node not in self._arguments:
            parts = {argument.name.value: print_ast(argument.value) for argument in node.arguments}
            self._arguments[node] = str(sorted(parts.items()))
        return self._arguments[node]

    def _count(self, node: FieldNode | InlineFragmentNode | FragmentSpreadNode) -> None:
        self._steps += 1
        if self._steps > MOST_STEPS:
            message = "The operation is too large once its fragments are unfolded."
            raise GraphQLError(message, node, extensions={"code": "QUERY_TOO_LARGE"})


def _below(group: Iterable[_Found]) -> list[_Set]:
    return [
        (get_named_type(one.returns) if one.returns else None, one.node.selection_set)
        for one in group
        if one.node.selection_set
    ]


def _by_object(group: list[_Found]) -> Iterable[list[_Found]]:
    """Those that can be of one object: of one object type, and all of interfaces and unions with them."""
    concrete: dict[GraphQLObjectType, list[_Found]] = {}
    general: list[_Found] = []
    for one in group:
        if is_object_type(one.parent):
            concrete.setdefault(one.parent, []).append(one)
        else:
            general.append(one)
    if not concrete:
        return [general]
    return [[*general, *some] for some in concrete.values()]


def _differ(one: GraphQLOutputType, other: GraphQLOutputType) -> bool:
    if is_non_null_type(one) or is_non_null_type(other):
        if not (is_non_null_type(one) and is_non_null_type(other)):
            return True
        return _differ(one.of_type, other.of_type)
    if is_list_type(one) or is_list_type(other):
        if not (is_list_type(one) and is_list_type(other)):
            return True
        return _differ(one.of_type, other.of_type)
    return one is not other and (is_leaf_type(one) or is_leaf_type(other))


def _conflict(name: str, what: str, first: _Found, other: _Found) -> GraphQLError:
    message = f"Fields {name!r} conflict because {what}. Give them different aliases."
    return GraphQLError(message, [first.node, other.node])
