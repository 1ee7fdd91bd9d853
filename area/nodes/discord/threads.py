"""Threads and forum posts. Facts: https://docs.discord.com/developers/resources/channel, …/developers/topics/threads"""

from collections.abc import Mapping
from datetime import timedelta
from enum import IntEnum
from typing import Annotated, Any

from pydantic import Field, ValidationInfo, field_validator

from area.nodes import sdk
from area.nodes.discord.connection import read, service
from area.nodes.discord.sending import SKEW, send, snowflake
from area.nodes.discord.servers import ANNOUNCEMENT, FORUMS, SNOWFLAKE, bot, channel, list_thread_parents
from area.nodes.discord.texts import CONTENT, Ping, mentions

ANNOUNCEMENT_THREAD, PUBLIC_THREAD = 10, 11
STAYS_ACTIVE = timedelta(minutes=55)
"""A thread is listed as active for an hour at least."""


class Archive(IntEnum):
    """Minutes of silence after which a thread is archived."""

    HOUR = 60
    DAY = 1440
    THREE_DAYS = 4320
    WEEK = 10080


class NewThread(sdk.Inputs):
    """Which thread to open."""

    channel: Annotated[str, sdk.Choices(list_thread_parents)] = Field(
        title="Channel",
        description="A text, announcement or forum channel of the connected server, by its id.",
        pattern=SNOWFLAKE,
        examples=["1100000000000000001"],
    )
    name: str = Field(
        title="Name", description="Its title.", min_length=1, max_length=100, examples=["{{ trigger.title }}"]
    )
    message: str = Field(
        "",
        title="On message",
        description="Id of a message to open the thread on; the thread that it has already is taken.",
        pattern=rf"^$|{SNOWFLAKE}",
        examples=["1100000000000000060"],
    )
    content: str = Field(
        "",
        title="First message",
        description="Needed in a forum. In other channels it is posted, and the thread opened on it.",
        max_length=CONTENT,
        examples=["What happened: {{ trigger.text }}"],
        json_schema_extra={"widget": "textarea"},
    )
    ping: list[Ping] = Field(
        default_factory=list,
        title="May notify",
        description="Whose mentions in the first message notify them. By default nobody's.",
        examples=[["users"]],
    )
    archive_after: Archive = Field(
        Archive.DAY,
        title="Archive after",
        description="Minutes of silence: 60, 1440 (a day), 4320 or 10080 (a week).",
        examples=[1440],
    )

    @field_validator("content")
    @classmethod
    def _one_start(cls, value: str, info: ValidationInfo) -> str:
        if value and info.data.get("message"):
            raise ValueError("give a message to open the thread on or a first message, not both")
        return value


class Thread(sdk.Outputs):
    """The thread. It is a channel: messages can be posted in it by its id."""

    id: str = Field(title="Id", description="The thread's id.", examples=["1100000000000000040"])
    name: str = Field(title="Name", description="Its title.", examples=["Live now"])
    channel_id: str = Field(title="Channel id", description="Where it was opened.", examples=["1100000000000000001"])
    server_id: str = Field(title="Server id", description="The server.", examples=["1100000000000000000"])
    url: str = Field(
        title="URL",
        description="Leads to it.",
        examples=["https://discord.com/channels/1100000000000000000/1100000000000000040"],
    )


@service.reaction("Create a thread", idempotent=True)
async def create_thread(ctx: sdk.Context, given: NewThread) -> Thread:
    """Opens a thread in a channel or on a message, or a post in a forum, by the bot."""
    parent = await channel(ctx, given.channel)
    server = str(parent.get("guild_id") or "")
    is_forum = parent.get("type") in FORUMS
    if is_forum and not given.content.strip():
        raise sdk.Rejected(f"Channel {given.channel} is a forum: its posts need a first message.", code="NEEDS_TEXT")
    again = ctx.tried_since is not None and not given.message
    earlier = await _opened_since(ctx, given, server) if again else None
    if earlier is not None:
        ctx.log(f"An earlier attempt had opened it, as thread {earlier['id']}")
        return _thread(earlier, given)
    body = {"name": given.name, "auto_archive_duration": int(given.archive_after)}
    message = {"content": given.content, "allowed_mentions": mentions(given.ping)}
    if is_forum:
        opened = await _open(ctx, f"/channels/{given.channel}/threads", body | {"message": message})
    elif given.message or given.content.strip():
        start = given.message or str((await send(ctx, given.channel, message))["id"])
        opened = await _on_message(ctx, given.channel, start, body)
    else:
        kind = ANNOUNCEMENT_THREAD if parent.get("type") == ANNOUNCEMENT else PUBLIC_THREAD
        opened = await _open(ctx, f"/channels/{given.channel}/threads", body | {"type": kind})
    return _thread(opened, given)


async def _on_message(ctx: sdk.Context, channel_id: str, message: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The thread on a message: a message has one at most."""
    there = read(await bot(ctx).get(f"/channels/{channel_id}/messages/{message}")).get("thread")
    if isinstance(there, Mapping) and there.get("id"):
        return there
    return await _open(ctx, f"/channels/{channel_id}/messages/{message}/threads", body)


async def _open(ctx: sdk.Context, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
    return read(await bot(ctx).post(path, json=body))


async def _opened_since(ctx: sdk.Context, given: NewThread, server: str) -> Mapping[str, Any] | None:
    """The bot's thread of this name in this channel since the first attempt.

    Raises: Unknown when it may have been archived by now, and so is not listed.
    """
    since = ctx.tried_since or ctx.now()
    if ctx.now() - since > STAYS_ACTIVE:
        raise sdk.Unknown(f"An earlier attempt may have opened {given.name!r} in channel {given.channel}: look there.")
    me = read(await bot(ctx).get("/users/@me"))["id"]
    answer = read(await bot(ctx).get(f"/guilds/{server}/threads/active"), "threads")
    least = snowflake(since - SKEW)
    for one in answer["threads"]:
        wanted = (given.channel, me, given.name.strip())
        if (one.get("parent_id"), one.get("owner_id"), one.get("name")) == wanted and int(one["id"]) >= least:
            return dict(one)
    return None


def _thread(found: Mapping[str, Any], given: NewThread) -> Thread:
    server = str(found.get("guild_id") or "@me")
    return Thread(
        id=found["id"],
        name=found.get("name") or given.name,
        channel_id=given.channel,
        server_id=server,
        url=f"https://discord.com/channels/{server}/{found['id']}",
    )
