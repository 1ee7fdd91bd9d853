"""Connecting accounts, and letting them go."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, cast
from uuid import UUID

import strawberry
from strawberry import field
from strawberry.scalars import JSON

from area.core.errors import InvalidInput
from area.core.ids import to_global
from area.engine import subscriptions
from area.engine.connections.flow import Wanted
from area.engine.connections.outcomes import Result
from area.graphql.accounts import ConnectedAccount
from area.graphql.context import Info
from area.graphql.enums import ConnectionOutcome
from area.graphql.errors import ERRORS, UserError
from area.graphql.fields import INPUT, mutates
from area.graphql.inputs import row_id
from area.graphql.nodes import find


@strawberry.input(description="What to connect by a provider's consent page.")
class StartConnectionInput:
    """What to connect by a provider's consent page."""

    service: str = field(description="The service's key in the catalogue.")
    nodes: list[str] = field(
        default_factory=list,
        description="Keys of the actions and reactions that it is for: what they need is asked for, and no more.",
    )
    scopes: list[str] = field(default_factory=list, description="Scopes to ask for besides.")
    account_id: strawberry.ID | None = field(
        default=None,
        description="The account to connect again, or to ask more of; what it has is asked for too. A new one when left out.",
    )
    return_to: str | None = field(
        default=None,
        description="Where the browser shall be sent afterwards, with `connection` (a ConnectionOutcome), `service`, and as they "
        "apply `account`, `missingScopes` and `code` in the query; a page of ours when left out.",
    )


@strawberry.input(description="What to connect by a key.")
class ConnectWithKeyInput:
    """What to connect by a key."""

    service: str = field(description="The service's key in the catalogue.")
    fields: JSON = field(description="What `Service.connectForm` asks for, an object.")
    label: str | None = field(default=None, description="What to call it; what the provider calls it when left out.")


@strawberry.input(description="Which attempt to confirm.")
class ConfirmConnectionInput:
    """Which attempt to confirm."""

    code: str = field(description="The `code` that came with the outcome UNCONFIRMED.")


@strawberry.input(description="Which account to disconnect.")
class DisconnectAccountInput:
    """Which account to disconnect."""

    id: strawberry.ID = field(description="The account.")


@strawberry.input(description="What to call an account.")
class RenameAccountInput:
    """What to call an account."""

    id: strawberry.ID = field(description="The account.")
    label: str = field(description="1 to 200 characters.")


@strawberry.type(description="The answer of startConnection.")
class StartConnectionPayload:
    """The answer of startConnection."""

    url: str | None = field(default=None, description="The provider's consent page: send the browser there.")
    expires_at: datetime | None = field(default=None, description="Until when the browser must be back.")
    errors: list[UserError] = field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of confirmConnection.")
class ConfirmConnectionPayload:
    """The answer of confirmConnection."""

    outcome: ConnectionOutcome | None = field(default=None, description="What became of it; null when it failed.")
    message: str | None = field(default=None, description="The same in words.")
    account: ConnectedAccount | None = field(default=None, description="The account, if it is connected now.")
    missing_scopes: list[str] = field(default_factory=list, description="What was asked for and not allowed.")
    url: str | None = field(default=None, description="Where to send the browser next, if one more consent is needed.")
    errors: list[UserError] = field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of connectWithKey and renameAccount.")
class AccountPayload:
    """The answer of connectWithKey and renameAccount."""

    account: ConnectedAccount | None = field(default=None, description="The account; null when it failed.")
    errors: list[UserError] = field(default_factory=list, description=ERRORS)


@strawberry.type(description="The answer of disconnectAccount.")
class DisconnectAccountPayload:
    """The answer of disconnectAccount."""

    disconnected_id: strawberry.ID | None = field(default=None, description="The id of what was disconnected.")
    errors: list[UserError] = field(default_factory=list, description=ERRORS)


@strawberry.type
class AccountMutations:
    """Connecting accounts, and letting them go."""

    @mutates(
        StartConnectionPayload,
        description="Begin to connect an account by its provider's consent page. Send the request with cookies "
        "(credentials: 'include'): the cookie in the answer proves afterwards that the browser is yours. Without it "
        "the outcome is UNCONFIRMED, and `confirmConnection` finishes the attempt.",
    )
    async def start_connection(
        self, info: Info, input: Annotated[StartConnectionInput, INPUT]
    ) -> StartConnectionPayload | None:
        """Begin to connect an account by its provider's consent page."""
        context, user_id = info.context, info.context.user_id
        account_id = row_id(input.account_id, "ConnectedAccount", ("account_id",)) if input.account_id else None
        wanted = Wanted(
            input.service, tuple(input.scopes), tuple(input.nodes), account_id, input.return_to, context.browser
        )
        started = await context.platform.connecting.start(user_id, wanted, with_cookie=context.has_cookies)
        context.browser = started.browser or context.browser
        return StartConnectionPayload(url=started.url, expires_at=started.expires_at)

    @mutates(
        ConfirmConnectionPayload,
        description="Finish a connection whose browser could not prove that it is yours: you do, by being signed in.",
    )
    async def confirm_connection(
        self, info: Info, input: Annotated[ConfirmConnectionInput, INPUT]
    ) -> ConfirmConnectionPayload | None:
        """Finish a connection whose browser could not prove that it is yours."""
        result = await info.context.platform.connecting.confirm(info.context.user_id, input.code)
        return await _confirmed(info, result)

    @mutates(
        AccountPayload,
        description="Connect an account by a key, a token, or a server with its password. It is tried before it is kept.",
    )
    async def connect_with_key(self, info: Info, input: Annotated[ConnectWithKeyInput, INPUT]) -> AccountPayload | None:
        """Connect an account by a key."""
        user_id = info.context.user_id
        if not isinstance(input.fields, dict):
            raise InvalidInput("`fields` must be an object.", path=("fields",))
        account_id = await info.context.platform.keys.connect(user_id, input.service, input.fields, input.label)
        return AccountPayload(account=await _account(info, account_id))

    @mutates(
        DisconnectAccountPayload,
        description="Disconnect an account: its consent is given back at the provider where that can be done, its secrets are "
        "forgotten, and runs that wait for it fail. `ConnectedAccount.areas` says beforehand what stops.",
    )
    async def disconnect_account(
        self, info: Info, input: Annotated[DisconnectAccountInput, INPUT]
    ) -> DisconnectAccountPayload | None:
        """Disconnect an account."""
        account_id = row_id(input.id, "ConnectedAccount")
        await subscriptions.disconnect(info.context.platform, info.context.user_id, account_id)
        return DisconnectAccountPayload(disconnected_id=strawberry.ID(to_global("ConnectedAccount", account_id)))

    @mutates(AccountPayload, description="Give an account a name.")
    async def rename_account(self, info: Info, input: Annotated[RenameAccountInput, INPUT]) -> AccountPayload | None:
        """Give an account a name."""
        account_id = row_id(input.id, "ConnectedAccount")
        await info.context.platform.accounts.rename(info.context.user_id, account_id, input.label)
        return AccountPayload(account=await _account(info, account_id))


async def _account(info: Info, account_id: UUID | None) -> ConnectedAccount | None:
    info.context.renew()
    return cast(ConnectedAccount | None, await find(info, "ConnectedAccount", account_id))


async def _confirmed(info: Info, result: Result) -> ConfirmConnectionPayload:
    return ConfirmConnectionPayload(
        outcome=ConnectionOutcome[result.outcome.value],
        message=result.message,
        account=await _account(info, result.account_id),
        missing_scopes=list(result.missing_scopes),
        url=result.next_url,
    )
