"""Mentions, and the posts of an account: read upwards from the last one seen, oldest first, so that no gap is left.

https://docs.joinmastodon.org/methods/notifications/#get, https://docs.joinmastodon.org/methods/accounts/#statuses,
https://docs.joinmastodon.org/api/guidelines/#pagination
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Annotated, Any

import httpx
from pydantic import Field, ValidationError

from area.nodes import sdk
from area.nodes._answers import one
from area.nodes.mastodon.posts import Post, newer, order, post_of
from area.nodes.mastodon.provider import known, service

EVERY = timedelta(minutes=1)
PER_PAGE = 20
"""Some instances allow long posts, and an answer has a megabyte at most."""
PAGES = 10
"""Of one look; what is left comes with the next one."""
LATE = timedelta(hours=1)
"""How far behind the newest post a look begins, for posts of other servers that come after younger ones."""
CLOCKED = 1 << 56
"""Ids from here on have a time in them, in milliseconds above 16 bits; smaller ones are counted."""


class Mentions(sdk.Inputs):
    """Which mentions."""

    bots_too: Annotated[bool, sdk.NoTemplate] = Field(
        False,
        title="Bots too",
        description="Whether automated accounts count. Two that answer each other never end.",
        examples=[False],
    )


class Author(sdk.Inputs):
    """Whose posts."""

    author: Annotated[str | None, sdk.NoTemplate] = Field(
        None,
        title="Account",
        description="Whose posts, as name or name@server; left out, your own. Your instance shows those that it has heard of.",
        pattern=r"^@?[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?(@[A-Za-z0-9.:-]{1,255})?$",
        max_length=300,
        examples=["Mastodon@mastodon.social"],
    )
    replies_too: Annotated[bool, sdk.NoTemplate] = Field(
        False, title="Replies too", description="Whether answers to others count.", examples=[False]
    )


@service.poll("New mention", every=EVERY)
async def mention(ctx: sdk.Context, where: Mentions) -> sdk.Page[Post]:
    """Fires once for each post that mentions you. A boost of a post that mentions you, or an edit of it, fires nothing."""
    path, asked = "/api/v1/notifications", {"types[]": "mention"}
    if ctx.cursor is None:
        return sdk.Page([], {"last": await _newest(ctx, path, asked)})
    found, last = await _since(ctx, path, asked, str(ctx.cursor["last"]))
    posts = _posts(ctx, [one.get("status") for one in found if one.get("type") == "mention"])
    return sdk.Page([post for post in posts if where.bots_too or not post.is_bot], {"last": last})


@service.poll("New post by an account", every=EVERY)
async def post_by_account(ctx: sdk.Context, where: Author) -> sdk.Page[Post]:
    """Fires once for each post of an account that yours may see. Boosts fire nothing, and neither do edits.

    A post from another server that comes within an hour after a younger one fires too; one from before the watching does not.
    """
    asked = {"exclude_reblogs": "true", "exclude_replies": str(not where.replies_too).lower()}
    if ctx.cursor is None:
        author = await _author(ctx, where)
        last = await _newest(ctx, _posts_of(author), asked)
        return sdk.Page([], {"author": author, "from": last, "last": last})
    author, last = str(ctx.cursor["author"]), str(ctx.cursor["last"])
    begun = str(ctx.cursor.get("from", last))
    # What is shown again is known by its id.
    found, last = await _since(ctx, _posts_of(author), asked, last, max(_before(last), begun, key=order))
    return sdk.Page(_posts(ctx, found), {"author": author, "from": begun, "last": last})


async def _author(ctx: sdk.Context, where: Author) -> str:
    """The id of whose posts are meant. Raises: Rejected when the instance has not heard of them."""
    if where.author is None:
        return str(ctx.account.facts["id"])
    name = where.author.removeprefix("@")
    return str(one(await ctx.http.get("/api/v1/accounts/lookup", params={"acct": name}), "id")["id"])


def _posts_of(author: str) -> str:
    return f"/api/v1/accounts/{author}/statuses"


async def _newest(ctx: sdk.Context, path: str, asked: Mapping[str, str]) -> str:
    """The id of the newest; of a page, since the newest may be filtered out of it."""
    answer = await ctx.http.get(path, params={**asked, "limit": str(PER_PAGE)})
    return max([_linked(answer) or "0", *(str(item["id"]) for item in known(answer))], key=order)


def _before(last: str) -> str:
    """The id of a post `LATE` before this one; itself where ids have no time in them.

    A post of another server gets an id by when it was written there, so that one which comes late is below those that are known:
    https://github.com/mastodon/mastodon/blob/main/lib/mastodon/snowflake.rb
    """
    number = int(last) if last.isascii() and last.isdigit() and len(last) < 20 else 0
    return str(number - (int(LATE.total_seconds() * 1000) << 16)) if number >= CLOCKED else last


async def _since(
    ctx: sdk.Context, path: str, asked: Mapping[str, str], last: str, begin: str | None = None
) -> tuple[list[dict[str, Any]], str]:
    """What is newer than an id, oldest first, and the id to go on from; with ``begin``, what a page from there shows too.

    With ``min_id`` a page holds what comes next after it, the newest first. A page may lack what was filtered out of it, even
    all, so that the way on is what its ``Link: <...>; rel="prev"`` says; only the id is taken from there, never the address.
    """
    found: dict[str, dict[str, Any]] = {}
    after = begin or last
    for _ in range(PAGES):
        answer = await ctx.http.get(path, params={**asked, "limit": str(PER_PAGE), "min_id": after})
        page = {str(item["id"]): item for item in known(answer) if newer(str(item["id"]), after)}
        found |= page
        following = max([after, _linked(answer), *page], key=order)
        if following == after:
            break
        # Where the hour holds more than a page, the rest of it was told.
        after = last = max(last, following, key=order)
    return [found[id_] for id_ in sorted(found, key=order)], last


def _linked(answer: httpx.Response) -> str:
    try:
        return str(httpx.URL(answer.links.get("prev", {}).get("url", "")).params.get("min_id", ""))
    except httpx.InvalidURL:
        return ""


def _posts(ctx: sdk.Context, found: Iterable[Any]) -> list[Post]:
    """Those that are posts. One that lacks what each has must not hold up the others."""
    posts = list[Post]()
    for status in found:
        if isinstance(status, dict) and status.get("id") and status.get("reblog") is None:
            try:
                posts.append(post_of(status))
            except ValidationError as error:
                lacks = ", ".join(".".join(map(str, one["loc"])) for one in error.errors())
                ctx.log(f"The post {status['id']} is passed over: the instance does not tell its {lacks}.")
    return posts
