"""The first example of docs/HOWTOCONTRIBUTE.md works: it is held to the conformance suite, and its own tests are run.

The second, which needs accounts and so the platform, is in tests/nodes/test_howto.py.
"""

import re
import sys
from inspect import iscoroutinefunction
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

import area.nodes
from tests.nodes.conforming import conforms
from tests.nodes.conftest import FakeContext

PAGE = Path(__file__).parents[2] / "docs" / "HOWTOCONTRIBUTE.md"
MODULE, TESTS, *_ = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def ntfy(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The page's module, as if it were a file in area/nodes."""
    module = ModuleType("area.nodes.ntfy")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(area.nodes, "ntfy", module, raising=False)
    exec(compile(MODULE, "ntfy.py", "exec"), module.__dict__)
    return module


async def test_example_conforms(ntfy: ModuleType) -> None:
    await conforms(ntfy.service)


async def test_tests_of_the_example_pass(ntfy: ModuleType) -> None:
    def context(answer: Any, **given: Any) -> FakeContext:
        return FakeContext(httpx.AsyncClient(transport=httpx.MockTransport(answer)), **given)

    found: dict[str, Any] = {}
    exec(compile(TESTS, "test_ntfy.py", "exec"), found)
    tests = [value for name, value in found.items() if name.startswith("test_") and iscoroutinefunction(value)]
    assert len(tests) == 2
    for test in tests:
        await test(context)
