"""API tokens: what a user gives to a program instead of a password."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Annotated
from uuid import UUID

import strawberry
from strawberry import enum_value, field

from area.auth.caller import Scope
from area.core.ids import to_global
from area.db import models as m
from area.graphql.context import Info
from area.graphql.enums import stored
from area.graphql.errors import ERRORS, UserError
from area.graphql.fields import INPUT, mutates
from area.graphql.inputs import row_id
from area.graphql.nodes import Node, finds


@strawberry.enum(description="What an API token may be used for.")
class ApiTokenScope(Enum):
    """What an API token may be used for."""

    READ = enum_value("read", description="Queries and subscriptions.")
    WRITE = enum_value(
        "write", description="Mutations, except those that sign in, sign out, or make and revoke API tokens."
    )


@strawberry.type(description="A key that a user has given to a program.")
class ApiToken(Node):
    """A key that a user has given to a program."""

    name: str = field(description="What its owner calls it.")
    prefix: str = field(description="How the token begins; the rest is known to its holder only.")
    scopes: list[ApiTokenScope] = field(description="What it may be used for.")
    created_at: datetime = field(description="When it was created.")
    expires_at: datetime | None = field(description="When it ends; null is never.")
    last_used_at: datetime | None = field(description="When it was last used, to the minute.")
    revoked_at: datetime | None = field(description="When its owner ended it.")

    @classmethod
    def of(cls, row: m.ApiToken) -> ApiToken:
        """The token in this row."""
        return cls(
            id=strawberry.ID(to_global("ApiToken", row.id)),
            name=row.name,
            prefix=row.prefix,
            scopes=[ApiTokenScope[str(scope).upper()] for scope in row.scopes],
            created_at=row.created_at,
            expires_at=row.expires_at,
            last_used_at=row.last_used_at,
            revoked_at=row.revoked_at,
        )


@strawberry.input(description="A new API token.")
class CreateApiTokenInput:
    """A new API token."""

    name: str = field(description="What to call it, such as the program that will have it; 1 to 100 characters.")
    scopes: list[ApiTokenScope] = field(
        default_factory=lambda: [ApiTokenScope.READ], description="What it may be used for."
    )
    expires_at: datetime | None = field(default=None, description="When it ends; never when left out.")


@strawberry.input(description="Which API token to end.")
class RevokeApiTokenInput:
    """Which API token to end."""

    id: strawberry.ID = field(description="The token.")


@strawberry.type(description="The answer of createApiToken.")
class CreateApiTokenPayload:
    """The answer of createApiToken."""

    api_token: ApiToken | None = field(default=None, description="The token as it is listed; null when it failed.")
    secret: str | None = field(
        default=None, description="The token itself, for 'Authorization: Bearer <token>'. It is shown here only."
    )
    errors: list[UserError] = field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of revokeApiToken.")
class RevokeApiTokenPayload:
    """The answer of revokeApiToken."""

    api_token: ApiToken | None = field(default=None, description="The token, which is good for nothing any more.")
    errors: list[UserError] = field(default_factory=list, description=ERRORS)


@strawberry.type
class ApiTokenMutations:
    """Making and ending API tokens."""

    @mutates(CreateApiTokenPayload, description="Create an API token; only a signed-in session may, not another token.")
    async def create_api_token(
        self, info: Info, input: Annotated[CreateApiTokenInput, INPUT]
    ) -> CreateApiTokenPayload | None:
        """Create an API token."""
        user_id = info.context.person.user_id
        scopes = [Scope(stored(scope)) for scope in input.scopes]
        row, secret = await info.context.auth.api_tokens.create(user_id, input.name, scopes, input.expires_at)
        return CreateApiTokenPayload(api_token=ApiToken.of(row), secret=secret)

    @mutates(RevokeApiTokenPayload, description="End an API token: what uses it is refused within seconds.")
    async def revoke_api_token(
        self, info: Info, input: Annotated[RevokeApiTokenInput, INPUT]
    ) -> RevokeApiTokenPayload | None:
        """End an API token."""
        user_id = info.context.person.user_id
        row = await info.context.auth.api_tokens.revoke(user_id, row_id(input.id, "ApiToken"))
        return RevokeApiTokenPayload(api_token=ApiToken.of(row))


@finds("ApiToken")
async def _api_token(info: Info, key: str) -> ApiToken | None:
    row = await info.context.loaders.api_tokens.load(UUID(key))
    return ApiToken.of(row) if row else None
