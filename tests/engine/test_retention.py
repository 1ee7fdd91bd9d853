"""What is forgotten in time, and what never: the history makes room, and no log of a run that is there gets a gap."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from area.core.ids import first_id_at, new_id
from area.engine import retention
from area.engine.housekeeping import DAYS_AHEAD, make_partitions
from area.engine.retention import forget
from tests.engine.conftest import World, log

DAYS = 30


def ago(days: float) -> datetime:
    return datetime.now(UTC) - timedelta(days=days)


def id_of(moment: datetime) -> UUID:
    """An id as it was made at that moment."""
    return UUID(int=first_id_at(moment).int | new_id().int & ((1 << 62) - 1))


class Past:
    """Rows as earlier days have left them."""

    def __init__(self, world: World, hook: UUID) -> None:
        self.world, self.hook = world, hook

    async def event(self, began: float) -> UUID:
        insert = "INSERT INTO events (id, hook_id, dedupe_key, payload, received_at) VALUES ($1, $2, $3, '{}', $4)"
        event = id_of(ago(began))
        await self.world.pool.execute(insert, event, self.hook, str(event), ago(began))
        return event

    async def run(self, began: float, ended: float | None, event: UUID | None = None, of: UUID | None = None) -> UUID:
        run, status = id_of(ago(began)), "held" if ended is None else "succeeded"
        await self.world.pool.execute(
            "INSERT INTO runs (id, user_id, area_id, area_version_id, event_id, status, replay_of, last_seq, created_at, "
            "finished_at) VALUES ($1, $2, $3, $3, $4, $5, $6, 2, $7, $8)",
            run, self.world.user, new_id(), event, status, of, ago(began), None if ended is None else ago(ended),
        )  # fmt: skip
        step = "INSERT INTO run_steps (run_id, position, key, reaction) VALUES ($1, 0, 'a', 'flow.log')"
        await self.world.pool.execute(step, run)
        payload = "INSERT INTO blobs (id, run_id, content) VALUES ($1, $2, 'x')"
        await self.world.pool.execute(payload, new_id(), run)
        for seq, moment in enumerate((began, began if ended is None else ended), 1):
            await self.world.pool.execute(
                "INSERT INTO run_events (run_id, seq, day, user_id, area_id, at, kind, level, message) "
                "VALUES ($1, $2, date_trunc('day', $3::timestamptz), $4, $4, $3, 'log', 'info', 'x')",
                run, seq, ago(moment), self.world.user,
            )  # fmt: skip
        return run

    async def partition(self, days: float) -> str:
        day = ago(days).replace(hour=0, minute=0, second=0, microsecond=0)
        name = f"run_events_d{day:%Y%m%d}"
        span = f"FROM ('{day.isoformat()}') TO ('{(day + timedelta(days=1)).isoformat()}')"
        await self.world.pool.execute(f"CREATE TABLE {name} PARTITION OF run_events FOR VALUES {span}")
        return name

    async def rows(self, table: str, *ids: UUID, column: str = "id") -> list[UUID]:
        found = await self.world.pool.fetch(
            f"SELECT DISTINCT {column} FROM {table} WHERE {column} = ANY($1)", list(ids)
        )
        return [one for one in ids if one in {row[0] for row in found}]

    async def has(self, partition: str) -> bool:
        return await self.world.pool.fetchval("SELECT to_regclass($1)", partition) is not None


@pytest.fixture
async def past(world: World) -> Past:
    hook = (await world.area(log("a"))).hook_id
    assert hook is not None
    # A day whose lines lie in the catch-all cannot have a partition.
    await world.pool.execute("DELETE FROM run_events_rest WHERE day < now() - interval '1 day'")
    return Past(world, hook)


async def test_what_ended_long_ago_is_forgotten_with_all_that_is_its_own(past: Past) -> None:
    old, young = await past.run(45, 31), await past.run(45, 29)
    held, lately = await past.run(45, None), await past.run(2, 1)
    runs = (old, young, held, lately)
    await forget(past.world.pool, DAYS)
    assert await past.rows("runs", *runs) == [young, held, lately]
    for table in ("run_steps", "blobs", "run_events"):
        assert await past.rows(table, *runs, column="run_id") == [young, held, lately], table


async def test_an_event_is_kept_for_as_long_as_a_run_of_it_is(past: Past) -> None:
    alone, ran, replayed, held, young = [await past.event(days) for days in (40, 40, 40, 40, 20)]
    first = await past.run(40, 39, ran)
    again = await past.run(40, 39, replayed)
    await past.run(3, 2, replayed, of=again)
    await past.run(40, None, held)
    await forget(past.world.pool, DAYS)
    assert await past.rows("runs", first, again) == []
    assert await past.rows("events", alone, ran, replayed, held, young) == [replayed, held, young]


async def test_lines_of_the_ledger_go_with_their_time(past: Past) -> None:
    insert = "INSERT INTO deliveries (id, user_id, hook_id, outcome, created_at) VALUES ($1, $2, $3, 'paused', $4)"
    old, young = id_of(ago(31)), id_of(ago(29))
    for line, days in ((old, 31), (young, 29)):
        await past.world.pool.execute(insert, line, past.world.user, past.hook, ago(days))
    await forget(past.world.pool, DAYS)
    assert await past.rows("deliveries", old, young) == [young]


async def test_a_day_of_the_feed_is_dropped_whole_but_for_runs_that_are_still_there(past: Past) -> None:
    partition, kept = await past.partition(45), await past.partition(29)
    old, young, held = await past.run(45, 44), await past.run(45, 29), await past.run(45, None)
    numbers = "SELECT run_id, seq, txid, number FROM run_events WHERE run_id = ANY($1) ORDER BY txid, number"
    before = await past.world.pool.fetch(numbers, [young, held])
    await forget(past.world.pool, DAYS)
    assert (await past.has(partition), await past.has(kept)) == (False, True)
    assert await past.rows("run_events", old, column="run_id") == []
    for run in (young, held):
        assert await past.world.story(run) == ["log", "log"]
    assert await past.world.pool.fetch(numbers, [young, held]) == before, "cursors of the feed stay good"
    await past.world.pool.execute("DELETE FROM runs WHERE id = ANY($1)", [young, held])
    await forget(past.world.pool, DAYS)
    assert await past.rows("run_events", young, held, column="run_id") == [young], "its end is of a day that is kept"
    await past.world.pool.execute(f"DROP TABLE {kept}")


async def test_a_reader_of_the_feed_is_not_waited_for_long(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "LOCK_WAIT", "20ms")
    partition = await past.partition(50)
    async with past.world.pool.acquire() as reader, reader.transaction():
        await reader.execute("SELECT count(*) FROM run_events")
        await forget(past.world.pool, DAYS)
        assert await past.has(partition)
    await forget(past.world.pool, DAYS)
    assert not await past.has(partition)


async def test_more_than_one_batch_and_more_than_one_scheduler(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "AT_ONCE", 7)
    monkeypatch.setattr(retention, "PAUSE_SECONDS", 0)
    partition = await past.partition(60)
    runs = [await past.run(60, 59) for _ in range(40)]
    held = await past.run(60, None)
    gone = await asyncio.gather(*(forget(past.world.pool, DAYS) for _ in range(3)))
    assert await past.rows("runs", *runs, held) == [held]
    assert sum(one["runs"] for one in gone) >= 40
    assert not await past.has(partition)
    assert await past.world.story(held) == ["log", "log"]


async def test_the_coming_days_have_partitions_and_lines_go_there(world: World) -> None:
    await asyncio.gather(*(make_partitions(world.pool) for _ in range(3)))
    await make_partitions(world.pool)
    for ahead in range(1, DAYS_AHEAD + 1):
        day = datetime.now(UTC) + timedelta(days=ahead)
        assert await world.pool.fetchval("SELECT to_regclass($1)", f"run_events_d{day:%Y%m%d}") is not None
        at = await world.pool.fetchval(
            "INSERT INTO run_events (run_id, seq, day, user_id, area_id, at, kind, level, message) "
            "VALUES ($1, 1, date_trunc('day', $2::timestamptz), $1, $1, $2, 'log', 'info', 'x') RETURNING tableoid::regclass::text",
            new_id(), day,
        )  # fmt: skip
        assert at == f"run_events_d{day:%Y%m%d}"
