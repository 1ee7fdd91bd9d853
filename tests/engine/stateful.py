"""State machines: Hypothesis drives them from a thread of its own, and what they ask for happens on the tests' loop."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from tests.engine.conftest import World


class Driven(RuleBasedStateMachine):
    """A machine whose rules change a world."""

    world: World
    loop: asyncio.AbstractEventLoop

    def wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)


async def drive(machine: type[Driven], world: World, examples: int, steps: int, **given: Any) -> None:
    """Try the machine's rules in so many orders; ``given`` is what its rules find in it."""
    here = type(machine.__name__, (machine,), {"world": world, "loop": asyncio.get_running_loop(), **given})
    few = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    await asyncio.to_thread(run_state_machine_as_test, here, settings=few)
