"""The bar, and whether it was met: what holds for every run, event and line."""

from collections import Counter, defaultdict
from itertools import pairwise
from uuid import uuid5

from chaos import handed
from chaos.evidence import Evidence, Run
from chaos.findings import FINAL, Verdict, explain
from chaos.load import Sender
from chaos.people import People
from chaos.plant import TICK_SECONDS
from chaos.promises import INNER, STEPS, is_once, may_fail_with, wanted
from chaos.watcher import Watcher


def judge(
    evidence: Evidence, sender: Sender, watcher: Watcher, people: People, shown: list[str], settle_seconds: float
) -> Verdict:
    """Hold the evidence against the bar.

    ``shown`` are the items of the feed that were new; ``settle_seconds`` is how long after the last fault a run may go on.
    """
    verdict = Verdict()
    _events(verdict, evidence, sender)
    _sources(verdict, evidence, shown)
    _strangers(verdict, evidence)
    handed.judge(verdict, evidence, people)
    for run in evidence.runs.values():
        _end(verdict, evidence, people, run)
        if run.status in FINAL and run.begin <= evidence.over < run.end - settle_seconds:
            late = run.end - evidence.over
            verdict.breach("stuck", f"{run.area} run {run.id} ended {late:.0f} s after the last fault", run)
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
    for wrong in people.wrong:
        verdict.breach("other", f"an answer that no person can act on: {wrong}")
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


def _strangers(verdict: Verdict, evidence: Evidence) -> None:
    known = {str(uuid5(run.id, step)) for run in evidence.runs.values() for step in STEPS[run.area]}
    for key in evidence.calls.keys() - known:
        first = evidence.calls[key][0]
        verdict.breach(
            "other", f"a call of step {first.step!r} arrived with the key {key!r}, which no step of a run has"
        )


def _end(verdict: Verdict, evidence: Evidence, people: People, run: Run) -> None:
    states = {key: row["status"] for key, row in run.steps.items()}
    for key, status in states.items():
        if status == "unknown":
            _unknown(verdict, evidence, run, key)
    if run.status == "held" and "unknown" in states.values():
        if run.id in people.cancelled:
            verdict.breach("stuck", f"{run.area} run {run.id} was cancelled and is held ({states})", run)
    elif run.status == "waiting" and handed.waits_for_held(evidence, run):
        verdict.unknown.append((run, "the run that it waits for is held"))
    elif run.status not in FINAL:
        verdict.breach("stuck", f"{run.area} run {run.id} is {run.status} ({states})", run)
    else:
        _ended(verdict, evidence, run, states)


def _ended(verdict: Verdict, evidence: Evidence, run: Run, states: dict[str, str]) -> None:
    if run.status == "succeeded":
        promised = wanted(run, evidence)
        if promised is None:
            verdict.breach("untrue", f"{run.area} run {run.id} cannot have succeeded: {states}", run)
        elif states.keys() != promised.keys() or any(states[key] not in may for key, may in promised.items()):
            verdict.breach("lost", f"{run.area} run {run.id} succeeded with steps {states}", run)
    elif run.status == "failed" and (run.error or {}).get("code") not in may_fail_with(run):
        verdict.breach("other", f"{run.area} run {run.id} failed with {run.error}", run)
    for key in STEPS[run.area]:
        status = states.get(key, "pending")
        calls = [call for call in evidence.calls_of(run, key) if call.took_effect]
        if status in ("pending", "skipped") and calls:
            what = f"{run.area} run {run.id} {run.status}, and says that {key!r} is {status}; {len(calls)} such calls arrived"
            verdict.breach("untrue", what, run)
    for key, status in states.items():
        if status == "running":
            verdict.breach("untrue", f"{run.area} run {run.id} {run.status}, and says that {key!r} is running", run)


def _unknown(verdict: Verdict, evidence: Evidence, run: Run, key: str) -> None:
    calls = evidence.calls_of(run, key)
    if any(not call.was_answered for call in calls):
        verdict.unknown.append((run, "the other side gave no answer"))
        return
    rests = [row for row in run.transitions if row["became"] in ("held", *FINAL)]
    rest = next((row for row in reversed(rests) if row["became"] == "held"), rests[-1])
    at = max(i for i, claim in enumerate(run.claims) if claim.fence <= rest["fence"])
    # The step was begun under an earlier claim and found so by this one; or it began and ended under this one.
    begun = run.claims[at - 1] if at else run.claims[at]
    end = run.claims[at].at if at else rest["at"].timestamp()
    explain(verdict, evidence, run, f"step {key!r} is unknown", (begun.who, begun.at, end), verdict.unknown, "other")


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
    if is_once(step) and len(calls) > 1:
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
        explain(verdict, evidence, run, what, (who, first.at, second.at), verdict.repeated, "doubled")


def _feed(verdict: Verdict, run: Run, seen: list[int]) -> None:
    if seen != list(range(1, run.last_seq + 1)):
        verdict.breach(
            "gaps", f"the subscriber saw of {run.area} run {run.id}, which has {run.last_seq} lines: {seen}", run
        )
