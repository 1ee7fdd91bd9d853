"""A stand-in for Google Calendar: calendars, events, what has changed since, and ids of one's own choosing.

https://developers.google.com/workspace/calendar/api/v3/reference
"""

import itertools
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote
from zoneinfo import ZoneInfo

from tests.providers.base import StandIn
from tests.providers.calls import Call
from tests.providers.google import SCOPE, Google

READ, WRITE, LIST = (f"{SCOPE}calendar.{n}" for n in ("events.readonly", "events", "calendarlist.readonly"))
MAIN, TEAM = "ada@example.com", "team@group.calendar.google.com"
NEVER_WITH_TOKEN = {"iCalUID", "orderBy", "q", "timeMin", "timeMax", "updatedMin"}
BERLIN = "Europe/Berlin"


class GoogleCalendar(Google):
    """Two calendars of the first user: her own and her team's, both in Berlin."""

    base_path = "/calendar/v3"

    def __init__(self) -> None:
        super().__init__("google_calendar")
        self.calendars: dict[str, dict[str, dict[str, Any]]] = {MAIN: {}, TEAM: {}}
        self.names = {MAIN: "ada@example.com", TEAM: "Équipe 🚀"}
        self.forgotten = 0
        """Tokens of changes up to this one have expired."""
        self.page = 1000
        self._numbers = itertools.count(1)
        self._changes: dict[tuple[str, str], int] = {}
        place = f"{self.base_path}/calendars/{{calendar}}/events"
        self.route("GET", f"{self.base_path}/users/me/calendarList", self._list_calendars, scopes=(LIST,))
        self.route("GET", place, self._list, scopes=(READ, WRITE))
        self.route("POST", place, self.insert, scopes=(WRITE,))
        self.route("POST", f"{place}/quickAdd", self.quick_add, scopes=(WRITE,))
        self.route("GET", f"{place}/{{event}}", self._get, scopes=(READ, WRITE))
        self.route("PATCH", f"{place}/{{event}}", self._patch, scopes=(WRITE,))
        self.route("DELETE", f"{place}/{{event}}", self._delete, scopes=(WRITE,))

    # What happens in the calendars

    def add(self, title: str, start: datetime, calendar: str = MAIN, **more: Any) -> str:
        """Somebody makes an event of an hour; gives its id."""
        times = {"start": timed(start), "end": timed(start + timedelta(hours=1))}
        return str(self._keep(calendar, {"summary": title, **times, **more}, "grace@example.com")["id"])

    def series(self, title: str, start: datetime, count: int = 3) -> tuple[str, list[str]]:
        """A daily event; gives its id and those of its instances."""
        key = self.add(title, start, recurrence=[f"RRULE:FREQ=DAILY;COUNT={count}"])
        starts = [start + timedelta(days=day) for day in range(count)]
        ids = [f"{key}_{one:%Y%m%dT%H%M%SZ}" for one in starts]
        for one, begins in zip(ids, starts, strict=True):
            self.add(title, begins, id=one, recurringEventId=key, originalStartTime=timed(begins))
            del self._changes[MAIN, one]  # instances that are as their series are not listed apart
        return key, ids

    def change(self, event: str, calendar: str = MAIN, **fields: Any) -> None:
        """Somebody changes an event."""
        kept = self.calendars[calendar][event]
        kept |= fields
        self._touch(calendar, kept)

    def cancel(self, event: str, calendar: str = MAIN, *, bare: bool = False) -> None:
        """Somebody cancels an event; ``bare`` leaves only what is promised."""
        kept = self.calendars[calendar][event]
        promised = ("id", "etag", "kind", "recurringEventId", "originalStartTime")
        for name in [name for name in kept if bare and name not in promised]:
            del kept[name]
        kept["status"] = "cancelled"
        self._touch(calendar, kept, dated=not bare)

    def tricks(self) -> Mapping[str, Callable[[], Awaitable[Any]]]:
        """Events that are made, and cancelled."""

        async def plan() -> None:
            self.add("Launch 🚀", datetime.now(UTC) + timedelta(minutes=5))

        async def cancel() -> None:
            alive = [key for key, event in self.calendars[MAIN].items() if event["status"] != "cancelled"]
            if alive:
                self.cancel(alive[-1])

        return {"An event is planned, in five minutes": plan, "The last event is cancelled": cancel}

    # How it works

    def _keep(self, calendar: str, given: Mapping[str, Any], who: str) -> dict[str, Any]:
        key = given.get("id") or f"event{next(self._numbers)}"
        person = {"email": who, **({"self": True} if who == calendar else {})}
        fixed = {
            "kind": "calendar#event",
            "status": "confirmed",
            "eventType": "default",
            "creator": person,
            "organizer": person,
        }
        url = f"https://www.google.com/calendar/event?eid={key}"
        kept = {**fixed, "iCalUID": f"{key}@google.com", "htmlLink": url, "created": stamp(), **given, "id": key}
        self.calendars[calendar][key] = kept
        self._touch(calendar, kept)
        return kept

    def _touch(self, calendar: str, kept: dict[str, Any], *, dated: bool = True) -> None:
        number = next(self._numbers)
        self._changes[calendar, kept["id"]] = number
        kept["etag"] = f'"{number}"'
        if dated:
            kept["updated"] = stamp()

    def _place(self, call: Call) -> str | None:
        name = unquote(call.parameters["calendar"])
        found = MAIN if name == "primary" else name
        return found if found in self.calendars else None

    def _missing(self) -> Any:
        return self.refuse(404, "", "Not Found")

    async def _list_calendars(self, call: Call) -> Any:
        items = [
            {
                "kind": "calendar#calendarListEntry",
                "id": key,
                "summary": name,
                "timeZone": BERLIN,
                "accessRole": "owner",
            }
            | ({"primary": True} if key == MAIN else {})
            for key, name in reversed(self.names.items())
        ]
        return {"kind": "calendar#calendarList", "items": items}

    async def _list(self, call: Call) -> Any:
        calendar, asked = self._place(call), call.query
        if calendar is None:
            return self._missing()
        token = asked.get("syncToken")
        if token and (not re.fullmatch(r"s\d+", token) or int(token[1:]) < self.forgotten):
            return self.refuse(410, "", "Sync token is no longer valid, a full sync is required.")
        if token and (NEVER_WITH_TOKEN & set(asked) or asked.get("showDeleted") == "false"):
            return self.refuse(400, "", "The requested parameters cannot be used with a sync token.")
        found = [event for event in self.calendars[calendar].values() if self._wanted(calendar, event, asked)]
        if asked.get("orderBy") == "startTime":
            found.sort(key=lambda event: moment(event["start"]))
        size, start = min(int(asked.get("maxResults", 250)), self.page), int(asked.get("pageToken", 0))
        last = max([0, *(number for (place, _), number in self._changes.items() if place == calendar)])
        more = {"nextPageToken": str(start + size)} if len(found) > start + size else {"nextSyncToken": f"s{last}"}
        if asked.get("fields"):
            return more
        same = {"kind": "calendar#events", "summary": self.names[calendar], "timeZone": BERLIN, "accessRole": "owner"}
        return {**same, "items": found[start : start + size], **more}

    def _wanted(self, calendar: str, event: dict[str, Any], asked: Mapping[str, str]) -> bool:
        number = self._changes.get((calendar, event["id"]))
        cancelled, single = event["status"] == "cancelled", asked.get("singleEvents") == "true"
        if asked.get("syncToken"):
            return number is not None and number > int(asked["syncToken"][1:])
        if cancelled and asked.get("showDeleted") != "true":
            return False
        if asked.get("updatedMin") and not event.get("updated", "") >= stamp(
            datetime.fromisoformat(asked["updatedMin"])
        ):
            return False
        if (single and event.get("recurrence")) or (not single and event.get("recurringEventId") and number is None):
            return False
        ends_late = "timeMin" not in asked or moment(event["end"]) > datetime.fromisoformat(asked["timeMin"])
        starts_early = "timeMax" not in asked or moment(event["start"]) < datetime.fromisoformat(asked["timeMax"])
        return ends_late and starts_early and asked.get("q", "").lower() in str(event.get("summary")).lower()

    async def insert(self, call: Call) -> Any:
        """Carry out a call that makes an event."""
        calendar, given = self._place(call), call.json
        if calendar is None:
            return self._missing()
        if "id" in given and not re.fullmatch(r"[a-v0-9]{5,1024}", given["id"]):
            return self.refuse(400, "", "Invalid resource id value.")
        if given.get("id") in self.calendars[calendar]:
            return self.refuse(409, "", "The requested identifier already exists.")
        if moment(given["end"]) < moment(given["start"]):
            return self.refuse(400, "", "The specified time range is empty.")
        return self._keep(calendar, given, call.user.email)

    async def quick_add(self, call: Call) -> Any:
        """Carry out a call that makes an event out of a sentence: its time words go."""
        calendar = self._place(call)
        if calendar is None:
            return self._missing()
        title = re.sub(r"\s*\b(tomorrow|at noon|at \d+)\b", "", call.query["text"])
        start = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
        times = {"start": timed(start), "end": timed(start + timedelta(hours=1))}
        return self._keep(calendar, {"summary": title, **times}, call.user.email)

    async def _get(self, call: Call) -> Any:
        calendar = self._place(call)
        return self.calendars.get(calendar or "", {}).get(unquote(call.parameters["event"])) or self._missing()

    async def _patch(self, call: Call) -> Any:
        calendar, event = self._place(call), unquote(call.parameters["event"])
        if calendar is None or event not in self.calendars[calendar]:
            return self._missing()
        kept = self.calendars[calendar][event]
        for name, value in call.json.items():
            merged = {**kept.get(name, {}), **value} if isinstance(value, dict) else value
            kept[name] = {k: v for k, v in merged.items() if v is not None} if isinstance(merged, dict) else merged
        if moment(kept["end"]) < moment(kept["start"]):
            return self.refuse(400, "", "The specified time range is empty.")
        self._touch(calendar, kept)
        return kept

    async def _delete(self, call: Call) -> Any:
        calendar, event = self._place(call), unquote(call.parameters["event"])
        if calendar is None or event not in self.calendars[calendar]:
            return self._missing()
        if self.calendars[calendar][event]["status"] == "cancelled":
            return self.refuse(410, "", "Resource has been deleted")
        self.cancel(event, calendar)
        return None


def stamp(at: datetime | None = None) -> str:
    """A moment as Google writes those of changes."""
    return f"{(at or datetime.now(UTC)).astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"


def timed(at: datetime) -> dict[str, str]:
    """A time of an event, in the calendar's zone."""
    return {"dateTime": at.astimezone(ZoneInfo(BERLIN)).isoformat(timespec="seconds"), "timeZone": BERLIN}


def moment(given: Mapping[str, str]) -> datetime:
    """The moment of an event's start or end."""
    found = datetime.fromisoformat(given.get("dateTime") or given["date"])
    return found if found.tzinfo else found.replace(tzinfo=ZoneInfo(given.get("timeZone", BERLIN)))


def make() -> StandIn:
    """With empty calendars."""
    return GoogleCalendar()
