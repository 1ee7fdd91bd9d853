"""``python -m benchmarks.run``: measures the platform on this machine, a naive baseline beside it, and prints one table.

Loopback only, bounded, ends alone. ``--rounds 1 --history 0`` is a quick look, ``--only intake`` one measurement.
"""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from benchmarks.bench import Bench, Figure, conditions, naive_sink
from benchmarks.fixtures import plant
from benchmarks.profile import profile
from benchmarks.stack import Stack

ORDER = ("rest", "intake", "calls", "computed", "slow", "latency", "webhooks", "polled")
AGAIN = ORDER[1:]
"""What is measured once more over a history."""


def median(figures: list[Figure]) -> Figure:
    """The middle of the rounds, value by value."""
    return {name: statistics.median(figure[name] for figure in figures if name in figure) for name in figures[0]}


def shown(value: float) -> str:
    """A number as a reader wants it."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def table(results: dict[str, list[Figure]], title: str) -> Table:
    """Medians, spreads and ratios."""
    made = Table(
        "Measured", "Median", "Lowest to highest", "Naive", "Ratio", title=title, title_justify="left", title_style=""
    )
    for rounds in results.values():
        middle = median(rounds)
        for name, value in middle.items():
            if name.startswith("naive: "):
                continue
            values = [figure[name] for figure in rounds if name in figure]
            naive = middle.get(f"naive: {name}")
            ratio = (value / naive if "(/s)" in name else naive / value) if naive and value else None
            made.add_row(
                name,
                shown(value),
                f"{shown(min(values))} to {shown(max(values))}" if len(values) > 1 else "",
                shown(naive) if naive else "",
                f"{ratio:.1f} x" if ratio else "",
            )
    return made


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured; the median is told")
    parser.add_argument("--history", type=int, default=1_000_000, help="finished runs in the last part; 0: none")
    parser.add_argument("--only", choices=ORDER, action="append", help="measure only this; may be given again")
    parser.add_argument("--profile", action="store_true", help="only sample a worker in a burst, with py-spy")
    asked = parser.parse_args()
    console = Console(highlight=False, width=150)
    began = time.monotonic()
    with Stack() as stack:
        sink = stack.serve("benchmarks.servers")
        account = asyncio.run(plant(stack.settings, sink))
        bench = Bench(stack, account, sink)
        if asked.profile:
            console.print(profile(bench), markup=False)
            return
        results: dict[str, list[Figure]] = {}

        def measure(names: tuple[str, ...], suffix: str = "") -> None:
            for name in names:
                if asked.only and name not in asked.only:
                    continue
                what: Callable[[], Figure] = getattr(bench, name)
                for at in range(asked.rounds):
                    figure = what()
                    told = ", ".join(f"{key} {shown(value)}" for key, value in figure.items())
                    sys.stderr.write(f"[{time.monotonic() - began:4.0f} s] {name}{suffix} {at + 1}: {told}\n")
                    results.setdefault(f"{name}{suffix}", []).append(
                        {f"{key}{suffix}": value for key, value in figure.items()}
                    )

        measure(ORDER)
        title = conditions(bench)
        if asked.history:
            bench.fill(asked.history)
            bench.with_naive = False
            measure(AGAIN, f", over {asked.history:,} finished runs")
        console.print(table(results, title))
    console.print(f"{(time.monotonic() - began) / 60:.0f} minutes. Naive: {naive_sink.__doc__}", style="dim")


if __name__ == "__main__":
    main()
