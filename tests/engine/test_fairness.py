"""Whose run is next: everyone has a turn, what a person asked for goes first, and nobody has every slot."""

from collections import Counter
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest

from area.core.ids import new_id
from area.engine import control, executor
from area.engine.executor import NOBODY
from tests.engine.conftest import Sink, World, eventually, http, log


@pytest.fixture
async def worlds(world: World) -> list[World]:
    """Five users, and nobody else's runs in the queue."""
    await world.pool.execute("UPDATE runs SET status = 'cancelled', finished_at = now() WHERE finished_at IS NULL")
    found = [world]
    while len(found) < 5:
        user = new_id()
        await world.pool.execute("INSERT INTO users (id, email) VALUES ($1, $2)", user, f"{user.hex}@example.com")
        found.append(World(world.platform, user))
    return sorted(found, key=lambda one: one.user)


async def queue(world: World, count: int) -> None:
    area = await world.area(log("a"))
    for number in range(count):
        await world.fire(area, {"n": number})


async def take(world: World, room: int, served: UUID = NOBODY, **more: object) -> tuple[dict[UUID, int], bool]:
    held = more.get("held", {})
    claims, left = await world.platform.runs.claim_next(room, served, held, more.get("most", 1000))  # type: ignore[arg-type]
    return dict(Counter(claim["user_id"] for claim in claims)), left


async def test_a_flood_does_not_keep_out_the_others(worlds: list[World]) -> None:
    flood, some, one, *_ = worlds
    await queue(flood, 50)
    await queue(some, 4)
    await queue(one, 1)
    assert await take(flood, 9) == ({flood.user: 3, some.user: 3, one.user: 1}, True)
    assert await take(flood, 9) == ({flood.user: 4, some.user: 1}, True)
    assert await take(flood, 9) == ({flood.user: 9}, True)
    assert await take(flood, 100) == ({flood.user: 34}, False)
    assert await take(flood, 100) == ({}, False)


async def test_when_there_is_room_for_few_turns_go_round(worlds: list[World]) -> None:
    for one in worlds:
        await queue(one, 2)
    users = [one.user for one in worlds]
    served, seen = NOBODY, []
    for _ in range(5):
        claims, _more = await worlds[0].platform.runs.claim_next(2, served, {}, 1000)
        seen += sorted((claim["user_id"] for claim in claims), key=lambda user: (user <= served, user))
        served = seen[-1]
    assert seen == users + users


async def test_a_user_with_all_the_slots_that_one_may_have_waits(worlds: list[World]) -> None:
    busy, idle, *_ = worlds
    await queue(busy, 5)
    await queue(idle, 5)
    assert await take(busy, 4, held={busy.user: 10}, most=10) == ({idle.user: 4}, True)
    assert await take(busy, 4, held={busy.user: 8}, most=10) == ({busy.user: 2, idle.user: 1}, True)


async def test_a_worker_full_of_slow_runs_has_room_for_others(worlds: list[World], sink: Sink) -> None:
    slow, quick, *_ = worlds
    area = await slow.area(http("call", sink.url))
    sink.holds = "*"
    for number in range(30):
        await slow.fire(area, {"n": number})

    async def nine_calls() -> bool:
        return len(sink.calls) == 9

    async with slow.working(worker_concurrency=10):
        await eventually(nine_calls)
        await queue(quick, 3)
        theirs = [row["id"] for row in await quick.pool.fetch("SELECT id FROM runs WHERE user_id = $1", quick.user)]
        await quick.ended(*theirs)
        assert len(sink.calls) == 9
        sink.hold.set()
        runs = [row["id"] for row in await slow.pool.fetch("SELECT id FROM runs WHERE user_id = $1", slow.user)]
        await slow.ended(*runs)
    assert len(sink.calls) == 30


async def test_what_a_person_asked_for_goes_before_events(worlds: list[World]) -> None:
    one = worlds[0]
    area = await one.area(log("a"))
    for number in range(3):
        await one.fire(area, {"n": number})
    by_hand = await control.run_area(one.platform, one.user, area.id, {})
    test = await control.run_area(one.platform, one.user, area.id, {}, is_test=True)
    claims, _ = await one.platform.runs.claim_next(2, NOBODY, {}, 1000)
    assert {claim["id"] for claim in claims} == {by_hand, test}


async def test_two_workers_share_a_queue_and_take_nothing_twice(worlds: list[World]) -> None:
    flood = worlds[0]
    await queue(flood, 60)
    runs = [row["id"] for row in await flood.pool.fetch("SELECT id FROM runs WHERE user_id = $1", flood.user)]
    async with flood.working(worker_concurrency=5), flood.working(worker_concurrency=5):
        await flood.ended(*runs)
    assert await flood.pool.fetchval("SELECT count(*) FROM runs WHERE user_id = $1 AND fence = 1", flood.user) == 60


async def test_what_ends_while_more_is_asked_for_is_made_up_for_at_once(
    worlds: list[World], sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = worlds[0]
    monkeypatch.setattr(executor, "LOOK_SECONDS", 3600)
    area = await world.area(http("call", sink.url))
    for number in range(20):
        await world.fire(area, {"n": number})
    await world.platform.doorbell.settle()
    await world.platform.redis.flushdb()  # nobody rings: what is left is for the worker to know
    runs = await world.pool.fetch("SELECT id FROM runs WHERE area_id = $1", area.id)
    sink.holds = "*"

    async def slowly(room: int, served: UUID, held: Mapping[UUID, int], most: int) -> Any:
        answer = await asks(room, served, held, most)
        if held.get(world.user, 0) >= most:
            sink.hold.set()

            async def are_over() -> bool:
                return not working._active

            await eventually(are_over)
        return answer

    async with world.working(worker_concurrency=10) as working:
        asks = working._runs.claim_next
        monkeypatch.setattr(working._runs, "claim_next", slowly)
        await world.ended(*(row["id"] for row in runs))
    assert len(sink.calls) == 20
