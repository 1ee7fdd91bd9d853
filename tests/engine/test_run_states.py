"""The run state machine against a model: whoever claims, writes, dies, wakes, cancels or settles in whatever order."""

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from area.core.errors import Conflict
from area.db.models import Area
from area.engine import cancelling, control
from area.engine.runs import Checkpoint, Fenced, Runs, StepState
from tests.engine.conftest import World, log

FINAL = ("succeeded", "failed", "cancelled")
FOUND = "SELECT status, fence, last_seq, cancel_requested FROM runs WHERE id = $1"
WORDS = st.sampled_from([*["running", "waiting", "held", "queued"] * 3, *FINAL])  # most writes end nothing


class States(RuleBasedStateMachine):
    """One run. Hypothesis drives it from a thread; what it asks for happens on the tests' own loop."""

    world: World
    area: Area
    loop: asyncio.AbstractEventLoop

    def __init__(self) -> None:
        super().__init__()
        self.runs = Runs(self.world.pool, 600)
        self._begin()

    def _begin(self) -> None:
        self.id: UUID = self.wait(self._fired())
        self.status, self.fence, self.seq, self.asked = "queued", 0, 1, False
        self.due = self.lapsed = False
        self.claims: list[int] = []
        """The fences of everybody who ever had it: each of them may still write."""

    def wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    async def _fired(self) -> UUID:
        await self.world.fire(self.area, {})
        return await self.world.run_of(self.area)

    @rule()
    def claim(self) -> None:
        claimed = self.wait(self.runs.claim([self.id]))
        free = self.status == "queued" or (self.status == "waiting" and self.due)
        if free or (self.status == "running" and self.lapsed):
            assert [(row["fence"], row["was"]) for row in claimed] == [(self.fence + 1, self.status)]
            self.status, self.fence, self.due, self.lapsed = "running", self.fence + 1, False, False
            self.claims.append(self.fence)
        else:
            assert claimed == []

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), status=WORDS, more=st.integers(-1, 3), is_due=st.booleans())
    def write(self, data: st.DataObject, status: str, more: int, is_due: bool) -> None:
        fence = data.draw(st.sampled_from(self.claims[-3:]))
        now = datetime.now(UTC)
        day = now.replace(hour=0, minute=0, second=0, microsecond=0)
        lines = range(self.seq + 1, self.seq + more + 1)
        step = StepState(0, "a", "flow.log", "unknown" if status == "held" else "pending")
        checkpoint = Checkpoint(
            self.id,
            fence,
            status,
            self.seq + more,
            due_at=now + timedelta(hours=-1 if is_due else 1) if status == "waiting" else None,
            steps=[step.row(self.id)],
            events=[(self.id, seq, day, now, "log", "info", "a", "hello", None) for seq in lines],
        )
        try:
            asked = self.wait(self.runs.commit(checkpoint))
        except Fenced:
            assert (fence, self.status) != (self.fence, "running") or more < 0, "the owner may write"
            return
        assert (fence, self.status) == (self.fence, "running"), "nobody but the owner may write"
        assert more >= 0, "the story never gets shorter"
        assert asked == self.asked
        self.seq += more
        rests = status in ("waiting", "held")
        self.status = "queued" if rests and self.asked else status
        self.due, self.lapsed = self.status == "waiting" and is_due, False

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def renew(self, data: st.DataObject) -> None:
        fence = data.draw(st.sampled_from(self.claims[-3:]))
        kept = self.wait(self.runs.renew({self.id: fence}))
        if (fence, self.status) == (self.fence, "running"):
            assert kept == {self.id: self.asked}
            self.lapsed = False
        else:
            assert kept == {}

    @precondition(lambda self: self.status == "running")
    @rule()
    def die(self) -> None:
        self.wait(self.world.expire_lease(self.id))
        self.lapsed = True

    @precondition(lambda self: self.status == "waiting")
    @rule()
    def time_passes(self) -> None:
        self.wait(self.world.due_now(self.id))
        self.due = True

    @rule()
    def wake(self) -> None:
        self.wait(self.runs.wake_due())
        if self.status == "waiting" and self.due:
            self.status, self.due = "queued", False

    @precondition(lambda self: self.status in FINAL)
    @rule()
    def another(self) -> None:
        self.wait(self.world.story(self.id))
        self._begin()

    @rule(one_of_four=st.integers(1, 4))
    def cancel(self, one_of_four: int) -> None:
        if one_of_four > 1:
            return
        told = self.wait(cancelling.cancel(self.world.pool, self.id, self.world.user))
        if self.status in FINAL:
            assert told is None
            return
        assert told["ended"] == (self.status != "running")
        self.asked = True
        if self.status != "running":
            self.status, self.fence, self.seq, self.due = "cancelled", self.fence + 1, self.seq + 1, False

    @rule(happened=st.booleans())
    def settle(self, happened: bool) -> None:
        try:
            self.wait(control.settle_step(self.world.platform, self.world.user, self.id, "a", happened=happened))
        except Conflict:
            assert self.status != "held"
            return
        assert self.status == "held"
        self.status, self.fence, self.seq = "queued", self.fence + 1, self.seq + 1

    @invariant()
    def row_is_as_the_model_says(self) -> None:
        found = self.wait(self.world.pool.fetchrow(FOUND, self.id))
        assert tuple(found) == (self.status, self.fence, self.seq, self.asked)

    def teardown(self) -> None:
        self.wait(self.world.story(self.id))
        self.wait(cancelling.cancel(self.world.pool, self.id, self.world.user))
        if self.status == "running":
            self.wait(self.world.pool.execute("UPDATE runs SET status = 'cancelled' WHERE id = $1", self.id))


async def test_a_run_does_what_the_model_says(world: World) -> None:
    class Here(States):
        pass

    Here.world, Here.area, Here.loop = world, await world.area(log("a")), asyncio.get_running_loop()
    few = settings(
        max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    await asyncio.to_thread(run_state_machine_as_test, Here, settings=few)
