"""The second example of docs/HOWTOCONTRIBUTE.md works: a service with accounts, its stand-in, and its tests."""

import re
import sys
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest

import area.nodes
from area.core.settings import Settings
from tests.engine.living import living
from tests.nodes.conforming import conforms
from tests.nodes.conftest import MakeContext

PAGE = Path(__file__).parents[2] / "docs" / "HOWTOCONTRIBUTE.md"
_, _, MODULE, STAND_IN, TESTS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def parcel(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The page's modules, as if they were files in area/nodes and tests/providers."""
    for name, code in (("area.nodes.parcel", MODULE), ("tests.providers.parcel", STAND_IN)):
        module = ModuleType(name)
        monkeypatch.setitem(sys.modules, name, module)
        exec(compile(code, f"{name}.py", "exec"), module.__dict__)
    monkeypatch.setattr(area.nodes, "parcel", sys.modules["area.nodes.parcel"], raising=False)
    return sys.modules["area.nodes.parcel"]


@pytest.fixture
def tests(parcel: ModuleType) -> dict[str, Any]:
    """The page's tests by name; their platform knows the service."""
    found: dict[str, Any] = {}
    exec(compile(TESTS, "test_parcel.py", "exec"), found)
    found["living"] = partial(living, services=[parcel.service])
    return found


async def test_example_conforms(parcel: ModuleType) -> None:
    await conforms(parcel.service)


async def test_small_tests_of_the_example_pass(tests: dict[str, Any], context: MakeContext) -> None:
    await tests["test_depots_are_offered"](context)
    await tests["test_a_busy_parcel_is_waited_for"](context)


async def test_story_of_the_example_passes(tests: dict[str, Any], settings: Settings, user: UUID) -> None:
    await tests["test_a_parcel_that_arrives_sends_another"](settings, user)
    assert sum(name.startswith("test_") for name in tests) == 3
