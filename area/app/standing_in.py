"""The providers' stand-ins beside `area dev`: they live with the tests, so they are there in a checkout only."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from area.app.processes import EmbeddedError, stop, tied_to_parent

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class World:
    """Where they are: the page that shows them, and the settings that point services at them."""

    page: str
    environment: dict[str, str]


@contextmanager
def standing_in() -> Iterator[World]:
    """Run them. Raises: EmbeddedError where there are none, or they do not start."""
    if not (ROOT / "tests" / "providers" / "__main__.py").exists():
        raise EmbeddedError(
            "The stand-ins come with the repository's tests: run this in a checkout, with `make dev` set up there."
        )
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.providers"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=tied_to_parent(signal.SIGKILL),
    )
    try:
        line = process.stdout.readline() if process.stdout else b""
        if not line:
            raise EmbeddedError("The stand-ins do not start; the lines above say why.")
        told = json.loads(line)
        yield World(told["page"], told["environment"])
    finally:
        stop(process, signal.SIGTERM, 5)
        if process.stdout:
            process.stdout.close()
