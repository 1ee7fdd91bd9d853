"""``area new-service``: what it writes works as it is, in a copy of the repository, and nothing is ever overwritten."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from area.app.embedded import Embedded
from area.app.scaffold import ScaffoldError, scaffold

ROOT = Path(__file__).parents[2]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A copy of the code, its pages and its tests."""
    for name in ("area", "docs", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def run(repository: Path, *words: str, **environ: str) -> str:
    """Run a Python module there; its output, and the test fails when it does."""
    given = {**os.environ, "PYTHONPATH": str(repository), "PYTHONDONTWRITEBYTECODE": "1", **environ}
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=repository,
        env=given,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_a_new_service_conforms_and_its_tests_pass_at_once(repository: Path, servers: Embedded) -> None:
    said = run(repository, "area.app.cli", "new-service", "ship_yard", COLUMNS="200")
    made = ["area/nodes/ship_yard.py", "tests/providers/ship_yard.py", "tests/nodes/test_ship_yard.py"]
    assert [line for line in said.splitlines() if line.startswith("Made ")] == [f"Made {path}" for path in made]
    run(repository, "ruff", "check", "--no-cache", *made)
    run(repository, "ruff", "format", "--no-cache", "--check", *made)
    here = {"AREA_TEST_DATABASE_URL": servers.database_url, "AREA_TEST_REDIS_URL": servers.redis_url}
    options = ("-q", "-p", "no:cacheprovider", "-k", "ship_yard")
    told = run(repository, "pytest", "tests/nodes", *options, AREA_UPDATE_CATALOGUE="1", **here)
    assert " passed" in told
    assert "failed" not in told
    assert (repository / "tests/nodes/grades/ship_yard.json").read_text().startswith('{\n  "grade": "silver"')
    assert "ship_yard.create_item" in run(repository, "area.app.cli", "services", COLUMNS="200")


def test_nothing_is_overwritten(repository: Path) -> None:
    theirs = repository / "tests/nodes/test_parcel.py"
    theirs.write_text("# theirs")
    with pytest.raises(ScaffoldError, match=r"tests/nodes/test_parcel\.py is there already"):
        scaffold("parcel", repository)
    assert theirs.read_text() == "# theirs"
    assert not (repository / "area/nodes/parcel.py").exists()
    with pytest.raises(ScaffoldError, match=r"area/nodes/twitch is there already"):
        scaffold("twitch", repository)


@pytest.mark.parametrize("name", ["Parcel", "9lives", "a-b", "class", "", "../x", "a__b"])
def test_names_that_are_none_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ScaffoldError, match="is no name for a service"):
        scaffold(name, tmp_path)


def test_it_is_run_in_a_checkout(tmp_path: Path) -> None:
    with pytest.raises(ScaffoldError, match="top of AREA's repository"):
        scaffold("parcel", tmp_path)
