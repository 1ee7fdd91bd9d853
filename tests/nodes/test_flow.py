"""Flow: what steers a run."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from area.core.ids import to_global
from area.nodes import flow, sdk
from tests.nodes.conftest import NOON, FakeContext, MakeContext


async def test_log_writes_one_line(context: MakeContext) -> None:
    ctx = context()
    logged = await flow.log.fn(ctx, flow.Line(message="hello", level="warning"))
    assert ctx.lines == [("warning", "hello")]
    assert logged == flow.Logged(message="hello", lines=1)


async def test_log_numbers_repeated_lines(context: MakeContext) -> None:
    ctx = context()
    await flow.log.fn(ctx, flow.Line(message="hello", repeat=3))
    assert [message for _, message in ctx.lines] == ["hello 1/3", "hello 2/3", "hello 3/3"]


@pytest.mark.parametrize("repeat", [0, 10_001])
def test_log_repeat_is_bounded(repeat: int) -> None:
    with pytest.raises(ValidationError):
        flow.Line(message="x", repeat=repeat)


async def test_delay_parks_then_goes_on(context: MakeContext) -> None:
    with pytest.raises(sdk.Park) as caught:
        await flow.delay.fn(context(), flow.Wait(seconds=90))
    assert caught.value.until == NOON + timedelta(seconds=90)
    waited = await flow.delay.fn(context(resumed=True), flow.Wait(seconds=90))
    assert waited.resumed_at == NOON


async def test_filter_ends_the_run_when_false(context: MakeContext) -> None:
    assert (await flow.filter_.fn(context(), flow.Test(condition=True))).passed
    with pytest.raises(sdk.Filtered):
        await flow.filter_.fn(context(), flow.Test(condition=False))


async def test_set_hands_values_on_and_stop_stops(context: MakeContext) -> None:
    assert (await flow.set_.fn(context(), flow.Values(values={"a": [1]}))).values == {"a": [1]}
    with pytest.raises(sdk.StopRun, match="enough"):
        await flow.stop.fn(context(), flow.Reason(reason="enough"))


def answered(context: MakeContext, answer: Any, **more: Any) -> FakeContext:
    """A context in which what the step waited for has come."""
    ctx = context(**more)
    ctx.answer = answer
    return ctx


@pytest.mark.parametrize(
    ("at", "timezone", "until"),
    [
        ("2026-03-01T13:00:00Z", "UTC", NOON + timedelta(hours=1)),
        ("2026-03-01T14:00:00", "Europe/Paris", NOON + timedelta(hours=1)),
        ("2026-03-02", "UTC", NOON + timedelta(hours=12)),
        ("2026-03-01T15:00:00+02:00", "Europe/Paris", NOON + timedelta(hours=1)),
    ],
)
async def test_wait_until_parks_until_the_moment_in_its_zone(
    context: MakeContext, at: str, timezone: str, until: datetime
) -> None:
    moment = flow.Moment.model_validate({"at": at, "timezone": timezone})
    with pytest.raises(sdk.Park) as caught:
        await flow.wait_until.fn(context(), moment)
    assert (caught.value.until, caught.value.until.tzinfo) == (until, UTC)
    assert (await flow.wait_until.fn(context(moment=until, resumed=True), moment)).resumed_at == until


async def test_wait_until_goes_on_at_once_when_the_moment_has_passed_and_refuses_another_age(
    context: MakeContext,
) -> None:
    past, far = NOON - timedelta(seconds=1), NOON + timedelta(days=367)
    assert (await flow.wait_until.fn(context(), flow.Moment(at=past))).resumed_at == NOON
    with pytest.raises(sdk.Rejected, match="more than 366 days ahead"):
        await flow.wait_until.fn(context(), flow.Moment(at=far))
    with pytest.raises(ValidationError, match="is not a time zone"):
        flow.Moment(at=past, timezone="Mars/Olympus")


async def test_approval_parks_and_tells_its_link(context: MakeContext) -> None:
    ctx = context()
    with pytest.raises(sdk.Park) as caught:
        await flow.approval.fn(ctx, flow.Question(message="Publish?", expires_in_hours=2))
    assert caught.value.until == NOON + timedelta(hours=2)
    assert ctx.lines == [("info", "Waiting for a decision at https://area.example/approvals/token")]


YES = {"approved": True, "comment": "fine", "decided_by": "link", "decided_at": "2026-03-01T12:00:00Z"}
NO = {**YES, "approved": False}


async def test_approval_hands_on_what_was_decided(context: MakeContext) -> None:
    question = flow.Question(message="Publish?", on_reject="continue")
    assert (await flow.approval.fn(answered(context, YES), question)).model_dump(mode="json") == YES
    assert (await flow.approval.fn(answered(context, NO), question)).model_dump(mode="json") == NO


async def test_a_rejection_stops_the_run_unless_told_otherwise(context: MakeContext) -> None:
    with pytest.raises(sdk.Filtered, match="Rejected by link: fine") as caught:
        await flow.approval.fn(answered(context, NO), flow.Question(message="Publish?"))
    assert caught.value.output is not None
    assert caught.value.output.model_dump(mode="json") == NO


async def test_what_nobody_decides_is_decided_as_configured(context: MakeContext) -> None:
    def asked(what: str) -> flow.Question:
        return flow.Question(message="Publish?", on_timeout=what, on_reject="continue")

    said = flow.Decision(approved=False, decided_by="timeout", decided_at=NOON)
    assert await flow.approval.fn(context(resumed=True), asked("reject")) == said
    said = flow.Decision(approved=True, decided_by="timeout", decided_at=NOON)
    assert await flow.approval.fn(context(resumed=True), asked("approve")) == said
    with pytest.raises(sdk.Rejected) as caught:
        await flow.approval.fn(context(resumed=True), asked("fail"))
    assert caught.value.code == "APPROVAL_TIMED_OUT"


@pytest.mark.parametrize(("first", "second", "case"), [(0, 1, "b"), (1, 1, "a"), (0, 0, "none")])
async def test_switch_gives_the_first_case_that_holds(
    context: MakeContext, first: bool, second: bool, case: str
) -> None:
    cases = [flow.Case(name="a", when=first), flow.Case(name="b", when=second)]
    assert (await flow.switch.fn(context(), flow.Cases(cases=cases, otherwise="none"))).case == case


RESULTS = [
    {"index": 0, "status": "succeeded", "output": {"n": 1}, "error": None},
    {"index": 1, "status": "failed", "output": None, "error": {"code": "REJECTED", "message": "No."}},
    {"index": 2, "status": "skipped", "output": None, "error": None},
]


async def test_for_each_counts_its_results_or_fails_with_the_first(context: MakeContext) -> None:
    def each(stops: bool) -> flow.Each:
        return flow.Each(items=[1, 2, 3], reaction="flow.log", stops=stops)

    collected = await flow.for_each.fn(answered(context, RESULTS), each(stops=False))
    assert (collected.succeeded, collected.failed, collected.skipped) == (1, 1, 1)
    assert [result.model_dump() for result in collected.results] == RESULTS
    with pytest.raises(sdk.Rejected, match=r"Item 1 failed: No\. \(1 of 3 succeeded\.\)"):
        await flow.for_each.fn(answered(context, RESULTS), each(stops=True))


TARGET = "0198c9a5-7b1e-7c3a-9f00-5a1c2b3d4e5f"


async def test_call_area_starts_one_and_may_wait(context: MakeContext) -> None:
    ctx = context()
    outcome = await flow.call_area.fn(ctx, flow.Called(area_id=to_global("Area", TARGET), payload={"n": 1}))
    assert (ctx.started, outcome.status) == ([(TARGET, {"n": 1}, False)], "queued")
    with pytest.raises(sdk.Park) as caught:
        await flow.call_area.fn(context(), flow.Called(area_id=TARGET, wait=True))
    assert caught.value.until == NOON + timedelta(days=30)
    with pytest.raises(ValidationError, match="is not the id of an AREA"):
        flow.Called(area_id="mine")


async def test_call_area_ends_as_what_it_called(context: MakeContext) -> None:
    called, ended = flow.Called(area_id=TARGET, wait=True), {"run_id": TARGET, "steps": {"a": {"n": 1}}}
    outcome = await flow.call_area.fn(answered(context, {**ended, "status": "succeeded"}, resumed=True), called)
    assert (outcome.status, outcome.steps) == ("succeeded", {"a": {"n": 1}})
    failed = {**ended, "status": "failed", "error": {"message": "It broke."}}
    with pytest.raises(sdk.Rejected, match=r"The AREA that was run failed\. It broke\.") as caught:
        await flow.call_area.fn(answered(context, failed, resumed=True), called)
    assert caught.value.code == "CALLED_AREA_FAILED"
    with pytest.raises(sdk.Rejected, match="within 30 days"):
        await flow.call_area.fn(context(resumed=True), called)
