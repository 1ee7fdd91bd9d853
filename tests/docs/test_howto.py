"""The worked example of docs/HOWTOCONTRIBUTE.md works: it is loaded, held to the conformance suite, and its own tests are run."""

import re
import sys
from inspect import iscoroutinefunction
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

import area.nodes
from area.nodes.registry import Registry
from tests.nodes import test_conformance as conformance
from tests.nodes.conftest import FakeContext

PAGE = Path(__file__).parents[2] / "docs" / "HOWTOCONTRIBUTE.md"
MODULE, TESTS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def ntfy(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The page's module, as if it were a file in area/nodes."""
    module = ModuleType("area.nodes.ntfy")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(area.nodes, "ntfy", module, raising=False)
    exec(compile(MODULE, "ntfy.py", "exec"), module.__dict__)
    return module


def test_example_conforms(ntfy: ModuleType) -> None:
    registry = Registry([ntfy.service])
    conformance.test_service_describes_itself(ntfy.service)
    for node in [*registry.actions.values(), *registry.reactions.values()]:
        conformance.test_node_describes_itself(node)
        conformance.test_fields_have_title_description_and_example(node)
        conformance.test_schemas_are_valid_and_inputs_are_closed(node)
        conformance.test_sample_round_trips(node)
        conformance.test_markers_are_declared_on_fields_that_exist(node)
    for action in registry.actions.values():
        conformance.test_action_declares_what_its_delivery_needs(action)
    for reaction in registry.reactions.values():
        conformance.test_reaction_declares_idempotency_and_a_bounded_timeout(reaction)


async def test_tests_of_the_example_pass(ntfy: ModuleType) -> None:
    def context(answer: Any, **given: Any) -> FakeContext:
        return FakeContext(httpx.AsyncClient(transport=httpx.MockTransport(answer)), **given)

    found: dict[str, Any] = {}
    exec(compile(TESTS, "test_ntfy.py", "exec"), found)
    tests = [value for name, value in found.items() if name.startswith("test_") and iscoroutinefunction(value)]
    assert len(tests) == 2
    for test in tests:
        await test(context)
