"""Connected accounts: start a run when one of yours has to be connected again."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from area.nodes import sdk

service = sdk.Service(
    key="account", name="Connected accounts", description="Reacts to what happens to your connected accounts."
)


class Which(sdk.Inputs):
    """Whose account."""

    service: Annotated[str | None, sdk.NoTemplate, sdk.ServiceKey] = Field(
        None,
        title="Service",
        description="The key of the service whose accounts to watch; empty for all of yours.",
        examples=["twitch"],
    )


class DeadAccount(sdk.Outputs):
    """An account that cannot be used any more."""

    id: Annotated[str, sdk.Identity] = Field(
        title="Id",
        description="Names the account and the moment; the same account may die again.",
        examples=["0198c9a6-11aa-7d10-8a55-0c1d2e3f4a5b:1772352002"],
    )
    account_id: str = Field(
        title="Account", description="The account's id.", examples=["0198c9a6-11aa-7d10-8a55-0c1d2e3f4a5b"]
    )
    service: str = Field(title="Service", description="The key of its service.", examples=["twitch"])
    label: str = Field(title="Name", description="Whose account it is.", examples=["ada"])
    reason: str = Field(
        title="Reason", description="Why it has to be connected again.", examples=["invalid_grant: Token revoked"]
    )
    areas: list[str] = Field(
        title="AREAs", description="Names of the AREAs that it stops, 100 at most.", examples=[["Post my streams"]]
    )
    area_count: int = Field(title="Number of AREAs", description="How many AREAs it stops.", examples=[1])
    died_at: datetime = Field(title="Since", description="Since when, in UTC.", examples=["2026-03-01T08:00:02Z"])


@service.internal("Account has to be connected again")
def needs_reconnect(where: Which, payload: DeadAccount) -> bool:
    """Fires when one of your connected accounts has lost its consent: its AREAs stand still until you connect it again."""
    return where.service in (None, payload.service)
