"""The bar, and whether it was met. A finding is a breach; an explanation is why something allowed happened."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from itertools import pairwise

from chaos.evidence import Evidence, Run
from chaos.load import Sender
from chaos.plant import TICK_SECONDS
from chaos.watcher import Watcher

FINAL = ("succeeded", "failed", "cancelled")
ONCE = {"post", "after", "left", "item"}
"""Steps that must not be repeated; the other calls may be, with one key."""
STEPS = {
    "pair": ["post", "put"],
    "timer": ["before", "wait", "after"],
    "parallel": ["left", "right", "log"],
    "tick": ["tick"],
    "item": ["item"],
    "failed": ["told"],
}
INNER = {"wait", "log"}
"""Steps that call nobody."""
EXPECTED_FAILURES = {"UNAVAILABLE", "UNREACHABLE", "THROTTLED"}
"""What a run may fail with when the other side misbehaves."""
KINDS = ("lost", "stuck", "doubled", "gaps", "changed", "other")


@dataclass(frozen=True)
class Finding:
    """One breach."""

    kind: str
    what: str
    run: Run | None = None


@dataclass
class Verdict:
    """All findings, and what was explained."""

    findings: list[Finding] = field(default_factory=list)
    unknown: list[tuple[Run, str]] = field(default_factory=list)
    """Runs held because a call may have happened, and why."""
    repeated: list[tuple[Run, str]] = field(default_factory=list)
    """Calls made again with the same key, and why."""

    def breach(self, kind: str, what: str, run: Run | None = None) -> None:
        """Note one."""
        self.findings.append(Finding(kind, what, run))

    def explained(self) -> Counter[str]:
        """How often each explanation was needed."""
        return Counter(
            [f"unknown: {why}" for _, why in self.unknown] + [f"same key again: {why}" for _, why in self.repeated]
        )


def judge(evidence: Evidence, sender: Sender, watcher: Watcher, shown: list[str]) -> Verdict:
    """Hold the evidence against the bar. ``shown`` are the items of the feed that were new."""
    verdict = Verdict()
    _events(verdict, evidence, sender)
    _sources(verdict, evidence, shown)
    for run in evidence.runs.values():
        _end(verdict, evidence, run)
        _story(verdict, run)
        _changes(verdict, run)
        for step in run.steps:
            if step not in INNER:
                _calls(verdict, evidence, run, step)
        _feed(verdict, run, watcher.seen.get(run.id, []))
    for row in evidence.broken:
        verdict.breach("changed", row["what"][:500], evidence.runs.get(row["run_id"]))
    for wrong in sender.wrong:
        verdict.breach("other", f"an answer that no sender can act on: {wrong}")
    for refused in watcher.refused:
        verdict.breach("other", f"the subscription was refused: {refused}")
    return verdict


def _events(verdict: Verdict, evidence: Evidence, sender: Sender) -> None:
    runs: defaultdict[str | None, list[Run]] = defaultdict(list)
    for run in evidence.runs.values():
        if run.kind == "webhook":
            runs[run.about].append(run)
    for id_ in sender.accepted:
        if not runs[id_]:
            verdict.breach("lost", f"{id_} was answered 2xx and has no run")
    for about, found in runs.items():
        if len(found) > 1:
            verdict.breach("doubled", f"{about} has {len(found)} runs", found[0])


def _sources(verdict: Verdict, evidence: Evidence, shown: list[str]) -> None:
    by_event = Counter(run.event for run in evidence.runs.values())
    for event in evidence.events:
        if by_event[event["id"]] != 1:
            verdict.breach(
                "doubled" if by_event[event["id"]] else "lost",
                f"event {event['id']} ({event['kind']}) has {by_event[event['id']]} runs",
            )
    about: defaultdict[str, Counter[str | None]] = defaultdict(Counter)
    for run in evidence.runs.values():
        about[run.area][run.about] += 1
        if run.area == "tick":
            moment = run.dedupe_key.removeprefix("at:")
            about["tick"][moment] += 1
            if not moment.endswith("+00:00") or "." in moment or int(moment[17:19]) % TICK_SECONDS:
                verdict.breach("other", f"the schedule fired at {moment}, which is not one of its moments", run)
    for item in shown:
        if about["item"][item] != 1:
            verdict.breach(
                "doubled" if about["item"][item] else "lost", f"the polled {item!r} has {about['item'][item]} runs"
            )
    told = about["failed"]
    for run in evidence.runs.values():
        if run.status == "failed" and run.area != "failed" and told[str(run.id)] != 1:
            verdict.breach(
                "doubled" if told[str(run.id)] else "lost",
                f"the failure of {run.id} was told {told[str(run.id)]} times",
                run,
            )


def _end(verdict: Verdict, evidence: Evidence, run: Run) -> None:
    states = {key: row["status"] for key, row in run.steps.items()}
    if run.status == "held" and "unknown" in states.values():
        for key, status in states.items():
            if status == "unknown":
                _unknown(verdict, evidence, run, key)
    elif run.status not in FINAL:
        verdict.breach("stuck", f"{run.area} run {run.id} is {run.status} ({states})", run)
    elif run.status == "succeeded" and [states.get(key) for key in STEPS[run.area]] != ["succeeded"] * len(
        STEPS[run.area]
    ):
        verdict.breach("lost", f"{run.area} run {run.id} succeeded with steps {states}", run)
    elif run.status == "failed" and (run.error or {}).get("code") not in EXPECTED_FAILURES:
        verdict.breach("other", f"{run.area} run {run.id} failed with {run.error}", run)


def _unknown(verdict: Verdict, evidence: Evidence, run: Run, key: str) -> None:
    calls = evidence.calls_of(run, key)
    if calls and not calls[-1].was_answered:
        verdict.unknown.append((run, "the other side gave no answer"))
        return
    held = next(row for row in reversed(run.transitions) if row["became"] == "held")
    at = max(i for i, claim in enumerate(run.claims) if claim.fence <= held["fence"])
    # The step was begun under an earlier claim and found so by this one; or it began and ended under this one.
    begun = run.claims[at - 1] if at else run.claims[at]
    end = run.claims[at].at if at else held["at"].timestamp()
    _explain(verdict, evidence, run, f"step {key!r} is unknown", (begun.who, begun.at, end), verdict.unknown, "other")


def _explain(
    verdict: Verdict,
    evidence: Evidence,
    run: Run,
    what: str,
    owned: tuple[str, float, float],
    explained: list[tuple[Run, str]],
    kind: str,
) -> None:
    who, begin, end = owned
    incident = (
        evidence.befell(who, begin, end) or evidence.postgres_away(begin, end) or evidence.stood_still(begin, end)
    )
    if incident is None:
        verdict.breach(
            kind, f"{run.area} run {run.id}: {what}, and nothing befell {who} between {begin:.2f} and {end:.2f}", run
        )
    else:
        explained.append((run, incident.fault))


def _story(verdict: Verdict, run: Run) -> None:
    lines = run.lines
    found = None if lines is None else (lines["lines"], lines["numbers"], lines["first"], lines["last"])
    if found != (run.last_seq, run.last_seq, 1, run.last_seq):
        verdict.breach("gaps", f"{run.area} run {run.id} has lines {found} and ends at {run.last_seq}", run)


def _changes(verdict: Verdict, run: Run) -> None:
    for row in run.transitions:
        if row["was"] in FINAL:
            verdict.breach("changed", f"run {run.id} went from {row['was']} to {row['became']} by {row['who']}", run)
        if row["fence"] < row["fence_was"]:
            verdict.breach("changed", f"the fence of run {run.id} went from {row['fence_was']} to {row['fence']}", run)
        if row["seq"] < row["seq_was"]:
            verdict.breach("changed", f"the story of run {run.id} went back from {row['seq_was']} to {row['seq']}", run)


def _calls(verdict: Verdict, evidence: Evidence, run: Run, step: str) -> None:
    calls = [call for call in evidence.calls_of(run, step) if call.took_effect]
    if run.steps[step]["status"] == "succeeded" and not calls:
        verdict.breach("lost", f"{run.area} run {run.id} says that {step!r} succeeded; no such call arrived", run)
    if step in ONCE and len(calls) > 1:
        moods = [(call.mood, round(call.at, 2)) for call in calls]
        verdict.breach("doubled", f"{run.area} run {run.id} made the call {step!r} {len(calls)} times: {moods}", run)
        return
    for first, second in pairwise(calls):
        if not first.was_answered:
            verdict.repeated.append((run, "the other side gave no answer"))
            continue
        owner = run.owner_at(first.at)
        who = run.claims[owner].who if owner >= 0 else "nobody"
        what = f"the call {step!r} was made again"
        _explain(verdict, evidence, run, what, (who, first.at, second.at), verdict.repeated, "doubled")


def _feed(verdict: Verdict, run: Run, seen: list[int]) -> None:
    if seen != list(range(1, run.last_seq + 1)):
        verdict.breach(
            "gaps", f"the subscriber saw of {run.area} run {run.id}, which has {run.last_seq} lines: {seen}", run
        )
