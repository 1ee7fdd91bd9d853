"""How runs of a user ended, for AREAs that react to AREAs."""

from typing import Any
from uuid import UUID

import asyncpg

from area.engine import statements

FOUND_AT_ONCE = 500

# Runs that such a hook itself started are left out: an AREA that reacts to failures and fails does not chase its own tail.
FINISHED = """
SELECT e.txid, e.number, e.run_id, e.area_id, e.kind, e.at, e.data, a.name,
  EXISTS (SELECT 1 FROM runs r JOIN events ev ON ev.id = r.event_id JOIN hooks h ON h.id = ev.hook_id
    WHERE r.id = e.run_id AND ((h.kind = 'manual' AND h.action <> 'area.called') OR r.is_test)) AS left_out
FROM run_events e JOIN areas a ON a.id = e.area_id
WHERE e.user_id = $1 AND (e.txid, e.number) > ($2, $3) AND e.txid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
  AND e.kind = ANY($4::text[])
ORDER BY e.txid, e.number LIMIT $5
"""

OWNER = """
SELECT a.user_id, h.action FROM areas a JOIN hooks h ON h.id = a.hook_id WHERE a.hook_id = $1 AND a.deleted_at IS NULL LIMIT 1
"""
KINDS = {"area.run_failed": ["run_failed"], "area.run_succeeded": ["run_succeeded"]}


async def finished_runs(
    pool: asyncpg.Pool, hook_id: UUID, after: dict[str, Any] | None
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """What ended after the cursor, and the next cursor. Without one, nothing: the present is the baseline."""
    watermark = await pool.fetchval(statements.WATERMARK)
    owner = await pool.fetchrow(OWNER, hook_id)
    if after is None or owner is None:
        return [], {"txid": watermark, "number": 0}
    kinds = KINDS[owner["action"]]
    rows = await pool.fetch(FINISHED, owner["user_id"], after["txid"], after["number"], kinds, FOUND_AT_ONCE)
    found = [_outcome(row) for row in rows if not row["left_out"]]
    if len(rows) == FOUND_AT_ONCE:
        return found, {"txid": rows[-1]["txid"], "number": rows[-1]["number"]}
    # Everything up to the watermark has been read: the next look need not pass it again.
    last = max(watermark, rows[-1]["txid"] if rows else 0)
    number = rows[-1]["number"] if rows and rows[-1]["txid"] == last else 0
    return found, {"txid": last, "number": number} if last > after["txid"] else after


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
