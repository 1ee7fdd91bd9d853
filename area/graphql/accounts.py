"""Provider accounts that the caller has connected."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, cast
from uuid import UUID

import strawberry
from strawberry import field

from area.core.ids import to_global, uuid_of
from area.db import models as m
from area.engine.connections import governor
from area.graphql.areas import Area
from area.graphql.context import Info
from area.graphql.enums import ConnectedAccountStatus, ConnectionMethod
from area.graphql.fields import paged, resolved
from area.graphql.nodes import Node, find, finds
from area.graphql.pages import Connection, Window, by_id, connection

if TYPE_CHECKING:
    from area.graphql.catalogue import Service


@strawberry.type(description="What is known of how many calls a provider still allows for an account.")
class RateLimit:
    """What is known of an account's budget of calls."""

    limit: int | None = field(description="Calls in one window, where the provider says.")
    remaining: int | None = field(description="Calls left in the present window.")
    resets_at: datetime | None = field(description="When the window starts over.")
    blocked_until: datetime | None = field(description="No call is made before then; null when calls are made.")

    @classmethod
    def of(cls, known: governor.RateLimit) -> RateLimit:
        """The budget as the API shows it."""
        return cls(
            limit=known.limit,
            remaining=known.remaining,
            resets_at=known.resets_at,
            blocked_until=known.blocked_until,
        )


@strawberry.type(description="A provider account that its owner has connected.")
class ConnectedAccount(Node):
    """A provider account that its owner has connected."""

    service_key: strawberry.Private[str]
    label: str = field(description="Whose account it is: what the provider calls it, or the name that its owner gave.")
    avatar_url: str | None = field(description="A picture of it.")
    method: ConnectionMethod = field(description="How it was connected, and so how it is connected again.")
    status: ConnectedAccountStatus = field(description="Whether it can be used.")
    problem: str | None = field(
        description="Why it has to be connected again, or why its token could not be refreshed."
    )
    scopes: list[str] = field(description="What its owner consented to.")
    connected_at: datetime = field(description="When it was connected.")
    last_used_at: datetime | None = field(description="When it was last used, to the minute.")
    expires_at: datetime | None = field(description="When the consent ends, where the provider says.")

    @resolved(description="The service it belongs to; null when that is not installed any more.")
    async def service(self, info: Info) -> Annotated[Service, strawberry.lazy("area.graphql.catalogue")] | None:
        """The service it belongs to."""
        return cast("Service | None", await find(info, "Service", self.service_key))

    @paged(by_id, description="The AREAs that use it, and stop when it dies; newest first.")
    async def areas(self, info: Info, asked: Window[UUID]) -> Connection[Area]:
        """The AREAs that use it."""
        page = await info.context.loaders.areas_using(asked, self._row_id)
        return connection(page, Area.of, lambda row: row.id)

    @resolved(description="What is known of how many calls its provider still allows; null when nothing is.")
    async def rate_limit(self, info: Info) -> RateLimit | None:
        """What is known of its budget of calls."""
        known = await info.context.platform.accounts.rate_limit(self._row_id)
        return RateLimit.of(known) if known else None

    @property
    def _row_id(self) -> UUID:
        found = uuid_of(self.id, "ConnectedAccount")
        assert found is not None  # noqa: S101 - made by `of`
        return found

    @classmethod
    def of(cls, row: m.ConnectedAccount) -> ConnectedAccount:
        """The account in this row."""
        return cls(
            id=strawberry.ID(to_global("ConnectedAccount", row.id)),
            service_key=row.service,
            label=row.label,
            avatar_url=row.avatar_url,
            method=ConnectionMethod[row.method.upper()],
            status=ConnectedAccountStatus[row.status.upper()],
            problem=row.last_error,
            scopes=[str(scope) for scope in row.scopes],
            connected_at=row.created_at,
            last_used_at=row.last_used_at,
            expires_at=row.expires_at,
        )


@finds("ConnectedAccount")
async def _account(info: Info, key: str) -> ConnectedAccount | None:
    row = await info.context.loaders.accounts.load(UUID(key))
    return ConnectedAccount.of(row) if row else None
