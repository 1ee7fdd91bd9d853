"""What is known after the play: the rows of Postgres, its audit, the calls that arrived, what the sender was told."""

import json
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

import asyncpg

from chaos.faults import OWN_PAUSE, Incident
from chaos.outside import Call

RUNS = """
SELECT r.id, a.name AS area, r.status, r.created_at, r.finished_at, r.last_seq, r.error, e.id AS event, h.kind, e.dedupe_key,
  coalesce(e.payload->'body'->>'id', e.payload->>'title', e.payload->>'run_id', e.payload->>'caller_run_id') AS about
FROM runs r JOIN areas a ON a.id = r.area_id LEFT JOIN events e ON e.id = r.event_id LEFT JOIN hooks h ON h.id = e.hook_id
"""
STEPS = "SELECT run_id, key, reaction, status, effect FROM run_steps"
LINES = """
SELECT run_id, count(*) AS lines, count(DISTINCT seq) AS numbers, min(seq) AS first, max(seq) AS last FROM run_events GROUP BY 1
"""
STORY = (
    "SELECT run_id, seq, at, kind, step, message FROM run_events WHERE run_id = ANY($1::uuid[]) ORDER BY run_id, seq"
)
TRANSITIONS = "SELECT * FROM chaos.transitions ORDER BY number"
DECISIONS = "SELECT run_id, approved FROM approvals"
CALLS = "SELECT run_id, called_id FROM calls"
FILTERED = "SELECT run_id FROM deliveries WHERE outcome = 'filtered'"
EVENTS = "SELECT e.id, h.kind, e.dedupe_key FROM events e JOIN hooks h ON h.id = e.hook_id"


Row = Mapping[str, Any]


@dataclass(slots=True)
class Claim:
    """A process took a run."""

    at: float
    who: str
    fence: int


@dataclass(slots=True)
class Run:
    """One run with all that belongs to it."""

    id: UUID
    area: str
    status: str
    begin: float
    end: float
    last_seq: int
    error: dict[str, Any] | None
    event: UUID | None
    kind: str
    dedupe_key: str
    about: str | None
    steps: dict[str, Row] = field(default_factory=dict)
    claims: list[Claim] = field(default_factory=list)
    transitions: list[Row] = field(default_factory=list)
    lines: Row | None = None

    def owner_at(self, moment: float) -> int:
        """Which of `claims` held the run then; -1 for none."""
        return bisect_right([claim.at for claim in self.claims], moment) - 1


@dataclass
class Evidence:
    """All of it."""

    runs: dict[UUID, Run]
    events: list[Row]
    broken: list[Row]
    calls: dict[str, list[Call]]
    """By Idempotency-Key, in order of arrival."""
    incidents: list[Incident]
    decisions: dict[UUID, bool] = field(default_factory=dict)
    """What was decided of each run that asked."""
    called: dict[UUID, list[UUID]] = field(default_factory=dict)
    """The runs that each run's step is noted to have started."""
    filtered: Counter[UUID] = field(default_factory=Counter)
    """How often the ledger says of a run that its event was filtered out."""

    @property
    def over(self) -> float:
        """When the last fault had ended."""
        return max((i.end for i in self.incidents if i.fault != OWN_PAUSE), default=0.0)

    def calls_of(self, run: Run, step: str) -> list[Call]:
        """The calls of one step."""
        return self.calls.get(str(uuid5(run.id, step)), [])

    def befell(self, whom: str, begin: float, end: float) -> Incident | None:
        """What took a process out between two moments: a kill, or a stop past its lease."""
        return next(
            (i for i in self.incidents if i.whom == whom and i.fault.startswith("SIG") and _meet(i, begin, end)), None
        )

    def harm(self, whom: str, begin: float, end: float) -> Incident | None:
        """What kept a process, its Postgres or those who answer it from their work between two moments."""
        return self.befell(whom, begin, end) or self.postgres_away(begin, end) or self.stood_still(begin, end)

    def stood_still(self, begin: float, end: float) -> Incident | None:
        """When the services elsewhere answered nobody between two moments."""
        return next((i for i in self.incidents if i.fault == OWN_PAUSE and _meet(i, begin, end)), None)

    def postgres_away(self, begin: float, end: float) -> Incident | None:
        """What kept Postgres, or its clock, from its work between two moments."""
        found = (i for i in self.incidents if "Postgres" in i.fault and _meet(i, begin, end))
        return next(found, None)


SLACK = 0.5
"""Seconds between a fault and its effect, or between two clocks' readings, that are one moment."""


def _meet(incident: Incident, begin: float, end: float) -> bool:
    return incident.begin <= end + SLACK and (incident.end or incident.begin) >= begin - SLACK


def _seconds(moment: datetime | None, default: float) -> float:
    return moment.timestamp() if moment else default


async def gather(connection: asyncpg.Connection, calls: list[Call], incidents: list[Incident], now: float) -> Evidence:
    """Read everything."""
    runs = {}
    for row in await connection.fetch(RUNS):
        given = {name: row[name] for name in ("id", "area", "status", "last_seq", "event", "about")}
        runs[row["id"]] = Run(
            **given,
            begin=row["created_at"].timestamp(),
            end=_seconds(row["finished_at"], now),
            kind=row["kind"] or "",
            dedupe_key=row["dedupe_key"] or "",
            error=json.loads(row["error"]) if row["error"] else None,
        )
    for row in await connection.fetch(STEPS):
        runs[row["run_id"]].steps[row["key"]] = row
    for row in await connection.fetch(LINES):
        runs[row["run_id"]].lines = row
    for row in await connection.fetch(TRANSITIONS):
        run = runs[row["run_id"]]
        run.transitions.append(row)
        if row["became"] == "running" and row["fence"] > row["fence_was"]:
            run.claims.append(Claim(row["at"].timestamp(), row["who"], row["fence"]))
        if run.status == "held":
            run.end = row["at"].timestamp()
    by_key: defaultdict[str, list[Call]] = defaultdict(list)
    for call in calls:
        by_key[call.key].append(call)
    called: defaultdict[UUID, list[UUID]] = defaultdict(list)
    for row in await connection.fetch(CALLS):
        called[row["run_id"]].append(row["called_id"])
    return Evidence(
        runs,
        await connection.fetch(EVENTS),
        await connection.fetch("SELECT * FROM chaos.broken"),
        dict(by_key),
        incidents,
        {row["run_id"]: row["approved"] for row in await connection.fetch(DECISIONS)},
        dict(called),
        Counter(row["run_id"] for row in await connection.fetch(FILTERED)),
    )


async def stories(connection: asyncpg.Connection, runs: list[Run]) -> dict[UUID, list[str]]:
    """What the log of each of these runs says, a line each."""
    ids = [run.id for run in runs]
    found: dict[UUID, list[str]] = {}
    for row in await connection.fetch(STORY, ids):
        said = f"{row['seq']} {row['at']:%H:%M:%S.%f} {row['kind']} {row['step'] or ''}: {row['message'][:120]}"
        found.setdefault(row["run_id"], []).append(said)
    return found
