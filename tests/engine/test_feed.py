"""The feed has no gap and no duplicate, whatever commits when (law 6)."""

import asyncio
from uuid import UUID

import pytest

from area.core.errors import InvalidInput, NotFound
from area.core.ids import new_id
from area.engine.areas import ReactionDraft
from tests.engine.conftest import World, log


async def test_a_log_is_replayed_and_then_live_until_its_end(world: World) -> None:
    area = await world.area(ReactionDraft("flow.log", {"message": "l", "repeat": 700}, key="a"))
    await world.fire(area, {})
    run = await world.run_of(area)
    seen: list[int] = []

    async def listen() -> None:
        async for chunk in world.platform.feed.run_log(world.user, run):
            assert len(chunk.entries) <= 200
            seen.extend(line.seq for line in chunk.entries)

    listener = asyncio.create_task(listen())
    await world.execute(run)
    await asyncio.wait_for(listener, 15)
    assert seen == list(range(1, 705 + 1))
    rest = [
        line.seq async for chunk in world.platform.feed.run_log(world.user, run, after=700) for line in chunk.entries
    ]
    assert rest == list(range(701, 705 + 1))


async def test_the_run_of_another_is_not_found(world: World) -> None:
    area = await world.area(log("a"))
    run = await world.happen(area, {})
    with pytest.raises(NotFound):
        await anext(world.platform.feed.run_log(new_id(), run))


async def test_an_account_feed_never_passes_a_commit_that_comes_late(world: World) -> None:
    area = await world.area(log("a"))
    stream = world.platform.feed.account(world.user)
    start = await anext(stream)
    assert start.events == []
    # A line is written, and its transaction stays open while another run writes and commits.
    late = new_id()
    async with world.pool.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(
            "INSERT INTO run_events (run_id, seq, day, user_id, area_id, at, kind, level, message) "
            "VALUES ($1, 1, date_trunc('day', now()), $2, $3, now(), 'log', 'info', 'late')",
            late, world.user, area.id,
        )  # fmt: skip
        run = await world.happen(area, {})
        await transaction.commit()
    got: list[tuple[object, int]] = []
    async with asyncio.timeout(15):
        while len(got) < 7:
            got += [(line.run_id, line.seq) for line in (await anext(stream)).events]
    assert (late, 1) in got
    assert [seq for id_, seq in got if id_ == run] == [1, 2, 3, 4, 5, 6]
    await stream.aclose()  # type: ignore[attr-defined]


async def test_a_listener_whose_connection_to_redis_was_cut_is_woken(world: World) -> None:
    key = str(new_id())
    with world.platform.wakeups.listen(key) as flag:
        world.platform.doorbell.announce(world.user, UUID(key))
        await asyncio.wait_for(flag.wait(), 10)
        flag.clear()
        await world.platform.redis.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        # Whatever was said meanwhile is lost, so everybody looks; and the next word is heard again.
        await asyncio.wait_for(flag.wait(), 4)
        flag.clear()
        world.platform.doorbell.announce(world.user, UUID(key))
        await asyncio.wait_for(flag.wait(), 4)


async def test_a_cursor_resumes_exactly(world: World) -> None:
    area = await world.area(log("a"))
    stream = world.platform.feed.account(world.user)
    cursor = (await anext(stream)).cursor
    await stream.aclose()  # type: ignore[attr-defined]
    first, second = await world.happen(area, {}), await world.happen(area, {})
    got: list[object] = []
    async with asyncio.timeout(15):
        async for chunk in world.platform.feed.account(world.user, cursor):
            got += [(line.run_id, line.seq) for line in chunk.events]
            if len(got) >= 12:
                break
    assert got == [(run, seq) for run in (first, second) for seq in range(1, 7)]


@pytest.mark.parametrize("cursor", ["x", "1", "1.2.3", f"{2**63}.1", f"1.{2**63}"])
async def test_a_forged_cursor_is_refused_clearly(world: World, cursor: str) -> None:
    with pytest.raises(InvalidInput, match="not a cursor"):
        await anext(world.platform.feed.account(world.user, cursor))
