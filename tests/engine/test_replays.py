"""Running events again: one, or many by a filter; and letting go on what rests."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from area.core.errors import Conflict, InvalidInput, NotFound
from area.core.ids import new_id
from area.db.models import Area
from area.engine import control
from area.engine.areas import ReactionDraft, update_area
from area.engine.executor import NOBODY
from area.engine.replays import How, Replayed, Which, replay_run, replay_runs
from tests.engine.conftest import Sink, World, http, log

BREAKS = log("a", "{{ trigger.body.n | divided_by: trigger.body.by }}")


async def failed(world: World, area: Area, count: int) -> list[UUID]:
    return [await world.happen(area, {"n": number, "by": 0}) for number in range(count)]


async def replays_of(world: World, runs: list[UUID]) -> list[Any]:
    rows: list[Any] = await world.pool.fetch("SELECT * FROM runs WHERE replay_of = ANY($1) ORDER BY replay_of", runs)
    return rows


async def replay(world: World, which: Which, how: How | None = None, **more: Any) -> Replayed:
    return await replay_runs(world.platform, world.user, which, how or How(), **more)


async def test_failed_runs_are_repeated_page_by_page(world: World) -> None:
    area, other = await world.area(BREAKS), await world.area(BREAKS)
    runs, others = await failed(world, area, 5), await failed(world, other, 1)
    await world.happen(area, {"n": 1, "by": 1})
    first = await replay(world, Which(area_id=area.id), limit=3)
    assert (first.count, first.skipped, first.cursor, first.has_more) == (3, 0, runs[2], True)
    second = await replay(world, Which(area_id=area.id, until=datetime.now(UTC)), limit=2, after=first.cursor)
    assert (second.count, second.cursor) == (2, runs[4])
    made = await replays_of(world, runs)
    assert [row["replay_of"] for row in made] == runs
    assert {(row["cause"], row["priority"], row["status"]) for row in made} == {("replay", 2, "queued")}
    assert await replays_of(world, others) == []
    await world.execute(*(row["id"] for row in made))
    assert {await world.status(row["id"]) for row in made} == {"failed"}, "they fail as they did"


async def test_since_and_until_bound_what_is_repeated(world: World) -> None:
    area = await world.area(BREAKS)
    runs = await failed(world, area, 3)
    day = timedelta(days=1)
    await world.pool.execute("UPDATE runs SET created_at = created_at - $2::interval WHERE id = $1", runs[0], day)
    await world.pool.execute("UPDATE runs SET created_at = created_at + $2::interval WHERE id = $1", runs[2], day)
    now = datetime.now(UTC)
    found = await replay(world, Which(area_id=area.id, since=now - day / 2, until=now + day / 2))
    assert (found.count, found.cursor, found.has_more) == (1, runs[1], False)
    assert await replay(world, Which(area_id=area.id, since=now + 2 * day)) == Replayed(0, 0, None, False)


async def test_from_where_it_failed_nothing_that_succeeded_happens_again(world: World, sink: Sink) -> None:
    area = await world.area(
        http("first", f"{sink.url}/first"),
        http("second", f"{sink.url}/second"),
        log("after", "{{ steps.first.status }} {{ steps.second.status }}"),
    )
    sink.answers = [(200, {}), (404, {}), (201, {})]
    run = await world.happen(area, {})
    made = await replay(world, Which(area_id=area.id), How(from_failed=True))
    [again] = await replays_of(world, [run])
    await world.execute(again["id"])
    assert (made.count, again["replay_from"]) == (1, "second")
    assert [path for path, _, _ in sink.calls] == ["/first", "/second", "/second"]
    assert (await world.steps(again["id"]))["after"]["input"]["message"] == "200 201"


async def test_side_by_side_only_what_failed_is_made_up_for(world: World, sink: Sink) -> None:
    area = await world.area(
        http("one", f"{sink.url}/one"),
        http("two", f"{sink.url}/two"),
        log("both", after=["one", "two"]),
        mode="parallel",
    )
    sink.answers = [(404, {})]
    run = await world.happen(area, {})
    lost = next(key for key, step in (await world.steps(run)).items() if step["status"] == "failed")
    sink.calls.clear()
    await replay(world, Which(area_id=area.id), How(from_failed=True))
    [again] = await replays_of(world, [run])
    await world.execute(again["id"])
    assert await world.status(again["id"]) == "succeeded"
    assert [path for path, _, _ in sink.calls] == [f"/{lost}"]


async def test_one_key_makes_one_page_however_often_and_soon(world: World) -> None:
    area = await world.area(BREAKS)
    runs = await failed(world, area, 4)
    which = Which(area_id=area.id)
    pages = await asyncio.gather(*(replay(world, which, limit=3, idempotency_key="once") for _ in range(4)))
    assert len(await replays_of(world, runs)) == 3
    again = await replay(world, which, limit=3, idempotency_key="once")
    assert again == Replayed(3, 0, runs[2], True)
    assert again in pages
    rest = await replay(world, which, limit=1, after=again.cursor, idempotency_key="once")
    assert (rest.count, rest.cursor) == (1, runs[3])


async def test_what_cannot_be_repeated_is_counted_and_passed_over(world: World) -> None:
    area = await world.area(BREAKS, log("b"))
    await failed(world, area, 1)
    await update_area(world.platform, world.user, area.id, 1, world.draft(BREAKS, log("c")))
    await failed(world, area, 1)
    by_step = await replay(world, Which(area_id=area.id), How(from_step="c"))
    assert (by_step.count, by_step.skipped) == (1, 1)
    published = await replay(world, Which(area_id=area.id), How(from_step="c", use_published=True))
    assert (published.count, published.skipped) == (2, 0)


async def test_what_makes_no_sense_is_refused(world: World) -> None:
    with pytest.raises(InvalidInput, match="have not ended"):
        await replay(world, Which(statuses=["failed", "running"]))
    with pytest.raises(InvalidInput, match="not both"):
        await replay(world, Which(), How(from_failed=True, from_step="a"))
    for limit in (0, 501):
        with pytest.raises(InvalidInput, match="Up to 500"):
            await replay(world, Which(), limit=limit)


async def test_nobody_repeats_the_runs_of_somebody_else(world: World) -> None:
    area = await world.area(BREAKS)
    runs = await failed(world, area, 1)
    eve = await replay_runs(world.platform, new_id(), Which(area_id=area.id), How())
    assert eve.count == 0
    assert await replays_of(world, runs) == []


async def test_replays_in_bulk_wait_for_events(world: World) -> None:
    await world.pool.execute("UPDATE runs SET status = 'cancelled', finished_at = now() WHERE finished_at IS NULL")
    area = await world.area(BREAKS)
    await failed(world, area, 3)
    await replay(world, Which(area_id=area.id))
    result = await world.fire(area, {"n": 1, "by": 1})
    claims, _ = await world.platform.runs.claim_next(1, NOBODY, {}, 100)
    assert [claim["event_id"] for claim in claims] == [result.event_id]


async def test_bulk_replays_keep_to_the_limit_of_their_area(world: World) -> None:
    area = await world.area(BREAKS, max_concurrent_runs=1)
    async with world.working():
        for number in range(3):
            await world.fire(area, {"n": number, "by": 0})
        runs = [row["id"] for row in await world.pool.fetch("SELECT id FROM runs WHERE area_id = $1", area.id)]
        await world.ended(*runs)
        await replay(world, Which(area_id=area.id))
        made = [row["id"] for row in await replays_of(world, runs)]
        await world.ended(*made)
    assert len(made) == 3


async def test_a_waiting_run_goes_on_when_its_owner_says_so(world: World) -> None:
    area = await world.area(ReactionDraft("flow.delay", {"seconds": 3600}, key="wait"), log("after"))
    run = await world.happen(area, {})
    await control.resume_run(world.platform, world.user, run)
    await world.execute(run)
    assert await world.status(run) == "succeeded"
    assert "run_resumed" in await world.story(run)
    with pytest.raises(Conflict, match="is succeeded"):
        await control.resume_run(world.platform, world.user, run)
    with pytest.raises(NotFound):
        await control.resume_run(world.platform, new_id(), run)


async def test_a_run_that_waits_for_a_person_is_not_hurried(world: World) -> None:
    ask = ReactionDraft("flow.approval", {"message": "Go on?", "on_timeout": "approve"}, key="ask")
    run = await world.happen(await world.area(ask, log("after")), {})
    with pytest.raises(Conflict, match="decide it, or cancel it"):
        await control.resume_run(world.platform, world.user, run)
    assert await world.status(run) == "waiting"


async def test_a_held_run_goes_on_when_what_it_was_held_for_is_gone(world: World) -> None:
    run = await world.happen(await world.area(ReactionDraft("flow.delay", {"seconds": 60}, key="wait")), {})
    account = new_id()
    await world.pool.execute(
        "INSERT INTO connected_accounts (id, user_id, service, external_id, label, status) "
        "VALUES ($1, $2, 'github', '7', 'ada', 'needs_reconnect')",
        account,
        world.user,
    )
    held = "UPDATE runs SET status = 'held', error = $2 WHERE id = $1"
    await world.pool.execute(held, run, {"code": "ACCOUNT_NEEDS_RECONNECT", "accountId": str(account)})
    with pytest.raises(Conflict, match="connected again"):
        await control.resume_run(world.platform, world.user, run)
    await world.pool.execute("UPDATE connected_accounts SET status = 'active' WHERE id = $1", account)
    await control.resume_run(world.platform, world.user, run)
    assert await world.status(run) == "queued"
    await world.pool.execute(held, run, {"code": "UNKNOWN"})
    with pytest.raises(Conflict, match="settle that step"):
        await control.resume_run(world.platform, world.user, run)


async def test_a_run_that_goes_on_by_itself_is_not_repeated(world: World) -> None:
    area = await world.area(log("a"), ReactionDraft("flow.delay", {"seconds": 3600}, key="wait"), log("after"))
    run = await world.happen(area, {})
    for status in ("queued", "running", "waiting"):
        await world.pool.execute("UPDATE runs SET status = $2 WHERE id = $1", run, status)
        for how in ({}, {"from_step": "after"}, {"use_published": True}):
            with pytest.raises(Conflict, match=f"This run is {status}.* cancel it"):
                await replay_run(world.platform, world.user, run, **how)
    assert await replays_of(world, [run]) == []
    await control.cancel_run(world.platform, world.user, run)
    again = await replay_run(world.platform, world.user, run)
    assert [row["id"] for row in await replays_of(world, [run])] == [again]


async def test_a_held_run_can_be_repeated(world: World) -> None:
    run = await world.happen(await world.area(log("a")), {})
    await world.pool.execute("UPDATE runs SET status = 'held', finished_at = NULL WHERE id = $1", run)
    again = await replay_run(world.platform, world.user, run)
    assert await world.status(again) == "queued"


async def test_a_replay_runs_what_ran_or_what_is_published(world: World) -> None:
    area = await world.area(log("a", "old"))
    run = await world.happen(area, {})
    await update_area(world.platform, world.user, area.id, 1, world.draft(log("a", "new")))
    said = []
    for use_published in (False, True):
        again = await replay_run(world.platform, world.user, run, use_published=use_published)
        await world.execute(again)
        said.append((await world.steps(again))["a"]["input"]["message"])
        assert await world.pool.fetchval("SELECT replay_of FROM runs WHERE id = $1", again) == run
    assert said == ["old", "new"]


async def test_steps_before_the_one_asked_for_do_not_happen_again_whatever_became_of_them(
    world: World, sink: Sink
) -> None:
    sink.by_path = {"/waits": 500, "/unknown": 504}
    area = await world.area(
        http("waits", f"{sink.url}/waits", "PUT"),
        http("unknown", f"{sink.url}/unknown"),
        log("never", after=["waits"]),
        http("last", f"{sink.url}/last", after=["waits", "unknown"]),
        mode="parallel",
    )
    held = await world.happen(area, {})
    assert await world.status(held) == "held"
    sink.by_path = {}
    sink.calls.clear()
    again = await replay_run(world.platform, world.user, held, "last")
    await world.execute(again)
    assert [path for path, _, _ in sink.calls] == ["/last"]
    found = {key: step["status"] for key, step in (await world.steps(again)).items()}
    assert found == {"waits": "skipped", "unknown": "skipped", "never": "skipped", "last": "succeeded"}
