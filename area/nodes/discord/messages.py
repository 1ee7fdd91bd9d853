"""Posting: in a channel or to a person by the bot, and by a webhook's URL.

Facts: https://docs.discord.com/developers/resources/message, https://docs.discord.com/developers/resources/webhook
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field, ValidationInfo, field_validator

from area.nodes import sdk
from area.nodes.discord.connection import read, service
from area.nodes.discord.sending import moment_of, send
from area.nodes.discord.servers import SNOWFLAKE, allow_member, bot, list_chats, place
from area.nodes.discord.texts import LINK, Text

WEBHOOK = re.compile(r"https?://[^/\s]+(?:/[\w-]+)*/webhooks/(\d{15,20})/([\w-]{1,200})")
WEBHOOK_HOSTS = {"discord.com", "ptb.discord.com", "canary.discord.com", "discordapp.com"}


class Where(sdk.Inputs):
    """Which channel."""

    channel: Annotated[str, sdk.Choices(list_chats)] = Field(
        title="Channel",
        description="A channel or thread of the connected server, by its id.",
        pattern=SNOWFLAKE,
        examples=["1100000000000000001"],
    )


class Message(Text, Where):
    """What to post, and where."""

    reply_to: str = Field(
        "",
        title="Reply to",
        description="Id of a message in the same channel that this one answers; its author is not notified.",
        pattern=rf"^$|{SNOWFLAKE}",
        examples=["1100000000000000050"],
    )


class PersonalMessage(Text):
    """What to say, and to whom."""

    user: str = Field(
        title="User",
        description="Id of a member of the connected server, such as the author id of a message.",
        pattern=SNOWFLAKE,
        examples=["1100000000000000010"],
    )


class WebhookMessage(Text):
    """What to post by a webhook."""

    webhook_url: Annotated[str, sdk.Secret, sdk.NoTemplate] = Field(
        title="Webhook URL",
        description="From the channel's settings: Integrations, Webhooks, Copy Webhook URL. Whoever knows it can post.",
        pattern=rf"^{WEBHOOK.pattern}$",
        max_length=400,
        examples=["https://discord.com/api/webhooks/1100000000000000030/token"],
    )
    username: str = Field(
        "", title="Name", description="Posts under this name.", max_length=80, examples=["Stream announcer"]
    )
    avatar_url: str = Field(
        "", title="Picture", description="Its URL.", pattern=LINK, max_length=2048, examples=["https://x.test/a.png"]
    )
    thread_id: str = Field(
        "",
        title="Thread",
        description="Id of a thread of the webhook's channel to post in.",
        pattern=rf"^$|{SNOWFLAKE}",
        examples=["1100000000000000040"],
    )
    thread_name: str = Field(
        "",
        title="Forum post",
        description="In a forum: the title of a new post, and no thread.",
        max_length=100,
        examples=["", "Live now"],
    )

    @field_validator("username")
    @classmethod
    def _permitted(cls, value: str) -> str:
        for word in ("discord", "clyde"):
            if word in value.lower():
                raise ValueError(f"Discord permits no webhook whose name has {word!r} in it")
        return value

    @field_validator("thread_name")
    @classmethod
    def _one_place(cls, value: str, info: ValidationInfo) -> str:
        if value and info.data.get("thread_id"):
            raise ValueError("give a thread or the title of a new forum post, not both")
        return value


class Posted(sdk.Outputs):
    """The message, as Discord has it."""

    id: str = Field(title="Id", description="The message's id.", examples=["1100000000000000060"])
    channel_id: str = Field(title="Channel id", description="Where it is.", examples=["1100000000000000001"])
    url: str | None = Field(
        None,
        title="URL",
        description="Leads to it; not known for webhooks.",
        examples=["https://discord.com/channels/1100000000000000000/1100000000000000001/1100000000000000060"],
    )
    created_at: datetime = Field(
        title="Posted at", description="When, in UTC.", examples=[datetime(2026, 3, 1, 8, 0, tzinfo=UTC)]
    )


@service.reaction("Post a message", idempotent=True)
async def post_message(ctx: sdk.Context, given: Message) -> Posted:
    """Posts a message in a channel or thread, by the bot."""
    server = await place(ctx, given.channel)
    body = given.payload()
    if given.reply_to:
        body["message_reference"] = {"message_id": given.reply_to, "fail_if_not_exists": False}
    return posted(await send(ctx, given.channel, body), server)


@service.reaction("Send a direct message", idempotent=True)
async def direct_message(ctx: sdk.Context, given: PersonalMessage) -> Posted:
    """Sends a message to one person, by the bot. It must share a server with them, and they must let it."""
    await allow_member(ctx, given.user)
    opened = read(await bot(ctx).post("/users/@me/channels", json={"recipient_id": given.user}))
    return posted(await send(ctx, str(opened["id"]), given.payload()), "@me")


@service.reaction("Post by a webhook", idempotent=False, account="none")
async def post_webhook(ctx: sdk.Context, given: WebhookMessage) -> Posted:
    """Posts a message by a webhook's URL, with a name and picture of its own. Needs no connected account."""
    webhook, token = _webhook(ctx, given.webhook_url)
    named = {"username": given.username, "avatar_url": given.avatar_url, "thread_name": given.thread_name}
    body = given.payload() | {name: value for name, value in named.items() if value}
    # Without wait=true a message that was not saved would be no error.
    asked = {"wait": "true"} | ({"thread_id": given.thread_id} if given.thread_id else {})
    # Only ids are taken from the URL: the call goes to Discord's own address, whatever host was given.
    answer = await ctx.client_http.post(f"/webhooks/{webhook}/{token}", params=asked, json=body)
    return posted(read(answer, repeatable=False), None)


def posted(message: Mapping[str, Any], server: str | None) -> Posted:
    """What a reaction hands on of a message."""
    place_ = f"{message['channel_id']}/{message['id']}"
    return Posted(
        id=message["id"],
        channel_id=message["channel_id"],
        url=f"https://discord.com/channels/{server}/{place_}" if server else None,
        created_at=moment_of(message["id"]),
    )


def _webhook(ctx: sdk.Context, url: str) -> tuple[str, str]:
    """Id and token of a webhook. Raises: Rejected for an address that is not Discord's."""
    found = WEBHOOK.fullmatch(url)
    given = urlsplit(url)
    base = urlsplit(str(ctx.client_http.base_url))
    is_discord = given.scheme == "https" and given.netloc.lower() in WEBHOOK_HOSTS
    if found is None or not (is_discord or (given.scheme, given.netloc) == (base.scheme, base.netloc)):
        raise sdk.Rejected(
            "This is not the URL of a Discord webhook: copy it from the channel's settings; it begins with "
            "https://discord.com/api/webhooks/.",
            code="NOT_A_WEBHOOK",
        )
    return found[1], found[2]
