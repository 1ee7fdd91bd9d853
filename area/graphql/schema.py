"""The schema, put together."""

import strawberry
from strawberry.schema.config import StrawberryConfig

from area.graphql.api_tokens import ApiTokenMutations
from area.graphql.area_mutations import AreaMutations
from area.graphql.auth_mutations import AuthMutations
from area.graphql.catalogue import ActionDefinition, ReactionDefinition
from area.graphql.errors import ERROR_TYPES
from area.graphql.forms import FIELD_TYPES
from area.graphql.query import Query
from area.graphql.run_mutations import RunMutations
from area.graphql.subscriptions import Subscription


@strawberry.type(description="The entry points for changing something.")
class Mutation(AuthMutations, ApiTokenMutations, AreaMutations, RunMutations):
    """The entry points for changing something."""


schema = strawberry.Schema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    types=[*FIELD_TYPES, *ERROR_TYPES, ActionDefinition, ReactionDefinition],
    config=StrawberryConfig(),
)
