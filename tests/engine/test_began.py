"""A step tells its node when its first attempt began, so that a later one can look whether that was carried out."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from area.engine.areas import ReactionDraft
from area.engine.platform import Platform
from area.nodes import sdk
from tests.engine.conftest import World

service = sdk.Service(key="beganprobe", name="Probe", description="A service of this test.")
seen: list[datetime] = []


@service.reaction("Fail at first", idempotent=True)
async def fail_first(ctx: sdk.Context, given: sdk.Inputs) -> sdk.Outputs:
    """Fails twice."""
    seen.append(ctx.began_at)
    if len(seen) < 3:
        raise sdk.Unavailable("not now")
    return sdk.Outputs()


@pytest.fixture(autouse=True)
def _registered(platform: Platform) -> Iterator[None]:
    platform.registry.reactions |= service.reactions
    yield
    for key in service.reactions:
        del platform.registry.reactions[key]


async def test_every_attempt_knows_when_the_first_began(world: World) -> None:
    area = await world.area(ReactionDraft("beganprobe.fail_first", {}, key="call"))
    before = datetime.now(UTC)
    run = await world.happen(area, {})
    began = timedelta(hours=-5) + seen[0]
    # As if the platform had been away for five hours between the attempts.
    await world.pool.execute("UPDATE run_steps SET started_at = $2 WHERE run_id = $1", run, began)
    for _ in range(2):
        await world.due_now(run)
        await world.execute(run)
    assert await world.status(run) == "succeeded"
    assert abs(seen[0] - before) < timedelta(seconds=30)
    assert seen[1:] == [began, began]
