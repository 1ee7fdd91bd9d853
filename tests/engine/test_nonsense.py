"""Answers and deliveries that are something else than they should be: a clear outcome, and no call made twice."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

import pytest
from pydantic import Field

from area.engine.areas import ReactionDraft
from area.engine.intake import BadDelivery
from area.engine.platform import Platform
from area.nodes import sdk
from tests.engine.conftest import Sink, World, log

service = sdk.Service(key="oddsvc", name="Odd", description="A service of this test.")


class Given(sdk.Inputs):
    """Where to send what."""

    url: str = Field(title="URL", description="Where.", examples=["https://x.test"])


class Item(sdk.Outputs):
    """Something."""

    id: Annotated[str, sdk.Identity] = Field(title="Id", description="Its id.", examples=["1"])


async def _send(ctx: sdk.Context, given: Given) -> Item:
    """Sends, and expects an item."""
    return Item.model_validate((await ctx.http.post(given.url)).json())


@service.reaction("Send once", idempotent=False)
async def once(ctx: sdk.Context, given: Given) -> Item:
    """Sends, and expects an item."""
    return await _send(ctx, given)


@service.reaction("Send again", idempotent=True)
async def again(ctx: sdk.Context, given: Given) -> Item:
    """Sends, and expects an item."""
    return await _send(ctx, given)


@service.webhook("Item came", verify=sdk.Unsigned("A test."))
def came(where: sdk.Inputs, delivery: sdk.WebhookDelivery) -> Item | None:
    """Fires for each item."""
    return Item.model_validate(delivery.body)


@pytest.fixture(autouse=True)
async def odd(platform: Platform) -> AsyncIterator[None]:
    registry = platform.registry
    registry.services[service.key] = service
    registry.actions |= service.actions
    registry.reactions |= service.reactions
    yield
    del registry.services[service.key], registry.actions[came.key]
    for key in service.reactions:
        del registry.reactions[key]


@pytest.mark.parametrize(("key", "status"), [("oddsvc.once", "unknown"), ("oddsvc.again", "waiting")])
async def test_an_answer_that_is_no_json_is_not_taken_for_nothing(
    world: World, sink: Sink, key: str, status: str
) -> None:
    sink.text = "<!doctype html><title>Sign in</title>"
    run = await world.happen(await world.area(ReactionDraft(key, {"url": sink.url}, key="send")), {})
    step = (await world.steps(run))["send"]
    assert (step["status"], len(sink.calls)) == (status, 1)
    assert "Odd answered something that is no JSON" in str(step["error"])


async def test_a_delivery_of_another_shape_is_refused_with_what_is_wrong(world: World) -> None:
    area = await world.area(log("x"), action=came.key)
    for body in ({"name": "no id"}, [], None, "text"):
        with pytest.raises(BadDelivery, match=r"oddsvc\.came does not know deliveries like this one"):
            await world.fire(area, body)
    given: Any = await world.fire(area, {"id": "7"})
    assert given.runs == 1
