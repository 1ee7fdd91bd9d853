"""The signed-in user, and everything that is theirs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import strawberry
from strawberry import field

from area.core.ids import to_global
from area.db import models as m
from area.graphql.accounts import ConnectedAccount
from area.graphql.areas import Area, OutcomesArgument, RunFilterArgument, conditions
from area.graphql.context import Info
from area.graphql.enums import stored
from area.graphql.fields import resolved
from area.graphql.nodes import Node, finds
from area.graphql.pages import After, Before, Connection, First, Last, by_id, connection, window
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

    @resolved(description="Their AREAs, newest first.")
    async def areas(
        self,
        info: Info,
        search: Annotated[str | None, strawberry.argument(description="Only those with this in their name.")] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Area]:
        """Their AREAs."""
        page = await info.context.loaders.area_page(window(by_id, first, after, last, before), search)
        return connection(page, Area.of, lambda row: row.id)

    @resolved(description="The runs of their AREAs, newest first.")
    async def runs(
        self,
        info: Info,
        filter: RunFilterArgument = None,  # noqa: A002 - the argument's name in the API
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Run]:
        """The runs of their AREAs."""
        asked = window(by_id, first, after, last, before)
        page = await info.context.loaders.run_page(asked, conditions(filter))
        return connection(page, Run.of, lambda row: row.id)

    @resolved(description="What became of the events meant for their AREAs, newest first.")
    async def deliveries(
        self,
        info: Info,
        outcomes: OutcomesArgument = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[Delivery]:
        """What became of the events meant for their AREAs."""
        values = [stored(outcome) for outcome in outcomes or ()]
        asked = window(by_id, first, after, last, before)
        page = await info.context.loaders.delivery_page(asked, outcomes=values)
        return connection(page, Delivery.of, lambda row: row.id)

    @resolved(description="Their connected accounts, newest first.")
    async def connected_accounts(
        self,
        info: Info,
        service: Annotated[
            str | None, strawberry.argument(description="Only those of the service with this key.")
        ] = None,
        first: First = None,
        after: After = None,
        last: Last = None,
        before: Before = None,
    ) -> Connection[ConnectedAccount]:
        """Their connected accounts."""
        asked = window(by_id, first, after, last, before)
        page = await info.context.loaders.account_page(asked, service)
        return connection(page, ConnectedAccount.of, lambda row: row.id)

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
