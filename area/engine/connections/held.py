"""Runs that wait for an account to be connected again: they go on by themselves, or fail, with a reason, when it takes too long.

The worker holds a run (`steps`), naming the account in ``runs.error``; everything after that happens here, by conditional UPDATEs
that raise the fence.
"""

from datetime import timedelta
from uuid import UUID

import asyncpg

from area.core import log, metrics
from area.core.settings import Settings
from area.engine.admission import Admission
from area.engine.cancelling import IN_DOUBT
from area.engine.doorbell import Doorbell

logger = log.get(__name__)

AT_ONCE = 500
CODE = "ACCOUNT_NEEDS_RECONNECT"
"""Why a run is held."""
TOO_LONG = "ACCOUNT_NOT_RECONNECTED"
DISCONNECTED = "ACCOUNT_DISCONNECTED"

# Whatever the account, or only $1. A run that was asked to cancel meanwhile is claimed, and cancelled.
RELEASE = """
WITH free AS (
  SELECT r.id FROM runs r JOIN connected_accounts a ON a.id::text = r.error ->> 'accountId' AND a.status IN ('active', 'expiring')
  WHERE r.status = 'held' AND ($1::text IS NULL OR r.error ->> 'accountId' = $1::text)
  ORDER BY r.id LIMIT $2 FOR UPDATE OF r SKIP LOCKED
), freed AS (
  UPDATE runs SET status = 'queued', fence = fence + 1, last_seq = last_seq + 1, error = NULL, lease_until = NULL,
    admitted = max_concurrent_runs IS NULL
  FROM free WHERE runs.id = free.id AND runs.status = 'held'
  RETURNING runs.id, runs.user_id, runs.area_id, runs.last_seq
), told AS (
  INSERT INTO run_events (run_id, seq, day, user_id, area_id, at, kind, level, message)
  SELECT id, last_seq, date_trunc('day', now()), user_id, area_id, now(), 'run_resumed', 'info', 'Its account is connected again'
  FROM freed
)
SELECT id, user_id, area_id FROM freed
"""

_FAIL = """
WITH {over}, ended AS (
  UPDATE runs SET status = 'failed', finished_at = now(), fence = fence + 1, last_seq = last_seq + 1, lease_until = NULL,
    error = runs.error || jsonb_build_object('code', $1::text, 'message', $2::text)
  FROM over WHERE runs.id = over.id AND runs.status = 'held'
  RETURNING runs.id, runs.user_id, runs.area_id, runs.last_seq, runs.error
), steps AS (
  UPDATE run_steps SET finished_at = now(), due_at = NULL, error = CASE WHEN run_steps.status <> 'pending' THEN ended.error END,
    -- A call that was under way when its worker died, and could not be asked about since, stays unknown.
    effect = CASE WHEN {in_doubt} THEN 'unknown' ELSE effect END,
    status = CASE WHEN {in_doubt} THEN 'unknown'
      WHEN run_steps.key = ended.error ->> 'step' THEN 'failed' ELSE 'skipped' END
  FROM ended WHERE run_steps.run_id = ended.id AND run_steps.status IN ('pending', 'waiting', 'running')
), told AS (
  INSERT INTO run_events (run_id, seq, day, user_id, area_id, at, kind, level, message, data)
  SELECT id, last_seq, date_trunc('day', now()), user_id, area_id, now(), 'run_failed', 'error', $2,
    jsonb_build_object('error', error)
  FROM ended
)
SELECT id, user_id FROM ended
"""

EXPIRE = _FAIL.format(
    in_doubt=IN_DOUBT,
    over="""waiting AS (
  SELECT id, error, row_number() OVER (PARTITION BY error ->> 'accountId' ORDER BY id DESC) AS place
  FROM runs WHERE status = 'held' AND error ->> 'accountId' IS NOT NULL
), over AS (
  SELECT id FROM waiting WHERE place > $3 OR (error ->> 'heldAt')::timestamptz < now() - $4::interval ORDER BY id LIMIT $5
)""",
)

FAIL = _FAIL.format(
    in_doubt=IN_DOUBT,
    over="over AS (SELECT id FROM runs WHERE status = 'held' AND error ->> 'accountId' = $3::text ORDER BY id LIMIT $4)",
)

# What was not asked for while the account was dead is asked for at once.
WAKE_HOOKS = """
UPDATE hooks SET next_due_at = now()
WHERE account_id = $1 AND (status IN ('broken', 'pending') OR (status = 'active' AND kind = 'poll'))
"""


class Held:
    """Lets held runs go."""

    def __init__(self, pool: asyncpg.Pool, doorbell: Doorbell, admission: Admission, settings: Settings) -> None:
        self._pool = pool
        self._admission = admission
        self._doorbell = doorbell
        self._days = timedelta(days=settings.held_days)
        self._most = settings.held_runs

    async def release(self, account_id: UUID | None = None) -> int:
        """Let the runs of a live account go on, or those of every live account; the answer is how many there were."""
        await self.expire()
        only, count = None if account_id is None else str(account_id), 0
        while rows := await self._pool.fetch(RELEASE, only, AT_ONCE):
            count += len(rows)
            self._doorbell.ring(len(rows))
            self._admission.later(row["area_id"] for row in rows)
            for row in rows:
                self._doorbell.announce(row["user_id"], row["id"])
        if count:
            logger.info("runs.released", runs=count, account=only)
        return count

    async def wake_hooks(self, account_id: UUID) -> None:
        """Look at the sources of an account that is alive again."""
        await self._pool.execute(WAKE_HOOKS, account_id)

    async def expire(self) -> int:
        """Fail the runs that have waited too long, or are too many for one account; the oldest first."""
        message = (
            f"Its account was not connected again within {self._days.total_seconds() / 86400:g} days, or more than "
            f"{self._most} runs waited for it. Connect the account and replay this run."
        )
        return await self._fail(EXPIRE, TOO_LONG, message, self._most, self._days, AT_ONCE)

    async def fail(self, account_id: UUID) -> int:
        """Fail the runs that wait for an account which its owner has disconnected."""
        message = "Its account was disconnected while it waited. Connect it again and replay this run."
        return await self._fail(FAIL, DISCONNECTED, message, str(account_id), AT_ONCE)

    async def _fail(self, statement: str, *given: object) -> int:
        count = 0
        while rows := await self._pool.fetch(statement, *given):
            count += len(rows)
            metrics.RUNS.labels("failed").inc(len(rows))
            for row in rows:
                self._doorbell.announce(row["user_id"], row["id"])
        return count
