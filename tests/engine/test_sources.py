"""Sources: events fire once, baselines are not news, one hook serves many AREAs (laws 1, 4, 8)."""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from area.core.ids import new_id
from area.engine import polling, statements
from area.engine.areas import delete_area, set_area_enabled
from area.engine.intake import UnknownHook
from area.nodes import sdk
from tests.engine.conftest import World, eventually, log, serving

FEED = '<rss version="2.0"><channel><title>t</title>{items}</channel></rss>'


class FeedServer:
    """A real feed on loopback."""

    def __init__(self) -> None:
        self.items: list[str] = []
        self.body: str | None = None
        self.polls = 0
        self.url = ""

    async def handle(self, _request: Any) -> Response:
        self.polls += 1
        items = "".join(
            f"<item><guid>{i}</guid><title>{i}</title><link>http://x.test/{i}</link></item>" for i in self.items
        )
        return Response(self.body or FEED.format(items=items), media_type="application/rss+xml")


@pytest.fixture
async def feed() -> AsyncIterator[FeedServer]:
    made = FeedServer()
    async with serving(Starlette(routes=[Route("/{path:path}", made.handle)])) as url:
        made.url = f"{url}/feed.xml"
        yield made


async def poll(world: World, hook_id: Any) -> None:
    await world.pool.execute("UPDATE hooks SET next_due_at = now() WHERE id = $1", hook_id)
    await polling.tick(world.platform)


async def count(world: World, area: Any) -> int:
    found: int = await world.pool.fetchval("SELECT count(*) FROM runs WHERE area_id = $1", area.id)
    return found


async def test_a_feed_fires_once_for_each_new_item_whatever_it_does(world: World, feed: FeedServer) -> None:
    feed.items = ["a", "b"]
    area = await world.area(log("x"), action="rss.new_item", config={"url": feed.url})
    await poll(world, area.hook_id)
    assert await count(world, area) == 0, "the first look is a baseline"
    feed.items = ["c", "b", "a"]
    await poll(world, area.hook_id)
    await poll(world, area.hook_id)
    assert await count(world, area) == 1
    feed.items = ["b"]
    await poll(world, area.hook_id)
    feed.items = ["a", "c", "b", "d"]
    await poll(world, area.hook_id)
    assert await count(world, area) == 2, "only d is new: a and c came back"


async def test_many_areas_on_one_feed_cost_one_poll(world: World, feed: FeedServer) -> None:
    areas = [await world.area(log("x"), action="rss.new_item", config={"url": feed.url}) for _ in range(5)]
    assert len({area.hook_id for area in areas}) == 1
    await poll(world, areas[0].hook_id)
    feed.items = ["new"]
    before = feed.polls
    await poll(world, areas[0].hook_id)
    assert feed.polls == before + 1
    assert [await count(world, area) for area in areas] == [1] * 5


async def test_a_feed_that_is_none_is_told_on_its_hook_and_heals(world: World, feed: FeedServer) -> None:
    feed.body = "<html><body>Sorry</body></html>"
    area = await world.area(log("x"), action="rss.new_item", config={"url": feed.url})
    await poll(world, area.hook_id)
    hook = await world.pool.fetchrow("SELECT * FROM hooks WHERE id = $1", area.hook_id)
    assert hook["failures_in_row"] == 1
    assert hook["last_error"]
    assert hook["next_due_at"] > datetime.now(UTC) + timedelta(seconds=10)
    feed.body = None
    await poll(world, area.hook_id)
    assert await world.pool.fetchval("SELECT failures_in_row FROM hooks WHERE id = $1", area.hook_id) == 0


async def test_two_schedulers_fire_a_moment_once_and_missed_ones_once(world: World) -> None:
    area = await world.area(log("x"), action="schedule.every", config={"seconds": 60})
    await world.pool.execute("UPDATE hooks SET next_due_at = now() - interval '10 minutes' WHERE id = $1", area.hook_id)
    await asyncio.gather(*(polling.tick(world.platform) for _ in range(4)))
    assert await count(world, area) == 1
    due = await world.pool.fetchval("SELECT next_due_at FROM hooks WHERE id = $1", area.hook_id)
    assert datetime.now(UTC) < due <= datetime.now(UTC) + timedelta(seconds=61)


async def test_a_date_fires_once_and_its_hook_ends(world: World) -> None:
    at = (datetime.now(UTC) + timedelta(seconds=0.3)).isoformat()
    area = await world.area(log("x"), action="schedule.once", config={"at": at})

    async def ended() -> bool:
        await polling.tick(world.platform)
        return bool(await world.pool.fetchval("SELECT status = 'ended' FROM hooks WHERE id = $1", area.hook_id))

    await eventually(ended)
    assert await count(world, area) == 1
    await poll(world, area.hook_id)
    assert await count(world, area) == 1


async def test_a_delivery_with_an_id_is_one_event(world: World) -> None:
    area = await world.area(log("x"))
    first = await world.fire(area, {}, **{"x-delivery-id": "7"})
    again = await world.fire(area, {}, **{"x-delivery-id": "7"})
    assert (first.runs, again.runs) == (1, 0)
    assert again.duplicate
    assert again.event_id == first.event_id
    assert await count(world, area) == 1


async def test_equal_deliveries_at_once_are_one_event(world: World) -> None:
    area = await world.area(log("x"))
    results = await asyncio.gather(*(world.fire(area, {}, **{"x-delivery-id": "same"}) for _ in range(50)))
    assert sum(result.runs for result in results) == 1
    assert await count(world, area) == 1


async def test_a_secret_is_sealed_and_its_signature_demanded(world: World) -> None:
    area = await world.area(log("x"), config={"secret": "a-good-secret"})
    hook = await world.pool.fetchrow("SELECT token, config FROM hooks WHERE id = $1", area.hook_id)
    assert "a-good-secret" not in str(hook["config"])
    raw = b'{"a": 1}'
    good = "sha256=" + hmac.new(b"a-good-secret", raw, hashlib.sha256).hexdigest()

    def signed(signature: str) -> sdk.WebhookDelivery:
        return sdk.WebhookDelivery("POST", {"x-signature-256": signature}, {}, raw, {"a": 1}, "application/json")

    assert (await world.platform.intake.deliver(hook["token"], signed(good))).runs == 1
    with pytest.raises(sdk.BadSignature):
        await world.platform.intake.deliver(hook["token"], signed(good[:-1] + "0" + "f"))
    assert await count(world, area) == 1


async def test_a_deleted_area_is_not_found_any_more(world: World) -> None:
    area = await world.area(log("x"))
    await delete_area(world.platform, world.user, area.id)
    with pytest.raises(UnknownHook):
        await world.fire(area, {})


async def test_an_area_reacts_to_the_failure_of_another(world: World) -> None:
    watcher = await world.area(log("x", "{{ trigger.area_name }}"), action="area.run_failed")
    await poll(world, watcher.hook_id)
    failing = await world.area(FAILS)
    run = await world.happen(failing, {})
    assert await world.status(run) == "failed"
    await poll(world, watcher.hook_id)
    await poll(world, watcher.hook_id)
    assert await count(world, watcher) == 1


FAILS = log("a", "{% for a in (1..5000) %}{% for b in (1..5000) %}x{% endfor %}{% endfor %}")


async def test_what_fails_once_the_area_is_saved_is_told_whenever_the_first_look_is(world: World) -> None:
    failing = await world.area(FAILS)
    await world.happen(failing, {})
    watcher = await world.area(log("x"), action="area.run_failed")

    async def told() -> set[str]:
        await poll(world, watcher.hook_id)
        rows = await world.pool.fetch("SELECT payload FROM events WHERE hook_id = $1", watcher.hook_id)
        return {row["payload"]["run_id"] for row in rows}

    first = await world.happen(failing, {})
    assert await told() == {str(first)}, "and none of before"
    await set_area_enabled(world.platform, world.user, watcher.id, enabled=False)
    await world.happen(failing, {})
    await set_area_enabled(world.platform, world.user, watcher.id, enabled=True)
    second = await world.happen(failing, {})
    assert await told() == {str(first), str(second)}, "and none of meanwhile"


async def test_a_source_that_breaks_once_the_area_is_saved_is_told_at_the_first_look(
    world: World, feed: FeedServer
) -> None:
    feed.body = "<html>not a feed"
    before = await world.area(log("x"), action="rss.new_item", config={"url": f"{feed.url}?before"})
    await poll(world, before.hook_id)
    watcher = await world.area(log("x"), action="hook.broken")
    await world.pool.execute("UPDATE hooks SET next_due_at = NULL WHERE id = $1", watcher.hook_id)
    after = await world.area(log("x"), action="rss.new_item", config={"url": f"{feed.url}?after"})
    await poll(world, after.hook_id)
    await poll(world, watcher.hook_id)
    rows = await world.pool.fetch("SELECT payload FROM events WHERE hook_id = $1", watcher.hook_id)
    assert [row["payload"]["hook_id"] for row in rows] == [str(after.hook_id)]


async def test_an_area_is_told_of_a_source_that_breaks_once_each_time(world: World, feed: FeedServer) -> None:
    other = new_id()
    await world.pool.execute("INSERT INTO users (id, email) VALUES ($1, $2)", other, f"{other.hex}@example.com")
    stranger = World(world.platform, other)
    feed.body = "<html>not a feed"
    before = await world.area(log("x"), action="rss.new_item", config={"url": feed.url + "?old"})
    await poll(world, before.hook_id)
    told = log("x", "{{ trigger.areas }} {{ trigger.reason }}")
    watcher = await world.area(told, action="hook.broken")
    elsewhere = await world.area(told, action="hook.broken", config={"action": "schedule.cron"})
    unconcerned = await stranger.area(told, action="hook.broken")

    async def all_told() -> list[Any]:
        for area in (watcher, elsewhere, unconcerned):
            await poll(world, area.hook_id)
        rows = await world.pool.fetch("SELECT payload FROM events WHERE hook_id = $1 ORDER BY id", watcher.hook_id)
        return [row["payload"] for row in rows]

    assert await all_told() == [], "what was broken before is no news"
    area = await world.area(log("x"), action="rss.new_item", config={"url": feed.url})
    await poll(world, area.hook_id)
    await all_told()
    [news] = await all_told()
    assert (news["hook_id"], news["action"], news["code"]) == (str(area.hook_id), "rss.new_item", "NOT_A_FEED")
    assert (news["area_ids"], news["area_count"], news["failures_in_row"]) == ([str(area.id)], 1, 1)
    assert "is not a feed" in news["reason"]
    run = await world.run_of(watcher)
    await world.execute(run)
    assert await world.status(run) == "succeeded"

    feed.body = None
    await poll(world, area.hook_id)
    await all_told()
    assert await world.pool.fetchval("SELECT status FROM hooks WHERE id = $1", area.hook_id) == "active"
    feed.body = "<html>not a feed"
    await poll(world, area.hook_id)
    assert [one["hook_id"] for one in await all_told()] == [str(area.hook_id)] * 2
    assert await count(world, elsewhere) + await count(world, unconcerned) == 0


async def test_a_source_switched_off_during_its_poll_stays_off(world: World, feed: FeedServer) -> None:
    area = await world.area(log("x"), action="rss.new_item", config={"url": feed.url})
    await world.pool.execute("UPDATE hooks SET next_due_at = now() WHERE id = $1", area.hook_id)
    [*claimed] = await world.pool.fetch(statements.DUE_HOOKS, 50, ["poll"])
    mine = next(row for row in claimed if row["id"] == area.hook_id)
    await set_area_enabled(world.platform, world.user, area.id, enabled=False)
    await polling._guarded(world.platform, mine)
    assert await world.pool.fetchval("SELECT status FROM hooks WHERE id = $1", area.hook_id) == "unused"
