"""Text as Notion takes it, within its limits: https://developers.notion.com/reference/request-limits"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

MOST_CONTENT = 2000
"""Characters of one piece of rich text, as JavaScript counts them."""
MOST_PIECES = 100
"""Pieces of rich text in a block or property."""
MOST_BLOCKS = 100
"""Blocks in one call."""
MOST_TEXT = 50_000
"""Characters that a text may have here: whatever they are, they fit in one block, and in the 500 KB of one call."""
PARAGRAPHS = re.compile(r"\n(?:[^\S\n]*\n)+")
BULLET = re.compile(r"[-*•][^\S\n]+(?=\S)")


def rich_text(text: str) -> list[dict[str, Any]]:
    """Text in as many pieces as its length needs. Nothing in it is markup, so that no one is mentioned by it."""
    return [{"type": "text", "text": {"content": piece}} for piece in _pieces(text)]


def _pieces(text: str) -> Iterator[str]:
    start, length = 0, 0
    for at, character in enumerate(text):
        width = 1 + (character > "\uffff")
        if length + width > MOST_CONTENT:
            yield text[start:at]
            start, length = at, 0
        length += width
    if start < len(text):
        yield text[start:]


def blocks_of(text: str) -> list[dict[str, Any]]:
    """Blocks for one call: paragraphs, which blank lines set apart, and bullets, of lines that begin with a dash.

    One call writes all or nothing. Of more than fits in it, neighbours that are paragraphs share a block.
    """
    lines = text.replace("\r\n", "\n").strip("\n")
    parts = _joined([part for paragraph in PARAGRAPHS.split(lines) for part in _parts(paragraph)])
    return [{"type": kind, kind: {"rich_text": rich_text(written)}} for kind, written in parts]


Part = tuple[str, str]


def _parts(paragraph: str) -> Iterator[Part]:
    """Lines that belong together, and bullets one by one."""
    lines: list[str] = []
    for line in paragraph.split("\n"):
        bullet = BULLET.match(line.lstrip())
        if not bullet:
            lines.append(line)
            continue
        if lines:
            yield "paragraph", "\n".join(lines)
        lines = []
        yield "bulleted_list_item", line.lstrip()[bullet.end() :]
    if lines and any(line.strip() for line in lines):
        yield "paragraph", "\n".join(lines)


def _joined(parts: Sequence[Part]) -> Sequence[Part]:
    """At most `MOST_BLOCKS` parts, the text in them unchanged."""
    if len(parts) <= MOST_BLOCKS:
        return parts
    share, more = divmod(len(parts), MOST_BLOCKS)
    joined, at = list[Part](), 0
    for number in range(MOST_BLOCKS):
        some = parts[at : at + share + (number < more)]
        at += len(some)
        joined.append(some[0] if len(some) == 1 else ("paragraph", _written(some)))
    return joined


def _written(parts: Sequence[Part]) -> str:
    return "\n\n".join(text if kind == "paragraph" else f"• {text}" for kind, text in parts)


def text_of(block: dict[str, Any]) -> str:
    """What a block says: its kind and its text, to compare it."""
    kind = str(block.get("type"))
    held = block.get(kind)
    pieces = held.get("rich_text") if isinstance(held, dict) else None
    found = pieces if isinstance(pieces, list) else []
    return f"{kind}:" + "".join(
        str(part.get("text", {}).get("content", ""))
        for part in found
        if isinstance(part, dict) and isinstance(part.get("text"), dict)
    )
