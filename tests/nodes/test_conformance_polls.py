"""Every polled action through the engine: its first look is a baseline, and one item is one event."""

import copy
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from area.engine import polling
from area.engine.platform import Platform
from area.nodes import sdk
from area.nodes.registry import load
from tests.engine.conftest import World, log
from tests.nodes.rig import examples

POLLED = {key: action for key, action in load().actions.items() if action.delivery is sdk.Delivery.POLL}
TWIN = sdk.Service(key="twin", name="Twin", description="Stands for a service whose provider is not asked.")


class Source:
    """What the provider shows: samples of the outputs, told apart by their identity."""

    def __init__(self, action: sdk.Action) -> None:
        self.action = action
        self.shown: list[int] = []

    async def poll(self, ctx: sdk.Context, where: sdk.Inputs) -> sdk.Page[Any]:
        return sdk.Page(
            [self._item(number) for number in self.shown], {"looks": (ctx.cursor or {"looks": 0})["looks"] + 1}
        )

    def _item(self, number: int) -> sdk.Outputs:
        sample = self.action.outputs.model_validate(self.action.sample())
        name = self.action.identity
        assert name, f"{self.action.key} has no Identity"
        known = getattr(sample, name)
        told_apart = (
            known + number if isinstance(known, int) else f"{known}{number}" if isinstance(known, str) else known
        )
        assert number == 0 or told_apart != known, (
            f"{self.action.key}.{name} is no text and no number: it tells nothing apart"
        )
        return sample.model_copy(update={name: told_apart})


@pytest.fixture
async def world(platform: Platform, user: UUID) -> World:
    return World(platform, user)


@pytest.fixture
async def source(world: World, request: pytest.FixtureRequest) -> AsyncIterator[Source]:
    """The action under the key ``twin.<its name>``, with this source behind it."""
    made = Source(POLLED[request.param])
    twin = copy.copy(made.action)
    twin.service, twin.fn, twin.checker, twin.account = TWIN, made.poll, None, "none"
    twin.key = f"twin.{request.param.replace('.', '_')}"
    world.platform.registry.actions[twin.key] = twin
    made.action = twin
    yield made
    del world.platform.registry.actions[twin.key]


@pytest.mark.parametrize("source", POLLED, indirect=True)
async def test_first_look_is_a_baseline_and_an_item_fires_once(world: World, source: Source) -> None:
    where = examples(source.action.inputs).model_dump(mode="json")
    area = await world.area(log("x"), action=source.action.key, config=where)

    async def look(*shown: int) -> int:
        source.shown = list(shown)
        await world.pool.execute("UPDATE hooks SET next_due_at = now() WHERE id = $1", area.hook_id)
        await polling.tick(world.platform)
        hook = await world.pool.fetchrow("SELECT last_error, cursor FROM hooks WHERE id = $1", area.hook_id)
        assert hook["last_error"] is None
        found: int = await world.pool.fetchval("SELECT count(*) FROM runs WHERE area_id = $1", area.id)
        return found

    assert await look(1, 0) == 0, "the first look is a baseline"
    assert await look(2, 1, 0) == 1
    assert await look(2, 1) == 1, "an item that is shown again is not new"
    assert await look(0, 3, 2) == 2
    payload = await world.pool.fetchval(
        "SELECT payload FROM events WHERE hook_id = $1 ORDER BY id LIMIT 1", area.hook_id
    )
    assert source.action.outputs.model_validate(payload).model_dump(mode="json") == payload
