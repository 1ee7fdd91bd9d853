"""Mail, through real servers on loopback."""

from collections.abc import AsyncIterator
from ipaddress import ip_network
from typing import Any

import pytest
from pydantic import ValidationError

from area.core.http import EgressRefused
from area.nodes import email, sdk
from tests.nodes.conftest import FakeContext, MakeContext
from tests.providers.base import serving
from tests.providers.calls import Fault
from tests.providers.email import HOST, Email

LOOPBACK = (ip_network("127.0.0.0/8"),)
ACCOUNT = sdk.Account("a1", "ada@example.com@127.0.0.1", "Ada <ada@example.com>")
START = {"uidvalidity": 7, "uid": 0}


@pytest.fixture
async def mail() -> AsyncIterator[Email]:
    async with serving(provider := Email()):
        yield provider


def operators(mail: Email, context: MakeContext, **more: Any) -> FakeContext:
    """With no account: the operator's mail server."""
    settings = {name.removeprefix("AREA_EMAIL_").lower(): value for name, value in mail.environment().items()}
    return context(settings={**settings, **more.pop("settings", {})}, **more)


def adas(mail: Email, context: MakeContext, *, cursor: Any = None, **fields: Any) -> FakeContext:
    """With Ada's account, ``fields`` changed."""
    return context(connected=ACCOUNT, credentials=mail.fields(**fields), may_reach=LOOPBACK, cursor=cursor)


def letter(to: str = "ada@example.com", subject: str = "x", **more: Any) -> email.Letter:
    return email.Letter(to=to, subject=subject, **more)


# Sending


async def test_send_delivers_both_parts_to_several_people(mail: Email, context: MakeContext) -> None:
    given = letter("ada@example.com, Bób <bob@example.com>", "Prêt 🎉", text="plain ✓", html="<p>rich ✓</p>")
    sent = await email.send.fn(operators(mail, context), given)
    again = await email.send.fn(operators(mail, context), given)
    assert sent.accepted == ["ada@example.com", "bob@example.com"]
    assert sent.message_id == again.message_id  # the same step of the same run names the same mail
    taken = mail.sent[0]
    assert (taken.sender, taken.recipients) == ("area@example.com", ["ada@example.com", "bob@example.com"])
    told = [taken.message[name] for name in ("From", "To", "Subject", "Message-ID")]
    assert told == ["AREA <area@example.com>", "ada@example.com, Bób <bob@example.com>", "Prêt 🎉", sent.message_id]
    assert taken.bodies() == {"text/plain": "plain ✓", "text/html": "<p>rich ✓</p>"}


async def test_copies_go_out_and_hidden_ones_stay_hidden(mail: Email, context: MakeContext) -> None:
    given = letter(cc="bob@example.com", bcc="log@example.com", reply_to="help@example.com")
    sent = await email.send.fn(operators(mail, context), given)
    assert sent.accepted == mail.sent[0].recipients == ["ada@example.com", "bob@example.com", "log@example.com"]
    told = [mail.sent[0].message[name] for name in ("Cc", "Reply-To", "Bcc")]
    assert told == ["bob@example.com", "help@example.com", None]


@pytest.mark.parametrize(
    ("to", "told"),
    [
        ("nobody@example.com", r"550 .*no such person here for nobody@example.com"),
        ("ada", "is not a list of mail addresses"),
        (",".join(f"p{number}@example.com" for number in range(101)), "at most 100 recipients"),
    ],
    ids=["unknown", "no address", "a crowd"],
)
async def test_whom_it_cannot_be_sent_to_is_told(mail: Email, context: MakeContext, to: str, told: str) -> None:
    with pytest.raises(sdk.Rejected, match=told):
        await email.send.fn(operators(mail, context), letter(to))
    assert mail.sent == []


async def test_send_names_the_recipients_that_were_refused(mail: Email, context: MakeContext) -> None:
    sent = await email.send.fn(operators(mail, context), letter("ada@example.com, nobody@example.com"))
    assert (sent.accepted, sent.refused) == (["ada@example.com"], ["nobody@example.com"])


@pytest.mark.parametrize("field", ["to", "subject"])
def test_send_refuses_header_injection(field: str) -> None:
    with pytest.raises(ValidationError, match="must be one line"):
        letter(**{field: "ada@example.com\r\nBcc: eve@example.com"})


@pytest.mark.parametrize(
    ("command", "fault", "meaning", "taken"),
    [
        ("RCPT", Fault(status=451, body="4.7.1 greylisted"), sdk.Unavailable, 0),
        ("DATA", Fault(status=452, body="4.3.1 disk full"), sdk.Unavailable, 0),
        ("DATA", Fault(status=554, body="5.6.0 this is spam"), sdk.Rejected, 0),
        ("RCPT", Fault(cut=True), sdk.Unknown, 0),
        ("DATA", Fault(lose=True), sdk.Unknown, 1),
    ],
    ids=["greylisted", "full", "spam", "cut", "answer lost"],
)
async def test_a_server_that_fails_in_the_middle(
    mail: Email, context: MakeContext, command: str, fault: Fault, meaning: type[Exception], taken: int
) -> None:
    mail.next(fault, f"SMTP {command}")
    with pytest.raises(meaning, match=str(fault.body)[6:] if fault.body else "may have been sent"):
        await email.send.fn(operators(mail, context), letter())
    assert len(mail.sent) == taken


# Receiving


async def test_received_starts_from_now_then_gives_each_mail_once(mail: Email, context: MakeContext) -> None:
    where = email.Mailbox(subject_contains="INV", sender_contains="ADA")
    mail.receive("inv-old")
    baseline = await email.received.fn(adas(mail, context), where)
    assert (baseline.items, baseline.cursor) == ([], {"uidvalidity": 7, "uid": 1})
    for subject in ("inv-1 ✓", "other", "inv-2"):
        mail.receive(subject, "Grüße 🎉", sender="Äda <ada@example.com>")
    page = await email.received.fn(adas(mail, context, cursor=baseline.cursor), where)
    assert [(item.subject, item.text.strip()) for item in page.items] == [
        ("inv-1 ✓", "Grüße 🎉"),
        ("inv-2", "Grüße 🎉"),
    ]
    assert page.items[0].id == "INBOX/7/2"
    assert (page.items[0].sender, page.items[0].sender_address) == ("Äda <ada@example.com>", "ada@example.com")
    after = await email.received.fn(adas(mail, context, cursor=page.cursor), where)
    assert (after.items, after.cursor) == ([], page.cursor)


@pytest.mark.parametrize("tells_next", [True, False])
async def test_received_after_renumbering_starts_afresh(mail: Email, context: MakeContext, tells_next: bool) -> None:
    mail.tells_next = tells_next
    mail.receive("x")
    page = await email.received.fn(adas(mail, context, cursor={"uidvalidity": 6, "uid": 0}), email.Mailbox())
    assert (page.items, page.cursor) == ([], {"uidvalidity": 7, "uid": 1})


async def test_the_account_s_folders_are_offered_and_watched(mail: Email, context: MakeContext) -> None:
    offered = await email.imap.folders(adas(mail, context), {})
    assert [choice.value for choice in offered] == ["INBOX", "Bücher & Co", "Lists"]
    mail.receive("Neu", folder="Bücher & Co")
    page = await email.received.fn(adas(mail, context, cursor=START), email.Mailbox(mailbox="Bücher & Co"))
    assert [item.id for item in page.items] == ["Bücher & Co/7/1"]


async def test_received_reads_the_start_of_a_mail_of_10_mb(mail: Email, context: MakeContext) -> None:
    mail.receive("", raw=b"Subject: large\r\n\r\n" + b"word\r\n" * ((10 << 20) // 6))
    page = await email.received.fn(adas(mail, context, cursor=START), email.Mailbox())
    assert page.items[0].subject == "large"
    assert (1 << 20) - 1000 < len(page.items[0].text) <= 1 << 20
    assert mail.said[-1] == "IMAP LOGOUT"


async def test_a_server_that_sends_without_end_is_hung_up_on(
    mail: Email, context: MakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(email.imap, "MAX_SESSION", 1 << 20)
    mail.receive("", raw=b"Subject: large\r\n\r\n" + b"word\r\n" * (1 << 18))
    with pytest.raises(sdk.Unavailable, match="sends more than 1 MiB"):
        await email.received.fn(adas(mail, context, cursor=START), email.Mailbox())


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x00\xff\xfe no mail at all",
        b"From: \xe9@\r\nDate: never\r\nSubject: =?nonsense?q?=41?=\r\nContent-Type: text/plain; charset=klingon\r\n\r\nhi",
        b"From: <<>>,,\r\nContent-Type: multipart/alternative\r\n\r\nno parts",
    ],
    ids=["empty", "bytes", "encoding", "parts"],
)
async def test_a_mail_that_is_nonsense_does_not_stop_the_mailbox(mail: Email, context: MakeContext, raw: bytes) -> None:
    mail.receive("", raw=raw)
    mail.receive("good")
    page = await email.received.fn(adas(mail, context, cursor=START), email.Mailbox())
    assert [item.id for item in page.items] == ["INBOX/7/1", "INBOX/7/2"]
    assert page.items[1].subject == "good"


async def test_received_hands_on_the_servers_refusal(mail: Email, context: MakeContext) -> None:
    with pytest.raises(sdk.Rejected, match="would not open Nowhere: no such mailbox"):
        await email.received.fn(adas(mail, context), email.Mailbox(mailbox="Nowhere"))
    mail.next(Fault(body="NO [UNAVAILABLE] maintenance"), "IMAP UID FETCH")
    with pytest.raises(sdk.Rejected, match=r"would not list the mails: \[UNAVAILABLE\] maintenance"):
        await email.received.fn(adas(mail, context, cursor=START), email.Mailbox())


@pytest.mark.parametrize("limit", ["IMAP_ANSWER", "IMAP_POLL"])
@pytest.mark.parametrize("command", ["CAPABILITY", "AUTHENTICATE", "EXAMINE"])
async def test_received_does_not_wait_for_a_silent_server(
    mail: Email, context: MakeContext, monkeypatch: pytest.MonkeyPatch, limit: str, command: str
) -> None:
    mail.next(Fault(hang=True), f"IMAP {command}")
    monkeypatch.setattr(email.imap, "IMAP_ANSWER", 1.0)
    monkeypatch.setattr(email.imap, limit, 0.3)
    with pytest.raises(sdk.Unavailable, match="does not answer"):
        await email.received.fn(adas(mail, context), email.Mailbox())


def test_a_mailbox_s_name_cannot_carry_a_command() -> None:
    with pytest.raises(ValidationError):
        email.Mailbox(mailbox='INBOX"\r\nA1 DELETE x')


# Accounts and servers


async def test_connecting_tries_the_servers_that_were_typed_in(mail: Email, context: MakeContext) -> None:
    profile = await email.whose(operators(mail, context, credentials=mail.fields(), may_reach=LOOPBACK))
    assert profile == sdk.Profile(external_id="ada@example.com@127.0.0.1", label="Ada Lovelace <ada@example.com>")
    assert any(command.startswith("IMAP AUTHENTICATE") for command in mail.said)
    for more in ({}, {"smtp_host": None}):
        wrong = mail.fields(password="wrong", **more)
        with pytest.raises(sdk.Reconnect, match="would not sign in ada@"):
            await email.whose(operators(mail, context, credentials=wrong, may_reach=LOOPBACK))
    with pytest.raises(EgressRefused):
        await email.whose(context(connected=ACCOUNT, credentials=mail.fields()))
    with pytest.raises(sdk.Unavailable, match="cannot be reached"):
        await email.whose(adas(mail, context, smtp_port=1))


@pytest.mark.parametrize("sender", ["Ada", "ada@example.com\r\nBcc: eve@example.com", ""])
def test_an_account_has_an_address(sender: str) -> None:
    with pytest.raises(ValidationError, match="must be one mail address"):
        email.Account(sender=sender, username="a", password="b", smtp_host="smtp.example.com")


def test_an_account_has_a_server() -> None:
    with pytest.raises(ValidationError, match="give an SMTP server, an IMAP server, or both"):
        email.Account(sender="a@b.c", username="a", password="b")


async def test_a_mail_from_an_account_of_one_s_own(mail: Email, context: MakeContext) -> None:
    await email.send.fn(adas(mail, context), letter("grace@example.com"))
    assert [(one.sender, one.recipients) for one in mail.sent] == [("ada@example.com", ["grace@example.com"])]
    with pytest.raises(sdk.Rejected, match="cannot do this"):  # it offers no STARTTLS
        await email.send.fn(adas(mail, context, smtp_security="starttls"), letter())
    with pytest.raises(sdk.Rejected, match="has no IMAP server"):
        await email.received.fn(adas(mail, context, imap_host=None), email.Mailbox())
    with pytest.raises(sdk.Rejected, match="has no SMTP server"):
        await email.send.fn(adas(mail, context, smtp_host=None), letter())
    assert len(mail.sent) == 1


async def test_the_operator_s_mailbox_is_read_without_an_account(mail: Email, context: MakeContext) -> None:
    mail.receive("to all", to="area@example.com")
    page = await email.received.fn(operators(mail, context, cursor=START), email.Mailbox())
    assert [item.subject for item in page.items] == ["to all"]
    wrong = {"imap_url": f"imap://area:wrong@{HOST}:{mail.imap_port}"}
    with pytest.raises(sdk.Rejected, match="would not sign in area"):
        await email.received.fn(operators(mail, context, settings=wrong), email.Mailbox())


async def test_without_a_server_the_setting_is_named(context: MakeContext) -> None:
    with pytest.raises(sdk.Rejected, match="AREA_EMAIL_SMTP_URL is not set"):
        await email.send.fn(context(), letter())
    with pytest.raises(sdk.Rejected, match="AREA_EMAIL_IMAP_URL is not set"):
        await email.received.fn(context(), email.Mailbox())
    with pytest.raises(sdk.Unavailable, match="cannot be reached"):
        await email.send.fn(context(settings={"smtp_url": f"smtp://{HOST}:1", "from": "a@b.c"}), letter())


async def test_over_tls_and_only_with_a_certificate_that_is_trusted(
    context: MakeContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(mail := Email(tls=True)):
        with pytest.raises(sdk.NodeError, match="CERTIFICATE_VERIFY_FAILED"):
            await email.whose(adas(mail, context, imap_host=None))
        with pytest.raises(sdk.Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
            await email.whose(adas(mail, context, smtp_host=None))
        assert mail.certificate
        monkeypatch.setenv("SSL_CERT_FILE", str(mail.certificate.trusted))
        await email.whose(adas(mail, context))
        await email.send.fn(adas(mail, context), letter())
        assert len(mail.sent) == 1
        mail.next(Fault(hang=True), "IMAP EXAMINE")
        monkeypatch.setattr(email.imap, "IMAP_POLL", 0.3)
        with pytest.raises(sdk.Unavailable, match="does not answer"):
            await email.received.fn(adas(mail, context), email.Mailbox())
