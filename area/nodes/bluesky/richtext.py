"""Links, mentions and tags of a text, which Bluesky shows as such only where facets say so; and how long a text is.

Facets count bytes of UTF-8: https://docs.bsky.app/docs/advanced-guides/post-richtext. Lengths are in graphemes, what a reader takes
for one character: https://www.unicode.org/reports/tr29/
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any

from area.nodes.bluesky.provider import NAME

MOST_GRAPHEMES = 300
MOST_BYTES = 3000
MOST_TAG = 64
LINK = re.compile(r"https?://[^\s<>\"]+", re.IGNORECASE)
MENTION = re.compile(rf"(?<![\w@./-])@({NAME})(?![\w@-])")
TAG = re.compile(r"(?<!\S)[#＃](\S+)")  # noqa: RUF001 - the full-width sign begins a tag too
CLOSING = {")": "(", "]": "[", "}": "{"}

Span = tuple[int, int]
JOINER = "\u200d"


def links(text: str) -> Iterator[tuple[Span, str]]:
    """Addresses in a text and where they are, without the punctuation of the sentence around them."""
    for found in LINK.finditer(text):
        link = found[0]
        while link and (
            link[-1] in ".,;:!?'" or (link[-1] in CLOSING and link.count(CLOSING[link[-1]]) < link.count(link[-1]))
        ):
            link = link[:-1]
        if len(link) > len("https://"):
            yield (found.start(), found.start() + len(link)), link


def mentions(text: str) -> Iterator[tuple[Span, str]]:
    """Handles that are mentioned, and where they are with their @; what is a part of an address is none."""
    taken = [span for span, _ in links(text)]
    for found in MENTION.finditer(text):
        if not any(start <= found.start() < end for start, end in taken):
            yield found.span(), found[1]


def tags(text: str) -> Iterator[tuple[Span, str]]:
    """Tags, and where they are with their #; numbers are none."""
    for found in TAG.finditer(text):
        tag = found[1]
        while tag and unicodedata.category(tag[-1]).startswith("P"):
            tag = tag[:-1]
        if tag and not tag.isdigit() and graphemes(tag) <= MOST_TAG:
            yield (found.start(), found.start() + 1 + len(tag)), tag


def facets(text: str, did_of: Callable[[str], str | None]) -> list[dict[str, Any]]:
    """All of them, in the order of the text; a handle without a DID is plain text."""
    found = [(span, {"$type": "app.bsky.richtext.facet#link", "uri": link}) for span, link in links(text)]
    found += [(span, {"$type": "app.bsky.richtext.facet#tag", "tag": tag}) for span, tag in tags(text)]
    for span, handle in mentions(text):
        did = did_of(handle)
        if did:
            found.append((span, {"$type": "app.bsky.richtext.facet#mention", "did": did}))
    return [
        {"index": _bytes(text, span), "features": [feature]} for span, feature in sorted(found, key=lambda one: one[0])
    ]


def _bytes(text: str, span: Span) -> dict[str, int]:
    start = len(text[: span[0]].encode())
    return {"byteStart": start, "byteEnd": start + len(text[slice(*span)].encode())}


def graphemes(text: str) -> int:
    """How many characters a reader sees. Where the standard needs a table that Python lacks, it counts fewer, never more."""
    count, previous, flags = 0, "", 0
    for sign in text:
        flags = flags + 1 if _is_flag(sign) else 0
        if not previous or not (_extends(sign) or _joined(previous, sign) or (flags and flags % 2 == 0)):
            count += 1
        previous = sign
    return count


def _extends(sign: str) -> bool:
    """Marks, joiners, skin tones and the tags of regional flags belong to what is before them."""
    return (
        unicodedata.category(sign) in ("Mn", "Me", "Mc")
        or sign in ("\u200c", JOINER)
        or "\U0001f3fb" <= sign <= "\U0001f3ff"
        or "\U000e0020" <= sign <= "\U000e007f"
    )


def _joined(previous: str, sign: str) -> bool:
    """What a joiner joins, CR and LF, and the letters of a Hangul syllable."""
    return (
        (previous == JOINER and unicodedata.category(sign) == "So")
        or (previous == "\r" and sign == "\n")
        or (_is_hangul(previous) and "\u1160" <= sign <= "\u11ff")
        or ("\u1100" <= previous <= "\u115f" and _is_hangul(sign))
    )


def _is_hangul(sign: str) -> bool:
    return "\u1100" <= sign <= "\u11ff" or "\uac00" <= sign <= "\ud7a3"


def _is_flag(sign: str) -> bool:
    return "\U0001f1e6" <= sign <= "\U0001f1ff"
