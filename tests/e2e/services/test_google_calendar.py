"""Google Calendar through the engine: an account by real consent, events that start runs, and events that runs make, once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from area.core.settings import Settings
from area.db.models import Area
from area.engine.areas import ReactionDraft
from tests.contract.documents import SPECS
from tests.contract.plugin import Contract
from tests.e2e.services.stories import Watched
from tests.engine.living import living
from tests.providers.calls import Fault
from tests.providers.google_calendar import MAIN, TEAM, GoogleCalendar

MADE, CANCELLED, STARTING = (
    "google_calendar.event_created",
    "google_calendar.event_cancelled",
    "google_calendar.event_starting",
)
CREATE, UPDATE, QUICK = "google_calendar.create_event", "google_calendar.update_event", "google_calendar.quick_add"
DELETE = "google_calendar.delete_event"
PLACE = "/calendar/v3/calendars/team%40group.calendar.google.com/events"
POST = "POST /calendar/v3/calendars/team@group.calendar.google.com/events"
SOON = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)


class Story(Watched[GoogleCalendar]):
    """One user's AREAs, and two calendars."""

    async def watching(self, account: UUID, *reactions: ReactionDraft, action: str = MADE, **config: Any) -> Area:
        """An AREA that watches from now on."""
        return await self.from_now(account, action, *reactions, **config)

    def planned(self) -> list[str]:
        """What stands in the team's calendar."""
        return [event["summary"] for event in self.there.calendars[TEAM].values() if event["status"] != "cancelled"]


@pytest.fixture
async def story(settings: Settings, user: UUID) -> AsyncIterator[Story]:
    there = GoogleCalendar()
    async with living(settings, user, there) as world:
        yield Story(world.platform, user, there)
    if SPECS.is_dir():
        deleted = [f"DELETE {call.raw_path}" for call in there.calls if call.method == "DELETE"]
        Contract("calendar", deleted).audit(there)


def step(account: UUID, reaction: str, key: str = "it", **config: Any) -> ReactionDraft:
    return ReactionDraft(reaction, {"calendar": TEAM, **config}, key=key, account_id=account)


def copied(account: UUID) -> ReactionDraft:
    return step(account, CREATE, title="Copie: {{ trigger.title }}", starts_at="{{ trigger.starts_at }}")


async def test_an_event_is_copied_changed_and_deleted_in_another_calendar_once(story: Story) -> None:
    account = await story.connect("google_calendar", MADE, CREATE)
    later = {"starts_at": "{{ trigger.ends_at }}", "location": "Là-bas 🏝"}
    area = await story.watching(
        account,
        copied(account),
        step(account, UPDATE, key="move", event_id="{{ steps.it.id }}", **later),
        step(account, QUICK, key="quick", text="Lunch with {{ trigger.organizer }} tomorrow at noon"),
        step(account, DELETE, key="away", event_id="{{ steps.quick.id }}"),
    )
    story.there.add("Début 🚀", SOON)
    (run,) = await story.runs(area)
    assert await story.status(run) == "succeeded", await story.steps(run)
    assert story.planned() == ["Copie: Début 🚀"]
    (copy,) = (one for one in story.there.calendars[TEAM].values() if one["status"] == "confirmed")
    assert datetime.fromisoformat(copy["start"]["dateTime"]) == SOON + timedelta(hours=1)
    assert copy["location"] == "Là-bas 🏝"
    assert await story.runs(area) == [run]


async def test_cancelled_and_starting_events_start_runs(story: Story) -> None:
    account = await story.connect("google_calendar", CANCELLED, STARTING, CREATE)
    off = await story.watching(account, copied(account), action=CANCELLED)
    soon = await story.watching(account, copied(account), action=STARTING, minutes=30)
    key = story.there.add("Retro", datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=20))
    assert (len(await story.runs(soon)), len(await story.runs(off))) == (1, 0)
    story.there.cancel(key)
    assert (len(await story.runs(soon)), len(await story.runs(off))) == (1, 1)
    assert story.planned() == ["Copie: Retro"] * 2


async def test_an_expired_token_loses_no_later_event_and_a_dead_access_token_is_refreshed(story: Story) -> None:
    account = await story.connect("google_calendar", MADE, CREATE)
    area = await story.watching(account, copied(account))
    story.there.forgotten = 1000
    story.there.auth.expire()
    assert await story.runs(area) == []
    assert await story.runs(area) == [], "all is listed anew"
    story.there.forgotten = 0
    story.there.add("After", SOON)
    assert len(await story.runs(area)) == 1
    assert (story.planned(), story.there.auth.refreshes) == (["Copie: After"], 1)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(lose=True),
        Fault(status=503),
        Fault(status=200, body="<h1>Hello</h1>", headers={"content-type": "text/html"}),
    ],
    ids=["answer lost", "down", "html"],
)
async def test_a_call_that_fails_in_the_middle_makes_one_event(story: Story, fault: Fault) -> None:
    account = await story.connect("google_calendar", MADE, CREATE)
    area = await story.watching(account, copied(account))
    story.there.add("Once", SOON)
    story.there.next(fault, POST)
    (run,) = await story.runs(area)
    assert await story.status(run) == "waiting"
    await story.due_now(run)
    await story.execute(run)
    assert (await story.status(run), story.planned()) == ("succeeded", ["Copie: Once"])


async def test_a_worker_that_dies_when_a_sentence_is_added_adds_it_once(story: Story) -> None:
    account = await story.connect("google_calendar", MADE, QUICK)
    area = await story.watching(account, step(account, QUICK, text="Déjeuner tomorrow at noon"))
    story.there.add("Go", SOON)
    await story.look(area)
    run = await story.run_of(area)
    story.there.next(Fault(hang=True), f"{POST}/quickAdd")
    executor = story.platform.executor()
    task = asyncio.create_task(executor.execute([run]))
    async with asyncio.timeout(10):
        while not story.there.calls[-1].path.endswith("/quickAdd"):  # noqa: ASYNC110 - the call arrives in the stand-in
            await asyncio.sleep(0.02)
    call = story.there.calls[-1]
    call.grant, call.parameters = story.there.auth.grants[0], {"calendar": TEAM}
    await story.there.quick_add(call)
    for _, running in list(executor._active.values()):
        running.cancel()
    await asyncio.gather(task, return_exceptions=True)
    story.there.release()
    await story.expire_lease(run)
    await story.execute(run)
    assert (await story.status(run), story.planned()) == ("succeeded", ["Déjeuner"])


async def test_a_consent_that_was_taken_back_holds_the_run_until_it_is_given_again(story: Story) -> None:
    account = await story.connect("google_calendar", MADE, CREATE)
    area = await story.watching(account, copied(account))
    story.there.add("Later", SOON)
    await story.look(area)
    run = await story.run_of(area)
    story.there.auth.withdraw()
    await story.execute(run)
    assert (await story.status(run), story.planned()) == ("held", [])
    assert await story.connect("google_calendar", MADE, CREATE) == account
    await story.due_now(run)
    await story.execute(run)
    assert (await story.status(run), story.planned()) == ("succeeded", ["Copie: Later"])
    assert len(story.there.calendars[MAIN]) == 1
