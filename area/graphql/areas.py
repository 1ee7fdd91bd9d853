"""AREAs: one action and its reactions, as their owner knows them."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import Enum
from typing import Annotated, cast
from uuid import UUID

import strawberry
from strawberry import enum_value, field

from area.core.ids import to_global, uuid_of
from area.db import models as m
from area.engine import transfer
from area.graphql.context import Info
from area.graphql.enums import DeliveryOutcome, DocumentFormat, ExecutionMode, OverlapPolicy, RunStatus, stored
from area.graphql.fields import paged, resolved
from area.graphql.loaders import RunConditions
from area.graphql.nodes import Node, finds
from area.graphql.pages import Connection, Window, bad_input, by_id, connection
from area.graphql.runs import Delivery, Run
from area.graphql.statistics import AreaStats, area_stats
from area.graphql.versions import AreaAction, AreaReaction, AreaVersion, Hook


@strawberry.enum(description="Whether an AREA reacts to events.")
class AreaStatus(Enum):
    """Whether an AREA reacts to events."""

    ENABLED = enum_value("enabled", description="It reacts.")
    DISABLED = enum_value("disabled", description="Its owner switched it off.")
    PAUSED = enum_value("paused", description="The platform switched it off; `pausedReason` says why.")


@strawberry.input(description="Which runs to list; what is left out does not matter.")
class RunFilter:
    """Which runs to list."""

    area_id: strawberry.ID | None = field(default=None, description="Only this AREA's.")
    statuses: list[RunStatus] | None = field(default=None, description="Only those in one of these states.")
    is_test: bool | None = field(default=None, description="Only tests, or only what is not one.")
    since: datetime | None = field(default=None, description="Only those made then or later.")
    until: datetime | None = field(default=None, description="Only those made before then.")


RunFilterArgument = Annotated[RunFilter | None, strawberry.argument(description="Which runs to list.")]
OutcomesArgument = Annotated[
    list[DeliveryOutcome] | None, strawberry.argument(description="Only deliveries with one of these outcomes.")
]


@strawberry.type(description="An automation: one action, and the reactions that follow each of its events.")
class Area(Node):
    """An automation: one action and many reactions."""

    row: strawberry.Private[m.Area]
    name: str = field(description="What its owner calls it.")
    description: str = field(description="What it is for; may be empty.")
    is_enabled: bool = field(description="Whether its owner wants it to react.")
    status: AreaStatus = field(description="Whether it reacts.")
    paused_reason: str | None = field(description="Why the platform switched it off.")
    failures_in_row: int = field(description="How many of its runs have failed since the last that succeeded.")
    pause_after_failures: int | None = field(
        description="Failed runs in a row after which it is switched off; 0 is never, null as the platform has it."
    )
    version: int = field(description="Its newest version; pass it as `expectedVersion`.")
    published_version: int = field(description="The version that runs.")
    created_at: datetime = field(description="When it was created.")
    updated_at: datetime = field(description="When it was last changed.")

    @resolved(description="What starts it, in its newest version.")
    async def action(self, info: Info) -> AreaAction:
        """What starts it."""
        return AreaAction.of((await self._newest(info)).action)

    @resolved(description="What it does, in its newest version.")
    async def reactions(self, info: Info) -> list[AreaReaction]:
        """What it does."""
        return [AreaReaction.of(stored) for stored in (await self._newest(info)).reactions]

    @resolved(description="How its reactions follow one another, in its newest version.")
    async def mode(self, info: Info) -> ExecutionMode:
        """How its reactions follow one another."""
        return ExecutionMode[(await self._newest(info)).mode.upper()]

    @resolved(description="How many of its runs go on at once; null is no limit.")
    async def max_concurrent_runs(self, info: Info) -> int | None:
        """How many of its runs go on at once."""
        return (await self._newest(info)).max_concurrent_runs

    @resolved(description="What becomes of an event beyond `maxConcurrentRuns`, in its newest version.")
    async def overlap(self, info: Info) -> OverlapPolicy:
        """What becomes of an event beyond the limit."""
        return OverlapPolicy[(await self._newest(info)).overlap.upper()]

    @resolved(description="What watches for its events.")
    async def hook(self, info: Info) -> Hook | None:
        """What watches for its events."""
        row = await info.context.loaders.hooks.load(self.row.hook_id) if self.row.hook_id else None
        return Hook.of(row) if row else None

    @resolved(description="How its runs ended.")
    async def stats(
        self,
        info: Info,
        since: Annotated[datetime | None, strawberry.argument(description="Only runs made since then.")] = None,
    ) -> AreaStats:
        """How its runs ended."""
        return await area_stats(info.context.platform.db.pool, info.context.user_id, self.row.id, since)

    @resolved(description="Its latest run.")
    async def last_run(self, info: Info) -> Run | None:
        """Its latest run."""
        row = await info.context.loaders.last_runs.load(self.row.id)
        return Run.of(row) if row else None

    @paged(by_id, description="Its runs, newest first; `filter.areaId` is ignored here.")
    async def runs(self, info: Info, asked: Window[UUID], filter: RunFilterArgument = None) -> Connection[Run]:
        """Its runs, newest first."""
        return await run_connection(info, asked, filter, self.row.id)

    @paged(by_id, description="What became of the events meant for it, newest first.")
    async def deliveries(
        self, info: Info, asked: Window[UUID], outcomes: OutcomesArgument = None
    ) -> Connection[Delivery]:
        """What became of the events meant for it."""
        return await delivery_connection(info, asked, outcomes, self.row.id)

    @paged(by_id, description="Its versions, newest first.")
    async def versions(self, info: Info, asked: Window[UUID]) -> Connection[AreaVersion]:
        """Its versions, newest first."""
        page = await info.context.loaders.version_page(self.row.id, asked)
        return connection(page, AreaVersion.of, lambda row: row.id)

    @resolved(
        description="Its newest version as one document, for keeping and for `importArea`; accounts and secrets are only named."
    )
    async def export(
        self,
        info: Info,
        format: Annotated[DocumentFormat, strawberry.argument(description="How to write it.")] = DocumentFormat.YAML,
    ) -> str:
        """It as one document."""
        is_json = format is DocumentFormat.JSON
        return await transfer.export(info.context.platform, info.context.user_id, self.row.id, as_json=is_json)

    async def _newest(self, info: Info) -> m.AreaVersion:
        return cast(m.AreaVersion, await info.context.loaders.newest_versions.load(self.row.id))

    @classmethod
    def of(cls, row: m.Area) -> Area:
        """The AREA in this row."""
        status = AreaStatus.PAUSED if row.paused_reason else AreaStatus.ENABLED
        return cls(
            id=strawberry.ID(to_global("Area", row.id)),
            row=row,
            name=row.name,
            description=row.description,
            is_enabled=row.is_enabled,
            status=status if row.is_enabled or row.paused_reason else AreaStatus.DISABLED,
            paused_reason=row.paused_reason,
            failures_in_row=row.failures_in_row,
            pause_after_failures=row.pause_after_failures,
            version=row.version,
            published_version=row.published_version,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )


@finds("Area")
async def _area(info: Info, key: str) -> Area | None:
    row = await info.context.loaders.areas.load(UUID(key))
    return Area.of(row) if row else None


async def run_connection(
    info: Info, asked: Window[UUID], filter: RunFilter | None, area_id: UUID | None = None
) -> Connection[Run]:
    """The caller's runs; ``area_id`` overrides the filter's. Raises: GraphQLError BAD_USER_INPUT."""
    page = await info.context.loaders.run_page(asked, run_conditions(filter, area_id))
    return connection(page, Run.of, lambda row: row.id)


def run_conditions(filter: RunFilter | None, area_id: UUID | None = None) -> RunConditions:
    """What a filter asks for; ``area_id`` overrides its own. Raises: GraphQLError BAD_USER_INPUT."""
    if filter is None:
        return RunConditions(area_id)
    if filter.area_id is not None and area_id is None:
        area_id = uuid_of(filter.area_id, "Area") or bad_input("`filter.areaId` is not the id of an AREA.")
    statuses = [stored(status) for status in filter.statuses or ()]
    return RunConditions(area_id, statuses, filter.is_test, _in_utc(filter.since), _in_utc(filter.until))


def _in_utc(moment: datetime | None) -> datetime | None:
    """A moment without a zone is one of UTC."""
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


async def delivery_connection(
    info: Info, asked: Window[UUID], outcomes: list[DeliveryOutcome] | None, area_id: UUID | None = None
) -> Connection[Delivery]:
    """What became of the events meant for the caller's AREAs, or for one of them."""
    page = await info.context.loaders.delivery_page(asked, area_id, [stored(outcome) for outcome in outcomes or ()])
    return connection(page, Delivery.of, lambda row: row.id)
