"""What can be done in a calendar: events are made, changed and deleted."""

import hashlib
import re
from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Any, Self
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from area.nodes import sdk
from area.nodes._google import Exists, Expired, addresses, listed, mapping, segment
from area.nodes.google_calendar.provider import LIST, WRITE, Calendar, events_of, service
from area.nodes.google_calendar.shapes import Event, When, moment_of, parse_when, read_when, told, zone_of

EVENT_ID = r"^[^\s/?#]{1,1024}$"
OURS = "area"
"""What the ids of events made here begin with: of the letters a to v, as ids must be."""
MOST_GUESTS = 200
LOOKED_THROUGH = 50


class Notify(StrEnum):
    """Who is told by mail."""

    NOBODY = "none"
    EVERYBODY = "all"
    OUTSIDE = "externalOnly"


class In(sdk.Inputs):
    """Which calendar, and who is told."""

    calendar: Calendar = Field(
        "primary",
        title="Calendar",
        description="The calendar's id; primary is the account's main one.",
        min_length=1,
        max_length=300,
        examples=["primary"],
    )
    notify: Notify = Field(
        Notify.NOBODY,
        title="Notify",
        description="Which guests Google tells by mail: none, all, or those who use no Google Calendar.",
        examples=[Notify.NOBODY],
    )


class Timed(In):
    """Times are read in this zone."""

    time_zone: str = Field(
        "UTC",
        title="Time zone",
        description="For times that have no offset from UTC of their own.",
        max_length=64,
        examples=["Europe/Berlin"],
    )

    @field_validator("time_zone")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            return ZoneInfo(value).key
        except (KeyError, ValueError, OSError):
            raise ValueError("is no time zone; write one as Europe/Berlin") from None


class NewEvent(Timed):
    """What to plan."""

    title: str = Field(title="Title", description="What it is called.", max_length=1000, examples=["Launch"])
    starts_at: str = Field(
        title="Starts at",
        description="A time such as 2026-03-01T09:00; a date makes an all-day event.",
        max_length=40,
        examples=["2026-03-01T09:00"],
    )
    ends_at: str | None = Field(
        None,
        title="Ends at",
        description="A time, or the last day of an all-day event. Left out, it lasts an hour or a day.",
        max_length=40,
        examples=["2026-03-01T10:00"],
    )
    description: str | None = Field(
        None,
        title="Description",
        description="Its text; HTML is shown as such.",
        max_length=8000,
        examples=["With cake."],
        json_schema_extra={"widget": "textarea"},
    )
    location: str | None = Field(
        None, title="Location", description="Where it takes place.", max_length=1000, examples=["Room 4"]
    )
    guests: str | None = Field(
        None,
        title="Guests",
        description="Mail addresses, with commas between.",
        max_length=5000,
        examples=["grace@example.com"],
    )

    @model_validator(mode="after")
    def _times_fit(self) -> Self:
        self.times()
        return self

    def times(self) -> tuple[When, When]:
        """Its start and the first moment after it. Raises: ValueError."""
        start = parse_when(self.starts_at, self.time_zone)
        return start, _end(start, parse_when(self.ends_at, self.time_zone) if self.ends_at else None)


class QuickEvent(In):
    """What to plan, in a sentence."""

    text: str = Field(
        title="Text",
        description="As one would say it; Google finds out what and when.",
        min_length=1,
        max_length=1000,
        examples=["Lunch with Grace tomorrow at noon"],
    )


class Changes(Timed):
    """Which event, and what becomes of it."""

    event_id: str = Field(
        title="Event", description="The event's id.", pattern=EVENT_ID, examples=["7cbh8rpc10lrc0ckih9tafss99"]
    )
    title: str | None = Field(
        None, title="Title", description="Left out, it stays.", max_length=1000, examples=["Launch"]
    )
    starts_at: str | None = Field(
        None,
        title="Starts at",
        description="A time or a date. Given alone, the event is as long as before.",
        max_length=40,
        examples=["2026-03-01T09:00"],
    )
    ends_at: str | None = Field(
        None,
        title="Ends at",
        description="A time, or the last day of an all-day event.",
        max_length=40,
        examples=["2026-03-01T10:00"],
    )
    description: str | None = Field(
        None,
        title="Description",
        description="Left out, it stays; empty, it is taken away.",
        max_length=8000,
        examples=["With cake."],
        json_schema_extra={"widget": "textarea"},
    )
    location: str | None = Field(
        None,
        title="Location",
        description="Left out, it stays; empty, it is taken away.",
        max_length=1000,
        examples=["Room 4"],
    )

    @model_validator(mode="after")
    def _something(self) -> Self:
        given = (self.title, self.starts_at, self.ends_at, self.description, self.location)
        if all(one is None for one in given):
            raise ValueError("say what becomes of it: a title, a time, a description or a location")
        for text in (self.starts_at, self.ends_at):
            if text:
                parse_when(text, self.time_zone)
        return self


class Which(In):
    """Which event."""

    event_id: str = Field(
        title="Event", description="The event's id.", pattern=EVENT_ID, examples=["7cbh8rpc10lrc0ckih9tafss99"]
    )


class Deleted(sdk.Outputs):
    """The event."""

    id: str = Field(title="Id", description="The id it had.", examples=["7cbh8rpc10lrc0ckih9tafss99"])


@service.reaction("Create an event", idempotent=True, scopes=(WRITE, LIST))
async def create_event(ctx: sdk.Context, event: NewEvent) -> Event:
    """Makes an event in a calendar. It has an id of its own choosing, so that a second attempt finds the first."""
    start, end = event.times()
    event_id = OURS + hashlib.sha256(ctx.idempotency_key.encode()).hexdigest()[:40]
    asked: dict[str, Any] = {"id": event_id, "summary": event.title, "start": start.written(), "end": end.written()}
    given = {"description": event.description, "location": event.location}
    asked |= {name: value for name, value in given.items() if value}
    if event.guests:
        guests = addresses(event.guests, "guests")
        if len(guests) > MOST_GUESTS:
            raise sdk.Rejected(
                f"An event has at most {MOST_GUESTS} guests; this one has {len(guests)}.", field="guests"
            )
        asked["attendees"] = [{"email": guest} for guest in guests]
    place, query = events_of(event.calendar), {"sendUpdates": event.notify.value}
    try:
        return _event(mapping(await ctx.http.post(place, json=asked, params=query), "id", safe=True))
    except Exists:
        return _event(mapping(await ctx.http.get(f"{place}/{event_id}"), "id"))


@service.reaction("Quick add", idempotent=False, scopes=(WRITE, LIST))
async def quick_add(ctx: sdk.Context, event: QuickEvent) -> Event:
    """Makes an event out of a sentence."""
    query = {"text": event.text, "sendUpdates": event.notify.value}
    return _event(mapping(await ctx.http.post(f"{events_of(event.calendar)}/quickAdd", params=query), "id"))


@quick_add.reconcile
async def _was_added(ctx: sdk.Context, event: QuickEvent) -> Event | None:
    """The event, among those that the account has made since: its title has no word that the sentence has not."""
    since = (ctx.tried_since or ctx.now()) - timedelta(minutes=1)
    asked: dict[str, str | int] = {"updatedMin": since.isoformat(), "maxResults": LOOKED_THROUGH}
    said = _words(event.text)
    for one in listed(mapping(await ctx.http.get(events_of(event.calendar), params=asked)), "items"):
        creator, made = one.get("creator"), moment_of(one.get("created"))
        mine = isinstance(creator, Mapping) and creator.get("email") == ctx.account.facts.get("email")
        new = made is not None and made >= since and not str(one.get("id")).startswith(OURS)
        title = _words(str(one.get("summary") or ""))
        if mine and new and one.get("status") != "cancelled" and title and title <= said:
            return _event(one)
    return None


@service.reaction("Update an event", idempotent=True, scopes=(WRITE, LIST))
async def update_event(ctx: sdk.Context, changes: Changes) -> Event:
    """Changes what is given of an event, and leaves the rest as it is."""
    place = f"{events_of(changes.calendar)}/{segment(changes.event_id)}"
    given = {"summary": changes.title, "description": changes.description, "location": changes.location}
    asked: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if changes.starts_at or changes.ends_at:
        asked |= _moved(mapping(await ctx.http.get(place), "id"), changes)
    answer = await ctx.http.patch(place, json=asked, params={"sendUpdates": changes.notify.value})
    return _event(mapping(answer, "id", safe=True))


@service.reaction("Delete an event", idempotent=True, scopes=(WRITE, LIST))
async def delete_event(ctx: sdk.Context, which: Which) -> Deleted:
    """Deletes an event; one that is deleted already is no failure."""
    place = f"{events_of(which.calendar)}/{segment(which.event_id)}"
    try:
        answer = await ctx.http.delete(place, params={"sendUpdates": which.notify.value})
    except Expired:
        ctx.log("The event was deleted already.")
    else:
        if answer.content:
            raise sdk.Unavailable("Google Calendar did not answer as it does when it has deleted an event.")
    return Deleted(id=which.event_id)


def _event(found: dict[str, Any]) -> Event:
    planned = found.get("start")
    return Event(**told(found, zone_of(planned.get("timeZone") if isinstance(planned, Mapping) else None)))


def _end(start: When, last: When | None) -> When:
    """The first moment after an event that starts then. Raises: ValueError."""
    if last is None:
        return start.later(timedelta(days=1) if start.day else timedelta(hours=1))
    if (start.day is None) != (last.day is None):
        raise ValueError("the start and the end must both be dates, or both be times")
    if last.in_utc() < start.in_utc():
        raise ValueError("it ends before it starts")
    return last.later(timedelta(days=1)) if last.day else last


def _moved(there: dict[str, Any], changes: Changes) -> dict[str, Any]:
    """The new start and end of an event. Raises: Rejected."""
    old_start, old_end = read_when(there.get("start")), read_when(there.get("end"))
    if old_start is None or old_end is None:
        raise sdk.Rejected(f"The event {changes.event_id} has no times that could be changed.", code="NO_TIMES")
    start = parse_when(changes.starts_at, changes.time_zone) if changes.starts_at else old_start
    try:
        if changes.ends_at:
            end = _end(start, parse_when(changes.ends_at, changes.time_zone))
        elif (start.day is None) == (old_start.day is None):
            end = start.later(old_end.in_utc() - old_start.in_utc())
        else:
            end = _end(start, None)
    except ValueError as error:
        told_ = f"The event cannot be moved so: {error}."
        raise sdk.Rejected(told_, field="ends_at" if changes.ends_at else "starts_at") from None
    return {"start": _whole(start, old_start), "end": _whole(end, old_end)}


def _whole(new: When, old: When) -> dict[str, str | None]:
    """A time for an event that has one: where a day becomes a time, the day has to be taken away, and the other way round."""
    other = "date" if new.day is None else "dateTime"
    return {**new.written(), **({other: None} if (new.day is None) != (old.day is None) else {})}


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.casefold()))
