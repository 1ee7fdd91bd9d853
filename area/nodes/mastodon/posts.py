"""A post as the steps after it see it. https://docs.joinmastodon.org/entities/Status/"""

from collections.abc import Mapping
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from area.nodes import sdk

MOMENT: TypeAdapter[datetime | None] = TypeAdapter(datetime | None)


class Post(sdk.Outputs):
    """A post."""

    id: Annotated[str, sdk.Identity] = Field(
        title="Id", description="To answer or to boost it, at this instance.", examples=["103254962155278888"]
    )
    url: str = Field(
        title="Address", description="Where it opens.", examples=["https://mastodon.social/@ada/103254962155278888"]
    )
    text: str = Field(title="Text", description="Without any markup.", examples=["@grace Hello!"])
    html: str = Field(title="HTML", description="As the instance gives it.", examples=["<p>@grace Hello!</p>"])
    warning: str = Field(title="Content warning", description="Empty when there is none.", examples=["Spoilers"])
    author: str = Field(title="Author", description="The name that is shown.", examples=["Ada Lovelace"])
    acct: str = Field(
        title="Account",
        description="The author's name, with its server unless that is the instance itself; @{{ trigger.acct }} mentions it.",
        examples=["ada@example.social"],
    )
    author_url: str = Field(title="Profile", description="The author's page.", examples=["https://example.social/@ada"])
    is_bot: bool = Field(title="Bot", description="Whether the author says to be automated.", examples=[False])
    visibility: str = Field(title="Visibility", description="public, unlisted, private or direct.", examples=["public"])
    language: str | None = Field(None, title="Language", description="Its code, where it is known.", examples=["en"])
    reply_to: str | None = Field(
        None, title="Reply to", description="The id of the post that it answers.", examples=["103254962155278001"]
    )
    mentions: list[str] = Field(title="Mentions", description="The accounts that it names.", examples=[["grace"]])
    tags: list[str] = Field(title="Tags", description="Without #.", examples=[["analysis"]])
    media: list[str] = Field(
        title="Media", description="Addresses of what is attached.", examples=[["https://files.example/1.png"]]
    )
    created_at: datetime = Field(title="Written at", description="In UTC.", examples=["2026-03-01T08:00:00Z"])
    edited_at: datetime | None = Field(
        None, title="Edited at", description="In UTC; empty unless it was changed.", examples=["2026-03-01T08:05:00Z"]
    )


def post_of(status: Mapping[str, Any]) -> Post:
    """A Status, flat. Raises: pydantic.ValidationError for one that lacks what each has."""
    account = status.get("account")
    account = account if isinstance(account, dict) else {}
    html, language = str(status.get("content") or ""), status.get("language")
    answered = status.get("in_reply_to_id")
    return Post.model_validate(
        {
            "id": str(status["id"]),
            "url": str(status.get("url") or status.get("uri") or ""),
            "text": plain(html),
            "html": html,
            "warning": str(status.get("spoiler_text") or ""),
            "author": str(account.get("display_name") or account.get("username") or ""),
            "acct": str(account.get("acct") or ""),
            "author_url": str(account.get("url") or ""),
            "is_bot": account.get("bot") is True,
            "visibility": str(status.get("visibility") or ""),
            "language": language if isinstance(language, str) else None,
            "reply_to": None if answered is None else str(answered),
            "mentions": _each(status.get("mentions"), "acct"),
            "tags": _each(status.get("tags"), "name"),
            "media": _each(status.get("media_attachments"), "url"),
            "created_at": moment_of(status.get("created_at")),
            "edited_at": moment_of(status.get("edited_at")),
        }
    )


def moment_of(given: Any) -> datetime | None:
    """A moment in UTC; None where there is none."""
    try:
        moment = MOMENT.validate_python(given)
    except ValidationError:
        return None
    return moment if moment is None else moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def newer(one: str, other: str) -> bool:
    """Whether an id comes after another: they grow, and are numbers at most servers, but always text."""
    return order(one) > order(other)


def order(id_: str) -> tuple[int, str]:
    """To sort ids by."""
    return len(id_), id_


def plain(html: str) -> str:
    """The text of a post's HTML: paragraphs apart by an empty line, and links whole, although a part of them is hidden."""
    reader = _Text()
    reader.feed(html)
    reader.close()
    return "".join(reader.parts).strip()


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "br":
            self.parts.append("\n")
        elif tag == "li":
            self.parts.append("• ")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("p", "pre", "blockquote"):
            self.parts.append("\n\n")
        elif tag == "li":
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        self.parts.append(data)


def _each(found: Any, name: str) -> list[str]:
    rows = found if isinstance(found, list) else []
    return [str(one[name]) for one in rows if isinstance(one, dict) and one.get(name)]
