"""The policies for Supabase: a user reads his own rows and nothing else, and nobody writes."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest

from area.core.ids import new_id
from area.core.settings import Settings
from area.db.session import plain_url

POLICIES = Path(__file__).parents[2] / "deploy" / "supabase" / "row_level_security.sql"
# What a Supabase project has and a plain Postgres has not.
SUPABASE = """
CREATE SCHEMA auth;
CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE AS $$ SELECT nullif(current_setting('request.uid', true), '')::uuid $$;
GRANT USAGE ON SCHEMA auth, public TO anon, authenticated;
"""
ROLES = "DO $$ BEGIN CREATE ROLE anon; CREATE ROLE authenticated; EXCEPTION WHEN duplicate_object THEN NULL; END $$"


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    """The migrated database in a transaction that is taken back: two users with an AREA each, and the policies."""
    connection = await asyncpg.connect(plain_url(settings.database_url.get_secret_value()))
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute(ROLES)
    await connection.execute(SUPABASE)
    for _ in range(2):
        await connection.execute(POLICIES.read_text())  # it may be run again
    yield connection
    await transaction.rollback()
    await connection.close()


async def _user(database: asyncpg.Connection) -> UUID:
    user = new_id()
    mail = f"{user.hex}@example.com"
    await database.execute("INSERT INTO users (id, email, password_hash) VALUES ($1, $2, 'secret')", user, mail)
    await database.execute("INSERT INTO areas (id, user_id, name) VALUES ($1, $2, $3)", new_id(), user, mail)
    return user


async def test_a_user_reads_what_is_his_and_writes_nothing(database: asyncpg.Connection) -> None:
    ada, _bob = await _user(database), await _user(database)
    await database.execute("SELECT set_config('request.uid', $1, true)", str(ada))
    await database.execute("SET LOCAL ROLE authenticated")
    assert [row["user_id"] for row in await database.fetch("SELECT * FROM areas")] == [ada]
    assert [row["id"] for row in await database.fetch("SELECT id, email FROM users")] == [ada]
    for refused in (
        "SELECT password_hash FROM users",
        "SELECT credentials FROM connected_accounts",
        "SELECT * FROM sessions",
        "SELECT * FROM hooks",
        "UPDATE areas SET name = 'x'",
        "DELETE FROM runs",
        f"INSERT INTO areas (id, user_id, name) VALUES (gen_random_uuid(), '{ada}', 'x')",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with database.transaction():
                await database.execute(refused)


async def test_nobody_signed_in_reads_nothing(database: asyncpg.Connection) -> None:
    await _user(database)
    await database.execute("SET LOCAL ROLE anon")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await database.fetch("SELECT * FROM areas")


async def test_every_table_is_closed_unless_it_is_opened_on_purpose(database: asyncpg.Connection) -> None:
    open_ones = await database.fetch(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace "
        "AND relkind IN ('r', 'p') AND NOT relrowsecurity"
    )
    assert open_ones == []
