"""What a dead worker had under way of a loop, and what ended beside it: items come to their end as steps do."""

from typing import Any
from uuid import UUID

import pytest

from area.engine import control
from area.engine.areas import ReactionDraft
from tests.engine.conftest import Sink, World, http, log
from tests.engine.flow_drafts import each, put
from tests.engine.test_takeover import begin_and_die, fired, outcome, paths

LIST = "{{ trigger.body.s | slice: 0, trigger.body.n | split: ',' }}"


async def statuses(world: World, run: UUID) -> dict[str, str]:
    return {key: step["status"] for key, step in (await world.steps(run)).items()}


async def rewrite(world: World, run: UUID, field: str, value: Any) -> None:
    """Change the event that a run is about, as if what its templates are made of had changed."""
    await world.pool.execute(
        "UPDATE events SET payload = jsonb_set(payload, ARRAY['body', $2], $3) "
        "WHERE id = (SELECT event_id FROM runs WHERE id = $1)",
        run, field, value,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("method", "status", "item", "calls"), [("POST", "held", "unknown", 1), ("PUT", "failed", "succeeded", 2)]
)
async def test_an_item_that_failed_does_not_hide_one_under_way(
    world: World, sink: Sink, method: str, status: str, item: str, calls: int
) -> None:
    sink.by_path = {"/a": 404}
    loop = each("loop", "http.request", put(sink.url, method=method), concurrency=2)
    run = await fired(world, loop, body={"items": ["a", "b", "c"]})
    await begin_and_die(world, sink, run, "/b", "loop[0]")
    await world.execute(run)
    assert await world.status(run) == status
    assert (await statuses(world, run))["loop[1]"] == item
    assert (paths(sink).count("/b"), paths(sink).count("/c")) == (calls, 0)
    if method == "POST":
        await control.settle_step(world.platform, world.user, run, "loop[1]", happened=True)
        await world.execute(run)
    assert await statuses(world, run) == {
        "loop": "failed", "loop[0]": "failed", "loop[1]": "succeeded", "loop[2]": "skipped",
    }  # fmt: skip
    assert await world.status(run) == "failed"
    await world.story(run)


@pytest.mark.parametrize("on_failure", ["stop", "continue"])
async def test_a_list_that_can_no_longer_be_made_does_not_hide_its_items(
    world: World, sink: Sink, on_failure: str
) -> None:
    config = {"reaction": "http.request", "config": put(sink.url, method="POST"), "items": LIST}
    loop = ReactionDraft("flow.for_each", config, key="loop", on_failure=on_failure)
    run = await fired(world, loop, log("after"), body={"s": "a,b", "n": 3})
    await begin_and_die(world, sink, run, "/a")
    await rewrite(world, run, "n", "x")
    await world.execute(run)
    assert await outcome(world, run, "loop[0]") == ("held", "unknown", "unknown", "UNKNOWN")
    assert "after" not in await statuses(world, run)
    await control.settle_step(world.platform, world.user, run, "loop[0]", happened=True)
    await world.execute(run)
    assert await world.status(run) == ("failed" if on_failure == "stop" else "succeeded")
    found = await statuses(world, run)
    assert (found["loop"], found["after"]) == ("failed", "skipped" if on_failure == "stop" else "succeeded")
    await world.story(run)


async def test_nobody_waits_for_the_items_of_a_loop_that_has_ended(world: World, sink: Sink) -> None:
    sink.by_path = {"/a": 500}
    config = {"reaction": "http.request", "config": put(sink.url), "items": LIST}
    loop = ReactionDraft("flow.for_each", config, key="loop", on_failure="continue")
    wait = ReactionDraft("flow.delay", {"seconds": 3600}, key="wait")
    run = await fired(world, loop, wait, body={"s": "a,b", "n": 3})
    await world.execute(run)
    assert await world.status(run) == "waiting"
    await rewrite(world, run, "n", "x")
    await world.due_now(run)
    await world.execute(run)
    assert (await statuses(world, run))["loop"] == "failed"
    due = await world.pool.fetchval("SELECT due_at FROM runs WHERE id = $1", run)
    assert due == (await world.steps(run))["wait"]["due_at"], "it would be woken every second"


async def test_a_stop_ends_what_waits_beside_it_for_whoever_takes_over(world: World, sink: Sink) -> None:
    sink.by_path = {"/again": 500}
    gate = ReactionDraft("flow.filter", {"condition": "trigger.body.n > 3"}, key="gate")
    run = await fired(
        world,
        http("again", f"{sink.url}/again", "PUT"),
        http("slow", f"{sink.url}/slow", "PUT"),
        gate,
        mode="parallel",
        body={"n": 1},
    )
    await begin_and_die(world, sink, run, "/slow", "gate")
    await world.execute(run)
    assert await statuses(world, run) == {"again": "skipped", "slow": "succeeded", "gate": "succeeded"}
    assert await world.status(run) == "succeeded"
    assert paths(sink).count("/again") == 1


async def test_what_a_person_has_tried_again_is_tried_though_another_step_has_failed(world: World, sink: Sink) -> None:
    run = await fired(
        world,
        http("slow", f"{sink.url}/slow"),
        log("fails", "{{ trigger.body.n | divided_by: 0 }}"),
        log("later", after=["slow"]),
        mode="parallel",
        body={"n": 9},
    )
    await begin_and_die(world, sink, run, "/slow", "fails")
    await world.execute(run)
    await control.settle_step(world.platform, world.user, run, "slow", happened=False)
    await world.execute(run)
    assert await statuses(world, run) == {"slow": "succeeded", "fails": "failed", "later": "skipped"}
    assert (await world.status(run), paths(sink)) == ("failed", ["/slow", "/slow"])


async def test_a_call_made_again_after_a_death_is_another_attempt(world: World, sink: Sink) -> None:
    run = await fired(world, http("call", f"{sink.url}/call", "PUT"))
    await begin_and_die(world, sink, run, "/call")
    sink.by_path = {"/call": 429}
    await world.execute(run)
    assert (await world.steps(run))["call"]["attempt"] == 1, "the second was given back"
    sink.by_path = {}
    await world.due_now(run)
    await world.execute(run)
    assert (await world.steps(run))["call"]["attempt"] == 2
