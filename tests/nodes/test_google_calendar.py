"""Google Calendar: what counts as new, cancelled and soon, how times are read and written, and that nothing is made twice."""

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from area.nodes import google_calendar, sdk
from area.nodes._google import Gone
from area.nodes.google_calendar import reactions, watching
from area.nodes.google_calendar.provider import LIST, READ, WRITE, calendar_choices
from area.nodes.google_calendar.shapes import parse_when, told
from tests.nodes.conftest import FakeContext
from tests.nodes.google_wire import look, wired
from tests.providers.google_calendar import MAIN, TEAM, GoogleCalendar, timed

HERE = watching.Where()
PLACE = "/calendar/v3/calendars/primary/events"
TOMORROW = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)


@pytest.fixture
def there() -> GoogleCalendar:
    return GoogleCalendar()


@pytest.fixture
def ctx(there: GoogleCalendar) -> FakeContext:
    return wired(google_calendar.service, there)


def titles(found: list[Any]) -> list[str]:
    return [event.title for event in found]


# New events


async def test_an_event_that_is_made_fires_once_with_all_it_says(there: GoogleCalendar, ctx: FakeContext) -> None:
    there.add("Old", TOMORROW)
    assert await look(ctx, watching.event_created, HERE) == []
    guests = [{"email": "grace@example.com"}, {"email": "room@example.com", "resource": True}]
    call = {"entryPoints": [{"entryPointType": "video", "uri": "https://meet.example/x"}]}
    start = datetime(2026, 3, 1, 8, tzinfo=UTC)
    key = there.add("Début 🚀", start, description="<b>ça</b>", location="R4", attendees=guests, conferenceData=call)
    (event,) = await look(ctx, watching.event_created, HERE)
    assert event.model_dump(exclude={"created_at", "updated_at"}) == {
        "id": key,
        "title": "Début 🚀",
        "description": "<b>ça</b>",
        "location": "R4",
        "starts_at": start,
        "ends_at": start + timedelta(hours=1),
        "all_day": False,
        "time_zone": "Europe/Berlin",
        "organizer": "grace@example.com",
        "guests": ["grace@example.com"],
        "meeting_url": "https://meet.example/x",
        "status": "confirmed",
        "recurring": False,
        "series_id": "",
        "url": f"https://www.google.com/calendar/event?eid={key}",
    }
    assert event.created_at.tzinfo is UTC
    assert await look(ctx, watching.event_created, HERE) == []


async def test_what_is_changed_moved_or_of_a_series_is_not_new(there: GoogleCalendar, ctx: FakeContext) -> None:
    old = there.add("Old", TOMORROW, created="2020-01-01T00:00:00.000Z")
    await look(ctx, watching.event_created, HERE)
    there.change(old, summary="Renamed")
    _, instances = there.series("Daily", TOMORROW)
    there.change(instances[1], location="Elsewhere")
    there.cancel(there.add("Gone at once", TOMORROW))
    there.add("Birthday", TOMORROW, eventType="birthday")
    there.add("Of the team", TOMORROW, calendar=TEAM)
    assert titles(await look(ctx, watching.event_created, HERE)) == ["Daily"]


async def test_all_is_listed_once_for_a_token_over_pages_and_looks(there: GoogleCalendar, ctx: FakeContext) -> None:
    for number in range(20):
        there.add(f"{number}", TOMORROW)
    there.page = 2  # ten pages; a look reads eight
    assert await look(ctx, watching.event_created, HERE) == []
    assert (ctx.cursor["sync"], ctx.cursor["page"]) == (None, "16")
    assert await look(ctx, watching.event_created, HERE) == []
    for number in range(17):
        there.add(f"new {number}", TOMORROW)
    found = [titles(await look(ctx, watching.event_created, HERE)) for _ in range(3)]
    assert [len(part) for part in found] == [16, 1, 0]
    assert [title for part in found for title in part] == [f"new {number}" for number in range(17)]
    assert {call.query["fields"] for call in there.calls[:10]} == {"nextPageToken,nextSyncToken"}
    assert all("fields" not in call.query for call in there.calls[10:])


async def test_a_token_that_has_expired_is_replaced_and_fires_nothing(there: GoogleCalendar, ctx: FakeContext) -> None:
    await look(ctx, watching.event_created, HERE)
    there.add("Missed", TOMORROW)
    there.forgotten = 10
    assert await look(ctx, watching.event_created, HERE) == []
    assert "passed over" in ctx.lines[-1][1]
    assert await look(ctx, watching.event_created, HERE) == [], "everything is listed again"
    there.forgotten = 0
    there.add("Next", TOMORROW)
    assert titles(await look(ctx, watching.event_created, HERE)) == ["Next"]


# Cancelled events


async def test_a_cancelled_event_fires_with_what_is_left_of_it(there: GoogleCalendar, ctx: FakeContext) -> None:
    full, bare, again = (there.add(title, TOMORROW) for title in ("Full", "Bare", "Again"))
    await look(ctx, watching.event_cancelled, HERE)
    there.cancel(full)
    there.cancel(bare, bare=True)
    there.cancel(again)
    found = {event.id: event for event in await look(ctx, watching.event_cancelled, HERE)}
    assert [(found[key].title, found[key].status) for key in (full, bare)] == [("Full", "cancelled"), ("", "cancelled")]
    there.change(again, status="confirmed")
    assert await look(ctx, watching.event_cancelled, HERE) == []
    there.change(again, status="cancelled", updated="2026-03-01T08:00:00.000Z")
    (second,) = await look(ctx, watching.event_cancelled, HERE)
    assert second.key != found[again].key, "it was restored, and is cancelled anew"


async def test_one_of_a_series_tells_its_title_and_a_whole_series_fires_once(
    there: GoogleCalendar, ctx: FakeContext
) -> None:
    one, instances = there.series("Standup", TOMORROW)
    whole, others = there.series("Retro", TOMORROW)
    await look(ctx, watching.event_cancelled, HERE)
    there.cancel(instances[1], bare=True)
    (event,) = await look(ctx, watching.event_cancelled, HERE)
    assert (event.id, event.title, event.series_id, event.recurring) == (instances[1], "Standup", one, True)
    assert event.starts_at == TOMORROW + timedelta(days=1)
    there.cancel(whole)
    there.cancel(others[0], bare=True)
    assert titles(await look(ctx, watching.event_cancelled, HERE)) == ["Retro"]
    del there.calendars[MAIN][one]
    there.cancel(instances[2], bare=True)
    assert titles(await look(ctx, watching.event_cancelled, HERE)) == [""], "its series is gone too"


# Events about to start


async def test_an_event_fires_minutes_before_it_starts_and_again_when_it_is_moved(
    there: GoogleCalendar, ctx: FakeContext
) -> None:
    now, where = ctx.moment.replace(microsecond=0), watching.Soon(minutes=10)
    there.add("Running", now - timedelta(minutes=30))
    there.add("Just begun", now - timedelta(minutes=2))
    soon = there.add("Soon", now + timedelta(minutes=10))
    there.add("Later", now + timedelta(minutes=12))
    found = await look(ctx, watching.event_starting, where)
    assert titles(found) == ["Just begun", "Soon"]
    assert found[1].key == f"{soon}/{(now + timedelta(minutes=10)).strftime('%Y-%m-%dT%H:%M:%SZ')}"
    there.change(soon, start=timed(now + timedelta(minutes=5)))
    moved = await look(ctx, watching.event_starting, where)
    assert (titles(moved), moved[1].key != found[1].key) == (["Just begun", "Soon"], True)


async def test_who_has_declined_is_not_told_and_days_only_where_asked(there: GoogleCalendar, ctx: FakeContext) -> None:
    start = ctx.moment + timedelta(minutes=5)
    there.add("Declined", start, attendees=[{"email": MAIN, "self": True, "responseStatus": "declined"}])
    there.add("Accepted", start, attendees=[{"email": MAIN, "self": True, "responseStatus": "accepted"}])
    there.add("At home", start, eventType="workingLocation")
    today = datetime(2026, 3, 1, 22, 55, tzinfo=UTC)  # five minutes before midnight in Berlin
    there.change(there.add("A day", start), start={"date": "2026-03-02"}, end={"date": "2026-03-03"})
    there.add("A timed one", today + timedelta(minutes=1))
    there.series("Daily", start)
    assert titles(await look(ctx, watching.event_starting, watching.Soon())) == ["Accepted", "Daily"]
    ctx.moment = today
    days = await look(ctx, watching.event_starting, watching.Soon(all_day=True))
    assert [(day.title, day.all_day) for day in days] == [("A timed one", False), ("A day", True)]
    assert days[1].starts_at == datetime(2026, 3, 1, 23, tzinfo=UTC)
    assert titles(await look(ctx, watching.event_starting, watching.Soon(all_day=True, search="timed"))) == [
        "A timed one"
    ]
    assert titles(await look(ctx, watching.event_starting, watching.Soon())) == ["A timed one"]


# Times


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("2026-03-01", {"date": "2026-03-01"}),
        ("2026-03-01T09:00", {"dateTime": "2026-03-01T09:00:00", "timeZone": "Europe/Berlin"}),
        ("2026-03-01 09:00:30", {"dateTime": "2026-03-01T09:00:30", "timeZone": "Europe/Berlin"}),
        ("2026-03-01T09:00:00Z", {"dateTime": "2026-03-01T09:00:00+00:00"}),
        (" 2026-03-01T09:00:00+05:30 ", {"dateTime": "2026-03-01T09:00:00+05:30"}),
    ],
)
def test_times_are_read_as_people_write_them(text: str, written: dict[str, str]) -> None:
    assert parse_when(text, "Europe/Berlin").written() == written


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"starts_at": "tomorrow"}, "no date and no time"),
        ({"starts_at": "2026-03-01T09:00", "ends_at": "2026-03-01"}, "both be dates, or both be times"),
        ({"starts_at": "2026-03-01T09:00", "ends_at": "2026-03-01T08:00"}, "ends before it starts"),
        ({"starts_at": "2026-03-02", "ends_at": "2026-03-01"}, "ends before it starts"),
        ({"starts_at": "2026-03-01T09:00", "time_zone": "Berlin"}, "is no time zone"),
        ({"starts_at": "2026-03-01T09:00", "time_zone": "../etc/passwd"}, "is no time zone"),
    ],
)
def test_times_that_cannot_be_are_refused(given: dict[str, str], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        reactions.NewEvent(title="x", **given)


@pytest.mark.parametrize("strange", [None, {}, {"dateTime": "soon"}, {"date": 5}, "x", {"dateTime": None}])
def test_an_event_with_strange_times_is_told_without(strange: Any) -> None:
    shown = told({"id": "1", "start": strange, "end": strange, "organizer": "x", "attendees": 5, "created": "then"})
    assert (shown["starts_at"], shown["ends_at"], shown["all_day"], shown["created_at"]) == (None, None, False, None)


# Making, changing, deleting


async def test_an_event_is_made_once_whatever_happens(there: GoogleCalendar, ctx: FakeContext) -> None:
    given = reactions.NewEvent(
        calendar=TEAM,
        title="Début 🚀",
        starts_at="2026-03-01T09:00",
        time_zone="Europe/Berlin",
        description="<b>ça</b>",
        location="Salle É",
        guests="Zoë <zoe@example.com>, bob@example.com",
        notify=reactions.Notify.EVERYBODY,
    )
    first, second = [await reactions.create_event.fn(ctx, given) for _ in range(2)]
    assert first == second
    assert len(there.calendars[TEAM]) == 1
    assert (first.starts_at, first.ends_at) == (
        datetime(2026, 3, 1, 8, tzinfo=UTC),
        datetime(2026, 3, 1, 9, tzinfo=UTC),
    )
    assert (first.title, first.guests) == ("Début 🚀", ["zoe@example.com", "bob@example.com"])
    call = there.calls[0]
    assert call.raw_path == "/calendar/v3/calendars/team%40group.calendar.google.com/events"
    assert call.query == {"sendUpdates": "all"}
    ctx.idempotency_key = "run-2/step-1"
    assert (await reactions.create_event.fn(ctx, given)).id != first.id


async def test_an_all_day_event_ends_with_its_last_day(there: GoogleCalendar, ctx: FakeContext) -> None:
    days = reactions.NewEvent(title="Trip", starts_at="2026-03-01", ends_at="2026-03-03")
    made = await reactions.create_event.fn(ctx, days)
    assert there.calendars[MAIN][made.id]["end"] == {"date": "2026-03-04"}, "Google names the day after"
    assert (made.all_day, made.ends_at) == (True, datetime(2026, 3, 4, tzinfo=UTC))


async def test_guests_that_are_no_addresses_and_unknown_calendars_are_told(
    there: GoogleCalendar, ctx: FakeContext
) -> None:
    given = {"title": "x", "starts_at": "2026-03-01"}
    with pytest.raises(sdk.Rejected, match="is not a list of mail addresses") as caught:
        await reactions.create_event.fn(ctx, reactions.NewEvent(**given, guests="Zoë"))
    assert caught.value.field == "guests"
    many = ", ".join(f"a{number}@example.com" for number in range(201))
    with pytest.raises(sdk.Rejected, match="at most 200 guests"):
        await reactions.create_event.fn(ctx, reactions.NewEvent(**given, guests=many))
    with pytest.raises(Gone):
        await reactions.create_event.fn(ctx, reactions.NewEvent(**given, calendar="nobody@example.com"))
    assert there.calendars[MAIN] == {}


async def test_a_sentence_becomes_an_event_and_is_found_again(there: GoogleCalendar, ctx: FakeContext) -> None:
    ctx.tried_since = datetime.now(UTC)
    given = reactions.QuickEvent(text="Déjeuner with Grace tomorrow at noon")
    assert reactions.quick_add.reconciler
    there.add("Déjeuner with Grace", TOMORROW)
    await reactions.create_event.fn(ctx, reactions.NewEvent(title="Déjeuner", starts_at="2026-03-01"))
    assert await reactions.quick_add.reconciler(ctx, given) is None, "somebody else's, and one made in another way"
    made = await reactions.quick_add.fn(ctx, given)
    assert made.title == "Déjeuner with Grace"
    assert await reactions.quick_add.reconciler(ctx, given) == made
    assert await reactions.quick_add.reconciler(ctx, reactions.QuickEvent(text="Dinner with Grace tomorrow")) is None


@pytest.mark.parametrize(
    ("given", "start", "end"),
    [
        ({"starts_at": "2026-03-02T10:00:00Z"}, "2026-03-02T10:00:00+00:00", "2026-03-02T11:00:00+00:00"),
        ({"ends_at": "2026-03-01T12:00:00Z"}, "2026-03-01T09:00:00+01:00", "2026-03-01T12:00:00+00:00"),
        ({"starts_at": "2026-03-02"}, "2026-03-02", "2026-03-03"),
        ({"starts_at": "2026-03-02", "ends_at": "2026-03-04"}, "2026-03-02", "2026-03-05"),
    ],
    ids=["as long as before", "longer", "a day", "days"],
)
async def test_an_event_is_moved(
    there: GoogleCalendar, ctx: FakeContext, given: dict[str, str], start: str, end: str
) -> None:
    key = there.add("Launch", datetime(2026, 3, 1, 8, tzinfo=UTC), location="Room 4")
    for _ in range(2):
        await reactions.update_event.fn(ctx, reactions.Changes(event_id=key, **given))
    kept = there.calendars[MAIN][key]
    times = [
        next(one.get(name) for name in ("date", "dateTime") if name in one) for one in (kept["start"], kept["end"])
    ]
    assert (times, kept["summary"], kept["location"]) == ([start, end], "Launch", "Room 4")


async def test_only_what_is_given_is_changed(there: GoogleCalendar, ctx: FakeContext) -> None:
    key = there.add("Launch", TOMORROW, location="Room 4", description="x")
    got = await reactions.update_event.fn(ctx, reactions.Changes(event_id=key, title="Début", description=""))
    assert (got.title, got.location, got.description) == ("Début", "Room 4", "")
    assert [(call.method, call.json) for call in there.calls] == [("PATCH", {"summary": "Début", "description": ""})]
    with pytest.raises(ValidationError, match="say what becomes of it"):
        reactions.Changes(event_id=key)
    with pytest.raises(sdk.Rejected, match="both be dates") as caught:
        await reactions.update_event.fn(ctx, reactions.Changes(event_id=key, ends_at="2026-03-01"))
    assert caught.value.field == "ends_at"
    there.change(key, start={}, end={})
    with pytest.raises(sdk.Rejected, match="has no times"):
        await reactions.update_event.fn(ctx, reactions.Changes(event_id=key, starts_at="2026-03-01"))


async def test_an_event_is_deleted_and_a_second_time_is_no_failure(there: GoogleCalendar, ctx: FakeContext) -> None:
    key = there.add("Launch", TOMORROW)
    which = reactions.Which(event_id=key, notify=reactions.Notify.OUTSIDE)
    for _ in range(2):
        assert await reactions.delete_event.fn(ctx, which) == reactions.Deleted(id=key)
    assert there.calendars[MAIN][key]["status"] == "cancelled"
    assert there.asked("DELETE", f"{PLACE}/{key}")[0].query == {"sendUpdates": "externalOnly"}
    with pytest.raises(Gone):
        await reactions.delete_event.fn(ctx, reactions.Which(event_id="never"))


async def test_calendars_are_offered_and_each_node_asks_for_the_least(there: GoogleCalendar, ctx: FakeContext) -> None:
    assert await calendar_choices(ctx, {}) == [sdk.Choice(MAIN, MAIN), sdk.Choice(TEAM, "Équipe 🚀")]
    service = google_calendar.service
    assert {node.scopes for node in service.actions.values()} == {(READ, LIST)}
    assert {node.scopes for node in service.reactions.values()} == {(WRITE, LIST)}
    reading = wired(service, there, READ)
    with pytest.raises(sdk.Rejected, match="has not allowed this"):
        await reactions.delete_event.fn(reading, reactions.Which(event_id="x"))


def test_summer_begins_within_an_event() -> None:
    event = reactions.NewEvent(
        title="x", starts_at="2026-03-29T01:30", ends_at="2026-03-29T03:30", time_zone="Europe/Berlin"
    )
    start, end = event.times()
    assert end.in_utc() - start.in_utc() == timedelta(hours=1)
    assert start.in_utc() == datetime(2026, 3, 29, 1, 30, tzinfo=ZoneInfo("Europe/Berlin")).astimezone(UTC)
