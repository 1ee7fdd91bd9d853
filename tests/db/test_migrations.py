"""The migrations and the models tell the same schema; the hot statements fit it."""

import pytest
from alembic import command
from alembic.script import ScriptDirectory

from area.core.settings import Settings
from area.db.migrate import config
from area.db.version import SchemaBehind, applied, is_current, newest
from area.engine import approvals, calls, cancelling, control, outcomes, replays, statements
from area.engine.connections import held, needs, store
from area.engine.platform import Platform


async def test_a_migrated_database_has_no_drift_from_the_models(platform: Platform, settings: Settings) -> None:
    import asyncio

    assert await is_current(platform.db.pool)
    # Raises when autogenerate would change anything.
    await asyncio.to_thread(command.check, config(settings.database_url.get_secret_value()))


def test_the_newest_migration_is_the_one_that_alembic_would_end_at() -> None:
    assert newest() == ScriptDirectory.from_config(config("")).get_current_head()


async def test_a_process_waits_for_migrations_and_then_says_what_is_lacking(platform: Platform) -> None:
    import asyncio

    await platform.db.pool.execute("UPDATE alembic_version SET version_num = '0001'")
    try:
        with pytest.raises(SchemaBehind, match=f"up to {newest()}; run `area migrate`"):
            await applied(platform.db.pool, patience=0)
        waiting = asyncio.create_task(applied(platform.db.pool))
        await asyncio.sleep(0)
    finally:
        await platform.db.pool.execute("UPDATE alembic_version SET version_num = $1", newest())
    await waiting


async def test_code_goes_on_over_a_newer_schema_than_its_own(platform: Platform) -> None:
    await platform.db.pool.execute("UPDATE alembic_version SET version_num = '9999'")
    try:
        assert await is_current(platform.db.pool)
    finally:
        await platform.db.pool.execute("UPDATE alembic_version SET version_num = $1", newest())


async def test_every_hot_statement_prepares(platform: Platform) -> None:
    async with platform.db.pool.acquire() as connection:
        for module in (statements, approvals, calls, cancelling, control, outcomes, replays, held, needs, store):
            for name, sql in vars(module).items():
                if name.isupper() and not name.startswith("_") and isinstance(sql, str) and "FROM" in sql:
                    assert await connection.prepare(sql), name


async def test_sql_ids_are_time_ordered_version_7(platform: Platform) -> None:
    rows = await platform.db.pool.fetch("SELECT area_uuid7() AS id FROM generate_series(1, 50)")
    assert {row["id"].version for row in rows} == {7}
    later = await platform.db.pool.fetchval("SELECT area_uuid7() FROM pg_sleep(0.005)")
    assert all(row["id"] < later for row in rows)
