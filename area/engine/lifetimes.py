"""How long a provider's subscription lives, by what the provider says of it."""

from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

import asyncpg

from area.nodes import sdk

RENEW_AHEAD = 0.2
"""The part of a subscription's life that is left when it is renewed."""

ENDED = """
UPDATE hooks SET remote_id = NULL, expires_at = NULL, status = 'broken', last_error = $2, failure = NULL,
  failures_in_row = failures_in_row + 1, next_due_at = now() + $3::interval
WHERE id = ANY($1::uuid[]) AND status IN ('active', 'broken', 'pending') RETURNING id
"""

LEASED = """
UPDATE hooks SET expires_at = now() + $2::interval, next_due_at = now() + $2::interval * (1 - $3::float8),
  status = CASE WHEN status = 'pending' THEN 'active' ELSE status END,
  last_error = CASE WHEN status = 'pending' THEN NULL ELSE last_error END,
  failure = CASE WHEN status = 'pending' THEN NULL ELSE failure END
WHERE id = $1 AND status IN ('active', 'broken', 'pending')
"""


async def ended(pool: asyncpg.Pool, hooks: Iterable[UUID], told: sdk.SubscriptionEnded) -> None:
    """The provider says that it delivers no more: subscribe again, after the pause that it leaves."""
    await pool.fetch(ENDED, list(hooks), told.message[:1000], timedelta(seconds=told.again_after))


async def granted(pool: asyncpg.Pool, hook_id: UUID, seconds: float) -> None:
    """The provider's handshake says how long it will deliver."""
    await pool.execute(LEASED, hook_id, timedelta(seconds=min(max(seconds, 60.0), 366 * 86400.0)), RENEW_AHEAD)
