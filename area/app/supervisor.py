"""Keeps a few of our own processes running: starts them again when they crash, stops them in order."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass

from area.app.processes import stop, tied_to_parent
from area.core import log

logger = log.get(__name__)

BACKOFF = (0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds before each new start after a crash; the last one repeats."""
STEADY_SECONDS = 30.0
"""After running this long a process is healthy, and its next crash counts as its first."""
STOP_SECONDS = 12.0


@dataclass
class Child:
    """One of our processes: ``area <command>`` in a process group of its own."""

    command: str
    process: "subprocess.Popen[bytes] | None" = None
    crashes: int = 0
    started_at: float = 0.0
    start_at: float = 0.0

    def start(self, environ: Mapping[str, str]) -> None:
        """Start it."""
        self.started_at = time.monotonic()
        self.process = subprocess.Popen(  # noqa: S603 - words of our own
            [sys.executable, "-m", "area.app.main", self.command],
            stdin=subprocess.DEVNULL,
            env=dict(environ),
            start_new_session=True,
            # At our sudden end there is no Postgres either, so nothing is left to finish politely.
            preexec_fn=tied_to_parent(signal.SIGKILL),
        )


class Supervisor:
    """Runs ``commands``; they stop in the order given."""

    def __init__(self, commands: list[str], environ: Mapping[str, str]) -> None:
        self.children = [Child(command) for command in commands]
        self._environ = {**os.environ, **environ}

    def tick(self) -> None:
        """Look at each process once: note who crashed, start whose time has come."""
        moment = time.monotonic()
        for child in self.children:
            if child.process is not None and child.process.poll() is not None:
                if moment - child.started_at > STEADY_SECONDS:
                    child.crashes = 0
                wait = BACKOFF[min(child.crashes, len(BACKOFF) - 1)]
                logger.warning("dev.crashed", process=child.command, code=child.process.returncode, again_in=wait)
                child.crashes += 1
                child.process, child.start_at = None, moment + wait
            if child.process is None and moment >= child.start_at:
                child.start(self._environ)

    def crashes(self, command: str) -> int:
        """How often ``command`` has crashed in a row."""
        return next(child.crashes for child in self.children if child.command == command)

    def close(self) -> None:
        """Stop every process, politely first."""
        for child in self.children:
            if child.process is not None:
                stop(child.process, signal.SIGTERM, STOP_SECONDS)
