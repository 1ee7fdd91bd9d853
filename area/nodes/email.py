"""Email: send by SMTP, and react to mail by IMAP. The operator sets AREA_EMAIL_SMTP_URL and AREA_EMAIL_IMAP_URL."""

import asyncio
import hashlib
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import getaddresses, parseaddr
from imaplib import IMAP4
from typing import Annotated, Any
from urllib.parse import SplitResult, unquote, urlsplit

import aiosmtplib
from imap_tools import BaseMailBox, MailBox, MailBoxUnencrypted
from imap_tools.errors import UnexpectedCommandStatusError
from pydantic import Field, field_validator

from area.nodes import sdk

service = sdk.Service(key="email", name="Email", description="Sends mail, and reacts to mail that arrives.")

ADDRESS = re.compile(r"^[^@\s<>,;\"]+@[^@\s<>,;\"]+$")
PER_POLL = 50
MAX_MAIL = 1 << 20
IMAP_ANSWER = 20.0  # seconds the server may stay silent
IMAP_POLL = 40.0  # seconds for a whole poll, below the engine's own limit
SMTP_EXAMPLE = "smtp://user:password@smtp.example.com:587"
IMAP_EXAMPLE = "imaps://user:password@imap.example.com:993"


class Letter(sdk.Inputs):
    """What to send."""

    to: str = Field(
        title="To",
        description="Addresses, with commas between.",
        max_length=5000,
        examples=["ada@example.com"],
    )
    subject: str = Field(
        title="Subject", description="One line.", max_length=900, examples=["Order {{ trigger.body.order }}"]
    )
    text: str = Field(
        "",
        title="Text",
        description="The message as plain text.",
        examples=["It is paid."],
        json_schema_extra={"widget": "textarea"},
    )
    html: str | None = Field(
        None,
        title="HTML",
        description="The same message as HTML, for readers that show it.",
        examples=["<p>It is paid.</p>"],
        json_schema_extra={"widget": "code"},
    )

    @field_validator("to", "subject")
    @classmethod
    def _one_line(cls, value: str) -> str:
        if any(ord(letter) < 32 or ord(letter) == 127 for letter in value):
            raise ValueError("must be one line, without control characters")
        return value


class Sent(sdk.Outputs):
    """What the server accepted."""

    message_id: str = Field(title="Message-ID", description="The mail's own id.", examples=["<4f2a@example.com>"])
    accepted: list[str] = Field(
        title="Accepted", description="Addresses the server took it for.", examples=[["ada@example.com"]]
    )
    refused: list[str] = Field(
        default_factory=list, title="Refused", description="Addresses the server would not take.", examples=[[]]
    )


class Mailbox(sdk.Inputs):
    """Which mail."""

    mailbox: Annotated[str, sdk.NoTemplate] = Field(
        "INBOX",
        title="Mailbox",
        description="The folder to watch.",
        pattern=r'^[^"\\\x00-\x1f\x7f-\uffff]+$',
        max_length=200,
        examples=["INBOX"],
    )
    sender_contains: Annotated[str | None, sdk.NoTemplate] = Field(
        None, title="Sender contains", description="Part of the From line; case is ignored.", examples=["@example.com"]
    )
    subject_contains: Annotated[str | None, sdk.NoTemplate] = Field(
        None, title="Subject contains", description="Part of the subject; case is ignored.", examples=["invoice"]
    )


class Mail(sdk.Outputs):
    """A mail that arrived."""

    id: Annotated[str, sdk.Identity] = Field(
        title="Id", description="Names the mail in its mailbox.", examples=["INBOX/1700000000/42"]
    )
    sender: str = Field(title="Sender", description="The From line.", examples=["Ada <ada@example.com>"])
    sender_address: str = Field(title="Sender address", description="The address alone.", examples=["ada@example.com"])
    to: str = Field(title="To", description="The To line.", examples=["shop@example.com"])
    subject: str = Field(title="Subject", description="The subject.", examples=["Invoice 7"])
    text: str = Field(title="Text", description="The plain text part.", examples=["See below."])
    message_id: str = Field(title="Message-ID", description="The sender's id.", examples=["<7@example.com>"])
    sent_at: datetime | None = Field(
        None, title="Sent at", description="By the sender's clock, in UTC.", examples=["2026-03-01T08:00:00Z"]
    )


@service.reaction("Send a mail", idempotent=False, timeout=60)
async def send(ctx: sdk.Context, letter: Letter) -> Sent:
    """Sends a mail through the platform's mail server."""
    server = _server(ctx, "smtp_url", SMTP_EXAMPLE)
    message = _compose(letter, _sender(ctx, server), ctx.idempotency_key)
    recipients = _addresses(letter.to)
    try:
        refused, _ = await aiosmtplib.send(
            message,
            recipients=recipients,
            hostname=server.hostname,
            port=server.port,
            username=unquote(server.username) if server.username else None,
            password=unquote(server.password) if server.password else None,
            use_tls=server.scheme == "smtps",
            timeout=20,
        )
    except (aiosmtplib.SMTPException, OSError) as error:
        raise _refusal(error) from error
    accepted = [address for address in recipients if address not in refused]
    return Sent(message_id=message["Message-ID"], accepted=accepted, refused=list(refused))


@service.poll("Mail received", every=timedelta(minutes=1))
async def received(ctx: sdk.Context, where: Mailbox) -> sdk.Page[Mail]:
    """Fires for each mail that arrives in a mailbox. Mails stay unread."""
    server = _server(ctx, "imap_url", IMAP_EXAMPLE)
    opened: list[BaseMailBox] = []
    try:
        async with asyncio.timeout(IMAP_POLL):
            return await asyncio.to_thread(_poll, server, where, ctx.cursor or {}, opened)
    except TimeoutError as error:
        raise sdk.Unavailable("The mail server does not answer in time") from error
    finally:  # a thread cannot be cancelled: without its socket it ends by itself
        for imap in opened:
            with suppress(OSError):
                imap.client.sock.shutdown(socket.SHUT_RDWR)


def _poll(server: SplitResult, where: Mailbox, known: dict[str, int], opened: list[BaseMailBox]) -> sdk.Page[Mail]:
    """One poll, in a thread. What it connects is put in ``opened``."""
    with _imap(server, opened) as imap:
        mailbox = _quoted(where.mailbox).encode()
        _ask(f"open {where.mailbox}", lambda: imap.folder.set(mailbox, readonly=True))
        validity = _said(imap, "UIDVALIDITY") or 0
        if known.get("uidvalidity") != validity:  # first poll, or the server renumbered: only remember where we are
            return sdk.Page([], {"uidvalidity": validity, "uid": _last_uid(imap)})
        sizes = _sizes_after(imap, known["uid"])
        uids = sorted(sizes)[:PER_POLL]
        mails = [_fetch(imap, uid, sizes[uid], f"{where.mailbox}/{validity}/{uid}") for uid in uids]
    items = [mail for mail in mails if mail is not None and _wanted(mail, where)]
    return sdk.Page(items, {"uidvalidity": validity, "uid": uids[-1] if uids else known["uid"]})


def _server(ctx: sdk.Context, name: str, example: str) -> SplitResult:
    url = ctx.settings.get(name)
    if not url:
        raise sdk.Rejected(
            f"AREA_EMAIL_{name.upper()} is not set, so there is no mail server. The operator sets it, as {example}.",
            code="NOT_CONFIGURED",
        )
    return urlsplit(url)


def _sender(ctx: sdk.Context, server: SplitResult) -> str:
    sender = ctx.settings.get("from") or unquote(server.username or "")
    if not ADDRESS.match(parseaddr(sender)[1]):
        raise sdk.Rejected(
            "AREA_EMAIL_FROM is not an address. The operator sets it, as area@example.com.",
            code="NOT_CONFIGURED",
        )
    return sender


def _addresses(to: str) -> list[str]:
    found = [address for _, address in getaddresses([to])]
    wrong = [address for address in found if not ADDRESS.match(address)]
    if wrong or not found:
        raise sdk.Rejected(f"{to!r} is not a list of mail addresses. Write ada@example.com, grace@example.com.")
    return found


def _compose(letter: Letter, sender: str, key: str) -> EmailMessage:
    message = EmailMessage(policy=policy.SMTP)
    message["From"], message["To"], message["Subject"] = sender, letter.to, letter.subject
    message["Date"] = datetime.now(UTC)
    domain = parseaddr(sender)[1].rpartition("@")[2]
    message["Message-ID"] = f"<{hashlib.sha256(key.encode()).hexdigest()[:32]}@{domain}>"
    message.set_content(letter.text)
    if letter.html is not None:
        message.add_alternative(letter.html, subtype="html")
    return message


def _refusal(error: Exception) -> sdk.NodeError:
    """By RFC 5321, 4.2.1: a 4yz reply may work later, a 5yz reply will not."""
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        error = error.recipients[0]
    if isinstance(error, aiosmtplib.SMTPResponseException):
        said = f"The mail server answered {error.code} {error.message}"
        return sdk.Unavailable(said) if 400 <= error.code < 500 else sdk.Rejected(said, code="SMTP_REFUSED")
    if isinstance(error, aiosmtplib.SMTPServerDisconnected | aiosmtplib.SMTPReadTimeoutError):
        return sdk.Unknown(f"The mail server went away, so the mail may have been sent: {error}")
    if isinstance(error, aiosmtplib.SMTPNotSupported):
        return sdk.Rejected(f"The mail server cannot do this: {error}", code="SMTP_REFUSED")
    return sdk.Unavailable(f"The mail server cannot be reached: {error}")


@contextmanager
def _imap(server: SplitResult, opened: list[BaseMailBox]) -> Iterator[BaseMailBox]:
    """A connection that is logged in. Raises: Unavailable, Rejected."""
    try:
        imap = _connect(server)
        opened.append(imap)
        try:
            user, password = unquote(server.username or ""), unquote(server.password or "")
            login = imap.login if (user + password).isascii() else imap.login_utf8
            _ask("sign in", lambda: login(user, password, None).login_result)
            yield imap
        finally:
            with suppress(OSError, IMAP4.error):
                imap.client.sock.settimeout(2)
                imap.client.logout()
            with suppress(OSError):  # a logout that failed leaves the socket open
                imap.client.shutdown()
    except (OSError, IMAP4.error) as error:
        raise sdk.Unavailable(f"The mail server does not answer: {str(error) or type(error).__name__}") from error


def _connect(server: SplitResult) -> BaseMailBox:
    if server.scheme == "imaps":  # imaplib's own context would take any certificate
        trust = ssl.create_default_context()
        return MailBox(server.hostname, server.port or 993, timeout=IMAP_ANSWER, ssl_context=trust)
    return MailBoxUnencrypted(server.hostname, server.port or 143, timeout=IMAP_ANSWER)


def _ask(what: str, command: Callable[[], Any]) -> list[Any]:
    """What the server answered to ``command``. Raises: Rejected when that is NO or BAD."""
    try:
        status, data = command()
    except IMAP4.abort:  # the connection broke
        raise
    except UnexpectedCommandStatusError as error:
        status, data = error.command_result
    except IMAP4.error as error:
        status, data = "BAD", [str(error).encode()]
    if status != "OK":
        said = b" ".join(line for line in data if isinstance(line, bytes)).decode(errors="replace")
        raise sdk.Rejected(f"The mail server would not {what}: {said}", code="IMAP_REFUSED")
    return [line for line in data if line is not None]


def _said(imap: BaseMailBox, name: str) -> int | None:
    """A number the server gave when it opened the mailbox."""
    value = imap.client.response(name)[1][-1]
    return int(value) if value else None


def _number(pattern: bytes, line: bytes) -> int | None:
    found = re.search(pattern, line)
    return int(found[1]) if found else None


def _quoted(mailbox: str) -> str:
    return mailbox if re.fullmatch(r"[\w./-]+", mailbox) else f'"{mailbox}"'


def _sizes_after(imap: BaseMailBox, last: int) -> dict[int, int]:
    """UID and size in bytes of the mails after ``last``."""
    sizes = {}
    lines = _ask("list the mails", lambda: imap.client.uid("FETCH", f"{last + 1}:*", "(UID RFC822.SIZE)"))
    for line in (line for line in lines if isinstance(line, bytes)):
        uid = _number(rb"\(.*?UID (\d+)", line)
        if uid is not None and uid > last:  # "n:*" always names the last mail too
            sizes[uid] = _number(rb"RFC822\.SIZE (\d+)", line) or 0
    return sizes


def _last_uid(imap: BaseMailBox) -> int:
    following = _said(imap, "UIDNEXT")
    if following is not None:
        return following - 1
    found = _ask("search", lambda: imap.client.uid("SEARCH", "ALL"))
    return max((int(word) for line in found for word in line.split() if word.isdigit()), default=0)


def _fetch(imap: BaseMailBox, uid: int, size: int, identity: str) -> Mail | None:
    """The mail, or its first MiB; None when it is gone by now."""
    part = f"(BODY.PEEK[]<0.{MAX_MAIL}>)" if size > MAX_MAIL else "(BODY.PEEK[])"
    lines = _ask("fetch a mail", lambda: imap.client.uid("FETCH", str(uid), part))
    content = next((line[1] for line in lines if isinstance(line, tuple)), None)  # a literal
    if content is None:
        return None
    message = message_from_bytes(content, policy=policy.default)
    text = message.get_body(("plain", "html"))
    sent = getattr(message["Date"], "datetime", None)
    return Mail(
        id=identity,
        sender=str(message["From"] or ""),
        sender_address=parseaddr(str(message["From"] or ""))[1],
        to=str(message["To"] or ""),
        subject=str(message["Subject"] or ""),
        text=str(text.get_content()) if text else "",
        message_id=str(message["Message-ID"] or ""),
        sent_at=sent.astimezone(UTC) if sent and sent.tzinfo else None,
    )


def _wanted(mail: Mail, where: Mailbox) -> bool:
    sender, subject = where.sender_contains or "", where.subject_contains or ""
    return sender.casefold() in mail.sender.casefold() and subject.casefold() in mail.subject.casefold()
