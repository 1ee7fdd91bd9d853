"""Large details are kept apart and read when asked for; what one run may store is bounded, and what is cut says so."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import orjson
import pytest

from area.core.settings import Settings
from area.engine.areas import ReactionDraft
from area.engine.platform import open_platform
from area.nodes import registry
from area.nodes.registry import Registry
from tests.engine import strange
from tests.engine.conftest import World, log

DETAILS = 4096
RUN_BYTES = 1 << 17


@pytest.fixture
async def small(settings: Settings, user: UUID) -> AsyncIterator[World]:
    """A platform with room for little, and the strange service."""
    little = settings.model_copy(update={"payload_limit": DETAILS, "run_bytes": RUN_BYTES})
    platform = await open_platform(little, Registry([*registry.load().services.values(), strange.service]))
    yield World(platform, user)
    await platform.close()


def says(key: str, size: int) -> ReactionDraft:
    """A step whose input is text of this size, and whose output is small."""
    return ReactionDraft("strange.hears", {"value": f"{{{{ trigger.body.text | slice: 0, {size} }}}}"}, key=key)


async def lines(world: World, run: UUID, kind: str) -> list[Any]:
    rows = await world.pool.fetch("SELECT data FROM run_events WHERE run_id = $1 AND kind = $2 ORDER BY seq", run, kind)
    return [row["data"] for row in rows]


async def blobs(world: World, run: UUID) -> dict[str, Any]:
    rows = await world.pool.fetch("SELECT id, content FROM blobs WHERE run_id = $1", run)
    return {str(row["id"]): orjson.loads(row["content"]) for row in rows}


async def test_details_too_large_for_a_line_are_kept_apart_whole(small: World) -> None:
    run = await small.happen(await small.area(says("a", 5000), says("b", 100)), {"text": "x" * 20_000})
    large, little = await lines(small, run, "step_started")
    assert little == {"input": {"value": "x" * 100}, "attempt": 1}
    assert (large["cut"], large["preview"][:18], len(large["preview"])) == (True, '{"input":{"value":', 1024)
    kept = await blobs(small, run)
    assert kept[large["payload"]]["input"]["value"] == "x" * 5000
    assert large["bytes"] == len(orjson.dumps(kept[large["payload"]]))
    assert len(kept) == 1
    await small.story(run)


async def test_an_output_is_kept_once_with_its_step(small: World) -> None:
    values = ReactionDraft("flow.set", {"values": {"n": "{{ trigger.body.list }}"}}, key="set")
    run = await small.happen(await small.area(values), {"list": ["y" * 100] * 60})
    [line] = await lines(small, run, "step_succeeded")
    assert (line["cut"], "payload" in line) == (True, False)
    assert (await small.steps(run))["set"]["output"] == {"values": {"n": ["y" * 100] * 60}}


async def test_what_one_run_stores_is_bounded_and_its_small_values_are_not_cut(small: World) -> None:
    steps = [says(f"s{number}", 30_000) for number in range(10)]
    run = await small.happen(
        await small.area(*steps, log("after", "{{ steps.s0.value }}|{{ steps.s9.value }}")), {"text": "x" * 40_000}
    )
    assert await small.status(run) == "succeeded"
    inputs = [step["input"] for step in (await small.steps(run)).values()]
    whole = [one for one in inputs if "cut" not in one]
    assert (len(whole), len(inputs)) == (3, 11), "two with their details apart, and the last"
    assert inputs[-1]["message"] == "30000|30000", "outputs are there for those who come later"
    assert {"cut": True, "bytes": 30_012} in inputs
    stored = await small.pool.fetchval(
        "SELECT sum(length(input::text) + length(output::text)) FROM run_steps WHERE run_id = $1", run
    )
    stored += sum(len(orjson.dumps(one)) for one in (await blobs(small, run)).values())
    assert stored < RUN_BYTES + 11 * 2 * 1024
    told = "SELECT count(*) FROM run_events WHERE run_id = $1 AND message LIKE 'This run has stored 131,072 bytes%'"
    assert await small.pool.fetchval(told, run) == 1
    await small.story(run)


async def test_what_an_earlier_worker_stored_counts(small: World) -> None:
    wait = ReactionDraft("flow.delay", {"seconds": 60}, key="wait")
    run = await small.happen(
        await small.area(says("a", 30_000), says("b", 30_000), wait, says("c", 30_000)), {"text": "x" * 40_000}
    )
    await small.due_now(run)
    await small.execute(run)
    steps = await small.steps(run)
    assert await small.status(run) == "succeeded"
    assert ["cut" in steps[key]["input"] for key in "abc"] == [False, False, True]


async def test_large_attributes_of_a_line_are_kept_apart_too(small: World) -> None:
    run = await small.happen(await small.area(ReactionDraft("strange.tells", {"value": 6000}, key="odd")), {})
    [line] = await lines(small, run, "log")
    assert (await blobs(small, run))[line["payload"]] == {"text": "z" * 6000}
