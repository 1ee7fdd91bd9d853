"""Provider accounts that the caller has connected."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import strawberry
from strawberry import field

from area.core.ids import to_global
from area.db import models as m
from area.graphql.context import Info
from area.graphql.enums import ConnectedAccountStatus
from area.graphql.nodes import Node, finds


@strawberry.type(description="A provider account that its owner has connected.")
class ConnectedAccount(Node):
    """A provider account that its owner has connected."""

    service: str = field(description="The service's key in the catalogue.")
    label: str = field(description="Whose account it is, as the provider says.")
    status: ConnectedAccountStatus = field(description="Whether it can be used.")
    scopes: list[str] = field(description="What its owner consented to.")
    connected_at: datetime = field(description="When it was connected.")
    last_used_at: datetime | None = field(description="When a run last used it.")
    expires_at: datetime | None = field(description="When the consent ends.")

    @classmethod
    def of(cls, row: m.ConnectedAccount) -> ConnectedAccount:
        """The account in this row."""
        return cls(
            id=strawberry.ID(to_global("ConnectedAccount", row.id)),
            service=row.service,
            label=row.label,
            status=ConnectedAccountStatus[row.status.upper()],
            scopes=[str(scope) for scope in row.scopes],
            connected_at=row.created_at,
            last_used_at=row.last_used_at,
            expires_at=row.expires_at,
        )


@finds("ConnectedAccount")
async def _account(info: Info, key: str) -> ConnectedAccount | None:
    row = await info.context.loaders.accounts.load(UUID(key))
    return ConnectedAccount.of(row) if row else None
