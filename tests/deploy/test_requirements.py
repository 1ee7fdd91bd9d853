"""The locked requirements: what pyproject.toml names is pinned once, by hash, from no particular place."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def pinned(name: str) -> dict[str, str]:
    """The block of each package in a file of requirements."""
    blocks = re.split(r"^(?=\S)", (ROOT / name).read_text(), flags=re.MULTILINE)
    return {plain(block.partition("==")[0]): block for block in blocks if block.strip()}


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.strip().lower())


def named(requirements: list[str]) -> set[str]:
    return {plain(re.split(r"[\[<>=;~! ]", requirement)[0]) for requirement in requirements} - {"area"}


RUNNING, DEVELOPING = pinned("requirements.txt"), pinned("requirements-dev.txt")


def test_what_the_platform_needs_is_pinned_for_it() -> None:
    assert named(PROJECT["dependencies"]) - set(RUNNING) == set()


def test_what_developing_adds_is_pinned_apart() -> None:
    assert named(EXTRAS["embedded"] + EXTRAS["dev"]) - set(DEVELOPING) == set()
    assert set(RUNNING) & set(DEVELOPING) == set()


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_each_pin_has_its_hashes_and_names_no_place(name: str) -> None:
    text = (ROOT / name).read_text()
    assert "://" not in text
    assert [package for package, block in pinned(name).items() if "--hash=sha256:" not in block] == []
