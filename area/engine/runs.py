"""The one writer of a run's state. Every change is a conditional UPDATE that names the fence (law 3)."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from area.core import log, metrics
from area.core.jsons import dump_or_none
from area.db.session import AWAY, UNFIT
from area.engine import statements
from area.engine.batcher import Batcher
from area.engine.feed import TERMINAL

logger = log.get(__name__)

PERSIST_SECONDS = 90.0
"""How long a worker tries to write an outcome while Postgres is away."""
WOKEN_AT_ONCE = 1_000


class Fenced(Exception):
    """The lease was lost: another worker owns the run now, and this one must not write."""


@dataclass(slots=True)
class StepState:
    """One row of `run_steps`."""

    position: int
    key: str
    reaction: str
    status: str = "pending"
    attempt: int = 0
    due_at: datetime | None = None
    input: Any = None
    output: Any = None
    error: dict[str, Any] | None = None
    effect: str = "none"
    started_at: datetime | None = None
    finished_at: datetime | None = None
    was_in_doubt: bool = field(default=False, init=False)
    """Whether an earlier call of it is `in_doubt`, while another is made; not stored."""

    @property
    def in_flight(self) -> bool:
        """Whether its call was about to be made, and no outcome is known."""
        return self.status == "running" and self.effect == "intended"

    @property
    def in_doubt(self) -> bool:
        """Whether a call of it may have happened: one in flight, or one that had no answer and is to be made again."""
        is_lost = self.status == "waiting" and self.effect == "intended" and self.error is not None
        return self.in_flight or is_lost

    def row(self, run_id: UUID) -> tuple[Any, ...]:
        """The values in the order of `statements.CHECKPOINT`."""
        return (
            run_id, self.position, self.key, self.reaction, self.status, self.attempt, self.due_at, dump_or_none(self.input),
            dump_or_none(self.output), dump_or_none(self.error), self.effect, self.started_at, self.finished_at,
        )  # fmt: skip


_STORED = [column.name for column in fields(StepState) if column.init]


@dataclass(slots=True)
class Checkpoint:
    """What one run has to make durable: its state, its changed steps, its new lines."""

    run_id: UUID
    fence: int
    status: str
    last_seq: int
    due_at: datetime | None = None
    error: dict[str, Any] | None = None
    filtered: str | None = None
    """Why the run's event was filtered out, when it was."""
    advances: bool = False
    """Whether it brings a step to its end."""
    steps: list[tuple[Any, ...]] = field(default_factory=list)
    events: list[tuple[Any, ...]] = field(default_factory=list)
    payloads: list[tuple[UUID, UUID, bytes]] = field(default_factory=list)
    asked_at: float = 0.0
    """When the write that went through was sent, by `time.monotonic`: the lease lasts at least from then."""


class Runs:
    """Claims, checkpoints and renewals of runs, many to a commit."""

    def __init__(self, pool: asyncpg.Pool, lease_seconds: float) -> None:
        self._pool = pool
        self.lease = timedelta(seconds=lease_seconds)
        self._trouble_at = -math.inf
        self._batcher: Batcher[Checkpoint, bool | None] = Batcher(self._flush, size=200, lanes=2, alone=UNFIT)

    async def claim(self, ids: list[UUID]) -> list[asyncpg.Record]:
        """Take those of ``ids`` that nobody else has."""
        return self._counted(await self._ask(statements.CLAIM, ids, self.lease, self._may_take_over))

    async def claim_next(
        self, room: int, served: UUID, held: Mapping[UUID, int], most: int
    ) -> tuple[list[asyncpg.Record], bool]:
        """Take up to ``room`` queued runs, the same share for each user; and whether there may be more.

        ``served`` is the user whose turn was last, ``held`` how many runs each user has here, ``most`` how many one may have.
        """
        given = (room, self.lease, served, list(held), list(held.values()), most)
        rows = await self._ask(statements.CLAIM_NEXT, *given)
        taken = Counter(row["user_id"] for row in rows)
        return rows, any(taken[row["user_id"]] >= row["share"] for row in rows)

    async def claim_lost(self, room: int, mine: Iterable[UUID] = ()) -> list[asyncpg.Record]:
        """Take over up to ``room`` runs whose worker died. ``mine`` are under way here."""
        if not self._may_take_over:
            return []
        return self._counted(await self._ask(statements.CLAIM_LOST, room, self.lease, list(mine)))

    async def wake_due(self) -> int:
        """Queue the waiting runs whose moment has come; how many there were."""
        return len(await self._ask(statements.WAKE_DUE, WOKEN_AT_ONCE))

    @property
    def _may_take_over(self) -> bool:
        # When Postgres was away for us it was away for others too: who lives writes and renews first, then leases count.
        return time.monotonic() - self._trouble_at > self.lease.total_seconds()

    async def _ask(self, statement: str, *given: Any) -> list[asyncpg.Record]:
        try:
            rows: list[asyncpg.Record] = await self._pool.fetch(statement, *given)
        except AWAY:
            self._trouble_at = time.monotonic()
            raise
        return rows

    def _counted(self, rows: list[asyncpg.Record]) -> list[asyncpg.Record]:
        metrics.TAKEOVERS.inc(sum(row["was"] == "running" for row in rows))
        return rows

    async def steps(self, run_id: UUID) -> list[StepState]:
        """The stored steps of a run."""
        rows = await self._pool.fetch(statements.STEPS, run_id)
        return [StepState(**{name: row[name] for name in _STORED}) for row in rows]

    async def stored_bytes(self, run_id: UUID) -> int:
        """How much the inputs, outputs and payloads of a run take."""
        found: int = await self._pool.fetchval(statements.STORED, run_id)
        return found

    async def answers(self, run_id: UUID) -> dict[str, Any]:
        """What has come for the steps of a run that wait for something, by their keys."""
        return {row["step"]: row["answer"] for row in await self._pool.fetch(statements.ANSWERS, run_id)}

    async def stopped(self, run_id: UUID) -> tuple[str | None, str | None]:
        """Why a step has stopped the run under an earlier worker, and why it has filtered its event out; None where none has."""
        row = await self._pool.fetchrow(statements.STOPPED, run_id)
        return (row["stopped"], row["filtered"]) if row else (None, None)

    async def commit(self, checkpoint: Checkpoint) -> bool:
        """Make a checkpoint durable; says whether a cancel was asked for. Raises: Fenced."""
        cancel = await self._batcher.submit(checkpoint)
        if cancel is None:
            metrics.FENCED.inc()
            raise Fenced
        if checkpoint.status in TERMINAL:
            metrics.RUNS.labels(checkpoint.status).inc()
        return cancel

    async def renew(self, held: dict[UUID, int]) -> dict[UUID, bool]:
        """Prolong leases. The answer has the runs still held, and whether each is asked to cancel."""
        rows = await self._ask(statements.RENEW, list(held), list(held.values()), self.lease)
        return {row["id"]: row["cancel_requested"] for row in rows}

    async def _persist(self, arguments: list[Any]) -> tuple[list[asyncpg.Record], float]:
        """Write through a Postgres that restarts: the outcome of a call must not be lost because its database blinked.

        The answer's second part is when the write that went through was sent, by `time.monotonic`.
        """
        deadline, delay = time.monotonic() + PERSIST_SECONDS, 0.05
        while True:
            asked_at = time.monotonic()
            try:
                return await self._ask(statements.CHECKPOINT, *arguments), asked_at
            except AWAY as error:
                if time.monotonic() > deadline:
                    raise
                logger.warning("runs.checkpoint_again", error=repr(error))
                await asyncio.sleep(delay)
                delay = min(delay * 2, 1.0)

    async def _flush(self, batch: list[Checkpoint]) -> list[bool | None]:
        heads = [
            [c.run_id, c.fence, c.status, c.last_seq, c.due_at, dump_or_none(c.error), c.filtered, c.advances]
            for c in batch
        ]
        steps = [row for c in batch for row in c.steps]
        events = [row for c in batch for row in c.events]
        payloads = [row for c in batch for row in c.payloads]
        rows, asked_at = await self._persist(
            [*_columns(heads, 8), self.lease, *_columns(steps, 13), *_columns(events, 9), *_columns(payloads, 3)]
        )
        for checkpoint in batch:
            checkpoint.asked_at = asked_at
        found = {row["id"]: row["cancel_requested"] for row in rows}
        return [found.get(c.run_id) for c in batch]


def _columns(rows: list[Any], width: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]
