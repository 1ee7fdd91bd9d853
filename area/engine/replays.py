"""Running events again: one run, or all that a filter finds, page by page. A replay is a new run that knows what it repeats."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid5

import asyncpg

from area.core.clock import now
from area.core.errors import Conflict, InvalidInput, NotFound
from area.core.ids import first_id_at, new_id
from area.engine.feed import TERMINAL
from area.engine.plan import Plan, PlanBroken
from area.engine.platform import Platform

MOST_AT_ONCE = 500
BY_HAND, IN_BULK = 0, 2
"""Priorities: what one person asked for now, and what may wait for everything else of its user."""

REPEATABLE = (*TERMINAL, "held")
"""What a run is that one person repeats: only a person lets a held one go on."""

NOTHING = UUID(int=0)
SKEW = timedelta(minutes=10)
"""How far ids, which our clocks make, may be behind ``created_at``, which is by Postgres's."""

# Replays of many runs ($1, as $2), all of one version ($3) and from one step ($4, or from the start). The steps named in $5 do not
# happen again: those that succeeded are taken over with their outputs, and the others as skipped, unless $6 leaves those to happen.
# Loops that do happen again keep the items that succeeded, where $10 names them: each with the steps that its list may be made of.
REPLAY = """
WITH old AS (
  SELECT runs.*, given.new FROM unnest($1::uuid[], $2::uuid[]) AS given(id, new) JOIN runs ON runs.id = given.id
), made AS (
  INSERT INTO runs (id, user_id, area_id, area_version_id, event_id, cause, is_test, replay_of, replay_from, replay_batch, last_seq,
    priority, max_concurrent_runs, overlap, admitted)
  SELECT old.new, old.user_id, old.area_id, v.id, old.event_id, 'replay', old.is_test, old.id, $4, $7, 1,
    $8, v.max_concurrent_runs, CASE WHEN v.max_concurrent_runs IS NOT NULL THEN 'queue' END, v.max_concurrent_runs IS NULL
  FROM old JOIN area_versions v ON v.id = $3
  ON CONFLICT (replay_batch, replay_of) WHERE replay_batch IS NOT NULL DO NOTHING
  RETURNING id, user_id, area_id, replay_of, admitted
), told AS (
  INSERT INTO run_events (run_id, seq, day, user_id, area_id, at, kind, level, message)
  SELECT id, 1, date_trunc('day', now()), user_id, area_id, now(), 'event_received', 'info', $9 FROM made
), steps AS (
  INSERT INTO run_steps (run_id, position, key, reaction, status, attempt, input, output, effect, started_at, finished_at)
  SELECT made.id, o.place - 1, o.key, o.reaction, CASE WHEN s.status = 'succeeded' THEN 'succeeded' ELSE 'skipped' END,
    coalesce(s.attempt, 0), s.input, s.output, coalesce(s.effect, 'none'), s.started_at, coalesce(s.finished_at, now())
  FROM made CROSS JOIN unnest($5::text[], $11::text[]) WITH ORDINALITY AS o(key, reaction, place)
  LEFT JOIN run_steps s ON s.run_id = made.replay_of AND s.key = o.key
  WHERE s.status = 'succeeded' OR NOT $6
  UNION ALL
  SELECT made.id, o.place * 100000 + s.position % 100000, s.key, s.reaction, s.status,
    s.attempt, s.input, s.output, s.effect, s.started_at, s.finished_at
  FROM made JOIN run_steps s ON s.run_id = made.replay_of AND s.position >= 100000 AND s.status = 'succeeded'
  JOIN unnest($5::text[]) WITH ORDINALITY AS o(key, place) ON o.key = split_part(s.key, '[', 1)
  WHERE $10::jsonb ? o.key AND NOT EXISTS (
    SELECT 1 FROM run_steps other WHERE other.run_id = made.replay_of AND other.position < 100000
      AND ((other.key = o.key AND other.status = 'succeeded')
        OR (other.status IN ('failed', 'unknown') AND $10::jsonb -> o.key ? other.key)))
)
SELECT id, area_id, admitted FROM made
"""

_FOUND = """
SELECT r.id, r.area_version_id, a.published_version_id, r.error ->> 'step' AS failed_step
FROM runs r JOIN areas a ON a.id = r.area_id AND a.deleted_at IS NULL
WHERE r.user_id = $1 AND {whose} AND r.status = ANY($3::text[]) AND r.id > $4
  AND ($5::timestamptz IS NULL OR r.created_at >= $5) AND ($6::timestamptz IS NULL OR r.created_at < $6)
  AND ($7::boolean IS NULL OR r.is_test = $7)
ORDER BY r.id LIMIT $8
"""
FOUND = _FOUND.format(whose="$2::uuid IS NULL")
FOUND_IN_AREA = _FOUND.format(whose="r.area_id = $2")

# What an earlier call with the same key has made.
MADE = "SELECT count(*) AS count, max(replay_of::text)::uuid AS last FROM runs WHERE replay_batch = $1 AND user_id = $2"

RUN = "SELECT id, area_id, area_version_id, status FROM runs WHERE id = $1 AND user_id = $2"
AREA = "SELECT published_version_id FROM areas WHERE id = $1 AND user_id = $2 AND deleted_at IS NULL"


@dataclass(frozen=True)
class Which:
    """Which finished runs to repeat; failed ones, when no status is named."""

    area_id: UUID | None = None
    statuses: Sequence[str] = ()
    since: datetime | None = None
    until: datetime | None = None
    is_test: bool | None = None


@dataclass(frozen=True)
class How:
    """From where, and by which version. Without a step: from the start, or where each of them failed."""

    from_step: str | None = None
    from_failed: bool = False
    use_published: bool = False


@dataclass(frozen=True)
class Replayed:
    """One page: how many replays were made, how many runs cannot be repeated, and where to go on."""

    count: int
    skipped: int
    cursor: UUID | None
    has_more: bool


async def replay_run(
    platform: Platform, user_id: UUID, run_id: UUID, from_step: str | None = None, use_published: bool = False
) -> UUID:
    """Run an event again whose run has ended, or is held. Raises: NotFound, Conflict, InvalidInput."""
    pool = platform.db.pool
    old = await pool.fetchrow(RUN, run_id, user_id)
    if old is None:
        raise NotFound("There is no such run.", path=("id",))
    if old["status"] not in REPEATABLE:
        # What it has yet to do would be done by both.
        told = f"This run is {old['status']} and goes on by itself; wait for its end or cancel it, and then repeat it."
        raise Conflict(told, path=("id",))
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
    new, kept = new_id(), plan.steps[: keys.index(from_step)] if from_step else []
    await pool.fetch(
        REPLAY, [run_id], [new], version, from_step, [step.key for step in kept], False, None, BY_HAND, _said(), {},
        [step.reaction.key for step in kept],
    )  # fmt: skip
    platform.doorbell.ring()
    platform.admission.later([old["area_id"]])
    platform.doorbell.announce(user_id, new)
    return new


async def replay_runs(
    platform: Platform,
    user_id: UUID,
    which: Which,
    how: How,
    limit: int = 100,
    after: UUID | None = None,
    idempotency_key: str | None = None,
) -> Replayed:
    """Repeat up to ``limit`` of the runs found, the oldest first, behind everything else that their owner has queued.

    A second call with the same key and cursor makes nothing, and answers as the first. Raises: InvalidInput.
    """
    _check(which, how, limit)
    pool = platform.db.pool
    batch = new_id() if idempotency_key is None else uuid5(user_id, f"{idempotency_key}|{after or ''}")

    async def find(beyond: UUID, most: int) -> list[asyncpg.Record]:
        found: list[asyncpg.Record] = await pool.fetch(
            FOUND if which.area_id is None else FOUND_IN_AREA, user_id, which.area_id, list(which.statuses) or ["failed"],
            beyond, which.since, which.until, which.is_test, most,
        )  # fmt: skip
        return found

    made = await pool.fetchrow(MADE, batch, user_id)
    if made["count"]:
        return Replayed(made["count"], 0, made["last"], bool(await find(made["last"], 1)))
    rows = await find(max(after or NOTHING, first_id_at(which.since - SKEW) if which.since else NOTHING), limit + 1)
    page = rows[:limit]
    count = await _make(platform, user_id, await _starts(platform, page, how), batch)
    return Replayed(count, len(page) - count, page[-1]["id"] if page else after, len(rows) > limit)


@dataclass(frozen=True)
class _Start:
    """What some replays have in common."""

    version: UUID
    step: str | None
    kept: tuple[tuple[str, str], ...] = ()
    """Keys of the steps that do not happen again, and their reactions."""
    only_succeeded: bool = False
    loops: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Those that keep the items that succeeded: each with the steps that its list may be made of."""


async def _starts(platform: Platform, page: list[asyncpg.Record], how: How) -> dict[_Start, list[UUID]]:
    """The runs that can be repeated, by how they begin."""
    found: dict[_Start, list[UUID]] = defaultdict(list)
    for row in page:
        version = row["published_version_id"] if how.use_published else row["area_version_id"]
        try:
            plan = await platform.plans.get(version)
        except PlanBroken:
            continue
        steps = tuple((step.key, step.reaction.key) for step in plan.steps)
        keys = [step.key for step in plan.steps]
        if how.from_failed:
            failed = row["failed_step"] if row["failed_step"] in keys else keys[0]
            loops = await _unchanged(platform, row["area_version_id"], plan)
            found[_Start(version, failed, steps, only_succeeded=True, loops=loops)].append(row["id"])
        elif how.from_step is None:
            found[_Start(version, None)].append(row["id"])
        elif how.from_step in keys:
            found[_Start(version, how.from_step, steps[: keys.index(how.from_step)])].append(row["id"])
    return found


async def _unchanged(platform: Platform, version: UUID, plan: Plan) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The loops that mean the same in the version that ran: there the third item is the third item still."""
    try:
        steps = (await platform.plans.get(version)).steps
    except PlanBroken:
        return ()
    ran = {step.key: (step.config, step.inner.account_id) for step in steps if step.inner}
    return tuple(
        (step.key, tuple(before.key for before in plan.steps[: step.position]) if step.after else ())
        for step in plan.steps
        if step.inner and (step.config, step.inner.account_id) == ran.get(step.key)
    )


async def _make(platform: Platform, user_id: UUID, starts: dict[_Start, list[UUID]], batch: UUID) -> int:
    made: list[asyncpg.Record] = []
    async with platform.db.pool.acquire() as connection, connection.transaction():
        for start, runs in starts.items():
            made += await connection.fetch(
                REPLAY, runs, [new_id() for _ in runs], start.version, start.step, [key for key, _ in start.kept],
                start.only_succeeded, batch, IN_BULK, _said(), dict(start.loops), [reaction for _, reaction in start.kept],
            )  # fmt: skip
    if made:
        platform.doorbell.ring(len(made))
        platform.admission.later(row["area_id"] for row in made if not row["admitted"])
        for row in made:
            platform.doorbell.announce(user_id, row["id"])
    return len(made)


def _check(which: Which, how: How, limit: int) -> None:
    if not 1 <= limit <= MOST_AT_ONCE:
        raise InvalidInput(f"Up to {MOST_AT_ONCE} runs are repeated at once; go on with the cursor.", path=("limit",))
    if how.from_failed and how.from_step is not None:
        raise InvalidInput("From where each failed, or from one step; not both.", path=("fromStep",))
    live = sorted(set(which.statuses) - set(TERMINAL))
    if live:
        raise InvalidInput(f"Runs that are {live[0]} have not ended; cancel them first.", path=("filter", "statuses"))


def _said() -> str:
    return f"Replay, asked for at {now():%Y-%m-%d %H:%M:%S} UTC"
