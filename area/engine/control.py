"""What a person does to runs: start one by hand, cancel, settle, resume. Replays have a module of their own."""

from typing import Any
from uuid import UUID

from area.core.errors import Conflict, InvalidInput, NotFound
from area.core.ids import new_id
from area.core.jsons import TooDeep, keep
from area.engine.cancelling import cancel
from area.engine.platform import Platform
from area.nodes import sdk

# A person says what became of a call that nobody answered: it happened, with this output, or it is to be tried again.
SETTLE = """
WITH run AS (
  UPDATE runs SET last_seq = last_seq + 1, fence = fence + 1, lease_until = NULL, priority = 0,
    admitted = max_concurrent_runs IS NULL, status = CASE WHEN EXISTS (
      SELECT 1 FROM run_steps WHERE run_id = $1 AND key <> $3 AND status = 'unknown') THEN 'held' ELSE 'queued' END
  WHERE id = $1 AND user_id = $2 AND status = 'held'
    AND EXISTS (SELECT 1 FROM run_steps WHERE run_id = $1 AND key = $3 AND status = 'unknown')
  RETURNING id, user_id, area_id, last_seq, admitted
), step AS (
  UPDATE run_steps SET status = CASE WHEN $4 THEN 'succeeded' ELSE 'pending' END, error = NULL,
    effect = CASE WHEN $4 THEN 'confirmed' ELSE 'none' END, output = CASE WHEN $4 THEN $5::text::jsonb END,
    finished_at = CASE WHEN $4 THEN finished_at END
  FROM run WHERE run_steps.run_id = run.id AND key = $3
)
INSERT INTO run_events (run_id, seq, day, user_id, area_id, at, kind, level, step, message)
SELECT id, last_seq, date_trunc('day', now()), user_id, area_id, now(), 'step_settled', 'info', $3, $6 FROM run
RETURNING run_id
"""

START = """
WITH event AS (
  INSERT INTO events (id, hook_id, dedupe_key, payload, enriched_at)
  VALUES ($1, $2, $3, $4::text::jsonb, now()) RETURNING id
), run AS (
  INSERT INTO runs (id, user_id, area_id, area_version_id, event_id, cause, is_test, last_seq, priority,
    max_concurrent_runs, overlap, admitted)
  SELECT $5, $6, $7, $8, event.id, $9, $10, 1, 0,
    v.max_concurrent_runs, CASE WHEN v.max_concurrent_runs IS NOT NULL THEN 'queue' END, v.max_concurrent_runs IS NULL
  FROM area_versions v, event WHERE v.id = $8
)
INSERT INTO run_events (run_id, seq, day, user_id, area_id, at, kind, level, message)
VALUES ($5, 1, date_trunc('day', now()), $6, $7, now(), 'event_received', 'info', 'Started by hand')
"""

# Not later, but now: what waits for a moment, and what is held for an account that works again. Steps of the reactions in $3 wait
# for something else.
RESUME = """
WITH run AS (
  UPDATE runs SET status = 'queued', due_at = NULL, fence = fence + 1, last_seq = last_seq + 1, lease_until = NULL, priority = 0,
    error = NULL, admitted = CASE WHEN status = 'held' THEN max_concurrent_runs IS NULL ELSE admitted END
  WHERE id = $1 AND user_id = $2 AND ((status = 'waiting' AND EXISTS (
    SELECT 1 FROM run_steps WHERE run_id = $1 AND run_steps.status = 'waiting' AND reaction <> ALL($3::text[]))
  ) OR (status = 'held' AND EXISTS (
    SELECT 1 FROM connected_accounts a WHERE a.id::text = runs.error ->> 'accountId' AND a.status IN ('active', 'expiring'))))
  RETURNING id, user_id, area_id, last_seq
), steps AS (
  UPDATE run_steps SET due_at = now() FROM run
  WHERE run_steps.run_id = run.id AND run_steps.status = 'waiting' AND reaction <> ALL($3::text[])
)
INSERT INTO run_events (run_id, seq, day, user_id, area_id, at, kind, level, message)
SELECT id, last_seq, date_trunc('day', now()), user_id, area_id, now(), 'run_resumed', 'info', 'Resumed by its owner' FROM run
RETURNING area_id
"""

WAITING = "SELECT DISTINCT reaction FROM run_steps WHERE run_id = $1 AND status = 'waiting'"
AREA = "SELECT id, hook_id, published_version_id FROM areas WHERE id = $1 AND user_id = $2 AND deleted_at IS NULL"
RUN = "SELECT * FROM runs WHERE id = $1 AND user_id = $2"


async def run_area(
    platform: Platform, user_id: UUID, area_id: UUID, payload: Any | None, is_test: bool = False
) -> UUID:
    """Run an AREA now, on ``payload`` or, where that is None, on its action's sample. Raises: NotFound, InvalidInput."""
    pool = platform.db.pool
    area = await pool.fetchrow(AREA, area_id, user_id)
    if area is None:
        raise NotFound("There is no such AREA; it may have been deleted.", path=("id",))
    if payload is None:
        action = await pool.fetchval("SELECT action FROM hooks WHERE id = $1", area["hook_id"])
        payload = platform.registry.action(action).sample()
    text = _kept(payload, "payload")
    run_id, event_id = new_id(), new_id()
    await pool.execute(
        START, event_id, area["hook_id"], f"manual:{event_id}", text, run_id, user_id, area_id,
        area["published_version_id"], "test" if is_test else "manual", is_test,
    )  # fmt: skip
    _ring(platform, user_id, run_id, area_id)
    return run_id


async def cancel_run(platform: Platform, user_id: UUID, run_id: UUID) -> None:
    """Cancel a run; one that has ended stays as it is. Raises: NotFound."""
    found = await cancel(platform.db.pool, run_id, user_id)
    if found is None and await platform.db.pool.fetchrow(RUN, run_id, user_id) is None:
        raise NotFound("There is no such run.", path=("id",))
    if found is not None and not found["ended"]:
        platform.doorbell.cancels(run_id)
    elif found is not None and found["limited"]:
        platform.admission.later([found["area_id"]])
    platform.doorbell.announce(user_id, run_id)


async def settle_step(
    platform: Platform, user_id: UUID, run_id: UUID, step: str, *, happened: bool, output: Any | None = None
) -> None:
    """Settle a step whose outcome is unknown, and let its run go on. Raises: NotFound, Conflict, InvalidInput."""
    pool = platform.db.pool
    message = "Settled by its owner: it happened" if happened else "Settled by its owner: to be tried again"
    text = _kept(output or {}, "output")
    async with pool.acquire() as connection, connection.transaction():
        # The run is locked first, so that two people who settle two steps see each other.
        area_id = await connection.fetchval(
            "SELECT area_id FROM runs WHERE id = $1 AND user_id = $2 FOR UPDATE", run_id, user_id
        )
        settled = await connection.fetchval(SETTLE, run_id, user_id, step, happened, text, message)
    if settled is None:
        if await pool.fetchrow(RUN, run_id, user_id) is None:
            raise NotFound("There is no such run.", path=("id",))
        raise Conflict(f"Step {step!r} of this run is not the one that waits to be settled.", path=("step",))
    _ring(platform, user_id, run_id, area_id)


async def resume_run(platform: Platform, user_id: UUID, run_id: UUID) -> None:
    """Let a run that waits, or is held for an account that works again, go on now. Raises: NotFound, Conflict."""
    pool = platform.db.pool
    # What waits for an answer is not resumed: its time would be over instead.
    waiting = [row["reaction"] for row in await pool.fetch(WAITING, run_id)]
    answered = [key for key in waiting if _waits_for_answer(platform.registry.reactions.get(key))]
    area_id = await pool.fetchval(RESUME, run_id, user_id, answered)
    if area_id is not None:
        _ring(platform, user_id, run_id, area_id)
        return
    run = await pool.fetchrow(RUN, run_id, user_id)
    if run is None:
        raise NotFound("There is no such run.", path=("id",))
    if run["status"] == "waiting":
        told = "This run waits for a decision or for a run that it started, not for a moment; decide it, or cancel it."
        raise Conflict(told, path=("id",))
    if run["status"] != "held":
        raise Conflict(f"This run is {run['status']}; only one that waits or is held can be resumed.", path=("id",))
    if (run["error"] or {}).get("accountId"):
        raise Conflict("The account that this run is held for still has to be connected again.", path=("id",))
    raise Conflict("It is not known whether a step of this run happened; settle that step instead.", path=("id",))


def _waits_for_answer(reaction: sdk.Reaction | None) -> bool:
    return reaction is not None and reaction.control in (sdk.Control.APPROVAL, sdk.Control.CALL)


def _kept(value: Any, name: str) -> str:
    try:
        return keep(value)[1]
    except TooDeep as error:
        raise InvalidInput(str(error), path=(name,)) from None


def _ring(platform: Platform, user_id: UUID, run_id: UUID, area_id: UUID) -> None:
    platform.doorbell.ring()
    # It costs one look, and does nothing for an AREA without a limit.
    platform.admission.later([area_id])
    platform.doorbell.announce(user_id, run_id)
