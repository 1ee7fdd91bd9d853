"""What a person does with the platform, end to end, on its real processes."""

import asyncio
from collections import Counter
from functools import partial
from typing import Any
from uuid import UUID

from area.core.ids import uuid_of
from tests.e2e.conftest import Story
from tests.e2e.world import until

POLL_NOW = "UPDATE hooks SET next_due_at = now() WHERE id = (SELECT hook_id FROM areas WHERE id = $1)"
RUNS = "SELECT id, status, error FROM runs WHERE area_id = $1 ORDER BY id"
CURSOR = "SELECT cursor FROM hooks WHERE id = (SELECT hook_id FROM areas WHERE id = $1)"
POLLED = "SELECT last_polled_at FROM hooks WHERE id = (SELECT hook_id FROM areas WHERE id = $1)"
LOG = {"reaction": "flow.log", "config": {"message": "Done"}}


def row_id(area: Any) -> UUID:
    found = uuid_of(area["id"], "Area")
    assert found is not None
    return found


async def runs(story: Story, area: Any, status: str, count: int = 1) -> bool:
    rows = await story.database.fetch(RUNS, row_id(area))
    return [row["status"] for row in rows] == [status] * count


def call(url: str, key: str, method: str = "POST") -> dict[str, Any]:
    return {"key": key, "reaction": "http.request", "config": {"method": method, "url": url, "body": {"key": key}}}


async def test_a_webhook_is_followed_live_from_its_event_to_its_end(story: Story) -> None:
    story.processes.start("worker")
    area = await story.client.create_area(
        "Tell", "webhook.received", {}, [call(f"{story.outside.url}/told", "tell"), LOG]
    )

    async with story.client.feed() as feed:
        await story.client.fire(area["hook"]["webhookUrl"], {"order": 42})
        seen: list[dict[str, Any]] = []
        while not seen or seen[-1]["kind"] != "RUN_SUCCEEDED":
            seen.append(await asyncio.wait_for(feed.get(), 15))

    assert [event["kind"] for event in seen] == [
        "EVENT_RECEIVED",
        "RUN_STARTED",
        "STEP_STARTED",
        "STEP_SUCCEEDED",
        "STEP_STARTED",
        "LOG",
        "STEP_SUCCEEDED",
        "RUN_SUCCEEDED",
    ]
    assert [event["seq"] for event in seen] == list(range(1, len(seen) + 1))
    assert len({event["run"]["id"] for event in seen}) == 1
    assert {event["area"]["id"] for event in seen} == {area["id"]}
    assert story.outside.calls == Counter({"/told": 1})


async def test_a_feed_fires_once_for_a_new_item_and_never_for_what_was_there(story: Story) -> None:
    story.processes.start("worker")
    story.processes.start("scheduler")
    area = await story.client.create_area("News", "rss.new_item", {"url": f"{story.outside.url}/feed.xml"}, [LOG])
    await until(lambda: story.database.fetchval(CURSOR, row_id(area)), 15, "the first look was the baseline")
    assert await story.database.fetch(RUNS, row_id(area)) == []

    story.outside.items.append("new")
    await look_again(story, area)
    await until(lambda: runs(story, area, "succeeded"), 15, "the new item started a run that succeeded")
    await look_again(story, area)

    assert await runs(story, area, "succeeded")
    titles = "SELECT payload->>'title' FROM events WHERE id = (SELECT event_id FROM runs WHERE area_id = $1)"
    assert await story.database.fetchval(titles, row_id(area)) == "new"


async def look_again(story: Story, area: Any) -> None:
    before = await story.database.fetchval(POLLED, row_id(area))
    await story.database.execute(POLL_NOW, row_id(area))

    async def polled() -> bool:
        return bool(await story.database.fetchval(POLLED, row_id(area)) != before)

    await until(polled, 15, "the scheduler looked at the feed again")


async def test_schedules_fire_when_they_are_due(story: Story) -> None:
    story.processes.start("worker")
    story.processes.start("scheduler")
    every = await story.client.create_area("Interval", "schedule.every", {"seconds": 3600}, [LOG])
    cron = await story.client.create_area("Cron", "schedule.cron", {"expression": "0 9 1 1 *"}, [LOG])

    for area in (every, cron):
        await story.database.execute(POLL_NOW, row_id(area))

    for area in (every, cron):
        await until(partial(runs, story, area, "succeeded"), 15, "the schedule started a run")
        due = "SELECT next_due_at > now() FROM hooks WHERE id = (SELECT hook_id FROM areas WHERE id = $1)"
        assert await story.database.fetchval(due, row_id(area))


async def test_a_killed_worker_costs_no_run_and_repeats_no_finished_step(story: Story) -> None:
    outside = story.outside
    first = story.processes.start("worker")
    steps = [call(f"{outside.url}/first", "first"), call(f"{outside.url}/slow", "slow", "GET")]
    area = await story.client.create_area("Two calls", "webhook.received", {}, steps)
    await story.client.fire(area["hook"]["webhookUrl"], {})
    await until(lambda: called(story, "/slow"), 15, "the second step was under way")
    story.processes.start("worker")

    first.kill()
    await asyncio.to_thread(first.wait)
    outside.released.set()

    await until(lambda: runs(story, area, "succeeded"), 15, "the other worker finished the run")
    assert outside.calls == Counter({"/first": 1, "/slow": 2})


async def called(story: Story, path: str) -> bool:
    return story.outside.calls[path] > 0
