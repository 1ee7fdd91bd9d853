"""Writing and boosting. https://docs.joinmastodon.org/methods/statuses/"""

import re
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from pydantic import Field

from area.nodes import sdk
from area.nodes._answers import one
from area.nodes.mastodon.posts import moment_of, plain
from area.nodes.mastodon.provider import known, service

KEY_LIVES = timedelta(minutes=50)
"""Within which an instance surely knows an idempotency key; it keeps one for an hour at most."""
SKEW = timedelta(minutes=1)
"""How far the instance's clock and ours may be apart."""
LOOKED_AT = 40
"""Posts of one's own that are looked at for what an earlier attempt may have written."""
POST_ID = r"^[A-Za-z0-9]{1,64}$"
AT = re.compile(r"(?<![A-Za-z0-9_/])@(?=\w)")
"""What may begin a mention; within an e-mail address or a link it is none. Instances do not agree which other signs are letters."""


class Visibility(StrEnum):
    """Who sees it."""

    PUBLIC = "public"
    UNLISTED = "unlisted"
    PRIVATE = "private"
    DIRECT = "direct"


class NewPost(sdk.Inputs):
    """What to write."""

    text: str = Field(
        title="Text",
        description="500 characters at most instances; any address counts as 23. The warning counts too.",
        min_length=1,
        max_length=100_000,
        examples=["{{ trigger.title }} {{ trigger.url }}"],
        json_schema_extra={"widget": "textarea"},
    )
    visibility: Visibility | None = Field(
        None,
        title="Visibility",
        description="public, unlisted, private (followers) or direct (who is mentioned); left out, as the account prefers.",
        examples=["public"],
    )
    warning: str = Field(
        "",
        title="Content warning",
        description="What is shown first; the text is behind it.",
        max_length=500,
        examples=["Spoilers"],
    )
    reply_to: str | None = Field(
        None, title="Reply to", description="The id of a post.", pattern=POST_ID, examples=["103254962155278888"]
    )
    language: str | None = Field(
        None, title="Language", description="Two letters, as in ISO 639-1.", pattern=r"^[a-z]{2,3}$", examples=["en"]
    )
    mentions: bool = Field(
        True,
        title="Mentions",
        description="Whether names with @ in the text are told of it; switch it off where others wrote the text.",
        examples=[True],
    )


class Chosen(sdk.Inputs):
    """Which post."""

    post_id: str = Field(
        title="Post", description="Its id at your instance.", pattern=POST_ID, examples=["103254962155278888"]
    )


class Written(sdk.Outputs):
    """The post."""

    id: str = Field(title="Id", description="To answer or to boost it.", examples=["103254962155278889"])
    url: str = Field(
        title="Address", description="Where it opens.", examples=["https://mastodon.social/@ada/103254962155278889"]
    )
    text: str = Field(title="Text", description="As the instance shows it.", examples=["Hello!"])
    visibility: str = Field(title="Visibility", description="Who sees it.", examples=["public"])
    created_at: datetime = Field(title="Written at", description="In UTC.", examples=["2026-03-01T08:00:00Z"])


class Boosted(sdk.Outputs):
    """The boost."""

    id: str = Field(title="Id", description="The boost's own id.", examples=["103254962155278890"])
    post_id: str = Field(title="Post", description="What was boosted.", examples=["103254962155278888"])
    url: str = Field(
        title="Address",
        description="Where the post opens.",
        examples=["https://example.social/@grace/103254962155278888"],
    )


@service.reaction("Write a post", idempotent=True)
async def post(ctx: sdk.Context, given: NewPost) -> Written:
    """Writes a post or a reply. A repeat within the hour is the first one; later one's own posts are looked through."""
    # An invisible space keeps the name readable, and tells nobody.
    text = given.text if given.mentions else AT.sub("@\u200b", given.text)
    if ctx.tried_since is not None and ctx.now() - ctx.tried_since > KEY_LIVES:
        earlier = await _written_since(ctx, given, text, ctx.tried_since - SKEW)
        if earlier is not None:
            ctx.log(f"An earlier attempt had written it, as post {earlier['id']}")
            return _written(earlier)
    asked = {
        "status": text,
        "visibility": given.visibility,
        "spoiler_text": given.warning or None,
        "in_reply_to_id": given.reply_to,
        "language": given.language,
    }
    answer = await ctx.http.post(
        "/api/v1/statuses",
        json={name: value for name, value in asked.items() if value is not None},
        headers={"Idempotency-Key": ctx.idempotency_key},
    )
    return _written(one(answer, "id"))


@service.reaction("Boost a post", idempotent=True)
async def boost(ctx: sdk.Context, given: Chosen) -> Boosted:
    """Shows a post to one's followers. One that is boosted already stays so."""
    found = one(await ctx.http.post(f"/api/v1/statuses/{given.post_id}/reblog"), "id")
    inner = found.get("reblog")
    inner = inner if isinstance(inner, dict) else {}
    return Boosted(
        id=str(found["id"]),
        post_id=str(inner.get("id") or given.post_id),
        url=str(inner.get("url") or inner.get("uri") or ""),
    )


async def _written_since(ctx: sdk.Context, given: NewPost, text: str, since: datetime) -> dict[str, Any] | None:
    """One's own post of this very text since then. Raises: Unknown when there are more posts than are looked at."""
    path = f"/api/v1/accounts/{ctx.account.facts['id']}/statuses"
    page = known(await ctx.http.get(path, params={"exclude_reblogs": "true", "limit": str(LOOKED_AT)}))
    recent = [found for found in page if (moment_of(found.get("created_at")) or since) >= since]
    for found in recent:
        if (found.get("in_reply_to_id"), found.get("spoiler_text") or "") != (given.reply_to, given.warning):
            continue
        # The HTML is not what was written: names lose their server, addresses are cut.
        source = one(await ctx.http.get(f"/api/v1/statuses/{found['id']}/source"), "id")
        if str(source.get("text")).split() == text.split():
            return found
    if page and len(recent) == len(page) == LOOKED_AT:
        raise sdk.Unknown("An earlier attempt may have written this post: look at the account's profile.")
    return None


def _written(found: dict[str, Any]) -> Written:
    moment = moment_of(found.get("created_at"))
    if moment is None:
        raise sdk.Unknown("The instance does not say when the post was written. It may be there.")
    return Written(
        id=str(found["id"]),
        url=str(found.get("url") or found.get("uri") or ""),
        text=plain(str(found.get("content") or "")),
        visibility=str(found.get("visibility") or ""),
        created_at=moment,
    )
