"""From a request's text to a document that may run: parsed, measured and validated once, then remembered."""

from collections import OrderedDict
from dataclasses import dataclass

from graphql import (
    ASTValidationRule,
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    OperationDefinitionNode,
    OperationType,
    OverlappingFieldsCanBeMergedRule,
    parse,
    specified_rules,
    validate,
)

from area.graphql.limits import MAX_LENGTH, MAX_TOKENS, check_shape, introspection, refused
from area.graphql.merging import FieldsMergeRule

RULES: tuple[type[ASTValidationRule], ...] = tuple(
    FieldsMergeRule if rule is OverlappingFieldsCanBeMergedRule else rule for rule in specified_rules
)
_REMEMBERED = 1000
_LONGEST_REMEMBERED = 20_000


class Refused(Exception):
    """A document that will not run, and why."""

    def __init__(self, errors: list[GraphQLError]) -> None:
        super().__init__(errors[0].message)
        self.errors = errors


@dataclass(frozen=True, eq=False)
class Prepared:
    """A document that may run."""

    document: DocumentNode
    operations: dict[str | None, OperationDefinitionNode]
    introspections: frozenset[str | None]
    """The operations that ask for the schema, and for nothing else."""

    def introspects(self, operation: OperationDefinitionNode) -> bool:
        """Whether an operation asks for the schema."""
        return (operation.name.value if operation.name else None) in self.introspections

    def operation(self, name: str | None) -> OperationDefinitionNode:
        """The operation to run. Raises: Refused when ``name`` is missing and needed, or unknown."""
        if name is None and len(self.operations) == 1:
            return next(iter(self.operations.values()))
        if name is None:
            names = ", ".join(str(known) for known in self.operations)
            raise Refused([refused("BAD_USER_INPUT", f"Say which operation to run by `operationName`: {names}.")])
        found = self.operations.get(name)
        if found is None:
            raise Refused([refused("BAD_USER_INPUT", f"There is no operation {name[:60]!r} in this document.")])
        return found


class Documents:
    """A bounded memory of documents, valid and refused alike."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._known: OrderedDict[str, Prepared | Refused] = OrderedDict()

    def prepare(self, query: str) -> Prepared:
        """The document of this text. Raises: Refused."""
        found = self._known.get(query)
        if found is None:
            found = self._judge(query)
            if len(query) <= _LONGEST_REMEMBERED:
                self._known[query] = found
                if len(self._known) > _REMEMBERED:
                    self._known.popitem(last=False)
        else:
            self._known.move_to_end(query)
        if isinstance(found, Refused):
            raise Refused(found.errors)
        return found

    def _judge(self, query: str) -> Prepared | Refused:
        if len(query) > MAX_LENGTH:
            message = f"The document has {len(query)} characters; {MAX_LENGTH} are allowed. Put values into variables."
            return Refused([refused("QUERY_TOO_LARGE", message)])
        try:
            document = parse(query, max_tokens=MAX_TOKENS)
            if problem := check_shape(document):
                return Refused([problem])
        except GraphQLSyntaxError as error:
            code = "QUERY_TOO_LARGE" if "tokens" in error.message else "GRAPHQL_PARSE_FAILED"
            error.extensions = {"code": code}
            return Refused([error])
        except RecursionError:
            return Refused([refused("QUERY_TOO_DEEP", "The document is nested too deeply.")])
        errors = validate(self._schema, document, RULES, max_errors=10)
        for problem in errors:
            problem.extensions = problem.extensions or {"code": "GRAPHQL_VALIDATION_FAILED"}
        if errors:
            return Refused(errors)
        operations = {
            node.name.value if node.name else None: node
            for node in document.definitions
            if isinstance(node, OperationDefinitionNode)
        }
        uses = {name: introspection(document, node) for name, node in operations.items()}
        if {True, False} in uses.values():
            # Answers about the schema are made apart from all others, since they take long.
            return Refused([refused("BAD_USER_INPUT", "Ask for the schema in an operation of its own.")])
        return Prepared(document, operations, frozenset(name for name, found in uses.items() if True in found))


def is_mutation(operation: OperationDefinitionNode) -> bool:
    """Whether an operation changes something."""
    return operation.operation is OperationType.MUTATION


def is_subscription(operation: OperationDefinitionNode) -> bool:
    """Whether an operation is a live stream."""
    return operation.operation is OperationType.SUBSCRIPTION
