"""The run state machine against a model: whoever claims, writes, dies, wakes, decides, cancels, settles, resumes, or loses and
mends an account, in whatever order."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from area.core.errors import Conflict
from area.core.ids import new_id
from area.db.models import Area
from area.engine import approvals, cancelling, control
from area.engine.connections import held
from area.engine.runs import Checkpoint, Fenced, Runs, StepState
from tests.engine.conftest import World, log
from tests.engine.flow_drafts import ask
from tests.engine.stateful import Driven, drive

FINAL = ("succeeded", "failed", "cancelled")
ROWS = """
SELECT status, fence, last_seq, cancel_requested, woken, error ->> 'accountId' IS NOT NULL, (
  SELECT coalesce(jsonb_object_agg(key, status), '{}') FROM run_steps WHERE run_id = runs.id)
FROM runs WHERE id = $1
"""
ACCOUNT = (
    "INSERT INTO connected_accounts (id, user_id, service, label, external_id) VALUES ($1, $2, 'acme', 'ada', 'a1')"
)
REACTIONS = {"ask": "flow.approval", "a": "flow.log", "b": "flow.log"}
WORDS = st.sampled_from([*["running", "waiting", "held", "queued"] * 3, *FINAL])  # most writes end nothing


@dataclass(frozen=True)
class Found:
    """What a worker has to write of its run besides its state."""

    steps: dict[str, str]
    is_due: bool
    """What waits, waits for a moment that has passed."""
    for_account: bool = False
    """Where it is held, it is so for its account."""
    is_stale: bool = False
    """And has been for longer than runs are."""


STEP_WORDS = st.sampled_from(["waiting", "unknown", "pending", "running", "retrying"])
STEPS = st.fixed_dictionaries({"ask": st.sampled_from(["waiting", "pending"]), "a": STEP_WORDS, "b": STEP_WORDS})
ACCOUNT_STATUS = st.sampled_from(["active", "expiring", "needs_reconnect", "revoked"])
PERSON = st.sampled_from(["sleeps", "decides", "resumes"])
FOUND = st.builds(Found, STEPS, st.booleans(), st.booleans())


class States(Driven):
    """One run at a time, and the account that it may be held for."""

    area: Area
    account: UUID

    def __init__(self) -> None:
        super().__init__()
        self.runs = Runs(self.world.pool, 600)
        self.is_live = True
        self._alive("active")
        self._begin()

    def _begin(self) -> None:
        self.id: UUID = self.wait(self._fired())
        self.status, self.fence, self.seq, self.asked, self.woken = "queued", 0, 1, False, False
        self.due = self.lapsed = self.decided = self.is_expired = False
        self.for_account = self.is_stale = False
        self.steps: dict[str, str] = {}
        self.claims: list[int] = []
        """The fences of everybody who ever had it: each of them may still write."""

    async def _fired(self) -> UUID:
        await self.world.fire(self.area, {})
        return await self.world.run_of(self.area)

    def _alive(self, status: str) -> None:
        self.wait(
            self.world.pool.execute("UPDATE connected_accounts SET status = $2 WHERE id = $1", self.account, status)
        )
        self.is_live = status in ("active", "expiring")

    def _goes_on(self) -> None:
        """Queued by somebody who is no worker, and who says so in its story."""
        self.status, self.fence, self.seq, self.due = "queued", self.fence + 1, self.seq + 1, False

    @rule()
    def claim(self) -> None:
        claimed = self.wait(self.runs.claim([self.id]))
        free = self.status == "queued" or (self.status == "waiting" and self.due)
        if free or (self.status == "running" and self.lapsed):
            assert [(row["fence"], row["was"]) for row in claimed] == [(self.fence + 1, self.status)]
            self.status, self.fence, self.due, self.lapsed, self.woken = "running", self.fence + 1, False, False, False
            self.claims.append(self.fence)
        else:
            assert claimed == []

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), status=WORDS, more=st.integers(-1, 3), found=FOUND)
    def write(self, data: st.DataObject, status: str, more: int, found: Found) -> None:
        self._write(data.draw(st.sampled_from(self.claims[-3:])), status, more, found)

    @rule(status=st.sampled_from(["waiting", "held"]), found=FOUND, person=PERSON)
    def rest(self, status: str, found: Found, person: str) -> None:
        """What workers do most: one has the run, or takes it, and puts it to rest; a person comes in between, or after it."""
        if self.status != "running":
            self.claim()
        if self.status == "running":
            if person == "decides":
                self.decide(approved=True)
            self._write(self.fence, status, 1, found)
            if person == "resumes":
                self.resume()

    @rule(status=ACCOUNT_STATUS, is_stale=st.booleans(), steps=STEPS, person=PERSON)
    def rest_for_account(self, status: str, is_stale: bool, steps: dict[str, str], person: str) -> None:
        self._alive(status)
        self.rest("held", Found(steps, is_due=False, for_account=True, is_stale=is_stale), person)

    def _write(self, fence: int, status: str, more: int, found: Found) -> None:
        now = datetime.now(UTC)
        day = now.replace(hour=0, minute=0, second=0, microsecond=0)
        due = now + timedelta(hours=-1 if found.is_due else 1)
        lines = range(self.seq + 1, self.seq + more + 1)
        rows = [StepState(place, key, REACTIONS[key], found.steps[key]) for place, key in enumerate(REACTIONS)]
        for row in rows:
            row.effect = "intended" if row.status in ("running", "retrying") else "none"
            if row.status == "retrying":
                row.status, row.error = "waiting", {"code": "UNREACHABLE", "message": "No answer"}
            row.due_at = due if row.status == "waiting" else None
        held_at = now - (timedelta(days=365) if found.is_stale else timedelta(0))
        error = {"code": held.CODE, "step": "a", "accountId": str(self.account), "heldAt": held_at.isoformat()}
        for_account = status == "held" and found.for_account
        checkpoint = Checkpoint(
            self.id,
            fence,
            status,
            self.seq + more,
            due_at=due if status == "waiting" else None,
            error=error if for_account else None,
            steps=[row.row(self.id) for row in rows],
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
        self.steps, self.for_account, self.is_stale = found.steps, for_account, found.is_stale
        self.is_expired = found.steps["ask"] == "waiting" and found.is_due
        is_called = (status in ("waiting", "held") and self.asked) or (status == "waiting" and self.woken)
        self.status = "queued" if is_called else status
        self.due, self.lapsed = self.status == "waiting" and found.is_due, False

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
        self.due, self.is_expired = True, self.steps["ask"] == "waiting"

    @rule()
    def wake(self) -> None:
        self.wait(self.runs.wake_due())
        if self.status == "waiting" and self.due:
            self.status, self.due = "queued", False

    @rule(approved=st.booleans())
    def decide(self, approved: bool) -> None:
        deciding = approvals.decide(self.world.platform, self.world.user, self.id, "ask", approved=approved, comment="")
        is_over = self.status in FINAL or self.steps.get("ask") in ("skipped", "failed", "unknown")
        try:
            self.wait(deciding)
        except Conflict:
            assert self.decided or self.is_expired or is_over
            return
        assert (self.decided, self.is_expired, is_over) == (False, False, False)
        self.decided = self.woken = True
        if self.status == "waiting":
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
            self._end_steps()

    @rule(happened=st.booleans(), step=st.sampled_from(["a", "b"]))
    def settle(self, happened: bool, step: str) -> None:
        try:
            self.wait(control.settle_step(self.world.platform, self.world.user, self.id, step, happened=happened))
        except Conflict:
            assert self.status != "held" or self.steps[step] != "unknown"
            return
        assert (self.status, self.steps[step]) == ("held", "unknown")
        self.steps = {**self.steps, step: "succeeded" if happened else "pending"}
        self._goes_on()
        if "unknown" in self.steps.values():
            self.status = "held"

    @rule()
    def resume(self) -> None:
        try:
            self.wait(control.resume_run(self.world.platform, self.world.user, self.id))
        except Conflict:
            assert not self._can_resume()
            return
        assert self._can_resume()
        if self.status == "held":
            self.for_account = False
        self._goes_on()

    def _can_resume(self) -> bool:
        if self.status == "waiting":
            return not {"waiting", "retrying"}.isdisjoint((self.steps["a"], self.steps["b"]))
        return self.status == "held" and self.for_account and self.is_live

    @rule(status=ACCOUNT_STATUS)
    def account_changes(self, status: str) -> None:
        self._alive(status)

    @rule(only=st.booleans())
    def release(self, only: bool) -> None:
        self.wait(self.world.platform.accounts.held.release(self.account if only else None))
        if self.status == "held" and self.for_account:
            if self.is_stale:
                self._given_up()
            elif self.is_live:
                self.for_account = False
                self._goes_on()

    @rule()
    def disconnect(self) -> None:
        self.wait(self.world.platform.accounts.held.fail(self.account))
        if self.status == "held" and self.for_account:
            self._given_up()

    def _given_up(self) -> None:
        self.status, self.fence, self.seq = "failed", self.fence + 1, self.seq + 1
        if self.steps["a"] in ("pending", "waiting"):
            self.steps = {**self.steps, "a": "failed"}
        self._end_steps()

    def _end_steps(self) -> None:
        """The run ends with nobody executing it: what may have happened is not told as if it had not."""
        ends = {"pending": "skipped", "waiting": "skipped", "running": "unknown", "retrying": "unknown"}
        self.steps = {key: ends.get(status, status) for key, status in self.steps.items()}

    @invariant()
    def rows_are_as_the_model_says(self) -> None:
        found = self.wait(self.world.pool.fetchrow(ROWS, self.id))
        steps = {key: "waiting" if status == "retrying" else status for key, status in self.steps.items()}
        model = (self.status, self.fence, self.seq, self.asked, self.woken, self.for_account, steps)
        assert tuple(found) == model

    def teardown(self) -> None:
        self.wait(self.world.story(self.id))
        self.wait(cancelling.cancel(self.world.pool, self.id, self.world.user))
        if self.status == "running":
            self.wait(self.world.pool.execute("UPDATE runs SET status = 'cancelled' WHERE id = $1", self.id))


async def test_a_run_does_what_the_model_says(world: World) -> None:
    account = new_id()
    await world.pool.execute(ACCOUNT, account, world.user)
    area: Any = await world.area(ask(), log("a"), log("b"), mode="parallel")
    await drive(States, world, 120, 50, area=area, account=account)
