"""The poller against a model: two schedulers, sources that show whatever they like or fail, leases that end, processes that die."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule
from pydantic import Field

from area.core.ids import new_id
from area.engine import polling
from area.engine.platform import Platform
from area.nodes import sdk
from tests.engine.conftest import World, log
from tests.engine.stateful import Driven, drive

service = sdk.Service(key="sly", name="Sly", description="Shows whatever it likes.")
sources: dict[str, Callable[[sdk.Context], Awaitable[Any]]] = {}
OTHERS = "UPDATE hooks SET next_due_at = NULL, status = 'unused' WHERE kind <> 'webhook'"
FIRED = """
SELECT e.payload ->> 'id' AS id, count(r.id) AS runs FROM events e LEFT JOIN runs r ON r.event_id = e.id WHERE e.hook_id = $1
GROUP BY e.id ORDER BY e.id
"""


class Shelf(sdk.Inputs):
    """Which shelf to watch."""

    name: Annotated[str, sdk.NoTemplate] = Field(title="Name", description="Its name.", examples=["a"])


class Thing(sdk.Outputs):
    """One thing on a shelf."""

    id: Annotated[str, sdk.Identity] = Field(title="Id", description="Its id.", examples=["1"])
    text: str = Field("", title="Text", description="Its text.", examples=["hello"])


@service.poll("New thing", every=timedelta(minutes=5))
async def new_thing(ctx: sdk.Context, where: Shelf) -> list[Thing]:
    """Fires for each new thing on a shelf."""
    shown: list[Thing] = await sources[where.name](ctx)
    return shown


@service.poll("New thing, by pages", every=timedelta(minutes=5))
async def paged_thing(ctx: sdk.Context, where: Shelf) -> sdk.Page[Thing]:
    """Fires for each new thing, of which the source shows some after a cursor, and some again."""
    page: sdk.Page[Thing] = await sources[where.name](ctx)
    return page


@pytest.fixture(autouse=True)
async def known(platform: Platform) -> Any:
    """The service, in the catalogue while a test runs; no hook of another test is due."""
    await platform.db.pool.execute(OTHERS)
    platform.registry.services[service.key] = service
    platform.registry.actions |= service.actions
    yield
    await platform.db.pool.execute(OTHERS)
    del platform.registry.services[service.key]
    for key in service.actions:
        del platform.registry.actions[key]


class Killed(BaseException):
    """The process is gone: nothing of it is done any more."""


@dataclass(eq=False)
class Look:
    """One look under way: what the source shows it, and the answer that is still to come."""

    task: "asyncio.Task[Any] | None"
    shown: list[str] | sdk.NodeError
    cursor: int
    answered: asyncio.Event = field(default_factory=asyncio.Event)


IDS = st.lists(st.integers(0, 12).map(str), max_size=8)
FAILURES: list[sdk.NodeError | None] = [
    sdk.Unavailable("It is away."),
    sdk.Throttled("Not so fast.", 30),
    sdk.Rejected("It says no."),
]
MEANWHILE = st.sampled_from(["", "", "", "lease ends", "another looks", "dies", "it fails"])


class Poller(Driven):
    """One hook, and what has been seen of its source. Items are edited all the time: each look shows another text."""

    doomed: "set[asyncio.Task[Any] | None]"
    pages: bool

    @initialize()
    def begin(self) -> None:
        self.name = str(new_id())
        self.shelf: list[str] = []
        self.failure: sdk.NodeError | None = None
        self.overlap, self.size = 0, 3
        self.looks: list[Look] = []
        self.holder: Look | None = None
        self.is_leased = False
        self.seen: set[str] | None = None
        self.cursor = 0
        self.expected: list[str] = []
        self.watches = [polling.Watch(self.world.platform, ("poll",)) for _ in range(2)]
        self.arrived = asyncio.Event()
        sources[self.name] = self._asked
        self.hook: UUID = self.wait(self._watched())

    async def _watched(self) -> UUID:
        action = "sly.paged_thing" if self.pages else "sly.new_thing"
        area = await self.world.area(log("x"), action=action, config={"name": self.name})
        assert area.hook_id is not None
        return area.hook_id

    async def _asked(self, ctx: sdk.Context) -> Any:
        at = 0 if ctx.cursor is None else ctx.cursor["at"]
        shown, cursor = self.shelf, at
        if self.pages:
            cursor = min(len(shown), at + self.size)
            shown = shown[max(0, at - self.overlap) : cursor]
        look = Look(asyncio.current_task(), self.failure or list(shown), cursor)
        self.looks.append(look)
        self.arrived.set()
        await look.answered.wait()
        if isinstance(look.shown, Exception):
            raise look.shown
        things = [Thing(id=key, text=str(new_id())) for key in look.shown]
        return sdk.Page(things, {"at": cursor}) if self.pages else things

    @rule(ids=IDS, failure=st.sampled_from([None, None, *FAILURES]))
    def source_changes(self, ids: list[str], failure: sdk.NodeError | None) -> None:
        """What it shows from now on: in any order, with items repeated, gone and back. By pages, it only ever grows."""
        self.failure = failure
        self.shelf = self.shelf + [key for key in dict.fromkeys(ids) if key not in self.shelf] if self.pages else ids

    @rule(overlap=st.integers(0, 3), size=st.integers(1, 4))
    def pages_change(self, overlap: int, size: int) -> None:
        self.overlap, self.size = overlap, size

    @rule(which=st.integers(0, 1))
    def look(self, which: int) -> None:
        begun = self.wait(self._begin(self.watches[which]))
        assert begun == (not self.is_leased), "one look at a time, for as long as its lease lasts"
        if begun:
            self.holder, self.is_leased = self.looks[-1], True

    async def _begin(self, watch: polling.Watch) -> bool:
        self.arrived.clear()
        await self.world.pool.execute("UPDATE hooks SET next_due_at = now() WHERE id = $1", self.hook)
        if not await watch.fill():
            return False
        await asyncio.wait_for(self.arrived.wait(), 10)
        return True

    @precondition(lambda self: self.looks)
    @rule(data=st.data(), dies=st.sampled_from([False, False, True]))
    def answer(self, data: st.DataObject, dies: bool) -> None:
        """The source's answer comes to one of those who asked; who dies, does so when its events are written and not committed."""
        self._answer(self.looks[data.draw(st.integers(0, len(self.looks) - 1))], dies=dies)

    @rule(ids=IDS, which=st.integers(0, 1), meanwhile=MEANWHILE)
    def finds(self, ids: list[str], which: int, meanwhile: str) -> None:
        """What happens most: something is new, and a scheduler looks; one thing may go wrong."""
        self.source_changes(ids, FAILURES[len(ids) % 3] if meanwhile == "it fails" else None)
        if self.is_leased:
            self.lease_ends()
        self.look(which)
        look = self.looks[-1]
        if meanwhile in ("lease ends", "another looks"):
            self.lease_ends()
        if meanwhile == "another looks":
            self.look(1 - which)
        self._answer(look, dies=meanwhile == "dies")

    def _answer(self, look: Look, *, dies: bool) -> None:
        self.looks.remove(look)
        if dies:
            self.doomed.add(look.task)
        self.wait(self._answered(look))
        if look is self.holder and not dies:
            self._heard(look)

    def _heard(self, look: Look) -> None:
        """The answer was in time: it fires what is new, or puts off the next look."""
        self.holder, self.is_leased = None, False
        if isinstance(look.shown, list):
            new = [key for key in dict.fromkeys(look.shown) if key not in (self.seen or ())]
            # The first look is a baseline.
            self.expected += [] if self.seen is None else new
            self.seen = (self.seen or set()) | set(new)
            self.cursor = look.cursor

    async def _answered(self, look: Look) -> None:
        look.answered.set()
        if look.task:
            await asyncio.wait([look.task], timeout=10)

    @precondition(lambda self: self.is_leased)
    @rule()
    def lease_ends(self) -> None:
        """Its holder is dead or frozen; one that is frozen may still hear its answer later."""
        self.wait(self._lapse())

    async def _lapse(self) -> None:
        lapse = "UPDATE hooks SET lease_until = now() - interval '1 second' WHERE id = $1 AND lease_until IS NOT NULL"
        await self.world.pool.execute(lapse, self.hook)
        self.holder, self.is_leased = None, False

    @precondition(lambda self: self.looks)
    @rule(which=st.integers(0, 1))
    def stop(self, which: int) -> None:
        """A scheduler stops, and lets go of what it has; another goes on in its place."""
        left = {look.task for look in self.looks} - self.watches[which]._looks
        self.wait(self.watches[which].stop())
        if self.holder in self.looks and self.holder and self.holder.task not in left:
            self.wait(self._lapse())
        self.looks = [look for look in self.looks if look.task in left]

    @invariant()
    def each_new_thing_fired_once(self) -> None:
        fired = self.wait(self.world.pool.fetch(FIRED, self.hook))
        assert [(row["id"], row["runs"]) for row in fired] == [(key, 1) for key in self.expected]

    def teardown(self) -> None:
        for watch in self.watches:
            self.wait(watch.stop())
        self.looks.clear()
        self.wait(self._lapse())
        self.failure = None
        self._look_to_the_end()
        self.each_new_thing_fired_once()
        self.wait(self.world.pool.execute(OTHERS))

    def _look_to_the_end(self) -> None:
        """Whatever has happened, nothing is missing once a source has been looked at in peace."""
        is_done = False
        while not is_done:
            self.look(0)
            self._answer(self.looks[-1], dies=False)
            is_done = not self.pages or self.cursor == len(self.shelf)
        assert self.seen is not None
        assert self.seen >= set(self.shelf)


@pytest.mark.parametrize("pages", [False, True])
async def test_each_new_thing_fires_once_whatever_happens(
    world: World, pages: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    doomed: set[asyncio.Task[Any] | None] = set()
    move = polling._move

    async def moves(*given: Any) -> Any:
        if asyncio.current_task() in doomed:
            raise Killed
        return await move(*given)

    monkeypatch.setattr(polling, "_move", moves)
    await drive(Poller, world, 100, 40, pages=pages, doomed=doomed)
