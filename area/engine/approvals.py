"""Approvals: a step asks, a person decides by a signed link or by the API, once; the run goes on."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from area.core.errors import AreaError, Conflict, InvalidInput, NotFound
from area.engine.plan import PlanBroken
from area.engine.platform import Platform
from area.nodes import sdk

LONGEST_COMMENT = 2000

ASKED = """
SELECT runs.id, runs.user_id, runs.status, areas.name AS area_name, now() AS moment, step.status AS step_status,
  step.due_at, step.input,
  approvals.approved, approvals.decided_by, approvals.decided_at
FROM runs JOIN areas ON areas.id = runs.area_id
LEFT JOIN run_steps step ON step.run_id = runs.id AND step.key = $2
LEFT JOIN approvals ON approvals.run_id = runs.id AND approvals.step = $2
WHERE runs.id = $1
"""
LOCK = "SELECT 1 FROM runs WHERE id = $1 FOR NO KEY UPDATE"

DECIDE = """
INSERT INTO approvals (run_id, step, approved, comment, decided_by) VALUES ($1, $2, $3, $4, $5)
"""

# What waits takes its place in the queue; what a worker has just now is looked at again when it goes to rest.
WAKE = """
UPDATE runs SET woken = true, status = CASE WHEN status = 'waiting' THEN 'queued' ELSE status END, due_at = NULL
WHERE id = $1 AND status IN ('queued', 'running', 'waiting', 'held') RETURNING user_id
"""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, and how it stands: ``open`` until ``expires_at``, ``decided``, ``expired``, or ``over`` with its run.

    A question is open before its step has begun, too; then its text is not known yet.
    """

    run_id: UUID
    step: str
    area_name: str
    state: str
    message: str | None
    expires_at: datetime | None
    approved: bool | None
    decided_by: str | None


async def asked(platform: Platform, token: str) -> Asked:
    """The question behind a link. Raises: NotFound."""
    run_id, step = platform.links.read(token)
    row = await platform.db.pool.fetchrow(ASKED, run_id, step)
    if row is None:
        raise NotFound("The run that asked is no longer kept.")
    return _asked(row, step)


async def decide_by_link(platform: Platform, token: str, *, approved: bool, comment: str) -> Asked:
    """Decide as whoever has the link. Raises: NotFound, Conflict, InvalidInput."""
    run_id, step = platform.links.read(token)
    return await _decide(platform, run_id, step, approved, comment, "link", None)


async def decide(platform: Platform, user_id: UUID, run_id: UUID, step: str, *, approved: bool, comment: str) -> Asked:
    """Decide as the run's owner. Raises: NotFound, Conflict, InvalidInput."""
    email = await platform.db.pool.fetchval("SELECT email FROM users WHERE id = $1", user_id)
    return await _decide(platform, run_id, step, approved, comment, email or "owner", user_id)


async def _decide(
    platform: Platform, run_id: UUID, step: str, approved: bool, comment: str, decided_by: str, user_id: UUID | None
) -> Asked:
    said = comment.strip().replace("\x00", "\ufffd")
    if len(said) > LONGEST_COMMENT:
        message = f"A comment has {LONGEST_COMMENT} characters at most; this one has {len(said)}."
        raise InvalidInput(message, path=("comment",))
    version = await platform.db.pool.fetchval(
        "SELECT area_version_id FROM runs WHERE id = $1 AND ($2::uuid IS NULL OR user_id = $2)", run_id, user_id
    )
    if version is None:
        raise NotFound("There is no such run.", path=("runId",))
    try:
        plan = await platform.plans.get(version)
    except PlanBroken as error:
        raise InvalidInput(str(error), path=("runId",)) from None
    if not any(found.key == step and found.reaction.control is sdk.Control.APPROVAL for found in plan.steps):
        raise NotFound(f"This run has no step {step[:60]!r} that asks for approval.", path=("step",))
    async with platform.db.pool.acquire() as connection, connection.transaction():
        # First the lock, so that the run's end, its worker's checkpoint and each decision come one after another; then the look.
        await connection.fetchval(LOCK, run_id)
        row = await connection.fetchrow(ASKED, run_id, step)
        if row is None:
            raise NotFound("There is no such run.", path=("runId",))
        question = _asked(row, step)
        if question.state != "open":
            raise _closed(question)
        await connection.execute(DECIDE, run_id, step, approved, said, decided_by)
        await connection.execute(WAKE, run_id)
    platform.doorbell.ring()
    platform.doorbell.announce(row["user_id"], run_id)
    return question


def _closed(question: Asked) -> AreaError:
    if question.state == "decided":
        verb = "approved" if question.approved else "rejected"
        return Conflict(f"This was {verb} already, by {question.decided_by}.", path=("step",))
    if question.state == "expired":
        return Conflict("The time to decide is over.", path=("step",))
    return Conflict("The run has ended, or has gone on without a decision; there is nothing to decide.", path=("step",))


def _asked(row: asyncpg.Record, step: str) -> Asked:
    given: Any = row["input"] or {}
    return Asked(
        run_id=row["id"],
        step=step,
        area_name=row["area_name"],
        state=_state(row),
        message=given.get("message") if isinstance(given, dict) else None,
        expires_at=row["due_at"],
        approved=row["approved"],
        decided_by=row["decided_by"],
    )


def _state(row: asyncpg.Record) -> str:
    if row["approved"] is not None:
        return "decided"
    if row["step_status"] == "waiting" and row["due_at"] is not None and row["due_at"] <= row["moment"]:
        return "expired"
    over = row["status"] not in ("queued", "running", "waiting", "held")
    return "over" if over or row["step_status"] in ("succeeded", "failed", "skipped", "unknown") else "open"
