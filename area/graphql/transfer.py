"""AREAs as documents that people read, keep and hand on."""

from __future__ import annotations

from typing import Annotated

import strawberry
from strawberry import field

from area.core.errors import AreaError, InvalidInputs, NotFound
from area.core.ids import uuid_of
from area.engine import transfer
from area.graphql.areas import Area
from area.graphql.context import Info
from area.graphql.fields import INPUT, mutates
from area.graphql.payloads import AreaPayload


@strawberry.input(description="Which of your connected accounts stands for one that a document names.")
class ImportAccountInput:
    """Which account stands for one that a document names."""

    service: str = field(description="The service's key, as in the document.")
    label: str = field(description="The account's label, as in the document.")
    account_id: strawberry.ID = field(description="Your account.")


@strawberry.input(description="A secret that a document names.")
class ImportSecretInput:
    """A secret that a document names."""

    name: str = field(description="Its name, as in the document after `$secret`.")
    value: str = field(description="The secret.")


@strawberry.input(description="An AREA as `Area.export` wrote it.")
class ImportAreaInput:
    """An AREA as `Area.export` wrote it."""

    document: str = field(description="The document, YAML or JSON.")
    name: str | None = field(default=None, description="What to call it; as the document says when left out.")
    is_enabled: bool | None = field(
        default=None, description="Whether it reacts at once; as the document says when left out."
    )
    accounts: list[ImportAccountInput] = field(
        default_factory=list,
        description="Accounts that stand for others; yours of the same service and label are found.",
    )
    secrets: list[ImportSecretInput] = field(default_factory=list, description="The secrets that the document names.")
    idempotency_key: str | None = field(
        default=None, description="Any text; a second call with the same key returns what the first one made."
    )


@strawberry.type
class TransferMutations:
    """AREAs from documents."""

    @mutates(AreaPayload, description="Make the AREA that a document describes; all of it, or nothing.")
    async def import_area(self, info: Info, input: Annotated[ImportAreaInput, INPUT]) -> AreaPayload | None:
        """Make the AREA that a document describes."""
        user_id = info.context.user_id
        accounts, problems = {}, list[AreaError]()
        for index, given in enumerate(input.accounts):
            account_id = uuid_of(given.account_id, "ConnectedAccount")
            if account_id is None:
                place = ("accounts", index, "accountId")
                problems.append(NotFound("There is no such connected account of yours.", path=place))
            else:
                accounts[given.service, given.label] = account_id
        if problems:
            raise InvalidInputs(problems)
        row = await transfer.import_area(
            info.context.platform,
            user_id,
            input.document,
            accounts=accounts,
            secrets={given.name: given.value for given in input.secrets},
            name=input.name,
            is_enabled=input.is_enabled,
            idempotency_key=input.idempotency_key,
        )
        info.context.renew()
        return AreaPayload(area=Area.of(row))
