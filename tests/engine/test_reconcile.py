"""A call whose worker died: a reaction that can ask whether it happened is asked, and nothing happens twice."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from pydantic import Field

from area.engine.areas import ReactionDraft
from area.engine.platform import Platform
from area.nodes import sdk
from tests.engine.conftest import World, log

service = sdk.Service(key="asked", name="Asked", description="Says whether something happened.")
says: list[Any] = []
calls: list[str] = []
fails: list[Exception] = []


BEGUN = """
INSERT INTO run_steps (run_id, position, key, reaction, status, attempt, effect, started_at)
VALUES ($1, 0, 'act', 'asked.act', 'running', 1, 'intended', now())
"""
"""As a worker leaves it that dies in the call: its intent is durable, and no outcome."""


class Done(sdk.Outputs):
    """What was done."""

    by: str = Field(title="By", description="Who did it.", examples=["call"])


@service.reaction("Act", idempotent=False)
async def act(ctx: sdk.Context, given: sdk.Inputs) -> Done:
    """Does it."""
    calls.append(ctx.idempotency_key)
    if fails:
        raise fails[0]
    return Done(by="call")


@service.reaction("Repeat", idempotent=True)
async def repeat(ctx: sdk.Context, given: sdk.Inputs) -> Done:
    """Does it, however often it is asked to."""
    calls.append(ctx.idempotency_key)
    if fails:
        raise fails.pop()
    return Done(by="call")


@act.reconcile
async def find(ctx: sdk.Context, given: sdk.Inputs) -> Done | None:
    """Says whether it was done."""
    answer = says.pop()
    if isinstance(answer, Exception):
        raise answer
    found: Done | None = answer
    return found


@pytest.fixture(autouse=True)
def known(platform: Platform) -> Iterator[None]:
    """The service, in the catalogue while a test runs."""
    platform.registry.services[service.key] = service
    platform.registry.reactions |= {act.key: act, repeat.key: repeat}
    fails.clear()
    says.clear()
    calls.clear()
    yield
    del platform.registry.services[service.key]
    del platform.registry.reactions[act.key], platform.registry.reactions[repeat.key]


@pytest.mark.parametrize(
    ("answer", "status", "step", "effect", "times", "by"),
    [
        (Done(by="before"), "succeeded", "succeeded", "confirmed", 0, "before"),
        (None, "succeeded", "succeeded", "confirmed", 1, "call"),
        (sdk.Unavailable("It is away."), "held", "unknown", "unknown", 0, None),
    ],
)
async def test_whoever_takes_over_asks_first(
    world: World, answer: Any, status: str, step: str, effect: str, times: int, by: str | None
) -> None:
    area = await world.area(ReactionDraft("asked.act", {}, key="act"))
    await world.fire(area, {})
    run = await world.run_of(area)
    await world.platform.runs.claim([run])
    await world.pool.execute(BEGUN, run)
    await world.expire_lease(run)
    says.append(answer)
    await world.execute(run)
    found = (await world.steps(run))["act"]
    assert (await world.status(run), found["status"], found["effect"], len(calls)) == (status, step, effect, times)
    assert found["output"] == (None if by is None else {"by": by})
    assert says == []


async def test_what_was_said_not_to_have_happened_is_in_doubt_no_more(world: World) -> None:
    area = await world.area(ReactionDraft("asked.act", {}, key="act"))
    await world.fire(area, {})
    run = await world.run_of(area)
    await world.platform.runs.claim([run])
    await world.pool.execute(BEGUN, run)
    await world.expire_lease(run)
    says.append(None)
    fails.append(sdk.Unavailable("It is away."))
    await world.execute(run)
    found = (await world.steps(run))["act"]
    assert (found["status"], found["effect"], len(calls)) == ("waiting", "none", 1)


@pytest.mark.parametrize("lost", [httpx.ReadTimeout("no answer"), sdk.Unheard("asked.test answered 502")])
@pytest.mark.parametrize(
    ("answer", "status", "step", "effect", "by"),
    [
        (Done(by="lost call"), "succeeded", "succeeded", "confirmed", "lost call"),
        (None, "held", "unknown", "unknown", None),  # it may be under way still: nobody tries again by himself
        (sdk.Reconnect("Connect it again."), "held", "unknown", "unknown", None),
    ],
)
async def test_an_answer_that_is_lost_is_asked_for(
    world: World, lost: Exception, answer: Any, status: str, step: str, effect: str, by: str | None
) -> None:
    area = await world.area(ReactionDraft("asked.act", {}, key="act"))
    await world.fire(area, {})
    run = await world.run_of(area)
    fails.append(lost)
    says.append(answer)
    await world.execute(run)
    found = (await world.steps(run))["act"]
    assert (await world.status(run), found["status"], found["effect"], len(calls)) == (status, step, effect, 1)
    assert found["output"] == (None if by is None else {"by": by})
    assert says == []


async def test_a_confirmed_output_too_large_to_keep_is_not_read_as_empty(world: World) -> None:
    area = await world.area(ReactionDraft("asked.act", {}, key="act"), log("after", "By {{ steps.act.by }}"))
    await world.fire(area, {})
    run = await world.run_of(area)
    fails.append(httpx.ReadTimeout("no answer"))
    says.append(Done(by="x" * (1 << 21)))
    await world.execute(run)
    steps = await world.steps(run)
    assert (steps["act"]["status"], steps["after"]["error"]["code"]) == ("succeeded", "TEMPLATE_FAILED")


async def test_what_may_be_repeated_is_after_a_gateway_gave_up(world: World) -> None:
    area = await world.area(ReactionDraft("asked.repeat", {}, key="act", retry={"attempts": 2}))
    await world.fire(area, {})
    run = await world.run_of(area)
    fails.append(sdk.Unheard("asked.test answered 502"))

    await world.execute(run)
    waiting = (await world.steps(run))["act"]
    await world.due_now(run)
    await world.execute(run)

    ended = (await world.steps(run))["act"]
    assert (waiting["status"], waiting["error"]["code"], ended["status"]) == ("waiting", "UNAVAILABLE", "succeeded")
    assert len(calls) == 2
    assert len(set(calls)) == 1
