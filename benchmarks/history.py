"""A past for the tables: finished runs with their events, steps and lines, and AREAs by the thousand, written in bulk."""

from uuid import UUID

import asyncpg

CHUNK = 50_000
RUNS = """
WITH area AS (SELECT id, user_id, hook_id, published_version_id FROM areas WHERE id = $1
), event AS (
  INSERT INTO events (id, hook_id, dedupe_key, payload, received_at)
  SELECT area_uuid7(), hook_id, 'past-' || n, '{"body": {"n": 1, "kind": "order", "total": 42.5}}', now() - interval '1 day'
  FROM area, generate_series($2::int, $3::int) AS n RETURNING id
), run AS (
  INSERT INTO runs (id, user_id, area_id, area_version_id, event_id, status, fence, last_seq, created_at, started_at, finished_at)
  SELECT area_uuid7(), area.user_id, area.id, area.published_version_id, event.id, 'succeeded', 1, 4,
    now() - interval '1 day', now() - interval '1 day', now() - interval '1 day'
  FROM area, event RETURNING id, user_id, area_id
), step AS (
  INSERT INTO run_steps (run_id, position, key, reaction, status, attempt, input, output, effect, started_at, finished_at)
  SELECT run.id, position, 'step' || position, 'http.request', 'succeeded', 1, '{"url": "http://example.com/", "body": {"n": "1"}}',
    '{"status": 200, "ok": true, "body": {"ok": true}}', 'confirmed', now() - interval '1 day', now() - interval '1 day'
  FROM run, generate_series(0, 1) AS position
)
INSERT INTO run_events (run_id, seq, day, user_id, area_id, at, kind, level, message)
SELECT run.id, seq, date_trunc('day', now()), user_id, area_id, now(), 'log', 'info', 'Line ' || seq
FROM run, generate_series(1, 4) AS seq
"""

AREAS = """
WITH model AS (SELECT * FROM areas WHERE id = $1
), version AS (SELECT * FROM area_versions WHERE id = (SELECT published_version_id FROM model)
), hook AS (SELECT * FROM hooks WHERE id = (SELECT hook_id FROM model)
), made AS (
  SELECT n, area_uuid7() AS area_id, area_uuid7() AS version_id, area_uuid7() AS hook_id FROM generate_series(0, $2::int - 1) AS n
), hooked AS (
  INSERT INTO hooks (id, source_key, kind, action, config, token, status)
  SELECT made.hook_id, hook.source_key || '-' || n, hook.kind, hook.action, hook.config, $3 || n, 'active' FROM made, hook
  WHERE $3 <> '' RETURNING 1
), area AS (
  INSERT INTO areas (id, user_id, name, hook_id, published_version_id)
  SELECT made.area_id, model.user_id, 'Copy ' || n, CASE WHEN $3 = '' THEN model.hook_id ELSE made.hook_id END, made.version_id
  FROM made, model RETURNING 1
)
INSERT INTO area_versions (id, area_id, version, mode, action, reactions)
SELECT made.version_id, made.area_id, 1, version.mode, version.action, version.reactions FROM made, version
"""


async def past(url: str, area: UUID, runs: int) -> None:
    """Write so many finished runs of an AREA, and let Postgres look at its tables."""
    connection = await asyncpg.connect(url, command_timeout=600)
    try:
        for first in range(0, runs, CHUNK):
            await connection.execute(RUNS, area, first, min(first + CHUNK, runs) - 1)
        await connection.execute("VACUUM ANALYZE runs, run_steps, run_events, events")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()


async def copies(url: str, area: UUID, count: int, tokens: str = "") -> None:
    """Write copies of an AREA: each with a private URL of its own (``tokens`` and a number), or all on the one source."""
    connection = await asyncpg.connect(url, command_timeout=600)
    try:
        # The rows name each other, and come in one statement.
        await connection.execute(AREAS, area, count, tokens)
        await connection.execute("ANALYZE areas, area_versions, hooks")
    finally:
        await connection.close()
