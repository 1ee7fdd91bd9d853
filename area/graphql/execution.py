"""Runs one operation, from its text to its result; the same for HTTP and WebSocket."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from inspect import isawaitable
from typing import Any, cast

import asyncpg
from graphql import ExecutionResult, GraphQLError, OperationDefinitionNode, execute, subscribe
from graphql.pyutils import AwaitableOrValue
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from area.auth.attempts import Buckets
from area.auth.caller import Scope
from area.db.orm import is_away
from area.graphql.context import Context
from area.graphql.documents import Documents, Prepared, Refused, is_mutation, is_subscription
from area.graphql.formatting import format_errors
from area.graphql.limits import MAX_COST, Sizes, refused
from area.graphql.schema import schema
from area.graphql.streams import Streams
from area.graphql.trusted import TrustedDocuments

COST_AT_ONCE = 200_000
COST_PER_SECOND = 20_000
INTROSPECTIONS_KEPT = 16


@dataclass(frozen=True)
class Request:
    """What a client asks to run: a document, or the identifier of a registered one."""

    query: str | None
    operation_name: str | None = None
    variables: dict[str, Any] = field(default_factory=dict)
    document_id: str | None = None


@dataclass(frozen=True)
class Ready:
    """An operation that was measured, charged, and may run."""

    prepared: Prepared
    operation: OperationDefinitionNode
    request: Request
    extensions: dict[str, Any]


class Executor:
    """Prepares and runs operations on the schema."""

    def __init__(
        self, pool: asyncpg.Pool, *, most_streams: int, trusted_only: bool = False, built_in: Iterable[str] = ()
    ) -> None:
        self.streams = Streams(most_streams)
        self._schema = schema._schema
        self._trusted = TrustedDocuments(pool, Documents(self._schema), only=trusted_only, built_in=built_in)
        self._sizes = Sizes(self._schema)
        self._buckets = Buckets(COST_AT_ONCE, COST_PER_SECOND)
        self._introspection = asyncio.Lock()
        self._introspected: OrderedDict[tuple[Prepared, str | None, str], dict[str, Any]] = OrderedDict()

    async def prepare(self, request: Request, context: Context) -> Ready:
        """Find an operation, see that the caller may run it, and take its cost from their bucket. Raises: Refused."""
        prepared = await self._trusted.prepare(request.query, request.document_id)
        operation = prepared.operation(request.operation_name)
        if prepared.introspects(operation) and context.caller is None and not context.platform.settings.dev:
            raise Refused([refused("UNAUTHENTICATED", "Sign in to see the schema.")])
        if context.caller is not None:
            needed = Scope.WRITE if is_mutation(operation) else Scope.READ
            if needed not in context.caller.scopes:
                message = f"This API token lacks the scope {needed.upper()}; create one that has it."
                raise Refused([refused("FORBIDDEN", message)])
        return Ready(prepared, operation, request, self._charge(prepared, operation, request, context))

    def _charge(
        self, prepared: Prepared, operation: OperationDefinitionNode, request: Request, context: Context
    ) -> dict[str, Any]:
        price = self._sizes.cost(prepared.document, operation, request.variables)
        if price > MAX_COST:
            message = f"The operation may cost {price}; {MAX_COST} is the most. Ask for smaller pages."
            raise Refused([refused("QUERY_TOO_EXPENSIVE", message)])
        wait = self._buckets.spend(context.payer, price)
        if wait is not None:
            error = refused("RATE_LIMITED", f"Too much was asked for. Try again in {wait:.1f} seconds.")
            error.extensions = {"code": "RATE_LIMITED", "retryAfter": round(wait, 1)}
            raise Refused([error])
        left = int(self._buckets.capacity - self._buckets.level(context.payer))
        return {"cost": {"requested": price, "available": left}}

    async def run(self, ready: Ready, context: Context) -> dict[str, Any]:
        """The answer to a query or a mutation."""
        if ready.prepared.introspects(ready.operation):
            return await self._introspect(ready, context)
        result = self._execute(ready, context)
        if isawaitable(result):
            result = await result
        return told(result, ready.extensions)

    def _execute(self, ready: Ready, context: Context) -> AwaitableOrValue[ExecutionResult]:
        return execute(
            self._schema,
            ready.prepared.document,
            context_value=context,
            variable_values=ready.request.variables,
            operation_name=ready.request.operation_name,
            executor_class=StrawberryGraphQLCoreExecutionContext,
        )

    async def _introspect(self, ready: Ready, context: Context) -> dict[str, Any]:
        """The answer about the schema. It takes long and never changes: made in a thread, one at a time, and kept."""
        key = (ready.prepared, ready.request.operation_name, str(ready.request.variables))
        async with self._introspection:
            if key not in self._introspected:
                result = await asyncio.to_thread(self._execute, ready, context)
                self._introspected[key] = told(cast(ExecutionResult, result))
                if len(self._introspected) > INTROSPECTIONS_KEPT:
                    self._introspected.popitem(last=False)
            return self._introspected[key] | {"extensions": ready.extensions}

    async def answers(self, ready: Ready, context: Context) -> AsyncGenerator[dict[str, Any], None]:
        """Every answer to an operation of any kind. Raises: Refused when a stream cannot begin or go on."""
        if is_subscription(ready.operation):
            with self.streams.one(context.payer):
                async with aclosing(await self._source(ready, context)) as source:
                    try:
                        async for result in source:
                            _whole(result)
                            yield told(result)
                    except GraphQLError as error:
                        # graphql-core lets what a stream itself raises pass through.
                        raise Refused([error]) from None
        else:
            yield await self.run(ready, context)

    async def _source(self, ready: Ready, context: Context) -> AsyncGenerator[ExecutionResult, None]:
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
        return cast(AsyncGenerator[ExecutionResult, None], source)


def _whole(result: ExecutionResult) -> None:
    """Raise what kept Postgres from filling in a stream's answer: half an answer with a cursor past it would be a gap."""
    for error in result.errors or ():
        cause: BaseException | None = error
        while isinstance(cause, GraphQLError):
            cause = cause.original_error
        if cause is not None and is_away(cause):
            raise cause


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
