"""A play that never happened, in which all went well, for tests to spoil."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any
from uuid import UUID, uuid4, uuid5

import asyncpg
from pydantic import SecretStr

from area.core.ids import new_id
from area.core.settings import Settings
from chaos import handed, vacuous
from chaos.evidence import Claim, Evidence, Run
from chaos.faults import Incident
from chaos.findings import FINAL, Verdict
from chaos.load import Sender
from chaos.outside import Call
from chaos.people import People
from chaos.verdict import judge
from chaos.watcher import Watcher

FIRST, SECOND = "worker-1", "worker-2"
BEGIN = 1_000_000.0


async def _nowhere() -> asyncpg.Connection:
    raise OSError("There is no database.")


class Stage:
    """Evidence and books, filled run by run; moments are seconds after the beginning."""

    def __init__(self) -> None:
        settings = Settings(
            _env_file=None,
            database_url=SecretStr("postgresql://nowhere/area"),
            redis_url=SecretStr("redis://nowhere"),
            secret_key=SecretStr("x" * 40),
            public_url="http://area.test",
        )
        self.evidence = Evidence({}, [], [], {}, [])
        self.sender = Sender([], 1.0, Random(1))
        self.watcher = Watcher("http://area.test", "")
        self.people = People(settings, "", _nowhere, Random(1))
        self._number = 0

    def run(
        self, area: str, status: str, steps: Mapping[str, str], at: float = 0.0, end: float = 1.0, **more: Any
    ) -> Run:
        """A run of one claim, with its event, its lines, and who saw them."""
        kind = {"called": "manual", "item": "poll", "tick": "schedule", "failed": "internal"}.get(area, "webhook")
        about = more.pop("about", f"event-{2 * self._number}")
        run = Run(new_id(), area, status, BEGIN + at, BEGIN + end, 1, None, uuid4(), kind, "", about, **more)
        run.steps = {key: {"status": state} for key, state in steps.items()}
        run.lines = {"lines": 1, "numbers": 1, "first": 1, "last": 1}
        self.changed(run, at, "queued", "running", 1)
        if status in (*FINAL, "held", "waiting"):
            self.changed(run, end, "running", status, 1)
        self.evidence.runs[run.id] = run
        self.evidence.events.append({"id": run.event, "kind": kind, "dedupe_key": ""})
        self.watcher.seen[run.id] = [1]
        if kind == "webhook":
            self.sender.accepted[about] = BEGIN + at
        return run

    def changed(self, run: Run, at: float, was: str, became: str, fence: int, who: str = FIRST) -> None:
        """Postgres notes a change of a run."""
        self._number += 1
        moment = datetime.fromtimestamp(BEGIN + at, UTC)
        claimed = became == "running"
        run.transitions.append(
            {
                "number": self._number, "at": moment, "who": who, "was": was, "became": became,
                "fence_was": fence - claimed, "fence": fence, "seq_was": 1, "seq": 1,
            }
        )  # fmt: skip
        if claimed:
            run.claims.append(Claim(BEGIN + at, who, fence))

    def call(self, run: Run, step: str, at: float = 0.5, until: float = 0.6, mood: str = "ok") -> None:
        """A call of a step arrives."""
        key = str(uuid5(run.id, step))
        call = Call(key, run.about or "", step, BEGIN + at, mood, BEGIN + until)
        self.evidence.calls.setdefault(key, []).append(call)

    def befalls(self, fault: str, whom: str | None, at: float, until: float | None = None) -> Incident:
        """A fault."""
        incident = Incident(fault, BEGIN + at, BEGIN + (at if until is None else until), whom)
        self.evidence.incidents.append(incident)
        return incident

    def verdict(self, shown: Sequence[str] = ()) -> Verdict:
        """What the rules say of it, and of these items of the feed."""
        return judge(self.evidence, self.sender, self.watcher, self.people, list(shown), 60.0)

    def breaches(self, shown: Sequence[str] = ()) -> list[str]:
        """Each breach of the rules, as ``kind: AREA of its run``."""
        found = self.verdict(shown).findings
        return [f"{one.kind}: {one.run.area if one.run else ''}".strip() for one in found]

    def fence(self, late: int) -> list[str]:
        """What is said of late writes, when so many were refused."""
        verdict = Verdict()
        handed.fenced(verdict, self.evidence, late)
        return [found.what for found in verdict.findings]

    def missing(self, **planned: int) -> list[str]:
        """What there was not, that a play must have."""
        verdict = Verdict()
        vacuous.judge(verdict, self.evidence, self.sender, self.watcher, self.people, planned)
        return [found.what.removeprefix("this play proves nothing: ") for found in verdict.findings]

    def pair(self, status: str = "succeeded", post: str = "succeeded", put: str = "succeeded", **more: Any) -> Run:
        """A run of two calls, without them."""
        return self.run("pair", status, {"post": post, "put": put}, **more)

    def decided(self, run: UUID, *, approved: bool) -> None:
        """Somebody decided, and was told that it counts."""
        self.people.deciding[run] = approved
        self.people.decided.add(run)
        self.evidence.decisions[run] = approved
