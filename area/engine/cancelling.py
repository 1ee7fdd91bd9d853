"""Ending a run before its time: at once where nobody executes it, else by asking the worker that does."""

from typing import Any
from uuid import UUID

import asyncpg

IN_DOUBT = """run_steps.effect = 'intended' AND (run_steps.status = 'running'
      OR (run_steps.status = 'waiting' AND run_steps.error IS NOT NULL))"""
LOST = "Its call had no answer, and the run has ended before it could be made again."

# A run that nobody executes is cancelled here and now; one that is executed is asked to, and stops at its next step's edge.
CANCEL = """
WITH ended AS (
  UPDATE runs SET status = 'cancelled', cancel_requested = true, finished_at = now(), fence = fence + 1, last_seq = last_seq + 1,
    due_at = NULL, lease_until = NULL
  WHERE id = $1 AND user_id = $2 AND status IN ('queued', 'waiting', 'held')
  RETURNING id, user_id, area_id, last_seq, max_concurrent_runs
), told AS (
  INSERT INTO run_events (run_id, seq, day, user_id, area_id, at, kind, level, message)
  SELECT id, last_seq, date_trunc('day', now()), user_id, area_id, now(), 'run_cancelled', 'warning', $3 FROM ended
), skipped AS (
  -- What a dead worker had under way and nobody could ask about since, and what waits to be tried again because it had no
  -- answer, may have happened: as `StepState.in_doubt`.
  UPDATE run_steps SET status = CASE WHEN {in_doubt} THEN 'unknown' ELSE 'skipped' END, finished_at = now(), due_at = NULL,
    effect = CASE WHEN {in_doubt} THEN 'unknown' ELSE effect END,
    error = CASE WHEN {in_doubt} THEN jsonb_build_object('code', 'UNKNOWN', 'message', $4::text) ELSE run_steps.error END
  FROM ended WHERE run_steps.run_id = ended.id AND run_steps.status IN ('pending', 'waiting', 'running')
)
SELECT id, area_id, max_concurrent_runs IS NOT NULL AS limited, true AS ended FROM ended
""".replace("{in_doubt}", IN_DOUBT)

ASK = """
UPDATE runs SET cancel_requested = true WHERE id = $1 AND user_id = $2 AND status = 'running'
RETURNING id, area_id, max_concurrent_runs IS NOT NULL AS limited, false AS ended
"""


async def cancel(pool: asyncpg.Pool, run_id: UUID, user_id: UUID, why: str = "Cancelled") -> Any | None:
    """Cancel a run: the answer has its ``area_id``, whether it is ``limited`` and has ``ended``; None when it has ended before."""
    # Between the two statements the run may change from one kind to the other: then the first is right after all.
    for _ in range(2):
        row = await pool.fetchrow(CANCEL, run_id, user_id, why, LOST) or await pool.fetchrow(ASK, run_id, user_id)
        if row is not None:
            return row
    return None
