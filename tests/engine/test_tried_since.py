"""A step tells its node since when it has been tried, so that a later attempt can look whether an earlier one was carried out."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from area.engine.areas import ReactionDraft
from area.engine.platform import Platform
from area.nodes import sdk
from tests.engine.conftest import World

service = sdk.Service(key="triedprobe", name="Probe", description="A service of this test.")
seen: list[datetime | None] = []


@service.reaction("Fail at first", idempotent=True)
async def fail_first(ctx: sdk.Context, given: sdk.Inputs) -> sdk.Outputs:
    """Fails twice."""
    seen.append(ctx.tried_since)
    if len(seen) < 3:
        raise sdk.Unavailable("not now")
    return sdk.Outputs()


@pytest.fixture(autouse=True)
def _registered(platform: Platform) -> Iterator[None]:
    platform.registry.reactions |= service.reactions
    yield
    for key in service.reactions:
        del platform.registry.reactions[key]


async def test_every_later_attempt_knows_when_the_first_began(world: World) -> None:
    area = await world.area(ReactionDraft("triedprobe.fail_first", {}, key="call"))
    run = await world.happen(area, {})
    assert seen == [None], "this is the first attempt"
    began: datetime = (await world.steps(run))["call"]["started_at"]
    assert abs(datetime.now(UTC) - began) < timedelta(seconds=30)
    for _ in range(2):
        await world.due_now(run)
        await world.execute(run)
    assert await world.status(run) == "succeeded"
    assert seen == [None, began, began]
