"""Where a worker's time goes, by py-spy: by function, and by what of the engine asked for it."""

import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from benchmarks.bench import Bench

SECONDS = 10
BURST = 15_000


def profile(bench: Bench) -> str:
    """A table of shares, of a worker in a burst of runs with 2 HTTP reactions."""
    api = bench.stack.area("api")
    bench.flood(bench.account.areas["calls"].hook_url, 90, BURST)
    bench.stack.stop(api)
    worker = bench.stack.area("worker")
    time.sleep(2)  # past its start
    with tempfile.NamedTemporaryFile() as found:
        spy = str(Path(sys.executable).with_name("py-spy"))
        words = [
            "record",
            "-d",
            str(SECONDS),
            "-r",
            "200",
            "-f",
            "raw",
            "--function",
            "-o",
            found.name,
            "--pid",
            str(worker.pid),
        ]
        subprocess.run([spy, *words], check=True, capture_output=True)
        lines = Path(found.name).read_text().splitlines()
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    for line in lines:
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        own[frames[-1]] += int(count)
        whole.update(dict.fromkeys(frames, int(count)))
    total = sum(own.values()) or 1
    parts = [
        "Share of busy samples, with all that it calls:",
        *(f"{count / total:6.1%}  {frame}" for frame, count in whole.most_common(60) if "(area/" in frame),
        "By the function's own time:",
        *(f"{count / total:6.1%}  {frame}" for frame, count in own.most_common(15)),
    ]
    return "\n".join(parts)
