"""New messages in a channel. Discord pushes ordinary messages over its Gateway only, so they are polled.

Facts: https://docs.discord.com/developers/resources/message (get channel messages, message types)
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import Field

from area.nodes import sdk
from area.nodes.discord.connection import read, read_list, service
from area.nodes.discord.messages import Where
from area.nodes.discord.sending import messages_after, moment_of
from area.nodes.discord.servers import bot, channel, place

BY_PEOPLE = {0, 19}
"""Message types: an ordinary one and a reply. The others are notices: somebody joined, a message was pinned."""
BY_BOTS = {0, 19, 20, 23}
"""Answers to commands too."""


class Watched(Where):
    """Which messages."""

    include_bots: bool = Field(
        False,
        title="Also by bots",
        description="Also messages by other bots and by webhooks. Those of the connected bot never count.",
        examples=[False],
    )


class NewMessage(sdk.Outputs):
    """One message."""

    id: Annotated[str, sdk.Identity] = Field(
        title="Id", description="The message's id.", examples=["1100000000000000060"]
    )
    content: str = Field(
        "",
        title="Text",
        description="Markdown; empty without the Message Content intent, and for messages of attachments only.",
        examples=["Hello everyone"],
    )
    author_id: str = Field(title="Author id", description="Who wrote it.", examples=["1100000000000000010"])
    author_name: str = Field(title="Author", description="The name shown.", examples=["Ada Lovelace"])
    author_username: str = Field(title="Username", description="The author's handle.", examples=["ada"])
    author_is_bot: bool = Field(False, title="By a bot", description="Or by a webhook.", examples=[False])
    channel_id: str = Field(title="Channel id", description="Where it is.", examples=["1100000000000000001"])
    server_id: str = Field(title="Server id", description="In which server.", examples=["1100000000000000000"])
    url: str = Field(
        title="URL",
        description="Leads to it.",
        examples=["https://discord.com/channels/1100000000000000000/1100000000000000001/1100000000000000060"],
    )
    created_at: datetime = Field(
        title="Posted at", description="When, in UTC.", examples=[datetime(2026, 3, 1, 8, 0, tzinfo=UTC)]
    )
    reply_to: str | None = Field(
        None, title="Reply to", description="Id of the message that it answers.", examples=["1100000000000000050"]
    )
    attachment_urls: list[str] = Field(
        default_factory=list,
        title="Attachments",
        description="Where its files are; the addresses end after a while.",
        examples=[["https://cdn.discordapp.com/attachments/1/2/picture.png"]],
    )


@service.poll("New message", every=timedelta(minutes=1))
async def new_message(ctx: sdk.Context, where: Watched) -> sdk.Page[NewMessage]:
    """Fires for each new message in a channel or thread, within a minute or so. The text is empty unless the bot has the
    Message Content intent, which its owner switches on at Discord."""
    if ctx.cursor is None:
        return sdk.Page([], await _baseline(ctx, where))
    seen: Mapping[str, Any] = ctx.cursor
    server = await place(ctx, where.channel)
    # Beyond what is read at once, the next poll goes on where this one ends.
    found, _ = await messages_after(ctx, where.channel, int(seen["after"]))
    cursor = {**seen, "after": found[-1]["id"]} if found else seen
    return sdk.Page([_shown(one, server) for one in found if _counts(one, where, str(seen["me"]))], cursor)


async def _baseline(ctx: sdk.Context, where: Watched) -> dict[str, str]:
    """The newest message there is, and who the bot is. Raises: Rejected for a channel that it may not touch."""
    watched = await channel(ctx, where.channel)
    newest = read_list(await bot(ctx).get(f"/channels/{where.channel}/messages", params={"limit": 1}))
    if not newest and watched.get("last_message_id"):
        # A bot that may not read the history gets an empty list, and no error: it would wait for ever.
        raise sdk.Rejected(
            f"Channel {where.channel} shows the bot none of its messages: let it read the message history there. A channel that "
            "was emptied is watched from its next message on.",
            code="NO_HISTORY",
        )
    after = newest[0]["id"] if newest else "0"
    return {"after": str(after), "me": str(read(await bot(ctx).get("/users/@me"))["id"])}


def _counts(message: Mapping[str, Any], where: Watched, me: str) -> bool:
    """Whether it fires: an AREA that posts where it listens must not answer itself."""
    if (message.get("author") or {}).get("id") == me:
        return False
    return message.get("type", 0) in (BY_BOTS if where.include_bots else BY_PEOPLE) and (
        where.include_bots or not _is_by_bot(message)
    )


def _is_by_bot(message: Mapping[str, Any]) -> bool:
    return bool((message.get("author") or {}).get("bot") or message.get("webhook_id"))


def _shown(message: Mapping[str, Any], server: str) -> NewMessage:
    author = message.get("author") or {}
    return NewMessage(
        id=message["id"],
        content=message.get("content") or "",
        author_id=str(author.get("id") or ""),
        author_name=author.get("global_name") or author.get("username") or "",
        author_username=author.get("username") or "",
        author_is_bot=_is_by_bot(message),
        channel_id=message["channel_id"],
        server_id=server,
        url=f"https://discord.com/channels/{server}/{message['channel_id']}/{message['id']}",
        created_at=moment_of(message["id"]),
        reply_to=(message.get("message_reference") or {}).get("message_id") if message.get("type") == 19 else None,
        attachment_urls=[one["url"] for one in message.get("attachments") or [] if one.get("url")],
    )
