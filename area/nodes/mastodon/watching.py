"""Mentions, and the posts of an account: read upwards from the last one seen, oldest first, so that no gap is left.

https://docs.joinmastodon.org/methods/notifications/#get, https://docs.joinmastodon.org/methods/accounts/#statuses,
https://docs.joinmastodon.org/api/guidelines/#pagination
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

import httpx
from pydantic import Field

from area.nodes import sdk
from area.nodes.mastodon.posts import Post, newer, order, post_of
from area.nodes.mastodon.provider import read, read_list, service

EVERY = timedelta(minutes=1)
PER_PAGE = 20
"""Some instances allow long posts, and an answer has a megabyte at most."""
PAGES = 10
"""Of one look; what is left comes with the next one."""


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
    posts = [post_of(one["status"]) for one in found if one.get("type") == "mention" and _is_post(one.get("status"))]
    return sdk.Page([post for post in posts if where.bots_too or not post.is_bot], {"last": last})


@service.poll("New post by an account", every=EVERY)
async def post_by_account(ctx: sdk.Context, where: Author) -> sdk.Page[Post]:
    """Fires once for each post of an account that yours may see. Boosts fire nothing, and neither do edits."""
    asked = {"exclude_reblogs": "true", "exclude_replies": str(not where.replies_too).lower()}
    if ctx.cursor is None:
        author = await _author(ctx, where)
        return sdk.Page([], {"author": author, "last": await _newest(ctx, _posts_of(author), asked)})
    author = str(ctx.cursor["author"])
    found, last = await _since(ctx, _posts_of(author), asked, str(ctx.cursor["last"]))
    return sdk.Page([post_of(one) for one in found if one.get("reblog") is None], {"author": author, "last": last})


async def _author(ctx: sdk.Context, where: Author) -> str:
    """The id of whose posts are meant. Raises: Rejected when the instance has not heard of them."""
    if where.author is None:
        return str(ctx.account.facts["id"])
    name = where.author.removeprefix("@")
    return str(read(await ctx.http.get("/api/v1/accounts/lookup", params={"acct": name}))["id"])


def _posts_of(author: str) -> str:
    return f"/api/v1/accounts/{author}/statuses"


async def _newest(ctx: sdk.Context, path: str, asked: Mapping[str, str]) -> str:
    found = read_list(await ctx.http.get(path, params={**asked, "limit": "1"}))
    return max((str(one["id"]) for one in found), key=order, default="0")


async def _since(ctx: sdk.Context, path: str, asked: Mapping[str, str], last: str) -> tuple[list[dict[str, Any]], str]:
    """What is newer than an id, oldest first, and the id to go on from.

    With ``min_id`` a page holds what comes next after it, the newest first. A page may lack what was filtered out of it, even
    all, so that the way on is what its ``Link: <...>; rel="prev"`` says; only the id is taken from there, never the address.
    """
    found: list[dict[str, Any]] = []
    for _ in range(PAGES):
        answer = await ctx.http.get(path, params={**asked, "limit": str(PER_PAGE), "min_id": last})
        page = sorted(
            (one for one in read_list(answer) if newer(str(one["id"]), last)), key=lambda one: order(str(one["id"]))
        )
        found += page
        following = max([last, _linked(answer), *(str(one["id"]) for one in page)], key=order)
        if following == last:
            break
        last = following
    return found, last


def _linked(answer: httpx.Response) -> str:
    try:
        return str(httpx.URL(answer.links.get("prev", {}).get("url", "")).params.get("min_id", ""))
    except httpx.InvalidURL:
        return ""


def _is_post(status: Any) -> bool:
    return isinstance(status, dict) and bool(status.get("id")) and status.get("reblog") is None
