"""A package of somebody else adds a service by an entry point, and nothing of ours is edited."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULE = '''
"""Pings."""

from pydantic import Field

from area.nodes import sdk

service = sdk.Service(key="pings", name="Pings", description="Answers pings.")


class Ping(sdk.Inputs):
    """What to say."""

    text: str = Field("ping", title="Text", description="What to say.", examples=["ping"])


class Pong(sdk.Outputs):
    """What came back."""

    text: str = Field(title="Text", description="What came back.", examples=["pong"])


@service.reaction("Ping", idempotent=True, pure=True)
async def ping(ctx: sdk.Context, given: Ping) -> Pong:
    """Pings."""
    return Pong(text=given.text)
'''


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """An installed package, as an installer leaves it in a folder of ``sys.path``."""
    (tmp_path / "area_pings").mkdir()
    (tmp_path / "area_pings" / "__init__.py").write_text(MODULE)
    about = tmp_path / "area_pings-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: area-pings\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[area.nodes]\npings = area_pings:service\n")
    return tmp_path


def services(package: Path) -> "subprocess.CompletedProcess[str]":
    environ = {**os.environ, "PYTHONPATH": f"{package}{os.pathsep}{ROOT}", "COLUMNS": "200"}
    command = [sys.executable, "-m", "area.app.cli", "services"]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)


def test_its_service_is_in_the_catalogue(package: Path) -> None:
    shown = services(package)
    assert shown.returncode == 0, shown.stderr
    assert "pings.ping" in shown.stdout
    assert "webhook.received" in shown.stdout


def test_an_entry_point_that_names_no_service_is_told(package: Path) -> None:
    (package / "area_pings-1.0.dist-info" / "entry_points.txt").write_text("[area.nodes]\npings = area_pings:Ping\n")
    shown = services(package)
    assert shown.returncode != 0
    assert "entry point pings = area_pings:Ping of area.nodes must name a sdk.Service" in shown.stderr


def test_it_cannot_take_a_key_that_is_taken(package: Path) -> None:
    (package / "area_pings" / "__init__.py").write_text(MODULE.replace('key="pings"', 'key="rss"'))
    shown = services(package)
    assert shown.returncode != 0
    assert "two services have the key 'rss'" in shown.stderr
