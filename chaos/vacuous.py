"""What a play must have had for its verdict to mean anything: a load, harm, and somebody who looked."""

from collections import Counter
from collections.abc import Iterable, Mapping

from chaos.evidence import Evidence
from chaos.faults import OWN_PAUSE
from chaos.findings import Verdict
from chaos.load import Sender
from chaos.people import People
from chaos.plant import SHARES
from chaos.watcher import Watcher

CHANCES = 20
"""Attempts to cancel of which one at least must have been answered."""


def judge(
    verdict: Verdict,
    evidence: Evidence,
    sender: Sender,
    watcher: Watcher,
    people: People,
    planned: Mapping[str, int],
) -> None:
    """Add a finding for all that was missing. ``planned`` is how often each fault was to befall."""
    for what in _missing(evidence, sender, watcher, people, planned):
        verdict.breach("other", f"this play proves nothing: {what}")


def _missing(
    evidence: Evidence, sender: Sender, watcher: Watcher, people: People, planned: Mapping[str, int]
) -> Iterable[str]:
    if not sender.accepted:
        yield "no delivery was accepted"
    befell = Counter(i.fault for i in evidence.incidents if i.fault != OWN_PAUSE)
    if not befell:
        yield "nothing befell anybody"
    for fault, times in planned.items():
        if befell[fault] < times:
            yield f"{fault!r} befell {befell[fault]} times instead of {times}"
    ran = {run.area for run in evidence.runs.values()}
    for area in (*SHARES, "called"):
        if area not in ran:
            yield f"the AREA {area!r} had no run"
    if not evidence.calls:
        yield "no call arrived"
    if not any(watcher.seen.values()):
        yield "the subscriber saw no line"
    if len(people.cancelling) >= CHANCES and not people.cancelled:
        yield "no cancel was answered"
    if people.deciding and not evidence.decisions:
        yield "nobody decided anything"
