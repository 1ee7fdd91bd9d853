"""Supabase's tokens: by JWKS and by the legacy secret, the algorithm pinned, and a user row made."""

import time
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey
from pydantic import SecretStr

from area.auth.errors import Unauthenticated
from area.auth.service import AuthService
from area.auth.supabase import SupabaseTokens
from area.core.ids import new_id
from area.core.settings import Settings
from area.engine.platform import Platform

URL = "https://project.supabase.test"
LEGACY = "supabase-legacy-secret-supabase-legacy"


def claims(**changes: Any) -> dict[str, Any]:
    base = {"sub": str(new_id()), "aud": "authenticated", "iss": f"{URL}/auth/v1", "exp": int(time.time()) + 600}
    return base | {"email": f"{base['sub']}@Example.com"} | changes


@pytest.fixture
def key() -> ECKey:
    return ECKey.generate_key("P-256", {"kid": "one", "use": "sig"})


def jwks_client(key: ECKey, asked: list[str]) -> httpx.AsyncClient:
    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(200, json={"keys": [key.as_dict(private=False)]})

    return httpx.AsyncClient(transport=httpx.MockTransport(answer))


def make_settings(**more: Any) -> Settings:
    return Settings(
        _env_file=None,
        database_url=SecretStr("postgresql://x"),
        redis_url=SecretStr("redis://x"),
        secret_key=SecretStr("s" * 32),
        supabase_url=URL,
        **more,
    )


async def test_jwks_is_asked_once(key: ECKey) -> None:
    asked: list[str] = []
    reader = SupabaseTokens(make_settings(), jwks_client(key, asked))
    given = claims()
    token = jwt.encode({"alg": "ES256", "kid": "one"}, given, key, algorithms=["ES256"])
    assert str((await reader.read(token)).user_id) == given["sub"]
    assert (await reader.read(token)).email == given["email"].lower()
    assert asked == [f"{URL}/auth/v1/.well-known/jwks.json"]


@pytest.mark.parametrize("changes", [{"aud": "anon"}, {"iss": "https://evil.test"}, {"exp": 1}, {"sub": "x"}])
async def test_claims_are_checked(key: ECKey, changes: dict[str, Any]) -> None:
    reader = SupabaseTokens(make_settings(), jwks_client(key, []))
    token = jwt.encode({"alg": "ES256", "kid": "one"}, claims(**changes), key, algorithms=["ES256"])
    with pytest.raises(Unauthenticated):
        await reader.read(token)


async def test_the_public_key_is_no_hmac_secret(key: ECKey) -> None:
    reader = SupabaseTokens(make_settings(), jwks_client(key, []))
    forged = jwt.encode({"alg": "HS256", "kid": "one"}, claims(), OctKey.import_key(key.as_pem(private=False)[27:]))
    with pytest.raises(Unauthenticated):
        await reader.read(forged)


async def test_legacy_secret_and_the_users_row(platform: Platform, key: ECKey) -> None:
    settings = platform.settings.model_copy(
        update={"supabase_url": URL, "supabase_jwt_secret": SecretStr(LEGACY), "supabase_issuer": None}
    )
    auth = AuthService(platform.db, settings, jwks_client(key, []))
    given = claims(user_metadata={"full_name": "Ada"})
    token = jwt.encode({"alg": "HS256"}, given, OctKey.import_key(LEGACY))
    caller = await auth.authenticate(f"Bearer {token}")
    assert caller is not None
    row = await platform.db.pool.fetchrow("SELECT email, display_name FROM users WHERE id = $1", caller.user_id)
    assert row is not None
    assert (row["email"], row["display_name"]) == (given["email"].lower(), "Ada")
