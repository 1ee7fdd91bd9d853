"""The steps of running the wheel's Postgres: its user, its data directory, what a dead supervisor left behind."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from area.app.processes import EmbeddedError, is_running_postgres

SERVER_USER = "nobody"
"""Whom Postgres runs as when we are root, which it refuses to be."""

SOCKET_PATH_LIMIT = 100
"""Longest path of a unix socket that every platform takes, in bytes."""

STOP_SECONDS = 15.0

OPTIONS = {
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "log_min_messages": "fatal",
}
CARELESS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def command(binaries: Path, data: Path, sockets: Path, *, durable: bool) -> list[str]:
    """The command line of the server; without ``durable`` a power cut may lose data."""
    words = [str(binaries / "postgres"), "-D", str(data), "-k", str(sockets)]
    for name, value in (OPTIONS if durable else OPTIONS | CARELESS).items():
        words += ["-c", f"{name}={value}"]
    return words


def server_user() -> int | None:
    """The user id to run as, or None for ours."""
    return pwd.getpwnam(SERVER_USER).pw_uid if os.geteuid() == 0 else None


def group_of(user: int | None) -> int | None:
    """The main group of ``user``."""
    return None if user is None else pwd.getpwuid(user).pw_gid


def require_passage(path: Path) -> None:
    """Raises: EmbeddedError when the server's user cannot reach ``path``."""
    for parent in path.parents:
        if not parent.stat().st_mode & 0o001:
            raise EmbeddedError(
                f"Postgres refuses to run as root and the user {SERVER_USER} cannot enter {parent}; run as another "
                "user, move this directory (for the data: AREA_DATA_DIR), or set AREA_DATABASE_URL."
            )


def give(path: Path, user: int) -> None:
    """Make ``path`` and what is in it the property of ``user``."""
    if path.stat().st_uid == user:
        return
    group = pwd.getpwuid(user).pw_gid
    for owned in (path, *path.rglob("*")):
        os.chown(owned, user, group, follow_symlinks=False)


def socket_directory(data_dir: Path) -> Path:
    """Where the server's socket goes: under ``data_dir``, or in the temporary directory where that path is too long."""
    wanted = data_dir / "run"
    if len(os.fsencode(wanted)) + len("/.s.PGSQL.5432.lock") > SOCKET_PATH_LIMIT:
        wanted = Path(tempfile.gettempdir()) / f"area-{os.getuid()}-{data_dir.stat().st_ino:x}"
    wanted.mkdir(mode=0o700, exist_ok=True)
    if wanted.is_symlink() or wanted.stat().st_uid not in (os.getuid(), server_user()):
        raise EmbeddedError(f"{wanted} belongs to somebody else; set AREA_DATA_DIR to a shorter path.")
    return wanted


def make_data(binaries: Path, data: Path, user: int | None) -> None:
    """Make the data directory, unless it is there. Raises: EmbeddedError."""
    if (data / "global" / "pg_control").exists():
        return
    for leftover in data.iterdir():  # an initdb that was cut off
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    words = [str(binaries / "initdb"), "-D", str(data), "-U", "area", "--auth=trust", "--encoding=UTF8", "--locale=C"]
    done = subprocess.run(  # noqa: S603 - words of our own
        words, capture_output=True, text=True, check=False, cwd="/", user=user, group=group_of(user)
    )
    if done.returncode:
        raise EmbeddedError(f"Postgres could not make its data directory {data}: {done.stderr.strip()[-300:]}")


def clear_stale(data: Path, sockets: Path) -> None:
    """Remove what a supervisor that died left; call it while holding the directory's lock. Raises: EmbeddedError."""
    note = data / "postmaster.pid"
    if note.exists():
        first = note.read_text().partition("\n")[0].strip()
        if first.isdigit() and is_running_postgres(int(first), data):
            os.kill(int(first), signal.SIGINT)
            deadline = time.monotonic() + STOP_SECONDS
            while is_running_postgres(int(first), data):
                if time.monotonic() > deadline:
                    raise EmbeddedError(f"An older Postgres on {data} does not stop; end process {first} by hand.")
                time.sleep(0.05)
        note.unlink(missing_ok=True)
    for leftover in sockets.glob(".s.PGSQL.*"):
        leftover.unlink(missing_ok=True)


def is_ready(binaries: Path, sockets: Path) -> bool:
    """Whether the server takes connections."""
    words = [str(binaries / "pg_isready"), "-q", "-h", str(sockets), "-d", "postgres", "-U", "area"]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0  # noqa: S603 - words of our own


def make_database(binaries: Path, sockets: Path) -> None:
    """Make the database ``area``, unless it is there. Raises: EmbeddedError."""
    words = [str(binaries / "createdb"), "-h", str(sockets), "-U", "area", "-w", "area"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603 - words of our own
    if done.returncode and "already exists" not in done.stderr:
        raise EmbeddedError(f"The database could not be made: {done.stderr.strip()[-300:]}")
