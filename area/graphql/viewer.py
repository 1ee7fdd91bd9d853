"""The signed-in user, and everything that is theirs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import strawberry
from strawberry import field

from area.core.ids import to_global
from area.db import models as m
from area.graphql.accounts import ConnectedAccount
from area.graphql.api_tokens import ApiToken
from area.graphql.areas import Area, OutcomesArgument, RunFilterArgument, delivery_connection, run_connection
from area.graphql.context import Info
from area.graphql.fields import paged, resolved
from area.graphql.listing import AreaFilterArgument, AreaOrderArgument, area_connection
from area.graphql.nodes import Node, finds
from area.graphql.pages import Connection, Window, by_id, connection, from_cursor
from area.graphql.runs import Delivery, Run
from area.graphql.statistics import Usage, usage


@strawberry.type(description="The signed-in user.")
class Viewer(Node):
    """The signed-in user."""

    email: str = field(description="The mail address they sign in with.")
    display_name: str = field(description="What to call them; may be empty.")
    created_at: datetime = field(description="When they signed up.")

    @resolved(description="How much of what is allowed they use.")
    async def usage(self, info: Info) -> Usage:
        """How much of what is allowed they use."""
        platform = info.context.platform
        return await usage(platform.db.pool, info.context.user_id, platform.settings.max_areas)

    @paged(from_cursor, description="Their AREAs, newest first unless `orderBy` says otherwise.")
    async def areas(
        self,
        info: Info,
        asked: Window[str],
        filter: AreaFilterArgument = None,
        order_by: AreaOrderArgument = None,
    ) -> Connection[Area]:
        """Their AREAs."""
        return await area_connection(info, asked, filter, order_by)

    @paged(by_id, description="The runs of their AREAs, newest first.")
    async def runs(self, info: Info, asked: Window[UUID], filter: RunFilterArgument = None) -> Connection[Run]:
        """The runs of their AREAs."""
        return await run_connection(info, asked, filter)

    @paged(by_id, description="What became of the events meant for their AREAs, newest first.")
    async def deliveries(
        self, info: Info, asked: Window[UUID], outcomes: OutcomesArgument = None
    ) -> Connection[Delivery]:
        """What became of the events meant for their AREAs."""
        return await delivery_connection(info, asked, outcomes)

    @paged(by_id, description="Their connected accounts, newest first.")
    async def connected_accounts(
        self,
        info: Info,
        asked: Window[UUID],
        service: Annotated[
            str | None, strawberry.argument(description="Only those of the service with this key.")
        ] = None,
    ) -> Connection[ConnectedAccount]:
        """Their connected accounts."""
        page = await info.context.loaders.account_page(asked, service)
        return connection(page, ConnectedAccount.of, lambda row: row.id)

    @paged(by_id, description="Their API tokens that were not revoked, newest first.")
    async def api_tokens(self, info: Info, asked: Window[UUID]) -> Connection[ApiToken]:
        """Their API tokens."""
        page = await info.context.loaders.api_token_page(asked)
        return connection(page, ApiToken.of, lambda row: row.id)

    @classmethod
    def of(cls, row: m.User) -> Viewer:
        """The user in this row."""
        return cls(
            id=strawberry.ID(to_global("Viewer", row.id)),
            email=row.email,
            display_name=row.display_name,
            created_at=row.created_at,
        )


async def viewer_of(info: Info) -> Viewer | None:
    """The caller, or None when nobody is signed in."""
    row = await info.context.loaders.user()
    return Viewer.of(row) if row else None


@finds("Viewer")
async def _viewer(info: Info, key: str) -> Viewer | None:
    return await viewer_of(info) if info.context.caller and str(info.context.caller.user_id) == key else None
