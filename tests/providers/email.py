"""A stand-in for a provider of mail: SMTP (RFC 5321) and IMAP (RFC 3501) for the same people, and a page with what was sent.

What is sent to somebody with a mailbox here arrives in it. Every client signs in; with ``tls`` SMTP offers STARTTLS, IMAP is on TLS
from the start, and `Certificate.trusted` is what a client needs to trust. A `Fault` befalls commands too, named as in ``SMTP RCPT
TO:<ada@example.com>`` or ``IMAP UID FETCH``: ``status`` and ``body`` are an SMTP reply, ``body`` alone an IMAP one (``NO wait``).
"""

import asyncio
import base64
import logging
import re
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from email.utils import make_msgid
from functools import partial
from html import escape
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from starlette.responses import HTMLResponse

from tests.providers.base import StandIn
from tests.providers.calls import Call, Fault
from tests.providers.oauth import User

logging.getLogger("mail.log").setLevel(logging.ERROR)  # aiosmtpd warns of what it does itself

OPERATOR = "area@example.com"
PASSWORD = "pässwörd of "
HOST = "127.0.0.1"


@dataclass
class Folder:
    """One folder of a mailbox, its mails by UID."""

    validity: int = 7
    mails: dict[int, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Mail:
    """One mail that the server took, and for whom."""

    sender: str
    recipients: list[str]
    raw: bytes

    @property
    def message(self) -> EmailMessage:
        """It, read."""
        return message_from_bytes(self.raw, policy=policy.default)

    def bodies(self) -> dict[str, str]:
        """Its parts by their type."""
        parts = [part for part in self.message.walk() if not part.is_multipart()]
        return {part.get_content_type(): part.get_content().replace("\r\n", "\n").rstrip("\n") for part in parts}


class Certificate:
    """A certificate of its own for loopback, in a directory that is gone when this is."""

    def __init__(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stand-in")])
        made = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        made = made.serial_number(x509.random_serial_number()).not_valid_before(datetime.now(UTC) - timedelta(hours=1))
        made = made.not_valid_after(datetime.now(UTC) + timedelta(days=1))
        made = made.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(HOST))]), critical=False)
        made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        signed = made.sign(key, hashes.SHA256())
        self._directory = tempfile.TemporaryDirectory(prefix="area-mail-")
        folder = Path(self._directory.name)
        self.trusted = folder / "certificate.pem"
        """For SSL_CERT_FILE."""
        self.trusted.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        format_, no_password = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        secret = folder / "key.pem"
        secret.write_bytes(key.private_bytes(serialization.Encoding.PEM, format_, no_password))
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.load_cert_chain(self.trusted, secret)

    def close(self) -> None:
        """Remove it."""
        self._directory.cleanup()


class Email(StandIn):
    """``sent`` is what was taken, ``said`` what clients asked for, ``boxes`` the mailboxes by address."""

    def __init__(self, *, tls: bool = False) -> None:
        super().__init__("email")
        addresses = [OPERATOR, *(user.email for user in self.users)]
        self.sent: list[Mail] = []
        self.said: list[str] = []
        self.boxes = {address: {"INBOX": Folder(), "Bücher & Co": Folder(), "Lists": Folder()} for address in addresses}
        self.passwords = {address: PASSWORD + address for address in addresses}
        self.smtp_port = self.imap_port = 0
        self.tells_next = True
        """Some servers do not say UIDNEXT."""
        self.certificate = Certificate() if tls else None
        self.arrived = asyncio.Condition()
        self.route("GET", "/", self._page, auth="none")

    # What tests use

    def fields(self, user: User | None = None, **changed: Any) -> dict[str, Any]:
        """What somebody types in to connect their mailbox."""
        user = user or self.users[0]
        return {
            "sender": f"{user.name} <{user.email}>",
            "username": user.email,
            "password": self.passwords[user.email],
            "smtp_host": HOST,
            "smtp_port": self.smtp_port,
            "smtp_security": "starttls" if self.certificate else "none",
            "imap_host": HOST,
            "imap_port": self.imap_port,
            "imap_security": "tls" if self.certificate else "none",
            **changed,
        }

    def receive(
        self,
        subject: str,
        text: str = "",
        *,
        to: str = "",
        folder: str = "INBOX",
        sender: str = "Bob <bob@example.org>",
        raw: bytes | None = None,
    ) -> None:
        """A mail arrives for ``to``, by default for the first user; ``raw`` is one that is not made of these parts."""
        address = to or self.users[0].email
        if raw is None:
            message = EmailMessage()
            message["From"], message["To"], message["Subject"] = sender, address, subject
            message["Date"], message["Message-ID"] = datetime.now(UTC), make_msgid(domain="example.org")
            message.set_content(text or f"about {subject}")
            raw = message.as_bytes(policy=policy.SMTP)
        mails = self.boxes[address][folder].mails
        mails[max(mails, default=0) + 1] = raw

    @property
    def hint(self) -> str:
        """Where the mailboxes are, and their passwords."""
        ports = f"SMTP on port {self.smtp_port} and IMAP on {self.imap_port} of {HOST}"
        return f"{ports}, without TLS; the user is a mail address, as ada@example.com, and its password {PASSWORD}ada@example.com."

    async def until_sent(self, count: int) -> list[Mail]:
        """Wait until so many mails have been taken."""
        async with self.arrived:
            await self.arrived.wait_for(lambda: len(self.sent) >= count)
        return list(self.sent)

    def environment(self) -> dict[str, str]:
        """The operator's own mail server."""
        user = f"area%40example.com:{'p%C3%A4ssw%C3%B6rd%20of%20area%40example.com'}"
        return {
            "AREA_EMAIL_SMTP_URL": f"smtp://{user}@{HOST}:{self.smtp_port}",
            "AREA_EMAIL_IMAP_URL": f"imap{'s' if self.certificate else ''}://{user}@{HOST}:{self.imap_port}",
            "AREA_EMAIL_FROM": f"AREA <{OPERATOR}>",
        }

    def tricks(self) -> Mapping[str, Callable[[], Awaitable[Any]]]:
        """Mails that arrive; the page at the stand-in's address shows those that were sent."""

        async def arrive(user: User) -> None:
            self.receive("Hello", f"A mail for {user.name}.", to=user.email)

        return {f"A mail arrives for {user.name} ({user.email})": partial(arrive, user) for user in self.users}

    async def _page(self, call: Call) -> Any:
        shown = "".join(
            f"<article><h2>{escape(str(mail.message['Subject']))}</h2><p>From {escape(mail.sender)} to "
            f"{escape(', '.join(mail.recipients))}</p>"
            + "".join(f"<pre>{escape(text)}</pre>" for text in mail.bodies().values())
            + "</article>"
            for mail in reversed(self.sent)
        )
        return HTMLResponse(f"<!doctype html><title>Mails</title><h1>Mails sent</h1>{shown or '<p>None yet.'}")

    # How it works

    @asynccontextmanager
    async def beside(self) -> AsyncIterator[None]:
        """Both servers, each on a free port."""
        loop, tls = asyncio.get_running_loop(), self.certificate.server if self.certificate else None
        smtp = await loop.create_server(partial(Exchange, self, loop, tls), HOST, 0)
        imap = await asyncio.start_server(partial(_converse, self), HOST, 0, ssl=tls)
        self.smtp_port, self.imap_port = (server.sockets[0].getsockname()[1] for server in (smtp, imap))
        try:
            yield
        finally:
            self.release()
            smtp.close()
            imap.close()
            if self.certificate:
                self.certificate.close()

    def admits(self, login: bytes, password: bytes) -> str | None:
        """Whose mailbox this opens."""
        found = login.decode("utf-8", "replace")
        return found if self.passwords.get(found, "").encode() == password and password else None

    async def hear(self, command: str) -> Fault | None:
        """Note a command; what befalls it. One that hangs does so here."""
        self.said.append(command)
        fault = self._fault(command)
        if fault and fault.hang:
            await self._released.wait()
        return fault

    async def accept(self, mail: Mail) -> None:
        """Take a mail, and put it into the mailboxes that are here."""
        self.sent.append(mail)
        for address in mail.recipients:
            if address in self.boxes:
                self.receive("", to=address, raw=mail.raw)
        async with self.arrived:
            self.arrived.notify_all()


class Exchange(SMTP):  # type: ignore[misc]
    """One SMTP session. Nobody lives at ``nobody@``."""

    def __init__(self, provider: Email, loop: asyncio.AbstractEventLoop, tls: ssl.SSLContext | None) -> None:
        super().__init__(
            self,
            loop=loop,
            hostname="stand-in",
            ident="stand-in",
            enable_SMTPUTF8=True,
            tls_context=tls,
            authenticator=self._admit,
            auth_require_tls=tls is not None,
        )
        self.provider = provider

    def _admit(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, given: Any) -> AuthResult:
        known = self.provider.admits(given.login, given.password) is not None
        return AuthResult(success=known, handled=False)

    def _refused(self, fault: Fault | None) -> str | None:
        """The reply of a fault; one that hung, or cuts, closes the connection."""
        if fault is None or fault.lose:
            return None
        if fault.cut or fault.hang:
            self.transport.close()
        return f"{fault.status if fault.status != 200 else 421} {fault.body or 'later'}"

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self, _server: Any, session: Any, envelope: Envelope, address: str, _options: Sequence[str]
    ) -> str:
        """MAIL FROM, by those alone who have signed in."""
        if not session.authenticated:
            return "530 5.7.0 sign in first"
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(  # noqa: N802
        self, _server: Any, _session: Any, envelope: Envelope, address: str, _options: Sequence[str]
    ) -> str:
        """RCPT TO."""
        refused = self._refused(await self.provider.hear(f"SMTP RCPT TO:<{address}>"))
        if refused is None and address.startswith("nobody@"):
            refused = "550 5.1.1 no such person here"
        if refused is None:
            envelope.rcpt_tos.append(address)
        return refused or "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:  # noqa: N802
        """The mail itself; where the answer is lost it was taken all the same."""
        fault = await self.provider.hear("SMTP DATA")
        refused = self._refused(fault)
        if refused is None:
            raw = envelope.original_content or b""
            await self.provider.accept(Mail(envelope.mail_from or "", list(envelope.rcpt_tos), raw))
        if fault and fault.lose:
            self.transport.close()
        return refused or "250 OK"


async def _converse(provider: Email, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One IMAP session."""
    session = Session(provider)
    with suppress(ConnectionError, ssl.SSLError):
        writer.write(b"* OK ready\r\n")
        while line := (await reader.readline()).decode().strip():
            tag, command = line.split(" ", 1)
            fault = await provider.hear(f"IMAP {command.split('(')[0] if command.startswith('LOGIN') else command}")
            if fault and (fault.cut or fault.hang):
                break
            if command == "AUTHENTICATE PLAIN":
                writer.write(b"+ \r\n")
                _, login, password = base64.b64decode(await reader.readline()).split(b"\0")
                told: list[bytes] = []
                status = session.sign_in(login, password)
            else:
                told, status = session.answer(command)
            if fault:
                told, status = [], str(fault.body)
            writer.write(b"".join(b"* " + one + b"\r\n" for one in told) + f"{tag} {status}\r\n".encode())
            await writer.drain()
    writer.close()
    with suppress(ConnectionError, ssl.SSLError):
        await writer.wait_closed()


class Session:
    """What one IMAP session may see."""

    def __init__(self, provider: Email) -> None:
        self.provider, self.owner = provider, ""
        self.folder = Folder()

    def sign_in(self, login: bytes, password: bytes) -> str:
        """By LOGIN or AUTHENTICATE."""
        self.owner = self.provider.admits(login, password) or ""
        return "OK done" if self.owner else "NO [AUTHENTICATIONFAILED] wrong password"

    def answer(self, command: str) -> tuple[list[bytes], str]:
        """Untagged lines, and the status."""
        if command == "CAPABILITY":
            return [b"CAPABILITY IMAP4rev1 AUTH=PLAIN"], "OK done"
        if command == "LOGOUT":
            return [b"BYE see you"], "OK done"
        if found := re.fullmatch(r'LOGIN "?([^" ]+)"? "(.*)"', command):
            return [], self.sign_in(found[1].encode(), found[2].encode())
        if not self.owner:
            return [], "BAD sign in first"
        if command.startswith("LIST"):
            names = [_utf7(name) for name in self.provider.boxes[self.owner]]
            listed = [b'LIST (\\HasNoChildren) "/" "%b"' % name for name in names]
            return [*listed, b'LIST (\\Noselect \\HasChildren) "/" "[Archive]"'], "OK done"
        if found := re.fullmatch(r'EXAMINE "?([^"]+)"?', command):
            return self._examine(found[1].encode())
        return self._read(command, self.folder.mails)

    def _examine(self, name: bytes) -> tuple[list[bytes], str]:
        named = {_utf7(one): folder for one, folder in self.provider.boxes[self.owner].items()}
        if name not in named:
            return [], "NO no such mailbox"
        self.folder = named[name]
        mails = self.folder.mails
        told = [b"%d EXISTS" % len(mails), b"OK [UIDVALIDITY %d] stable" % self.folder.validity]
        if self.provider.tells_next:
            told.append(b"OK [UIDNEXT %d] next" % (max(mails, default=0) + 1))
        return told, "OK [READ-ONLY] done"

    def _read(self, command: str, mails: Mapping[int, bytes]) -> tuple[list[bytes], str]:
        if command == "UID SEARCH ALL":
            return [b"SEARCH " + b" ".join(b"%d" % uid for uid in mails)], "OK done"
        if found := re.fullmatch(r"UID FETCH (\d+):\* \(UID RFC822.SIZE\)", command):
            named = [uid for uid in mails if uid >= min(int(found[1]), max(mails, default=0))]
            sizes = [b"%d FETCH (UID %d RFC822.SIZE %d)" % (uid, uid, len(mails[uid])) for uid in named]
            return sizes, "OK done"
        if found := re.fullmatch(r"UID FETCH (\d+) \(BODY.PEEK\[\](?:<0.(\d+)>)?\)", command):
            uid = int(found[1])
            body = mails[uid][: int(found[2]) if found[2] else None]
            return [b"%d FETCH (UID %d BODY[] {%d}\r\n%b)" % (uid, uid, len(body), body)], "OK done"
        return [], "BAD what?"


def _utf7(name: str) -> bytes:
    """Python's UTF-7 is another one: here & shifts and / is a comma (RFC 3501, 5.1.3)."""

    def shifted(found: re.Match[str]) -> str:
        coded = base64.b64encode(found[0].encode("utf-16-be")).decode().rstrip("=")
        return f"&{coded.replace('/', ',')}-"

    return re.sub(r"[^\x20-\x7e]+", shifted, name.replace("&", "&-")).encode()


def make() -> StandIn:
    """With empty mailboxes for two people and the operator."""
    return Email()
