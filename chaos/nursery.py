"""``python -m chaos.nursery``: starts the platform's processes by forking, everything imported beforehand.

A process started by its command spends seconds of a core on imports; a play starts a hundred of them beside its load. What runs
in a child is the command ``area ROLE`` and nothing else, with a clock that the play can step: the file it is given holds one
number, the seconds by which the child believes it is later than it is. Only the wall clock is stepped, as by a time service that
finds it wrong; the monotonic one runs on, as it does then.

Reads requests as JSON lines, answers each with ``{"pid": …}``, and tells of every end by ``{"ended": pid, "code": …}``.
"""

import json
import mmap
import os
import select
import signal
import struct
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from area.core import clock

AHEAD = struct.Struct("d")


class Stepped:
    """The platform's clock, as far ahead of the machine's as a file says."""

    def __init__(self) -> None:
        self._shared: mmap.mmap | None = None

    def follow(self, path: Path) -> None:
        """Be stepped from now on."""
        with path.open("r+b") as file:
            self._shared = mmap.mmap(file.fileno(), AHEAD.size)

    def now(self) -> datetime:
        """The present moment, as this process believes."""
        ahead = AHEAD.unpack(self._shared)[0] if self._shared is not None else 0.0
        return datetime.now(UTC) + timedelta(seconds=ahead)


def _child(given: dict[str, Any], stepped: Stepped, area: Callable[[], None]) -> NoReturn:
    """Become the process. Never returns."""
    code = 1
    try:
        os.setsid()
        for number in (signal.SIGCHLD, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        output = os.open(given["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for new, old in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(new, old)
        os.chdir(given["directory"])
        os.environ.clear()
        os.environ.update(given["environ"])
        stepped.follow(Path(given["clock"]))
        sys.argv = ["area", given["role"]]
        area()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1 if end.code else 0
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _tell(message: dict[str, int]) -> None:
    os.write(1, json.dumps(message).encode() + b"\n")


def _reap() -> None:
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            _tell({"ended": pid, "code": os.waitstatus_to_exitcode(status)})


def main() -> None:
    """Serve until the input ends; then end every child."""
    stepped = Stepped()
    clock.now = stepped.now
    # After the clock was replaced: modules keep the function that they find.
    from area.app.main import ROLES
    from area.app.main import main as area
    from area.app.processes import tied_to_parent

    for place in ROLES.values():
        import_module(place.partition(":")[0])

    hears, says = os.pipe()
    os.set_blocking(says, False)
    os.set_blocking(hears, False)
    signal.set_wakeup_fd(says, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests = os.fdopen(0, "rb", buffering=0, closefd=False)  # unbuffered, or `select` would not see what is left
    while True:
        ready, _, _ = select.select([0, hears], [], [])
        if hears in ready:
            with suppress(BlockingIOError):
                os.read(hears, 4096)
            _reap()
        if 0 in ready:
            line = requests.readline()
            if not line:
                break
            tie = tied_to_parent(signal.SIGKILL)
            pid = os.fork()
            if pid == 0:
                if tie is not None:
                    tie()
                _child(json.loads(line), stepped, area)
            _tell({"pid": pid})


if __name__ == "__main__":
    main()
