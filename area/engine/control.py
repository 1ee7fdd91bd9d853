"""What a person does to runs: start one by hand, cancel, replay."""

from typing import Any
from uuid import UUID

from area.core.clock import now
from area.core.errors import Conflict, InvalidInput, NotFound
from area.core.ids import new_id
from area.core.jsons import dump
from area.engine.cancelling import cancel
from area.engine.plan import PlanBroken
from area.engine.platform import Platform

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
  SELECT $1, $2, $3, $4::text::jsonb, now() WHERE $4::text IS NOT NULL RETURNING id
), run AS (
  INSERT INTO runs (id, user_id, area_id, area_version_id, event_id, cause, is_test, replay_of, replay_from, last_seq, priority,
    max_concurrent_runs, overlap, admitted)
  SELECT $5, $6, $7, $8, coalesce((SELECT id FROM event), $9), $10, $11, $12, $13, 1, 0,
    v.max_concurrent_runs, CASE WHEN v.max_concurrent_runs IS NOT NULL THEN 'queue' END, v.max_concurrent_runs IS NULL
  FROM area_versions v WHERE v.id = $8
)
INSERT INTO run_events (run_id, seq, day, user_id, area_id, at, kind, level, message, data)
VALUES ($5, 1, date_trunc('day', now()), $6, $7, now(), 'event_received', 'info', $14, NULL)
"""

# The steps before the one that a replay starts from do not happen again, whatever became of them: their outputs are taken over.
COPY_STEPS = """
INSERT INTO run_steps (run_id, position, key, reaction, status, attempt, input, output, effect, started_at, finished_at)
SELECT $1, o.place - 1, s.key, s.reaction, CASE WHEN s.status = 'succeeded' THEN 'succeeded' ELSE 'skipped' END,
  s.attempt, s.input, s.output, s.effect, s.started_at, coalesce(s.finished_at, now())
FROM run_steps s JOIN unnest($3::text[]) WITH ORDINALITY AS o(key, place) ON o.key = s.key
WHERE s.run_id = $2 AND s.status IN ('succeeded', 'skipped', 'failed', 'unknown')
"""

AREA = "SELECT id, hook_id, published_version_id FROM areas WHERE id = $1 AND user_id = $2 AND deleted_at IS NULL"
RUN = "SELECT * FROM runs WHERE id = $1 AND user_id = $2"


async def run_area(
    platform: Platform, user_id: UUID, area_id: UUID, payload: Any | None, is_test: bool = False
) -> UUID:
    """Run an AREA now, on ``payload`` or, where that is None, on its action's sample. Raises: NotFound."""
    pool = platform.db.pool
    area = await pool.fetchrow(AREA, area_id, user_id)
    if area is None:
        raise NotFound("There is no such AREA; it may have been deleted.", path=("id",))
    if payload is None:
        action = await pool.fetchval("SELECT action FROM hooks WHERE id = $1", area["hook_id"])
        payload = platform.registry.action(action).sample()
    run_id, event_id = new_id(), new_id()
    await pool.execute(
        START, event_id, area["hook_id"], f"manual:{event_id}", dump(payload), run_id, user_id, area_id,
        area["published_version_id"], None, "test" if is_test else "manual", is_test, None, None, "Started by hand",
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
    """Settle a step whose outcome is unknown, and let its run go on. Raises: NotFound, Conflict."""
    pool = platform.db.pool
    message = "Settled by its owner: it happened" if happened else "Settled by its owner: to be tried again"
    async with pool.acquire() as connection, connection.transaction():
        # The run is locked first, so that two people who settle two steps see each other.
        area_id = await connection.fetchval(
            "SELECT area_id FROM runs WHERE id = $1 AND user_id = $2 FOR UPDATE", run_id, user_id
        )
        settled = await connection.fetchval(SETTLE, run_id, user_id, step, happened, dump(output or {}), message)
    if settled is None:
        if await pool.fetchrow(RUN, run_id, user_id) is None:
            raise NotFound("There is no such run.", path=("id",))
        raise Conflict(f"Step {step!r} of this run is not the one that waits to be settled.", path=("step",))
    _ring(platform, user_id, run_id, area_id)


async def replay_run(
    platform: Platform,
    user_id: UUID,
    run_id: UUID,
    from_step: str | None = None,
    use_published: bool = False,
) -> UUID:
    """Run an event again, as a new run that knows what it repeats. Raises: NotFound, InvalidInput."""
    pool = platform.db.pool
    old = await pool.fetchrow(RUN, run_id, user_id)
    if old is None:
        raise NotFound("There is no such run.", path=("id",))
    area = await pool.fetchrow(AREA, old["area_id"], user_id)
    if area is None:
        raise NotFound("The AREA of this run has been deleted.", path=("id",))
    version = area["published_version_id"] if use_published else old["area_version_id"]
    try:
        plan = await platform.plans.get(version)
    except PlanBroken as error:
        raise InvalidInput(str(error), path=("id",)) from None
    keys = [step.key for step in plan.steps]
    if from_step is not None and from_step not in keys:
        raise InvalidInput(f"There is no step {from_step!r}; the steps are {', '.join(keys)}.", path=("fromStep",))
    new = new_id()
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(
            START, new_id(), area["hook_id"], str(new), None, new, user_id, old["area_id"], version,
            old["event_id"], "replay", old["is_test"], run_id, from_step, f"Replay, asked for at {now():%Y-%m-%d %H:%M:%S} UTC",
        )  # fmt: skip
        if from_step is not None:
            await connection.execute(COPY_STEPS, new, run_id, keys[: keys.index(from_step)])
    _ring(platform, user_id, new, old["area_id"])
    return new


def _ring(platform: Platform, user_id: UUID, run_id: UUID, area_id: UUID) -> None:
    platform.doorbell.ring()
    # It costs one look, and does nothing for an AREA without a limit.
    platform.admission.later([area_id])
    platform.doorbell.announce(user_id, run_id)
