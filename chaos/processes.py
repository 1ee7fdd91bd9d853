"""Processes that the nursery starts for us."""

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from area.app.processes import stop, tied_to_parent

ANSWER_SECONDS = 60.0
"""Longest wait for a start, in seconds; the first one waits for the nursery's imports."""


class Nursery:
    """The process that forks the others. One thread may start them while others ask after them."""

    def __init__(self, directory: Path) -> None:
        self._log = (directory / "nursery.log").open("ab")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "chaos.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[1])},
            start_new_session=True,
            preexec_fn=tied_to_parent(signal.SIGKILL),
        )
        self._lock = threading.Lock()
        self._rest = b""
        self._pids: list[int] = []
        self._codes: dict[int, int] = {}

    def start(self, role: str, environ: Mapping[str, str], directory: Path, log: Path, clock: Path) -> "Child":
        """Start one process. Raises: RuntimeError when the nursery does not answer."""
        given = {
            "role": role,
            "environ": dict(environ),
            "directory": str(directory),
            "log": str(log),
            "clock": str(clock),
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(given).encode() + b"\n")
        self._process.stdin.flush()
        deadline = time.monotonic() + ANSWER_SECONDS
        while not self._pids:
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError(f"No process could be started; {self._log.name} says why.")
            self._listen(0.01)
        return Child(self, self._pids.pop())

    def code_of(self, pid: int) -> int | None:
        """With what a child ended; None while it runs."""
        self._listen(0)
        return self._codes.get(pid)

    def _listen(self, seconds: float) -> None:
        with self._lock:
            self._hear(seconds)

    def _hear(self, seconds: float) -> None:
        assert self._process.stdout is not None
        file = self._process.stdout.fileno()
        while select.select([file], [], [], seconds)[0]:
            data = os.read(file, 1 << 16)
            if not data:
                return
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                told = json.loads(line)
                if "pid" in told:
                    self._pids.append(told["pid"])
                else:
                    self._codes[told["ended"]] = told["code"]
            seconds = 0

    def close(self) -> None:
        """End it, and with it whoever is left."""
        stop(self._process, signal.SIGKILL, 5)
        for stream in (self._process.stdin, self._process.stdout, self._log):
            if stream is not None:
                stream.close()


class Child:
    """One process."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self.pid = pid
        self._nursery = nursery

    @property
    def code(self) -> int | None:
        """With what it ended, a signal as its negative; None while it runs."""
        return self._nursery.code_of(self.pid)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it runs."""
        if self.code is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)
