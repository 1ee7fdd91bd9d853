"""The schema, put together."""

from typing import Any

import strawberry
from graphql import GraphQLArgument, GraphQLInputField, GraphQLObjectType, Undefined, print_ast
from strawberry.printer.ast_from_value import ast_from_value
from strawberry.schema.config import StrawberryConfig

from area.graphql.account_mutations import AccountMutations
from area.graphql.api_tokens import ApiTokenMutations
from area.graphql.area_mutations import AreaMutations
from area.graphql.auth_mutations import AuthMutations
from area.graphql.catalogue import ActionDefinition, ReactionDefinition
from area.graphql.errors import ERROR_TYPES
from area.graphql.forms import FIELD_TYPES
from area.graphql.query import Query
from area.graphql.run_mutations import RunMutations
from area.graphql.subscriptions import Subscription
from area.graphql.transfer import TransferMutations
from area.graphql.trying import TryingMutations


@strawberry.type(description="The entry points for changing something.")
class Mutation(
    AuthMutations, ApiTokenMutations, AccountMutations, AreaMutations, RunMutations, TransferMutations, TryingMutations
):
    """The entry points for changing something."""


schema = strawberry.Schema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    types=[*FIELD_TYPES, *ERROR_TYPES, ActionDefinition, ReactionDefinition],
    config=StrawberryConfig(),
)


def _default_value(item: tuple[str, GraphQLArgument | GraphQLInputField], _info: Any) -> str | None:
    """An input's default as GraphQL. graphql-core's own resolver fails on an object of a scalar: ``config: JSON! = {}``."""
    given = item[1]
    if given.default_value is Undefined:
        return None
    shown = ast_from_value(given.default_value, given.type)
    return print_ast(shown) if shown else None


_input_value = schema._schema.type_map["__InputValue"]
assert isinstance(_input_value, GraphQLObjectType)  # noqa: S101 - for the type checker; the specification says so
_input_value.fields["defaultValue"].resolve = _default_value
