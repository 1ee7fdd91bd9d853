"""Runs one operation, from its text to its result; the same for HTTP and WebSocket."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any

from graphql import ExecutionResult, GraphQLError, OperationDefinitionNode, execute, subscribe
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from area.auth.attempts import Buckets
from area.auth.caller import Scope
from area.graphql.context import Context
from area.graphql.documents import Documents, Prepared, Refused, is_mutation
from area.graphql.formatting import format_errors
from area.graphql.limits import MAX_COST, cost, refused
from area.graphql.schema import schema

COST_AT_ONCE = 200_000
COST_PER_SECOND = 20_000


@dataclass(frozen=True)
class Request:
    """What a client asks to run."""

    query: str
    operation_name: str | None
    variables: dict[str, Any]


@dataclass(frozen=True)
class Ready:
    """An operation that was measured, charged, and may run."""

    prepared: Prepared
    operation: OperationDefinitionNode
    request: Request
    extensions: dict[str, Any]


class Executor:
    """Prepares and runs operations on the schema."""

    def __init__(self) -> None:
        self._schema = schema._schema
        self._documents = Documents(self._schema)
        self._buckets = Buckets(COST_AT_ONCE, COST_PER_SECOND)

    def find(self, request: Request) -> tuple[Prepared, OperationDefinitionNode]:
        """The document and the operation of a request. Raises: Refused."""
        prepared = self._documents.prepare(request.query)
        return prepared, prepared.operation(request.operation_name)

    def charge(self, request: Request, context: Context) -> Ready:
        """Measure an operation and take its cost from the caller's bucket. Raises: Refused."""
        prepared, operation = self.find(request)
        if prepared.uses_introspection and context.caller is None and not context.platform.settings.dev:
            raise Refused([refused("UNAUTHENTICATED", "Sign in to see the schema.")])
        if context.caller is not None:
            needed = Scope.WRITE if is_mutation(operation) else Scope.READ
            if needed not in context.caller.scopes:
                message = f"This API token lacks the scope {needed.upper()}; create one that has it."
                raise Refused([refused("FORBIDDEN", message)])
        price = cost(prepared.document, operation, request.variables)
        if price > MAX_COST:
            message = f"The operation may cost {price}; {MAX_COST} is the most. Ask for smaller pages."
            raise Refused([refused("QUERY_TOO_EXPENSIVE", message)])
        payer = str(context.caller.user_id) if context.caller else context.client
        wait = self._buckets.spend(payer, price)
        if wait is not None:
            error = refused("RATE_LIMITED", f"Too much was asked for. Try again in {wait:.1f} seconds.")
            error.extensions = {"code": "RATE_LIMITED", "retryAfter": round(wait, 1)}
            raise Refused([error])
        left = int(self._buckets.capacity - self._buckets.level(payer))
        return Ready(prepared, operation, request, {"cost": {"requested": price, "available": left}})

    async def run(self, ready: Ready, context: Context) -> dict[str, Any]:
        """The answer to a query or a mutation."""
        result = execute(
            self._schema,
            ready.prepared.document,
            context_value=context,
            variable_values=ready.request.variables,
            operation_name=ready.request.operation_name,
            executor_class=StrawberryGraphQLCoreExecutionContext,
        )
        if isawaitable(result):
            result = await result
        return told(result, ready.extensions)

    async def stream(self, ready: Ready, context: Context) -> AsyncIterator[dict[str, Any]]:
        """The answers to a subscription. Raises: Refused when it cannot begin or go on."""
        source = subscribe(
            self._schema,
            ready.prepared.document,
            context_value=context,
            variable_values=ready.request.variables,
            operation_name=ready.request.operation_name,
            executor_class=StrawberryGraphQLCoreExecutionContext,
        )
        if isawaitable(source):
            source = await source
        if isinstance(source, ExecutionResult):
            raise Refused(list(source.errors or ()))
        try:
            async for result in source:
                yield told(result)
        except GraphQLError as error:
            # graphql-core lets what a stream itself raises pass through.
            raise Refused([error]) from None
        finally:
            close = getattr(source, "aclose", None)
            if close is not None:
                await close()


def told(result: ExecutionResult, extensions: dict[str, Any] | None = None) -> dict[str, Any]:
    """A result as it is sent; ``data`` is left out when nothing ran."""
    answer: dict[str, Any] = {}
    if result.errors:
        answer["errors"] = format_errors(result.errors)
    # Variables that do not fit are found before anything runs, and such errors have no path.
    if result.data is not None or not result.errors or any(error.path for error in result.errors):
        answer["data"] = result.data
    if extensions:
        answer["extensions"] = extensions
    return answer
