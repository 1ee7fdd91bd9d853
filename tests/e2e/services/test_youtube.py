"""YouTube through the engine: subscriptions that the hub confirms and ends, videos that start runs, what runs do, once."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest

from area.core.settings import Settings
from area.db.models import Area
from area.engine import polling
from area.engine.areas import ReactionDraft, delete_area
from tests.contract.documents import SPECS
from tests.contract.plugin import Contract
from tests.e2e.services.stories import Heard, step
from tests.engine.living import living
from tests.providers.calls import Fault
from tests.providers.signing import hmac_body
from tests.providers.youtube import CHANNEL, FEED, HUB, MIX, PLACE, YouTube, ago

NEW, LIKED = "youtube.new_video", "youtube.liked_video"
ADD, LIKE, COMMENT = "youtube.add_to_playlist", "youtube.like", "youtube.comment"
THREADS = f"POST {PLACE}/commentThreads"


class Story(Heard[YouTube]):
    """One user's AREAs, and YouTube with its hub."""

    async def listening(self, account: UUID | None, *reactions: ReactionDraft) -> Area:
        """An AREA whose subscription the hub has confirmed."""
        area = await self.from_now(account, NEW, *reactions, channel=CHANNEL)
        await self.there.settled()
        return area

    async def hook(self, area: Area) -> Any:
        return await self.pool.fetchrow(
            "SELECT *, extract(epoch FROM expires_at - now()) AS left, extract(epoch FROM next_due_at - now()) AS due"
            " FROM hooks WHERE id = $1",
            area.hook_id,
        )

    async def tick(self) -> None:
        """The scheduler's turn, and the hub's."""
        await polling.tick(self.platform)
        await self.there.settled()


@pytest.fixture
async def story(settings: Settings, user: UUID) -> AsyncIterator[Story]:
    there = YouTube()
    async with living(settings, user, there) as world:
        yield Story(world.platform, user, there)
    api = [call for call in there.calls if call.path.startswith(PLACE)]
    if SPECS.is_dir() and api:
        Contract("youtube").audit(there)


async def test_a_new_video_is_collected_liked_and_commented_on_once(story: Story) -> None:
    account = await story.connect("youtube", NEW, ADD, COMMENT)
    area = await story.listening(
        account,
        step(account, ADD, video="{{ trigger.url }}", playlist=MIX),
        step(account, LIKE, video="{{ trigger.id }}"),
        step(
            account,
            COMMENT,
            video="{{ trigger.id }}",
            text="{{ trigger.title }}, {{ trigger.duration }} s: {{ trigger.description }}",
        ),
    )
    old, key = story.there.put("Before", at=ago(hours=1)), story.there.put("Über & mehr 🎬")
    await story.there.tell(old)
    for _ in range(2):  # the hub tells again when the title is changed
        (answer,) = await story.there.tell(key)
        story.there.videos[key]["title"] += "!"
    assert answer.status_code == 202
    await story.there.delete(old)
    (run,) = await story.runs(area)
    assert await story.status(run) == "succeeded", await story.steps(run)
    assert [item["contentDetails"]["videoId"] for item in story.there.playlists[MIX]] == [key]
    assert story.there.liked == [key]
    (thread,) = story.there.comments
    said = thread["snippet"]["topLevelComment"]["snippet"]["textOriginal"]
    assert said == "Über & mehr 🎬, 3812 s: Alle Pläne ✨"


async def test_several_videos_in_one_delivery_are_an_event_each(story: Story) -> None:
    account = await story.connect("youtube", NEW, LIKE)
    area = await story.listening(account, step(account, LIKE, video="{{ trigger.id }}"))
    first, second, third = (story.there.put(f"{number}") for number in range(3))
    (answer,) = await story.there.tell(first)
    assert answer.json()["duplicate"] is False
    (answer,) = await story.there.tell(third, second, first)
    assert (answer.json()["duplicate"], answer.json()["runs"]) == (False, 2)
    (answer,) = await story.there.tell(second)
    assert (answer.json()["duplicate"], answer.json()["runs"]) == (True, 0)
    await story.runs(area)
    assert sorted(story.there.liked) == [first, second, third]


async def test_a_subscription_is_confirmed_renewed_and_ended_with_its_last_area(story: Story) -> None:
    account = await story.connect("youtube", LIKE)
    like = step(account, LIKE, video="{{ trigger.id }}")
    first, second = await story.listening(None, like), await story.listening(None, like)
    ((callback, asked),) = story.there.subscribed.items()
    hook = await story.hook(first)
    assert (asked["hub.topic"], hook["remote_id"], hook["status"]) == (FEED + CHANNEL, callback, "active")
    assert 431_900 < hook["left"] <= 432_000, "what the hub grants"
    await story.look(first)
    assert 345_000 < (await story.hook(first))["due"] < 345_700, "a fifth of it before its end"
    assert len(story.there.asked("POST", HUB)) == 1
    await story.pool.execute(
        "UPDATE hooks SET subscribed_at = now() - interval '5 days', expires_at = now() + interval '1 day'"
    )
    await story.look(first)
    await story.there.settled()
    assert [call.form["hub.callback"] for call in story.there.asked("POST", HUB)] == [callback] * 2
    assert (await story.hook(first))["left"] > 431_900
    await delete_area(story.platform, story.user, first.id)
    await story.tick()
    assert list(story.there.subscribed) == [callback]
    await delete_area(story.platform, story.user, second.id)
    await story.tick()
    assert story.there.subscribed == {}
    again = await story.listening(None, like)
    assert len(story.there.subscribed) == 1
    assert (await story.hook(again))["status"] == "active"
    await delete_area(story.platform, story.user, again.id)
    await story.tick()
    assert story.there.subscribed == {}


@pytest.mark.parametrize("at_once", [False, True], ids=["later", "before it answers"])
async def test_a_subscription_that_nobody_confirms_is_pending_and_asked_for_again(story: Story, at_once: bool) -> None:
    account = await story.connect("youtube", NEW, LIKE)
    story.there.next(Fault(status=202), f"POST {HUB}")
    area = await story.listening(account, step(account, LIKE, video="{{ trigger.id }}"))
    hook = await story.hook(area)
    assert (hook["status"], story.there.subscribed) == ("pending", {})
    assert 600 < hook["due"] < 900
    late = "UPDATE hooks SET subscribed_at = now() - interval '20 minutes', expires_at = now(), next_due_at = now() WHERE id = $1"
    story.there.next(Fault(status=202), f"POST {HUB}")
    await story.pool.execute(late, area.hook_id)
    await story.tick()
    hook = await story.hook(area)
    assert (hook["status"], hook["failure"]["code"], story.there.subscribed) == ("pending", "UNCONFIRMED", {})
    assert hook["last_error"].startswith("YouTube has not confirmed the subscription. The operator has to")
    story.there.at_once = at_once
    await story.pool.execute(late, area.hook_id)
    await story.tick()
    hook = await story.hook(area)
    assert (hook["status"], hook["last_error"], hook["failure"]) == ("active", None, None)
    assert list(story.there.subscribed) == [hook["remote_id"]]
    story.there.next(Fault(status=202), f"POST {HUB}")
    await story.pool.execute(late, area.hook_id)
    await story.tick()
    assert (await story.hook(area))["status"] == "pending", "what was granted has ended, and the hub is silent"
    assert len({call.form["hub.callback"] for call in story.there.asked("POST", HUB)}) == 1


async def test_a_hub_that_asks_before_it_answers_is_believed(story: Story) -> None:
    account = await story.connect("youtube", NEW, LIKE)
    story.there.at_once = True
    area = await story.listening(account, step(account, LIKE, video="{{ trigger.id }}"))
    hook = await story.hook(area)
    assert (hook["status"], [hook["remote_id"]]) == ("active", list(story.there.subscribed))
    assert hook["left"] > 431_900
    await story.look(area)
    assert (await story.hook(area))["due"] > 345_000
    assert len(story.there.asked("POST", HUB)) == 1


async def test_strangers_and_the_hub_hear_what_is_wanted_and_no_more(story: Story) -> None:
    account = await story.connect("youtube", NEW, LIKE)
    area = await story.listening(account, step(account, LIKE, video="{{ trigger.id }}"))
    ((callback, asked),) = story.there.subscribed.items()
    topic = asked["hub.topic"]

    async def probe(mode: str, topic: str = topic, **more: str) -> tuple[int, str]:
        query = {"hub.mode": mode, "hub.topic": topic, "hub.challenge": "14325", **more}
        async with httpx.AsyncClient(trust_env=False) as client:
            got = await client.get(httpx.URL(callback).copy_merge_params(query))
        return got.status_code, got.text if got.is_success else ""

    assert await probe("subscribe") == (200, "14325")
    assert await probe("subscribe", f"{FEED}UCother") == await probe("unsubscribe") == (404, "")
    key = story.there.put("x")
    forged = hmac_body("guessed", "X-Hub-Signature", "sha1=", "sha1")
    for sign in (forged, None):  # accepted, as WebSub wants, and dropped
        await story.there.deliver(callback, story.there.feed(key), sign=sign, expects=202)
    good = hmac_body(asked["hub.secret"], "X-Hub-Signature", "sha1=", "sha1")
    bomb = '<!DOCTYPE feed [<!ENTITY a "aaaa">]><feed xmlns="http://www.w3.org/2005/Atom">&a;</feed>'
    await story.there.deliver(callback, bomb, sign=good, expects=400)
    assert await story.runs(area) == []
    assert await probe("denied", **{"hub.reason": "gone"}) == (200, "")
    hook = await story.hook(area)
    assert (hook["status"], hook["remote_id"], hook["expires_at"]) == ("broken", None, None)
    assert hook["last_error"] == "YouTube's hub has refused to deliver: gone."
    assert 3500 < hook["due"] <= 3600
    await delete_area(story.platform, story.user, area.id)
    await story.tick()
    assert await probe("subscribe") == (404, "")
    assert await probe("unsubscribe") == (200, "14325")


async def test_a_like_starts_a_run_and_a_spent_quota_is_waited_out(story: Story) -> None:
    account = await story.connect("youtube", LIKED, ADD)
    story.there.like(story.there.put("Before"), at=ago(days=2))
    area = await story.area(
        step(account, ADD, video="{{ trigger.id }}", playlist=MIX), action=LIKED, account_id=account, config={}
    )
    await story.look(area)
    key = story.there.put("Lied 🎵")
    story.there.like(key)
    await story.look(area)
    spent = {
        "error": {"code": 403, "message": "You have exceeded your quota.", "errors": [{"reason": "quotaExceeded"}]}
    }
    story.there.next(Fault(status=403, body=spent), f"POST {PLACE}/playlistItems")
    (run,) = await story.runs(area)
    found = (await story.steps(run))["add_to_playlist"]
    assert (found["status"], found["error"]["code"], story.there.playlists[MIX]) == ("waiting", "THROTTLED", [])
    await story.platform.redis.flushall()  # what the governor remembers of the wait
    await story.due_now(run)
    await story.execute(run)
    assert await story.status(run) == "succeeded"
    assert [item["contentDetails"]["videoId"] for item in story.there.playlists[MIX]] == [key]


async def test_a_comment_whose_answer_was_lost_is_found_and_not_repeated(story: Story) -> None:
    account = await story.connect("youtube", LIKED, COMMENT)
    area = await story.area(
        step(account, COMMENT, video="{{ trigger.id }}", text="Danke 👏"), action=LIKED, account_id=account, config={}
    )
    await story.look(area)
    story.there.like(story.there.put("x"))
    await story.look(area)
    story.there.next(Fault(lose=True), THREADS)
    (run,) = await story.runs(area)
    assert (await story.status(run), (await story.steps(run))["comment"]["status"]) == ("succeeded", "succeeded")
    assert len(story.there.comments) == 1


async def test_a_worker_that_dies_when_the_comment_is_there_writes_it_once(story: Story) -> None:
    account = await story.connect("youtube", LIKED, COMMENT)
    area = await story.area(
        step(account, COMMENT, video="{{ trigger.id }}", text="Danke 👏"), action=LIKED, account_id=account, config={}
    )
    await story.look(area)
    story.there.like(story.there.put("x"))
    await story.look(area)
    run = await story.run_of(area)
    story.there.next(Fault(hang=True), THREADS)
    executor = story.platform.executor()
    task = asyncio.create_task(executor.execute([run]))
    async with asyncio.timeout(10):
        while story.there.calls[-1].path != f"{PLACE}/commentThreads":  # noqa: ASYNC110 - the call arrives in the stand-in
            await asyncio.sleep(0.02)
    await story.there.write(story.there.calls[-1])
    for _, running in list(executor._active.values()):
        running.cancel()
    await asyncio.gather(task, return_exceptions=True)
    story.there.release()
    await story.expire_lease(run)
    await story.execute(run)
    assert (await story.status(run), len(story.there.comments)) == ("succeeded", 1)
