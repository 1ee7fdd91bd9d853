"""The platform under measurement: Postgres and Redis in a temporary directory, each role a process of its own."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from ipaddress import ip_network
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson
from pydantic import SecretStr

from area.app.embedded import Embedded, free_port
from area.app.processes import stop, tied_to_parent
from area.core.settings import Settings
from area.db.migrate import upgrade

SECRET_KEY = "only-for-benchmarks-only-for-benchmarks"
READY_SECONDS = 30.0
LOAD_SECONDS = 90.0


class Stack:
    """Starts and stops everything; a context manager. What is left running at its end is stopped."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="area-bench-"))
        self.directory.chmod(0o755)
        self._embedded = Embedded(self.directory)
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        try:
            self._embedded.start()
            port = free_port()
            self.url = f"http://127.0.0.1:{port}"
            self.settings = Settings(
                _env_file=None,
                database_url=SecretStr(self._embedded.database_url),
                redis_url=SecretStr(self._embedded.redis_url),
                secret_key=SecretStr(SECRET_KEY),
                public_url=self.url,
                port=port,
                egress_allow=[ip_network("127.0.0.0/8")],
            )
            upgrade(self._embedded.database_url)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop every process and remove the data."""
        while self._running:
            self.stop(self._running[-1])
        self._embedded.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def environment(self) -> dict[str, str]:
        """What a process of the platform is told."""
        settings = self.settings
        return {
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(Path(__file__).parents[1]),
            "AREA_DATABASE_URL": settings.database_url.get_secret_value(),
            "AREA_REDIS_URL": settings.redis_url.get_secret_value(),
            "AREA_SECRET_KEY": SECRET_KEY,
            "AREA_PUBLIC_URL": settings.public_url,
            "AREA_PORT": str(settings.port),
            "AREA_EGRESS_ALLOW": "127.0.0.0/8",
            "AREA_LOG_LEVEL": "ERROR",
        }

    def start(self, *words: str, **more: str) -> "subprocess.Popen[bytes]":
        """Start ``python -m words``, with ``more`` in its environment."""
        process = subprocess.Popen(
            [sys.executable, "-m", *words],
            cwd=self.directory,
            env=self.environment() | more,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=tied_to_parent(signal.SIGKILL),
        )
        self._running.append(process)
        return process

    def serve(self, module: str) -> str:
        """Start an HTTP server of the benchmark; its address."""
        port = free_port()
        self.start(module, str(port))
        url = f"http://127.0.0.1:{port}"
        wait_for(f"{url}/noted")
        return url

    def area(self, role: str) -> "subprocess.Popen[bytes]":
        """Start one role of the platform."""
        process = self.start("area.app.main", role)
        if role == "api":
            wait_for(f"{self.url}/readyz")
        return process

    def stop(self, process: "subprocess.Popen[bytes]") -> None:
        """Stop one process, politely first."""
        self._running.remove(process)
        stop(process, signal.SIGTERM, 15)

    @property
    def running(self) -> Sequence["subprocess.Popen[bytes]"]:
        """The processes that were started here and not stopped."""
        return self._running

    def load(self, module: str = "benchmarks.load", **asked: Any) -> dict[str, Any]:
        """Let a load generator do what is asked, in its own process; what it saw."""
        done = subprocess.run(
            [sys.executable, "-m", module],
            input=orjson.dumps(asked),
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[1],
            timeout=LOAD_SECONDS,
            check=True,
        )
        seen: dict[str, Any] = orjson.loads(done.stdout)
        return seen


def wait_for(url: str) -> None:
    """Until ``url`` answers 200. Raises: TimeoutError."""
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.05)
    raise TimeoutError(f"{url} did not answer within {READY_SECONDS:.0f} seconds.")


def cpu_seconds(process: "subprocess.Popen[bytes]") -> float:
    """What a process has used of the processors."""
    used = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(used[11]) + int(used[12])) / os.sysconf("SC_CLK_TCK")


def memory(process: "subprocess.Popen[bytes]", peak: bool = False) -> float:
    """Resident memory, in MB of a million bytes: now, or the most there ever was."""
    name = "VmHWM:" if peak else "VmRSS:"
    found = next(line for line in Path(f"/proc/{process.pid}/status").read_text().splitlines() if line.startswith(name))
    return int(found.split()[1]) * 1024 / 1e6
