"""What ends a credential: sign-out, reuse, expiry, revocation; and for how long the end may go unseen."""

from datetime import timedelta

import pytest

from area.auth.api_tokens import MOST, SHOWN
from area.auth.caller import EVERYTHING, Scope
from area.auth.errors import Unauthenticated
from area.auth.remembered import Remembered
from area.auth.service import AuthService
from area.core.clock import now
from area.core.errors import InvalidInput, InvalidInputs, LimitReached, NotFound
from area.core.ids import new_id
from area.engine.platform import Platform


@pytest.fixture
def auth(platform: Platform) -> AuthService:
    return AuthService(platform.db, platform.settings)


@pytest.fixture
def other(platform: Platform) -> AuthService:
    """Another API process, which believes nothing for longer than a moment."""
    return AuthService(platform.db, platform.settings, recheck=0)


async def refused(auth: AuthService, token: str) -> str:
    with pytest.raises(Unauthenticated) as found:
        await auth.authenticate(f"Bearer {token}")
    return found.value.message


async def test_sign_out_ends_the_access_token_too(auth: AuthService, other: AuthService) -> None:
    session = await auth.sign_up(f"{new_id().hex}@example.com", "long enough")
    second = await auth.sign_in((await mail_of(auth, session.user_id)), "long enough")
    for each in (auth, other):
        caller = await each.authenticate(f"Bearer {session.access_token}")
        assert caller is not None
        assert (caller.user_id, caller.scopes, caller.is_session) == (session.user_id, EVERYTHING, True)
    await auth.sign_out(session.refresh_token)
    for each in (auth, other):
        assert "revoked" in await refused(each, session.access_token)
        assert await each.authenticate(f"Bearer {second.access_token}") is not None


async def mail_of(auth: AuthService, user_id: object) -> str:
    found: str = await auth._pool.fetchval("SELECT email FROM users WHERE id = $1", user_id)
    return found


async def test_a_caller_ends_its_own_session(auth: AuthService, other: AuthService) -> None:
    session = await auth.sign_up(f"{new_id().hex}@example.com", "long enough")
    await auth.end_session(session.caller)
    assert "revoked" in await refused(other, session.access_token)
    with pytest.raises(InvalidInput):
        await auth.refresh(session.refresh_token)


async def test_reuse_of_a_refresh_token_ends_access_tokens(auth: AuthService, other: AuthService) -> None:
    first = await auth.sign_up(f"{new_id().hex}@example.com", "long enough")
    second = await auth.refresh(first.refresh_token)
    with pytest.raises(InvalidInput):
        await auth.refresh(first.refresh_token)
    for token in (first.access_token, second.access_token):
        assert "revoked" in await refused(other, token)


async def test_an_api_token_lets_its_owner_in(auth: AuthService, platform: Platform) -> None:
    session = await auth.sign_up(f"{new_id().hex}@example.com", "long enough")
    row, secret = await auth.api_tokens.create(session.user_id, " CI ", [Scope.READ])
    assert (row.name, row.prefix, row.scopes) == ("CI", secret[:SHOWN], ["read"])
    caller = await auth.authenticate(f"Bearer {secret}")
    assert caller is not None
    assert (caller.user_id, caller.scopes, caller.is_session) == (session.user_id, {Scope.READ}, False)
    kept = await platform.db.pool.fetchrow("SELECT * FROM api_tokens WHERE id = $1", row.id)
    assert secret not in str(dict(kept))
    assert kept["last_used_at"] is not None
    await refused(auth, secret[:-1])


async def test_a_revoked_api_token_is_refused(auth: AuthService, other: AuthService) -> None:
    ada = await auth.sign_up(f"{new_id().hex}@example.com", "long enough")
    eve = await auth.sign_up(f"{new_id().hex}@example.com", "long enough")
    row, secret = await auth.api_tokens.create(ada.user_id, "CI", [Scope.WRITE])
    caller = await other.authenticate(f"Bearer {secret}")
    assert caller is not None
    assert await other.problem(caller) is None
    with pytest.raises(NotFound):
        await auth.api_tokens.revoke(eve.user_id, row.id)
    assert await auth.authenticate(f"Bearer {secret}") is not None
    first = await auth.api_tokens.revoke(ada.user_id, row.id)
    assert (await auth.api_tokens.revoke(ada.user_id, row.id)).revoked_at == first.revoked_at
    await refused(auth, secret)
    await refused(other, secret)
    assert await other.problem(caller) == "The access token was revoked"


async def test_an_api_token_expires(auth: AuthService, platform: Platform) -> None:
    session = await auth.sign_up(f"{new_id().hex}@example.com", "long enough")
    row, secret = await auth.api_tokens.create(session.user_id, "CI", [Scope.READ], now() + timedelta(hours=1))
    await platform.db.pool.execute("UPDATE api_tokens SET expires_at = now() WHERE id = $1", row.id)
    await refused(auth, secret)


async def test_api_tokens_are_checked_and_counted(auth: AuthService) -> None:
    session = await auth.sign_up(f"{new_id().hex}@example.com", "long enough")
    with pytest.raises(InvalidInputs) as found:
        await auth.api_tokens.create(session.user_id, " ", [], now())
    assert [problem.path for problem in found.value.problems] == [("name",), ("scopes",), ("expiresAt",)]
    for number in range(MOST):
        row, _ = await auth.api_tokens.create(session.user_id, str(number), [Scope.READ])
    with pytest.raises(LimitReached):
        await auth.api_tokens.create(session.user_id, "one more", [Scope.READ])
    await auth.api_tokens.revoke(session.user_id, row.id)
    await auth.api_tokens.create(session.user_id, "one more", [Scope.READ])


async def test_answers_are_believed_for_a_while() -> None:
    asked: list[str] = []
    clock = [0.0]

    async def ask(key: str) -> int:
        asked.append(key)
        if key == "broken":
            raise ConnectionError
        return len(asked)

    known = Remembered(ask, 5, keys=2, clock=lambda: clock[0])
    assert [await known.get("a"), await known.get("a")] == [1, 1]
    clock[0] = 5
    assert await known.get("a") == 2
    known.forget("a")
    assert await known.get("a") == 3
    for _ in range(2):
        with pytest.raises(ConnectionError):
            await known.get("broken")
    await known.get("b")
    await known.get("c")
    assert await known.get("a") == 8
