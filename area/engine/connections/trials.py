"""Trying credentials: a key that a user types in, and whose account tokens are for. Nothing is kept that was not tried."""

import asyncio
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import httpx
from pydantic import ValidationError

from area.core import log
from area.core.errors import AreaError, InvalidInput, InvalidInputs
from area.core.http import EgressRefused, ResponseTooLarge
from area.engine.configs import told
from area.engine.connections.accounts import MAX_LABEL, Accounts
from area.engine.connections.connected import Secrets
from area.engine.connections.store import NewAccount, consent_ends_in
from area.nodes import sdk
from area.nodes.registry import Registry, UnknownComponent

logger = log.get(__name__)

TRIAL_SECONDS = 30.0
FIELDS = ("fields",)


async def identified(
    accounts: Accounts, service: sdk.Service, secrets: Secrets, grant: sdk.Grant | None = None
) -> sdk.Profile:
    """Whose account these secrets open. Raises: sdk.Reconnect when they open none; what `identify` raises."""
    if service.identifier is None:
        raise sdk.Rejected(f"{service.name} cannot say whose account it is, so none can be connected.")
    profile: sdk.Profile = await service.identifier(accounts.vault.trial(service, secrets, grant=grant))
    if not profile.external_id:
        raise sdk.Rejected(f"{service.name} did not say whose account it is.")
    return profile


class Keys:
    """Connects accounts by what their owners type in."""

    def __init__(self, accounts: Accounts, registry: Registry) -> None:
        self._accounts = accounts
        self._registry = registry

    async def connect(
        self, user_id: UUID, service_key: str, fields: Mapping[str, Any], label: str | None = None
    ) -> UUID:
        """Try a key and keep it; the answer is its account. Raises: InvalidInput, InvalidInputs."""
        service, key = self._service(service_key)
        name = self._label(label)
        try:
            typed = key.fields.model_validate(dict(fields)).model_dump(mode="json")
        except ValidationError as error:
            raise InvalidInputs(list(told(error, key.fields, FIELDS))) from None
        try:
            async with asyncio.timeout(TRIAL_SECONDS):
                secrets, grant = await self._opened(service, key, typed)
                profile = await identified(self._accounts, service, secrets)
        except Exception as error:
            raise _explained(service, error) from error
        account_id = await self._accounts.store.save(
            NewAccount(
                user_id=user_id,
                service=service.key,
                method="key",
                profile=profile,
                secrets=secrets,
                scopes=(grant and grant.scopes) or frozenset(),
                label=name,
                expires_in=grant.expires_in if grant else None,
                consent_ends_in=consent_ends_in(grant) if grant else None,
            )
        )
        await self._accounts.revived(account_id)
        return account_id

    async def _opened(
        self, service: sdk.Service, key: sdk.Key, typed: dict[str, Any]
    ) -> tuple[Secrets, sdk.Grant | None]:
        if key.open is None:
            return Secrets(fields=typed), None
        grant = await key.open(self._accounts.vault.trial(service, Secrets(fields=typed)), typed)
        return Secrets(grant.access_token, grant.refresh_token, typed), grant

    def _service(self, key: str) -> tuple[sdk.Service, sdk.Key]:
        try:
            service = self._registry.service(key)
        except UnknownComponent as error:
            told = f"There is no service {key[:60]!r}."
            raise InvalidInput(told, path=("service",), suggestion=error.suggestion) from None
        if service.key_auth is None:
            raise InvalidInput(
                f"{service.name} is not connected by a key; use `startConnection`.", path=("service",), code="NO_KEY"
            )
        missing = self._accounts.missing(service)
        if missing:
            told_missing = f"{service.name} is not set up here: the operator has to set {', '.join(missing)}."
            raise InvalidInput(told_missing, path=("service",), code="SERVICE_NOT_CONFIGURED")
        return service, service.key_auth

    def _label(self, label: str | None) -> str | None:
        name = (label or "").strip()
        if len(name) > MAX_LABEL:
            raise InvalidInput(f"A name has at most {MAX_LABEL} characters.", path=("label",))
        return name or None


def _explained(service: sdk.Service, error: Exception) -> Exception:
    """What a failed trial means for what was typed in."""
    match error:
        case sdk.InvalidInput():
            return InvalidInput(error.message, path=(*FIELDS, error.field), suggestion=error.suggestion)
        case AreaError() if isinstance(error, EgressRefused | ResponseTooLarge):
            return InvalidInput(error.message, path=FIELDS, code=error.code)
        case sdk.Throttled() | sdk.Unavailable() | sdk.Unknown():
            code = "PROVIDER_UNAVAILABLE"
            return InvalidInput(f"{error.message}. Nothing was kept; try again later.", path=FIELDS, code=code)
        case sdk.Reconnect() | sdk.Rejected():
            told_why = f"{service.name} does not accept this: {error.message}"
            return InvalidInput(told_why, path=FIELDS, code="CREDENTIALS_REFUSED")
        case sdk.GrantRefused():
            return InvalidInput(
                f"{service.name} does not accept this: {error}", path=FIELDS, code="CREDENTIALS_REFUSED"
            )
        case httpx.InvalidURL() | httpx.UnsupportedProtocol():
            return InvalidInput(f"The address cannot be called: {error}", path=FIELDS)
        case httpx.TransportError() | OSError() | TimeoutError():
            said = str(error) or type(error).__name__
            message = (
                f"{service.name} did not answer ({said}). Nothing was kept; look at the address, or try again later."
            )
            return InvalidInput(message, path=FIELDS, code="PROVIDER_UNAVAILABLE")
        case ValueError() | LookupError() | TypeError() | AttributeError():
            logger.warning("connection.strange_answer", service=service.key, exc_info=error)
            message = f"What answered there is not {service.name} as we know it: look at the address and the fields."
            return InvalidInput(message, path=FIELDS, code="CREDENTIALS_REFUSED")
    return error
