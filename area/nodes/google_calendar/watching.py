"""What happens in a calendar: made, cancelled, about to start. Following changes: https://developers.google.com/workspace/calendar/api/guides/sync"""

from collections.abc import Mapping
from datetime import datetime, timedelta, tzinfo
from typing import Annotated, Any

from pydantic import Field

from area.nodes import sdk
from area.nodes._google import Expired, Gone, listed, mapping, segment
from area.nodes.google_calendar.provider import LIST, READ, calendar_choices, events_of, service
from area.nodes.google_calendar.shapes import UNCALLED, Event, declined, moment_of, told, zone_of

EVERY = timedelta(minutes=1)
PER_PAGE = 1000
PAGES = 8
"""Pages read in one look; the next one goes on."""
GRACE = timedelta(minutes=1)
"""How far Google's clock may be behind ours."""
LATE = timedelta(minutes=5)
"""How long after its start an event is still told, when no look came before."""
MOST_PARENTS = 20


class Where(sdk.Inputs):
    """Which calendar."""

    calendar: Annotated[str, sdk.Choices(calendar_choices), sdk.NoTemplate] = Field(
        "primary",
        title="Calendar",
        description="The calendar's id; primary is the account's main one.",
        min_length=1,
        max_length=300,
        examples=["primary"],
    )


class Soon(Where):
    """Which calendar, and how long before."""

    minutes: Annotated[int, sdk.NoTemplate] = Field(
        10, title="Minutes before", description="How long before its start.", ge=0, le=10_080, examples=[10]
    )
    search: Annotated[str, sdk.NoTemplate] = Field(
        "",
        title="Search",
        description="Only events with these words in title, text, place or guests; empty for all.",
        max_length=200,
        examples=["standup"],
    )
    all_day: Annotated[bool, sdk.NoTemplate] = Field(
        False,
        title="All-day events too",
        description="They start at midnight in the calendar's time zone.",
        examples=[False],
    )


class Made(Event):
    """A new event."""

    id: Annotated[str, sdk.Identity] = Field(
        title="Id", description="Google's id.", examples=["7cbh8rpc10lrc0ckih9tafss99"]
    )


class Noted(Event):
    """Something that happens to an event more than once."""

    key: Annotated[str, sdk.Identity] = Field(
        title="Key",
        description="The event, and the moment that this is about.",
        examples=["7cbh8rpc10lrc0ckih9tafss99/2026-03-01T08:00:00Z"],
    )


@service.poll("New event", every=EVERY, scopes=(READ, LIST))
async def event_created(ctx: sdk.Context, where: Where) -> sdk.Page[Made]:
    """Fires once for each event that is made in a calendar; a series is one event."""
    found, cursor, zone = await _changed(ctx, where.calendar)
    since = datetime.fromisoformat(cursor["since"])
    new = [
        event
        for event in found
        if event.get("status") != "cancelled"
        and not event.get("recurringEventId")
        and (moment_of(event.get("created")) or since) >= since
    ]
    return sdk.Page([Made(**told(event, zone)) for event in new], cursor)


@service.poll("Event cancelled", every=EVERY, scopes=(READ, LIST))
async def event_cancelled(ctx: sdk.Context, where: Where) -> sdk.Page[Noted]:
    """Fires when an event, or one of a series, is cancelled or deleted."""
    found, cursor, zone = await _changed(ctx, where.calendar)
    cancelled = {str(event["id"]): event for event in found if event.get("status") == "cancelled"}
    items: list[Noted] = []
    for key, event in cancelled.items():
        series = event.get("recurringEventId")
        if series in cancelled:
            continue  # it went with its series
        if series and not event.get("summary") and len(items) < MOST_PARENTS:
            event = {**await _series(ctx, where.calendar, str(series)), **event}
        moment = event.get("updated") or event.get("etag") or ""
        items.append(Noted(key=f"{key}/{moment}", **told(event, zone)))
    return sdk.Page(items, cursor)


@service.poll("Event about to start", every=EVERY, scopes=(READ, LIST))
async def event_starting(ctx: sdk.Context, where: Soon) -> sdk.Page[Noted]:
    """Fires some minutes before each event; again when it is moved. Events that the account has declined are left out."""
    now = ctx.now()
    until = now + timedelta(minutes=where.minutes)
    asked: dict[str, Any] = {
        "singleEvents": "true",
        "orderBy": "startTime",
        "timeMin": _rfc3339(now - LATE),
        "timeMax": _rfc3339(until + timedelta(seconds=1)),
        "maxResults": PER_PAGE,
        **({"q": where.search} if where.search else {}),
    }
    items = []
    for _ in range(PAGES):
        body = mapping(await ctx.http.get(events_of(where.calendar), params=asked), "items")
        zone = zone_of(body.get("timeZone"))
        for event in listed(body, "items"):
            shown = told(event, zone)
            start = shown["starts_at"]
            fits = not (
                declined(event) or event.get("eventType") in UNCALLED or (shown["all_day"] and not where.all_day)
            )
            if fits and start and now - LATE < start <= until:
                items.append(Noted(key=f"{shown['id']}/{_rfc3339(start)}", **shown))
        if not body.get("nextPageToken"):
            break
        asked["pageToken"] = body["nextPageToken"]
    return sdk.Page(items)


async def _changed(ctx: sdk.Context, calendar: str) -> tuple[list[dict[str, Any]], dict[str, Any], tzinfo]:
    """What has changed since the last look, the cursor, and the calendar's zone.

    At first everything has to be listed once, for a token that stands for the present; and again when that has expired.
    """
    anew = {"since": (ctx.now() - GRACE).isoformat(), "sync": None, "page": None}
    cursor: dict[str, Any] = dict(ctx.cursor or anew)
    found: list[dict[str, Any]] = []
    zone: Any = None
    taking_stock = cursor["sync"] is None
    for _ in range(PAGES):
        try:
            body = mapping(await ctx.http.get(events_of(calendar), params=_asked(cursor)))
        except Expired:
            ctx.log("Google has forgotten the last look: what has changed since is passed over.")
            return [], anew, zone_of(zone)
        found += [
            event for event in listed(body, "items") if event.get("id") and event.get("eventType") not in UNCALLED
        ]
        zone = body.get("timeZone") or zone
        cursor["page"] = body.get("nextPageToken")
        if cursor["page"] is None:
            if not body.get("nextSyncToken"):
                raise sdk.Unavailable("Google Calendar gave neither a next page nor a token for the next look.")
            cursor["sync"] = body["nextSyncToken"]
            break
    return [] if taking_stock else found, cursor, zone_of(zone)


def _asked(cursor: Mapping[str, Any]) -> dict[str, Any]:
    """The same at every look, as Google asks for. Deleted events keep their title only where they are asked for."""
    asked: dict[str, Any] = {"maxResults": PER_PAGE, "showDeleted": "true"}
    if cursor["sync"] is None:
        asked["fields"] = "nextPageToken,nextSyncToken"
    else:
        asked["syncToken"] = cursor["sync"]
    return asked | ({"pageToken": cursor["page"]} if cursor["page"] else {})


async def _series(ctx: sdk.Context, calendar: str, event_id: str) -> dict[str, Any]:
    """What one of a series that was cancelled does not tell itself. Empty when the series is gone too."""
    try:
        series = mapping(await ctx.http.get(f"{events_of(calendar)}/{segment(event_id)}"), "id")
    except (Gone, Expired):
        return {}
    return {name: value for name, value in series.items() if name not in ("start", "end", "created", "updated", "etag")}


def _rfc3339(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
