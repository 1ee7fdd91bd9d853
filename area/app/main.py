"""The door of the command ``area``: a long-lived process starts without what only the other commands need."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

import asyncpg

from area.core import log
from area.core.errors import CommandError
from area.core.settings import SettingsError, load_settings
from area.core.tracing import tracing
from area.workers.lifecycle import run

ROLES = {
    "api": "area.app.serve:api",
    "worker": "area.workers.worker:run_worker",
    "scheduler": "area.workers.scheduler:run_scheduler",
}
OUT_OF_REACH = (
    ConnectionError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InvalidPasswordError,
)
"""What a command ends with when a server is away, or goes while the command begins."""


def serve(role: str) -> None:
    """Be a process of this role until it is told to stop.

    Raises: SettingsError, CommandError, OSError or asyncpg's errors at its start.
    """
    settings = load_settings()
    log.configure(settings.log_level, json=settings.log_json)
    if settings.otel_endpoint:
        tracing.start(role, settings.otel_endpoint, settings.otel_ratio)
    module, _, name = ROLES[role].partition(":")
    try:
        run(getattr(import_module(module), name)(settings))
    finally:
        tracing.stop()


def main() -> None:
    """Entry point."""
    with sentences():
        if len(sys.argv) == 2 and sys.argv[1] in ROLES:
            serve(sys.argv[1])
        else:
            import_module("area.app.cli").cli()


@contextmanager
def sentences() -> Iterator[None]:
    """Expected failures of what is done inside end the process with a sentence, not a traceback."""
    try:
        yield
    except SettingsError as error:
        fail(str(error), 2)
    except CommandError as error:
        fail(str(error))
    except OUT_OF_REACH as error:
        why = str(error).partition("\n")[0] or type(error).__name__
        fail(f"A server is out of reach: {why}. `area doctor` says which, and what to do.")
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def fail(message: str, code: int = 1) -> None:
    """Say why, in red on a terminal, and end."""
    sys.stderr.write(f"\x1b[31m{message}\x1b[0m\n" if sys.stderr.isatty() else f"{message}\n")
    raise SystemExit(code)


if __name__ == "__main__":
    main()
