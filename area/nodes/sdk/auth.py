"""How a user's account is connected, and how requests are authorised by it."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import httpx

from area.nodes.sdk.models import Inputs

if TYPE_CHECKING:
    from area.nodes.sdk.context import Context

AccountUse = Literal["required", "optional", "none"]
"""Whether a node acts for a connected account."""

Authorise: TypeAlias = Callable[[httpx.Request, str, Mapping[str, str]], None]
"""``fn(request, access_token, settings)`` puts a token on a request; ``settings`` has ``client_id`` and the like."""


@dataclass(frozen=True, slots=True)
class Account:
    """The connected account that a call acts for. It never holds a token."""

    id: str
    external_id: str
    """The provider's own id of it."""
    label: str
    scopes: frozenset[str] = frozenset()
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What `Service.identify` kept: a login, a team, a server. Nothing secret."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Whose account it is, as the provider says: the answer of `Service.identify`."""

    external_id: str
    label: str
    avatar_url: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Grant:
    """Tokens, as a token endpoint gave them."""

    access_token: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    """None: the answer had none, so that an earlier one stays good."""
    expires_in: float | None = None
    """Seconds; None: it does not end by itself."""
    scopes: frozenset[str] | None = None
    """What was granted; None: the answer did not say."""
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The rest of the answer (a team, an incoming webhook): `identify` reads it as ``ctx.grant``."""


class GrantRefused(Exception):
    """A token endpoint said no. ``error`` is its code (``invalid_grant``), ``description`` its words."""

    def __init__(self, error: str, description: str = "") -> None:
        super().__init__(f"{error}: {description}" if description else error)
        self.error = error
        self.description = description


def read_grant(body: Any) -> Grant:
    """The tokens in a token endpoint's answer (RFC 6749, 5.1), scopes as a list or as text with spaces or commas.

    Raises: GrantRefused for an error, also one that came with status 200.
    """
    if not isinstance(body, Mapping):
        raise GrantRefused("invalid_response", "the token endpoint did not answer with an object")
    token = body.get("access_token")
    if body.get("ok") is False or body.get("error") or not isinstance(token, str) or not token:
        error = str(body.get("error") or "invalid_response")
        raise GrantRefused(error, str(body.get("error_description") or body.get("message") or ""))
    known = {"access_token", "refresh_token", "expires_in", "scope", "token_type", "id_token"}
    return Grant(
        access_token=token,
        refresh_token=body.get("refresh_token") or None,
        expires_in=_seconds(body.get("expires_in")),
        scopes=read_scopes(body.get("scope")),
        extra={name: value for name, value in body.items() if name not in known},
    )


def _seconds(given: Any) -> float | None:
    """A life in seconds, also where a form-encoded answer has it as text; None when it does not end."""
    try:
        seconds = float(given)
    except (TypeError, ValueError):
        return None
    return seconds if 0 < seconds < math.inf else None


def read_scopes(given: Any) -> frozenset[str] | None:
    """Scopes from a list, or from text with spaces or commas; None when there are none."""
    if isinstance(given, str):
        return frozenset(given.replace(",", " ").split())
    return frozenset(map(str, given)) if isinstance(given, list) else None


def bearer(request: httpx.Request, token: str, settings: Mapping[str, str]) -> None:
    """``Authorization: Bearer <token>`` (RFC 6750)."""
    request.headers["Authorization"] = f"Bearer {token}"


@dataclass(frozen=True, kw_only=True)
class OAuth2:
    """The authorisation-code grant of a provider (RFC 6749).

    The client's id and secret are the settings ``AREA_<SERVICE>_CLIENT_ID`` and ``AREA_<SERVICE>_CLIENT_SECRET``; the
    addresses can be replaced by ``AREA_<SERVICE>_AUTHORIZE_URL``, ``_TOKEN_URL`` and ``_REVOKE_URL``.
    """

    authorize_url: str
    token_url: str
    revoke_url: str | None = None
    scopes: tuple[str, ...] = ()
    """Asked for at every connection, whatever the nodes need: what `identify` reads."""
    scope_separator: str = " "
    pkce: bool = False
    """Whether the provider takes a S256 code challenge (RFC 7636)."""
    implies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Scopes that hold others, which the provider then does not list: ``{"repo": ("public_repo",)}``."""
    client_auth: Literal["post", "basic"] = "post"
    json_body: bool = False
    """Whether the endpoints for tokens and for revoking want JSON, where RFC 6749 knows only forms."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """More parameters of the authorise address, such as ``access_type=offline``."""
    refresh_ahead: timedelta = timedelta(minutes=5)
    """A token this near to its end is refreshed before it is used; zero: only when it is refused with a 401."""
    consent_lasts: timedelta | None = None
    """How long a consent is good that no refresh prolongs, where the answers do not say it; None: until it is taken back."""
    validate_every: timedelta | None = None
    """How often `Service.validate` must be called for each kept account."""
    read_grant: Callable[[Any], Grant] = read_grant
    authorise: Authorise = bearer
    revoke: Callable[[Context, Grant], Awaitable[None]] | None = None
    """How to give a grant back where that is not RFC 7009 at ``revoke_url``; the request goes by ``ctx.client_http``."""

    def covered(self, scopes: Iterable[str]) -> frozenset[str]:
        """These scopes and all that they hold."""
        found, waiting = set[str](), list(scopes)
        while waiting:
            scope = waiting.pop()
            if scope not in found:
                found.add(scope)
                waiting.extend(self.implies.get(scope, ()))
        return frozenset(found)


@dataclass(frozen=True, kw_only=True)
class Key:
    """Credentials that a user types in: a bot token, an API key, a mail server with its password.

    They are tried by `Service.identify` before they are kept, and are ``ctx.credentials`` in every call.
    """

    fields: type[Inputs]
    """The form. Fields marked `Secret` are masked wherever they are shown."""
    authorise: Callable[[httpx.Request, Mapping[str, Any]], None] | None = None
    """Puts the credentials on a request; it may change its address too."""
    help: str = ""
    """Where the user finds what the form asks for."""
    base_url: Callable[[Mapping[str, Any]], str] | None = None
    """The API's address where the credentials say it: an instance of one's own."""
    open: Callable[[Context, Mapping[str, Any]], Awaitable[Grant]] | None = None
    """Exchanges the credentials for a session's tokens, which then authorise as ``Bearer``."""
    refresh: Callable[[Context, str], Awaitable[Grant]] | None = None
    """``fn(ctx, refresh_token)`` prolongs such a session; without it, or when it is refused, `open` is called again."""


@dataclass(frozen=True, kw_only=True)
class ClientCredentials:
    """``ctx.app_http`` is authorised by the app's own token (RFC 6749, 4.4), fetched from the service's token address."""

    scopes: tuple[str, ...] = ()
    authorise: Authorise = bearer


@dataclass(frozen=True, kw_only=True)
class AppHeader:
    """``ctx.app_http`` is authorised by the setting ``AREA_<SERVICE>_<SETTING>``, put on each request by ``authorise``."""

    setting: str
    authorise: Authorise = bearer
