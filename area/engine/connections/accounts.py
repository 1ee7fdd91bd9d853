"""Connected accounts, as the rest of the engine uses them."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from types import TracebackType
from typing import Any
from uuid import UUID

import asyncpg
from redis.asyncio import Redis

from area.core import log
from area.core.crypto import Sealer
from area.core.errors import InvalidInput, NotFound
from area.core.settings import Settings
from area.db.session import AWAY
from area.engine.admission import Admission
from area.engine.connections.apps import AppTokens
from area.engine.connections.authorise import AccountAuth
from area.engine.connections.connected import Connected
from area.engine.connections.governor import Governor, RateLimit
from area.engine.connections.held import Held
from area.engine.connections.needs import Needs
from area.engine.connections.store import Store
from area.engine.connections.tokens import TokenEndpoints
from area.engine.connections.vault import Vault, base_url
from area.engine.context import Access, Clients, Log, NodeContext
from area.engine.doorbell import Doorbell
from area.nodes import sdk
from area.nodes.registry import Registry

logger = log.get(__name__)

REVOKE_SECONDS = 10.0
"""Longest that a disconnection waits for its provider."""
MAX_LABEL = 200
CHECK_SECONDS = 30.0
CHECK_AGAIN = timedelta(minutes=5)
"""How long after a validation that came to nothing it is tried again."""


class Accounts:
    """The connected accounts of all users."""

    def __init__(
        self,
        settings: Settings,
        pool: asyncpg.Pool,
        redis: Redis,
        sealer: Sealer,
        clients: Clients,
        registry: Registry,
        doorbell: Doorbell,
        admission: Admission,
    ) -> None:
        self.store = Store(pool, sealer)
        self.endpoints = TokenEndpoints(clients)
        self.governor = Governor(redis)
        self.vault = Vault(self.store, self.endpoints, clients, registry)
        self.apps = AppTokens(redis, sealer, clients, self.endpoints)
        self.held = Held(pool, doorbell, admission, settings)
        self.needs = Needs(pool, registry, clients)
        self._clients = clients
        self._registry = registry
        clients.app_access = lambda service: self.apps.access(
            service, self.governor.gate(f"app:{service.key}", service)
        )

    def using(
        self, service: sdk.Service, write: Log, *, account_id: UUID | None, user_id: UUID | None = None, **more: Any
    ) -> "Using":
        """A context for one call of a node. A Reconnect that the call raises marks the account.

        ``user_id`` is who must own it; ``more`` goes to `NodeContext`. Raises: sdk.Reconnect, sdk.Rejected, sdk.Unavailable.
        """
        return Using(self, service, write, account_id, user_id, more)

    def context(self, service: sdk.Service, write: Log, account: Connected | None, **more: Any) -> NodeContext:
        """A context that acts for an opened account. Raises: sdk.Rejected when that is another service's."""
        if account is None:
            return NodeContext(self._clients, service, write, **more)
        if account.service != service.key:
            raise sdk.Rejected(f"This step belongs to {service.name}, and its account to {account.service}.")
        access = Access(
            account=account.account,
            credentials=account.secrets.fields,
            auth=AccountAuth(self.vault, service, account, self._clients.settings(service.key)),
            base_url=base_url(service, account.secrets.fields),
            gate=self.governor.gate(str(account.id), service),
        )
        return NodeContext(self._clients, service, write, access=access, **more)

    async def check_due(self, at_once: int = 50) -> int:
        """Call each due account's `Service.validate`; the answer is how many there were."""
        rows = await self.store.due_checks(at_once)
        await asyncio.gather(*(self._check(row["id"], row["service"]) for row in rows))
        return len(rows)

    async def tidy(self) -> None:
        """What is looked after now and then."""
        # Of the services that somebody connected, not of all there are: a service has its price in memory.
        used = [self._registry.services.get(key) for key in await self.store.services()]
        await self.store.make_due([service.key for service in used if service and _is_validated(service)])
        await self.store.mark_expiring()

    async def _check(self, account_id: UUID, key: str) -> None:
        service = self._registry.services.get(key)
        auth = service.auth if service else None
        if service is None or auth is None or service.validator is None:
            await self.store.checked(account_id, CHECK_AGAIN)
            return
        using = self.using(service, lambda *_: None, account_id=account_id)
        try:
            async with asyncio.timeout(CHECK_SECONDS), using as context:
                await service.validator(context)
        except sdk.Reconnect:
            return  # it is marked by now
        except Exception as error:  # a provider that is down says nothing of the account
            logger.warning("account.not_checked", account=str(account_id), service=key, error=repr(error))
            await self.store.checked(account_id, CHECK_AGAIN)
        else:
            await self.store.checked(account_id, auth.validate_every or CHECK_AGAIN)

    async def died(self, account: Connected, reason: str) -> None:
        """The consent behind these secrets is gone."""
        if await self.vault.died(account, reason):
            logger.warning("account.died", account=str(account.id), service=account.service)

    async def gone(self, service: str, external_id: str, reason: str) -> None:
        """A provider says that an account's consent is gone, whoever has connected it."""
        for account_id in await self.store.gone(service, external_id, reason):
            self.vault.forget(account_id)
            logger.warning("account.died", account=str(account_id), service=service)

    async def revived(self, account_id: UUID) -> None:
        """An account was connected, or connected again: what waits for it goes on."""
        self.vault.forget(account_id)
        await self.held.wake_hooks(account_id)
        await self.held.release(account_id)

    async def disconnect(self, user_id: UUID, account_id: UUID) -> None:
        """Give the consent back at the provider if that can be done, and forget every secret. Raises: NotFound."""
        account = await self.store.read(account_id, is_lenient=True)
        if account and account.user_id == user_id and account.is_live and not await self.store.is_shared(account):
            await self._revoke(account)
        if not await self.store.blank(account_id, user_id):
            raise NotFound("There is no such connected account of yours.", path=("id",))
        self.vault.forget(account_id)
        await self.held.fail(account_id)

    def missing(self, service: sdk.Service) -> list[str]:
        """Names of the settings without which a service cannot work here."""
        return service.missing(self._clients.settings(service.key))

    async def rename(self, user_id: UUID, account_id: UUID, label: str) -> None:
        """Give an account a name. Raises: NotFound, InvalidInput."""
        name = label.strip()
        if not 0 < len(name) <= MAX_LABEL:
            raise InvalidInput(f"A name has 1 to {MAX_LABEL} characters.", path=("label",))
        if not await self.store.rename(account_id, user_id, name):
            raise NotFound("There is no such connected account of yours.", path=("id",))
        self.vault.forget(account_id)

    async def rate_limit(self, account_id: UUID) -> RateLimit | None:
        """What is known of an account's budget of calls."""
        return await self.governor.state(str(account_id))

    async def _revoke(self, account: Connected) -> None:
        """Best effort: a provider that is down, or has no way to be told, does not keep anybody from leaving."""
        service = self._registry.services.get(account.service)
        auth, secrets = service.auth if service else None, account.secrets
        if service is None or auth is None or account.method != "oauth2" or secrets.access_token is None:
            return
        try:
            async with asyncio.timeout(REVOKE_SECONDS):
                if auth.revoke is None:
                    await self.endpoints.revoke(service, secrets.refresh_token or secrets.access_token)
                else:
                    grant = sdk.Grant(secrets.access_token, secrets.refresh_token)
                    await auth.revoke(NodeContext(self._clients, service, lambda *_: None), grant)
        except Exception as error:  # whatever it was, the account goes
            logger.warning("account.not_revoked", account=str(account.id), service=service.key, error=repr(error))


class Using:
    """The context of `Accounts.using`; a class, for every call goes through it."""

    __slots__ = ("_account", "_account_id", "_accounts", "_more", "_service", "_user_id", "_write")

    def __init__(
        self,
        accounts: Accounts,
        service: sdk.Service,
        write: Log,
        account_id: UUID | None,
        user_id: UUID | None,
        more: dict[str, Any],
    ) -> None:
        self._accounts = accounts
        self._service = service
        self._write = write
        self._account_id = account_id
        self._user_id = user_id
        self._more = more
        self._account: Connected | None = None

    async def __aenter__(self) -> NodeContext:
        if self._account_id is not None:
            self._account = await self._accounts.vault.open(self._account_id, self._user_id)
        return self._accounts.context(self._service, self._write, self._account, **self._more)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._account is not None and isinstance(error, sdk.Reconnect):
            with suppress(*AWAY):
                await self._accounts.died(self._account, error.message)


def _is_validated(service: sdk.Service) -> bool:
    return service.validator is not None and service.auth is not None and service.auth.validate_every is not None
