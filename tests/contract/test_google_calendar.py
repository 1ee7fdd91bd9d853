"""Everything that Google Calendar's nodes send, and all that their stand-in answers, is as Google's description of the API says."""

from datetime import timedelta

from area.nodes import google_calendar
from area.nodes.google_calendar import reactions, watching
from area.nodes.google_calendar.provider import calendar_choices
from tests.contract.plugin import Contracts
from tests.nodes.google_wire import look, wired
from tests.providers.google_calendar import GoogleCalendar

LAST = "lastofall"
BEYOND = (f"DELETE /calendar/v3/calendars/primary/events/{LAST}",)
"""The strict description has no deleting."""


async def test_every_call_is_as_described(contract: Contracts) -> None:
    described, there = contract("calendar", beyond=BEYOND), GoogleCalendar()
    ctx = wired(google_calendar.service, there)
    there.page = 1
    soon = ctx.moment + timedelta(minutes=5)
    for node, where in (
        (watching.event_created, watching.Where()),
        (watching.event_cancelled, watching.Where()),
        (watching.event_starting, watching.Soon(search="é", all_day=True)),
    ):
        ctx.cursor = None
        await look(ctx, node, where)
        keys = [there.add(f"Été {n}", soon, attendees=[{"email": "grace@example.com"}]) for n in range(2)]
        _, instances = there.series("Été", soon)
        there.cancel(keys[0])
        there.cancel(instances[2], bare=True)
        assert await look(ctx, node, where)
    there.forgotten = 1000
    ctx.cursor = {"since": soon.isoformat(), "sync": "s1", "page": None}
    assert await look(ctx, watching.event_created, watching.Where()) == []
    given = reactions.NewEvent(
        title="Été", starts_at="2026-03-01", guests="zoe@example.com", description="ça", location="Là"
    )
    made = [await reactions.create_event.fn(ctx, given) for _ in range(2)]
    timed = given.model_copy(update={"starts_at": "2026-03-01T09:00:00Z", "time_zone": "Europe/Berlin"})
    ctx.idempotency_key = "another"
    await reactions.create_event.fn(ctx, timed)
    quick = reactions.QuickEvent(text="Déjeuner tomorrow")
    assert reactions.quick_add.reconciler
    there.page = 1000
    added = await reactions.quick_add.fn(ctx, quick)
    assert await reactions.quick_add.reconciler(ctx, quick) == added
    await reactions.update_event.fn(ctx, reactions.Changes(event_id=made[0].id, title="x", starts_at="2026-03-02"))
    there.add("Last", soon, id=LAST)
    for _ in range(2):
        await reactions.delete_event.fn(ctx, reactions.Which(event_id=LAST))
    assert len(await calendar_choices(ctx, {})) == 2
    described.audit(there)
    assert described.checked > 25
