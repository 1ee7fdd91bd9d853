"""The embedded servers: data outlives a stop and a crash, and one process owns a data directory."""

import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
import redis.asyncio

from area.app.embedded import Embedded
from area.app.processes import EmbeddedError


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory that the user of an embedded Postgres may enter, which pytest's own are not."""
    made = Path(tempfile.mkdtemp(prefix="area-embedded-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


async def query(url: str, sql: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def test_data_survives_a_restart(directory: Path) -> None:
    with Embedded(directory) as embedded:
        await query(embedded.database_url, "CREATE TABLE kept AS SELECT 42 AS answer")
        client = redis.asyncio.Redis.from_url(embedded.redis_url)
        assert await client.ping()
        await client.aclose()

    with Embedded(directory) as embedded:
        assert await query(embedded.database_url, "SELECT answer FROM kept") == 42


async def test_data_survives_a_crash_of_postgres(directory: Path) -> None:
    with Embedded(directory, with_redis=False) as embedded:
        await query(embedded.database_url, "CREATE TABLE kept AS SELECT 42 AS answer")
        process = embedded.servers[0].process
        assert process is not None
        process.send_signal(signal.SIGKILL)
        process.wait()

        assert embedded.revive() == ["Postgres"]
        assert embedded.revive() == []

    with Embedded(directory, with_redis=False) as embedded:
        assert await query(embedded.database_url, "SELECT answer FROM kept") == 42


def test_a_foreign_process_with_the_old_number_is_no_obstacle(directory: Path) -> None:
    with Embedded(directory, with_redis=False):
        pass
    note = directory / "postgres" / "postmaster.pid"
    note.write_text("1\n")

    with Embedded(directory, with_redis=False) as embedded:
        assert embedded.servers[0].is_running()


def test_one_owner_at_a_time(directory: Path) -> None:
    with (
        Embedded(directory, with_postgres=False),
        pytest.raises(EmbeddedError, match="is in use by another `area dev`") as refused,
    ):
        Embedded(directory, with_postgres=False).start()

    assert "AREA_DATA_DIR" in str(refused.value)
