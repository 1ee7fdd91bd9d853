"""Mail, through real servers on loopback."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from email import message_from_bytes, policy
from email.message import EmailMessage
from ipaddress import ip_network
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope
from pydantic import ValidationError

from area.core.http import EgressRefused
from area.nodes import email, sdk
from tests.nodes.conftest import MakeContext

LOOPBACK = (ip_network("127.0.0.0/8"),)


class Postmaster:
    """An SMTP server's mind: keeps what it accepts; refuses ``nobody@`` and delays ``later@``."""

    def __init__(self) -> None:
        self.kept: list[Envelope] = []

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: Any, session: Any, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.startswith("nobody@"):
            return "550 5.1.1 no such person here"
        if address.startswith("later@"):
            return "451 4.7.1 greylisted"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:  # noqa: N802
        self.kept.append(envelope)
        return "250 OK"


@pytest.fixture
async def smtp() -> AsyncIterator[tuple[Postmaster, dict[str, str]]]:
    postmaster = Postmaster()
    loop = asyncio.get_running_loop()

    def door(_server: Any, _session: Any, _envelope: Any, _mechanism: str, given: Any) -> AuthResult:
        known = (given.login, given.password) == (b"user", b"pass")
        return AuthResult(success=known, handled=known)

    def mind() -> SMTP:
        return SMTP(postmaster, loop=loop, authenticator=door, auth_require_tls=False)

    server = await loop.create_server(mind, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    yield postmaster, {"smtp_url": f"smtp://127.0.0.1:{port}", "from": "AREA <area@example.com>"}
    server.close()


Smtp = tuple[Postmaster, dict[str, str]]


async def test_send_delivers_both_parts(smtp: Smtp, context: MakeContext) -> None:
    postmaster, settings = smtp
    letter = email.Letter(to="ada@example.com, Bob <bob@example.com>", subject="Prêt", text="plain", html="<p>rich</p>")
    sent = await email.send.fn(context(settings=settings), letter)
    again = await email.send.fn(context(settings=settings), letter)
    assert sent.accepted == ["ada@example.com", "bob@example.com"]
    assert sent.message_id == again.message_id  # the same step of the same run names the same mail
    envelope = postmaster.kept[0]
    message = message_from_bytes(envelope.original_content or b"", policy=policy.default)
    assert (envelope.mail_from, envelope.rcpt_tos) == ("area@example.com", ["ada@example.com", "bob@example.com"])
    assert (message["Subject"], message["Message-ID"]) == ("Prêt", sent.message_id)
    assert [part.get_content().strip() for part in message.iter_parts()] == ["plain", "<p>rich</p>"]


async def test_send_hands_on_the_servers_refusal(smtp: Smtp, context: MakeContext) -> None:
    postmaster, settings = smtp
    with pytest.raises(sdk.Rejected, match=r"550 .*no such person here"):
        await email.send.fn(context(settings=settings), email.Letter(to="nobody@example.com", subject="x"))
    with pytest.raises(sdk.Unavailable, match="greylisted"):
        await email.send.fn(context(settings=settings), email.Letter(to="later@example.com", subject="x"))
    assert postmaster.kept == []


async def test_send_names_the_recipients_that_were_refused(smtp: Smtp, context: MakeContext) -> None:
    letter = email.Letter(to="ada@example.com, nobody@example.com", subject="x")
    sent = await email.send.fn(context(settings=smtp[1]), letter)
    assert (sent.accepted, sent.refused) == (["ada@example.com"], ["nobody@example.com"])


@pytest.mark.parametrize("field", ["to", "subject"])
def test_send_refuses_header_injection(field: str) -> None:
    given = {"to": "ada@example.com", "subject": "x", field: "ada@example.com\r\nBcc: eve@example.com"}
    with pytest.raises(ValidationError, match="must be one line"):
        email.Letter.model_validate(given)


async def test_send_refuses_what_is_no_address(smtp: Smtp, context: MakeContext) -> None:
    with pytest.raises(sdk.Rejected, match="is not a list of mail addresses"):
        await email.send.fn(context(settings=smtp[1]), email.Letter(to="ada", subject="x"))
    assert smtp[0].kept == []


async def test_without_a_server_the_setting_is_named(context: MakeContext) -> None:
    with pytest.raises(sdk.Rejected, match="AREA_EMAIL_SMTP_URL is not set"):
        await email.send.fn(context(), email.Letter(to="ada@example.com", subject="x"))
    with pytest.raises(sdk.Rejected, match="AREA_EMAIL_IMAP_URL is not set"):
        await email.received.fn(context(), email.Mailbox())
    settings = {"smtp_url": "smtp://127.0.0.1:1", "from": "a@b.c"}
    with pytest.raises(sdk.Unavailable):
        await email.send.fn(context(settings=settings), email.Letter(to="ada@example.com", subject="x"))


class Imap:
    """An IMAP server with one user and one mailbox; ``asked`` is what clients sent."""

    def __init__(self) -> None:
        self.mails: dict[int, bytes] = {}
        self.uidnext = True  # some servers do not tell it
        self.silent_at = ""  # the command it never answers
        self.asked: list[str] = []

    def receive(self, message: EmailMessage) -> None:
        self.mails[max(self.mails, default=0) + 1] = message.as_bytes(policy=policy.SMTP)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            writer.write(b"* OK ready\r\n")
            while line := (await reader.readline()).decode().strip():
                tag, command = line.split(" ", 1)
                self.asked.append(command)
                if self.silent_at and command.startswith(self.silent_at):
                    await reader.read()
                    break
                untagged, status = self.answer(command)
                writer.write(b"".join(b"* " + one + b"\r\n" for one in untagged) + f"{tag} {status}\r\n".encode())
                await writer.drain()
        writer.close()

    def answer(self, command: str) -> tuple[list[bytes], str]:
        if command == "CAPABILITY":
            return [b"CAPABILITY IMAP4rev1"], "OK done"
        if command.startswith("LOGIN"):
            return [], "OK done" if command == 'LOGIN "user" "pass"' else "NO [AUTHENTICATIONFAILED] wrong password"
        if command.startswith("EXAMINE"):
            if command != "EXAMINE INBOX":
                return [], "NO no such mailbox"
            following = b"OK [UIDNEXT %d] next" % (max(self.mails, default=0) + 1)
            told = [b"%d EXISTS" % len(self.mails), b"OK [UIDVALIDITY 7] stable", following]
            return told if self.uidnext else told[:2], "OK [READ-ONLY] done"
        if command == "UID SEARCH ALL":
            return [b"SEARCH " + b" ".join(b"%d" % uid for uid in self.mails)], "OK done"
        if found := re.fullmatch(r"UID FETCH (\d+):\* \(UID RFC822.SIZE\)", command):
            last = max(self.mails, default=0)
            named = [uid for uid in self.mails if uid >= min(int(found[1]), last)]
            sizes = [b"%d FETCH (UID %d RFC822.SIZE %d)" % (uid, uid, len(self.mails[uid])) for uid in named]
            return sizes, "OK done"
        if found := re.fullmatch(r"UID FETCH (\d+) \(BODY.PEEK\[\](?:<0.(\d+)>)?\)", command):
            uid = int(found[1])
            body = self.mails[uid][: int(found[2]) if found[2] else None]
            return [b"%d FETCH (UID %d BODY[] {%d}\r\n%b)" % (uid, uid, len(body), body)], "OK done"
        return ([b"BYE see you"], "OK done") if command == "LOGOUT" else ([], "BAD what?")


@pytest.fixture
async def imap() -> AsyncIterator[tuple[Imap, dict[str, str]]]:
    mind = Imap()
    server = await asyncio.start_server(mind.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    yield mind, {"imap_url": f"imap://user:pass@127.0.0.1:{port}"}
    server.close()


def mail(subject: str, sender: str = "Ada <ada@example.com>", text: str | None = None) -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, "user", subject
    message["Message-ID"] = f"<{subject}@example.com>"
    message.set_content(text or f"about {subject}")
    return message


async def test_received_starts_from_now_then_gives_each_mail_once(imap: Any, context: MakeContext) -> None:
    mock, settings = imap
    where = email.Mailbox(subject_contains="INV")
    mock.receive(mail("inv-old"))
    baseline = await email.received.fn(context(settings=settings), where)
    assert baseline.items == []
    for subject in ("inv-1", "other", "inv-2"):
        mock.receive(mail(subject))
    page = await email.received.fn(context(settings=settings, cursor=baseline.cursor), where)
    assert [item.subject for item in page.items] == ["inv-1", "inv-2"]
    assert page.items[0].sender_address == "ada@example.com"
    assert page.items[0].text.strip() == "about inv-1"
    after = await email.received.fn(context(settings=settings, cursor=page.cursor), where)
    assert (after.items, after.cursor) == ([], page.cursor)


@pytest.mark.parametrize("uidnext", [True, False])
async def test_received_after_renumbering_starts_afresh(imap: Any, context: MakeContext, uidnext: bool) -> None:
    mock, settings = imap
    mock.uidnext = uidnext
    mock.receive(mail("x"))
    stale = {"uidvalidity": 6, "uid": 0}
    page = await email.received.fn(context(settings=settings, cursor=stale), email.Mailbox())
    assert page.items == []
    assert page.cursor == {"uidvalidity": 7, "uid": 1}


async def test_received_reads_the_start_of_a_large_mail(
    imap: Any, context: MakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    mock, settings = imap
    monkeypatch.setattr(email.imap, "MAX_MAIL", 1000)
    mock.receive(mail("large", text="word\n" * 1000))
    page = await email.received.fn(context(settings=settings, cursor={"uidvalidity": 7, "uid": 0}), email.Mailbox())
    assert page.items[0].subject == "large"
    assert 500 < len(page.items[0].text) < 1000
    assert mock.asked[-1] == "LOGOUT"


async def test_received_hands_on_the_servers_refusal(imap: Any, context: MakeContext) -> None:
    settings = imap[1]
    with pytest.raises(sdk.Rejected, match="would not open Nowhere: no such mailbox"):
        await email.received.fn(context(settings=settings), email.Mailbox(mailbox="Nowhere"))
    for user in ("user", "us%C3%A9r"):
        wrong = {"imap_url": settings["imap_url"].replace("user:pass", f"{user}:wrong")}
        with pytest.raises(sdk.Rejected, match="would not sign in"):
            await email.received.fn(context(settings=wrong), email.Mailbox())


async def test_received_from_a_server_that_is_away(context: MakeContext) -> None:
    with pytest.raises(sdk.Unavailable, match="cannot be reached"):
        await email.received.fn(context(settings={"imap_url": "imap://user:pass@127.0.0.1:1"}), email.Mailbox())


@pytest.mark.parametrize("limit", ["IMAP_ANSWER", "IMAP_POLL"])
@pytest.mark.parametrize("command", ["CAPABILITY", "LOGIN", "EXAMINE"])
async def test_received_does_not_wait_for_a_silent_server(
    imap: Any, context: MakeContext, monkeypatch: pytest.MonkeyPatch, limit: str, command: str
) -> None:
    mock, settings = imap
    mock.silent_at = command
    monkeypatch.setattr(email.imap, "IMAP_ANSWER", 1.0)
    monkeypatch.setattr(email if limit == "IMAP_POLL" else email.imap, limit, 0.3)
    with pytest.raises(sdk.Unavailable, match="does not answer"):
        await email.received.fn(context(settings=settings), email.Mailbox())


def test_mailbox_name_cannot_carry_a_command() -> None:
    with pytest.raises(ValidationError):
        email.Mailbox(mailbox='INBOX"\r\nA1 DELETE x')


ACCOUNT = sdk.Account("a1", "user@127.0.0.1", "Ada <ada@example.com>")


def credentials(settings: dict[str, str], **more: Any) -> dict[str, Any]:
    """What a user would have typed in for these servers."""
    given: dict[str, Any] = {"sender": "Ada <ada@example.com>", "username": "user", "password": "pass"}
    for name in ("smtp", "imap"):
        if url := settings.get(f"{name}_url"):
            port = int(url.rpartition(":")[2])
            given |= {f"{name}_host": "127.0.0.1", f"{name}_port": port, f"{name}_security": "none"}
    return given | more


async def test_a_mail_from_an_account_of_one_s_own(smtp: Smtp, context: MakeContext) -> None:
    postmaster, settings = smtp
    letter = email.Letter(to="ada@example.com", subject="x")
    given = credentials(settings)
    await email.send.fn(context(connected=ACCOUNT, credentials=given, may_reach=LOOPBACK), letter)
    assert [envelope.mail_from for envelope in postmaster.kept] == ["ada@example.com"]
    wrong = credentials(settings, password="wrong")
    with pytest.raises(sdk.Reconnect, match="would not sign in user"):
        await email.send.fn(context(connected=ACCOUNT, credentials=wrong, may_reach=LOOPBACK), letter)
    unsafe = credentials(settings, smtp_security="starttls")
    with pytest.raises(sdk.Rejected, match="cannot do this"):
        await email.send.fn(context(connected=ACCOUNT, credentials=unsafe, may_reach=LOOPBACK), letter)
    with pytest.raises(EgressRefused):
        await email.send.fn(context(connected=ACCOUNT, credentials=given), letter)
    assert len(postmaster.kept) == 1


async def test_copies_go_out_and_hidden_ones_stay_hidden(smtp: Smtp, context: MakeContext) -> None:
    postmaster, settings = smtp
    letter = email.Letter(
        to="ada@example.com", cc="bob@example.com", bcc="log@example.com", reply_to="help@example.com", subject="Ünï 🎉"
    )
    sent = await email.send.fn(context(settings=settings), letter)
    assert sent.accepted == ["ada@example.com", "bob@example.com", "log@example.com"]
    message = message_from_bytes(postmaster.kept[0].original_content or b"", policy=policy.default)
    assert (message["Cc"], message["Reply-To"], message["Bcc"], message["Subject"]) == (
        "bob@example.com",
        "help@example.com",
        None,
        "Ünï 🎉",
    )
    crowd = ",".join(f"p{number}@example.com" for number in range(101))
    with pytest.raises(sdk.Rejected, match="at most 100 recipients"):
        await email.send.fn(context(settings=settings), email.Letter(to=crowd, subject="x"))


async def test_connecting_tries_the_servers(imap: Any, context: MakeContext) -> None:
    given = credentials(imap[1])
    profile = await email.whose(context(credentials=given, connected=ACCOUNT, may_reach=LOOPBACK))
    assert profile == sdk.Profile(external_id="user@127.0.0.1", label="Ada <ada@example.com>")
    wrong = credentials(imap[1], password="wrong")
    with pytest.raises(sdk.Reconnect, match="would not sign in user"):
        await email.whose(context(credentials=wrong, connected=ACCOUNT, may_reach=LOOPBACK))
    with pytest.raises(ValidationError, match="give an SMTP server, an IMAP server, or both"):
        email.Account(sender="a@b.c", username="a", password="b")


async def test_received_by_an_account_of_one_s_own(imap: Any, context: MakeContext) -> None:
    mock, settings = imap
    given = {"credentials": credentials(settings), "connected": ACCOUNT, "may_reach": LOOPBACK}
    baseline = await email.received.fn(context(**given), email.Mailbox())
    mock.receive(mail("new"))
    page = await email.received.fn(context(cursor=baseline.cursor, **given), email.Mailbox())
    assert [item.subject for item in page.items] == ["new"]
    without = {**given, "credentials": credentials({"smtp_url": "smtp://x:25"})}
    with pytest.raises(sdk.Rejected, match="has no IMAP server"):
        await email.received.fn(context(**without), email.Mailbox())
