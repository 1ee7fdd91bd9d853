"""Emoji reactions. Facts: https://docs.discord.com/developers/resources/message (create reaction)"""

import re
from typing import Annotated
from urllib.parse import quote

from pydantic import Field, field_validator

from area.nodes import sdk
from area.nodes.discord.connection import done, service
from area.nodes.discord.messages import Where
from area.nodes.discord.servers import SNOWFLAKE, bot, list_emojis, place

CUSTOM = re.compile(r"(?:<a?:)?(\w{2,32}:\d{15,20})>?")


class EmojiOnMessage(Where):
    """Which emoji, on which message."""

    message: str = Field(
        title="Message", description="The message's id.", pattern=SNOWFLAKE, examples=["1100000000000000060"]
    )
    emoji: Annotated[str, sdk.Choices(list_emojis)] = Field(
        title="Emoji",
        description="One emoji, or name:id of one of the server's own.",
        min_length=1,
        max_length=64,
        examples=["🎉", "party:1100000000000000070"],
    )

    @field_validator("emoji")
    @classmethod
    def _one_emoji(cls, value: str) -> str:
        custom = CUSTOM.fullmatch(value.strip())
        if custom:
            return custom[1]
        if value.isascii() or len(value.split()) != 1:
            raise ValueError("give one emoji, such as 🎉, or name:id of one of the server's own")
        return value.strip()


class Added(sdk.Outputs):
    """What was added."""

    message_id: str = Field(title="Message id", description="Where.", examples=["1100000000000000060"])
    emoji: str = Field(title="Emoji", description="As Discord was given it.", examples=["🎉"])


@service.reaction("Add an emoji", idempotent=True)
async def add_reaction(ctx: sdk.Context, given: EmojiOnMessage) -> Added:
    """Adds an emoji to a message, by the bot."""
    await place(ctx, given.channel)
    emoji = quote(given.emoji, safe="")
    done(await bot(ctx).put(f"/channels/{given.channel}/messages/{given.message}/reactions/{emoji}/@me"))
    return Added(message_id=given.message, emoji=given.emoji)
