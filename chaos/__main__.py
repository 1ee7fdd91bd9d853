"""``make chaos``: the full run, ten to twenty minutes; ``--quick`` for one to two. Exits 1 when the bar is not met."""

import argparse
import asyncio
import random
import sys
from pathlib import Path

import uvloop
from rich.console import Console

from area.core import log
from chaos import report
from chaos.faults import KINDS
from chaos.play import Plan, play

FULL_PAUSES = {
    "processes": (3.0, 11.0),
    "redis": (4.0, 12.0),
    "postgres": (8.0, 30.0),
    "time": (10.0, 40.0),
    "outside": (20.0, 60.0),
}
QUICK_PAUSES = {
    "processes": (3.0, 7.0),
    "redis": (2.0, 6.0),
    "postgres": (4.0, 10.0),
    "time": (2.0, 6.0),
    "outside": (1.0, 5.0),
}


def parse(words: list[str] | None = None) -> Plan:
    """The command line as a plan. Raises: SystemExit, after it has said what was wrong."""
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few of most faults, in one to two minutes")
    parser.add_argument("--seed", type=int, default=None, help="which random moments; printed, to be given again")
    parser.add_argument("--rate", type=float, default=25.0, help="deliveries a second")
    parser.add_argument(
        "--pause", type=float, default=1.0, metavar="FACTOR", help="times the pauses between the faults"
    )
    parser.add_argument("--only", metavar="WORDS", help="only the faults whose name has these words")
    parser.add_argument(
        "--times", metavar="N", type=int, help="how often each fault befalls, instead of its own number"
    )
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table here too")
    given = parser.parse_args(words)
    counts = {kind.name: kind.quick if given.quick else kind.full for kind in KINDS}
    if given.only is not None:
        counts = {name: max(count, 1) for name, count in counts.items() if given.only.lower() in name.lower()}
        if not counts:
            names = "".join(f"\n  {kind.name}" for kind in KINDS)
            parser.error(f"argument --only: no fault's name has the words {given.only!r}; they are:{names}")
    if given.times is not None:
        counts = dict.fromkeys(counts, given.times)
    for name, value in (("--times", given.times), ("--rate", given.rate), ("--pause", given.pause)):
        if value is not None and value <= 0:
            parser.error(f"argument {name}: {value:g} would prove nothing; give more than 0")
    pauses = {
        lane: (shortest * given.pause, longest * given.pause)
        for lane, (shortest, longest) in (QUICK_PAUSES if given.quick else FULL_PAUSES).items()
    }
    return Plan(
        random.randrange(1 << 32) if given.seed is None else given.seed,
        given.rate,
        counts,
        pauses,
        outage_seconds=12.0 if given.quick else 30.0,
        mood_seconds=5.0 if given.quick else 10.0,
        markdown=given.markdown,
    )


def main() -> None:
    """Play and print."""
    plan = parse()
    console = Console(highlight=False, width=190 if not sys.stdout.isatty() else None)
    log.configure("ERROR", json=False)
    console.print(f"Seed {plan.seed}: {sum(plan.counts.values())} faults, {plan.rate:g} deliveries a second.")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        outcome = runner.run(play(plan))
    report.show(outcome, console)
    if plan.markdown:
        plan.markdown.write_text(report.markdown(outcome) + "\n")
    raise SystemExit(bool(outcome.verdict.findings))


if __name__ == "__main__":
    main()
