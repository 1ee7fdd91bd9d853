"""How often a step is called, how long it rests in between, and when it is given up."""

from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from area.engine import mishaps
from area.engine.areas import ReactionDraft, update_area
from area.engine.plan import Plans
from area.engine.platform import Platform
from area.nodes import sdk
from tests.engine.conftest import World

service = sdk.Service(key="tired", name="Tired", description="Fails as it is told.")
fails: list[Exception] = []
calls: list[str] = []


@service.reaction("Act", idempotent=True)
async def act(ctx: sdk.Context, given: sdk.Inputs) -> sdk.Outputs:
    """Fails, as often as there are failures."""
    calls.append(ctx.idempotency_key)
    if fails:
        raise fails.pop(0)
    return sdk.Outputs()


@service.reaction("Insist", idempotent=True, attempts=7)
async def insist(ctx: sdk.Context, given: sdk.Inputs) -> sdk.Outputs:
    """The same, and is to be tried oftener."""
    answer: sdk.Outputs = await act.fn(ctx, given)
    return answer


@pytest.fixture(autouse=True)
def known(platform: Platform) -> Iterator[None]:
    """The service, in the catalogue while a test runs."""
    platform.registry.services[service.key] = service
    platform.registry.reactions |= service.reactions
    fails.clear()
    calls.clear()
    yield
    del platform.registry.services[service.key]
    for key in service.reactions:
        del platform.registry.reactions[key]


class Dice:
    """Stands for `random` in the engine: notes between what it is to draw, and draws what a test says."""

    def __init__(self) -> None:
        self.asked: list[tuple[float, float]] = []
        self.share = 1.0

    def uniform(self, low: float, high: float) -> float:
        self.asked.append((low, high))
        return low + (high - low) * self.share


@pytest.fixture
def dice(monkeypatch: pytest.MonkeyPatch) -> Dice:
    made = Dice()
    monkeypatch.setattr(mishaps, "random", SimpleNamespace(uniform=made.uniform))
    return made


async def rest_of(world: World, run: UUID) -> tuple[timedelta, timedelta]:
    """Execute the run, which goes to rest; between which two the rest lies, by Postgres's clock."""
    before = await world.pool.fetchval("SELECT now()")
    await world.execute(run)
    after = await world.pool.fetchval("SELECT now()")
    [step] = (await world.steps(run)).values()
    assert (await world.status(run), step["status"]) == ("waiting", "waiting")
    assert await world.pool.fetchval("SELECT due_at FROM runs WHERE id = $1", run) == step["due_at"]
    return step["due_at"] - after, step["due_at"] - before


async def fired(world: World, reaction: str = "tired.act", **more: Any) -> UUID:
    area = await world.area(ReactionDraft(reaction, {}, key="act", **more))
    await world.fire(area, {})
    return await world.run_of(area)


async def test_each_rest_is_drawn_anew_up_to_a_bound_that_doubles_and_then_stays(world: World, dice: Dice) -> None:
    fails.extend([sdk.Unavailable("It is away.")] * 20)
    run = await fired(world, retry={"attempts": 20})
    for number in range(1, 20):
        dice.share = (1 + number % 4) / 4
        least, most = await rest_of(world, run)
        bound = min(300.0, 2.0**number)
        assert dice.asked[number - 1 :] == [(0, bound)]
        assert least <= timedelta(seconds=bound * dice.share) <= most
        await world.due_now(run)
    await world.execute(run)
    assert (await world.status(run), len(calls), len(dice.asked)) == ("failed", 20, 19)


async def test_a_rest_may_be_none_at_all(world: World, dice: Dice) -> None:
    dice.share = 0.0
    fails.append(sdk.Unavailable("It is away."))
    run = await fired(world)
    await world.execute(run)
    await world.execute(run)
    assert (await world.status(run), len(calls)) == ("succeeded", 2)


@pytest.mark.parametrize(
    ("failure", "code"),
    [(sdk.Unavailable("It is away."), "UNAVAILABLE"), (sdk.Throttled("Not so fast.", 30), "THROTTLED")],
)
async def test_what_has_failed_for_three_days_is_given_up(world: World, failure: Exception, code: str) -> None:
    older = "UPDATE run_steps SET started_at = now() - $2::interval WHERE run_id = $1"
    fails.extend([failure] * 3)
    run = await fired(world, retry={"attempts": 20})
    await world.execute(run)
    await world.pool.execute(older, run, timedelta(days=3, minutes=-5))
    await world.due_now(run)
    await world.execute(run)
    assert await world.status(run) == "waiting"
    await world.pool.execute(older, run, timedelta(days=3, seconds=1))
    await world.due_now(run)
    await world.execute(run)
    step = (await world.steps(run))["act"]
    assert (await world.status(run), step["status"], step["error"]["code"]) == ("failed", "failed", code)
    assert len(calls) == 3


@pytest.mark.parametrize(
    ("asked", "given"),
    [(0.0, timedelta(seconds=1)), (90.0, timedelta(seconds=90)), (30 * 86400.0, timedelta(days=3))],
)
async def test_a_throttle_rests_as_it_asked_within_reason(
    world: World, dice: Dice, asked: float, given: timedelta
) -> None:
    fails.append(sdk.Throttled("Not so fast.", asked))
    run = await fired(world, retry={"attempts": 1})
    least, most = await rest_of(world, run)
    assert least <= given <= most
    assert (await world.steps(run))["act"]["attempt"] == 0
    assert dice.asked == []


async def attempts_of(world: World, run: UUID) -> int:
    """Execute the run until its step is given up; how many calls that took."""
    fails.extend([sdk.Unavailable("It is away.")] * 30)
    calls.clear()
    while await world.status(run) != "failed":
        await world.due_now(run)
        await world.execute(run)
    fails.clear()
    return len(calls)


@pytest.mark.parametrize(
    ("reaction", "retry", "attempts"),
    [("act", None, 5), ("insist", None, 7), ("insist", {"attempts": 2}, 2), ("act", {"attempts": 9}, 9)],
)
async def test_a_step_is_attempted_as_its_area_says_or_else_its_node(
    world: World, reaction: str, retry: Any, attempts: int
) -> None:
    run = await fired(world, f"tired.{reaction}", retry=retry)
    assert await attempts_of(world, run) == attempts


async def test_items_of_a_loop_are_attempted_as_their_own_node_says(world: World) -> None:
    loop = {"items": "{{ trigger.body }}", "reaction": "tired.insist", "config": {}, "stops": True}
    area = await world.area(ReactionDraft("flow.for_each", loop, key="loop"))
    await world.fire(area, [1])
    assert await attempts_of(world, await world.run_of(area)) == 7


async def test_a_version_keeps_what_its_node_said_when_it_was_saved(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    area = await world.area(ReactionDraft("tired.insist", {}, key="act"))
    monkeypatch.setattr(insist, "attempts", 3)
    # As another process compiles it, that has the new code.
    monkeypatch.setattr(world.platform, "plans", Plans(world.pool, world.platform.registry))
    await world.fire(area, {})
    assert await attempts_of(world, await world.run_of(area)) == 7
    again = world.draft(ReactionDraft("tired.insist", {}, key="act"))
    area = await update_area(world.platform, world.user, area.id, 1, again)
    await world.fire(area, {})
    assert await attempts_of(world, await world.run_of(area)) == 3
