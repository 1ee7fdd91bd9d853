"""Composing mails, and finding them again. Mails: RFC 5322; conversations: https://developers.google.com/workspace/gmail/api/guides/threads"""

import hashlib
import re
from collections.abc import Iterable
from email import policy
from email.message import EmailMessage
from email.utils import formataddr, getaddresses
from typing import Any, Protocol

from area.nodes import sdk
from area.nodes._google import SEVERAL, addresses, is_address
from area.nodes.gmail.mails import encoded, header, text_of

MESSAGE_ID = re.compile(r"<[!-;=?-~]+>")
OURS = re.compile(r"^<area-([0-9a-f]{32})@")
MOST_RECIPIENTS = 100
MOST_BYTES = 3_500_000
"""Of a mail: in base64 it stays below the 5 MB that a plain request may have."""
MOST_REFERENCES = 50


class Words(Protocol):
    """What is written: plain text, and the same as HTML."""

    text: str
    html: str | None


class Addressed(Words, Protocol):
    """What is written, and to whom."""

    to: str
    subject: str
    cc: str | None
    bcc: str | None


def letter_of(ctx: sdk.Context, letter: Addressed) -> EmailMessage:
    """A mail of its own. Raises: Rejected for recipients that are no addresses."""
    message = _begun(ctx, letter)
    recipients = [
        address
        for name, line in (("to", letter.to), ("cc", letter.cc), ("bcc", letter.bcc))
        if line
        for address in addresses(line, name)
    ]
    if not recipients:
        raise sdk.Rejected(f"The mail has no recipient. Write {SEVERAL}.", field="to", suggestion=SEVERAL)
    if len(recipients) > MOST_RECIPIENTS:
        raise sdk.Rejected(
            f"A mail has at most {MOST_RECIPIENTS} recipients; this one has {len(recipients)}.", field="to"
        )
    message["To"], message["Subject"] = letter.to, letter.subject
    if letter.cc:
        message["Cc"] = letter.cc
    if letter.bcc:
        message["Bcc"] = letter.bcc
    return message


def answer_to(ctx: sdk.Context, asked: dict[str, Any], words: Words, *, to_all: bool) -> EmailMessage:
    """The answer to a mail; to one of the account's own it goes to whom that went. Raises: Rejected when nobody can be answered."""
    message = _begun(ctx, words)
    own = str(ctx.account.facts.get("email") or "").lower()
    first = _people([header(asked, "Reply-To") or header(asked, "From")], without={own})
    others = _people([header(asked, "To")], without={own, *(address.lower() for _, address in first)})
    if not first:
        first, others = others, []
    if not first:
        first = _people([header(asked, "From")], without=set())
    if not first:
        raise sdk.Rejected("The mail has no sender who could be answered.", code="NO_SENDER", field="mail_id")
    message["To"] = _line(first)
    if to_all:
        others += _people([header(asked, "Cc")], without={own, *(one.lower() for _, one in [*first, *others])})
        if others:
            message["Cc"] = _line(others)
    subject = _clean(header(asked, "Subject"))
    message["Subject"] = subject if subject.lower().startswith("re:") else f"Re: {subject}".strip()
    return message


def threading_of(asked: dict[str, Any]) -> bytes:
    """The header lines that keep an answer in its conversation.

    Written here, as the library would encode ids that are longer than a line, which then name nothing.
    """
    named = MESSAGE_ID.findall(header(asked, "Message-ID"))[:1]
    if not named:
        return b""
    earlier = MESSAGE_ID.findall(header(asked, "References")) or MESSAGE_ID.findall(header(asked, "In-Reply-To"))
    references = "\r\n ".join([*earlier[-MOST_REFERENCES:], *named])
    return f"In-Reply-To: {named[0]}\r\nReferences: {references}\r\n".encode()


def raw_of(message: EmailMessage, lines: bytes = b"") -> str:
    """A mail with more header lines, as Gmail takes it. Raises: Rejected for one that is too long."""
    raw = lines + message.as_bytes()
    if len(raw) > MOST_BYTES:
        raise sdk.Rejected(
            f"The mail has {len(raw):,} bytes; more than {MOST_BYTES:,} cannot be sent. Shorten its text."
        )
    return encoded(raw)


def is_same(there: dict[str, Any], message: EmailMessage) -> bool:
    """Whether a mail at Gmail is this one: by its Message-ID, or where Gmail has put another, by what it says and to whom."""
    mark = OURS.match(header(there, "Message-ID"))
    if mark:
        return str(message["Message-ID"]).startswith(mark[0])
    body = message.get_body(("plain",))
    return (
        _receivers(header(there, "To")) == _receivers(str(message["To"]))
        and _clean(header(there, "Subject")) == _clean(str(message["Subject"]))
        and _clean(text_of(there)) == _clean(body.get_content() if body else "")
    )


def _begun(ctx: sdk.Context, words: Words) -> EmailMessage:
    message = EmailMessage(policy=policy.SMTP)
    # The same for every attempt of a step, so that the mail can be found again.
    mark = hashlib.sha256(ctx.idempotency_key.encode()).hexdigest()[:32]
    domain = str(ctx.account.facts.get("email") or "").rpartition("@")[2]
    message["Message-ID"] = f"<area-{mark}@{domain if is_address(f'x@{domain}') else 'gmail.com'}>"
    message.set_content(words.text)
    if words.html is not None:
        message.add_alternative(words.html, subtype="html")
    return message


def _people(lines: Iterable[str], without: set[str]) -> list[tuple[str, str]]:
    """Names and addresses, those that can be written to."""
    found = [pair for pair in getaddresses([_clean(line) for line in lines]) if is_address(pair[1])]
    return [pair for pair in found if pair[1].lower() not in without][:MOST_RECIPIENTS]


def _line(people: list[tuple[str, str]]) -> str:
    return ", ".join(formataddr(pair) for pair in people)


def _receivers(line: str) -> list[str]:
    return sorted(address.lower() for _, address in getaddresses([line]))


def _clean(line: str) -> str:
    return " ".join(line.split())
