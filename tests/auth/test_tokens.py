"""Access tokens, refresh tokens, passwords and buckets, without a database."""

from datetime import UTC, datetime

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from area.auth import passwords, tokens
from area.auth.attempts import Buckets
from area.auth.caller import Caller, SessionKey
from area.auth.errors import Unauthenticated
from area.core.ids import new_id

SECRET = "a-secret-of-32-characters-or-more"


def test_access_token_round_trips() -> None:
    issuer, user_id = tokens.AccessTokens(SECRET, 60), new_id()
    issued = issuer.issue(user_id, session_id := new_id())
    assert issuer.read(issued.value) == Caller(user_id, issued.expires_at, SessionKey(session_id))
    assert 55 < (issued.expires_at - datetime.now(UTC)).total_seconds() <= 60


@pytest.mark.parametrize(
    "token",
    ["", "x", "a.b.c", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.", "é" * 20],
)
def test_garbage_is_unauthenticated(token: str) -> None:
    with pytest.raises(Unauthenticated):
        tokens.AccessTokens(SECRET, 60).read(token)


def test_expired_and_foreign_tokens_are_refused() -> None:
    issuer, user_id = tokens.AccessTokens(SECRET, 60), new_id()
    for foreign in (tokens.AccessTokens(SECRET, -60), tokens.AccessTokens(SECRET + "!", 60)):
        with pytest.raises(Unauthenticated):
            issuer.read(foreign.issue(user_id, new_id()).value)


@pytest.mark.parametrize(
    "claims", [{"aud": "other"}, {"iss": "other"}, {"sub": "not-a-uuid"}, {"sid": "x"}, {"sid": None}, {"exp": None}]
)
def test_every_claim_is_checked(claims: dict[str, object]) -> None:
    issuer = tokens.AccessTokens(SECRET, 60)
    given = {"iss": "area", "aud": "area-api", "sub": str(new_id()), "sid": str(new_id()), "exp": 2**31} | claims
    given = {name: value for name, value in given.items() if value is not None}
    forged = jwt.encode({"alg": "HS256"}, given, issuer._key)
    with pytest.raises(Unauthenticated):
        issuer.read(forged)


def test_the_platforms_secret_itself_does_not_sign() -> None:
    claims = {"iss": "area", "aud": "area-api", "sub": str(new_id()), "sid": str(new_id()), "exp": 2**31}
    forged = jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(SECRET))
    with pytest.raises(Unauthenticated):
        tokens.AccessTokens(SECRET, 60).read(forged)


def test_refresh_token_names_its_session() -> None:
    session_id = new_id()
    first, second = tokens.new_refresh_token(session_id), tokens.new_refresh_token(session_id)
    assert first != second
    assert tokens.session_of(first) == session_id
    for bad in ("", "x", first[:-4], "ü"):
        with pytest.raises(Unauthenticated):
            tokens.session_of(bad)


async def test_passwords() -> None:
    stored = await passwords.hash_password("correct horse")
    assert stored.startswith("$argon2id$")
    assert await passwords.verify_password(stored, "correct horse")
    assert not await passwords.verify_password(stored, "wrong horse")
    assert not await passwords.verify_password(None, "no account has this password")
    assert not await passwords.verify_password("not a hash", "x")


def test_buckets_leak_and_are_bounded() -> None:
    time = 0.0
    buckets = Buckets(2, 0.5, keys=2, clock=lambda: time)
    assert buckets.spend("ada") is None
    assert buckets.spend("ada") is None
    assert buckets.spend("ada") == 2.0
    time = 2.0
    assert buckets.spend("ada") is None
    buckets.spend("bob")
    buckets.spend("eve")
    assert len(buckets._levels) == 2
