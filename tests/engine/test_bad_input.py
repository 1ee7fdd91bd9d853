"""What nobody should send, write or answer: a clear failure of that one thing, and everything else goes on."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest

from area.app.server import make_app
from area.core.errors import InvalidInput
from area.core.settings import Settings
from area.engine import control
from area.engine.areas import ReactionDraft, delete_area
from area.engine.executor import MOST_TAKEOVERS
from area.engine.intake import Incoming
from area.engine.platform import Platform, open_platform
from area.engine.runs import Checkpoint
from area.nodes import registry, sdk
from area.nodes.registry import Registry
from tests.engine import strange
from tests.engine.conftest import Sink, World, http, log


@pytest.fixture
async def odd(settings: Settings, user: UUID) -> AsyncIterator[World]:
    """A platform that has the strange service too."""
    platform = await open_platform(settings, Registry([*registry.load().services.values(), strange.service]))
    yield World(platform, user)
    await platform.close()


@pytest.fixture
async def client(platform: Platform) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(make_app(platform), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://area.test") as opened:
        yield opened


def step(reaction: str, value: Any = None, **more: Any) -> ReactionDraft:
    return ReactionDraft(f"strange.{reaction}", {"value": value}, key="odd", **more)


async def error_of(world: World, run: UUID) -> dict[str, Any]:
    error: dict[str, Any] = await world.pool.fetchval("SELECT error FROM runs WHERE id = $1", run)
    return error


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


@pytest.mark.parametrize(
    ("body", "status", "kept"),
    [
        (nested(100), 202, None),
        (nested(101), 400, None),
        ('{"a":' * 500 + "1" + "}" * 500, 400, None),
        (nested(100_000), 400, None),
        ('"' + "[" * 5000 + '"', 202, "[" * 5000),
        ('{"a": "x\\u0000y", "k\\u0000": 1}', 202, {"a": "x\ufffdy", "k\ufffd": 1}),
        ('"\\ud800"', 400, None),
        ('"\\ud83d\\ude00"', 202, "\U0001f600"),
        ("1e400", 400, None),
        ("[1e308, -1e-400]", 202, [1e308, 0.0]),
        ("123456789012345678901234567890", 202, 1.2345678901234568e29),
        ("18446744073709551615", 202, 18446744073709551615),
        ('{"a": 1, "a": 2}', 202, {"a": 2}),
        ("NaN", 400, None),
        ('{"$blob": "x", "cut": true}', 202, {"$blob": "x", "cut": True}),
    ],
)
async def test_a_body_is_kept_or_clearly_refused(
    world: World, client: httpx.AsyncClient, body: str, status: int, kept: Any
) -> None:
    area = await world.area(log("a"))
    token = await world.pool.fetchval("SELECT token FROM hooks WHERE id = $1", area.hook_id)
    answer = await client.post(f"/hooks/{token}", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == status, answer.text
    if status == 400:
        assert answer.json()["detail"].startswith("The body ")
        assert await world.run_of(area) is None
        return
    payload = await world.pool.fetchval("SELECT payload FROM events WHERE hook_id = $1", area.hook_id)
    assert kept is None or payload["body"] == kept
    run = await world.run_of(area)
    await world.execute(run)
    assert await world.status(run) == "succeeded"


async def test_what_cannot_be_stored_is_nobody_elses_trouble(world: World) -> None:
    areas = [await world.area(log("a")) for _ in range(3)]
    unfit = Incoming(areas[1].hook_id, "key", {})  # type: ignore[arg-type]
    object.__setattr__(unfit, "text", '{"a": "\\u0000"}')  # as if the mending had missed something
    fine = [Incoming(area.hook_id, "key", {}) for area in (areas[0], areas[2])]  # type: ignore[arg-type]
    answers = await asyncio.gather(
        *map(world.platform.intake.submit, (fine[0], unfit, fine[1])), return_exceptions=True
    )
    assert [type(answer).__name__ for answer in answers] == ["Accepted", "UntranslatableCharacterError", "Accepted"]


async def test_a_checkpoint_that_cannot_be_stored_fails_alone(world: World) -> None:
    area = await world.area(log("a"))
    for _ in range(3):
        await world.fire(area, {})
    ids = [row["id"] for row in await world.pool.fetch("SELECT id FROM runs WHERE area_id = $1 ORDER BY id", area.id)]
    claims = await world.platform.runs.claim(ids)
    given = [Checkpoint(claim["id"], claim["fence"], "succeeded", claim["last_seq"]) for claim in claims]
    given[1].filtered = "a\x00b"
    answers = await asyncio.gather(*map(world.platform.runs.commit, given), return_exceptions=True)
    assert [answer is False for answer in answers] == [True, False, True]
    assert [await world.status(checkpoint.run_id) for checkpoint in given] == ["succeeded", "running", "succeeded"]


async def test_keys_of_any_length_and_kind_tell_events_apart(world: World) -> None:
    area = await world.area(log("a"))
    hook = area.hook_id
    assert hook is not None
    keys = ["x" * 9000, "x" * 9001, "a\x00b", "a\ud800b"]
    accepted = [await world.platform.intake.submit(Incoming(hook, key, {})) for key in keys]
    again = [await world.platform.intake.submit(Incoming(hook, key, {})) for key in keys[:3]]
    assert [one.duplicate for one in accepted + again] == [False] * 4 + [True] * 3


@pytest.mark.parametrize("name", strange.VALUES)
async def test_values_that_can_be_mended_are(odd: World, name: str) -> None:
    run = await odd.happen(await odd.area(step("value", name), log("after", "{{ steps.odd.value }}")), {})
    assert await odd.status(run) == "succeeded"
    kept = {
        "surrogate": "a\ufffdb",
        "nul": {"k\ufffd": "a\ufffdb"},
        "large": 1.1805916207174113e21,
        "infinite": None,
        "shallow": strange.nested(90),
    }
    assert (await odd.steps(run))["odd"]["output"] == {"value": kept[name]}


@pytest.mark.parametrize("name", strange.UNFIT)
async def test_values_that_cannot_be_kept_fail_their_step(odd: World, name: str) -> None:
    run = await odd.happen(await odd.area(step("value", name), log("after")), {})
    assert await odd.status(run) == "failed"
    assert (await error_of(odd, run))["code"] == "BAD_OUTPUT"
    assert (await odd.steps(run))["after"]["status"] == "skipped"


@pytest.mark.parametrize("name", ["none", "text", "wrong", "missing", "list"])
async def test_something_else_than_promised_is_told(odd: World, name: str) -> None:
    run = await odd.happen(await odd.area(step("other", name)), {})
    error = await error_of(odd, run)
    assert error["code"] == "BAD_OUTPUT"
    assert error["message"].startswith("strange.other answered something else than it promised: ")


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("recursion", "INTERNAL"),
        ("memory", "INTERNAL"),
        ("exit", "INTERNAL"),
        ("odd", "REJECTED"),
        ("message", "INTERNAL"),
        ("cancel", "UNREACHABLE"),
    ],
)
async def test_whatever_a_reaction_raises_ends_its_run_alone(odd: World, name: str, code: str) -> None:
    run = await odd.happen(await odd.area(step("breaks", name, retry={"attempts": 1})), {})
    assert await odd.status(run) == "failed"
    assert (await error_of(odd, run))["code"] == code
    fine = await odd.happen(await odd.area(log("a")), {})
    assert await odd.status(fine) == "succeeded"


async def test_megabytes_are_cut_with_a_mark(odd: World) -> None:
    run = await odd.happen(await odd.area(step("megabytes"), log("after")), {})
    assert await odd.status(run) == "succeeded"
    assert (await odd.steps(run))["odd"]["output"] == {"cut": True, "bytes": 5_000_012}


@pytest.mark.parametrize("reads", ["It says {{ steps.odd.value }}", "{{ steps.odd }}", "{{ steps.odd.value | size }}"])
async def test_who_reads_what_was_cut_fails_instead_of_reading_nothing(odd: World, reads: str) -> None:
    area = await odd.area(
        step("megabytes"), log("asks", reads, on_failure="continue"), log("after", "{{ steps.asks.message }}")
    )
    run = await odd.happen(area, {})
    steps = await odd.steps(run)
    assert (steps["asks"]["status"], steps["asks"]["error"]["code"]) == ("failed", "TEMPLATE_FAILED")
    assert "'odd' was too large to be kept (5,000,012 bytes)" in steps["asks"]["error"]["message"]
    assert steps["after"]["status"] == "succeeded", "who reads something else is not concerned"
    told = "SELECT count(*) FROM run_events WHERE run_id = $1 AND level = 'warning' AND message LIKE 'This is 5,000,012 bytes%'"
    assert await odd.pool.fetchval(told, run) == 1


async def test_what_was_cut_is_so_for_a_later_worker_too(odd: World) -> None:
    wait = ReactionDraft("flow.delay", {"seconds": 60}, key="wait")
    run = await odd.happen(await odd.area(step("megabytes"), wait, log("asks", "{{ steps.odd.value }}")), {})
    await odd.due_now(run)
    await odd.execute(run)
    assert (await odd.steps(run))["asks"]["error"]["code"] == "TEMPLATE_FAILED"


@pytest.mark.parametrize(("method", "effect", "warned"), [("POST", "unknown", True), ("PUT", "unknown", False)])
async def test_an_answer_of_megabytes_is_no_proof_that_nothing_happened(
    world: World, sink: Sink, method: str, effect: str, warned: bool
) -> None:
    sink.text = "x" * 2_000_000
    run = await world.happen(await world.area(http("call", f"{sink.url}/call", method)), {})
    call = (await world.steps(run))["call"]
    assert (await world.status(run), call["status"], call["effect"]) == ("failed", "failed", effect)
    assert call["error"]["code"] == "RESPONSE_TOO_LARGE"
    assert ("may have happened" in call["error"]["message"]) == warned


async def test_a_reaction_that_never_answers_is_given_up(odd: World) -> None:
    run = await odd.happen(await odd.area(step("never", timeout_seconds=1)), {})
    assert await odd.status(run) == "held", "nobody knows what it did"
    assert (await odd.steps(run))["odd"]["status"] == "unknown"


async def test_lines_are_stored_as_far_as_they_can_be(odd: World) -> None:
    run = await odd.happen(await odd.area(step("logs")), {})
    assert await odd.status(run) == "succeeded"
    line = await odd.pool.fetchrow("SELECT * FROM run_events WHERE run_id = $1 AND kind = 'log'", run)
    assert (line["message"], line["data"]["cut"]) == ("a\ufffdb\ufffd", True)
    await odd.story(run)


async def test_inputs_that_are_too_deep_fail_their_step(world: World, odd: World) -> None:
    area = await odd.area(step("value", "{{ trigger.body }}"))
    await odd.platform.intake.submit(Incoming(area.hook_id, "k", {"body": strange.nested(98)}))  # type: ignore[arg-type]
    run = await odd.run_of(area)
    await odd.execute(run)
    assert await odd.status(run) == "failed", "there is no such value"
    with pytest.raises(InvalidInput, match="lists or objects"):
        await control.run_area(world.platform, world.user, area.id, strange.nested(150))


async def test_what_is_made_of_a_large_number_is_kept(world: World) -> None:
    message = "{{ trigger.body.n | times: 99999999999 | times: 99999999999 }}"
    values = ReactionDraft("flow.set", {"values": {"n": "{{ trigger.body.n }}"}}, key="set")
    run = await world.happen(await world.area(values, log("b", message)), {"n": 2**63})
    assert await world.status(run) == "succeeded"
    assert (await world.steps(run))["set"]["output"] == {"values": {"n": 2**63}}


async def test_a_run_of_a_deleted_area_fails_alone(world: World, sink: Sink) -> None:
    area, other = await world.area(http("call", sink.url)), await world.area(log("a"))
    await world.fire(area, {})
    run = await world.run_of(area)
    await delete_area(world.platform, world.user, area.id)
    await world.execute(run)
    assert await world.status(run) == "failed"
    assert (await error_of(world, run))["code"] == "AREA_DELETED"
    assert sink.calls == []
    await world.story(run)
    assert await world.status(await world.happen(other, {})) == "succeeded"


async def test_a_run_whose_version_is_gone_fails_alone(world: World) -> None:
    area = await world.area(log("a"))
    await world.fire(area, {})
    run = await world.run_of(area)
    await world.pool.execute("DELETE FROM areas WHERE id = $1", area.id)
    await world.execute(run)
    assert await world.status(run) == "failed"


@pytest.mark.parametrize(
    ("stored", "code"),
    [
        ({"message": 7, "level": "loud"}, "AREA_BROKEN"),
        ({"text": "{{ trigger.body.n }}"}, "INVALID_INPUT"),
        ({"message": "{{ trigger.body.n | no_such_filter }}"}, "TEMPLATE_FAILED"),
        ({"message": "{% for %}"}, "AREA_BROKEN"),
    ],
)
async def test_a_version_that_no_longer_fits_its_node_fails_its_runs(world: World, stored: Any, code: str) -> None:
    area = await world.area(log("a"), log("b"))
    change = "UPDATE area_versions SET reactions = jsonb_set(reactions, '{0,config}', $2::jsonb) WHERE area_id = $1"
    await world.pool.execute(change, area.id, stored)
    run = await world.happen(area, {"n": 1})
    assert await world.status(run) == "failed"
    assert (await error_of(world, run))["code"] == code
    await world.story(run)


async def test_a_run_that_kills_its_workers_is_given_up(world: World, sink: Sink) -> None:
    area = await world.area(http("call", sink.url))
    await world.fire(area, {})
    run = await world.run_of(area)
    for _ in range(MOST_TAKEOVERS):
        [_claim] = await world.platform.runs.claim([run])
        await world.expire_lease(run)
    await world.platform.runs.claim([run])
    await world.expire_lease(run)
    await world.execute(run)
    assert await world.status(run) == "failed"
    assert (await error_of(world, run))["code"] == "INTERRUPTED"
    assert sink.calls == []


def test_errors_that_are_not_text_are_told_all_the_same() -> None:
    assert str(sdk.Rejected({"not": "text"})) == "{'not': 'text'}"  # type: ignore[arg-type]
