"""Figures about AREAs and accounts: how runs ended, and how much of what is allowed is used."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import asyncpg
import strawberry
from strawberry import field

# Both name the user: a figure about somebody else's AREA is zero.
ENDED = """
SELECT count(*) FILTER (WHERE status = 'succeeded') AS succeeded, count(*) FILTER (WHERE status = 'failed') AS failed,
  count(*) FILTER (WHERE status = 'cancelled') AS cancelled,
  count(*) FILTER (WHERE status IN ('queued', 'running', 'waiting', 'held')) AS unfinished
FROM runs WHERE area_id = $1 AND user_id = $2 AND ($3::timestamptz IS NULL OR created_at >= $3)
"""
USED = "SELECT count(*) FROM areas WHERE user_id = $1 AND deleted_at IS NULL"


@strawberry.type(description="How the runs of an AREA ended.")
class AreaStats:
    """How the runs of an AREA ended."""

    succeeded: int = field(description="Runs that succeeded.")
    failed: int = field(description="Runs that failed.")
    cancelled: int = field(description="Runs that were cancelled.")
    unfinished: int = field(description="Runs that wait, are under way, or are held.")


@strawberry.type(description="How much of what is allowed is used.")
class Usage:
    """How much of what is allowed is used."""

    areas: int = field(description="AREAs there are.")
    areas_limit: int = field(description="AREAs there may be.")


async def area_stats(pool: asyncpg.Pool, user_id: UUID, area_id: UUID, since: datetime | None) -> AreaStats:
    """How the runs of an AREA ended, those made since a moment or all."""
    row = await pool.fetchrow(ENDED, area_id, user_id, since)
    return AreaStats(**dict(row))


async def usage(pool: asyncpg.Pool, user_id: UUID, limit: int) -> Usage:
    """What a user uses."""
    return Usage(areas=await pool.fetchval(USED, user_id), areas_limit=limit)
