"""The rate governor: what one worker hears, all go by; a call that would be refused is not made, with Redis or without."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID

import httpx
import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from area.core.ids import new_id
from area.core.settings import Settings
from area.engine.connections.governor import Governor, Lesson
from area.engine.platform import Platform
from area.nodes import sdk
from tests.engine.connections import connected, context, platform_with
from tests.providers.acme import Acme
from tests.providers.base import serving
from tests.providers.calls import Fault


def in_seconds(seconds: float) -> int:
    return int((datetime.now(UTC).timestamp() + seconds) * 1000)


@pytest.fixture
async def away() -> AsyncIterator[Redis]:
    """A Redis that is not there."""
    redis = Redis.from_url("redis://127.0.0.1:1/0")
    yield redis
    await redis.aclose()


@pytest.fixture(params=["redis", "without"])
async def pair(request: pytest.FixtureRequest, platform: Platform, away: Redis) -> tuple[Governor, Governor]:
    """Two workers' governors where there is Redis; without, one alone."""
    if request.param == "redis":
        return Governor(platform.redis), Governor(platform.redis)
    alone = Governor(away)
    return alone, alone


async def test_what_is_left_is_shared_out_and_no_more(pair: tuple[Governor, Governor]) -> None:
    one, two = pair
    key = str(new_id())
    await one.learn(key, "r", Lesson(limit=100, remaining=10, reset=in_seconds(60)))
    waits = await asyncio.gather(*((one if number % 2 else two).admit(key, "r") for number in range(25)))
    assert sum(wait == 0 for wait in waits) == 10
    assert all(50 < wait <= 60 for wait in waits if wait)
    state = await two.state(key)
    assert state is not None
    assert (state.limit, state.remaining, state.blocked_until) == (100, 0, None)
    assert state.resets_at is not None


async def test_a_late_answer_does_not_give_back_what_was_taken(pair: tuple[Governor, Governor]) -> None:
    one, _ = pair
    key, reset = str(new_id()), in_seconds(60)
    await one.learn(key, "r", Lesson(limit=100, remaining=3, reset=reset))
    for _ in range(3):
        assert await one.admit(key, "r") == 0
    # Answers come in any order; each tells what was left when it was made.
    await one.learn(key, "r", Lesson(limit=100, remaining=2, reset=reset))
    assert await one.admit(key, "r") > 0
    # A new window is believed.
    await one.learn(key, "r", Lesson(limit=100, remaining=99, reset=in_seconds(600)))
    assert await one.admit(key, "r") == 0


async def test_a_window_that_has_ended_stops_nobody(pair: tuple[Governor, Governor]) -> None:
    one, two = pair
    key = str(new_id())
    await one.learn(key, "r", Lesson(limit=100, remaining=0, reset=in_seconds(-1)))
    assert await two.admit(key, "r") == 0
    state = await two.state(key)
    assert state is not None
    assert (state.limit, state.remaining, state.resets_at) == (100, None, None)


async def test_a_pause_stops_all_routes_and_a_bucket_only_its_own(pair: tuple[Governor, Governor]) -> None:
    one, two = pair
    key = str(new_id())
    await one.learn(key, "messages", Lesson(wait=5_000, is_route=True))
    assert 4 < await two.admit(key, "messages") <= 5
    assert await two.admit(key, "reactions") == 0
    await one.learn(key, "messages", Lesson(wait=30_000))
    assert 29 < await two.admit(key, "reactions") <= 30
    # A shorter pause does not end a longer one.
    await one.learn(key, "messages", Lesson(wait=1_000))
    assert 28 < await two.admit(key, "reactions") <= 30
    state = await two.state(key)
    assert state is not None
    assert state.blocked_until is not None


async def test_accounts_do_not_stop_one_another_and_nothing_is_known_at_first(pair: tuple[Governor, Governor]) -> None:
    one, _ = pair
    await one.learn(str(new_id()), "r", Lesson(wait=60_000))
    other = str(new_id())
    assert await one.admit(other, "r") == 0
    assert await one.state(other) is None


async def test_the_governor_stands_before_the_calls_of_an_account(settings: Settings, user: UUID) -> None:
    acme = Acme()
    async with (
        serving(acme) as given,
        platform_with(settings, given) as one,
        platform_with(settings, given) as two,
    ):
        account = await connected(one, acme, user)
        fresh = {"X-RateLimit-Limit": "50", "X-RateLimit-Remaining": "2", "X-RateLimit-Reset": "3600"}
        acme.next(Fault(body={"notes": []}, headers=fresh), "GET /v1/notes")
        acme.next(Fault(body={"notes": []}), "GET /v1/notes", times=2)
        for platform in (one, two, one):
            async with context(platform, account) as ctx:
                assert (await ctx.http.get("/notes")).status_code == 200
        calls = len(acme.calls)
        with pytest.raises(sdk.Throttled, match="none was made") as caught:
            async with context(two, account) as ctx:
                await ctx.http.get("/notes")
        assert 3500 < caught.value.retry_after <= 3600
        assert len(acme.calls) == calls
        limit = await two.accounts.rate_limit(account)
        assert limit is not None
        assert (limit.limit, limit.remaining) == (50, 0)


async def test_every_form_of_refusal_teaches_it(settings: Settings, user: UUID) -> None:
    acme = Acme()
    async with serving(acme) as given, platform_with(settings, given) as platform:
        account = await connected(platform, acme, user)
        acme.next(
            Fault(
                status=403, body={"message": "You have exceeded a secondary rate limit."}, headers={"retry-after": "33"}
            )
        )
        async with context(platform, account) as ctx:
            with pytest.raises(sdk.Throttled):
                await ctx.http.get("/notes")
            with pytest.raises(sdk.Throttled, match="none was made") as caught:
                await ctx.http.get("/boards")
        assert 31 < caught.value.retry_after <= 33
        assert len(acme.calls) == 1


async def test_calls_go_on_while_redis_is_away(settings: Settings, user: UUID) -> None:
    acme = Acme()
    lonely = settings.model_copy(update={"redis_url": SecretStr("redis://127.0.0.1:1/0")})
    async with serving(acme) as given, platform_with(lonely, given) as platform:
        account = await connected(platform, acme, user)
        async with context(platform, account) as ctx:
            assert (await ctx.http.get("/notes")).status_code == 200
            acme.next(Fault(status=429, headers={"Retry-After": "9"}))
            with pytest.raises(sdk.Throttled):
                await ctx.http.get("/notes")
            with pytest.raises(sdk.Throttled, match="none was made"):
                await ctx.http.get("/notes")


async def test_a_streamed_answer_is_learned_from_and_left_unread(settings: Settings, user: UUID) -> None:
    acme = Acme()
    async with serving(acme) as given, platform_with(settings, given) as platform:
        account = await connected(platform, acme, user)
        headers = {"X-RateLimit-Limit": "9", "X-RateLimit-Remaining": "8", "X-RateLimit-Reset": "60"}
        acme.next(Fault(body={"notes": []}, headers=headers))
        async with context(platform, account) as ctx, ctx.http.stream("GET", "/notes") as response:
            assert isinstance(response, httpx.Response)
            assert not response.is_stream_consumed
            assert await response.aread() == b'{"notes": []}'
        limit = await platform.accounts.rate_limit(account)
        assert limit is not None
        assert limit.remaining == 8
