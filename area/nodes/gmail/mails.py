"""What a mail looks like in Gmail: a tree of MIME parts. https://developers.google.com/workspace/gmail/api/reference/rest/v1/users.messages"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parseaddr
from typing import Any

from area.nodes._google import listed

MOST_TEXT = 100_000
"""Characters of a mail's text that are handed on."""
DEEPEST = 20
CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:-]+)", re.IGNORECASE)


def header(part: Mapping[str, Any], name: str) -> str:
    """A header of a mail, or of one of its parts; empty when it has none."""
    payload = part.get("payload")
    for one in listed(payload if isinstance(payload, dict) else part, "headers"):
        if str(one.get("name")).lower() == name.lower():
            return str(one.get("value") or "")
    return ""


def leaves(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The parts of a mail that have no parts themselves."""
    waiting = [(message.get("payload"), 0)]
    while waiting:
        part, depth = waiting.pop(0)
        if not isinstance(part, dict):
            continue
        below = listed(part, "parts")
        if below and depth < DEEPEST:
            waiting[:0] = [(one, depth + 1) for one in below]
        else:
            yield part


def body_of(part: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a part: its size, and its data or its attachment's id."""
    body = part.get("body")
    return body if isinstance(body, dict) else {}


def text_of(message: Mapping[str, Any]) -> str:
    """The plain text of a mail, else its HTML; as much as is handed on."""
    texts = [one for one in leaves(message) if not one.get("filename")]
    for kind in ("text/plain", "text/html"):
        for part in texts:
            if str(part.get("mimeType")).lower() == kind:
                return decoded(part)[:MOST_TEXT]
    return ""


def decoded(part: Mapping[str, Any]) -> str:
    """The text of a part: base64url, with or without padding, of UTF-8 or of the charset that its header names."""
    data = body_of(part).get("data")
    try:
        raw = urlsafe_b64decode(data + "=" * (-len(data) % 4)) if isinstance(data, str) else b""
    except ValueError:
        return ""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        named = CHARSET.search(header(part, "Content-Type"))
        try:
            return raw.decode(named[1] if named else "latin-1", errors="replace")
        except LookupError:
            return raw.decode(errors="replace")


def encoded(raw: bytes) -> str:
    """Bytes as base64url, as ``raw`` wants them."""
    return urlsafe_b64encode(raw).decode()


def moment_of(message: Mapping[str, Any]) -> datetime | None:
    """When Gmail took the mail in: milliseconds since 1970, as text."""
    given = str(message.get("internalDate") or "")
    fits = given.isascii() and given.isdigit() and len(given) < 15
    return datetime.fromtimestamp(int(given) / 1000, UTC) if fits else None


def labels_of(message: Mapping[str, Any]) -> list[str]:
    """The ids of a mail's labels."""
    given = message.get("labelIds")
    return [str(label) for label in given] if isinstance(given, list) else []


def summary(message: Mapping[str, Any]) -> dict[str, Any]:
    """What every mail tells of itself."""
    sender = header(message, "From")
    return {
        "id": str(message["id"]),
        "thread_id": str(message.get("threadId") or ""),
        "sender": sender,
        "sender_address": parseaddr(sender)[1],
        "to": header(message, "To"),
        "cc": header(message, "Cc"),
        "subject": header(message, "Subject"),
        "snippet": str(message.get("snippet") or ""),
        "message_id": header(message, "Message-ID"),
        "labels": labels_of(message),
        "files": [str(part["filename"]) for part in leaves(message) if part.get("filename")],
        "received_at": moment_of(message),
        "url": address_of(str(message["id"])),
    }


def address_of(message_id: str) -> str:
    """Where a mail opens in a browser."""
    return f"https://mail.google.com/mail/u/0/#all/{message_id}"
