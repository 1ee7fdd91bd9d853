"""Pages that are new or changed, out of a database that is looked at each minute.

Notion's webhooks are not used: each is set up by hand in the integration's settings, where a token that Notion posts once has to be
pasted back, and they carry ids alone: https://developers.notion.com/reference/webhooks.

Times are rounded down to the minute (https://developers.notion.com/changelog/last-edited-time-is-now-rounded-to-the-nearest-minute),
so that a second edit within one looks like the first. A minute is therefore told when it is over, by Notion's own clock, and then
once: what was edited in it is one event, with what it came to. Minutes overlap between looks, for what Notion's index shows late.
"""

from contextlib import suppress
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Annotated, Any, Literal

import httpx
from pydantic import Field

from area.nodes import sdk
from area.nodes.notion.provider import PER_ANSWER, DatabaseId, mapping, objects, service, source_of, text_in
from area.nodes.notion.values import Page, moment, told

EVERY = timedelta(minutes=1)
MINUTE = timedelta(minutes=1)
LATE = timedelta(seconds=10)
"""How long after its end a minute is told: what was written at its end is in the index by then."""
OVERLAP = timedelta(minutes=10)
"""How far behind Notion's clock the next look begins; what it shows again is known by its key."""
TO_THE_MINUTE = "%Y-%m-%dT%H:%M:00.000Z"
PAGES = 20
"""Answers of one look, so at most 500 items, for which Notion may take its time; the next goes on where it ended."""


class Where(sdk.Inputs):
    """Which database."""

    database: Annotated[DatabaseId, sdk.NoTemplate] = Field(
        title="Database",
        description="Choose it; or its id, that of one of its data sources, or its address.",
        max_length=500,
        examples=["bc1211ca-e3f1-4939-ae34-5260b16f627c"],
    )


class Changes(Where):
    """Which changes."""

    own_too: Annotated[bool, sdk.NoTemplate] = Field(
        False,
        title="Own changes too",
        description="Whether a minute counts whose last edit is this account's own. Not for an AREA that changes what it watches.",
        examples=[False],
    )


class Added(Page):
    """A page that is new."""

    id: Annotated[str, sdk.Identity] = Field(
        title="Id", description="The page's id.", examples=["59833787-2cf9-4fdf-8782-e53db20768a5"]
    )


class Updated(Page):
    """A page that has changed."""

    key: Annotated[str, sdk.Identity] = Field(
        title="Key",
        description="The page, and the minute of the change.",
        examples=["59833787-2cf9-4fdf-8782-e53db20768a5@2026-03-01T12:05:00+00:00"],
    )


Stamp = Literal["created_time", "last_edited_time"]


@service.poll("Page added", every=EVERY)
async def page_added(ctx: sdk.Context, where: Where) -> sdk.Page[Added]:
    """Fires once for each page that is made in a database, a minute or two later, when it is likely to have its title.

    Pages that are moved there from elsewhere are not new.
    """
    pages, now, cursor = await _look(ctx, where, "created_time")
    # What is younger than a minute when the watching begins was there before, and is known from then on.
    fresh = [page for page in pages if ctx.cursor is None or _over(moment(page, "created_time"), now)]
    return sdk.Page([Added(**told(page)) for page in fresh], cursor)


@service.poll("Page updated", every=EVERY)
async def page_updated(ctx: sdk.Context, where: Changes) -> sdk.Page[Updated]:
    """Fires when a page of a database is edited, once for each minute in which it was. The minute it was made in does not count."""
    pages, now, cursor = await _look(ctx, where, "last_edited_time")
    before: dict[str, str] = ctx.cursor.get("open", {}) if ctx.cursor else {}
    items, still = list[Updated](), dict[str, str]()
    for page in {str(one["id"]): one for one in pages}.values():
        edited, minute = moment(page, "last_edited_time"), before.get(str(page["id"]))
        own = text_in(page, "last_edited_by", "id") == ctx.account.external_id and not where.own_too
        counts, over = edited > moment(page, "created_time") and not own, _over(edited, now)
        if counts and over:
            minute = edited.isoformat()
        elif counts and ctx.cursor:
            still[str(page["id"])] = edited.isoformat()
        # A minute that was open at the last look is told though another edit hides it: some pages never rest.
        if minute and ((counts and over) or minute < edited.isoformat()):
            items.append(Updated(key=f"{page['id']}@{minute}", **told(page)))
    return sdk.Page(items, {**cursor, "open": still})


def _over(minute: datetime, now: datetime) -> bool:
    return minute + MINUTE + LATE <= now


async def _look(ctx: sdk.Context, where: Where, stamp: Stamp) -> tuple[list[dict[str, Any]], datetime, dict[str, Any]]:
    """The pages since the last look by a time of theirs, the oldest first; Notion's clock; and the cursor for the next look.

    The cursor has ``source``, ``since``, and ``next`` where the look was cut off: Notion's own cursor of the same question;
    for edits ``open`` too, the pages whose minute goes on, with that minute.
    """
    known = dict(ctx.cursor) if ctx.cursor else await _begin(ctx, where)
    pages, following, now = list[dict[str, Any]](), known["next"], ctx.now()
    for _ in range(PAGES):
        answer = await _asked(ctx, known, stamp, following)
        body, now = mapping(answer, "results"), _clock(ctx, answer)
        pages += [one for one in objects(body["results"]) if one.get("object") == "page" and one.get("id")]
        following = text_in(body, "next_cursor") if body.get("has_more") else None
        current = bool(pages) and not _over(moment(pages[-1], stamp), now)
        if not following or (current and ctx.cursor):  # what comes now is for later looks
            # Never back, so that what was told is not forgotten meanwhile.
            return pages, now, {**known, "since": max(known["since"], _since(now)), "next": None}
    return pages, now, {**known, **_place(ctx, known["since"], pages, stamp, now, following)}


def _place(
    ctx: sdk.Context, since: str, pages: list[dict[str, Any]], stamp: Stamp, now: datetime, following: str | None
) -> dict[str, Any]:
    """Where the look after one that was cut off begins: at the last page's minute, or where that is young at Notion's cursor."""
    if ctx.cursor is None:  # what else was there before is no news either
        return {"since": f"{now:{TO_THE_MINUTE}}", "next": None}
    last = f"{moment(pages[-1], stamp):{TO_THE_MINUTE}}" if pages else since
    return {"since": last, "next": None} if since < last <= _since(now) else {"next": following}


async def _begin(ctx: sdk.Context, where: Where) -> dict[str, Any]:
    """Where the first look begins, by Notion's clock: ours may be wrong."""
    source = str((await source_of(ctx, where.database))["id"])
    now = _clock(ctx, await ctx.http.get(f"/v1/data_sources/{source}"))
    return {"source": source, "since": _since(now), "next": None}


async def _asked(ctx: sdk.Context, known: dict[str, Any], stamp: Stamp, following: str | None) -> httpx.Response:
    """One page: https://developers.notion.com/reference/query-a-data-source"""
    asked: dict[str, Any] = {
        "filter": {"timestamp": stamp, stamp: {"on_or_after": known["since"]}},
        "sorts": [{"timestamp": stamp, "direction": "ascending"}],
        "page_size": PER_ANSWER,
    }
    place = f"/v1/data_sources/{known['source']}/query"
    if not following:
        return await ctx.http.post(place, json=asked)
    try:
        return await ctx.http.post(place, json={**asked, "start_cursor": following})
    except sdk.Rejected as error:
        if error.code != "HTTP_400" or following != known["next"]:
            raise
        ctx.log(
            "Notion has forgotten where the last look ended: it begins anew, and what is known already fires nothing."
        )
        return await ctx.http.post(place, json=asked)


def _clock(ctx: sdk.Context, answer: httpx.Response) -> datetime:
    """What time it is for Notion, as its answer's header says; ours where it has none."""
    with suppress(KeyError, ValueError, TypeError):
        return parsedate_to_datetime(answer.headers["date"])
    return ctx.now()


def _since(now: datetime) -> str:
    return f"{now - OVERLAP:{TO_THE_MINUTE}}"
