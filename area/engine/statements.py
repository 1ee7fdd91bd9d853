"""The hot statements, as SQL text. The models are the schema's description; a test prepares each of these against it."""

# Events of one batch, then a run for each live AREA on their hooks, its first line, and a ledger line for each paused one.
ACCEPT = """
WITH incoming AS (
  SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::timestamptz[])
    AS t(id, hook_id, dedupe_key, payload, occurred_at)
), fresh AS (
  INSERT INTO events (id, hook_id, dedupe_key, payload, occurred_at)
  SELECT id, hook_id, dedupe_key, payload::jsonb, occurred_at FROM incoming ORDER BY hook_id, dedupe_key
  ON CONFLICT (hook_id, dedupe_key) DO NOTHING
  RETURNING id, hook_id
), hanging AS (
  SELECT fresh.id AS event_id, fresh.hook_id, areas.id AS area_id, areas.user_id, areas.published_version_id, areas.is_enabled,
    areas.max_concurrent_runs AS most, areas.overlap
  FROM fresh JOIN areas ON areas.hook_id = fresh.hook_id AND areas.deleted_at IS NULL
), full_up AS (
  -- Counting locks the AREA, so it is done for those alone that drop, and always in the same order.
  SELECT area_id, area_live_runs(area_id) AS live FROM (
    SELECT DISTINCT area_id FROM hanging WHERE is_enabled AND most IS NOT NULL AND overlap = 'drop' ORDER BY area_id) dropping
), dropped AS (
  SELECT numbered.* FROM (
    SELECT event_id, hook_id, area_id, user_id, most, row_number() OVER (PARTITION BY area_id ORDER BY event_id) AS number
    FROM hanging WHERE is_enabled AND most IS NOT NULL AND overlap = 'drop') numbered
  JOIN full_up USING (area_id) WHERE full_up.live + numbered.number > numbered.most
), made AS (
  INSERT INTO runs (id, user_id, area_id, area_version_id, event_id, last_seq, max_concurrent_runs, overlap, admitted)
  SELECT area_uuid7(), user_id, area_id, published_version_id, event_id, 1, most, CASE WHEN most IS NOT NULL THEN overlap END, most IS NULL
  FROM hanging WHERE is_enabled AND (event_id, area_id) NOT IN (SELECT event_id, area_id FROM dropped)
  RETURNING id, user_id, area_id, event_id, admitted
), told AS (
  INSERT INTO run_events (run_id, seq, day, user_id, area_id, at, kind, level, message, data)
  SELECT made.id, 1, date_trunc('day', now()), user_id, area_id, now(), 'event_received', 'info', 'Event received',
    jsonb_build_object('eventId', event_id)
  FROM made
), ledger AS (
  INSERT INTO deliveries (id, user_id, hook_id, area_id, event_id, outcome, reason)
  SELECT area_uuid7(), user_id, hook_id, area_id, event_id, 'paused', 'the AREA was switched off' FROM hanging WHERE NOT is_enabled
  UNION ALL
  SELECT area_uuid7(), user_id, hook_id, area_id, event_id, 'throttled', most || ' runs of the AREA were live, the most it allows at once'
  FROM dropped
), fired AS (
  UPDATE hooks SET last_fired_at = now() WHERE id IN (
    SELECT id FROM hooks WHERE id IN (SELECT hook_id FROM fresh)
      AND (last_fired_at IS NULL OR last_fired_at < now() - interval '10 seconds')
    FOR NO KEY UPDATE SKIP LOCKED)
)
SELECT fresh.id AS event_id, made.id AS run_id, made.user_id, made.area_id, made.admitted FROM fresh LEFT JOIN made ON made.event_id = fresh.id
"""

# One executor a run: only a queued run, a timer that is due, or a lease that has run out can be claimed.
_CLAIM = """
WITH RECURSIVE {chosen}
, claimed AS (
  UPDATE runs SET status = 'running', fence = fence + 1, lease_until = now() + {lease}::interval,
    started_at = coalesce(started_at, now()), due_at = NULL, woken = false,
    takeovers = takeovers + (chosen.was = 'running')::int::smallint
  -- A bound that Postgres can see, or after a burst it expects so many that it reads the whole table to find them.
  FROM (SELECT * FROM chosen LIMIT 1000) chosen WHERE runs.id = chosen.id
  RETURNING runs.id, runs.user_id, runs.area_id, runs.area_version_id, runs.event_id, runs.fence, runs.last_seq, runs.cancel_requested,
    runs.replay_from, runs.replay_of, runs.is_test, runs.cause, runs.takeovers, runs.max_concurrent_runs, chosen.was, chosen.share
)
SELECT claimed.*, events.payload, coalesce(events.received_at, now()) AS received_at, now() AS moment, events.enriched_at IS NULL AS is_raw,
  NOT EXISTS (SELECT 1 FROM areas WHERE areas.id = claimed.area_id AND areas.deleted_at IS NULL) AS is_orphan
FROM claimed LEFT JOIN events ON events.id = claimed.event_id
ORDER BY claimed.user_id
"""

# Those of $1 that may be claimed. $3: leases count.
CLAIM = _CLAIM.format(
    lease="$2",
    chosen="""chosen AS (
  SELECT id, status AS was, 0 AS share FROM runs
  WHERE id = ANY($1::uuid[]) AND ((status = 'queued' AND admitted) OR (status = 'waiting' AND due_at <= now())
    OR (status = 'running' AND lease_until < now() AND $3))
  ORDER BY id FOR UPDATE SKIP LOCKED
)""",
)

# The whole order of the index is asked for: by its first column alone, Postgres at times walks the past in another index instead,
# when it has last counted the rows in the middle of a burst.
# A turn for each user who waits, as far as $1 runs go: the same share of the room for everyone, each user's most urgent and
# oldest first. $3 is the user who was served last; $4 and $5 say how many runs each user has here, and $6 how many one may.
CLAIM_NEXT = _CLAIM.format(
    lease="$2",
    chosen="""held AS (
  SELECT * FROM unnest($4::uuid[], $5::int[]) AS t(user_id, runs)
), waiting AS (
  SELECT first.*, $6 - coalesce(held.runs, 0) AS room, (coalesce(held.runs, 0) < $6)::int AS number FROM (
    (SELECT user_id, false AS again FROM runs WHERE status = 'queued' AND admitted AND user_id > $3 ORDER BY user_id, priority, id LIMIT 1)
    UNION ALL
    (SELECT user_id, true FROM runs WHERE status = 'queued' AND admitted ORDER BY user_id, priority, id LIMIT 1)
    LIMIT 1) first LEFT JOIN held USING (user_id)
  UNION ALL
  SELECT next.*, $6 - coalesce(held.runs, 0), waiting.number + (coalesce(held.runs, 0) < $6)::int FROM waiting CROSS JOIN LATERAL (
    (SELECT user_id, waiting.again FROM runs WHERE status = 'queued' AND admitted AND user_id > waiting.user_id ORDER BY user_id, priority, id LIMIT 1)
    UNION ALL
    (SELECT user_id, true FROM runs WHERE status = 'queued' AND admitted AND NOT waiting.again ORDER BY user_id, priority, id LIMIT 1)
    LIMIT 1) next LEFT JOIN held ON held.user_id = next.user_id
  WHERE waiting.number < $1 AND NOT (next.again AND next.user_id > $3)
), shares AS (
  SELECT user_id, least(room, greatest(1, $1 / (SELECT max(number) FROM waiting))) AS share FROM waiting WHERE room > 0
), chosen AS (
  SELECT turn.id, 'queued' AS was, shares.share FROM shares CROSS JOIN LATERAL (
    SELECT id FROM runs WHERE status = 'queued' AND admitted AND user_id = shares.user_id
    ORDER BY priority, id LIMIT shares.share FOR UPDATE SKIP LOCKED) turn
)""",
)

# What dead workers left, at most $1, and not what is under way in the asking one ($3).
CLAIM_LOST = _CLAIM.format(
    lease="$2",
    chosen="""chosen AS (
  SELECT id, status AS was, 0 AS share FROM runs WHERE status = 'running' AND lease_until < now() AND id <> ALL($3::uuid[])
  ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED
)""",
)

# Timers whose moment has come take their place in the queue.
WAKE_DUE = """
UPDATE runs SET status = 'queued', due_at = NULL WHERE id IN (
  SELECT id FROM runs WHERE status = 'waiting' AND due_at <= now() ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED)
RETURNING id
"""

# AREAs with runs behind their limit that may be let in, or are to be replaced: one look an AREA, however many wait.
BEHIND = """
WITH RECURSIVE behind AS (
  (SELECT area_id FROM runs WHERE NOT admitted AND max_concurrent_runs IS NOT NULL AND status = 'queued' ORDER BY area_id, priority, id LIMIT 1)
  UNION ALL
  SELECT next.area_id FROM behind CROSS JOIN LATERAL (
    SELECT area_id FROM runs WHERE NOT admitted AND max_concurrent_runs IS NOT NULL AND status = 'queued' AND area_id > behind.area_id
    ORDER BY area_id, priority, id LIMIT 1) next
)
SELECT behind.area_id FROM behind CROSS JOIN LATERAL (
  SELECT max_concurrent_runs AS most, overlap FROM runs
  WHERE area_id = behind.area_id AND NOT admitted AND max_concurrent_runs IS NOT NULL AND status = 'queued' ORDER BY priority, id LIMIT 1) head
WHERE head.overlap = 'replace' OR head.most > (
  SELECT count(*) FROM runs WHERE area_id = behind.area_id AND admitted AND max_concurrent_runs IS NOT NULL
    AND status IN ('queued', 'running', 'waiting'))
LIMIT $1
"""

# Lets in what the limit of one AREA has room for; names what is to be replaced. See the migration that makes the function.
ADMIT = "SELECT run_id, owner_id, verdict FROM area_admit($1)"

# Every write of a worker names its fence: a worker that lost its lease changes nothing. Nor does a write that was given up,
# sent again, and arrives after those that followed it: the story never gets shorter.
CHECKPOINT = """
WITH given AS (
  SELECT * FROM unnest($1::uuid[], $2::int[], $3::text[], $4::int[], $5::timestamptz[], $6::text[], $7::text[], $8::bool[])
    AS t(id, fence, status, last_seq, due_at, error, filtered, advances)
), ok AS (
  -- A cancel or an answer that came while the run went to rest must not rest with it: queued, it is claimed again.
  UPDATE runs SET status = CASE WHEN given.status IN ('waiting', 'held') AND runs.cancel_requested THEN 'queued'
      WHEN given.status = 'waiting' AND runs.woken THEN 'queued' ELSE given.status END,
    last_seq = given.last_seq, due_at = CASE WHEN NOT (runs.cancel_requested OR runs.woken) THEN given.due_at END,
    error = given.error::jsonb, lease_until = CASE WHEN given.status = 'running' THEN now() + $9::interval END,
    finished_at = CASE WHEN given.status IN ('succeeded', 'failed', 'cancelled') THEN now() END,
    takeovers = CASE WHEN given.advances OR given.status IN ('waiting', 'held') THEN 0 ELSE takeovers END
  FROM given WHERE runs.id = given.id AND runs.fence = given.fence AND runs.status = 'running' AND runs.last_seq <= given.last_seq
  RETURNING runs.id, runs.user_id, runs.area_id, runs.event_id, runs.cause, runs.is_test, runs.status, runs.cancel_requested, given.filtered
), steps AS (
  INSERT INTO run_steps (run_id, position, key, reaction, status, attempt, due_at, input, output, error, effect, started_at, finished_at)
  SELECT s.run_id, s.position, s.key, s.reaction, s.status, s.attempt, s.due_at, s.input::jsonb, s.output::jsonb, s.error::jsonb,
    s.effect, s.started_at, s.finished_at
  FROM unnest($10::uuid[], $11::int[], $12::text[], $13::text[], $14::text[], $15::int[], $16::timestamptz[], $17::text[], $18::text[],
      $19::text[], $20::text[], $21::timestamptz[], $22::timestamptz[])
    AS s(run_id, position, key, reaction, status, attempt, due_at, input, output, error, effect, started_at, finished_at)
  JOIN ok ON ok.id = s.run_id
  ON CONFLICT (run_id, position) DO UPDATE SET status = excluded.status, attempt = excluded.attempt, due_at = excluded.due_at,
    input = excluded.input, output = excluded.output, error = excluded.error, effect = excluded.effect,
    started_at = excluded.started_at, finished_at = excluded.finished_at
), told AS (
  INSERT INTO run_events (run_id, seq, day, user_id, area_id, at, kind, level, step, message, data)
  SELECT e.run_id, e.seq, e.day, ok.user_id, ok.area_id, e.at, e.kind, e.level, e.step, e.message, e.data::jsonb
  FROM unnest($23::uuid[], $24::int[], $25::timestamptz[], $26::timestamptz[], $27::text[], $28::text[], $29::text[], $30::text[],
      $31::text[]) AS e(run_id, seq, day, at, kind, level, step, message, data)
  JOIN ok ON ok.id = e.run_id
  ON CONFLICT DO NOTHING -- a checkpoint sent again because its answer was lost
), payloads AS (
  INSERT INTO blobs (id, run_id, content)
  SELECT p.id, p.run_id, p.content FROM unnest($32::uuid[], $33::uuid[], $34::bytea[]) AS p(id, run_id, content)
  JOIN ok ON ok.id = p.run_id
  ON CONFLICT DO NOTHING
), ledger AS (
  INSERT INTO deliveries (id, user_id, hook_id, area_id, event_id, run_id, outcome, reason)
  SELECT area_uuid7(), ok.user_id, events.hook_id, ok.area_id, ok.event_id, ok.id, 'filtered', ok.filtered
  FROM ok JOIN events ON events.id = ok.event_id WHERE ok.filtered IS NOT NULL AND ok.cause = 'event'
), cleared AS (
  -- Almost always nothing: the index has only AREAs whose last run failed. Nobody is waited for, so there is no deadlock.
  UPDATE areas SET failures_in_row = 0 WHERE id IN (
    SELECT id FROM areas WHERE failures_in_row > 0
      AND id IN (SELECT area_id FROM ok WHERE status = 'succeeded' AND NOT is_test)
    FOR NO KEY UPDATE SKIP LOCKED)
)
SELECT id, cancel_requested FROM ok
"""

# Failed runs of an AREA are counted until one succeeds; at the limit ($3 is the platform's own) the AREA switches itself off.
FAILED_IN_ROW = """
WITH area AS (
  SELECT id, user_id, hook_id, is_enabled, failures_in_row + $2 AS failures, coalesce(pause_after_failures, $3) AS most
  FROM areas WHERE id = $1 AND deleted_at IS NULL FOR NO KEY UPDATE
), counted AS (
  UPDATE areas SET failures_in_row = area.failures,
    is_enabled = area.is_enabled AND NOT (area.most > 0 AND area.failures >= area.most),
    paused_reason = CASE WHEN area.is_enabled AND area.most > 0 AND area.failures >= area.most
      THEN area.failures || ' runs in a row have failed, the last with ' || $4::text ELSE areas.paused_reason END
  FROM area WHERE areas.id = area.id
  RETURNING areas.id, area.user_id, area.hook_id, areas.paused_reason AS reason, area.is_enabled AND NOT areas.is_enabled AS paused
), ledger AS (
  INSERT INTO deliveries (id, user_id, hook_id, area_id, outcome, reason)
  SELECT area_uuid7(), user_id, hook_id, id, 'paused', reason FROM counted WHERE paused AND hook_id IS NOT NULL
)
SELECT hook_id, reason FROM counted WHERE paused
"""

# A renewal never waits for a lock, so it cannot be part of a deadlock: a run that is locked is being checkpointed, which renews it.
RENEW = """
WITH given AS (SELECT * FROM unnest($1::uuid[], $2::int[]) AS t(id, fence)
), free AS (
  SELECT runs.id FROM runs JOIN given ON given.id = runs.id AND given.fence = runs.fence WHERE runs.status = 'running'
  FOR NO KEY UPDATE OF runs SKIP LOCKED
), renewed AS (
  UPDATE runs SET lease_until = now() + $3::interval FROM free WHERE runs.id = free.id AND runs.status = 'running'
)
SELECT runs.id, runs.cancel_requested FROM runs JOIN given ON given.id = runs.id AND given.fence = runs.fence
WHERE runs.status = 'running'
"""

STORED = """
SELECT (SELECT coalesce(sum(coalesce(length(input::text), 0) + coalesce(length(output::text), 0)), 0) FROM run_steps WHERE run_id = $1)
  + (SELECT coalesce(sum(length(content)), 0) FROM blobs WHERE run_id = $1)
"""

STEPS = "SELECT * FROM run_steps WHERE run_id = $1 ORDER BY position"

# What a step waits for besides a moment: a person's decision, or the end of a run that it started.
ANSWERS = """
SELECT step, jsonb_build_object('approved', approved, 'comment', comment, 'decided_by', decided_by, 'decided_at', decided_at) AS answer
FROM approvals WHERE run_id = $1
UNION ALL
SELECT calls.step, jsonb_build_object('run_id', called.id, 'status', called.status, 'error', called.error, 'steps', coalesce((
    SELECT jsonb_object_agg(key, output) FROM run_steps WHERE run_id = called.id AND status = 'succeeded' AND position < 100000
  ), '{}'))
FROM calls JOIN runs called ON called.id = calls.called_id
JOIN run_steps s ON s.run_id = calls.run_id AND s.key = calls.step AND s.status IN ('running', 'waiting')
WHERE calls.run_id = $1 AND called.status IN ('succeeded', 'failed', 'cancelled')
"""

# A step that stops its run may end before its brothers do, and says so in the log: whoever takes over reads it there. Of several
# that stopped it side by side, one that filtered it is what the ledger tells.
STOPPED = """
SELECT data ->> 'stopped' AS stopped, data ->> 'filtered' AS filtered FROM run_events
WHERE run_id = $1 AND kind = 'step_succeeded' AND data ? 'stopped'
ORDER BY data ->> 'filtered' IS NULL, seq LIMIT 1
"""

VERSION = """
SELECT v.id, v.area_id, v.version, v.mode, v.action, v.reactions, a.name FROM area_versions v JOIN areas a ON a.id = v.area_id
WHERE v.id = $1
"""

LOG_AFTER = """
SELECT run_id, area_id, seq, at, kind, level, step, message, data FROM run_events
WHERE run_id = $1 AND seq > $2 AND day >= $3 ORDER BY seq LIMIT $4
"""

RUN_STATE = "SELECT status, last_seq, created_at FROM runs WHERE id = $1 AND user_id = $2"

# Commit-safe: rows of transactions that may still be open are not shown yet, so the cursor never passes one.
ACCOUNT_AFTER = """
SELECT run_id, area_id, seq, at, kind, level, step, message, data, txid, number FROM run_events
WHERE user_id = $1 AND (txid, number) > ($2, $3)
  AND txid < (SELECT max(base) FROM feed_eras) + pg_snapshot_xmin(pg_current_snapshot())::text::bigint
ORDER BY txid, number LIMIT $4
"""

# The newest transaction whose predecessors have all ended: a commit-safe cursor may stand here. And what the era began above.
WATERMARK = """
SELECT max(base) + pg_snapshot_xmin(pg_current_snapshot())::text::bigint - 1 AS watermark, max(base) AS base FROM feed_eras
"""

EVENT_BY_KEY = "SELECT id FROM events WHERE hook_id = $1 AND dedupe_key = $2"

HOOKS_OF = (
    "SELECT token, id, action, config, status, secret FROM hooks WHERE token = ANY($1::text[]) AND kind = 'webhook'"
)

DUE_HOOKS = """
WITH due AS (
  SELECT id FROM hooks WHERE next_due_at <= now() AND kind = ANY($2::text[])
    AND (status IN ('pending', 'active', 'broken') OR (status = 'unused' AND kind = 'webhook'))
    AND (lease_until IS NULL OR lease_until < now())
  ORDER BY next_due_at LIMIT $1 FOR UPDATE SKIP LOCKED
)
UPDATE hooks SET lease_until = now() + CASE WHEN kind IN ('poll', 'webhook') THEN interval '60 seconds' ELSE interval '20 seconds' END
FROM due WHERE hooks.id = due.id
RETURNING hooks.id, hooks.kind, hooks.action, hooks.config, hooks.cursor, hooks.next_due_at, hooks.failures_in_row, hooks.lease_until,
  hooks.source_key, hooks.status, hooks.account_id, hooks.token, hooks.secret, hooks.remote_id, hooks.expires_at, hooks.subscribed_at,
  now() AS moment
"""

# A look that came to nothing through trouble of our own: nobody's fault, and due again at once.
LET_GO = "UPDATE hooks SET lease_until = now() + interval '1 second' WHERE id = $1 AND lease_until = $2"

# The cursor and next due time move with the events, and only for the holder of the lease.
POLLED = """
UPDATE hooks SET cursor = $3, next_due_at = $4, lease_until = NULL, last_polled_at = now(), failures_in_row = $5, last_error = $6::jsonb ->> 'message',
  failure = $6::jsonb,
  -- Whether it is in use is not the scheduler's to say.
  status = CASE WHEN status = 'unused' OR $7 = 'unused' THEN status ELSE $7 END
WHERE id = $1 AND lease_until = $2 RETURNING id
"""
