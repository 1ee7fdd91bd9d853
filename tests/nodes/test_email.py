"""Mail, through real servers on loopback."""

import asyncio
from collections.abc import AsyncIterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from aioimaplib.imap_testing_server import ImapProtocol, Mail, MockImapServer
from aiosmtpd.smtp import SMTP, Envelope
from pydantic import ValidationError

from area.nodes import email, sdk
from tests.nodes.conftest import MakeContext


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
    server = await loop.create_server(lambda: SMTP(postmaster, loop=loop), "127.0.0.1", 0)
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


@pytest.fixture
async def imap() -> AsyncIterator[tuple[MockImapServer, dict[str, str]]]:
    mock = MockImapServer()
    loop = asyncio.get_running_loop()

    def connect() -> ImapProtocol:
        protocol = ImapProtocol(mock._server_state, 0, mock.capabilities, loop)
        protocol.uidvalidity = 7  # the mock's own changes with each second
        return protocol

    server = await loop.create_server(connect, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    yield mock, {"imap_url": f"imap://user:pass@127.0.0.1:{port}"}
    server.close()


def mail(subject: str, sender: str = "Ada <ada@example.com>") -> Mail:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, "user", subject
    message["Message-ID"] = f"<{subject}@example.com>"
    message.set_content(f"about {subject}")
    return Mail(message)


async def test_received_starts_from_now_then_gives_each_mail_once(imap: Any, context: MakeContext) -> None:
    mock, settings = imap
    where = email.Mailbox(subject_contains="INV")
    mock.receive(mail("inv-old"), imap_user="user", mailbox="INBOX")
    baseline = await email.received.fn(context(settings=settings), where)
    assert baseline.items == []
    for subject in ("inv-1", "other", "inv-2"):
        mock.receive(mail(subject), imap_user="user", mailbox="INBOX")
    page = await email.received.fn(context(settings=settings, cursor=baseline.cursor), where)
    assert [item.subject for item in page.items] == ["inv-1", "inv-2"]
    assert page.items[0].sender_address == "ada@example.com"
    assert page.items[0].text.strip() == "about inv-1"
    after = await email.received.fn(context(settings=settings, cursor=page.cursor), where)
    assert (after.items, after.cursor) == ([], page.cursor)


async def test_received_after_renumbering_starts_afresh(imap: Any, context: MakeContext) -> None:
    mock, settings = imap
    mock.receive(mail("x"), imap_user="user", mailbox="INBOX")
    stale = {"uidvalidity": 6, "uid": 0}
    page = await email.received.fn(context(settings=settings, cursor=stale), email.Mailbox())
    assert page.items == []
    assert page.cursor == {"uidvalidity": 7, "uid": 1}


def test_mailbox_name_cannot_carry_a_command() -> None:
    with pytest.raises(ValidationError):
        email.Mailbox(mailbox='INBOX"\r\nA1 DELETE x')
