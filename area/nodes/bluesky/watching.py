"""Mentions, and the posts of an account: read from the newest one back to what is known, and told oldest first.

https://docs.bsky.app/docs/api/app-bsky-notification-list-notifications, https://docs.bsky.app/docs/api/app-bsky-feed-get-author-feed
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, TypeAlias

from pydantic import Field

from area.nodes import sdk
from area.nodes.bluesky.posts import Post, is_post, listed, mapping, moment_of, post_of
from area.nodes.bluesky.provider import DID, NAME, ask, did_of, service

EVERY = timedelta(minutes=1)
PER_PAGE = "30"
"""A row brings what it quotes and shows, some 10 kB at times, and an answer has a megabyte at most."""
PAGES = 10
"""Of one look; where these are not enough, the next one goes on from there."""
OVERLAP = timedelta(minutes=15)
"""How late a post may turn up among those of its time: apps say when it was written."""


class Mentions(sdk.Inputs):
    """Which mentions."""

    replies_too: Annotated[bool, sdk.NoTemplate] = Field(
        False,
        title="Replies too",
        description="Whether answers to your posts count. Two accounts that answer each other never end.",
        examples=[False],
    )


class Author(sdk.Inputs):
    """Whose posts."""

    author: Annotated[str | None, sdk.NoTemplate] = Field(
        None,
        title="Account",
        description="Whose posts, by handle or DID; left out, your own.",
        pattern=rf"^(?:@?{NAME}|{DID})$",
        max_length=600,
        examples=["bsky.app"],
    )
    replies_too: Annotated[bool, sdk.NoTemplate] = Field(
        False, title="Replies too", description="Whether answers to others count.", examples=[False]
    )


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a list; ``post`` is None where it only says how far back the list has come."""

    key: str
    moment: datetime
    post: Post | None


Fetch: TypeAlias = Callable[[str | None], Awaitable[tuple[list[Row], str | None]]]
"""``fn(cursor) -> (rows, next cursor)``, the newest first."""


@service.poll("New mention", every=EVERY)
async def mention(ctx: sdk.Context, where: Mentions) -> sdk.Page[Post]:
    """Fires once for each post that mentions you, and if wanted for each that answers one of yours. Reposts fire nothing."""
    reasons = ["mention", "reply"] if where.replies_too else ["mention"]

    async def fetch(cursor: str | None) -> tuple[list[Row], str | None]:
        method = "app.bsky.notification.listNotifications"
        body = await ask(ctx, method, reasons=reasons, limit=PER_PAGE, cursor=cursor)
        # A server that does not know the parameter gives all of them.
        return _rows(_list(body, "notifications"), lambda one: one.get("reason") in reasons), _next(body)

    return await _look(ctx, fetch, ctx.cursor)


@service.poll("New post by an account", every=EVERY)
async def post_by_account(ctx: sdk.Context, where: Author) -> sdk.Page[Post]:
    """Fires once for each post of an account. Reposts fire nothing."""
    name = where.author and where.author.removeprefix("@")
    author = ctx.cursor["author"] if ctx.cursor else await did_of(ctx, name) if name else ctx.account.external_id
    kinds = "posts_with_replies" if where.replies_too else "posts_no_replies"

    async def fetch(cursor: str | None) -> tuple[list[Row], str | None]:
        method = "app.bsky.feed.getAuthorFeed"
        body = await ask(ctx, method, actor=str(author), filter=kinds, limit=PER_PAGE, cursor=cursor)
        # With a reason it is a repost, or pinned, and stands elsewhere than its time says.
        views = [{**mapping(one.get("post")), "reason": one.get("reason")} for one in _list(body, "feed")]
        return _rows((one for one in views if not one["reason"]), lambda one: True), _next(body)

    page = await _look(ctx, fetch, ctx.cursor)
    return sdk.Page(page.items, {**page.cursor, "author": author})


def _rows(views: Iterable[dict[str, Any]], wanted: Callable[[dict[str, Any]], bool]) -> list[Row]:
    rows = []
    for view in views:
        seen = moment_of(view.get("indexedAt"))
        if seen is None:
            continue
        written = moment_of(mapping(view.get("record")).get("createdAt")) or seen
        post = post_of(view) if is_post(view) and wanted(view) else None
        rows.append(Row(str(view.get("uri") or ""), min(seen, written), post))
    return rows


async def _look(ctx: sdk.Context, fetch: Fetch, state: dict[str, Any] | None) -> sdk.Page[Post]:
    """What is new since the state that an earlier look left.

    ``last`` is the time of the newest row that is known, and ``seen`` has the rows known of the time shortly before it.
    ``page`` and ``newest`` are there while a look has not come back to what is known.
    """
    if state is None:
        return sdk.Page([], await _present(ctx, fetch))
    last = datetime.fromisoformat(state["last"])
    floor, page = last - OVERLAP, state.get("page")
    newest = datetime.fromisoformat(state.get("newest", state["last"]))
    seen = {key: datetime.fromisoformat(moment) for key, moment in state["seen"].items()}
    found: list[Post] = []
    for _ in range(PAGES):
        rows, page = await fetch(page)
        for row in rows:
            newest = max(newest, row.moment)
            if row.moment >= floor and row.key not in seen:
                seen[row.key] = row.moment
                found += [row.post] if row.post else []
        if page is None or any(row.moment < floor for row in rows):
            return sdk.Page(found[::-1], _state(newest, seen))
    more = {"page": page, "newest": newest.isoformat()}
    known = {key: moment.isoformat() for key, moment in seen.items()}
    return sdk.Page(found[::-1], {"last": last.isoformat(), "seen": known, **more})


async def _present(ctx: sdk.Context, fetch: Fetch) -> dict[str, Any]:
    """The state in which everything that is there is known."""
    seen: dict[str, datetime] = {}
    last, page = None, None
    for _ in range(PAGES):
        rows, page = await fetch(page)
        seen.update((row.key, row.moment) for row in rows)
        last = max(seen.values(), default=None)
        if page is None or (last and any(row.moment < last - OVERLAP for row in rows)):
            break
    return _state(last or ctx.now(), seen)


def _state(last: datetime, seen: dict[str, datetime]) -> dict[str, Any]:
    recent = {key: moment.isoformat() for key, moment in seen.items() if moment >= last - OVERLAP}
    return {"last": last.isoformat(), "seen": recent}


def _list(body: dict[str, Any], name: str) -> list[dict[str, Any]]:
    if not isinstance(body.get(name), list):
        raise sdk.Unavailable(f"Bluesky's answer holds no {name}, which its API promises.")
    return listed(body[name])


def _next(body: dict[str, Any]) -> str | None:
    cursor = body.get("cursor")
    return cursor if isinstance(cursor, str) and cursor else None
