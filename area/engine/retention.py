"""What is forgotten: days of the feed dropped whole, and runs, events and ledger lines that ended that long ago, some at a time."""

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from area.core import log
from area.core.clock import now
from area.core.ids import first_id_at

logger = log.get(__name__)

PARTITIONS = "run_events_d"
"""What the names of daily partitions begin with; the day follows as YYYYMMDD."""
AT_ONCE = 1000
PAUSE_SECONDS = 0.05
"""Between two deletions, so that the history makes room without being in anybody's way."""
LOCK_WAIT = "2s"
"""To drop a partition nobody may read the feed for a moment. Who waits for that makes others wait, so it is not waited for long."""

# Each walks along the ids, which go by time: $1 is where the last one ended, $2 where those that are too young begin.
RUNS = """
WITH old AS (
  SELECT id FROM runs WHERE id > $1 AND id < $2 AND status IN ('succeeded', 'failed', 'cancelled') AND finished_at < $4
  ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED
), payloads AS (
  DELETE FROM blobs USING old WHERE blobs.run_id = old.id
)
DELETE FROM runs USING old WHERE runs.id = old.id RETURNING runs.id
"""
# The two halves of the runs of an event are found by two indexes.
EVENTS = """
DELETE FROM events WHERE id IN (
  SELECT id FROM events e WHERE id > $1 AND id < $2 AND received_at < $4
    AND NOT EXISTS (SELECT 1 FROM runs WHERE event_id = e.id AND replay_of IS NULL AND NOT is_test)
    AND NOT EXISTS (SELECT 1 FROM runs WHERE event_id = e.id AND (replay_of IS NOT NULL OR is_test))
  ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED)
RETURNING id
"""
DELIVERIES = """
DELETE FROM deliveries WHERE id IN (
  SELECT id FROM deliveries WHERE id > $1 AND id < $2 AND created_at < $4 ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED)
RETURNING id
"""
STRAYS = """
WITH gone AS (
  DELETE FROM run_events_rest WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM run_events_rest WHERE day < $1 AND NOT EXISTS (SELECT 1 FROM runs WHERE id = run_id) LIMIT $2))
  RETURNING 1
)
SELECT count(*) FROM gone
"""

OLD_PARTITIONS = (
    "SELECT relname FROM pg_class WHERE relname LIKE $1 AND relname < $2 AND relkind = 'r' ORDER BY relname"
)
# Runs of that time that are still there: they wait, or have ended lately.
STILL_THERE = "SELECT id FROM runs WHERE id < $1 AND (finished_at IS NULL OR finished_at >= $2)"
KEEP_LINES = """
INSERT INTO run_events (run_id, seq, day, user_id, area_id, at, kind, level, step, message, data, txid, number)
OVERRIDING SYSTEM VALUE
SELECT run_id, seq, day, user_id, area_id, at, kind, level, step, message, data, txid, number FROM "{partition}"
WHERE run_id = ANY($1::uuid[])
"""


async def forget(pool: asyncpg.Pool, days: int) -> dict[str, int]:
    """Forget what ended more than ``days`` days ago; how many rows of what. A run that has not ended is never forgotten."""
    until = now() - timedelta(days=days)
    gone = {"runs": await _walk(pool, RUNS, until)}
    gone["events"] = await _walk(pool, EVENTS, until)
    gone["deliveries"] = await _walk(pool, DELIVERIES, until)
    await _drop_partitions(pool, until)
    while await pool.fetchval(STRAYS, _day(until), AT_ONCE) == AT_ONCE:  # noqa: ASYNC110 - others have a turn
        await asyncio.sleep(PAUSE_SECONDS)
    if any(gone.values()):
        logger.info("retention.forgot", **gone)
    return gone


async def _walk(pool: asyncpg.Pool, statement: str, until: datetime) -> int:
    count, after, end = 0, UUID(int=0), first_id_at(until)
    while rows := await pool.fetch(statement, after, end, AT_ONCE, until):
        count += len(rows)
        after = max(row["id"] for row in rows)
        await asyncio.sleep(PAUSE_SECONDS)
    return count


async def _drop_partitions(pool: asyncpg.Pool, until: datetime) -> None:
    for row in await pool.fetch(OLD_PARTITIONS, PARTITIONS + "%", f"{PARTITIONS}{_day(until):%Y%m%d}"):
        partition: str = row["relname"]
        after = datetime.strptime(partition.removeprefix(PARTITIONS) + "+0000", "%Y%m%d%z") + timedelta(days=1)
        kept = [run["id"] for run in await pool.fetch(STILL_THERE, first_id_at(after), until)]
        try:
            async with pool.acquire() as connection, connection.transaction():
                await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_WAIT}'")
                await connection.execute(f'ALTER TABLE run_events DETACH PARTITION "{partition}"')
                # Without a partition of their day they go to the catch-all: a log has no gap while its run is there.
                await connection.execute(KEEP_LINES.format(partition=partition), kept)
                await connection.execute(f'DROP TABLE "{partition}"')
        except (asyncpg.LockNotAvailableError, asyncpg.UndefinedTableError) as error:
            logger.info("partition.kept", partition=partition, reason=str(error))
        else:
            logger.info("partition.dropped", partition=partition, moved_runs=len(kept))


def _day(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)
