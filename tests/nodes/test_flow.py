"""Flow, webhook and AREA nodes."""

import hashlib
import hmac
from datetime import timedelta

import pytest
from pydantic import ValidationError

from area.core.ids import to_global
from area.nodes import area, flow, sdk, webhook
from tests.nodes.conftest import NOON, MakeContext


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


def test_webhook_hands_the_request_on_without_credentials() -> None:
    headers = {"x-a": "1", "authorization": "Bearer x", "cookie": "s=1"}
    delivery = sdk.WebhookDelivery("POST", headers, {"q": "2"}, b'{"n":3}', {"n": 3}, "application/json")
    event = webhook.received.fn(webhook.Hook(), delivery)
    assert event == webhook.Received(body={"n": 3}, headers={"x-a": "1"}, query={"q": "2"}, method="POST")


def test_webhook_declares_how_it_is_signed() -> None:
    verify = webhook.received.verify
    assert verify == sdk.HmacSha256(webhook.Hook().signature_header)
    signature = "sha256=" + hmac.new(b"s3cret", b"body", hashlib.sha256).hexdigest()
    header = "x-signature-256"
    verify.check("s3cret", sdk.WebhookDelivery("POST", {header: signature}, raw=b"body"), NOON)
    for headers, raw in (({header: signature}, b"body!"), ({}, b"body"), ({header: "é"}, b"body")):
        with pytest.raises(sdk.BadSignature):
            verify.check("s3cret", sdk.WebhookDelivery("POST", headers, raw=raw), NOON)


def test_area_events_match_by_status_and_area() -> None:
    failed = area.Finished.model_validate(area.run_failed.sample())
    mine, other = area.Which(area_id=failed.area_id), area.Which(area_id="0198c9a5-0000-7000-8000-000000000000")
    assert area.run_failed.fn(area.Which(), failed)
    assert area.run_failed.fn(mine, failed)
    assert area.Which(area_id=to_global("Area", failed.area_id)) == mine
    with pytest.raises(ValidationError, match="is not the id of an AREA"):
        area.Which(area_id="mine")
    assert not area.run_failed.fn(other, failed)
    assert not area.run_succeeded.fn(mine, failed)
    assert area.run_succeeded.fn(mine, failed.model_copy(update={"status": area.Status.SUCCEEDED}))
