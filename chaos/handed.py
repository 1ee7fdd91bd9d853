"""What holds where a run is handed from one process to another: limits, cancels, calls, decisions, filters, late writes."""

from collections import defaultdict
from collections.abc import Iterator
from uuid import UUID

from chaos.evidence import Evidence, Run
from chaos.faults import FREEZE, Incident
from chaos.findings import FINAL, Verdict
from chaos.people import People
from chaos.plant import LIMITS
from chaos.promises import STEPS, is_shut

CANCEL_SECONDS = 3.0
"""After a cancel was answered: what may still leave was on its way already."""
AWAKE_SECONDS = 5.0
"""How long a worker must have lived after a stop for its late writes to be expected."""


def judge(verdict: Verdict, evidence: Evidence, people: People) -> None:
    """Add the findings."""
    _calls(verdict, evidence)
    _decisions(verdict, evidence, people)
    for run in evidence.runs.values():
        _shut(verdict, evidence, run)
        _filtered(verdict, evidence, run)
        _cancelled(verdict, evidence, people, run)
    for area, most in LIMITS.items():
        runs = [run for run in evidence.runs.values() if run.area == area]
        _limit_of_rows(verdict, runs, most)
        _limit_of_calls(verdict, evidence, runs, most)


def waits_for_held(evidence: Evidence, run: Run) -> bool:
    """Whether a run waits for one that it started, and that one waits for a person."""
    called = evidence.called.get(run.id, [])
    return any(id_ in evidence.runs and evidence.runs[id_].status == "held" for id_ in called)


def _calls(verdict: Verdict, evidence: Evidence) -> None:
    """A step that calls an AREA starts one run of it, and ends as that did."""
    children: defaultdict[str, list[Run]] = defaultdict(list)
    for run in evidence.runs.values():
        if run.area == "called":
            children[run.about or ""].append(run)
    for run in evidence.runs.values():
        if run.area != "call":
            continue
        found = children.pop(str(run.id), [])
        if len(found) > 1:
            verdict.breach("doubled", f"call run {run.id} has started {len(found)} runs", run)
        if {child.id for child in found} != set(evidence.called.get(run.id, [])):
            verdict.breach("other", f"call run {run.id} has started other runs than are noted as its own", run)
        start = run.steps.get("start")
        if start and start["status"] == "succeeded" and [child.status for child in found] != ["succeeded"]:
            states = [child.status for child in found]
            verdict.breach("lost", f"call run {run.id} says that what it called succeeded; it is {states}", run)
    for about, found in children.items():
        verdict.breach("other", f"{len(found)} runs were started by {about!r}, which is no run that calls", found[0])


def _decisions(verdict: Verdict, evidence: Evidence, people: People) -> None:
    for id_ in people.decided:
        if id_ not in evidence.decisions:
            verdict.breach("lost", f"the decision on run {id_} was taken, and is not there", evidence.runs.get(id_))
    for id_, approved in evidence.decisions.items():
        meant = people.deciding.get(id_)
        if approved is not meant:
            verdict.breach("other", f"run {id_} was decided {approved}; meant was {meant}", evidence.runs.get(id_))


def _shut(verdict: Verdict, evidence: Evidence, run: Run) -> None:
    """Whatever became of the run: nobody is called beyond a filter, without a decision, or after a failure."""
    last = STEPS[run.area][-1]
    if is_shut(run, evidence) and (calls := evidence.calls_of(run, last)):
        what = f"{run.area} run {run.id} was not to reach {last!r}; {len(calls)} such calls arrived"
        verdict.breach("other", what, run)


def _filtered(verdict: Verdict, evidence: Evidence, run: Run) -> None:
    """The ledger says once of each filtered event that it was, and of no other."""
    due = int(run.status == "succeeded" and is_shut(run, evidence))
    told = evidence.filtered[run.id]
    if told != due:
        what = f"the ledger says {told} times that the event of {run.area} run {run.id} ({run.status}) was filtered"
        verdict.breach("doubled" if told > 1 else "lost" if due else "untrue", what, run)


def _cancelled(verdict: Verdict, evidence: Evidence, people: People, run: Run) -> None:
    if run.status == "cancelled" and run.id not in people.cancelling and not _replaced(evidence, run):
        verdict.breach("other", f"{run.area} run {run.id} is cancelled, and nobody asked for it", run)
    asked = people.cancelled.get(run.id)
    if asked is None:
        return
    for step in STEPS[run.area]:
        for call in evidence.calls_of(run, step):
            if call.at > asked + CANCEL_SECONDS and not evidence.harm(_owner(run, call.at), asked, call.at):
                late = call.at - asked
                verdict.breach(
                    "other", f"{run.area} run {run.id} made the call {step!r} {late:.1f} s after its cancel", run
                )


def _replaced(evidence: Evidence, run: Run) -> bool:
    """Whether a newer run of its AREA may have taken its place."""
    return run.area == "replace" and any(
        other.area == "replace" and other.id.int > run.id.int for other in evidence.runs.values()
    )


def _limit_of_rows(verdict: Verdict, runs: list[Run], most: int) -> None:
    """By what Postgres noted: from its first claim until it ends or is held, a run has a place. The order is exact."""
    changes = sorted(
        ((row["number"], run, row["became"]) for run in runs for row in run.transitions), key=lambda c: c[0]
    )
    going: dict[UUID, Run] = {}
    for _, run, became in changes:
        if became == "running" and run.id not in going:
            going[run.id] = run
            if len(going) > most:
                verdict.breach("other", f"{len(going)} runs of {run.area!r} went on at once: {_ids(going)}", run)
        elif became in ("held", *FINAL):
            going.pop(run.id, None)


def _limit_of_calls(verdict: Verdict, evidence: Evidence, runs: list[Run], most: int) -> None:
    """By what the other side saw: no more runs had a call there, leaving out calls that a fault or a lost answer cut off."""
    moments = sorted(moment for run in runs for moment in _moments(evidence, run))
    open_: defaultdict[str, int] = defaultdict(int)
    for at, change, id_ in moments:
        open_[id_] += change
        if not open_[id_]:
            del open_[id_]
        elif change > 0 and len(open_) > most:
            run = evidence.runs[UUID(id_)]
            verdict.breach("other", f"{len(open_)} runs of {run.area!r} had calls out at {at:.2f}: {_ids(open_)}", run)


def _moments(evidence: Evidence, run: Run) -> Iterator[tuple[float, int, str]]:
    for step in STEPS[run.area]:
        for call in evidence.calls_of(run, step):
            if call.was_answered and not evidence.harm(_owner(run, call.at), call.at, call.until):
                yield call.at, 1, str(run.id)
                yield call.until, -1, str(run.id)


def _owner(run: Run, moment: float) -> str:
    owner = run.owner_at(moment)
    return run.claims[owner].who if owner >= 0 else "nobody"


def _ids(runs: dict[UUID, Run] | dict[str, int]) -> str:
    return ", ".join(map(str, runs))


def fenced(verdict: Verdict, evidence: Evidence, late: int) -> list[int]:
    """Where runs were taken from a worker that stood still and woke, its late writes must have been refused, and told so.

    ``late`` is how often that was told. Gives for each stop how many runs were taken meanwhile.
    """
    stops = [i for i in evidence.incidents if i.fault == FREEZE]
    proving = [i for i in stops if taken(evidence, i) and _woke(evidence, i)]
    if proving and not late:
        names = ", ".join(str(i.whom) for i in proving)
        what = f"runs were taken from {names} while they stood still, and no late write was refused, no lease told lost"
        verdict.breach("other", what)
    return [taken(evidence, i) for i in stops]


def taken(evidence: Evidence, stop: Incident) -> int:
    """How many runs others took from a worker while it stood still."""
    count = 0
    for run in evidence.runs.values():
        for row in run.transitions:
            at = row["at"].timestamp()
            if row["was"] == row["became"] == "running" and stop.begin < at < stop.end:
                before = max((c for c in run.claims if c.fence < row["fence"]), key=lambda c: c.fence, default=None)
                count += before is not None and before.who == stop.whom and before.at < stop.begin
    return count


def _woke(evidence: Evidence, stop: Incident) -> bool:
    others = (i for i in evidence.incidents if i.whom == stop.whom and i is not stop)
    return not any(stop.begin <= i.begin <= stop.end + AWAKE_SECONDS for i in others)
