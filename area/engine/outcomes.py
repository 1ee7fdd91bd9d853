"""What the platform itself has to tell a user: how runs ended, which accounts died, which sources broke. For AREAs that react."""

from typing import Any
from uuid import UUID

import asyncpg

from area.engine import statements
from area.nodes import sdk

FOUND_AT_ONCE = 500

# Runs that such a hook itself started are left out: an AREA that reacts to failures and fails does not chase its own tail.
FINISHED = """
SELECT e.txid, e.number, e.run_id, e.area_id, e.kind, e.at, e.data, a.name,
  EXISTS (SELECT 1 FROM runs r JOIN events ev ON ev.id = r.event_id JOIN hooks h ON h.id = ev.hook_id
    WHERE r.id = e.run_id AND ((h.kind = 'manual' AND h.action <> 'area.called') OR r.is_test)) AS left_out
FROM run_events e JOIN areas a ON a.id = e.area_id
WHERE e.user_id = $1 AND (e.txid, e.number) > ($2, $3)
  AND e.txid < (SELECT max(base) FROM feed_eras) + pg_snapshot_xmin(pg_current_snapshot())::text::bigint
  AND e.kind = ANY($4::text[])
ORDER BY e.txid, e.number LIMIT $5
"""

OWNER = "SELECT user_id FROM areas WHERE hook_id = $1 AND deleted_at IS NULL LIMIT 1"
# Few at any time, and each death told once by its own name: no cursor is needed.
DEAD = """
SELECT c.id, c.service, c.label, c.last_error, c.died_at, used.names, used.count
FROM connected_accounts c CROSS JOIN LATERAL (
  SELECT count(*) AS count, (array_agg(a.name ORDER BY a.name))[:100] AS names
  FROM areas a JOIN area_versions v ON v.id = a.published_version_id
  WHERE a.user_id = c.user_id AND a.deleted_at IS NULL AND a.is_enabled AND (v.action ->> 'accountId' = c.id::text
    OR v.reactions @> jsonb_build_array(jsonb_build_object('accountId', c.id::text)))
) used
WHERE c.user_id = $1 AND c.status = 'needs_reconnect' AND c.died_at IS NOT NULL ORDER BY c.died_at
"""
NEWLY_DEAD = """
SELECT id::text || ':' || floor(extract(epoch FROM died_at))::bigint FROM connected_accounts
WHERE user_id = $1 AND status = 'needs_reconnect' AND died_at IS NOT NULL
"""
# A source may serve many users: each is told by the AREAs of their own that hang on it.
BROKEN = """
SELECT h.id, h.action, h.last_error, h.failure, h.failures_in_row, h.next_due_at, now() AS moment, used.names, used.ids, used.count
FROM hooks h CROSS JOIN LATERAL (
  SELECT count(*) AS count, (array_agg(name ORDER BY id))[:100] AS names, (array_agg(id::text ORDER BY id))[:100] AS ids
  FROM areas WHERE hook_id = h.id AND user_id = $1 AND deleted_at IS NULL AND is_enabled
) used
WHERE h.status = 'broken' AND used.count > 0 ORDER BY h.id
"""

Told = tuple[list[dict[str, Any]], dict[str, Any] | None]
"""What happened, and the next cursor."""

KINDS = {"area.run_failed": ["run_failed"], "area.run_succeeded": ["run_succeeded"]}


async def baseline(pool: asyncpg.Pool, action: sdk.Action, user_id: UUID) -> dict[str, Any] | None:
    """The cursor of a hook that this user watches the platform with from now on; None: of other hooks, the first look finds it."""
    if action.delivery is not sdk.Delivery.MANUAL or not action.watched:
        return None
    return (await _told(pool, user_id, action.key, None))[1]


async def happened(pool: asyncpg.Pool, hook_id: UUID, action: str, after: dict[str, Any] | None) -> Told:
    """What an internal action's hook has to tell, after its cursor. Without one, nothing: the present is the baseline."""
    user_id = await pool.fetchval(OWNER, hook_id)
    return ([], after) if user_id is None else await _told(pool, user_id, action, after)


async def _told(pool: asyncpg.Pool, user_id: UUID, action: str, after: dict[str, Any] | None) -> Told:
    match action.partition(".")[0]:
        case "area":
            return await finished_runs(pool, user_id, KINDS[action], after)
        case "account":
            return await dead_accounts(pool, user_id, after)
        case _:
            return await broken_hooks(pool, user_id, after)


async def dead_accounts(pool: asyncpg.Pool, user_id: UUID, after: dict[str, Any] | None) -> Told:
    """Accounts that died since the last look. Without a cursor, nothing: those that are dead by now are the baseline."""
    names = sorted(row[0] for row in await pool.fetch(NEWLY_DEAD, user_id))
    known = set(names if after is None else after["dead"])
    if known.issuperset(names):
        return [], {"dead": names}
    found = [_dead(row) for row in await pool.fetch(DEAD, user_id)]
    return [one for one in found if one["id"] not in known], {"dead": sorted(one["id"] for one in found)}


async def broken_hooks(pool: asyncpg.Pool, user_id: UUID, after: dict[str, Any] | None) -> Told:
    """Sources that broke since the last look; one that healed meanwhile is told again. Those broken by now are the baseline."""
    found = [_broken(row) for row in await pool.fetch(BROKEN, user_id)]
    known = [one["hook_id"] for one in found] if after is None else after["broken"]
    return [one for one in found if one["hook_id"] not in known], {"broken": [one["hook_id"] for one in found]}


async def finished_runs(pool: asyncpg.Pool, user_id: UUID, kinds: list[str], after: dict[str, Any] | None) -> Told:
    """What ended after the cursor, and the next cursor. Without one, nothing: the present is the baseline."""
    watermark = await pool.fetchval(statements.WATERMARK)
    if after is None:
        # Behind all that the watermark has passed, the last included.
        return [], {"txid": watermark + 1, "number": 0}
    rows = await pool.fetch(FINISHED, user_id, after["txid"], after["number"], kinds, FOUND_AT_ONCE)
    found = [_outcome(row) for row in rows if not row["left_out"]]
    if len(rows) == FOUND_AT_ONCE:
        return found, {"txid": rows[-1]["txid"], "number": rows[-1]["number"]}
    # Everything up to the watermark has been read: the next look need not pass it again.
    last = max(watermark, rows[-1]["txid"] if rows else 0)
    number = rows[-1]["number"] if rows and rows[-1]["txid"] == last else 0
    return found, {"txid": last, "number": number} if (last, number) > (after["txid"], after["number"]) else after


def _outcome(row: asyncpg.Record) -> dict[str, Any]:
    error = (row["data"] or {}).get("error") or {}
    return {
        "run_id": str(row["run_id"]),
        "area_id": str(row["area_id"]),
        "area_name": row["name"],
        "status": row["kind"].removeprefix("run_"),
        "error_code": error.get("code"),
        "error_message": error.get("message"),
        "failed_step": error.get("step"),
        "finished_at": row["at"],
    }


def _dead(row: asyncpg.Record) -> dict[str, Any]:
    return {
        "id": f"{row['id']}:{int(row['died_at'].timestamp())}",
        "account_id": str(row["id"]),
        "service": row["service"],
        "label": row["label"],
        "reason": row["last_error"] or "its consent is gone",
        "areas": row["names"] or [],
        "area_count": row["count"],
        "died_at": row["died_at"],
    }


def _broken(row: asyncpg.Record) -> dict[str, Any]:
    return {
        "id": f"{row['id']}:{int(row['moment'].timestamp() * 1000)}",
        "hook_id": str(row["id"]),
        "action": row["action"],
        "reason": row["last_error"] or "it cannot be watched",
        "code": (row["failure"] or {}).get("code"),
        "failures_in_row": row["failures_in_row"],
        "next_try_at": row["next_due_at"],
        "area_ids": row["ids"],
        "areas": row["names"],
        "area_count": row["count"],
        "found_at": row["moment"],
    }
