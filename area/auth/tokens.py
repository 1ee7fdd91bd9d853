"""Tokens that this platform issues: short signed access tokens, and opaque refresh tokens that are stored hashed."""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from joserfc import jwt
from joserfc.errors import BadSignatureError, JoseError
from joserfc.jwk import OctKey

from area.auth.caller import Caller, SessionKey
from area.auth.errors import Unauthenticated
from area.core.clock import now

ISSUER = "area"
AUDIENCE = "area-api"
_ALGORITHM = "HS256"
_SECRET_BYTES = 32


@dataclass(frozen=True)
class AccessToken:
    """A signed access token, and the moment after which it is refused."""

    value: str
    expires_at: datetime


class AccessTokens:
    """Signs access tokens with a key derived from the platform's secret, and reads those of ``others`` too."""

    def __init__(self, secret: str, life_seconds: int, others: Iterable[str] = ()) -> None:
        self._key, *self._older = (_derived(one) for one in (secret, *others))
        self._life = timedelta(seconds=life_seconds)
        self._claims = jwt.JWTClaimsRegistry(
            now=lambda: int(now().timestamp()),
            iss={"essential": True, "value": ISSUER},
            aud={"essential": True, "value": AUDIENCE},
            exp={"essential": True},
            sub={"essential": True},
            sid={"essential": True},
        )

    def issue(self, user_id: UUID, session_id: UUID) -> AccessToken:
        """A fresh token for this user, good while the session stands."""
        issued = now()
        expires = (issued + self._life).replace(microsecond=0)
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": str(user_id),
            "sid": str(session_id),
            "iat": int(issued.timestamp()),
            "exp": int(expires.timestamp()),
        }
        return AccessToken(jwt.encode({"alg": _ALGORITHM}, claims, self._key, algorithms=[_ALGORITHM]), expires)

    def _decoded(self, value: str) -> jwt.Token:
        try:
            return jwt.decode(value, self._key, algorithms=[_ALGORITHM])
        except BadSignatureError:
            for key in self._older:
                with suppress(BadSignatureError):
                    return jwt.decode(value, key, algorithms=[_ALGORITHM])
            raise

    def read(self, value: str) -> Caller:
        """The user of a token, whose session has yet to be looked at. Raises: Unauthenticated."""
        try:
            token = self._decoded(value)
            self._claims.validate(token.claims)
            expires = datetime.fromtimestamp(token.claims["exp"], now().tzinfo)
            return Caller(UUID(token.claims["sub"]), expires, SessionKey(UUID(token.claims["sid"])))
        except (JoseError, ValueError, TypeError, AttributeError, OverflowError) as error:
            raise Unauthenticated("The access token is not valid, or has expired. Sign in again.") from error


def _derived(secret: str) -> OctKey:
    return OctKey.import_key(hmac.new(secret.encode(), b"area-access-token", hashlib.sha256).digest())


def new_refresh_token(session_id: UUID) -> str:
    """An opaque token that names its session, so that the reuse of an old one can revoke it."""
    return urlsafe_b64encode(session_id.bytes + secrets.token_bytes(_SECRET_BYTES)).decode().rstrip("=")


def session_of(refresh_token: str) -> UUID:
    """The session that a refresh token belongs to. Raises: Unauthenticated."""
    try:
        raw = urlsafe_b64decode(refresh_token + "=" * (-len(refresh_token) % 4))
    except ValueError:
        raw = b""
    if len(raw) != 16 + _SECRET_BYTES:
        raise Unauthenticated("The refresh token is not valid. Sign in again.")
    return UUID(bytes=raw[:16])


def hash_refresh_token(refresh_token: str) -> bytes:
    """What the database keeps of a refresh token."""
    return hashlib.sha256(refresh_token.encode()).digest()
