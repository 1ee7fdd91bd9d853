"""What an event looks like, in and out, and its times. https://developers.google.com/workspace/calendar/api/v3/reference/events"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import Field

from area.nodes import sdk
from area.nodes._google import listed

UNCALLED = frozenset({"birthday", "workingLocation"})
"""Kinds of entries that nobody would call an event."""


class Event(sdk.Outputs):
    """An event."""

    id: str = Field(title="Id", description="Google's id.", examples=["7cbh8rpc10lrc0ckih9tafss99"])
    title: str = Field(title="Title", description="What it is called.", examples=["Launch"])
    description: str = Field(title="Description", description="Its text, which may be HTML.", examples=["With cake."])
    location: str = Field(title="Location", description="Where it takes place.", examples=["Room 4"])
    starts_at: datetime | None = Field(
        None,
        title="Starts at",
        description="In UTC; of an all-day event midnight there.",
        examples=["2026-03-01T08:00:00Z"],
    )
    ends_at: datetime | None = Field(
        None, title="Ends at", description="In UTC; the first moment after it.", examples=["2026-03-01T09:00:00Z"]
    )
    all_day: bool = Field(title="All day", description="Whether it has days and no times.", examples=[False])
    time_zone: str = Field(title="Time zone", description="In which it was planned.", examples=["Europe/Berlin"])
    organizer: str = Field(title="Organizer", description="Their mail address.", examples=["ada@example.com"])
    guests: list[str] = Field(title="Guests", description="Their mail addresses.", examples=[["grace@example.com"]])
    meeting_url: str = Field(
        title="Meeting", description="Where its video call is.", examples=["https://meet.google.com/abc-defg-hij"]
    )
    status: str = Field(title="Status", description="confirmed, tentative or cancelled.", examples=["confirmed"])
    recurring: bool = Field(title="Recurring", description="Whether it belongs to a series.", examples=[False])
    series_id: str = Field(title="Series", description="The id of its series; empty without one.", examples=[""])
    created_at: datetime | None = Field(None, title="Made at", description="In UTC.", examples=["2026-02-01T08:00:00Z"])
    updated_at: datetime | None = Field(
        None, title="Changed at", description="In UTC.", examples=["2026-02-01T08:00:00Z"]
    )
    url: str = Field(
        title="Address", description="Where it opens.", examples=["https://www.google.com/calendar/event?eid=N2NiaA"]
    )


@dataclass(frozen=True, slots=True)
class When:
    """A moment, or a whole day."""

    moment: datetime | None = None
    day: date | None = None
    zone: str = ""
    """The name of the zone of a moment that was given without one."""

    def in_utc(self, zone: tzinfo = UTC) -> datetime:
        """The moment; of a day its beginning in ``zone``."""
        if self.moment is None:
            return datetime.combine(self.day or date.min, time.min, zone).astimezone(UTC)
        return self.moment.replace(tzinfo=self.moment.tzinfo or ZoneInfo(self.zone or "UTC")).astimezone(UTC)

    def later(self, by: timedelta) -> "When":
        """The same, so much later."""
        if self.day:
            return When(day=self.day + by)
        return When(self.moment + by if self.moment else None, zone=self.zone)

    def written(self) -> dict[str, str]:
        """As Google wants it."""
        if self.moment is None:
            return {"date": (self.day or date.min).isoformat()}
        return {"dateTime": self.moment.isoformat()} | ({"timeZone": self.zone} if not self.moment.tzinfo else {})


def parse_when(text: str, zone: str) -> When:
    """A date, or a time with or without its offset from UTC. Raises: ValueError."""
    text = text.strip()
    try:
        if not {"T", " "} & set(text):
            return When(day=date.fromisoformat(text))
        return When(datetime.fromisoformat(text), zone=zone)
    except ValueError:
        raise ValueError(
            f"{text!r} is no date and no time. Write 2026-03-01, 2026-03-01T09:00 or 2026-03-01T09:00:00Z"
        ) from None


def read_when(given: Any, zone: tzinfo = UTC) -> When | None:
    """What Google says; None when that is nothing."""
    if not isinstance(given, Mapping):
        return None
    try:
        if given.get("dateTime"):
            moment = datetime.fromisoformat(str(given["dateTime"]))
            return When(moment if moment.tzinfo else moment.replace(tzinfo=zone))
        return When(day=date.fromisoformat(str(given["date"]))) if given.get("date") else None
    except ValueError:
        return None


def zone_of(given: Any) -> tzinfo:
    """A time zone by its name; UTC for one that is not known."""
    try:
        return ZoneInfo(str(given))
    except (KeyError, ValueError, OSError):
        return UTC


def told(event: Mapping[str, Any], zone: tzinfo = UTC) -> dict[str, Any]:
    """What an event tells; ``zone`` is its calendar's, for days that name none."""
    start, end = read_when(event.get("start"), zone), read_when(event.get("end"), zone)
    if start is None:
        start = read_when(event.get("originalStartTime"), zone)
    planned, organizer = event.get("start"), event.get("organizer")
    return {
        "id": str(event.get("id") or ""),
        "title": str(event.get("summary") or ""),
        "description": str(event.get("description") or ""),
        "location": str(event.get("location") or ""),
        "starts_at": start.in_utc(zone) if start else None,
        "ends_at": end.in_utc(zone) if end else None,
        "all_day": start is not None and start.day is not None,
        "time_zone": str((isinstance(planned, Mapping) and planned.get("timeZone")) or _name(zone)),
        "organizer": str(organizer.get("email") or "") if isinstance(organizer, Mapping) else "",
        "guests": [
            str(one["email"]) for one in listed(event, "attendees") if one.get("email") and not one.get("resource")
        ],
        "meeting_url": _meeting(event),
        "status": str(event.get("status") or ""),
        "recurring": bool(event.get("recurrence") or event.get("recurringEventId")),
        "series_id": str(event.get("recurringEventId") or ""),
        "created_at": moment_of(event.get("created")),
        "updated_at": moment_of(event.get("updated")),
        "url": str(event.get("htmlLink") or ""),
    }


def moment_of(given: Any) -> datetime | None:
    """A moment in UTC; None when it is no time."""
    try:
        moment = datetime.fromisoformat(str(given))
    except ValueError:
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)


def declined(event: Mapping[str, Any]) -> bool:
    """Whether the account has said that it does not come."""
    return any(one.get("self") and one.get("responseStatus") == "declined" for one in listed(event, "attendees"))


def _name(zone: tzinfo) -> str:
    return zone.key if isinstance(zone, ZoneInfo) else "UTC"


def _meeting(event: Mapping[str, Any]) -> str:
    data = event.get("conferenceData")
    ways = listed(data, "entryPoints") if isinstance(data, Mapping) else []
    video = next((one.get("uri") for one in ways if one.get("entryPointType") == "video"), None)
    return str(event.get("hangoutLink") or video or "")
