"""Authorisation of requests, as httpx auth flows: an account's tokens, a key, or the app itself."""

from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Protocol

import httpx

from area.engine.connections.connected import Connected, Secrets
from area.nodes import sdk
from area.nodes.sdk.auth import Authorise

Flow = AsyncGenerator[httpx.Request, httpx.Response]


class Renewals(Protocol):
    """Who keeps an account's tokens fresh."""

    async def fresh(self, account: Connected) -> Connected:
        """The account with a token that lasts for this call."""

    async def renewed(self, account: Connected) -> Connected:
        """The account after its token was refused; the same version when the token is not to blame."""


class AppTokens(Protocol):
    """Who keeps the app's own tokens."""

    async def token(self, service: sdk.Service, *, refused: str | None = None) -> str:
        """The service's app token; another than the ``refused`` one."""


def put(request: httpx.Request, service: sdk.Service, secrets: Secrets, settings: Mapping[str, str]) -> None:
    """Put an account's token or key on a request."""
    if secrets.access_token is not None:
        authorise = service.auth.authorise if service.auth and not secrets.fields else sdk.bearer
        authorise(request, secrets.access_token, settings)
    elif service.key_auth and service.key_auth.authorise:
        service.key_auth.authorise(request, secrets.fields)


class Fixed(httpx.Auth):
    """These secrets and no others: for asking whether they are any good."""

    def __init__(self, service: sdk.Service, secrets: Secrets, settings: Mapping[str, str]) -> None:
        self._service = service
        self._secrets = secrets
        self._settings = settings

    async def async_auth_flow(self, request: httpx.Request) -> Flow:
        """Authorise once."""
        put(request, self._service, self._secrets, self._settings)
        yield request


class AccountAuth(httpx.Auth):
    """An account's token, refreshed ahead of its end, and once more when it is refused."""

    def __init__(
        self, renewals: Renewals, service: sdk.Service, account: Connected, settings: Mapping[str, str]
    ) -> None:
        self._renewals = renewals
        self._service = service
        self._account = account
        self._settings = settings

    async def async_auth_flow(self, request: httpx.Request) -> Flow:
        """Authorise. Raises: sdk.Reconnect when the consent is gone; sdk.Unavailable when nobody can say."""
        await request.aread()  # so that it can be sent twice
        self._account = await self._renewals.fresh(self._account)
        put(request, self._service, self._account.secrets, self._settings)
        response = yield request
        if not await _is_refused(self._service, request, response):
            return
        renewed = await self._renewals.renewed(self._account)
        if renewed.version != self._account.version:
            self._account = renewed
            put(request, self._service, renewed.secrets, self._settings)
            yield request


class AppAuth(httpx.Auth):
    """The app's own token, fetched anew once when it is refused."""

    def __init__(
        self, tokens: AppTokens, service: sdk.Service, authorise: Authorise, settings: Mapping[str, str]
    ) -> None:
        self._tokens = tokens
        self._service = service
        self._authorise = authorise
        self._settings = settings

    async def async_auth_flow(self, request: httpx.Request) -> Flow:
        """Authorise. Raises: sdk.NodeError when there is no token to be had."""
        await request.aread()
        token = await self._tokens.token(self._service)
        self._authorise(request, token, self._settings)
        response = yield request
        if await _is_refused(self._service, request, response):
            another = await self._tokens.token(self._service, refused=token)
            if another != token:
                self._authorise(request, another, self._settings)
                yield request


class HeaderAuth(httpx.Auth):
    """What the operator set for the app, on every request."""

    def __init__(self, authorise: Callable[[httpx.Request], None]) -> None:
        self._authorise = authorise

    async def async_auth_flow(self, request: httpx.Request) -> Flow:
        """Authorise once."""
        self._authorise(request)
        yield request


async def _is_refused(service: sdk.Service, request: httpx.Request, response: httpx.Response) -> bool:
    """Whether an answer says that the token is no good: by its status, or by what the service reads in it."""
    if response.request.url.host != request.url.host:
        return False  # a redirect led elsewhere, where the token was not shown
    if response.status_code == 401:
        return True
    if service.judge is None:
        return False
    if response.status_code < 400:
        await response.aread()  # one that was cut short is no answer, and its error is for the caller
    elif not await sdk.has_body(response):
        return False
    try:
        service.judge(response)
    except sdk.Reconnect:
        return True
    except sdk.NodeError:
        return False
    return False
