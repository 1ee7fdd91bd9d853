"""The command line: expected failures are sentences."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest

from area.app import main


def area(directory: Path, *words: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    """Run ``area`` in an empty directory, with no AREA_ variable but those given."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AREA_")}
    command = [sys.executable, "-m", "area.app.main", *words]
    return subprocess.run(
        command, cwd=directory, env=clean | environ, capture_output=True, text=True, timeout=60, check=False
    )


def test_missing_settings_are_named(tmp_path: Path) -> None:
    done = area(tmp_path, "api", AREA_DATABASE_URL="postgresql://localhost/x")

    assert done.returncode == 2
    assert "AREA_REDIS_URL is not set." in done.stderr
    assert "AREA_SECRET_KEY is not set." in done.stderr
    assert "AREA_DATABASE_URL" not in done.stderr
    assert "Traceback" not in done.stderr


def test_dev_says_which_port_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = area(tmp_path, "dev", "--port", str(port))

    assert done.returncode == 1
    assert f"Port {port} is in use by another program" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_unreachable_database_is_one_sentence(tmp_path: Path) -> None:
    done = area(
        tmp_path,
        "migrate",
        AREA_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none",
        AREA_REDIS_URL="redis://127.0.0.1:1",
        AREA_SECRET_KEY="x" * 32,
    )

    assert done.returncode == 1
    assert "A server is out of reach" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.CannotConnectNowError("the database system is starting up"),
        asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
        asyncpg.AdminShutdownError("terminating connection due to administrator command"),
        asyncpg.InterfaceError("connection is closed"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_database_that_goes_while_a_process_begins_is_one_sentence(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def begin(_role: str) -> None:
        raise error

    monkeypatch.setattr(main, "serve", begin)
    monkeypatch.setattr("sys.argv", ["area", "scheduler"])

    with pytest.raises(SystemExit) as ended:
        main.main()

    assert ended.value.code == 1
    told = capsys.readouterr().err.strip()
    assert told == f"A server is out of reach: {error}. `area doctor` says which, and what to do."


def test_services_lists_the_catalogue(tmp_path: Path) -> None:
    done = area(tmp_path, "services", COLUMNS="200")

    assert done.returncode == 0
    assert "webhook.received" in done.stdout
    assert "http.request" in done.stdout


def test_doctor_names_what_to_mend(tmp_path: Path) -> None:
    done = area(tmp_path, "doctor")

    assert done.returncode == 1
    assert "AREA_DATABASE_URL is not set." in done.stdout
