"""Writing and reposting: records with a key of our own, so that a repeat is the same record.

https://docs.bsky.app/docs/api/com-atproto-repo-put-record (and get-record), https://docs.bsky.app/docs/api/app-bsky-feed-get-posts,
https://docs.bsky.app/docs/advanced-guides/posts, https://atproto.com/specs/tid
"""

import hashlib
import re
from typing import Any

from pydantic import Field, HttpUrl

from area.nodes import sdk
from area.nodes.bluesky.posts import COLLECTION, listed, mapping, page_of
from area.nodes.bluesky.provider import DID, NAME, ask, body_of, did_of, service
from area.nodes.bluesky.richtext import MOST_BYTES, MOST_GRAPHEMES, facets, graphemes, mentions

REPOSTS = "app.bsky.feed.repost"
KEY = r"[A-Za-z0-9._:~-]{1,512}"
POST = rf"^(?:at://({NAME}|{DID})/app\.bsky\.feed\.post/|https://bsky\.app/profile/({NAME}|{DID})/post/)({KEY})$"
"""A post's URI, or the address at which people open it: whose, and its key."""
SIGNS = "234567abcdefghijklmnopqrstuvwxyz"
BEGIN, SPAN = 1_672_531_200_000_000, 365 * 86_400 * 1_000_000
"""A year, 2023, in µs: where made-up keys lie, since a key reads as a time and none may be to come."""
MOST_NAMES = 20
"""Handles that are looked up for one post."""


class NewPost(sdk.Inputs):
    """What to write."""

    text: str = Field(
        title="Text",
        description="Up to 300 characters. Addresses, @handles and #tags in it become links.",
        min_length=1,
        max_length=MOST_BYTES,
        examples=["{{ trigger.title }} {{ trigger.url }}"],
        json_schema_extra={"widget": "textarea"},
    )
    reply_to: str | None = Field(
        None,
        title="Reply to",
        description="The URI or the address of a post.",
        pattern=POST,
        examples=["at://did:plc:z72i7hdynmk6r22z27h6tvur/app.bsky.feed.post/3l6oveex3ii2l"],
    )
    link: HttpUrl | None = Field(
        None, title="Card", description="An address to show below the text.", examples=["https://example.com/analysis"]
    )
    link_title: str = Field(
        "", title="Card's title", description="Left out, the address.", max_length=300, examples=["Analysis"]
    )
    link_text: str = Field(
        "", title="Card's text", description="May be empty.", max_length=1000, examples=["How it is done."]
    )
    language: str | None = Field(
        None,
        title="Language",
        description="Its code, as in BCP 47.",
        pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$",
        max_length=35,
        examples=["en"],
    )
    mentions: bool = Field(
        True,
        title="Mentions",
        description="Whether names with @ in the text are told of it; switch it off where others wrote the text.",
        examples=[True],
    )


class Chosen(sdk.Inputs):
    """Which post."""

    post: str = Field(
        title="Post",
        description="Its URI or its address.",
        pattern=POST,
        examples=["at://did:plc:z72i7hdynmk6r22z27h6tvur/app.bsky.feed.post/3l6oveex3ii2l"],
    )


class Written(sdk.Outputs):
    """The post."""

    uri: str = Field(
        title="URI",
        description="To answer or to repost it.",
        examples=["at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/app.bsky.feed.post/3l6oveex3ii2m"],
    )
    url: str = Field(
        title="Address",
        description="Where it opens.",
        examples=["https://bsky.app/profile/ada.bsky.social/post/3l6oveex3ii2m"],
    )


class Reposted(sdk.Outputs):
    """The repost."""

    uri: str = Field(
        title="URI",
        description="Of the repost itself.",
        examples=["at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/app.bsky.feed.repost/3l6oveex3ii2n"],
    )
    post_uri: str = Field(
        title="Post",
        description="What was reposted.",
        examples=["at://did:plc:z72i7hdynmk6r22z27h6tvur/app.bsky.feed.post/3l6oveex3ii2l"],
    )


@service.reaction("Write a post", idempotent=True)
async def post(ctx: sdk.Context, given: NewPost) -> Written:
    """Writes a post or a reply; a repeat finds the first one by its key."""
    _measure(given.text)
    key = key_of(ctx.idempotency_key)
    uri = await _earlier(ctx, COLLECTION, key) if ctx.tried_since is not None else None
    if uri is None:
        uri = await _put(ctx, COLLECTION, key, await _record(ctx, given))
    return Written(uri=uri, url=page_of(uri, str(ctx.account.facts.get("handle") or "")))


@service.reaction("Repost a post", idempotent=True)
async def repost(ctx: sdk.Context, given: Chosen) -> Reposted:
    """Shows a post to one's followers. One that is reposted already stays so."""
    found = await _find(ctx, given.post)
    subject = {"uri": str(found["uri"]), "cid": str(found["cid"])}
    already = mapping(found.get("viewer")).get("repost")
    if isinstance(already, str) and already:
        return Reposted(uri=already, post_uri=subject["uri"])
    # By the post, not by the run: two runs make one repost.
    key = key_of(f"repost of {subject['uri']}")
    record = {"$type": REPOSTS, "subject": subject, "createdAt": _moment(ctx)}
    return Reposted(uri=await _put(ctx, REPOSTS, key, record), post_uri=subject["uri"])


def key_of(name: str) -> str:
    """A record key of the form that posts need, the same for the same name."""
    number = int.from_bytes(hashlib.sha256(name.encode()).digest())
    stamp = ((BEGIN + (number >> 10) % SPAN) << 10) | (number & 1023)
    return "".join(SIGNS[stamp >> shift & 31] for shift in range(60, -1, -5))


def _measure(text: str) -> None:
    """Raises: Rejected for a text that no server takes."""
    size, length = len(text.encode()), graphemes(text)
    if length > MOST_GRAPHEMES or size > MOST_BYTES:
        told = f"The text has {length} characters and {size} bytes; Bluesky takes {MOST_GRAPHEMES} and {MOST_BYTES} at most."
        raise sdk.Rejected(
            f"{told} Shorten it, for example by the filter truncate: {MOST_GRAPHEMES}.", code="TOO_LONG", field="text"
        )


async def _record(ctx: sdk.Context, given: NewPost) -> dict[str, Any]:
    """https://docs.bsky.app/docs/advanced-guides/posts"""
    record: dict[str, Any] = {"$type": COLLECTION, "text": given.text, "createdAt": _moment(ctx)}
    dids = await _dids(ctx, given.text) if given.mentions else {}
    marked = facets(given.text, dids.get)
    if marked:
        record["facets"] = marked
    if given.language:
        record["langs"] = [given.language]
    if given.reply_to:
        parent = await _find(ctx, given.reply_to)
        reference = {"uri": str(parent["uri"]), "cid": str(parent["cid"])}
        root = mapping(mapping(mapping(parent.get("record")).get("reply")).get("root"))
        whole = {"uri": root["uri"], "cid": root["cid"]} if root.get("uri") and root.get("cid") else reference
        record["reply"] = {"root": whole, "parent": reference}
    if given.link:
        card = {"uri": str(given.link), "title": given.link_title or str(given.link), "description": given.link_text}
        record["embed"] = {"$type": "app.bsky.embed.external", "external": card}
    return record


async def _dids(ctx: sdk.Context, text: str) -> dict[str, str]:
    """Whom a text names; a handle that is nobody's stays plain text."""
    found = {}
    for handle in list(dict.fromkeys(handle for _, handle in mentions(text)))[:MOST_NAMES]:
        try:
            found[handle] = await did_of(ctx, handle)
        except sdk.Rejected as error:
            if error.code != "GONE":
                raise
            ctx.log(f"Nobody has the handle {handle}: it is no mention.")
    return found


async def _find(ctx: sdk.Context, post: str) -> dict[str, Any]:
    """A post as it is shown to the account. Raises: Rejected (GONE) when it is not there, or hidden."""
    named = re.match(POST, post)
    if named is None:
        raise sdk.Rejected(f"{post[:100]!r} is neither the URI nor the address of a post.", code="NO_POST")
    uri = f"at://{await did_of(ctx, named[1] or named[2])}/{COLLECTION}/{named[3]}"
    body = await ask(ctx, "app.bsky.feed.getPosts", uris=[uri])
    if not isinstance(body.get("posts"), list):
        raise sdk.Unavailable("Bluesky's answer holds no posts, which its API promises.")
    found = next((one for one in listed(body["posts"]) if one.get("uri") and one.get("cid")), None)
    if found is None:
        raise sdk.Rejected(f"The post {uri} is not there any more, or not shown to this account.", code="GONE")
    return found


async def _earlier(ctx: sdk.Context, collection: str, key: str) -> str | None:
    """The URI of what an earlier attempt has written; None when there is nothing."""
    try:
        found = await ask(
            ctx, "com.atproto.repo.getRecord", repo=ctx.account.external_id, collection=collection, rkey=key
        )
    except sdk.Rejected as error:
        if error.code != "GONE":
            raise
        return None
    uri = found.get("uri")
    if not isinstance(uri, str) or not uri:
        raise sdk.Unavailable("Bluesky does not say whether an earlier attempt has written this.")
    ctx.log(f"An earlier attempt had written it: {uri}")
    return uri


async def _put(ctx: sdk.Context, collection: str, key: str, record: dict[str, Any]) -> str:
    """Write a record, or the same one again. Raises: Unknown when the answer does not say, though it may be written."""
    asked = {"repo": ctx.account.external_id, "collection": collection, "rkey": key, "record": record}
    uri = body_of(await ctx.http.post("/xrpc/com.atproto.repo.putRecord", json=asked)).get("uri")
    if not isinstance(uri, str) or not uri:
        raise sdk.Unknown("Bluesky did not say what became of it. It may be written.")
    return uri


def _moment(ctx: sdk.Context) -> str:
    return ctx.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
