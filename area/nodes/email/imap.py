"""Receiving by IMAP (RFC 3501) with imap-tools, in a thread: mails stay unread."""

import asyncio
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import parseaddr
from imaplib import IMAP4
from typing import Annotated, Any

from imap_tools import BaseMailBox
from imap_tools.errors import UnexpectedCommandStatusError
from imap_tools.imap_utf7 import utf7_encode
from pydantic import Field

from area.nodes import sdk
from area.nodes.email.servers import Security, Server, server_of, trust

PER_POLL = 50
MAX_MAIL = 1 << 20
MAX_SESSION = 64 << 20  # bytes a server may send before it is hung up on: a poll's mails, and some more
IMAP_ANSWER = 20.0  # seconds the server may stay silent
IMAP_POLL = 40.0  # seconds for a whole poll: below the engine's own limit
NO_FOLDERS = {"\\noselect", "\\nonexistent"}


async def folders(ctx: sdk.Context, so_far: Mapping[str, Any]) -> list[sdk.Choice]:
    """The account's folders, those that only hold others left out."""
    found: list[sdk.Choice] = await using(ctx, _folders)
    return found


class Mailbox(sdk.Inputs):
    """Which mail."""

    mailbox: Annotated[str, sdk.NoTemplate, sdk.Choices(folders)] = Field(
        "INBOX",
        title="Mailbox",
        description="The folder to watch.",
        pattern=r'^[^"\\\x00-\x1f\x7f]+$',
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


def poll(server: Server, sock: socket.socket, where: Mailbox, known: dict[str, int]) -> sdk.Page[Mail]:
    """One poll over a connected socket, which is closed at its end. Raises: Rejected, Unavailable."""
    with session(server, sock) as imap:
        mailbox = _quoted(where.mailbox)
        _ask(f"open {where.mailbox}", lambda: imap.folder.set(mailbox, readonly=True))
        validity = _said(imap, "UIDVALIDITY") or 0
        if known.get("uidvalidity") != validity:  # first poll, or the server renumbered: only remember where we are
            return sdk.Page([], {"uidvalidity": validity, "uid": _last_uid(imap)})
        sizes = _sizes_after(imap, known["uid"])
        uids = sorted(sizes)[:PER_POLL]
        mails = [_fetch(imap, uid, sizes[uid], f"{where.mailbox}/{validity}/{uid}") for uid in uids]
    items = [mail for mail in mails if mail is not None and _wanted(mail, where)]
    return sdk.Page(items, {"uidvalidity": validity, "uid": uids[-1] if uids else known["uid"]})


class _Client(IMAP4):
    """imaplib over a socket that is connected already."""

    def __init__(self, sock: socket.socket, host: str) -> None:
        self._given, self._left = sock, MAX_SESSION
        super().__init__(host)

    def _create_socket(self, timeout: float | None = None) -> socket.socket:
        return self._given

    def read(self, size: int) -> bytes:
        """As imaplib; whatever size the server announces, there is an end to it. Raises: IMAP4.abort."""
        self._count(size)
        return super().read(size)

    def readline(self) -> bytes:
        """The same of a line."""
        line = super().readline()
        self._count(len(line))
        return line

    def _count(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise self.abort(f"it sends more than {MAX_SESSION >> 20} MiB at once")


class _Box(BaseMailBox):
    """imap-tools over the same."""

    def __init__(self, sock: socket.socket, server: Server) -> None:
        self._sock, self._server = sock, server
        super().__init__()

    def _get_mailbox_client(self) -> IMAP4:
        if self._server.security is Security.TLS:
            self._sock = trust().wrap_socket(self._sock, server_hostname=self._server.host)
        client = _Client(self._sock, self._server.host)
        if self._server.security is Security.STARTTLS:
            client.starttls(trust())
        return client


async def using(ctx: sdk.Context, work: Callable[..., Any], *more: Any) -> Any:
    """``work(server, socket, *more)`` in a thread, within `IMAP_POLL` seconds. Raises: Rejected, Unavailable, EgressRefused."""
    server = server_of(ctx, "imap")
    sock = end = None
    try:
        async with asyncio.timeout(IMAP_POLL):
            sock = await server.connect(ctx)
            end = sock.dup()  # TLS takes the first one over
            return await asyncio.to_thread(work, server, sock, *more)
    except TimeoutError as error:
        raise sdk.Unavailable("The mail server does not answer in time") from error
    finally:  # a thread cannot be cancelled: without its connection it ends by itself
        if end is not None:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        if sock is not None:
            sock.close()


def tried(server: Server, sock: socket.socket) -> None:
    """Signs in, and out again."""
    with session(server, sock):
        pass


def _folders(server: Server, sock: socket.socket) -> list[sdk.Choice]:
    with session(server, sock) as imap:
        try:
            found = imap.folder.list()
        except ValueError as error:  # a name that is no UTF-7
            raise sdk.Rejected("The mail server's list of folders cannot be read", code="IMAP_REFUSED") from error
    named = [one.name for one in found if not NO_FOLDERS & {flag.lower() for flag in one.flags}]
    return [sdk.Choice(name, name) for name in sorted(named, key=lambda name: (name != "INBOX", name.casefold()))]


@contextmanager
def session(server: Server, sock: socket.socket) -> Iterator[BaseMailBox]:
    """A session that is signed in. Raises: Unavailable, Rejected."""
    try:
        sock.settimeout(IMAP_ANSWER)
        imap = _Box(sock, server)
        try:
            user, password = server.username, server.password
            login = imap.login if (user + password).isascii() else imap.login_utf8
            try:
                _ask("sign in", lambda: login(user, password, None).login_result)
            except sdk.Rejected as error:
                raise server.refused(error.message) from error
            yield imap
        finally:
            with suppress(OSError, IMAP4.error):
                imap.client.sock.settimeout(2)
                imap.client.logout()
            with suppress(OSError):  # a logout that failed leaves the socket open
                imap.client.shutdown()
    except (OSError, IMAP4.error) as error:
        raise sdk.Unavailable(f"The mail server does not answer: {str(error) or type(error).__name__}") from error


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


def _quoted(mailbox: str) -> bytes:
    """A folder's name as it is sent: the letters beyond ASCII in IMAP's own UTF-7."""
    name: bytes = utf7_encode(mailbox)
    return name if re.fullmatch(rb"[\w./-]+", name) else b'"%b"' % name


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
    return _read(content, identity)


def _read(content: bytes, identity: str) -> Mail:
    """What a mail says; of what is no mail, what can be read."""
    message = message_from_bytes(content, policy=policy.default)
    sender = _header(message, "From")
    sent = _lenient(lambda: message["Date"].datetime, None)
    return Mail(
        id=identity,
        sender=sender,
        sender_address=parseaddr(sender)[1],
        to=_header(message, "To"),
        subject=_header(message, "Subject"),
        text=_lenient(lambda: _text(message), ""),
        message_id=_header(message, "Message-ID"),
        sent_at=sent.astimezone(UTC) if sent and sent.tzinfo else None,
    )


def _header(message: EmailMessage, name: str) -> str:
    value: str = _lenient(lambda: str(message[name] or ""), "")
    return value


def _text(message: EmailMessage) -> str:
    part = message.get_body(("plain", "html"))
    if part is None:
        return ""
    try:
        return str(part.get_content())
    except LookupError:  # an encoding that nobody knows
        payload = part.get_payload(decode=True)
        return payload.decode("utf-8", "replace") if isinstance(payload, bytes) else ""


def _lenient(read: Callable[[], Any], otherwise: Any) -> Any:
    """One nonsensical mail must not stop the mailbox; the parser's errors are of many kinds."""
    try:
        return read()
    except Exception:
        return otherwise


def _wanted(mail: Mail, where: Mailbox) -> bool:
    sender, subject = where.sender_contains or "", where.subject_contains or ""
    return sender.casefold() in mail.sender.casefold() and subject.casefold() in mail.subject.casefold()
