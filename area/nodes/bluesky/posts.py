"""A post as the steps after it see it. https://docs.bsky.app/docs/advanced-guides/posts, https://atproto.com/specs/at-uri-scheme"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError

from area.nodes import sdk

COLLECTION = "app.bsky.feed.post"
MOMENT: TypeAdapter[datetime] = TypeAdapter(datetime)


class Post(sdk.Outputs):
    """A post."""

    uri: Annotated[str, sdk.Identity] = Field(
        title="URI",
        description="To answer or to repost it.",
        examples=["at://did:plc:z72i7hdynmk6r22z27h6tvur/app.bsky.feed.post/3l6oveex3ii2l"],
    )
    url: str = Field(
        title="Address",
        description="Where it opens.",
        examples=["https://bsky.app/profile/ada.bsky.social/post/3l6oveex3ii2l"],
    )
    text: str = Field(
        title="Text", description="As it was written; links in it may be cut.", examples=["@grace.bsky.social Hello!"]
    )
    author: str = Field(title="Author", description="The name that is shown.", examples=["Ada Lovelace"])
    handle: str = Field(
        title="Handle", description="Of the author; @{{ trigger.handle }} mentions it.", examples=["ada.bsky.social"]
    )
    did: str = Field(
        title="DID", description="The author's id, which stays.", examples=["did:plc:z72i7hdynmk6r22z27h6tvur"]
    )
    reply_to: str | None = Field(
        None,
        title="Reply to",
        description="The URI of the post that it answers.",
        examples=["at://did:plc:z72i7hdynmk6r22z27h6tvur/app.bsky.feed.post/3l6oveex3ii2a"],
    )
    links: list[str] = Field(title="Links", description="Whole.", examples=[["https://example.com/analysis"]])
    mentions: list[str] = Field(
        title="Mentions", description="DIDs of whom it names.", examples=[["did:plc:ewvi7nxzyoun6zhxrhs64oiz"]]
    )
    tags: list[str] = Field(title="Tags", description="Without #.", examples=[["analysis"]])
    languages: list[str] = Field(title="Languages", description="Their codes, as the author says.", examples=[["en"]])
    created_at: datetime = Field(
        title="Written at", description="In UTC, as the author's app says.", examples=["2026-03-01T08:00:00Z"]
    )
    indexed_at: datetime = Field(
        title="Seen at", description="When Bluesky saw it, in UTC.", examples=["2026-03-01T08:00:01Z"]
    )


def post_of(view: Mapping[str, Any]) -> Post:
    """What a feed or a notification shows, flat. Raises: pydantic.ValidationError for one that lacks what each has."""
    record, author = mapping(view.get("record")), mapping(view.get("author"))
    uri, handle = str(view["uri"]), str(author.get("handle") or "")
    link = mapping(mapping(record.get("embed")).get("external")).get("uri")
    return Post.model_validate(
        {
            "uri": uri,
            "url": page_of(uri, handle),
            "text": str(record.get("text") or ""),
            "author": str(author.get("displayName") or handle),
            "handle": handle,
            "did": str(author.get("did") or ""),
            "reply_to": mapping(mapping(record.get("reply")).get("parent")).get("uri"),
            "links": list(dict.fromkeys([*_features(record, "link", "uri"), *([str(link)] if link else [])])),
            "mentions": list(_features(record, "mention", "did")),
            "tags": [*_features(record, "tag", "tag"), *_texts(record.get("tags"))],
            "languages": _texts(record.get("langs")),
            "created_at": moment_of(record.get("createdAt")) or moment_of(view.get("indexedAt")),
            "indexed_at": moment_of(view.get("indexedAt")),
        }
    )


def is_post(view: Mapping[str, Any]) -> bool:
    """Whether it is a post that has all that one has, and no other record."""
    record = mapping(view.get("record"))
    written = isinstance(view.get("uri"), str) and record.get("$type") == COLLECTION
    return written and moment_of(view.get("indexedAt")) is not None


def page_of(uri: str, who: str) -> str:
    """Where a post opens for people; ``who`` is the author's handle, else the DID in the URI is taken."""
    parts = uri.removeprefix("at://").split("/")
    return f"https://bsky.app/profile/{who or parts[0]}/post/{parts[-1]}"


def moment_of(given: Any) -> datetime | None:
    """A moment in UTC; None where there is none."""
    try:
        moment = MOMENT.validate_python(given)
    except ValidationError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def mapping(found: Any) -> dict[str, Any]:
    """An object, or an empty one where there is none."""
    return found if isinstance(found, dict) else {}


def listed(found: Any) -> list[dict[str, Any]]:
    """The objects of a list."""
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _features(record: Mapping[str, Any], kind: str, name: str) -> Iterator[str]:
    for facet in listed(record.get("facets")):
        for feature in listed(facet.get("features")):
            if feature.get("$type") == f"app.bsky.richtext.facet#{kind}" and feature.get(name):
                yield str(feature[name])


def _texts(found: Any) -> list[str]:
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []
