"""Connecting an account by its provider's consent page.

`Connecting.start` gives the address of the page; the provider sends the browser back to `Connecting.finish` with a code and our
``state``. The state is signed and names a row that is used up by the first who comes with it. Who the account is for stands in
the row. That the browser which comes back is that user's is proved by a cookie which only `start` sets, and only for a signed-in
user; a browser without it (another site's, a phone's, a command line's) has its user confirm by `Connecting.confirm`.
"""

import asyncio
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from difflib import get_close_matches
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import orjson

from area.core import log
from area.core.crypto import Signer
from area.core.errors import InvalidInput, LimitReached, NotFound
from area.core.http import EgressRefused, ResponseTooLarge
from area.core.settings import Settings
from area.engine.connections.accounts import Accounts
from area.engine.connections.attempts import MOST_OPEN, Attempt, Attempts, browser_hash
from area.engine.connections.connected import Connected, Secrets
from area.engine.connections.outcomes import WORDS, Outcome, Result
from area.engine.connections.store import NewAccount, consent_ends_in
from area.engine.connections.tokens import NotConfigured
from area.engine.connections.trials import identified
from area.nodes import sdk
from area.nodes.registry import Registry, UnknownComponent

logger = log.get(__name__)

FINISH_SECONDS = 30.0
DENIALS = frozenset({"access_denied", "user_denied", "user_cancelled_authorize", "user_cancelled_login"})
PASSING = frozenset({"temporarily_unavailable", "server_error"})


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a user wants to connect."""

    service: str
    scopes: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    """Keys of the actions and reactions that it is for: their scopes are asked for."""
    account_id: UUID | None = None
    """The account to connect again, or to ask more of."""
    return_to: str | None = None
    browser: str | None = field(default=None, repr=False)
    """The browser's cookie, as it came; None where cookies cannot be set."""


@dataclass(frozen=True, slots=True)
class Started:
    """Where to send the browser."""

    url: str
    expires_at: datetime
    browser: str | None = field(default=None, repr=False)
    """The cookie to give the browser."""


class Connecting:
    """Attempts to connect accounts by consent."""

    def __init__(self, settings: Settings, attempts: Attempts, accounts: Accounts, registry: Registry) -> None:
        key, others = settings.secret_key.get_secret_value(), settings.other_keys
        self._states = Signer(key, "connection-state", others)
        self._browsers = Signer(key, "connection-browser", others)
        self._public_url = settings.public_url.rstrip("/")
        allowed = (*settings.return_origins, *settings.cors_origins, settings.public_url)
        self._origins = {_origin(one) for one in allowed}
        self._attempts = attempts
        self._accounts = accounts
        self._registry = registry

    async def start(self, user_id: UUID, wanted: Wanted, *, with_cookie: bool) -> Started:
        """The consent page for what is wanted. Raises: InvalidInput, NotFound, LimitReached."""
        service = self._service(wanted.service)
        self._check_return(wanted.return_to)
        account = await self._own(user_id, service, wanted.account_id)
        scopes = self._scopes(service, wanted) | (account.account.scopes if account else frozenset())
        browser = self._browser(user_id, wanted.browser) if with_cookie else None
        attempt = Attempt(
            user_id, service.key, wanted.account_id, scopes, wanted.return_to,
            browser_hash(browser) if browser else None,
        )  # fmt: skip
        url, expires_at = await self._open(service, attempt)
        return Started(url, expires_at, browser)

    async def finish(self, service_key: str, given: Mapping[str, str], browser: str | None) -> Result:
        """What became of an attempt, now that the browser is back with ``given``."""
        state = self._states.read(given.get("state", ""))
        taken = await self._attempts.take(UUID(hex=state)) if state else None
        if taken is None and state is not None:
            return _result(Outcome.EXPIRED, service_key)  # signed by us, and cleared away since
        if taken is None or taken.attempt.service != service_key:
            return _result(Outcome.FORGED, service_key)
        attempt = taken.attempt
        if taken.is_replayed or taken.is_expired:
            return _result(Outcome.REPLAYED if taken.is_replayed else Outcome.EXPIRED, service_key, attempt)
        try:
            async with asyncio.timeout(FINISH_SECONDS):
                grant, profile = await self._granted(attempt, given)
        except _Ended as ended:
            return _result(ended.outcome, service_key, attempt, ended.message)
        except TimeoutError:
            return _result(Outcome.PROVIDER_UNAVAILABLE, service_key, attempt)
        if not self._is_ours(attempt, browser):
            code = await self._attempts.put_aside(attempt, _packed(grant, profile))
            return _result(Outcome.UNCONFIRMED, service_key, attempt, code=code)
        return await self._keep(attempt, grant, profile)

    async def confirm(self, user_id: UUID, code: str) -> Result:
        """Finish an attempt whose browser could not prove whose it is: its user does. Raises: NotFound."""
        taken = await self._attempts.confirm(code)
        if taken is None:
            raise NotFound("There is nothing to confirm by this code; it is good once.", path=("code",))
        attempt = taken.attempt
        if attempt.user_id != user_id:
            return _result(Outcome.WRONG_USER, attempt.service, attempt)
        if taken.is_expired or attempt.secret is None:
            return _result(Outcome.EXPIRED, attempt.service, attempt)
        return await self._keep(attempt, *_unpacked(attempt.secret))

    async def tidy(self) -> None:
        """Delete attempts that have long been good for nothing."""
        await self._attempts.forget()

    def redirect_uri(self, service: str) -> str:
        """Where a provider sends the browser back to: what has to be registered there."""
        return f"{self._public_url}/oauth/{service}/callback"

    async def _open(self, service: sdk.Service, attempt: Attempt) -> tuple[str, datetime]:
        state = self._states.sign(attempt.id.hex)
        try:
            page = self._accounts.endpoints.consent(service, attempt.scopes, self.redirect_uri(service.key), state)
        except NotConfigured as error:
            raise InvalidInput(error.message, path=("service",), code=error.code) from None
        expires_at = await self._attempts.open(replace(attempt, secret=page.verifier))
        if expires_at is None:
            raise LimitReached(
                f"You have begun {MOST_OPEN} connections in ten minutes; finish one, or wait.",
                limit=MOST_OPEN,
                retry_after=600,
            )
        return page.url, expires_at

    async def _granted(self, attempt: Attempt, given: Mapping[str, str]) -> tuple[sdk.Grant, sdk.Profile]:
        """The tokens and whose they are. Raises: _Ended."""
        service = self._registry.services[attempt.service]
        error = given.get("error")
        if error in DENIALS:
            raise _Ended(Outcome.DENIED)
        if error in PASSING:
            raise _Ended(Outcome.PROVIDER_UNAVAILABLE)
        if error or not given.get("code"):
            said = f"{error or 'no code came back'}"[:100]
            raise _Ended(Outcome.PROVIDER_REFUSED, f"{service.name} refused: {said}. Nothing was connected.")
        try:
            grant = await self._accounts.endpoints.exchange(
                service, given["code"], self.redirect_uri(service.key), attempt.secret
            )
            secrets_ = Secrets(grant.access_token, grant.refresh_token)
            return grant, await identified(self._accounts, service, secrets_, grant)
        except NotConfigured as trouble:
            raise _Ended(Outcome.NOT_CONFIGURED, trouble.message) from None
        except sdk.GrantRefused as refused:
            message = f"{service.name} did not accept its own code ({refused}). Start again."
            raise _Ended(Outcome.PROVIDER_REFUSED, message) from None
        except (sdk.Reconnect, sdk.Rejected) as refused:
            raise _Ended(Outcome.PROVIDER_REFUSED, refused.message) from None
        except sdk.NodeError as trouble:
            outcome = Outcome.PROVIDER_REFUSED if trouble.code == "APP_REFUSED" else Outcome.PROVIDER_UNAVAILABLE
            raise _Ended(outcome, trouble.message) from None
        except (httpx.TransportError, OSError, ResponseTooLarge, EgressRefused) as trouble:
            logger.warning("connection.failed", service=service.key, error=repr(trouble))
            raise _Ended(Outcome.PROVIDER_UNAVAILABLE) from None
        except (ValueError, LookupError, TypeError, AttributeError):
            logger.exception("connection.strange_answer", service=service.key)
            raise _Ended(
                Outcome.PROVIDER_UNAVAILABLE, f"{service.name} answered in an unknown way. Try again."
            ) from None

    async def _keep(self, attempt: Attempt, grant: sdk.Grant, profile: sdk.Profile) -> Result:
        """Store the account, unless it is another one than was meant, or would lose what it had."""
        service = self._registry.services[attempt.service]
        auth = service.auth
        assert auth is not None  # noqa: S101 - an attempt is made for a service with a consent page
        store = self._accounts.store
        meant = await store.read(attempt.account_id, is_lenient=True) if attempt.account_id else None
        if meant and meant.account.external_id != profile.external_id:
            return _result(Outcome.WRONG_ACCOUNT, service.key, attempt)
        granted = attempt.scopes if grant.scopes is None else grant.scopes
        same = meant or await store.find(attempt.user_id, service.key, profile.external_id)
        if same and not attempt.account_id and same.account.scopes - auth.covered(granted):
            # Most providers' new tokens have only what was asked for this time: ask for all of it.
            return await self._widen(service, attempt, same, granted)
        refresh = grant.refresh_token or (same.secrets.refresh_token if same and same.is_live else None)
        account_id = await store.save(
            NewAccount(
                user_id=attempt.user_id,
                service=service.key,
                method="oauth2",
                profile=profile,
                secrets=Secrets(grant.access_token, refresh),
                scopes=granted,
                expires_in=grant.expires_in,
                consent_ends_in=consent_ends_in(grant, auth.consent_lasts) if refresh else grant.expires_in,
                check_every=auth.validate_every if service.validator else None,
            )
        )
        await self._accounts.revived(account_id)
        missing = tuple(sorted(attempt.scopes - auth.covered(granted)))
        outcome = Outcome.SCOPES_MISSING if missing else Outcome.CONNECTED
        return _result(outcome, service.key, attempt, account_id=account_id, missing_scopes=missing)

    async def _widen(self, service: sdk.Service, attempt: Attempt, same: Connected, granted: frozenset[str]) -> Result:
        wider = Attempt(
            attempt.user_id, service.key, same.id, same.account.scopes | attempt.scopes | granted, attempt.return_to,
            attempt.browser_hash,
        )  # fmt: skip
        url, _ = await self._open(service, wider)
        return _result(Outcome.MORE_CONSENT, service.key, attempt, next_url=url)

    def _service(self, key: str) -> sdk.Service:
        try:
            service = self._registry.service(key)
        except UnknownComponent as error:
            told = f"There is no service {key[:60]!r}."
            raise InvalidInput(told, path=("service",), suggestion=error.suggestion) from None
        if service.auth is None:
            how = "by `connectWithKey`" if service.key_auth else "to nothing: it needs no account"
            raise InvalidInput(
                f"{service.name} has no consent page; it is connected {how}.", path=("service",), code="NO_CONSENT_PAGE"
            )
        return service

    def _scopes(self, service: sdk.Service, wanted: Wanted) -> frozenset[str]:
        """What is asked for: whose account it is, and what the nodes need. Raises: InvalidInput."""
        components: dict[str, sdk.Action | sdk.Reaction] = {**service.actions, **service.reactions}
        known = {*(service.auth.scopes if service.auth else ())}
        known |= {scope for component in components.values() for scope in component.scopes}
        for index, scope in enumerate(wanted.scopes):
            _check_known(scope, known, f"scope of {service.name}", ("scopes", index))
        for index, key in enumerate(wanted.nodes):
            _check_known(key, components, f"action or reaction of {service.name}", ("nodes", index))
        needed = {scope for key in wanted.nodes for scope in components[key].scopes}
        return frozenset({*(service.auth.scopes if service.auth else ()), *wanted.scopes, *needed})

    async def _own(self, user_id: UUID, service: sdk.Service, account_id: UUID | None) -> Connected | None:
        if account_id is None:
            return None
        account = await self._accounts.store.read(account_id, is_lenient=True)
        if account is None or account.user_id != user_id or account.service != service.key:
            raise NotFound(f"There is no such connected account of yours at {service.name}.", path=("account_id",))
        return account

    def _check_return(self, return_to: str | None) -> None:
        if return_to is not None and _origin(return_to) not in self._origins:
            raise InvalidInput(
                "The browser may not be sent there: the operator has to add its origin to AREA_RETURN_ORIGINS.",
                path=("returnTo",),
                code="RETURN_NOT_ALLOWED",
            )

    def _browser(self, user_id: UUID, cookie: str | None) -> str:
        """The cookie for this user's browser: the one that it has, or a new one."""
        owner = (self._browsers.read(cookie or "") or "").partition(":")[0]
        if cookie and owner == user_id.hex:
            return cookie
        return self._browsers.sign(f"{user_id.hex}:{secrets.token_urlsafe(24)}")

    def _is_ours(self, attempt: Attempt, cookie: str | None) -> bool:
        if cookie is None or attempt.browser_hash is None or self._browsers.read(cookie) is None:
            return False
        return secrets.compare_digest(browser_hash(cookie), attempt.browser_hash)


class _Ended(Exception):
    """An attempt came to nothing."""

    def __init__(self, outcome: Outcome, message: str | None = None) -> None:
        super().__init__(outcome)
        self.outcome = outcome
        self.message = message


def _result(
    outcome: Outcome,
    service: str,
    attempt: Attempt | None = None,
    message: str | None = None,
    **more: object,
) -> Result:
    return Result(outcome, service, message or WORDS[outcome], attempt.return_to if attempt else None, **more)  # type: ignore[arg-type]


def _check_known(name: str, known: Iterable[str], what: str, path: tuple[str, int]) -> None:
    names = list(known)
    if name not in names:
        near = get_close_matches(name, names, n=1)
        raise InvalidInput(f"{name[:80]!r} is no {what}.", path=path, suggestion=near[0] if near else None)


def _origin(address: str) -> str:
    """Scheme and host, as they are compared; empty for what has none."""
    try:
        parts = urlsplit(address.strip())
        port = "" if parts.port is None else f":{parts.port}"
    except ValueError:
        return ""
    if not parts.scheme or not parts.hostname or parts.username or parts.password or "\\" in address:
        return ""
    return f"{parts.scheme.lower()}://{parts.hostname.lower()}{port}"


def _packed(grant: sdk.Grant, profile: sdk.Profile) -> str:
    return orjson.dumps(
        {
            "grant": [
                grant.access_token,
                grant.refresh_token,
                grant.expires_in,
                _listed(grant.scopes),
                dict(grant.extra),
            ],
            "profile": [profile.external_id, profile.label, profile.avatar_url, dict(profile.facts)],
        }
    ).decode()


def _unpacked(text: str) -> tuple[sdk.Grant, sdk.Profile]:
    found = orjson.loads(text)
    access, refresh, expires_in, scopes, extra = found["grant"]
    grant = sdk.Grant(access, refresh, expires_in, None if scopes is None else frozenset(scopes), extra)
    return grant, sdk.Profile(*found["profile"])


def _listed(scopes: frozenset[str] | None) -> list[str] | None:
    return None if scopes is None else sorted(scopes)
