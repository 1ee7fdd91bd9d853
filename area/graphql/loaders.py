"""Every read that the API makes. Each is bound to the caller's user id here, and nowhere else."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, TypeVar
from uuid import UUID

import orjson
from sqlalchemy import Select, and_, case, literal, or_, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.elements import ColumnElement
from strawberry.dataloader import DataLoader

from area.db import models as m
from area.db.session import Database
from area.engine.plan import ITEMS_FROM
from area.graphql.pages import Page, Window, cut

RowT = TypeVar("RowT", bound=m.Base)
KeyT = TypeVar("KeyT")
_LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True)
class RunConditions:
    """Which runs a client wants to see."""

    area_id: UUID | None = None
    statuses: Sequence[str] = field(default_factory=tuple)
    is_test: bool | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class AreaConditions:
    """Which AREAs a client wants to see."""

    search: str = ""
    statuses: Sequence[str] = field(default_factory=tuple)
    action: str | None = None
    reaction: str | None = None


class Loaders:
    """Batched reads by id, and pages. A user's loaders see that user's rows only; nobody's see nothing."""

    def __init__(self, db: Database, user_id: UUID | None) -> None:
        self._db = db
        self._user_id = user_id

    async def user(self) -> m.User | None:
        """The caller."""
        if self._user_id is None:
            return None
        async with self._db.sessions() as session:
            return await session.get(m.User, self._user_id)

    @cached_property
    def areas(self) -> DataLoader[UUID, m.Area | None]:
        """AREAs by id."""
        return self._by_id(m.Area, m.Area.id, and_(m.Area.user_id == self._user_id, m.Area.deleted_at.is_(None)))

    @cached_property
    def runs(self) -> DataLoader[UUID, m.Run | None]:
        """Runs by id."""
        return self._by_id(m.Run, m.Run.id, m.Run.user_id == self._user_id)

    @cached_property
    def accounts(self) -> DataLoader[UUID, m.ConnectedAccount | None]:
        """Connected accounts by id."""
        return self._by_id(m.ConnectedAccount, m.ConnectedAccount.id, m.ConnectedAccount.user_id == self._user_id)

    @cached_property
    def api_tokens(self) -> DataLoader[UUID, m.ApiToken | None]:
        """API tokens by id."""
        return self._by_id(m.ApiToken, m.ApiToken.id, m.ApiToken.user_id == self._user_id)

    @cached_property
    def deliveries(self) -> DataLoader[UUID, m.Delivery | None]:
        """Deliveries by id."""
        return self._by_id(m.Delivery, m.Delivery.id, m.Delivery.user_id == self._user_id)

    @cached_property
    def hooks(self) -> DataLoader[UUID, m.Hook | None]:
        """Hooks by id: those that an AREA of the caller hangs on."""
        owned = select(m.Area.id).where(
            m.Area.hook_id == m.Hook.id, m.Area.user_id == self._user_id, m.Area.deleted_at.is_(None)
        )
        return self._by_id(m.Hook, m.Hook.id, owned.exists())

    @cached_property
    def events(self) -> DataLoader[UUID, m.Event | None]:
        """Events by id: those that a run or a delivery of the caller came from."""
        runs = select(m.Run.id).where(m.Run.event_id == m.Event.id, m.Run.user_id == self._user_id)
        deliveries = select(m.Delivery.id).where(m.Delivery.event_id == m.Event.id, m.Delivery.user_id == self._user_id)
        return self._by_id(m.Event, m.Event.id, or_(runs.exists(), deliveries.exists()))

    @cached_property
    def versions(self) -> DataLoader[UUID, m.AreaVersion | None]:
        """AREA versions by id."""
        return self._by_id(m.AreaVersion, m.AreaVersion.id, self._own_version())

    @cached_property
    def newest_versions(self) -> DataLoader[UUID, m.AreaVersion | None]:
        """The newest version of an AREA, by the AREA's id."""
        newest = select(m.Area.id).where(m.Area.id == m.AreaVersion.area_id, m.Area.version == m.AreaVersion.version)
        return self._by_id(m.AreaVersion, m.AreaVersion.area_id, and_(self._own_version(), newest.exists()))

    @cached_property
    def last_runs(self) -> DataLoader[UUID, m.Run | None]:
        """The latest run of an AREA, by the AREA's id."""

        async def load(ids: list[UUID]) -> list[m.Run | None]:
            newest = (
                select(m.Run.id)
                .where(m.Run.area_id == m.Area.id)
                .order_by(m.Run.id.desc())
                .limit(1)
                .correlate(m.Area)
                .scalar_subquery()
            )
            wanted = select(newest).where(m.Area.id.in_(ids), m.Area.user_id == self._user_id)
            rows = await self._all(select(m.Run).where(m.Run.id.in_(wanted)))
            found = {row.area_id: row for row in rows}
            return [found.get(key) for key in ids]

        return DataLoader(load)

    @cached_property
    def steps(self) -> DataLoader[UUID, list[m.RunStep]]:
        """The steps of a run in their order, by the run's id; without the items of loops."""
        return self._steps(m.RunStep.position < ITEMS_FROM)

    @cached_property
    def items(self) -> DataLoader[UUID, list[m.RunStep]]:
        """The items of a run's loops in their order, by the run's id."""
        return self._steps(m.RunStep.position >= ITEMS_FROM)

    @cached_property
    def step_values(self) -> DataLoader[tuple[UUID, int], tuple[Any, Any]]:
        """Input and output of a step, by its run's id and its position."""

        async def load(keys: list[tuple[UUID, int]]) -> list[tuple[Any, Any]]:
            own = select(m.Run.id).where(m.Run.id == m.RunStep.run_id, m.Run.user_id == self._user_id)
            columns = (m.RunStep.run_id, m.RunStep.position, m.RunStep.input, m.RunStep.output)
            named = tuple_(m.RunStep.run_id, m.RunStep.position).in_(keys)
            async with self._db.sessions() as session:
                rows = (await session.execute(select(*columns).where(named, own.exists()))).all()
            found = {(row.run_id, row.position): (row.input, row.output) for row in rows}
            return [found.get(key, (None, None)) for key in keys]

        return DataLoader(load)

    @cached_property
    def payloads(self) -> DataLoader[tuple[UUID, UUID], Any]:
        """Details that were kept apart, by the id of their run and their own; None where they are not kept any more."""

        async def load(keys: list[tuple[UUID, UUID]]) -> list[Any]:
            own = select(m.Run.id).where(m.Run.id == m.Blob.run_id, m.Run.user_id == self._user_id)
            named = tuple_(m.Blob.run_id, m.Blob.id).in_(keys)
            columns = (m.Blob.run_id, m.Blob.id, m.Blob.content)
            async with self._db.sessions() as session:
                rows = (await session.execute(select(*columns).where(named, own.exists()))).all()
            found = {(row.run_id, row.id): orjson.loads(row.content) for row in rows}
            return [found.get(key) for key in keys]

        return DataLoader(load)

    @cached_property
    def callers(self) -> DataLoader[UUID, m.Call | None]:
        """The call that started a run, by that run's id."""
        own = select(m.Run.id).where(m.Run.id == m.Call.called_id, m.Run.user_id == self._user_id)
        return self._by_id(m.Call, m.Call.called_id, own.exists())

    @cached_property
    def calls(self) -> DataLoader[tuple[UUID, str], m.Call | None]:
        """The call that a step made, by its run's id and its key."""

        async def load(keys: list[tuple[UUID, str]]) -> list[m.Call | None]:
            own = select(m.Run.id).where(m.Run.id == m.Call.run_id, m.Run.user_id == self._user_id)
            named = tuple_(m.Call.run_id, m.Call.step).in_(keys)
            found = {(row.run_id, row.step): row for row in await self._all(select(m.Call).where(named, own.exists()))}
            return [found.get(key) for key in keys]

        return DataLoader(load)

    def _steps(self, which: ColumnElement[bool]) -> DataLoader[UUID, list[m.RunStep]]:
        async def load(ids: list[UUID]) -> list[list[m.RunStep]]:
            own = select(m.Run.id).where(m.Run.id.in_(ids), m.Run.user_id == self._user_id)
            statement = select(m.RunStep).where(m.RunStep.run_id.in_(own), which).order_by(m.RunStep.position)
            found: dict[UUID, list[m.RunStep]] = {key: [] for key in ids}
            for row in await self._all(statement):
                found[row.run_id].append(row)
            return [found[key] for key in ids]

        return DataLoader(load)

    async def area_page(
        self, asked: Window[tuple[Any, UUID]], wanted: AreaConditions, order: str, *, is_falling: bool
    ) -> Page[m.Area]:
        """The caller's AREAs, by a column of theirs and, where that is alike, by id."""
        statement = select(m.Area).where(m.Area.user_id == self._user_id, m.Area.deleted_at.is_(None))
        if wanted.search:
            statement = statement.where(m.Area.name.icontains(wanted.search, autoescape=True))
        if wanted.statuses:
            is_paused = m.Area.paused_reason.is_not(None)
            status = case((is_paused, "paused"), (m.Area.is_enabled, "enabled"), else_="disabled")
            statement = statement.where(status.in_(wanted.statuses))
        newest = select(m.AreaVersion.id).where(
            m.AreaVersion.area_id == m.Area.id, m.AreaVersion.version == m.Area.version
        )
        if wanted.action is not None:
            statement = statement.where(
                newest.where(m.AreaVersion.action["action"].as_string() == wanted.action).exists()
            )
        if wanted.reaction is not None:
            uses = m.AreaVersion.reactions.contains([{"reaction": wanted.reaction}])
            statement = statement.where(newest.where(uses).exists())
        keys = (getattr(m.Area, order), m.Area.id)
        return await self._page(statement, keys, asked, is_newest_first=is_falling)

    async def version_page(self, area_id: UUID, asked: Window[UUID]) -> Page[m.AreaVersion]:
        """An AREA's versions, newest first."""
        statement = select(m.AreaVersion).where(m.AreaVersion.area_id == area_id, self._own_version())
        return await self._page(statement, m.AreaVersion.id, asked)

    async def run_page(self, asked: Window[UUID], wanted: RunConditions) -> Page[m.Run]:
        """The caller's runs, newest first."""
        statement = select(m.Run).where(m.Run.user_id == self._user_id)
        if wanted.area_id is not None:
            statement = statement.where(m.Run.area_id == wanted.area_id)
        if wanted.statuses:
            statement = statement.where(m.Run.status.in_(wanted.statuses))
        if wanted.is_test is not None:
            statement = statement.where(m.Run.is_test.is_(wanted.is_test))
        if wanted.since is not None:
            statement = statement.where(m.Run.created_at >= wanted.since)
        if wanted.until is not None:
            statement = statement.where(m.Run.created_at < wanted.until)
        return await self._page(statement, m.Run.id, asked)

    async def delivery_page(
        self, asked: Window[UUID], area_id: UUID | None = None, outcomes: Sequence[str] = ()
    ) -> Page[m.Delivery | m.Run]:
        """What became of the events meant for the caller's AREAs, newest first: a line of the ledger, or a run that says it all."""
        told = select(m.Delivery).where(m.Delivery.user_id == self._user_id)
        # A run of an event is its own line, unless the ledger says more of it.
        said = select(m.Delivery.id).where(m.Delivery.run_id == m.Run.id).exists()
        ran = select(m.Run).where(m.Run.user_id == self._user_id, m.Run.cause == "event", ~said)
        if area_id is not None:
            told, ran = told.where(m.Delivery.area_id == area_id), ran.where(m.Run.area_id == area_id)
        if outcomes:
            told = told.where(m.Delivery.outcome.in_(outcomes))
            held = m.Run.status == m.RunStatus.HELD
            ran = (
                ran.where(held if "ran" not in outcomes else ~held)
                if len({"ran", "held"} & set(outcomes)) == 1
                else ran
            )
        rows: list[m.Delivery | m.Run] = [*await self._rows(told, m.Delivery.id, asked)]
        if not outcomes or {"ran", "held"} & set(outcomes):
            rows += await self._rows(ran, m.Run.id, asked)
        rows.sort(key=lambda row: row.id, reverse=not asked.is_backward)
        return cut(rows[: asked.limit + 1], asked)

    async def areas_using(self, asked: Window[UUID], account_id: UUID) -> Page[m.Area]:
        """The caller's AREAs whose published version uses an account, newest first."""
        used = str(account_id)
        version = select(m.AreaVersion.id).where(
            m.AreaVersion.id == m.Area.published_version_id,
            or_(
                m.AreaVersion.action["accountId"].as_string() == used,
                m.AreaVersion.reactions.contains([{"accountId": used}]),
            ),
        )
        own = select(m.Area).where(m.Area.user_id == self._user_id, m.Area.deleted_at.is_(None))
        return await self._page(own.where(version.exists()), m.Area.id, asked)

    async def account_page(self, asked: Window[UUID], service: str | None = None) -> Page[m.ConnectedAccount]:
        """The caller's connected accounts, newest first."""
        live = m.ConnectedAccount.status != "revoked"
        statement = select(m.ConnectedAccount).where(m.ConnectedAccount.user_id == self._user_id, live)
        if service is not None:
            statement = statement.where(m.ConnectedAccount.service == service)
        return await self._page(statement, m.ConnectedAccount.id, asked)

    async def api_token_page(self, asked: Window[UUID]) -> Page[m.ApiToken]:
        """The caller's API tokens that were not revoked, newest first."""
        statement = select(m.ApiToken).where(m.ApiToken.user_id == self._user_id, m.ApiToken.revoked_at.is_(None))
        return await self._page(statement, m.ApiToken.id, asked)

    async def log_page(self, run: m.Run, asked: Window[int], min_level: str) -> Page[m.RunEvent]:
        """A run's lines, oldest first."""
        # The day lets Postgres leave out the partitions from before the run.
        day = run.created_at.replace(hour=0, minute=0, second=0, microsecond=0)
        statement = select(m.RunEvent).where(
            m.RunEvent.run_id == run.id, m.RunEvent.user_id == self._user_id, m.RunEvent.day >= day
        )
        if min_level != _LEVELS[0]:
            statement = statement.where(m.RunEvent.level.in_(_LEVELS[_LEVELS.index(min_level) :]))
        return await self._page(statement, m.RunEvent.seq, asked, is_newest_first=False)

    def _own_version(self) -> ColumnElement[bool]:
        own = select(m.Area.id).where(m.Area.id == m.AreaVersion.area_id, m.Area.user_id == self._user_id)
        return own.exists()

    def _by_id(
        self, model: type[RowT], key: InstrumentedAttribute[UUID], own: ColumnElement[bool]
    ) -> DataLoader[UUID, RowT | None]:
        async def load(ids: list[UUID]) -> list[RowT | None]:
            if self._user_id is None:
                return [None] * len(ids)
            rows = await self._all(select(model).where(key.in_(ids), own))
            found = {getattr(row, key.key): row for row in rows}
            return [found.get(wanted) for wanted in ids]

        return DataLoader(load)

    async def _page(
        self,
        statement: Select[RowT],
        key: InstrumentedAttribute[Any] | tuple[InstrumentedAttribute[Any], ...],
        asked: Window[KeyT],
        *,
        is_newest_first: bool = True,
    ) -> Page[RowT]:
        return cut(await self._rows(statement, key, asked, is_newest_first=is_newest_first), asked)

    async def _rows(
        self,
        statement: Select[RowT],
        key: InstrumentedAttribute[Any] | tuple[InstrumentedAttribute[Any], ...],
        asked: Window[KeyT],
        *,
        is_newest_first: bool = True,
    ) -> Sequence[RowT]:
        """The rows of a window in the order in which it is read, with one more than its limit if there is one."""
        columns = key if isinstance(key, tuple) else (key,)
        place = tuple_(*columns)

        def value(given: object) -> ColumnElement[Any]:
            parts = given if isinstance(given, tuple) else (given,)
            return tuple_(*(literal(part, column.type) for part, column in zip(parts, columns, strict=True)))

        if asked.after is not None:
            after = value(asked.after)
            statement = statement.where(place < after if is_newest_first else place > after)
        if asked.before is not None:
            before = value(asked.before)
            statement = statement.where(place > before if is_newest_first else place < before)
        is_falling = is_newest_first != asked.is_backward
        order = [column.desc() if is_falling else column.asc() for column in columns]
        return await self._all(statement.order_by(*order).limit(asked.limit + 1))

    async def _all(self, statement: Select[RowT]) -> Sequence[RowT]:
        async with self._db.sessions() as session:
            return (await session.scalars(statement)).all()
