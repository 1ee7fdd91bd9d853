"""``make chaos``: the full run, ten to twenty minutes; ``--quick`` for a minute and a half. Exits 1 when the bar is not met."""

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


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few of most faults, in about a minute and a half")
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
    return parser.parse_args()


def main() -> None:
    """Play and print."""
    given = parse()
    counts = {kind.name: kind.quick if given.quick else kind.full for kind in KINDS}
    if given.only:
        counts = {name: max(count, 1) for name, count in counts.items() if given.only.lower() in name.lower()}
    if given.times is not None:
        counts = dict.fromkeys(counts, given.times)
    pauses = {
        lane: (shortest * given.pause, longest * given.pause)
        for lane, (shortest, longest) in (QUICK_PAUSES if given.quick else FULL_PAUSES).items()
    }
    seed = random.randrange(1 << 32) if given.seed is None else given.seed
    plan = Plan(
        seed,
        given.rate,
        counts,
        pauses,
        outage_seconds=12.0 if given.quick else 30.0,
        mood_seconds=5.0 if given.quick else 10.0,
    )
    console = Console(highlight=False, width=190 if not sys.stdout.isatty() else None)
    log.configure("ERROR", json=False)
    console.print(f"Seed {seed}: {sum(counts.values())} faults, {given.rate:g} deliveries a second.")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        outcome = runner.run(play(plan))
    report.show(outcome, console)
    if given.markdown:
        given.markdown.write_text(report.markdown(outcome) + "\n")
    raise SystemExit(bool(outcome.verdict.findings))


if __name__ == "__main__":
    main()
