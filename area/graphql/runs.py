"""Runs, their steps and their log; events, and what became of them."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, cast
from uuid import UUID

import strawberry
from strawberry import field
from strawberry.scalars import JSON

from area.core.ids import row_uuid, to_global
from area.db import models as m
from area.engine.feed import LogLine
from area.engine.plan import ITEMS_FROM
from area.graphql.context import Info
from area.graphql.enums import DeliveryOutcome, Effect, LogKind, LogLevel, RunCause, RunStatus, StepStatus, stored
from area.graphql.fields import paged, resolved
from area.graphql.nodes import Node, find, finds
from area.graphql.pages import Connection, Window, by_number, connection, to_cursor
from area.nodes import sdk

if TYPE_CHECKING:
    from area.graphql.accounts import ConnectedAccount
    from area.graphql.areas import Area
    from area.graphql.catalogue import ReactionDefinition

LazyArea = Annotated["Area", strawberry.lazy("area.graphql.areas")]
LazyAccount = Annotated["ConnectedAccount", strawberry.lazy("area.graphql.accounts")]
LazyReaction = Annotated["ReactionDefinition", strawberry.lazy("area.graphql.catalogue")]


@strawberry.type(description="Why a run or a step failed, or why a run is held.")
class RunFailure:
    """Why a run or a step failed, or why a run is held."""

    account_id: strawberry.Private[str | None]
    code: str = field(description="Stable code, such as REJECTED.")
    message: str = field(description="What happened, and what to do next.")
    step: str | None = field(description="The key of the step that failed, where one did.")
    path: list[str] = field(
        description="Where in the AREA's input it is mended, as in `errors` of `createArea`; empty when that is not known."
    )
    suggestion: str | None = field(description="A value for that place which should do.")

    @resolved(description="The account that has to be connected again, where that is the reason.")
    async def account(self, info: Info) -> LazyAccount | None:
        """The account that has to be connected again."""
        return cast("ConnectedAccount | None", await find(info, "ConnectedAccount", self.account_id))

    @classmethod
    def of(cls, error: dict[str, Any] | None, step: str | None = None) -> RunFailure | None:
        """The failure that the engine stored, of this step unless it names one."""
        if error is None:
            return None
        return cls(
            account_id=error.get("accountId"),
            code=str(error.get("code", "FAILED")),
            message=str(error.get("message", "")),
            step=error.get("step") or step,
            path=[str(part) for part in error.get("path", ())],
            suggestion=error.get("suggestion"),
        )


@strawberry.type(description="One thing that happened at an action's source.")
class Event:
    """One thing that happened at an action's source."""

    id: strawberry.ID = field(description="Opaque and stable.")
    payload: JSON = field(description="What the action gave: {{ event }} in templates.")
    occurred_at: datetime | None = field(description="When it happened, where the provider says.")
    received_at: datetime = field(description="When the platform learned of it.")

    @classmethod
    def of(cls, row: m.Event) -> Event:
        """The event in this row."""
        return cls(
            id=strawberry.ID(to_global("Event", row.id)),
            payload=row.payload,
            occurred_at=row.occurred_at,
            received_at=row.received_at,
        )


@strawberry.type(description="One reaction of a run.")
class RunStep:
    """One reaction of a run."""

    row: strawberry.Private[m.RunStep]
    id: strawberry.ID = field(description="Opaque and stable.")
    key: str = field(description="The step's name in its AREA; `key[index]` for an item of a loop.")
    reaction: str = field(description="The reaction's key in the catalogue.")
    status: StepStatus = field(description="Where the step is in its life.")
    attempt: int = field(description="How many attempts were begun.")
    effect: Effect = field(description="What is known of its effect on the outside world.")
    failure: RunFailure | None = field(description="Why it failed.")
    due_at: datetime | None = field(description="When a waiting step goes on.")
    started_at: datetime | None = field(description="When its first attempt began.")
    finished_at: datetime | None = field(description="When it reached its final state.")

    @resolved(description="What the reaction was given, templates filled in.")
    async def input(self, info: Info) -> JSON | None:
        """What the reaction was given."""
        return (await self._values(info))[0]

    @resolved(description="What it returned.")
    async def output(self, info: Info) -> JSON | None:
        """What it returned."""
        return (await self._values(info))[1]

    async def _values(self, info: Info) -> tuple[JSON | None, JSON | None]:
        return await info.context.loaders.step_values.load((self.row.run_id, self.row.position))

    @resolved(description="The reaction in the catalogue; null when it is not there any more.")
    async def definition(self, info: Info) -> LazyReaction | None:
        """The reaction in the catalogue."""
        return cast("ReactionDefinition | None", await find(info, "ReactionDefinition", self.reaction))

    @resolved(description="What a loop does for each of its items, as far as it has come; empty for other reactions.")
    async def items(self, info: Info) -> list[RunStep]:
        """What a loop does for each of its items."""
        rows = await info.context.loaders.items.load(self.row.run_id)
        return [RunStep.of(row) for row in rows if row.position // ITEMS_FROM == self.row.position + 1]

    @resolved(description="The link at which anybody who has it can decide; null unless the step waits for a decision.")
    def approval_url(self, info: Info) -> str | None:
        """The link at which anybody who has it can decide."""
        found = info.context.platform.registry.reactions.get(self.reaction)
        if self.status is not StepStatus.WAITING or found is None or found.control is not sdk.Control.APPROVAL:
            return None
        return info.context.platform.links.url(self.row.run_id, self.key)

    @resolved(description="The run that the step started, where it runs another AREA.")
    async def called_run(self, info: Info) -> Run | None:
        """The run that the step started."""
        call = await info.context.loaders.calls.load((self.row.run_id, self.key))
        return cast("Run | None", await find(info, "Run", call.called_id)) if call else None

    @classmethod
    def of(cls, row: m.RunStep) -> RunStep:
        """The step in this row."""
        return cls(
            row=row,
            id=strawberry.ID(to_global("RunStep", f"{row.run_id}.{row.position}")),
            key=row.key,
            reaction=row.reaction,
            status=StepStatus[row.status.upper()],
            attempt=row.attempt,
            effect=Effect[row.effect.upper()],
            failure=RunFailure.of(row.error, row.key),
            due_at=row.due_at,
            started_at=row.started_at,
            finished_at=row.finished_at,
        )


ATTRIBUTES = (
    "Details, such as a step's `input` or `output`; an empty object when none. Of large ones only a beginning: `cut` is true, "
    "`bytes` their size, `preview` how they begin."
)
PAYLOAD = "The details whole, also where `attributes` has only a beginning of them; ask for it where it is shown, not in lists."


@strawberry.type(description="One line of a run's story.")
class LogEntry:
    """One line of a run's story."""

    line: strawberry.Private[LogLine | m.RunEvent]

    @resolved(description="Opaque and stable.")
    def id(self) -> strawberry.ID:
        """Opaque and stable."""
        return strawberry.ID(to_global("LogEntry", f"{self.line.run_id}.{self.seq}"))

    @resolved(description="Pass it as `after` to go on from here.")
    def cursor(self) -> str:
        """Pass it as `after` to go on from here."""
        return to_cursor(self.seq)

    seq: int = field(description="Its place in the run: 1, 2, 3, with no gap.")
    at: datetime = field(description="When it was written.")
    level: LogLevel = field(description="How much it matters.")
    kind: LogKind = field(description="What it tells.")
    step_key: str | None = field(description="The key of the step it is about.")
    message: str = field(description="The line.")
    attributes: JSON = field(description=ATTRIBUTES)

    @resolved(description=PAYLOAD)
    async def payload(self, info: Info) -> JSON:
        """The details whole."""
        return await payload_of(info, self.line)

    @resolved(description="The step it is about; null when it is about the run, or the step is not stored yet.")
    async def step(self, info: Info) -> RunStep | None:
        """The step it is about."""
        return await step_of(info, self.line)

    @classmethod
    def of(cls, line: LogLine | m.RunEvent) -> LogEntry:
        """The entry in this line."""
        return cls(**told(line))


def told(line: LogLine | m.RunEvent) -> dict[str, Any]:
    """What the API tells of a line, wherever it shows one."""
    return {
        "line": line,
        "seq": line.seq,
        "at": line.at,
        "level": level_of(line.level),
        "kind": LogKind[line.kind.upper()],
        "step_key": line.step,
        "message": line.message,
        "attributes": line.data if isinstance(line.data, dict) else {},
    }


async def payload_of(info: Info, line: LogLine | m.RunEvent) -> JSON:
    """A line's details whole, from where they are kept when they are too large for it; else what the line has."""
    data = line.data if isinstance(line.data, dict) else {}
    if data.get("cut") is not True:
        return JSON(data)
    if line.kind == "step_succeeded" and (step := await step_of(info, line)) is not None:
        return JSON({"output": (await info.context.loaders.step_values.load((line.run_id, step.row.position)))[1]})
    payload = row_uuid(str(data.get("payload")), "Payload")
    found = await info.context.loaders.payloads.load((line.run_id, payload)) if payload else None
    return JSON(data if found is None else found)


async def step_of(info: Info, line: LogLine | m.RunEvent) -> RunStep | None:
    """The step that a line is about."""
    if line.step is None:
        return None
    loaders = info.context.loaders
    rows = await (loaders.items if "[" in line.step else loaders.steps).load(line.run_id)
    return next((RunStep.of(row) for row in rows if row.key == line.step), None)


@strawberry.type(description="One AREA executed for one event.")
class Run(Node):
    """One AREA executed for one event."""

    row: strawberry.Private[m.Run]
    status: RunStatus = field(description="Where the run is in its life.")
    cause: RunCause = field(description="Why it exists.")
    is_test: bool = field(description="Whether its owner was trying the AREA out.")
    failure: RunFailure | None = field(description="Why it failed, or why it is held.")
    created_at: datetime = field(description="When it was queued.")
    started_at: datetime | None = field(description="When a worker began it.")
    finished_at: datetime | None = field(description="When it reached its final state.")
    due_at: datetime | None = field(description="When a waiting run goes on.")

    @resolved(description="Milliseconds from start to finish; null until it has finished.")
    def duration_ms(self) -> int | None:
        """Milliseconds from start to finish."""
        if self.started_at is None or self.finished_at is None:
            return None
        return int((self.finished_at - self.started_at).total_seconds() * 1000)

    @resolved(description="The AREA; null when it was deleted.")
    async def area(self, info: Info) -> LazyArea | None:
        """The AREA."""
        return cast("Area | None", await find(info, "Area", self.row.area_id))

    @resolved(description="The version of the AREA that it executes.")
    async def area_version(self, info: Info) -> int | None:
        """The version of the AREA that it executes."""
        found = await info.context.loaders.versions.load(self.row.area_version_id)
        return found.version if found else None

    @resolved(description="What started it; null when it was not an event, or the event is no longer kept.")
    async def event(self, info: Info) -> Event | None:
        """What started it."""
        return await event_of(info, self.row.event_id)

    @resolved(description="The run whose step started this one; null unless `cause` is CALL.")
    async def called_by(self, info: Info) -> Run | None:
        """The run whose step started this one."""
        call = await info.context.loaders.callers.load(self.row.id)
        return cast(Run | None, await find(info, "Run", call.run_id)) if call else None

    @resolved(description="The steps, in their order.")
    async def steps(self, info: Info) -> list[RunStep]:
        """The steps, in their order."""
        return [RunStep.of(row) for row in await info.context.loaders.steps.load(self.row.id)]

    @resolved(description="The run that this one repeats.")
    async def replay_of(self, info: Info) -> Run | None:
        """The run that this one repeats."""
        return cast(Run | None, await find(info, "Run", self.row.replay_of))

    @paged(by_number, description="What happened in the run, oldest first.")
    async def log(
        self,
        info: Info,
        asked: Window[int],
        min_level: Annotated[
            LogLevel, strawberry.argument(description="Leave out what matters less.")
        ] = LogLevel.DEBUG,
    ) -> Connection[LogEntry]:
        """What happened in the run, oldest first."""
        page = await info.context.loaders.log_page(self.row, asked, stored(min_level))
        return connection(page, LogEntry.of, lambda row: row.seq)

    @classmethod
    def of(cls, row: m.Run) -> Run:
        """The run in this row."""
        return cls(
            id=strawberry.ID(to_global("Run", row.id)),
            row=row,
            status=RunStatus[row.status.upper()],
            cause=RunCause[row.cause.upper()],
            is_test=row.is_test,
            failure=RunFailure.of(row.error),
            created_at=row.created_at,
            started_at=row.started_at,
            finished_at=row.finished_at,
            due_at=row.due_at,
        )


@strawberry.type(description="What became of an event for an AREA: the answer to 'why did it not run?'.")
class Delivery(Node):
    """What became of an event for an AREA."""

    row: strawberry.Private[m.Delivery | m.Run]
    outcome: DeliveryOutcome = field(description="What became of the event.")
    reason: str = field(description="Why; may be empty.")
    count: int = field(
        description="How many deliveries it stands for: those that were refused, or came again, are counted by the hour."
    )
    created_at: datetime = field(description="When it was decided; of several, the first.")

    @resolved(description="The AREA; null when it was deleted.")
    async def area(self, info: Info) -> LazyArea | None:
        """The AREA."""
        return cast("Area | None", await find(info, "Area", self.row.area_id))

    @resolved(description="The event; null when there was none, or it is no longer kept.")
    async def event(self, info: Info) -> Event | None:
        """The event."""
        return await event_of(info, self.row.event_id)

    @resolved(description="The run that it started.")
    async def run(self, info: Info) -> Run | None:
        """The run that it started."""
        row = self.row
        return Run.of(row) if isinstance(row, m.Run) else cast(Run | None, await find(info, "Run", row.run_id))

    @classmethod
    def of(cls, row: m.Delivery | m.Run) -> Delivery:
        """The delivery in a line of the ledger, or in a run that says it all."""
        outcome, reason, count = "ran", "", 1
        if isinstance(row, m.Delivery):
            outcome, reason, count = row.outcome, row.reason, row.count
        elif row.status == m.RunStatus.HELD:
            outcome, reason = "held", str((row.error or {}).get("message", "it is not known whether a step happened"))
        return cls(
            id=strawberry.ID(to_global("Delivery", row.id)),
            row=row,
            outcome=DeliveryOutcome[outcome.upper()],
            reason=reason,
            count=count,
            created_at=row.created_at,
        )


@finds("Run")
async def _run(info: Info, key: str) -> Run | None:
    row = await info.context.loaders.runs.load(UUID(key))
    return Run.of(row) if row else None


@finds("Delivery")
async def _delivery(info: Info, key: str) -> Delivery | None:
    row: m.Delivery | m.Run | None = await info.context.loaders.deliveries.load(UUID(key))
    if row is None:
        run = await info.context.loaders.runs.load(UUID(key))
        row = run if run is not None and run.cause == "event" else None
    return Delivery.of(row) if row else None


async def event_of(info: Info, event_id: UUID | None) -> Event | None:
    """The event with this id, when the caller may see it."""
    row = await info.context.loaders.events.load(event_id) if event_id else None
    return Event.of(row) if row else None


def level_of(stored: str) -> LogLevel:
    """The level of a stored line; a reaction may have written any word."""
    return LogLevel.__members__.get(stored.upper(), LogLevel.INFO)
