"""RSS: react to new entries of a feed. RSS 0.9-2.0 and Atom by feedparser; JSON Feed by https://jsonfeed.org/version/1.1"""

import asyncio
import hashlib
import io
import json
from calendar import timegm
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import feedparser
import httpx
from pydantic import Field

from area.nodes import sdk

service = sdk.Service(key="rss", name="RSS", description="Reads RSS, Atom and JSON feeds.")

ACCEPT = "application/feed+json, application/atom+xml, application/rss+xml, application/xml;q=0.9, */*;q=0.5"


class Feed(sdk.Inputs):
    """Which feed."""

    url: Annotated[str, sdk.NoTemplate] = Field(
        title="Feed URL",
        description="Address of an RSS, Atom or JSON feed.",
        pattern=r"^[Hh][Tt][Tt][Pp][Ss]?://\S+$",
        max_length=4000,
        examples=["https://blog.python.org/feeds/posts/default"],
    )


class Item(sdk.Outputs):
    """One entry."""

    id: Annotated[str, sdk.Identity] = Field(
        title="Id", description="The feed's own id, else the link.", examples=["tag:example.com,2026:1"]
    )
    title: str = Field("", title="Title", description="The headline.", examples=["Version 2 is out"])
    link: str = Field("", title="Link", description="Where to read it.", examples=["https://example.com/v2"])
    summary: str = Field("", title="Summary", description="Its text or abstract, as HTML.", examples=["<p>News</p>"])
    author: str = Field("", title="Author", description="Who wrote it.", examples=["Ada"])
    published_at: datetime | None = Field(
        None, title="Published at", description="When, in UTC, if the feed says.", examples=["2026-03-01T08:00:00Z"]
    )


@service.poll("New item", every=timedelta(minutes=5))
async def new_item(ctx: sdk.Context, where: Feed) -> sdk.Page[Item]:
    """Fires once for each new entry of a feed."""
    seen: Mapping[str, str] = ctx.cursor or {}
    conditions = {"If-None-Match": seen.get("etag"), "If-Modified-Since": seen.get("last_modified")}
    headers = {"Accept": ACCEPT, **{name: value for name, value in conditions.items() if value}}
    response = await ctx.http.get(where.url, headers=headers, follow_redirects=True)
    sdk.map_response(response)
    if response.status_code == httpx.codes.NOT_MODIFIED:
        return sdk.Page([], ctx.cursor)
    items = await asyncio.to_thread(_parse, response)
    cursor = {"etag": response.headers.get("etag"), "last_modified": response.headers.get("last-modified")}
    return sdk.Page(list(reversed(items)), cursor)  # feeds put the newest first; events go out in order


def _parse(response: httpx.Response) -> list[Item]:
    """The feed's entries, in its own order. Raises: Rejected when it is no feed."""
    body = response.content
    if body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{":
        return _parse_json(response)
    headers = {"content-type": response.headers.get("content-type", ""), "content-location": str(response.url)}
    feed = feedparser.parse(io.BytesIO(body), response_headers=headers)
    if not feed.get("version") and not feed.entries:
        raise _not_a_feed(response, feed.feed)
    return [_from_xml(entry) for entry in feed.entries]


def _from_xml(entry: Any) -> Item:
    moment = entry.get("published_parsed") or entry.get("updated_parsed")
    title, link, summary = entry.get("title", ""), entry.get("link", ""), entry.get("summary", "")
    return Item(
        id=entry.get("id") or link or _digest(title, summary),
        title=title,
        link=link,
        summary=summary,
        author=entry.get("author", ""),
        published_at=datetime.fromtimestamp(timegm(moment), UTC) if moment else None,
    )


def _parse_json(response: httpx.Response) -> list[Item]:
    try:
        feed = json.loads(response.content)
    except ValueError:
        raise _not_a_feed(response, {}) from None
    if "jsonfeed.org" not in str(feed.get("version", "")) or not isinstance(feed.get("items"), list):
        raise _not_a_feed(response, {})
    return [_from_json(entry) for entry in feed["items"] if isinstance(entry, dict)]


def _from_json(entry: dict[str, Any]) -> Item:
    title, link = str(entry.get("title") or ""), str(entry.get("url") or "")
    summary = str(entry.get("summary") or entry.get("content_html") or entry.get("content_text") or "")
    authors = [*(entry.get("authors") or []), entry.get("author") or {}]
    return Item(
        id=str(entry.get("id") or link or _digest(title, summary)),
        title=title,
        link=link,
        summary=summary,
        author=next((author["name"] for author in authors if isinstance(author, dict) and author.get("name")), ""),
        published_at=_moment(entry.get("date_published")),
    )


def _moment(text: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def _not_a_feed(response: httpx.Response, page: Mapping[str, Any]) -> sdk.Rejected:
    kind = response.headers.get("content-type", "something without a type").partition(";")[0]
    found = next((link["href"] for link in page.get("links", ()) if _is_feed_link(link)), None)
    hint = f"The page offers {found} as its feed." if found else "Give the address of an RSS, Atom or JSON feed."
    message = f"{response.url} is not a feed: it answered {kind}. {hint}"
    # A page may name its feed by a path of its own.
    better = str(response.url.join(found)) if found else None
    return sdk.Rejected(message, code="NOT_A_FEED", field="url", suggestion=better)


def _is_feed_link(link: Mapping[str, Any]) -> bool:
    kinds = ("application/rss+xml", "application/atom+xml", "application/feed+json")
    return link.get("rel") == "alternate" and link.get("type") in kinds and "href" in link


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
