"""Whatever a run is made of and whenever its workers die: it ends, repeats nothing that must not be, and tells the truth."""

import os
from collections.abc import AsyncIterator
from itertools import count, pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.routing import Route

from area.core.ids import new_id
from area.engine.execution import FINAL
from area.engine.feed import TERMINAL
from area.engine.platform import Platform
from tests.engine.conftest import World, serving
from tests.engine.crash_plays import HANGS, Play, Step, plays
from tests.engine.crashing import Call, Scripted, Story, calls_of, kinds

ENDED = (*FINAL, "unknown")
EXAMPLES = int(os.environ.get("AREA_TEST_CRASHES", "800"))
"""About half a minute of them; thousands, by hand, find what is rare."""


@pytest.fixture
async def scripted() -> AsyncIterator[Scripted]:
    made = Scripted()
    async with serving(Starlette(routes=[Route("/{path:path}", made.handle, methods=["POST", "PUT"])])) as url:
        made.url = url
        yield made
        made.hold.set()


@pytest.mark.timeout(600)  # an example that fails is made smaller, which takes its time
@settings(
    deadline=None,
    max_examples=EXAMPLES,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
@given(play=plays(), happened=st.booleans())
async def test_a_run_comes_to_an_honest_end(platform: Platform, scripted: Scripted, play: Play, happened: bool) -> None:
    user = new_id()
    await platform.db.pool.execute(
        "INSERT INTO users (id, email, display_name) VALUES ($1, $2, 'Test')", user, f"{user.hex}@example.com"
    )
    world, clock = World(platform, user), count()
    scripted.begin(play.steps, clock)
    area = await world.area(*(step.draft(scripted.address) for step in play.steps), mode=play.mode)
    await world.fire(area, {})
    story = Story(world, scripted, await world.run_of(area), play, clock)
    for act in play.acts:
        await story.act(act)
    await story.finish(happened)
    await check(story, play)


async def check(story: Story, play: Play) -> None:
    world, run = story.world, story.run
    await world.story(run)
    row = await world.pool.fetchrow("SELECT * FROM runs WHERE id = $1", run)
    steps, calls = await world.steps(run), calls_of(story.sink)
    lines = await world.pool.fetch("SELECT step, kind FROM run_events WHERE run_id = $1", run)
    assert row["status"] in TERMINAL
    assert not story.torn
    assert all(step["status"] in ENDED for step in steps.values()), {k: s["status"] for k, s in steps.items()}
    assert row["status"] != "cancelled" or story.was_cancelled
    if story.cancelled_at is not None:
        assert row["status"] == "cancelled"
        assert len(story.sink.received) == story.cancelled_at, "called after it was cancelled"
    if story.heard_at is not None and play.is_one_by_one:
        assert len(story.sink.received) == story.heard_at, "called after its worker had heard that it is cancelled"
    for step in play.steps:
        if step.key in story.barred:
            assert _status(steps, step.key) in ("skipped", ""), f"{step.key} had no turn when the run was to end"
            assert not any(calls.get(key) for key in step.called)
    _of_the_run(row, steps, play)
    keys = {key: {call.idempotency_key for call in made} for key, made in calls.items()}
    assert all(len(found) == 1 for found in keys.values()), "one step, one idempotency key"
    assert len(set().union(*keys.values())) == len(keys)
    told = kinds(lines)
    for step in play.steps:
        for key in step.called:
            made = calls.get(key, [])
            assert told[key, "step_started"] >= len(made), f"{key} was called before that was written"
            _of_calls(story, step, key, made, steps.get(key))
        if step.kind == "each":
            _of_loop(step, steps, calls)
    _of_gates(play, steps, calls)
    _of_reading(play, steps)
    await _of_ledger(story, play, row, steps)


def _of_the_run(row: Any, steps: dict[str, Any], play: Play) -> None:
    fatal = {step.key for step in play.steps if step.on_failure == "stop" and _status(steps, step.key) == "failed"}
    if row["status"] == "failed":
        assert row["error"]["step"] in fatal, row["error"]
    if row["status"] == "succeeded":
        assert not fatal
        stopped = any(step.ends_the_run and _status(steps, step.key) == "succeeded" for step in play.steps)
        assert stopped or {_status(steps, step.key) for step in play.steps} <= {*FINAL}


def _of_calls(story: Story, step: Step, key: str, made: list[Call], state: Any) -> None:
    settled = [at for name, at in story.again if name == key]
    if step.method == "POST":
        for one, next_ in pairwise(made):
            was_settled = any(one.number < at < next_.number for at in settled)
            assert one.answer in (500, 429) or was_settled, f"{key} was repeated after {one.answer}"
    if state is None:
        assert not made
        return
    # What a person wants tried again did not happen, by that person's word.
    since = [call for call in made if call.number > max(settled, default=-1)]
    maybe = [call for call in since if call.answer in (200, 504, HANGS)]
    match state["status"]:
        case "succeeded":
            assert key in story.happened or any(call.answer == 200 for call in made), f"{key} never happened"
        case "skipped":
            assert not maybe, f"{key} is told as skipped after {[call.answer for call in maybe]}"
        case "failed":
            assert state["effect"] != "none" or not maybe
        case "unknown":
            assert state["effect"] == "unknown"
    attempts = len([call for call in made if call.answer != 429])
    assert state["attempt"] >= attempts, f"{key}: {state['attempt']} attempts, {attempts} calls"
    assert attempts <= step.attempts + story.deaths + len(settled), f"{key} was tried {attempts} times"


def _of_loop(step: Step, steps: dict[str, Any], calls: dict[str, list[Call]]) -> None:
    loop = steps.get(step.key)
    if loop is None:
        return
    items = [_status(steps, key) for key in step.called]
    if loop["status"] == "succeeded":
        assert [result["status"] for result in loop["output"]["results"]] == items
        assert not (step.stops and "failed" in items)
    if loop["status"] == "failed":
        assert step.stops
        assert "failed" in items
    if step.stops and step.concurrency == 1:
        for key in step.called:
            if _status(steps, key) == "failed":
                last = calls[key][-1].number
                later = [other for other in step.called if calls.get(other) and calls[other][0].number > last]
                assert not later, f"{later} began after {key} had failed"


def _of_gates(play: Play, steps: dict[str, Any], calls: dict[str, list[Call]]) -> None:
    for gate in play.steps:
        if not (gate.ends_the_run and _status(steps, gate.key) == "succeeded"):
            continue
        behind = {gate.key}
        for step in play.steps:
            if behind & set(play.before(step)):
                behind.add(step.key)
                assert _status(steps, step.key) in ("skipped", ""), f"{step.key} is behind {gate.key}"
                assert not any(calls.get(key) for key in step.called)


def _of_reading(play: Play, steps: dict[str, Any]) -> None:
    for step in play.steps:
        if step.reads and _status(steps, step.key) == _status(steps, step.reads) == "succeeded":
            read = (steps[step.reads]["output"] or {}).get("status", "")
            assert steps[step.key]["output"]["message"] == f"saw {read}"


async def _of_ledger(story: Story, play: Play, row: Any, steps: dict[str, Any]) -> None:
    filters = [step for step in play.steps if step.kind == "filter" and step.ends_the_run]
    filtered = any(_status(steps, step.key) == "succeeded" for step in filters) and row["status"] == "succeeded"
    found = await story.world.pool.fetchval(
        "SELECT count(*) FROM deliveries WHERE run_id = $1 AND outcome = 'filtered'", story.run
    )
    assert found == filtered


def _status(steps: dict[str, Any], key: str) -> str:
    return str(steps[key]["status"]) if key in steps else ""
