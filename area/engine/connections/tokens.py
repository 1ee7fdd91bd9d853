"""The conversation with a provider's token endpoint (RFC 6749, 7009, 7636): requests by Authlib, sent by our guarded client."""

import asyncio
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import httpx
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from area.core.errors import AreaError
from area.core.http import EgressRefused, ResponseTooLarge
from area.engine.context import Clients
from area.nodes import sdk

CALL_SECONDS = 15.0
"""Longest that one answer is waited for."""
FORM = "application/x-www-form-urlencoded"
JSON = "application/json"

_OPERATOR = frozenset(
    {
        "invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_request", "invalid_scope",
        "incorrect_client_credentials", "redirect_uri_mismatch", "bad_client_secret", "bad_redirect_uri", "invalid_client_id",
    }
)  # fmt: skip
"""Refusals of the app, not of the account: only the operator can mend them."""
_PASSING = frozenset(
    {
        "temporarily_unavailable", "server_error", "slow_down", "ratelimited", "rate_limited", "internal_error", "fatal_error",
        "request_timeout", "service_unavailable", "invalid_response",
    }
)  # fmt: skip
"""Refusals that say nothing of the grant."""


class NotConfigured(AreaError):
    """The operator has yet to set up this service's client."""

    def __init__(self, service: sdk.Service, missing: list[str]) -> None:
        super().__init__(
            f"{service.name} is not set up here: the operator has to set {', '.join(missing)}.",
            code="SERVICE_NOT_CONFIGURED",
        )


@dataclass(frozen=True, slots=True)
class Consent:
    """Where to send a browser, and what only we know about it."""

    url: str
    verifier: str | None
    """The PKCE secret behind the address's challenge."""


class TokenEndpoints:
    """Asks token endpoints. Every failure is told apart: refused for good, refused for the operator, or passing."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    def consent(self, service: sdk.Service, scopes: frozenset[str], redirect_uri: str, state: str) -> Consent:
        """The provider's consent page for these scopes. Raises: NotConfigured."""
        auth, settings = self._oauth(service)
        verifier = secrets.token_urlsafe(48) if auth.pkce else None
        proof = (
            {"code_challenge": create_s256_code_challenge(verifier), "code_challenge_method": "S256"}
            if verifier
            else {}
        )
        address = settings.get("authorize_url", auth.authorize_url)
        url = prepare_grant_uri(
            address,
            settings["client_id"],
            "code",
            redirect_uri,
            auth.scope_separator.join(sorted(scopes)) or None,
            state,
            **auth.parameters,
            **proof,
        )
        return Consent(url, verifier)

    async def exchange(self, service: sdk.Service, code: str, redirect_uri: str, verifier: str | None) -> sdk.Grant:
        """The tokens for a code. Raises: NotConfigured, sdk.GrantRefused, sdk.Unavailable, sdk.Throttled."""
        auth, _ = self._oauth(service)
        proof = {"code_verifier": verifier} if verifier else {}
        body = prepare_token_request("authorization_code", "", redirect_uri, code=code, **proof)
        return await self._ask(service, auth.token_url, body, auth.client_auth, auth.read_grant)

    async def refresh(self, service: sdk.Service, refresh_token: str) -> sdk.Grant:
        """New tokens. Raises: NotConfigured, sdk.GrantRefused (the consent is gone), sdk.Unavailable, sdk.Throttled."""
        auth, _ = self._oauth(service)
        body = prepare_token_request("refresh_token", "", refresh_token=refresh_token)
        return await self._ask(service, auth.token_url, body, auth.client_auth, auth.read_grant)

    async def app_token(self, service: sdk.Service) -> sdk.Grant:
        """A token of the app itself. Raises: NotConfigured, sdk.Rejected, sdk.Unavailable, sdk.Throttled."""
        app = service.app_auth
        if not isinstance(app, sdk.ClientCredentials):
            raise sdk.Rejected(f"{service.name} has no tokens for the app itself.")
        self._client_settings(service)
        scope = {"scope": " ".join(app.scopes)} if app.scopes else {}
        body = prepare_token_request("client_credentials", "", **scope)
        auth = service.auth
        try:
            return await self._ask(
                service,
                auth.token_url if auth else "",
                body,
                auth.client_auth if auth else "post",
                auth.read_grant if auth else sdk.read_grant,
            )
        except sdk.GrantRefused as error:
            raise sdk.Unavailable(f"{service.name} gave the app no token: {error}") from None

    async def revoke(self, service: sdk.Service, token: str) -> None:
        """RFC 7009. Raises: NotConfigured, sdk.NodeError."""
        auth, settings = self._oauth(service)
        address = settings.get("revoke_url", auth.revoke_url or "")
        if address:
            body = str(httpx.QueryParams({"token": token}))
            response = await self._post(service, address, body, auth.client_auth)
            sdk.map_response(response)

    async def _ask(
        self,
        service: sdk.Service,
        address: str,
        body: str,
        client_auth: str,
        read: Callable[[Any], sdk.Grant],
    ) -> sdk.Grant:
        settings = self._clients.settings(service.key)
        response = await self._post(service, settings.get("token_url", address), body, client_auth)
        return _granted(service, response, read)

    async def _post(self, service: sdk.Service, address: str, body: str, client_auth: str) -> httpx.Response:
        settings = self._client_settings(service)
        headers = {**service.headers, "Accept": "application/json", "Content-Type": FORM}
        client = ClientAuth(settings["client_id"], settings["client_secret"], f"client_secret_{client_auth}")
        address, headers, body = client.prepare("POST", address, headers, body)
        if service.auth and service.auth.json_body:
            headers, body = {**headers, "Content-Type": JSON}, json.dumps(dict(parse_qsl(body)))
        try:
            async with asyncio.timeout(CALL_SECONDS):
                return await self._clients.bare().post(address, content=body, headers=headers)
        except (httpx.TransportError, OSError, TimeoutError, ResponseTooLarge) as error:
            raise sdk.Unavailable(f"{service.name} did not answer: {str(error) or type(error).__name__}") from error
        except (EgressRefused, httpx.InvalidURL) as error:
            raise sdk.Rejected(f"The token address of {service.name} cannot be called: {error}") from None

    def _oauth(self, service: sdk.Service) -> tuple[sdk.OAuth2, Mapping[str, str]]:
        if service.auth is None:
            raise sdk.Rejected(f"{service.name} is not connected by a consent page.")
        return service.auth, self._client_settings(service)

    def _client_settings(self, service: sdk.Service) -> Mapping[str, str]:
        settings = self._clients.settings(service.key)
        missing = [
            f"AREA_{service.key}_{name}".upper() for name in ("client_id", "client_secret") if not settings.get(name)
        ]
        if missing:
            raise NotConfigured(service, missing)
        return settings


def _granted(service: sdk.Service, response: httpx.Response, read: Callable[[Any], sdk.Grant]) -> sdk.Grant:
    """The grant in a token endpoint's answer. Raises: sdk.GrantRefused, sdk.Unavailable, sdk.Throttled."""
    status = response.status_code
    wait = sdk.throttled(response)
    if wait is not None:
        raise sdk.Throttled(f"{service.name} gives out no more tokens for now", retry_after=wait)
    if status == 408 or status >= 500 or 300 <= status < 400:
        raise sdk.Unavailable(f"{service.name} answered {status} instead of tokens")
    try:
        grant = read(_parsed(response))
    except sdk.GrantRefused as refused:
        raise _told_apart(service, status, refused) from None
    if status >= 400:
        raise sdk.Unavailable(f"{service.name} answered {status} with tokens; they are not trusted")
    return grant


def _told_apart(service: sdk.Service, status: int, refused: sdk.GrantRefused) -> Exception:
    if refused.error in _OPERATOR:
        return sdk.Unavailable(
            f"{service.name} refuses the app ({refused}): the operator has to look at its client id, secret and "
            "redirect address.",
            code="APP_REFUSED",
        )
    # Some say in words only that the refresh token is bad, as Twitch does.
    if refused.error in _PASSING and not (status in (400, 401) and "refresh token" in refused.description.lower()):
        return sdk.Unavailable(f"{service.name} gave no tokens ({refused})")
    return refused


def _parsed(response: httpx.Response) -> Any:
    """The body: JSON, or a form as GitHub answers by default. None when it is neither."""
    if response.headers.get("content-type", "").startswith(FORM):
        return dict(parse_qsl(response.text))
    try:
        return response.json()
    except (ValueError, RecursionError):
        return None
