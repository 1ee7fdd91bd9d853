"""Tokens of Supabase Auth, verified by its JWKS or its legacy HS256 secret.

Source: https://supabase.com/docs/guides/auth/jwts
"""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Any
from uuid import UUID

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, OctKey

from area.auth.errors import Unauthenticated
from area.core.settings import Settings

AUDIENCE = "authenticated"
_ASYMMETRIC = ["ES256", "RS256", "EdDSA", "Ed25519"]
_KEYS_LIVE = 600.0
_KEYS_RETRY = 10.0
_REFUSED = "The Supabase token is not valid, or has expired. Sign in again."


@dataclass(frozen=True)
class SupabaseUser:
    """What a Supabase token says about its user."""

    user_id: UUID
    email: str
    display_name: str
    expires_at: datetime


class SupabaseTokens:
    """Verifies Supabase access tokens; the algorithm is pinned by which key material the settings give."""

    def __init__(self, settings: Settings, client: httpx.AsyncClient | None = None) -> None:
        if settings.supabase_url is None:
            raise ValueError("AREA_SUPABASE_URL is not set")
        base = settings.supabase_url.rstrip("/") + "/auth/v1"
        self.issuer = settings.supabase_issuer or base
        self._jwks_url = f"{base}/.well-known/jwks.json"
        secret = settings.supabase_jwt_secret
        self._secret = OctKey.import_key(secret.get_secret_value()) if secret else None
        self._client = client
        self._keys: KeySet | None = None
        self._asked_at = -_KEYS_LIVE
        self._lock = asyncio.Lock()
        self._claims = jwt.JWTClaimsRegistry(
            leeway=30,
            iss={"essential": True, "value": self.issuer},
            aud={"essential": True, "value": AUDIENCE},
            exp={"essential": True},
            sub={"essential": True},
        )

    async def read(self, value: str) -> SupabaseUser:
        """The user of a token. Raises: Unauthenticated."""
        try:
            claims = await self._decode(value)
            self._claims.validate(claims)
            details = claims.get("user_metadata") or {}
            return SupabaseUser(
                user_id=UUID(claims["sub"]),
                email=str(claims.get("email") or f"{claims['sub']}@users.invalid").lower(),
                display_name=str(details.get("full_name") or details.get("name") or ""),
                expires_at=datetime.fromtimestamp(claims["exp"], UTC),
            )
        except (JoseError, ValueError, TypeError, AttributeError, OverflowError) as error:
            raise Unauthenticated(_REFUSED) from error

    async def _decode(self, value: str) -> dict[str, Any]:
        if self._secret is not None:
            try:
                return jwt.decode(value, self._secret, algorithms=["HS256"]).claims
            except JoseError:
                pass  # the project may have moved to signing keys since: its JWKS decides
        try:
            return jwt.decode(value, await self._key_set(_KEYS_LIVE), algorithms=_ASYMMETRIC).claims
        except (JoseError, ValueError):
            # A key that we do not know may be a new one; ask again, though not for every bad token.
            return jwt.decode(value, await self._key_set(_KEYS_RETRY), algorithms=_ASYMMETRIC).claims

    async def _key_set(self, max_age: float) -> KeySet:
        async with self._lock:
            if monotonic() - self._asked_at >= max_age or (
                self._keys is None and monotonic() - self._asked_at >= _KEYS_RETRY
            ):
                self._asked_at = monotonic()
                try:
                    self._keys = KeySet.import_key_set(await self._fetch())
                except (httpx.HTTPError, ValueError, JoseError):
                    if self._keys is None:
                        raise Unauthenticated("Supabase does not hand out its signing keys now. Try again.") from None
        if self._keys is None:
            raise Unauthenticated("Supabase does not hand out its signing keys now. Try again.")
        return self._keys

    async def _fetch(self) -> Any:
        if self._client is not None:
            response = await self._client.get(self._jwks_url)
        else:
            async with httpx.AsyncClient(timeout=5) as client:
                response = await client.get(self._jwks_url)
        return response.raise_for_status().json()
