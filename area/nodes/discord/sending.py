"""Posting once: a nonce for minutes, and a look into the channel after that.

A bot's message carries a nonce, and Discord answers a repeat within "the past few minutes" with the first one. Later, what an
earlier attempt may have posted is looked for in the channel itself.

Facts: https://docs.discord.com/developers/resources/message (create message, get channel messages),
https://docs.discord.com/developers/reference (snowflakes)
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from area.nodes import sdk
from area.nodes.discord.connection import read, read_list
from area.nodes.discord.servers import bot

EPOCH = 1_420_070_400_000
"""Discord's, in ms: the first moment of 2015."""
NONCE_LIVES = timedelta(minutes=2)
"""Within which Discord surely knows a nonce; it says "a few minutes"."""
SKEW = timedelta(seconds=30)
"""How far Discord's clock and ours may be apart."""
PAGE, PAGES = 50, 10
"""Messages a request, below the most that is read of an answer; and requests."""


async def send(ctx: sdk.Context, channel_id: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Post by the bot, once however often it is tried. Raises: Unknown when that cannot be told."""
    if ctx.tried_since is not None and ctx.now() - ctx.tried_since > NONCE_LIVES:
        earlier = await _posted_since(ctx, channel_id, body, ctx.tried_since - SKEW)
        if earlier is not None:
            ctx.log(f"An earlier attempt had posted it, as message {earlier['id']}")
            return earlier
    nonce = hashlib.sha256(ctx.idempotency_key.encode()).hexdigest()[:25]
    sent = {**body, "nonce": nonce, "enforce_nonce": True}
    return read(await bot(ctx).post(f"/channels/{channel_id}/messages", json=sent))


async def _posted_since(
    ctx: sdk.Context, channel_id: str, body: Mapping[str, Any], since: datetime
) -> Mapping[str, Any] | None:
    """The bot's message of this text since then; another that says the very same counts as it.

    Raises: Unknown when the channel does not show everything since then.
    """
    me = read(await bot(ctx).get("/users/@me"))["id"]
    found, is_whole = await messages_after(ctx, channel_id, snowflake(since))
    wanted = _words(body)
    for one in found:
        if one.get("author", {}).get("id") == me and _words(one) == wanted:
            return one
    if not found:
        # A bot that may not read the history gets an empty list, and no error.
        last = read(await bot(ctx).get(f"/channels/{channel_id}")).get("last_message_id") or 0
        is_whole = int(last) <= snowflake(since)
    if not is_whole:
        raise sdk.Unknown(f"An earlier attempt may have posted this in channel {channel_id}: look there.")
    return None


async def messages_after(ctx: sdk.Context, channel_id: str, after: int) -> tuple[list[Mapping[str, Any]], bool]:
    """Messages newer than an id, oldest first, and whether these are all: a bounded number is read.

    Discord gives those next to ``after``, the newest of them first.
    """
    found: list[Mapping[str, Any]] = []
    for _ in range(PAGES):
        asked = {"after": str(after), "limit": str(PAGE)}
        page = read_list(await bot(ctx).get(f"/channels/{channel_id}/messages", params=asked))
        fresh = sorted((one for one in page if int(one["id"]) > after), key=lambda one: int(one["id"]))
        found += fresh
        if len(page) < PAGE or not fresh:
            return found, True
        after = int(fresh[-1]["id"])
    return found, False


def snowflake(moment: datetime) -> int:
    """The least id that something made at this moment can have."""
    return max(0, int(moment.timestamp() * 1000) - EPOCH) << 22


def moment_of(snowflake_id: str) -> datetime:
    """When the bearer of an id was made, in UTC."""
    return datetime.fromtimestamp(((int(snowflake_id) >> 22) + EPOCH) / 1000, UTC)


def _words(message: Mapping[str, Any]) -> tuple[str, list[list[str]]]:
    """A message's text and its embeds' texts without spaces, which Discord trims."""
    embeds: Sequence[Mapping[str, Any]] = message.get("embeds") or []
    rich = [one for one in embeds if one.get("type", "rich") == "rich"]  # previews of links are made by Discord
    return _dense(message.get("content")), [_shown(one) for one in rich]


def _shown(embed: Mapping[str, Any]) -> list[str]:
    fields = [field.get(part) for field in embed.get("fields") or [] for part in ("name", "value")]
    return [_dense(text) for text in (embed.get("title"), embed.get("description"), *fields)]


def _dense(text: Any) -> str:
    return "".join(str(text or "").split())
