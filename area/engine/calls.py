"""Runs that start runs: one for each step that calls, within bounds, and the caller is woken when the called one has ended."""

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

import asyncpg

from area.core.errors import AreaError, NotFound, Path
from area.core.ids import new_id, row_uuid
from area.core.jsons import dump
from area.engine.admission import Admission
from area.engine.doorbell import Doorbell
from area.nodes import sdk
from area.nodes.registry import Registry

DEEPEST = 10
"""How many calls may lie within one another."""
AT_ONCE = 500
TOLD_OF_ITS_CALLER = "area.called"
"""The action whose event says who calls; to an AREA with another one the payload is as that action would give it."""

CALLED = "SELECT called_id FROM calls WHERE run_id = $1 AND step = $2"

# The run that calls, with the AREAs of the runs above it.
CALLER = """
WITH RECURSIVE above AS (
  SELECT id, area_id FROM runs WHERE id = $1
  UNION ALL
  SELECT runs.id, runs.area_id FROM above JOIN calls ON calls.called_id = above.id JOIN runs ON runs.id = calls.run_id
)
SELECT runs.user_id, runs.area_id, runs.is_test, above.areas FROM runs, (SELECT array_agg(area_id) AS areas FROM above) above
WHERE runs.id = $1
"""

TARGET = """
SELECT a.id, a.name, a.hook_id, a.published_version_id, a.is_enabled, h.action, v.max_concurrent_runs
FROM areas a JOIN hooks h ON h.id = a.hook_id JOIN area_versions v ON v.id = a.published_version_id
WHERE a.id = $1 AND a.user_id = $2 AND a.deleted_at IS NULL
"""

START = """
WITH call AS (
  INSERT INTO calls (run_id, step, called_id, is_awaited) VALUES ($1, $2, $3, $4) ON CONFLICT (run_id, step) DO NOTHING
  RETURNING called_id
), event AS (
  INSERT INTO events (id, hook_id, dedupe_key, payload, enriched_at)
  SELECT $5, $6, 'call:' || called_id, $7::text::jsonb, now() FROM call RETURNING id
), run AS (
  INSERT INTO runs (id, user_id, area_id, area_version_id, event_id, cause, is_test, last_seq,
    max_concurrent_runs, overlap, admitted)
  SELECT $3, $8, $9, $10, event.id, 'call', $11, 1, $12, CASE WHEN $12::int IS NOT NULL THEN 'queue' END, $12 IS NULL
  FROM event RETURNING id
)
INSERT INTO run_events (run_id, seq, day, user_id, area_id, at, kind, level, message)
SELECT id, 1, date_trunc('day', now()), $8, $9, now(), 'event_received', 'info', 'Started by step ' || $2 || ' of another run'
FROM run
RETURNING run_id
"""

# Callers of what has ended wait no longer: each is told, also when the worker that ended the called run has died since. A caller
# that is locked is passed over until the next look, so that nothing here waits for a lock.
TOLD = """
WITH due AS (
  SELECT calls.run_id, calls.step FROM calls
  JOIN runs called ON called.id = calls.called_id AND called.status IN ('succeeded', 'failed', 'cancelled')
  JOIN runs caller ON caller.id = calls.run_id
  WHERE calls.is_awaited AND ($1::uuid[] IS NULL OR calls.called_id = ANY($1))
  ORDER BY calls.run_id LIMIT $2 FOR NO KEY UPDATE OF caller SKIP LOCKED
), told AS (
  UPDATE calls SET is_awaited = false FROM due WHERE calls.run_id = due.run_id AND calls.step = due.step
)
UPDATE runs SET woken = true, status = CASE WHEN status = 'waiting' THEN 'queued' ELSE status END, due_at = NULL
WHERE id IN (SELECT run_id FROM due) AND status IN ('queued', 'running', 'waiting', 'held') RETURNING id
"""


OWNED = "SELECT id FROM areas WHERE id = ANY($1::uuid[]) AND user_id = $2 AND deleted_at IS NULL"


async def check_targets(
    pool: asyncpg.Pool, registry: Registry, user_id: UUID, configs: list[tuple[str, dict[str, Any]]]
) -> list[AreaError]:
    """Problems of the reactions (key and config) that start AREAs which are not there, or not the user's."""
    named = [
        (path, target)
        for index, (key, config) in enumerate(configs)
        for path, target in _targets(registry, key, config, ("reactions", index, "config"))
    ]
    if not named:
        return []
    rows = await pool.fetch(OWNED, [target for _, target in named], user_id)
    owned = {row["id"] for row in rows}
    message = "There is no such AREA of yours; it may have been deleted."
    return [NotFound(message, path=path) for path, target in named if target not in owned]


def _targets(registry: Registry, key: str, config: dict[str, Any], path: Path) -> Iterator[tuple[Path, UUID]]:
    reaction = registry.reactions.get(key)
    control = reaction.control if reaction else None
    if control is sdk.Control.CALL:
        target = row_uuid(str(config.get("area_id")), "Area")
        if target is not None:
            yield (*path, "area_id"), target
    inner = config.get("config")
    if control is sdk.Control.EACH and isinstance(inner, dict):
        yield from _targets(registry, str(config.get("reaction")), inner, (*path, "config"))


class Calls:
    """Starts the runs that steps ask for."""

    def __init__(self, pool: asyncpg.Pool, doorbell: Doorbell, admission: Admission) -> None:
        self._pool = pool
        self._doorbell = doorbell
        self._admission = admission

    async def start(self, run_id: UUID, step: str, area_id: UUID, payload: Any, *, wait: bool) -> UUID:
        """The run that a step starts: the same one, however often it is asked. Raises: sdk.Rejected."""
        known: UUID | None = await self._pool.fetchval(CALLED, run_id, step)
        if known is not None:
            return known
        caller = await self._pool.fetchrow(CALLER, run_id)
        area = await self._pool.fetchrow(TARGET, area_id, caller["user_id"])
        _refuse(area, caller["areas"], wait=wait)
        called = new_id()
        if area["action"] == TOLD_OF_ITS_CALLER:
            payload = {
                "call_id": str(called),
                "payload": payload,
                "caller_run_id": str(run_id),
                "caller_area_id": str(caller["area_id"]),
            }
        await self._pool.fetchval(
            START, run_id, step, called, wait, new_id(), area["hook_id"], dump(payload),
            caller["user_id"], area["id"], area["published_version_id"], caller["is_test"], area["max_concurrent_runs"],
        )  # fmt: skip
        # Another worker, which this run was taken from, may have been first.
        first: UUID = await self._pool.fetchval(CALLED, run_id, step)
        self._doorbell.ring()
        self._doorbell.announce(caller["user_id"], first)
        self._admission.later([area["id"]])
        return first

    async def wake_callers(self, ended: Sequence[UUID] | None = None) -> None:
        """Wake the runs that wait for these, or for any that has ended."""
        woken = await self._pool.fetch(TOLD, ended, AT_ONCE)
        if woken:
            self._doorbell.ring(len(woken))


def _refuse(area: asyncpg.Record | None, above: list[UUID], *, wait: bool) -> None:
    """Raises: sdk.Rejected when this AREA cannot be run from below those."""
    if area is None:
        raise sdk.Rejected("There is no such AREA of yours; it may have been deleted.", code="AREA_NOT_FOUND")
    if not area["is_enabled"]:
        raise sdk.Rejected(f"The AREA {area['name']!r} is switched off. Switch it on first.", code="AREA_PAUSED")
    if len(above) > DEEPEST:
        told = f"AREAs that run one another may nest {DEEPEST} deep; {area['name']!r} would be one more."
        raise sdk.Rejected(told, code="CALL_TOO_DEEP")
    if wait and area["max_concurrent_runs"] is not None and area["id"] in above:
        told = f"{area['name']!r} would wait for a run of its own that its limit of runs at once does not let begin."
        raise sdk.Rejected(told, code="CALL_WAITS_FOR_ITSELF")
