"""A limit of an AREA against a model: its runs are fired, claimed, put to rest, ended, cancelled, settled, resumed."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from area.db.models import Area
from area.engine import control
from area.engine.runs import Checkpoint, Runs, StepState
from tests.engine.conftest import World, log
from tests.engine.stateful import Driven, drive

LIVE = ("queued", "running", "waiting")
ROWS = "SELECT id, status, admitted, cancel_requested FROM runs WHERE area_id = $1"
STEP = {"held": "unknown", "waiting": "waiting"}


@dataclass
class Run:
    """What the model says of one run."""

    id: UUID
    policy: str
    priority: int
    status: str = "queued"
    admitted: bool = False
    asked: bool = False
    fence: int = 0
    seq: int = 1


class Limit(Driven):
    """One AREA. After each rule its admission has caught up, as it does by itself within a second."""

    policy: str
    most: int

    @initialize()
    def begin(self) -> None:
        self.runs = Runs(self.world.pool, 600)
        drafted = self.world.area(log("a"), max_concurrent_runs=self.most, overlap=self.policy)
        self.area: Area = self.wait(drafted)
        self.known: list[Run] = []

    @rule()
    def fire(self) -> None:
        self.wait(self.world.fire(self.area, {}))
        self._new(self.wait(self.world.pool.fetch(ROWS, self.area.id)), self.policy, 1)

    @rule()
    def by_hand(self) -> None:
        self.wait(control.run_area(self.world.platform, self.world.user, self.area.id, {}))
        self._new(self.wait(self.world.pool.fetch(ROWS, self.area.id)), "queue", 0)

    def _new(self, rows: list[dict[str, UUID]], policy: str, priority: int) -> None:
        [new] = {row["id"] for row in rows} - {run.id for run in self.known}
        self.known.append(Run(new, policy, priority))
        self._catch_up()

    @precondition(lambda self: self.known)
    @rule()
    def claim_all(self) -> None:
        claimed = self.wait(self.runs.claim([run.id for run in self.known]))
        free = [run for run in self.known if run.status == "queued" and run.admitted]
        assert {row["id"] for row in claimed} == {run.id for run in free}
        for run in free:
            run.status, run.fence = "running", run.fence + 1

    @precondition(lambda self: any(run.status == "running" for run in self.known))
    @rule(data=st.data(), status=st.sampled_from(["waiting", "held", "queued", "succeeded", "failed"]))
    def write(self, data: st.DataObject, status: str) -> None:
        run = data.draw(st.sampled_from([run for run in self.known if run.status == "running"]))
        due = datetime.now(UTC) + timedelta(hours=1) if status == "waiting" else None
        step = StepState(0, "a", "flow.log", STEP.get(status, "pending"), due_at=due)
        self.wait(self.runs.commit(Checkpoint(run.id, run.fence, status, run.seq, due, steps=[step.row(run.id)])))
        # What is to be cancelled does not rest: whoever claims it next cancels it.
        run.status = "queued" if run.asked and status in ("waiting", "held") else status
        self._catch_up()

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from(self.known))
        self.wait(control.cancel_run(self.world.platform, self.world.user, run.id))
        self._cancelled(run)
        self._catch_up()

    @precondition(lambda self: any(run.status == "held" for run in self.known))
    @rule(data=st.data(), happened=st.booleans())
    def settle(self, data: st.DataObject, happened: bool) -> None:
        run = data.draw(st.sampled_from([run for run in self.known if run.status == "held"]))
        self.wait(control.settle_step(self.world.platform, self.world.user, run.id, "a", happened=happened))
        # Its place was given away, so it waits for one again.
        run.admitted = False
        self._goes_on(run)

    @precondition(lambda self: any(run.status == "waiting" for run in self.known))
    @rule(data=st.data())
    def resume(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from([run for run in self.known if run.status == "waiting"]))
        self.wait(control.resume_run(self.world.platform, self.world.user, run.id))
        self._goes_on(run)

    def _goes_on(self, run: Run) -> None:
        run.status, run.priority, run.fence, run.seq = "queued", 0, run.fence + 1, run.seq + 1
        self._catch_up()

    def _cancelled(self, run: Run) -> bool:
        if run.status == "running":
            run.asked = True
        elif run.status in (*LIVE, "held"):
            run.status, run.asked, run.fence, run.seq = "cancelled", True, run.fence + 1, run.seq + 1
            return True
        return False

    def _catch_up(self) -> None:
        self.wait(self.world.platform.admission.settle())
        # Who is let in may leave somebody at the head who replaces; the next look sees to that.
        for _ in range(len(self.known) + 1):
            self.wait(self.world.platform.admission.let_in(self.area.id))
        changed = True
        while changed:
            behind = [run for run in self.known if run.status == "queued" and not run.admitted]
            behind.sort(key=lambda run: (run.priority, run.id))
            replaced: list[Run] = []
            if behind and behind[0].policy == "replace":
                newest = sorted(
                    (run for run in self.known if run.status in LIVE and not run.asked), key=lambda run: run.id
                )
                replaced = newest[: -self.most]
            let_in = [run for run in behind if run not in replaced][: max(0, self.most - self._taken())]
            for run in let_in:
                run.admitted = True
            changed = sum(self._cancelled(run) for run in replaced) > 0 or bool(let_in)

    def _taken(self) -> int:
        return sum(run.admitted and run.status in LIVE for run in self.known)

    @invariant()
    def rows_are_as_the_model_says(self) -> None:
        found = self.wait(self.world.pool.fetch(ROWS, self.area.id))
        model = {run.id: (run.status, run.admitted, run.asked) for run in self.known}
        assert {row["id"]: tuple(row)[1:] for row in found} == model
        assert self._taken() <= self.most
        behind = any(run.status == "queued" and not run.admitted for run in self.known)
        assert not behind or self._taken() == self.most, "who waits, waits for a place that is taken"

    def teardown(self) -> None:
        self.wait(self.world.pool.execute("UPDATE runs SET status = 'cancelled' WHERE area_id = $1", self.area.id))


@pytest.mark.parametrize("policy", ["queue", "replace"])
@pytest.mark.parametrize("most", [1, 2])
async def test_a_limit_holds_whatever_happens(world: World, policy: str, most: int) -> None:
    await drive(Limit, world, 15, 40, policy=policy, most=most)
