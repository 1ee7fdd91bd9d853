"""A run's life: its steps in order, its conditions, its failures, its rests, its end."""

import asyncio
from datetime import UTC, datetime, timedelta

from area.engine import control, replays
from area.engine.areas import ReactionDraft, set_area_enabled
from area.engine.runs import Checkpoint
from tests.engine.conftest import Sink, World, http, log


async def test_steps_run_in_sequence_and_see_earlier_outputs(world: World) -> None:
    area = await world.area(
        ReactionDraft("flow.set", {"values": {"n": "{{ trigger.body.n }}", "t": "<{{ trigger.body.n }}>"}}, key="a"),
        log("b", "{{ steps.a.values.n }} {{ steps.a.values.t }}"),
    )
    run = await world.happen(area, {"n": 7})
    steps = await world.steps(run)
    assert await world.status(run) == "succeeded"
    # A whole reference keeps its type; a mixed text does not.
    assert steps["a"]["output"] == {"values": {"n": 7, "t": "<7>"}}
    assert steps["b"]["input"]["message"] == "7 <7>"
    assert await world.story(run) == [
        "event_received", "run_started", "step_started", "step_succeeded", "step_started", "log", "step_succeeded",
        "run_succeeded",
    ]  # fmt: skip


async def test_rendered_text_is_not_evaluated_again(world: World) -> None:
    area = await world.area(log("a", "said {{ trigger.body.text }}"))
    run = await world.happen(area, {"text": "{{ trigger.headers }}"})
    assert (await world.steps(run))["a"]["input"]["message"] == "said {{ trigger.headers }}"


async def test_a_false_condition_skips_only_its_step(world: World) -> None:
    area = await world.area(log("a", when="trigger.body.n > 3"), log("b", when='trigger.body.kind == "x"'))
    run = await world.happen(area, {"n": 2, "kind": "x"})
    steps = await world.steps(run)
    assert (steps["a"]["status"], steps["b"]["status"]) == ("skipped", "succeeded")
    assert await world.status(run) == "succeeded"


async def test_a_failure_stops_the_run_or_not_as_its_reaction_says(world: World, sink: Sink) -> None:
    sink.answers = [(404, {}), (404, {})]
    stops = await world.area(http("call", sink.url), log("after"))
    goes_on = await world.area(http("call", sink.url, on_failure="continue"), log("after"))
    stopped, went_on = await world.happen(stops, {}), await world.happen(goes_on, {})
    assert await world.status(stopped) == "failed"
    assert (await world.steps(stopped))["after"]["status"] == "skipped"
    error = await world.pool.fetchval("SELECT error FROM runs WHERE id = $1", stopped)
    assert (error["code"], error["step"]) == ("HTTP_404", "call")
    assert await world.status(went_on) == "succeeded"
    assert (await world.steps(went_on))["after"]["status"] == "succeeded"


async def test_a_server_error_is_retried_until_it_works(world: World, sink: Sink) -> None:
    sink.answers = [(500, {}), (503, {})]
    area = await world.area(http("call", sink.url))
    run = await world.happen(area, {})
    for _ in range(2):
        assert await world.status(run) == "waiting"
        await world.due_now(run)
        await world.execute(run)
    assert await world.status(run) == "succeeded"
    assert (await world.steps(run))["call"]["attempt"] == 3
    keys = {headers["idempotency-key"] for _, headers, _ in sink.calls}
    assert len(sink.calls) == 3
    assert len(keys) == 1, "every attempt carries the same key"
    told = "SELECT data FROM run_events WHERE run_id = $1 AND kind = 'step_started' ORDER BY seq"
    first, *others = [row["data"] for row in await world.pool.fetch(told, run)]
    assert "url" in first["input"]
    assert others == [{"attempt": 2}, {"attempt": 3}], "an input is stored once"


async def test_attempts_are_bounded(world: World, sink: Sink) -> None:
    sink.answers = [(500, {})] * 9
    area = await world.area(http("call", sink.url, retry={"attempts": 2}))
    run = await world.happen(area, {})
    await world.due_now(run)
    await world.execute(run)
    assert await world.status(run) == "failed"
    assert len(sink.calls) == 2


async def test_a_throttle_is_no_attempt(world: World, sink: Sink) -> None:
    sink.answers = [(429, {"retry-after": "30"})] * 3
    area = await world.area(http("call", sink.url, retry={"attempts": 1}))
    run = await world.happen(area, {})
    for _ in range(3):
        assert await world.status(run) == "waiting"
        await world.due_now(run)
        await world.execute(run)
    assert await world.status(run) == "succeeded"
    assert (await world.steps(run))["call"]["attempt"] == 1


async def test_a_delay_holds_no_worker_and_goes_on(world: World) -> None:
    area = await world.area(ReactionDraft("flow.delay", {"seconds": 3600}, key="wait"), log("after"))
    run = await world.happen(area, {})
    assert await world.status(run) == "waiting"
    await world.execute(run)
    assert await world.status(run) == "waiting", "it is not due"
    await world.due_now(run)
    await world.execute(run)
    assert await world.status(run) == "succeeded"
    assert (await world.story(run)).count("step_started") == 3


async def test_filter_and_stop_end_a_run_well(world: World) -> None:
    passes = ReactionDraft("flow.filter", {"condition": "trigger.body.n > 3"}, key="gate")
    area = await world.area(passes, log("after"))
    low, high = await world.happen(area, {"n": 1}), await world.happen(area, {"n": 9})
    assert (await world.steps(low))["after"]["status"] == "skipped"
    assert (await world.steps(high))["after"]["status"] == "succeeded"
    assert {await world.status(low), await world.status(high)} == {"succeeded"}


async def test_parallel_reactions_and_those_that_wait_for_them(world: World, sink: Sink) -> None:
    area = await world.area(
        http("one", f"{sink.url}/one"),
        http("two", f"{sink.url}/two"),
        log("both", "{{ steps.one.status }} {{ steps.two.status }}", after=["one", "two"]),
        mode="parallel",
    )
    run = await world.happen(area, {})
    assert await world.status(run) == "succeeded"
    assert (await world.steps(run))["both"]["input"]["message"] == "200 200"
    await world.story(run)


async def test_ten_thousand_numbered_lines_have_no_gap(world: World) -> None:
    area = await world.area(ReactionDraft("flow.log", {"message": "line", "repeat": 10_000}, key="many"))
    run = await world.happen(area, {})
    kinds = await world.story(run)
    assert await world.status(run) == "succeeded"
    assert kinds.count("log") == 10_000


async def test_a_replay_from_a_step_does_not_repeat_the_earlier_ones(world: World, sink: Sink) -> None:
    area = await world.area(http("first", f"{sink.url}/first"), http("second", f"{sink.url}/second"))
    run = await world.happen(area, {})
    again = await replays.replay_run(world.platform, world.user, run, from_step="second")
    await world.execute(again)
    assert await world.status(again) == "succeeded"
    assert [path for path, _, _ in sink.calls] == ["/first", "/second", "/second"]
    assert await world.pool.fetchval("SELECT replay_of FROM runs WHERE id = $1", again) == run


async def test_a_cancelled_waiting_run_ends_at_once_and_stays_ended(world: World) -> None:
    area = await world.area(ReactionDraft("flow.delay", {"seconds": 60}, key="wait"), log("after"))
    run = await world.happen(area, {})
    await control.cancel_run(world.platform, world.user, run)
    assert await world.status(run) == "cancelled"
    await world.due_now(run)
    await world.execute(run)
    assert await world.status(run) == "cancelled"
    assert (await world.story(run))[-1] == "run_cancelled"


async def test_an_event_while_switched_off_is_told_and_not_run(world: World) -> None:
    area = await world.area(log("a"))
    await set_area_enabled(world.platform, world.user, area.id, enabled=False)
    result = await world.fire(area, {})
    assert result.runs == 0
    assert await world.pool.fetchval("SELECT outcome FROM deliveries WHERE event_id = $1", result.event_id) == "paused"


async def test_a_template_that_fails_fails_its_run_alone(world: World) -> None:
    endless = "{% for a in (1..5000) %}{% for b in (1..5000) %}x{% endfor %}{% endfor %}"
    bad, good = await world.area(log("a", endless)), await world.area(log("a"))
    failed, fine = await world.happen(bad, {}), await world.happen(good, {})
    assert await world.status(failed) == "failed"
    assert (await world.steps(failed))["a"]["error"]["code"] == "TEMPLATE_FAILED"
    assert await world.status(fine) == "succeeded"


async def test_odd_payloads_are_kept(world: World) -> None:
    area = await world.area(log("a", "{{ trigger.body.text }}"))
    run = await world.happen(area, {"text": "nul \x00 end", "deep": {"x": [1] * 50}, "big": 2**60})
    assert await world.status(run) == "succeeded"
    assert (await world.steps(run))["a"]["input"]["message"] == "nul \ufffd end"


async def test_an_area_runs_by_hand_on_a_payload_or_on_its_sample(world: World) -> None:
    area = await world.area(log("a", "{{ trigger.body.name }} by {{ trigger.method }}"))
    given = await control.run_area(world.platform, world.user, area.id, {"body": {"name": "Ada"}, "method": "POST"})
    sample = await control.run_area(world.platform, world.user, area.id, None, is_test=True)
    await world.execute(given, sample)
    assert (await world.steps(given))["a"]["input"]["message"] == "Ada by POST"
    assert (await world.steps(sample))["a"]["input"]["message"].endswith(" by POST")
    assert await world.pool.fetchval("SELECT is_test FROM runs WHERE id = $1", sample)


async def test_one_idempotency_key_makes_one_area_however_often_and_soon(world: World) -> None:
    made = await asyncio.gather(*(world.area(log("a"), idempotency_key="once") for _ in range(5)))
    assert len({area.id for area in made}) == 1


async def test_a_cancel_accepted_while_a_run_goes_to_rest_is_kept(world: World, sink: Sink) -> None:
    area = await world.area(ReactionDraft("flow.delay", {"seconds": 3600}, key="wait"))
    await world.fire(area, {})
    run = await world.run_of(area)
    [claim] = await world.platform.runs.claim([run])
    await control.cancel_run(world.platform, world.user, run)
    due = datetime.now(UTC) + timedelta(hours=1)
    await world.platform.runs.commit(Checkpoint(run, claim["fence"], "waiting", 1, due))
    await world.execute(run)
    assert await world.status(run) == "cancelled"
