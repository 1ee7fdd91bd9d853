"""One run, from claim to its end or its next rest."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from area.core.clock import Carried
from area.core.flight import Flight
from area.core.ids import new_id
from area.core.jsons import TooDeep, dump, keep, printable
from area.core.tracing import span_id
from area.engine.cancelling import LOST
from area.engine.plan import ITEMS_FROM, Plan, PlanBroken, PlanStep
from area.engine.runs import Checkpoint, Runs, StepState
from area.engine.templates import TemplateFailed

FINAL = ("succeeded", "failed", "skipped")
LINE_LIMIT = 8 * 1024
"""Longest message of one line, in characters."""
OUTPUT_LIMIT = 1 << 20
"""Largest input or output that is stored, in characters."""
SMALL = 1024
"""Inputs and outputs of no more characters are stored whatever the run has stored before."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run may store, in bytes."""

    log: int
    """Of lines written by its steps, in all."""
    whole: int
    """Of inputs, outputs, and details kept apart, in all."""
    details: int
    """Of one line's details, in the line itself."""


class Execution:
    """The state of one claimed run in this worker, and its unwritten changes."""

    def __init__(self, claim: asyncpg.Record, runs: Runs, limits: Limits) -> None:
        self.id: UUID = claim["id"]
        self.user_id: UUID = claim["user_id"]
        self.area_id: UUID = claim["area_id"]
        self.version_id: UUID = claim["area_version_id"]
        self.fence: int = claim["fence"]
        # Postgres judges what is due and whose lease has ended, so its clock is this run's.
        self.now: Callable[[], datetime] = Carried(claim["moment"]).now
        self.first: bool = claim["fence"] == 1
        self._replays_from: str | None = claim["replay_from"]
        self.was_running: bool = claim["was"] == "running"
        self.takeovers: int = claim["takeovers"]
        self.is_limited: bool = claim["max_concurrent_runs"] is not None
        self.is_orphan: bool = claim["is_orphan"]
        """Its AREA has been deleted."""
        self.is_of_event: bool = claim["cause"] == "event"
        self.cancelled: bool = claim["cancel_requested"]
        self.is_test: bool = claim["is_test"]
        self.is_called: bool = claim["cause"] == "call"
        self.trigger: Any = claim["payload"] if claim["payload"] is not None else {}
        self.received_at: datetime = claim["received_at"]
        self.event_id: UUID | None = claim["event_id"]
        self.is_raw: bool = claim["event_id"] is not None and claim["is_raw"]
        self.stopped: str | None = None
        self.filtered: str | None = None
        self.flights: set[Flight] = set()
        self.failure: dict[str, Any] | None = None
        self.held_for: dict[str, Any] | None = None
        """Why the run has to be held: the account that must be connected again."""
        self.states: dict[int, StepState] = {}
        self.turn: frozenset[int] = frozenset()
        """Positions of the steps that are executed side by side now."""
        self.outputs: dict[str, Any] = {}
        self.about: dict[str, Any] = {}
        """What templates see as ``run``."""
        self.answers: dict[str, Any] = {}
        """What has come for the steps that wait for something, by their keys."""
        self.is_leaving = False
        """The worker is to stop: no new call is begun."""
        self._unheard: set[str] = set()
        self._runs = runs
        self._seq: int = claim["last_seq"]
        self._lock = asyncio.Lock()
        self._steps: dict[int, StepState] = {}
        self._events: list[tuple[Any, ...]] = []
        self._payloads: list[tuple[UUID, UUID, bytes]] = []
        self._limits = limits
        self._log_left = limits.log
        self._left = limits.whole
        self._cut = False
        self._is_full = False
        self._held_until = time.monotonic() + runs.lease.total_seconds()

    def is_held(self) -> bool:
        """Whether the lease lasts by our own reckoning. A worker that was frozen finds that it does not."""
        return time.monotonic() < self._held_until

    def renewed(self, asked_at: float) -> None:
        """A write or renewal that was asked for at ``asked_at`` (monotonic) went through."""
        self._held_until = max(self._held_until, asked_at + self._runs.lease.total_seconds())

    def cancel(self) -> None:
        """Its owner wants it ended: no further step begins, and a call that has not left is given up."""
        self.cancelled = True
        for flight in self.flights:
            flight.abort()

    @property
    def trace(self) -> UUID:
        """The trace that this run belongs to: its event's."""
        return self.event_id or self.id

    @property
    def span(self) -> int:
        """The span of this worker's part in the run."""
        return span_id(self.id, self.fence)

    @property
    def scope(self) -> dict[str, Any]:
        """What templates see."""
        return {"trigger": self.trigger, "steps": self.outputs, "run": self.about}

    async def load(self, plan: Plan) -> None:
        """Set up the steps: fresh ones, over what earlier workers have stored. Raises: PlanBroken."""
        fresh = self.first and not self._replays_from
        stored = {} if fresh else {s.position: s for s in await self._runs.steps(self.id)}
        self._left -= 0 if fresh else await self._runs.stored_bytes(self.id)
        if plan.listens:
            self.answers = await self._runs.answers(self.id)
            # An answer to an item of a loop is one to the loop.
            self._unheard = {key.partition("[")[0] for key in self.answers} | set(self.answers)
        if plan.may_stop and not self.first:
            self.stopped, self.filtered = await self._runs.stopped(self.id)
        self.states = {position: state for position, state in stored.items() if position >= ITEMS_FROM}
        for step in plan.steps:
            state = stored.get(step.position) or StepState(step.position, step.key, step.reaction.key)
            if state.key != step.key:
                raise PlanBroken(f"Step {state.key!r} of this run is not in its AREA's version.")
            self.states[step.position] = state
            if state.status == "succeeded":
                self.keep(step.key, state.output)
            elif state.status == "failed" and step.stops:
                self.failure = {**(state.error or {}), "step": step.key}

    async def load_stored(self) -> None:
        """Set up what earlier workers have stored, and nothing else: there is no plan."""
        self.states = {state.position: state for state in await self._runs.steps(self.id)}

    def keep(self, key: str, output: Any) -> None:
        """Let later steps read what a step has put out."""
        if _is_mark(output) and not isinstance(self.outputs, Cut):
            self.outputs = Cut(self.outputs)
        self.outputs[key] = output

    def tell(self, kind: str, message: str, *, level: str = "info", step: str | None = None, data: Any = None) -> None:
        """Add a line to the run's story; it becomes durable with the next commit."""
        text = None if data is None else _storable(data)
        if kind == "log":
            self._log_left -= len(message) + min(len(text or ""), self._limits.details) + 64
            if self._log_left < 0:
                if self._cut:
                    return
                self._cut = True
                kind, message, level, text = "log", "The log of this run is full; later lines are cut.", "warning", None
        if text is not None and len(text) > self._limits.details:
            text = self._set_apart(text, kind)
        self._seq += 1
        moment = self.now()
        day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        clean = printable(message[:LINE_LIMIT])
        self._events.append((self.id, self._seq, day, moment, kind, printable(level[:20]), step, clean, text))

    def _set_apart(self, text: str, kind: str) -> str:
        """What a line has instead of details that are too large for it."""
        mark: dict[str, Any] = {"cut": True, "bytes": len(text), "preview": text[:1024]}
        # An output is with its step, and need not be stored twice.
        if kind != "step_succeeded" and self._spend(len(text)):
            payload = new_id()
            self._payloads.append((payload, self.id, text.encode()))
            mark["payload"] = str(payload)
        return dump(mark)

    def fit(self, value: Any, key: str) -> Any:
        """An input or output of a step as it is stored: whole, or, where it is too large, its length. Raises: TooDeep."""
        kept, text = keep(value)
        if len(text) > OUTPUT_LIMIT:
            told = (
                f"This is {len(text):,} bytes long, and {OUTPUT_LIMIT:,} are the most that is kept; only its length is."
            )
            self.tell("log", told, level="warning", step=key)
        elif self._spend(len(text)):
            return kept
        return {"cut": True, "bytes": len(text)}

    def _spend(self, size: int) -> bool:
        """Whether so many bytes may be stored. What is small always may: a run is not to fail for its history."""
        if size > self._left and size > SMALL:
            if not self._is_full:
                self._is_full = True
                told = f"This run has stored {self._limits.whole:,} bytes, the most that one may; large values are cut from here."
                self.tell("log", told, level="warning")
            return False
        self._left -= size
        return True

    def changed(self, state: StepState) -> None:
        """Mark a step to be written with the next commit."""
        self._steps[state.position] = state

    @property
    def dirty(self) -> int:
        """How many lines are not durable yet."""
        return len(self._events)

    async def commit(self, status: str = "running", due_at: datetime | None = None) -> None:
        """Make everything so far durable. Raises: Fenced when the run is no longer ours."""
        async with self._lock:
            events, self._events = self._events, []
            steps, self._steps = self._steps, {}
            payloads, self._payloads = self._payloads, []
            checkpoint = Checkpoint(
                self.id,
                self.fence,
                status,
                self._seq,
                due_at,
                {"failed": self.failure, "held": self.held_for}.get(status),
                self.filtered if status == "succeeded" else None,
                any(state.status in FINAL for state in steps.values()),
                [state.row(self.id) for state in steps.values()],
                events,
                payloads,
            )
            if await self._runs.commit(checkpoint):
                self.cancel()
            self.renewed(checkpoint.asked_at)

    def finish_step(
        self, state: StepState, status: str, output: Any = None, error: dict[str, Any] | None = None
    ) -> None:
        """Bring a step to its end in memory."""
        state.status, state.output, state.error = status, output, error
        state.finished_at, state.due_at = self.now(), None
        self.changed(state)

    def unsettled(self, state: StepState, message: str) -> None:
        """Bring a step to its end of which nobody knows whether its call happened."""
        state.effect = "unknown"
        self.finish_step(state, "unknown", error={"code": "UNKNOWN", "message": message})
        self.tell("step_unknown", message, level="error", step=state.key)

    def skip_pending(self) -> None:
        """Skip what has not begun and has no turn now: written with what stops the run, so that whoever takes over begins none."""
        for position, state in self.states.items():
            has_turn = position >= ITEMS_FROM or position in self.turn
            if state.status in ("pending", "waiting") and not has_turn and not state.in_doubt:
                self._skip(state)

    def skip_rest(self) -> None:
        """Skip what has no end, since the run ends. A call that had no answer may have happened."""
        for state in self.states.values():
            if state.in_doubt:
                self.unsettled(state, LOST)
            elif state.status not in (*FINAL, "unknown"):
                self._skip(state)

    def _skip(self, state: StepState) -> None:
        self.finish_step(state, "skipped")
        if state.position < ITEMS_FROM:
            self.tell("step_skipped", "Skipped: the run has ended", step=state.key)

    def in_doubt(self, step: PlanStep) -> list[StepState]:
        """What of a step may have happened, and has no outcome: its call, or those of its items."""
        items = range((step.position + 1) * ITEMS_FROM, (step.position + 2) * ITEMS_FROM)
        return [s for p, s in self.states.items() if s.in_doubt and (p == step.position or p in items)]

    def ready(self, plan: Plan) -> list[PlanStep]:
        """The steps whose turn it is: not begun, and nothing they wait for is open."""
        moment = self.now()
        return [
            step
            for step in plan.steps
            if self.is_open(self.states[step.position], moment)
            and all(self.states[before].status in FINAL for before in step.after)
        ]

    def is_open(self, state: StepState, moment: datetime | None = None) -> bool:
        """Whether a step can go on: not begun, interrupted, due, or answered."""
        if state.status == "waiting":
            return state.key in self._unheard or state.due_at is None or state.due_at <= (moment or self.now())
        return state.status in ("pending", "running")

    def heard(self, state: StepState) -> None:
        """A step has been told what came for it."""
        self._unheard.discard(state.key)

    def next_due(self) -> datetime | None:
        """The earliest moment at which a waiting step goes on."""
        # A loop waits for the first of its items, and those of one that has ended are waited for by nobody.
        waiting = (s for p, s in self.states.items() if p < ITEMS_FROM and s.status == "waiting")
        return min((s.due_at for s in waiting if s.due_at), default=None)


class Cut(dict[str, Any]):
    """Outputs of which some were too large to be kept: who reads one of those is told, and does not take it for empty."""

    def __getitem__(self, key: str) -> Any:
        output = super().__getitem__(key)
        if _is_mark(output):
            raise TemplateFailed(
                f"The output of step {key!r} was too large to be kept ({output['bytes']:,} bytes), so no later step can read it. "
                "Have the step ask for less."
            )
        return output


def _is_mark(output: Any) -> bool:
    return isinstance(output, dict) and output.keys() == {"cut", "bytes"}


def _storable(data: Any) -> str:
    try:
        return dump(data)
    except TooDeep:
        return dump({"cut": True, "reason": "It has too many lists or objects in one another."})
