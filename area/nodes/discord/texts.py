"""What a message says: its text, its embeds, and whom it may notify.

Nobody is notified by a message unless its author says so (``ping``): text of strangers may hold @everyone.

Limits: https://docs.discord.com/developers/resources/message (embed limits, allowed mentions)
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from pydantic import Field, ValidationInfo, field_validator

from area.nodes import sdk

CONTENT = 2000
ALL_EMBEDS = 6000
LINK = r"^(https?://\S+)?$"


class Ping(StrEnum):
    """Whom a mention notifies."""

    USERS = "users"
    ROLES = "roles"
    EVERYONE = "everyone"


class EmbedField(sdk.Inputs):
    """A name and a value in an embed."""

    name: str = Field(title="Name", description="What it is.", min_length=1, max_length=256, examples=["Game"])
    value: str = Field(title="Value", description="Its text.", min_length=1, max_length=1024, examples=["Chess"])
    inline: bool = Field(False, title="Inline", description="Whether it stands beside others.", examples=[True])


class Embed(sdk.Inputs):
    """A framed block under the text. What is left empty is left out."""

    title: str = Field("", title="Title", description="Its headline.", max_length=256, examples=["Live now"])
    url: str = Field(
        "",
        title="Link",
        description="Where the title leads.",
        pattern=LINK,
        max_length=2048,
        examples=["https://x.test"],
    )
    description: str = Field("", title="Text", description="Markdown.", max_length=4096, examples=["Come and watch."])
    color: str = Field(
        "", title="Colour", description="As #rrggbb.", pattern=r"^(#?[0-9A-Fa-f]{6})?$", examples=["#5865F2"]
    )
    author: str = Field("", title="Author", description="A name above the title.", max_length=256, examples=["Ada"])
    image_url: str = Field(
        "", title="Image", description="A large one.", pattern=LINK, max_length=2048, examples=["https://x.test/i.png"]
    )
    thumbnail_url: str = Field(
        "",
        title="Thumbnail",
        description="A small one.",
        pattern=LINK,
        max_length=2048,
        examples=["https://x.test/t.png"],
    )
    footer: str = Field("", title="Footer", description="Small print.", max_length=2048, examples=["Sent by AREA"])
    timestamp: datetime | None = Field(
        None, title="Time", description="Shown beside the footer.", examples=["2026-03-01T08:00:00Z"]
    )
    fields: list[EmbedField] = Field(
        default_factory=list,
        title="Fields",
        description="Up to 25 names with values.",
        max_length=25,
        examples=[[{"name": "Game", "value": "Chess"}]],
    )

    def length(self) -> int:
        """Characters that count towards the limit of all embeds of a message."""
        texts = [self.title, self.description, self.author, self.footer]
        return sum(map(len, texts)) + sum(len(one.name) + len(one.value) for one in self.fields)

    def payload(self) -> dict[str, Any]:
        """As Discord takes it."""
        made = {
            "title": self.title,
            "url": self.url,
            "description": self.description,
            "color": int(self.color.removeprefix("#"), 16) if self.color else None,
            "author": {"name": self.author} if self.author else None,
            "image": {"url": self.image_url} if self.image_url else None,
            "thumbnail": {"url": self.thumbnail_url} if self.thumbnail_url else None,
            "footer": {"text": self.footer} if self.footer else None,
            "timestamp": _in_utc(self.timestamp).isoformat() if self.timestamp else None,
            "fields": [one.model_dump() for one in self.fields],
        }
        return {name: value for name, value in made.items() if value not in (None, "", [])}


class Text(sdk.Inputs):
    """What a message says."""

    content: str = Field(
        "",
        title="Text",
        description="Markdown, up to 2000 characters. May be empty when there is an embed.",
        max_length=CONTENT,
        examples=["**{{ trigger.title }}** is live: {{ trigger.url }}"],
        json_schema_extra={"widget": "textarea"},
    )
    embeds: list[Embed] = Field(
        default_factory=list,
        validate_default=True,
        title="Embeds",
        description="Up to 10 framed blocks under the text, of 6000 characters together.",
        max_length=10,
        examples=[[{"title": "Live now", "url": "https://twitch.tv/ada", "color": "#9146FF"}]],
    )
    ping: list[Ping] = Field(
        default_factory=list,
        title="May notify",
        description="Whose mentions in the text notify them. By default nobody's: text from elsewhere may hold @everyone.",
        examples=[["users"]],
    )

    @field_validator("embeds")
    @classmethod
    def _says_something(cls, embeds: list[Embed], info: ValidationInfo) -> list[Embed]:
        if sum(embed.length() for embed in embeds) > ALL_EMBEDS:
            raise ValueError(f"the embeds have more than {ALL_EMBEDS} characters together: shorten them")
        if not all(embed.payload() for embed in embeds):
            raise ValueError("an embed is empty: give it a title, a text or an image, or take it away")
        if not embeds and not info.data.get("content", "?").strip():
            raise ValueError("the message is empty: give it a text or an embed")
        return embeds

    def payload(self) -> dict[str, Any]:
        """As Discord takes it."""
        made: dict[str, Any] = {"allowed_mentions": mentions(self.ping)}
        if self.content.strip():
            made["content"] = self.content
        if self.embeds:
            made["embeds"] = [embed.payload() for embed in self.embeds]
        return made


def mentions(ping: Iterable[Ping]) -> dict[str, Any]:
    """Discord's ``allowed_mentions``: these kinds notify, and no other. Without it every mention of a bot's message would."""
    return {"parse": sorted(set(ping))}


def _in_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
