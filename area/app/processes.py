"""Child processes that end with us: on Linux even when we are killed and can no longer ask them to."""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from area.core.errors import CommandError

PR_SET_PDEATHSIG = 1


class EmbeddedError(CommandError):
    """A process of `area dev` could not be started; the message is one sentence with the way out."""


_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def tied_to_parent(last_signal: signal.Signals) -> Callable[[], None] | None:
    """A ``preexec_fn`` by which the kernel sends ``last_signal`` when the parent dies. None where there is no such thing.

    The tie is to the thread that starts the process, so start processes from the main thread.
    """
    if _libc is None:
        return None
    libc, parent = _libc, os.getpid()

    def tie() -> None:
        libc.prctl(PR_SET_PDEATHSIG, int(last_signal), 0, 0, 0)
        if os.getppid() != parent:  # died between fork and the line above
            os.kill(os.getpid(), signal.SIGKILL)

    return tie


def stop(process: "subprocess.Popen[bytes]", polite: signal.Signals, seconds: float) -> None:
    """Ask ``process`` to end, wait ``seconds``, then end it and its group."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            process.send_signal(polite)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.kill()
            process.wait()


def is_running_postgres(pid: int, data: Path) -> bool:
    """Whether ``pid`` is a Postgres on the data directory ``data``, and not a stranger that got its number."""
    proc = Path(f"/proc/{pid}/cmdline")
    if Path("/proc/self").exists():
        try:
            words = proc.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            return False
    else:
        shown = subprocess.run(["ps", "-p", str(pid), "-o", "args="], capture_output=True, text=True, check=False)  # noqa: S603, S607
        words = shown.stdout.split()
    return any("postgres" in word for word in words[:1]) and str(data) in words
