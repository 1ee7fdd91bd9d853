"""What keeps the tables in shape: a partition for each day to come, the catalogue in step."""

from datetime import timedelta

import asyncpg

from area.core import log
from area.core.clock import now
from area.engine.platform import Platform
from area.engine.retention import PARTITIONS

logger = log.get(__name__)

DAYS_AHEAD = 3


async def make_partitions(pool: asyncpg.Pool) -> None:
    """Make the feed's partitions of the coming days."""
    today = now().replace(hour=0, minute=0, second=0, microsecond=0)
    for ahead in range(DAYS_AHEAD + 1):
        day = today + timedelta(days=ahead)
        statement = (
            f"CREATE TABLE IF NOT EXISTS {PARTITIONS}{day:%Y%m%d} PARTITION OF run_events "
            f"FOR VALUES FROM ('{day.isoformat()}') TO ('{(day + timedelta(days=1)).isoformat()}')"
        )
        try:
            await pool.execute(statement)
        except (asyncpg.CheckViolationError, asyncpg.DuplicateTableError, asyncpg.UniqueViolationError) as error:
            # Lines of that day are in the catch-all partition already, or another scheduler was first.
            logger.info("partition.kept_aside", day=f"{day:%Y-%m-%d}", error=str(error))


async def sync_services(platform: Platform) -> None:
    """Bring the table of services in step with the code."""
    services = platform.registry.services
    await platform.db.pool.execute(
        "INSERT INTO services (key, name) SELECT * FROM unnest($1::text[], $2::text[]) "
        "ON CONFLICT (key) DO UPDATE SET name = excluded.name",
        list(services),
        [service.name for service in services.values()],
    )
