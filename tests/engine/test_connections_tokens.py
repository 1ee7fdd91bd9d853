"""An account's tokens: refreshed ahead, once for everybody, through hiccups and crashes; and what is the end of an account."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from uuid import UUID

import pytest

from area.core.settings import Settings
from area.engine.platform import Platform
from area.nodes import sdk
from tests.engine.conftest import eventually
from tests.engine.connections import column, connected, context, ends_in, platform_with
from tests.providers.acme import Acme, make_service
from tests.providers.base import serving
from tests.providers.calls import Fault
from tests.providers.oauth import Dialect

TOKEN = "POST /oauth2/token"


@pytest.fixture
async def acme() -> AsyncIterator[Acme]:
    standin = Acme()
    async with serving(standin):
        yield standin


@pytest.fixture
async def platform(settings: Settings, acme: Acme) -> AsyncIterator[Platform]:
    async with platform_with(settings, acme.environment()) as opened:
        yield opened


async def write(platform: Platform, account: UUID, text: str = "hello") -> int:
    async with context(platform, account) as ctx:
        return (await ctx.http.post("/notes", json={"text": text})).status_code


async def test_a_token_near_its_end_is_refreshed_before_it_is_used(platform: Platform, acme: Acme, user: UUID) -> None:
    account = await connected(platform, acme, user)
    await ends_in(platform, account, 60)
    assert await write(platform, account) == 201
    assert (acme.auth.refreshes, acme.auth.reuses) == (1, 0)
    assert await column(platform, account, "version") == 2
    assert [call.path for call in acme.calls] == ["/oauth2/token", "/v1/notes"]


async def test_a_refused_token_is_refreshed_and_the_call_made_again_with_its_body(
    platform: Platform, acme: Acme, user: UUID
) -> None:
    account = await connected(platform, acme, user)
    await ends_in(platform, account, 3600)
    acme.auth.expire()
    assert await write(platform, account, "again") == 201
    assert acme.auth.refreshes == 1
    assert [note["text"] for note in acme.notes] == ["again"]


async def test_a_refresh_without_a_new_refresh_token_keeps_the_old_one(settings: Settings, user: UUID) -> None:
    google = Acme(Dialect(refresh_again=False))
    async with serving(google) as given, platform_with(settings, given) as platform:
        account = await connected(platform, google, user)
        for _ in range(3):
            await ends_in(platform, account, 10)
            platform.accounts.vault.forget(account)
            assert await write(platform, account) == 201
        assert google.auth.refreshes == 3


async def test_fifty_calls_of_five_platforms_in_one_process_refresh_a_rotating_token_once(
    settings: Settings, acme: Acme, user: UUID
) -> None:
    async with AsyncExitStack() as stack:
        given = acme.environment()
        platforms = [await stack.enter_async_context(platform_with(settings, given)) for _ in range(5)]
        account = await connected(platforms[0], acme, user)
        await ends_in(platforms[0], account, 3600)
        acme.auth.expire()
        answers = await asyncio.gather(*(write(platform, account) for platform in platforms for _ in range(10)))
    assert answers == [201] * 50
    assert (acme.auth.refreshes, acme.auth.reuses) == (1, 0)
    assert len(acme.notes) == 50


async def test_no_database_connection_is_held_while_the_provider_is_asked(
    platform: Platform, acme: Acme, user: UUID
) -> None:
    account = await connected(platform, acme, user)
    await ends_in(platform, account, -10)
    acme.next(Fault(hang=True), TOKEN)
    refreshing = asyncio.create_task(write(platform, account))

    async def is_asked() -> bool:
        return bool(acme.asked("POST", "/oauth2/token"))

    await eventually(is_asked)
    pool = platform.db.pool
    assert pool.get_idle_size() == pool.get_size()
    acme.release()
    with pytest.raises(sdk.Unavailable):
        await refreshing


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=500),
        Fault(status=503, body="<html>busy</html>", headers={"content-type": "text/html"}),
        Fault(cut=True),
        Fault(status=400, body={"error": "temporarily_unavailable"}),
        Fault(status=400, body="<html>proxy</html>"),
    ],
)
async def test_a_hiccup_of_the_provider_is_not_the_end_of_an_account(
    platform: Platform, acme: Acme, user: UUID, fault: Fault
) -> None:
    account = await connected(platform, acme, user)
    await ends_in(platform, account, -10)
    acme.next(fault, TOKEN)
    with pytest.raises(sdk.Unavailable):
        await write(platform, account)
    assert await column(platform, account, "status") == "active"
    assert acme.notes == []
    # It says so to everybody for a moment, and then it is tried again.
    with pytest.raises(sdk.Unavailable):
        await write(platform, account)
    assert len(acme.asked("POST", "/oauth2/token")) == 1
    await platform.db.pool.execute("UPDATE connected_accounts SET retry_at = now() WHERE id = $1", account)
    assert await write(platform, account) == 201
    assert await column(platform, account, "failures_in_row") == 0


async def test_a_refresh_ahead_that_fails_leaves_the_token_in_use(platform: Platform, acme: Acme, user: UUID) -> None:
    account = await connected(platform, acme, user)
    await ends_in(platform, account, 60)
    acme.next(Fault(status=502), TOKEN)
    assert await write(platform, account) == 201


async def test_a_token_endpoint_that_throttles_is_waited_for(platform: Platform, acme: Acme, user: UUID) -> None:
    account = await connected(platform, acme, user)
    await ends_in(platform, account, -1)
    acme.next(Fault(status=429, headers={"Retry-After": "17"}), TOKEN)
    with pytest.raises(sdk.Throttled) as caught:
        await write(platform, account)
    assert caught.value.retry_after == 17
    assert await column(platform, account, "retry_at > now() + interval '15 seconds'")


@pytest.mark.parametrize(
    "refusal",
    [
        None,
        Fault(status=400, body={"status": 400, "message": "Invalid refresh token"}),
        Fault(status=200, body={"ok": False, "error": "invalid_refresh_token"}),
        Fault(status=200, body={"error": "bad_refresh_token", "error_description": "expired"}),
    ],
)
async def test_a_refused_refresh_is_the_end_and_is_not_asked_again(
    platform: Platform, acme: Acme, user: UUID, refusal: Fault | None
) -> None:
    account = await connected(platform, acme, user)
    await ends_in(platform, account, 3600)
    acme.auth.withdraw()
    if refusal:
        acme.next(refusal, TOKEN)
    for _ in range(3):
        with pytest.raises(sdk.Reconnect, match="'ada' at Acme has to be connected again"):
            await write(platform, account)
    assert await column(platform, account, "status") == "needs_reconnect"
    assert await column(platform, account, "died_at IS NOT NULL")
    assert len(acme.asked("POST", "/oauth2/token")) == 1


async def test_a_refused_app_is_the_operators_to_mend_and_no_account_dies(
    settings: Settings, acme: Acme, user: UUID
) -> None:
    wrong = {**acme.environment(), "AREA_ACME_CLIENT_SECRET": "not-this"}
    async with platform_with(settings, wrong) as platform:
        account = await connected(platform, acme, user)
        await ends_in(platform, account, -1)
        with pytest.raises(sdk.Unavailable, match="operator"):
            await write(platform, account)
        assert await column(platform, account, "status") == "active"


async def test_a_401_about_one_call_is_no_reason_to_reconnect(platform: Platform, acme: Acme, user: UUID) -> None:
    account = await connected(platform, acme, user)
    for _ in range(3):
        acme.next(Fault(status=401, body={"message": "Missing scope"}), "POST /v1/notes")
        with pytest.raises(sdk.Rejected, match="Missing scope") as caught:
            await write(platform, account)
        assert caught.value.code == "HTTP_401"
    # The token was good when its provider was asked, once; it is not refreshed at each such answer.
    assert (acme.auth.refreshes, len(acme.asked("GET", "/v1/me"))) == (0, 1)
    assert await column(platform, account, "status") == "active"


async def test_an_account_that_cannot_be_refreshed_dies_of_its_own_401_only(settings: Settings, user: UUID) -> None:
    github = Acme(Dialect(refreshes=False, expires_in=None))
    async with serving(github) as given, platform_with(settings, given) as platform:
        account = await connected(platform, github, user)
        github.next(Fault(status=401), "POST /v1/notes")
        with pytest.raises(sdk.Rejected):
            await write(platform, account)
        assert await column(platform, account, "status") == "active"
        github.auth.withdraw()
        platform.accounts.vault._good.clear()  # the minute for which its word was good is over
        with pytest.raises(sdk.Reconnect):
            await write(platform, account)
        assert await column(platform, account, "status") == "needs_reconnect"


async def test_an_answer_of_200_that_says_no_counts_as_refused(settings: Settings, user: UUID) -> None:
    slack = Acme()
    service = make_service()

    def judge(response: object) -> None:
        body = response.json()  # type: ignore[attr-defined]
        if isinstance(body, dict) and body.get("ok") is False:
            raise sdk.Reconnect(f"Acme said {body['error']}")

    service.judge = judge
    async with serving(slack) as given, platform_with(settings, given, service) as platform:
        account = await connected(platform, slack, user)
        await ends_in(platform, account, 3600)
        slack.next(Fault(body={"ok": False, "error": "token_expired"}), "POST /v1/notes")
        assert await write(platform, account) == 201
        assert slack.auth.refreshes == 1


async def test_secrets_open_in_their_own_row_only(platform: Platform, acme: Acme, user: UUID) -> None:
    one, two = await connected(platform, acme, user), await connected(platform, acme, user, acme.users[1])
    stolen = await column(platform, one, "credentials")
    await platform.db.pool.execute("UPDATE connected_accounts SET credentials = $2 WHERE id = $1", two, stolen)
    with pytest.raises(sdk.Unavailable, match="AREA_OLD_SECRET_KEYS"):
        await write(platform, two)
    assert await write(platform, one) == 201


async def test_an_account_of_somebody_else_or_a_disconnected_one_is_not_opened(
    platform: Platform, acme: Acme, user: UUID
) -> None:
    account = await connected(platform, acme, user)
    with pytest.raises(sdk.Rejected, match="disconnected"):
        await platform.accounts.vault.open(account, UUID(int=1))
    await platform.accounts.disconnect(user, account)
    with pytest.raises(sdk.Rejected, match="disconnected"):
        await platform.accounts.vault.open(account, user)
    assert await column(platform, account, "credentials IS NULL AND status = 'revoked'")
    assert [grant.withdrawn for grant in acme.auth.grants] == [True]


async def test_the_token_of_the_app_is_fetched_once_for_all_processes_and_anew_when_refused(
    settings: Settings, acme: Acme
) -> None:
    given = acme.environment()
    async with platform_with(settings, given) as one, platform_with(settings, given) as two:
        await one.redis.delete(*[key async for key in one.redis.scan_iter("area:app-token:acme:*")] or ["none"])
        service = one.registry.services["acme"]

        async def ask(platform: Platform) -> int:
            async with platform.accounts.using(service, lambda *_: None, account_id=None) as ctx:
                return (await ctx.app_http.get("/app")).status_code

        assert await asyncio.gather(*(ask(platform) for platform in (one, two) for _ in range(10))) == [200] * 20
        assert len(acme.asked("POST", "/oauth2/token")) == 1
        acme.auth.expire()
        assert await asyncio.gather(*(ask(platform) for platform in (one, two) for _ in range(10))) == [200] * 20
        assert len(acme.asked("POST", "/oauth2/token")) == 2
        stored = [await one.redis.get(key) async for key in one.redis.scan_iter("area:app-token:acme:*")]
        assert not any(
            token.encode() in value for grant in acme.auth.grants for token in grant.access for value in stored
        )


async def test_a_token_endpoint_that_sends_elsewhere_is_not_followed(
    platform: Platform, acme: Acme, user: UUID
) -> None:
    """A redirect to a private address: the client's secret and the refresh token go nowhere else."""
    inside = Acme()
    async with serving(inside):
        account = await connected(platform, acme, user)
        await ends_in(platform, account, -1)
        acme.next(Fault(status=307, headers={"Location": f"{inside.url}/oauth2/token"}), TOKEN)
        with pytest.raises(sdk.Unavailable, match="answered 307 instead of tokens"):
            await write(platform, account)
        assert inside.calls == []
    assert (acme.auth.refreshes, acme.notes) == (0, [])
    assert await column(platform, account, "status = 'active' AND version = 1 AND retry_at > now()")


async def test_a_token_endpoint_at_a_private_address_is_not_called(settings: Settings, acme: Acme, user: UUID) -> None:
    closed = settings.model_copy(update={"egress_allow": []})
    async with platform_with(closed, acme.environment()) as platform:
        account = await connected(platform, acme, user)
        await ends_in(platform, account, -1)
        with pytest.raises(sdk.Unavailable, match="cannot be called"):
            await write(platform, account)
        assert acme.calls == []
        assert await column(platform, account, "status = 'active' AND version = 1")


async def test_ten_megabytes_from_a_token_endpoint_are_not_read(platform: Platform, acme: Acme, user: UUID) -> None:
    account = await connected(platform, acme, user)
    await ends_in(platform, account, -1)
    acme.next(Fault(body={"access_token": "x", "token_type": "Bearer"}, size=10 << 20), TOKEN)
    with pytest.raises(sdk.Unavailable, match="more than 1048576 bytes"):
        await write(platform, account)
    assert acme.notes == []
    assert await column(platform, account, "status = 'active' AND version = 1")
    # It was the answer that was bad, not the account.
    await platform.db.pool.execute("UPDATE connected_accounts SET retry_at = NULL WHERE id = $1", account)
    assert await write(platform, account) == 201
