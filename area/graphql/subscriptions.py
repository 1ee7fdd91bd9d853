"""Live streams: replay from a cursor, then what happens, with no gap and no duplicate."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import datetime
from typing import Annotated, cast
from uuid import UUID

import strawberry
from graphql import GraphQLError
from strawberry import field
from strawberry.scalars import JSON

from area.core.errors import InvalidInput, NotFound
from area.core.ids import to_global, uuid_of
from area.engine.feed import LogLine, parse_cursor
from area.graphql.areas import Area
from area.graphql.context import Info
from area.graphql.enums import LogKind, LogLevel, stored
from area.graphql.fields import resolved, streamed
from area.graphql.nodes import find
from area.graphql.pages import bad_input, by_number, from_cursor, to_cursor
from area.graphql.runs import ATTRIBUTES, PAYLOAD, LogEntry, Run, RunStep, level_of, payload_of, step_of, told

_RANK = {level: rank for rank, level in enumerate(LogLevel)}
LiveAfter = Annotated[
    str | None,
    strawberry.argument(description="The last batch's cursor, to go on with no gap; from now when left out."),
]


@strawberry.type(description="Some lines of a run.")
class RunLogBatch:
    """Some lines of a run."""

    run_id: strawberry.Private[UUID]
    entries: list[LogEntry] = field(description="The lines, oldest first; may be empty when all were hidden.")
    cursor: str = field(description="Pass it as `after` to go on from here.")
    is_caught_up: bool = field(description="Whether there was nothing more to read.")
    is_finished: bool = field(description="Whether the run has ended; the stream completes then.")
    missed_entries: int = field(description="How many lines before these are no longer kept.")

    @resolved(description="The run as it is now.")
    async def run(self, info: Info) -> Run | None:
        """The run as it is now."""
        return cast(Run | None, await find(info, "Run", self.run_id))


@strawberry.type(description="Runs that changed.")
class RunUpdateBatch:
    """Runs that changed."""

    runs: list[Run] = field(description="The last state of each run that changed.")
    cursor: str = field(description="Pass it as `after` to go on from here.")
    is_caught_up: bool = field(description="Whether there was nothing more to read.")


@strawberry.type(description="One line of the account's story.")
class FeedEvent:
    """One line of the account's story."""

    line: strawberry.Private[LogLine]

    @resolved(description="Opaque and stable; the log entry has the same.")
    def id(self) -> strawberry.ID:
        """Opaque and stable."""
        return strawberry.ID(to_global("LogEntry", f"{self.line.run_id}.{self.seq}"))

    seq: int = field(description="Its place in its run.")
    at: datetime = field(description="When it was written.")
    kind: LogKind = field(description="What it tells.")
    level: LogLevel = field(description="How much it matters.")
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

    @resolved(description="The run it belongs to.")
    async def run(self, info: Info) -> Run | None:
        """The run it belongs to."""
        return cast(Run | None, await find(info, "Run", self.line.run_id))

    @resolved(description="The AREA it belongs to; null when it was deleted.")
    async def area(self, info: Info) -> Area | None:
        """The AREA it belongs to."""
        return cast(Area | None, await find(info, "Area", self.line.area_id))

    @classmethod
    def of(cls, line: LogLine) -> FeedEvent:
        """The event in this line."""
        return cls(**told(line))


@strawberry.type(description="Some lines of the account's story.")
class FeedBatch:
    """Some lines of the account's story."""

    events: list[FeedEvent] = field(description="The lines, oldest first; may be empty when all were hidden.")
    cursor: str = field(description="Pass it as `after` to go on from here.")
    is_caught_up: bool = field(description="Whether there was nothing more to read.")


@strawberry.input(description="Which lines to send; what is left out does not matter.")
class FeedFilter:
    """Which lines to send."""

    area_id: strawberry.ID | None = field(default=None, description="Only this AREA's.")
    kinds: list[LogKind] | None = field(default=None, description="Only these kinds.")
    min_level: LogLevel = field(default=LogLevel.DEBUG, description="Leave out what matters less.")


@strawberry.type(description="The entry points for live streams.")
class Subscription:
    """The entry points for live streams."""

    @streamed(description="A run's log: every line after `after`, then live; completes with the run.")
    async def run_log(
        self,
        info: Info,
        run_id: Annotated[strawberry.ID, strawberry.argument(description="The run.")],
        after: Annotated[
            str | None, strawberry.argument(description="The last cursor seen; from the first line when left out.")
        ] = None,
        min_level: Annotated[
            LogLevel, strawberry.argument(description="Leave out what matters less.")
        ] = LogLevel.DEBUG,
    ) -> AsyncGenerator[RunLogBatch, None]:
        """A run's log."""
        context, user_id = info.context, info.context.user_id
        after = context.resume_after or after
        key = uuid_of(run_id, "Run") or bad_input("`runId` is not the id of a run.")
        try:
            seen = by_number(after) if after is not None else 0
        except ValueError:
            bad_input("`after` is not a cursor of this stream.")
        try:
            async for chunk in context.platform.feed.run_log(user_id, key, seen):
                context.next_batch(to_cursor(chunk.cursor))
                first = chunk.entries[0].seq if chunk.entries else seen + 1
                yield RunLogBatch(
                    run_id=key,
                    entries=[LogEntry.of(line) for line in chunk.entries if _matters(line, min_level)],
                    cursor=to_cursor(chunk.cursor),
                    is_caught_up=chunk.is_caught_up,
                    is_finished=chunk.is_finished,
                    missed_entries=max(0, first - seen - 1),
                )
                seen = chunk.cursor
        except NotFound as error:
            raise GraphQLError(error.message, extensions={"code": "BAD_USER_INPUT"}) from None

    @streamed(description="The last state of each run that changes.")
    async def run_updates(
        self,
        info: Info,
        area_id: Annotated[strawberry.ID | None, strawberry.argument(description="Only this AREA's runs.")] = None,
        after: LiveAfter = None,
    ) -> AsyncGenerator[RunUpdateBatch, None]:
        """The last state of each run that changes."""
        context, user_id = info.context, info.context.user_id
        wanted = _area(area_id)
        is_first = True
        async for chunk in context.platform.feed.account(user_id, _cursor(context.resume_after or after)):
            changed = dict.fromkeys(line.run_id for line in chunk.events if wanted in (None, line.area_id))
            if not changed and not is_first and wanted is None:
                continue
            is_first = False
            context.next_batch(to_cursor(chunk.cursor))
            rows = await context.loaders.runs.load_many(list(changed))
            yield RunUpdateBatch(
                runs=[Run.of(row) for row in rows if row],
                cursor=to_cursor(chunk.cursor),
                is_caught_up=chunk.is_caught_up,
            )

    @streamed(description="Everything that happens in the account.")
    async def feed(
        self,
        info: Info,
        filter: Annotated[FeedFilter | None, strawberry.argument(description="Which lines to send.")] = None,
        after: LiveAfter = None,
    ) -> AsyncGenerator[FeedBatch, None]:
        """Everything that happens in the account."""
        context, user_id = info.context, info.context.user_id
        asked = filter or FeedFilter()
        wanted = _area(asked.area_id)
        kinds = {stored(kind) for kind in asked.kinds} if asked.kinds is not None else None
        async for chunk in context.platform.feed.account(user_id, _cursor(context.resume_after or after)):
            context.next_batch(to_cursor(chunk.cursor))
            yield FeedBatch(
                events=[
                    FeedEvent.of(line)
                    for line in chunk.events
                    if wanted in (None, line.area_id)
                    and (kinds is None or line.kind in kinds)
                    and _matters(line, asked.min_level)
                ],
                cursor=to_cursor(chunk.cursor),
                is_caught_up=chunk.is_caught_up,
            )


def _matters(line: LogLine, least: LogLevel) -> bool:
    return _RANK[level_of(line.level)] >= _RANK[least]


def _area(area_id: str | None) -> object:
    if area_id is None:
        return None
    return uuid_of(area_id, "Area") or bad_input("This is not the id of an AREA.")


def _cursor(after: str | None) -> str | None:
    if after is None:
        return None
    try:
        cursor = from_cursor(after)
        parse_cursor(cursor)
    except (ValueError, InvalidInput):
        bad_input("`after` is not a cursor of this stream.")
    return cursor
