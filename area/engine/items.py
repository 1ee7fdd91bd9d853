"""Loops: one reaction for each item of a list. Each item is a step of its own, so that what holds for steps holds for items."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

from area.engine.execution import FINAL, Execution
from area.engine.plan import ITEMS_FROM, PlanStep
from area.engine.runs import StepState
from area.nodes import sdk

Execute = Callable[[Execution, PlanStep], Awaitable[None]]


class Resting(Exception):
    """The items are not all done: the loop goes on at ``until``, or, where that is None, when its run does."""

    def __init__(self, until: datetime | None) -> None:
        super().__init__()
        self.until = until


async def run_items(run: Execution, step: PlanStep, given: sdk.EachInputs, execute: Execute) -> list[dict[str, Any]]:
    """Execute what is open of the items; gives each one's outcome when all are done. Raises: Resting, Fenced."""
    steps = [_item_step(step, index, item) for index, item in enumerate(given.items)]
    states = [run.states.setdefault(one.position, StepState(one.position, one.key, one.reaction.key)) for one in steps]
    # One queue for all lanes: the next free lane takes the next open item. What may have happened comes first, and comes to its end
    # whatever became of the others.
    open_ones = [one for one, state in zip(steps, states, strict=True) if run.is_open(state)]
    queue = iter(sorted(open_ones, key=lambda one: not run.states[one.position].in_doubt))
    await _lanes(run, given, states, queue, execute)
    if any(state.status == "unknown" for state in states) or run.cancelled or run.held_for:
        raise Resting(None)
    if _must_stop(states, given):
        for state in states:
            if state.status not in FINAL and not state.in_doubt:
                run.finish_step(state, "skipped")
    if any(run.is_open(state) for state in states):
        raise Resting(run.now())
    waiting = [state.due_at for state in states if state.status == "waiting" and state.due_at]
    if waiting:
        raise Resting(min(waiting))
    return [
        {"index": index, "status": state.status, "output": state.output, "error": state.error}
        for index, state in enumerate(states)
    ]


def _item_step(step: PlanStep, index: int, item: Any) -> PlanStep:
    inner = step.inner
    assert inner is not None  # noqa: S101 - compiled with one, or not at all
    position = (step.position + 1) * ITEMS_FROM + index
    return replace(inner, position=position, key=f"{step.key}[{index}]", extra={"item": item, "index": index})


async def _lanes(
    run: Execution, given: sdk.EachInputs, states: list[StepState], queue: Iterator[PlanStep], execute: Execute
) -> None:
    async def lane() -> None:
        for one in queue:
            if run.cancelled or run.held_for or run.is_leaving:
                return
            if _must_stop(states, given) and not run.states[one.position].in_doubt:
                continue
            await execute(run, one)
            if not one.reaction.pure:
                # The outcome is durable before the next item begins: a crash repeats no finished one.
                await run.commit()

    try:
        async with asyncio.TaskGroup() as lanes:
            for _ in range(min(given.concurrency, len(states))):
                lanes.create_task(lane())
    except ExceptionGroup as group:
        # One is enough, and whoever called knows what to do with it; the other lanes have been ended.
        raise _first(group) from None


def _first(error: Exception) -> Exception:
    return _first(error.exceptions[0]) if isinstance(error, ExceptionGroup) else error


def _must_stop(states: list[StepState], given: sdk.EachInputs) -> bool:
    """Whether no further item is to begin."""
    return any(state.status == "unknown" or (given.stops and state.status == "failed") for state in states)
