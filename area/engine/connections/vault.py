"""Accounts opened for use, and their tokens kept fresh: one refresh for all processes, with no database connection held over it.

A refresh is claimed in the account's row (`store.CLAIM`), asked for, and kept by a write that names the version it follows. Whoever
does not get the claim waits until the version moves on. A process that dies in between leaves its claim behind: when that has
run out the next one tries again with the same refresh token, and the provider says whether the account lives.
"""

import asyncio
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

from area.core import log
from area.core.crypto import SealBroken
from area.core.ids import new_id
from area.db.session import AWAY
from area.engine.connections.authorise import Fixed
from area.engine.connections.connected import Connected, Secrets, after_refresh
from area.engine.connections.store import Store
from area.engine.connections.tokens import NotConfigured, TokenEndpoints
from area.engine.context import Access, Clients, NodeContext
from area.nodes import sdk
from area.nodes.registry import Registry

logger = log.get(__name__)

LEASE = timedelta(seconds=40)
"""How long one process may take for a refresh; more than `ASK_SECONDS`."""
ASK_SECONDS = 30.0
WAIT_SECONDS = 60.0
"""How long this process waits for another's refresh; more than a lease, so that it outlives a dead process."""
PATIENCE_SECONDS = 20.0
"""How long one call waits: less than a step has, so that a call which was never made is not taken for an unknown one."""
PERSIST_SECONDS = 90.0
"""How long a refreshed token is tried to be kept while Postgres is away."""
KEPT_SECONDS = 1.0
"""How long an opened account is used without another look."""
KEPT_ACCOUNTS = 10_000
SESSION_AHEAD = 60.0
"""Seconds before its end at which a key's session is prolonged."""
AHEAD_PART = 0.1
"""A token is refreshed ahead in the last tenth of its life at the earliest."""
TRUSTED_SECONDS = 60.0
"""A token that was refreshed or found good this short a time ago is not to blame for a 401 without a second opinion."""


class Vault:
    """The accounts of one process."""

    def __init__(self, store: Store, endpoints: TokenEndpoints, clients: Clients, registry: Registry) -> None:
        self._store = store
        self._endpoints = endpoints
        self._clients = clients
        self._registry = registry
        self._kept: dict[UUID, tuple[float, Connected]] = {}
        self._good: dict[UUID, tuple[float, int]] = {}
        self._renewing: dict[tuple[UUID, int, bool], asyncio.Task[Connected]] = {}

    async def open(self, account_id: UUID, user_id: UUID | None = None) -> Connected:
        """The account, to be used now. With ``user_id`` it must be that user's.

        Raises: sdk.Reconnect when its consent is gone; sdk.Rejected when it was disconnected.
        """
        kept = self._kept.get(account_id)
        if kept and time.monotonic() - kept[0] < KEPT_SECONDS:
            account = kept[1]
        else:
            with _ours():
                account = self._keep(await self._read(account_id, mark_used=True))
        if user_id is not None and account.user_id != user_id:
            raise _disconnected()
        return _usable(account, self._named(account))

    async def fresh(self, account: Connected) -> Connected:
        """The account with an access token that does not end during the next call. Raises: as `renewed`."""
        ahead = self._ahead(account)
        if account.seconds_left > ahead or not self._is_renewable(account):
            return account
        try:
            return await self._renew(account, is_refused=False)
        except (sdk.Unavailable, sdk.Throttled):
            if account.seconds_left > 0:
                return account
            raise

    async def renewed(self, account: Connected) -> Connected:
        """The account after its provider refused the token: with another one, or the same when the token is good.

        Raises: sdk.Reconnect when the consent is gone; sdk.Unavailable or sdk.Throttled when that cannot be told now.
        """
        return await self._renew(account, is_refused=True)

    async def died(self, account: Connected, reason: str) -> bool:
        """The consent behind these secrets is gone; says whether that was news."""
        self.forget(account.id)
        return await self._store.died(account, reason)

    def forget(self, account_id: UUID) -> None:
        """Read the account again at its next use."""
        self._kept.pop(account_id, None)

    async def settle(self) -> None:
        """Wait for refreshes under way: their answers must be kept."""
        await asyncio.gather(*self._renewing.values(), return_exceptions=True)

    async def _renew(self, account: Connected, *, is_refused: bool) -> Connected:
        key = account.id, account.version, is_refused
        task = self._renewing.get(key)
        if task is None:
            # A task of its own: a call that is cancelled must not take the provider's answer with it.
            task = self._renewing[key] = asyncio.create_task(self._take_turn(account, is_refused=is_refused))
            task.add_done_callback(lambda done: self._renewed(key, done))
        done, _ = await asyncio.wait({task}, timeout=PATIENCE_SECONDS)
        if not done:
            raise sdk.Unavailable(f"{self._named(account)} is still being refreshed")
        with _ours():
            return task.result()

    def _renewed(self, key: tuple[UUID, int, bool], done: "asyncio.Task[Connected]") -> None:
        del self._renewing[key]
        if not done.cancelled():
            done.exception()  # whoever waited has it; nobody may have

    async def _take_turn(self, account: Connected, *, is_refused: bool) -> Connected:
        """Refresh, unless another process has or does: then take what it gets."""
        claim, deadline, delay = new_id(), time.monotonic() + WAIT_SECONDS, 0.02
        while True:
            current = _usable(await self._read(account.id), self._named(account))
            if current.version != account.version:
                self._keep(current)
                return current
            if current.retry_in > 0:
                raise sdk.Unavailable(f"{self._named(current)} could not be refreshed: {current.last_error}")
            if await self._store.claim(current, claim, LEASE):
                return await self._settled(current, claim, is_refused=is_refused)
            if time.monotonic() > deadline:
                raise sdk.Unavailable(f"{self._named(current)} is being refreshed elsewhere, for too long")
            await asyncio.sleep(delay * random.uniform(0.7, 1.3))  # noqa: S311
            delay = min(delay * 1.5, 0.5)

    async def _settled(self, account: Connected, claim: UUID, *, is_refused: bool) -> Connected:
        """What the provider says of a claimed account, written down."""
        try:
            async with asyncio.timeout(ASK_SECONDS):
                if is_refused and await self._is_good(account):
                    await self._store.let_go(account.id, claim)
                    return account
                grant = await self._ask(account)
        except (sdk.GrantRefused, sdk.Reconnect) as refusal:
            reason = str(refusal)
            if await self.died(account, reason):
                logger.warning("account.died", account=str(account.id), service=account.service)
            raise _reconnect(self._named(account), reason) from None
        except Exception as error:
            reason = error.message if isinstance(error, sdk.NodeError | NotConfigured) else type(error).__name__
            if not isinstance(error, sdk.NodeError | NotConfigured | TimeoutError):
                logger.exception("account.refresh_broke", account=str(account.id), service=account.service)
            wait = error.retry_after if isinstance(error, sdk.Throttled) else 0.0
            await self._store.postponed(account.id, claim, reason, wait)
            if isinstance(error, sdk.Throttled):
                raise
            raise sdk.Unavailable(f"{self._named(account)} could not be refreshed: {reason}") from None
        if await self._persist(account, grant):
            return self._keep(after_refresh(account, grant))
        return self._keep(_usable(await self._read(account.id), self._named(account)))

    async def _persist(self, account: Connected, grant: sdk.Grant) -> bool:
        """Keep new tokens through a Postgres that restarts: with rotation there is no second copy of them."""
        deadline, delay = time.monotonic() + PERSIST_SECONDS, 0.05
        while True:
            try:
                return await self._store.refreshed(account, grant)
            except AWAY as error:
                if time.monotonic() > deadline:
                    raise
                logger.warning("account.keep_again", account=str(account.id), error=repr(error))
                await asyncio.sleep(delay)
                delay = min(delay * 2, 1.0)

    async def _ask(self, account: Connected) -> sdk.Grant:
        """New tokens from the provider. Raises: sdk.GrantRefused, sdk.NodeError."""
        service, secrets = self._service(account), account.secrets
        if account.method == "oauth2":
            if secrets.refresh_token is None:
                raise sdk.GrantRefused("invalid_token", f"{service.name} refused it, and there is no way to renew it")
            return await self._endpoints.refresh(service, secrets.refresh_token)
        key = service.key_auth
        if key is None or key.open is None:
            raise sdk.GrantRefused("invalid_key", f"{service.name} refused it")
        context = self._context(service, Access(account.account, secrets.fields))
        if key.refresh and secrets.refresh_token:
            try:
                return await key.refresh(context, secrets.refresh_token)
            except (sdk.GrantRefused, sdk.Reconnect, sdk.Rejected):
                logger.info("account.session_ended", account=str(account.id), service=account.service)
        try:
            return await key.open(context, secrets.fields)
        except sdk.Rejected as error:
            raise sdk.GrantRefused("invalid_key", error.message) from None

    async def _is_good(self, account: Connected) -> bool:
        """Whether the provider still knows the token: then a 401 was about that one call. Raises: sdk.NodeError."""
        if self._is_renewable(account) and account.issued_ago >= TRUSTED_SECONDS:
            return False  # a refresh is the surer question
        found = self._good.get(account.id)
        if found and found[1] == account.version and time.monotonic() - found[0] < TRUSTED_SECONDS:
            return True
        service = self._service(account)
        if service.identifier is None:
            return False
        try:
            await service.identifier(self.trial(service, account.secrets, account.account))
        except sdk.Reconnect:
            return False
        except sdk.Rejected:
            logger.info("account.known_but_refused", account=str(account.id), service=account.service)
        if len(self._good) >= KEPT_ACCOUNTS:
            self._good.clear()
        self._good[account.id] = time.monotonic(), account.version
        return True

    def trial(
        self,
        service: sdk.Service,
        secrets: Secrets,
        account: sdk.Account | None = None,
        grant: sdk.Grant | None = None,
    ) -> NodeContext:
        """A context that uses these very secrets, and takes a 401 for an answer: Reconnect."""
        auth = Fixed(service, secrets, self._clients.settings(service.key))
        base = base_url(service, secrets.fields)
        return self._context(service, Access(account, secrets.fields, grant, auth, base, is_trial=True))

    def _context(self, service: sdk.Service, access: Access) -> NodeContext:
        return NodeContext(self._clients, service, lambda *_: None, access=access)

    async def _read(self, account_id: UUID, *, mark_used: bool = False) -> Connected:
        try:
            account = await self._store.read(account_id, mark_used=mark_used)
        except SealBroken as error:
            logger.error("account.unreadable", account=str(account_id), error=str(error))
            raise sdk.Unavailable(
                "The connected account was sealed with a key that is not known here; the operator has to look at "
                "AREA_OLD_SECRET_KEYS.",
                code="ACCOUNT_UNREADABLE",
            ) from None
        if account is None:
            raise _disconnected()
        return account

    def _keep(self, account: Connected) -> Connected:
        if len(self._kept) >= KEPT_ACCOUNTS:
            self._kept.clear()
        self._kept[account.id] = time.monotonic(), account
        return account

    def _is_renewable(self, account: Connected) -> bool:
        if account.method == "oauth2":
            return account.secrets.refresh_token is not None
        key = self._service(account).key_auth
        return key is not None and key.open is not None

    def _ahead(self, account: Connected) -> float:
        """Seconds before its end at which a token is refreshed; below zero: only when it is refused."""
        auth = self._service(account).auth
        ahead = SESSION_AHEAD if account.method == "key" else auth.refresh_ahead.total_seconds() if auth else 0.0
        # A token that lives for a minute is not refreshed at every call.
        return min(ahead, AHEAD_PART * (account.life or ahead)) if ahead > 0 else float("-inf")

    def _service(self, account: Connected) -> sdk.Service:
        service = self._registry.services.get(account.service)
        if service is None:
            raise sdk.Rejected(f"The service {account.service!r} of this account is not installed any more.")
        return service

    def _named(self, account: Connected) -> str:
        service = self._registry.services.get(account.service)
        return f"The account {account.account.label!r} at {service.name if service else account.service}"


@contextmanager
def _ours() -> Iterator[None]:
    """Trouble of our own database comes before the call: nothing has happened at the provider."""
    try:
        yield
    except AWAY as error:
        raise sdk.Unavailable(f"The account could not be read: {type(error).__name__} of the database") from error


def base_url(service: sdk.Service, fields: object) -> str | None:
    """The API's address, where the credentials say it."""
    key = service.key_auth
    return key.base_url(fields) if key and key.base_url and isinstance(fields, dict) and fields else None


def _usable(account: Connected, named: str) -> Connected:
    if account.status == "revoked":
        raise _disconnected()
    if not account.is_live:
        raise _reconnect(named, account.last_error or "its consent is gone")
    return account


def _reconnect(named: str, reason: str) -> sdk.Reconnect:
    return sdk.Reconnect(f"{named} has to be connected again: {reason}")


def _disconnected() -> sdk.Rejected:
    return sdk.Rejected(
        "The connected account has been disconnected. Connect it again, or choose another one in the AREA.",
        code="ACCOUNT_DISCONNECTED",
    )
