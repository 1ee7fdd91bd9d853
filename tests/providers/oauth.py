"""The authorisation server of a stand-in: consent page, codes, tokens, refreshing, revoking (RFC 6749, 7009, 7636).

`Dialect` says how a provider departs from the standard; `AuthorizationServer` keeps what was granted, and tests look into it:
``standin.auth.refreshes`` counts, ``standin.auth.expire()`` and ``standin.auth.withdraw()`` make tokens end.
"""

import base64
import binascii
import hashlib
import html
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit, urlunsplit

from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response

Params = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How one provider does OAuth2."""

    authorize: str | None = "/oauth2/authorize"
    token: str = "/oauth2/token"
    revoke: str | None = "/oauth2/revoke"
    expires_in: int | None = 3600
    """Seconds; None: access tokens do not end, and the answer does not speak of it."""
    refreshes: bool = True
    """Whether a consent gives a refresh token."""
    refresh_again: bool = True
    """Whether a refresh's answer has a refresh token; Google's has none."""
    rotates: bool = False
    """Whether each refresh gives a new refresh token and kills the old one."""
    scope_as: Literal["list", "space", "comma", "absent"] = "space"
    pkce: Literal["required", "optional", "ignored"] = "optional"
    client_auth: Literal["post", "basic", "either"] = "either"
    json_body: bool = False
    """Whether the endpoints for tokens and for revoking take JSON too (Notion)."""
    form_answers: bool = False
    """Whether answers are form-encoded unless JSON is asked for by Accept (GitHub)."""
    errors_in_200: bool = False
    """Whether a refusal has status 200 (GitHub, Slack)."""
    client_credentials: bool = False
    token_type: str = "Bearer"
    offline: Callable[[Params], bool] = lambda asked: True
    """Whether this authorise request earns a refresh token: Google wants ``access_type=offline``."""
    shape: Callable[[dict[str, Any], "Grant"], Mapping[str, Any]] = lambda answer, grant: answer
    """The last word on a good answer: Slack's ``ok`` and ``team``, Discord's ``webhook``."""
    shape_error: Callable[[str, str], Mapping[str, Any]] = lambda error, words: {
        "error": error,
        "error_description": words,
    }


@dataclass(eq=False)
class User:
    """Somebody with an account at the provider; ``facts`` is whatever its stand-in wants to know."""

    id: str
    login: str
    name: str = ""
    email: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(eq=False)
class Grant:
    """One consent (``user``) or one app token (no user), and what lives by it."""

    user: User | None
    scopes: tuple[str, ...]
    access: dict[str, float] = field(default_factory=dict)
    """Access tokens and when they end, in epoch seconds."""
    refresh: set[str] = field(default_factory=set)
    withdrawn: bool = False


@dataclass(eq=False)
class Code:
    """An authorisation code, good once, for one client, redirect and challenge, for a minute."""

    grant: Grant
    client_id: str
    redirect_uri: str
    challenge: str
    offline: bool
    until: float


class Problem(Exception):
    """A refusal of the token endpoint."""

    def __init__(self, error: str, words: str, status: int = 400) -> None:
        super().__init__(error)
        self.error, self.words, self.status = error, words, status


class AuthorizationServer:
    """What was granted, and the endpoints that grant it."""

    def __init__(self, dialect: Dialect, client_id: str, client_secret: str, users: list[User]) -> None:
        self.dialect, self.client_id, self.client_secret, self.users = dialect, client_id, client_secret, users
        self.redirect_uris: set[str] | None = None
        """None: any that is given, as long as the exchange gives the same."""
        self.grants: list[Grant] = []
        self.codes: dict[str, Code] = {}
        self.used_codes: set[str] = set()
        self.spent: set[str] = set()
        """Refresh tokens that rotation killed."""
        self.refreshes = 0
        self.reuses = 0
        """How often a dead refresh token was tried."""

    # What tests do to tokens

    def expire(self, user: User | None = None) -> None:
        """Every access token (of ``user``) has just ended; refresh tokens live on."""
        for grant in self._of(user):
            grant.access = dict.fromkeys(grant.access, 0.0)

    def withdraw(self, user: User | None = None) -> None:
        """The user took the consent back: access and refresh tokens are dead."""
        for grant in self._of(user):
            grant.withdrawn = True

    def issue(self, user: User | None, *scopes: str, offline: bool = True) -> dict[str, Any]:
        """A token answer with no consent page before it; ``user`` None makes an app token."""
        grant = Grant(user, scopes)
        self.grants.append(grant)
        return self._answer(grant, refresh=offline and user is not None and self.dialect.refreshes)

    def find(self, access_token: str) -> Grant | None:
        """The live grant of an access token; None when it is unknown, expired or withdrawn."""
        for grant in self.grants:
            if access_token in grant.access and not grant.withdrawn:
                return grant if grant.access[access_token] > time.time() else None
        return None

    # Endpoints: each takes the parsed parameters and answers

    def authorize(self, asked: Params) -> Response:
        """The consent page, or its outcome at once with ``auto=allow`` (``user=`` a login, ``untick=`` scopes) or ``auto=deny``."""
        problem = self._unfit(asked)
        if problem:
            return PlainTextResponse(problem, 400)
        decision = asked.get("auto")
        if decision is None:
            return HTMLResponse(self._page(asked))
        if decision != "allow":
            return self._back(asked, error="access_denied", error_description="The user said no")
        user = next((one for one in self.users if one.login == asked.get("user")), self.users[0])
        unticked = set(asked.get("untick", "").replace(",", " ").split())
        scopes = tuple(scope for scope in asked.get("scope", "").replace(",", " ").split() if scope not in unticked)
        code, grant = secrets.token_urlsafe(16), Grant(user, scopes)
        self.codes[code] = Code(
            grant,
            asked["client_id"],
            asked["redirect_uri"],
            asked.get("code_challenge", "") if self.dialect.pkce != "ignored" else "",
            self.dialect.offline(asked),
            time.time() + 60,
        )
        return self._back(asked, code=code)

    def exchange(self, given: Params, headers: Params) -> Response:
        """The token endpoint."""
        wants_form = self.dialect.form_answers and "json" not in headers.get("accept", "")
        try:
            self._check_client(given, headers)
            grant_type = given.get("grant_type", "")
            if grant_type == "authorization_code":
                answer = self._redeem(given)
            elif grant_type == "refresh_token":
                answer = self._refresh(given)
            elif grant_type == "client_credentials" and self.dialect.client_credentials:
                answer = self.issue(None, *given.get("scope", "").split())
            else:
                raise Problem("unsupported_grant_type", f"grant_type {grant_type!r} is not supported")
        except Problem as problem:
            status = 200 if self.dialect.errors_in_200 else problem.status
            return _encoded(self.dialect.shape_error(problem.error, problem.words), status, wants_form)
        return _encoded(answer, 200, wants_form)

    def revoke(self, given: Params, headers: Params) -> Response:
        """RFC 7009: the whole consent behind an access or refresh token ends."""
        token = given.get("token", "")
        for grant in self.grants:
            if token in grant.access or token in grant.refresh:
                grant.withdrawn = True
        return Response(status_code=200)

    def _redeem(self, given: Params) -> dict[str, Any]:
        secret = given.get("code", "")
        code = self.codes.pop(secret, None)
        if code is None or code.until < time.time():
            if secret in self.used_codes:
                raise Problem("invalid_grant", "The code was used before")
            raise Problem("invalid_grant", "The code is unknown or too old")
        self.used_codes.add(secret)
        if given.get("redirect_uri") != code.redirect_uri:
            raise Problem("invalid_grant", "redirect_uri differs from the authorise request's")
        if code.challenge:
            digest = hashlib.sha256(given.get("code_verifier", "").encode()).digest()
            if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != code.challenge:
                raise Problem("invalid_grant", "code_verifier does not match the challenge")
        self.grants.append(code.grant)
        return self._answer(code.grant, refresh=self.dialect.refreshes and code.offline)

    def _refresh(self, given: Params) -> dict[str, Any]:
        token = given.get("refresh_token", "")
        grant = next((one for one in self.grants if token in one.refresh and not one.withdrawn), None)
        if grant is None:
            self.reuses += token in self.spent
            raise Problem("invalid_grant", "The refresh token is revoked or unknown")
        self.refreshes += 1
        if self.dialect.rotates:
            grant.refresh.discard(token)
            self.spent.add(token)
        answer = self._answer(grant, refresh=self.dialect.rotates)
        if self.dialect.refresh_again and not self.dialect.rotates:
            answer = {**answer, "refresh_token": token}
        return answer

    def _answer(self, grant: Grant, *, refresh: bool) -> dict[str, Any]:
        access = secrets.token_urlsafe(24)
        lasts = self.dialect.expires_in
        grant.access[access] = time.time() + lasts if lasts is not None else float("inf")
        answer: dict[str, Any] = {"access_token": access, "token_type": self.dialect.token_type}
        if lasts is not None:
            answer["expires_in"] = lasts
        if refresh:
            answer["refresh_token"] = secrets.token_urlsafe(24)
            grant.refresh.add(answer["refresh_token"])
        if self.dialect.scope_as != "absent":
            joiner = {"list": None, "space": " ", "comma": ","}[self.dialect.scope_as]
            answer["scope"] = list(grant.scopes) if joiner is None else joiner.join(grant.scopes)
        return dict(self.dialect.shape(answer, grant))

    def _check_client(self, given: Params, headers: Params) -> None:
        client_id, secret, by_basic = given.get("client_id", ""), given.get("client_secret", ""), False
        scheme, _, coded = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                client_id, _, secret = base64.b64decode(coded, validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError):
                raise Problem("invalid_client", "The Basic header is not base64", 401) from None
            client_id, secret, by_basic = unquote_plus(client_id), unquote_plus(secret), True
        if self.dialect.client_auth not in ("either", "basic" if by_basic else "post"):
            raise Problem("invalid_client", f"Authenticate the client by {self.dialect.client_auth}", 401)
        if (client_id, secret) != (self.client_id, self.client_secret):
            raise Problem("invalid_client", "Client id or secret is wrong", 401)

    def _unfit(self, asked: Params) -> str | None:
        """Why an authorise request gets no redirect, but words."""
        if asked.get("client_id") != self.client_id:
            return "invalid_client: no such client_id"
        uri = urlsplit(asked.get("redirect_uri", ""))
        if uri.scheme not in ("http", "https") or not uri.netloc or uri.fragment:
            return "invalid_request: redirect_uri is not an absolute address"
        if self.redirect_uris is not None and asked["redirect_uri"] not in self.redirect_uris:
            return "redirect_uri_mismatch: it is not registered for this client"
        if asked.get("response_type") != "code":
            return "unsupported_response_type: only code"
        challenge = asked.get("code_challenge")
        if challenge and self.dialect.pkce != "ignored" and asked.get("code_challenge_method") != "S256":
            return "invalid_request: code_challenge_method must be S256"
        return (
            "invalid_request: code_challenge is missing" if self.dialect.pkce == "required" and not challenge else None
        )

    def _back(self, asked: Params, **outcome: str) -> Response:
        uri = urlsplit(asked["redirect_uri"])
        query = [*parse_qsl(uri.query), *outcome.items()]
        if "state" in asked:
            query.append(("state", asked["state"]))
        return RedirectResponse(urlunsplit(uri._replace(query=urlencode(query))), 302)

    def _page(self, asked: Params) -> str:
        hidden = "".join(
            f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">'
            for name, value in asked.items()
            if name not in ("auto", "user", "untick")
        )
        users = "".join(f"<option>{html.escape(user.login)}</option>" for user in self.users)
        boxes = "".join(
            f'<p><label><input type="checkbox" name="ticked" value="{html.escape(scope)}" checked> {html.escape(scope)}</label>'
            for scope in asked.get("scope", "").replace(",", " ").split()
        )
        return (
            '<!doctype html><meta charset="utf-8"><title>Allow access?</title><h1>AREA wants to act for you</h1>'
            f'<form method="post">{hidden}<p><label>Account <select name="user">{users}</select></label>{boxes}'
            '<p><button name="auto" value="allow">Allow</button> <button name="auto" value="deny">Deny</button></form>'
        )

    def _of(self, user: User | None) -> list[Grant]:
        return [grant for grant in self.grants if user is None or grant.user is user]


def _encoded(answer: Mapping[str, Any], status: int, as_form: bool) -> Response:
    if as_form:
        return Response(urlencode(answer), status, media_type="application/x-www-form-urlencoded")
    return JSONResponse(answer, status, headers={"cache-control": "no-store"})
