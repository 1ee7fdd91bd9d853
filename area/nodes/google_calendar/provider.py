"""The service itself, and its calendars. API: https://developers.google.com/workspace/calendar/api/v3/reference"""

from collections.abc import Mapping
from typing import Annotated, Any

from area.nodes import sdk
from area.nodes._google import SCOPE, google, listed, mapping, segment

READ = f"{SCOPE}calendar.events.readonly"
WRITE = f"{SCOPE}calendar.events"
LIST = f"{SCOPE}calendar.calendarlist.readonly"
"""To offer the calendars as choices; the others do not cover it."""
MOST_CALENDARS = 250

service = google(
    "google_calendar",
    "Google Calendar",
    "Reacts to events that are made, begin or are cancelled; makes, changes and deletes events.",
    "https://www.googleapis.com/calendar/v3",
    "https://developers.google.com/workspace/calendar/api/v3/reference",
    implies={WRITE: (READ,)},
)


async def calendar_choices(ctx: sdk.Context, so_far: Mapping[str, Any]) -> list[sdk.Choice]:
    """The account's calendars, its main one first."""
    answer = await ctx.http.get("/users/me/calendarList", params={"maxResults": MOST_CALENDARS})
    calendars = [one for one in listed(mapping(answer), "items") if one.get("id")]
    calendars.sort(key=lambda one: (one.get("primary") is not True, _name(one).casefold()))
    return [sdk.Choice(str(one["id"]), _name(one)) for one in calendars]


def _name(calendar: Mapping[str, Any]) -> str:
    return str(calendar.get("summaryOverride") or calendar.get("summary") or calendar["id"])


Calendar = Annotated[str, sdk.Choices(calendar_choices)]
"""A calendar's id; ``primary`` is the account's main one."""


def events_of(calendar: str) -> str:
    """Where the events of a calendar are."""
    return f"/calendars/{segment(calendar)}/events"
