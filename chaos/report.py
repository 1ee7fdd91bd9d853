"""The table."""

import importlib.metadata
import os
import platform
from collections import Counter
from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table

from chaos.faults import KINDS as FAULTS
from chaos.faults import OWN_PAUSE, Incident
from chaos.findings import FINAL, KINDS, Finding
from chaos.play import Outcome
from chaos.promises import STEPS

AFTERMATH = 10.0
"""Seconds after a fault that are counted to it."""
SHOWN = 20
"""Findings printed in full."""
HEADINGS = [
    "events",
    "runs",
    "lost",
    "stuck",
    "doubled",
    "log gaps",
    "changed ends",
    "untrue",
    "other",
    "unknown",
    "same key again",
]


def row(outcome: Outcome, incidents: list[Incident]) -> list[str]:
    """The figures for what was under way during ``incidents``."""
    windows = [(i.begin - 0.5, i.end + AFTERMATH) for i in incidents]

    def inside(begin: float, end: float) -> bool:
        return any(begin <= close and end >= open_ for open_, close in windows)

    runs = {run.id for run in outcome.evidence.runs.values() if inside(run.begin, run.end)}
    events = sum(inside(at, at) for at in outcome.sender.accepted.values())
    found = Counter(f.kind for f in outcome.verdict.findings if f.run is not None and f.run.id in runs)
    unknown = sum(run.id in runs for run, _ in outcome.verdict.unknown)
    repeated = sum(run.id in runs for run, _ in outcome.verdict.repeated)
    return [f"{n:,}" for n in (events, len(runs), *(found[kind] for kind in KINDS), unknown, repeated)]


def total(outcome: Outcome) -> list[str]:
    """The figures for everything."""
    found = Counter(finding.kind for finding in outcome.verdict.findings)
    verdict = outcome.verdict
    counts = (
        len(outcome.sender.accepted),
        len(outcome.evidence.runs),
        *(found[kind] for kind in KINDS),
        len(verdict.unknown),
        len(verdict.repeated),
    )
    return [f"{n:,}" for n in counts]


def rows(outcome: Outcome) -> list[list[str]]:
    """The whole table, totals last."""
    table = []
    for kind in FAULTS:
        # A deploy is one incident, and one more for each process that it ended.
        incidents = [i for i in outcome.evidence.incidents if i.fault == kind.name]
        times = sum(i.whom is None for i in incidents) if kind.name.startswith("deploy") else len(incidents)
        if times:
            table.append([kind.name, str(times), *row(outcome, incidents)])
    return [*table, ["all of it", str(sum(int(r[1]) for r in table)), *total(outcome)]]


def notes(outcome: Outcome) -> list[str]:
    """What the table does not say."""
    sender, watcher, cast, people = outcome.sender, outcome.watcher, outcome.cast, outcome.people
    statuses = Counter(run.status for run in outcome.evidence.runs.values())
    answers = ", ".join(f"{count:,} x {answer}" for answer, count in sender.answers.most_common())
    last = max(outcome.evidence.runs.values(), key=lambda run: run.end if run.status in FINAL else 0.0, default=None)
    pauses = [i.end - i.begin for i in outcome.evidence.incidents if i.fault == OWN_PAUSE]
    lines = [
        f"Runs: {', '.join(f'{count:,} {status}' for status, count in statuses.most_common())}.",
        f"Deliveries: {answers}; {sender.sent_more_than_once:,} sent more than once; slowest answer {sender.slowest:.1f} s.",
        f"Calls that arrived: {len(outcome.evidence.calls):,} keys, {sum(map(len, outcome.evidence.calls.values())):,} calls.",
        f"Subscriber: {sum(map(len, watcher.seen.values())):,} lines over {watcher.connections} connections.",
        f"People: {len(people.cancelling):,} cancels asked for, {len(people.cancelled):,} answered; "
        f"{len(outcome.evidence.decisions):,} decisions.",
        f"Runs taken from workers that stood still past their lease: {', '.join(map(str, outcome.stops)) or 'none stood still'}.",
        f"Fence: {', '.join(f'{count} {what}' for what, count in outcome.counted.items())}.",
        f"Processes that could not start because Postgres was away, and were started again: {len(cast.self_ended)}.",
        f"The play itself got no time for more than a second: {len(pauses)} times, for {sum(pauses):.1f} s together.",
        f"All runs at rest {outcome.settled_in:.0f} s after the last fault"
        + (
            f"; the last to end was of {last.area!r}, {last.end - outcome.evidence.over:.0f} s after it."
            if last
            else "."
        ),
    ]
    return lines + [f"{count} x {why}" for why, count in outcome.verdict.explained().most_common()]


def conditions(outcome: Outcome) -> str:
    """When, on what, and what was asked for."""
    parts = [f"{name} {value}" for name, value in outcome.versions.items()]
    parts += [f"{name} {importlib.metadata.version(name)}" for name in ("asyncpg", "redis", "saq", "aiohttp")]
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} CPUs, {platform.system()}, Python {platform.python_version()}, "
        f"{', '.join(parts)}; seed {outcome.plan.seed}, {outcome.plan.rate:g} deliveries a second, {outcome.seconds:.0f} s"
    )


def show(outcome: Outcome, console: Console) -> None:
    """Print it all."""
    table = Table("Fault", "times", *HEADINGS, title=conditions(outcome), title_justify="left", title_style="")
    for line in rows(outcome):
        table.add_row(*line, end_section=line[0] == "all of it")
    console.print(table)
    for note in notes(outcome):
        console.print(note, markup=False)
    for finding in outcome.verdict.findings[:SHOWN]:
        console.print(f"BREACH {told(finding)}", style="red", markup=False, soft_wrap=True)
        for told_line in story(outcome, finding):
            console.print(f"  {told_line}", markup=False, soft_wrap=True)
    if len(outcome.verdict.findings) > SHOWN:
        console.print(f"… and {len(outcome.verdict.findings) - SHOWN} more", style="red")
    console.print("The bar was met." if not outcome.verdict.findings else "The bar was NOT met.")


def story(outcome: Outcome, finding: Finding) -> list[str]:
    """All that is known of the run that a finding is about: its log, who had it when, its calls."""
    run = finding.run
    if run is None:
        return []
    lines = list(outcome.stories.get(run.id, []))
    for row in run.transitions:
        lines.append(f"{row['at']:%H:%M:%S.%f} {row['who']}: {row['was']} -> {row['became']}, fence {row['fence']}")
    for step in STEPS[run.area]:
        for call in outcome.evidence.calls_of(run, step):
            lines.append(
                f"{datetime.fromtimestamp(call.at, UTC):%H:%M:%S.%f} call {step!r} arrived, answered {call.mood!r}"
            )
    return lines


def told(finding: Finding) -> str:
    """One finding in words."""
    return f"{finding.kind}: {finding.what}"


def markdown(outcome: Outcome) -> str:
    """The same, for docs."""
    head = ["Fault", "times", *HEADINGS]
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    lines += ["| " + " | ".join(line) + " |" for line in rows(outcome)]
    return "\n".join([conditions(outcome), "", *lines, "", *(f"- {note}" for note in notes(outcome))])
