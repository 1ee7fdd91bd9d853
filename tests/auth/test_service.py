"""Signing up, in and out, on a real database."""

import pytest

from area.auth.errors import Unauthenticated
from area.auth.service import ATTEMPTS, AuthService
from area.core.errors import Conflict, InvalidInput, InvalidInputs, LimitReached
from area.core.ids import new_id
from area.engine.platform import Platform


@pytest.fixture
def auth(platform: Platform) -> AuthService:
    return AuthService(platform.db, platform.settings)


@pytest.fixture
def mail() -> str:
    return f"{new_id().hex}@example.com"


async def test_up_in_and_who(auth: AuthService, mail: str) -> None:
    up = await auth.sign_up(mail.upper(), "long enough", "Ada")
    again = await auth.sign_in(f" {mail} ", "long enough")
    caller = await auth.authenticate(f"bearer {again.access_token}")
    assert caller is not None
    assert caller.user_id == up.user_id == again.user_id


async def test_unknown_mail_and_wrong_password_are_told_alike(auth: AuthService, mail: str) -> None:
    await auth.sign_up(mail, "long enough")
    with pytest.raises(InvalidInput) as wrong:
        await auth.sign_in(mail, "another one")
    with pytest.raises(InvalidInput) as unknown:
        await auth.sign_in(f"x{mail}", "another one")
    assert (wrong.value.message, wrong.value.path) == (unknown.value.message, unknown.value.path)


async def test_sign_up_tells_everything_at_once(auth: AuthService, mail: str) -> None:
    with pytest.raises(InvalidInputs) as found:
        await auth.sign_up("nonsense", "short", "x" * 101)
    assert [problem.path for problem in found.value.problems] == [("email",), ("password",), ("displayName",)]
    await auth.sign_up(mail, "long enough")
    with pytest.raises(Conflict):
        await auth.sign_up(mail, "long enough")


async def test_reuse_of_a_refresh_token_ends_the_session(auth: AuthService, mail: str) -> None:
    first = await auth.sign_up(mail, "long enough")
    second = await auth.refresh(first.refresh_token)
    assert second.refresh_token != first.refresh_token
    with pytest.raises(InvalidInput):
        await auth.refresh(first.refresh_token)
    with pytest.raises(InvalidInput):
        await auth.refresh(second.refresh_token)


async def test_sign_out_ends_the_session(auth: AuthService, mail: str) -> None:
    session = await auth.sign_up(mail, "long enough")
    await auth.sign_out(session.refresh_token)
    await auth.sign_out("nonsense")
    with pytest.raises(InvalidInput):
        await auth.refresh(session.refresh_token)


async def test_attempts_are_bounded(auth: AuthService, mail: str) -> None:
    for _ in range(ATTEMPTS):
        with pytest.raises(InvalidInput):
            await auth.sign_in(mail, "wrong one")
    with pytest.raises(LimitReached) as limited:
        await auth.sign_in(mail, "wrong one")
    assert limited.value.retry_after is not None


@pytest.mark.parametrize("header", ["Basic abc", "Bearer", "Bearer x.y.z", "Bearer " + "x" * 9000])
async def test_bad_headers_are_unauthenticated(auth: AuthService, header: str) -> None:
    with pytest.raises(Unauthenticated):
        await auth.authenticate(header)
    assert await auth.authenticate(None) is None
