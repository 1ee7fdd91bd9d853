"""Gmail: what counts as new, how mails are written and read, what refusals mean, and that nothing is sent twice."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from area.nodes import gmail, sdk
from area.nodes._google import Gone, judge
from area.nodes.gmail import events, mails, reactions
from area.nodes.gmail.provider import COMPOSE, MODIFY, READ, SEND, label_choices
from tests.nodes.conftest import FakeContext, MakeContext
from tests.nodes.google_wire import look, refusal, wired
from tests.providers.calls import Fault
from tests.providers.gmail import ME, Gmail

INBOX = events.Search()
STARRED = events.Labelling(label="STARRED")
NOTE = "Grüße an alle 🎉\n.\nFrom Zoë\n"


@pytest.fixture
def there() -> Gmail:
    return Gmail()


@pytest.fixture
def ctx(there: Gmail) -> FakeContext:
    return wired(gmail.service, there)


# New mails


async def test_a_mail_that_comes_in_fires_once_with_all_it_says(there: Gmail, ctx: FakeContext) -> None:
    there.receive("Old news")
    assert await look(ctx, events.new_message, INBOX) == []
    key = there.receive("Rechnung 💶 7", NOTE, sender='"Hopper, Grace" <grace@example.com>', Cc="bob@example.com")
    (mail,) = await look(ctx, events.new_message, INBOX)
    assert mail.model_dump(exclude={"received_at"}) == {
        "id": key,
        "thread_id": key,
        "sender": '"Hopper, Grace" <grace@example.com>',
        "sender_address": "grace@example.com",
        "to": "Ada Lovelace <ada@example.com>",
        "cc": "bob@example.com",
        "subject": "Rechnung 💶 7",
        "snippet": "Grüße an alle 🎉 . From Zoë",
        "text": NOTE,
        "message_id": "<1003@example.com>",
        "labels": ["INBOX", "UNREAD"],
        "files": [],
        "url": f"https://mail.google.com/mail/u/0/#all/{key}",
    }
    assert mail.received_at.tzinfo is UTC
    assert await look(ctx, events.new_message, INBOX) == []


async def test_a_search_finds_what_it_says_and_nothing_from_before(there: Gmail, ctx: FakeContext) -> None:
    where = events.Search(query="from:ada subject:invoice")
    old = there.receive("Invoice 1", sender="ada@example.com", age=4000)
    await look(ctx, events.new_message, where)
    there.receive("Invoice 2", sender="bob@example.com")
    there.receive("Invoice 3", sender="ada@example.com")
    there.label(old, "STARRED")
    assert [mail.subject for mail in await look(ctx, events.new_message, where)] == ["Invoice 3"]
    asked = [call.query["q"] for call in there.asked("GET", f"{ME}/messages")]
    since = int(ctx.moment.timestamp()) - 60
    assert asked == [f"(from:ada subject:invoice) after:{since}"] * 2


async def test_putting_mails_away_brings_up_no_older_one(there: Gmail, ctx: FakeContext) -> None:
    older = [there.receive(f"Old {n}", age=7200 - n) for n in range(3)]
    await look(ctx, events.new_message, INBOX)
    for key in older[:2]:
        there.mails[key]["labelIds"].remove("INBOX")
    there.mails[older[0]]["labelIds"].append("INBOX")
    assert await look(ctx, events.new_message, INBOX) == []


async def test_a_flood_is_read_a_part_at_a_time_oldest_first_over_pages(there: Gmail, ctx: FakeContext) -> None:
    await look(ctx, events.new_message, INBOX)
    there.page = 30
    for number in range(90):
        there.receive(f"{number}", age=(90 - number) / 100)
    found = []
    for _ in range(4):
        looked = await look(ctx, events.new_message, INBOX)
        found.append([int(mail.subject) for mail in looked])
    assert found == [list(range(40)), list(range(40, 80)), list(range(80, 90)), []]


async def test_what_was_seen_is_forgotten_with_the_hour(there: Gmail, ctx: FakeContext) -> None:
    await look(ctx, events.new_message, INBOX)
    there.receive("Soon old", age=0)
    assert len(await look(ctx, events.new_message, INBOX)) == 1
    ctx.moment += timedelta(hours=2)
    assert await look(ctx, events.new_message, INBOX) == []
    assert ctx.cursor["since"] == int(ctx.moment.timestamp()) - 3600
    assert await look(ctx, events.new_message, INBOX) == []
    assert ctx.cursor["seen"] == []


async def test_drafts_are_no_mails_until_they_are_sent(there: Gmail, ctx: FakeContext) -> None:
    every = events.Search(query="")
    await look(ctx, events.new_message, every)
    key = there.receive("In work", labels=["DRAFT"])
    assert await look(ctx, events.new_message, every) == []
    there.mails[key]["labelIds"] = ["SENT"]
    assert [mail.id for mail in await look(ctx, events.new_message, every)] == [key]


async def test_a_mail_that_is_gone_when_it_is_read_is_passed_over(there: Gmail, ctx: FakeContext) -> None:
    await look(ctx, events.new_message, INBOX)
    there.receive("Kept")
    gone = there.receive("Deleted meanwhile")
    there.next(Fault(status=404, body={"error": {"code": 404, "message": "Not found"}}), f"/messages/{gone}")
    assert [mail.subject for mail in await look(ctx, events.new_message, INBOX)] == ["Kept"]
    assert await look(ctx, events.new_message, INBOX) == []


async def test_each_file_of_a_mail_fires(there: Gmail, ctx: FakeContext) -> None:
    await look(ctx, events.new_attachment, INBOX)
    there.receive("Nothing in it")
    key = there.receive("Two", files={"a.pdf": b"%PDF-1.7", "Übersicht 📄.pdf": b"%PDF"})
    first, second = await look(ctx, events.new_attachment, INBOX)
    assert first.model_dump(exclude={"received_at"}) == {
        "key": f"{key}/1",
        "filename": "a.pdf",
        "mime_type": "application/pdf",
        "size": 8,
        "inline": False,
        "attachment_id": "ANGj1",
        "mail_id": key,
        "subject": "Two",
        "sender": "Grace Hopper <grace@example.com>",
        "url": f"https://mail.google.com/mail/u/0/#all/{key}",
    }
    assert (second.key, second.filename) == (f"{key}/2", "Übersicht 📄.pdf")
    assert await look(ctx, events.new_attachment, INBOX) == []


# Labels


async def test_a_label_fires_when_it_is_put_on_and_when_a_mail_comes_with_it(there: Gmail, ctx: FakeContext) -> None:
    before, later = there.receive("Before"), there.receive("Later")
    there.label(before, "STARRED")
    assert await look(ctx, events.label_added, STARRED) == []
    there.label(later, "STARRED", "UNREAD")
    by_filter = there.receive("By a filter", labels=["INBOX", "STARRED"])
    there.receive("Without")
    there.label(before, "Label_7")
    got = await look(ctx, events.label_added, STARRED)
    assert [(one.id, one.subject) for one in got] == [(later, "Later"), (by_filter, "By a filter")]
    assert [one.key.partition("/")[0] for one in got] == [later, by_filter]
    assert await look(ctx, events.label_added, STARRED) == []
    there.mails[later]["labelIds"].remove("STARRED")
    there.label(later, "STARRED")
    (again,) = await look(ctx, events.label_added, STARRED)
    assert (again.id, again.key != got[0].key) == (later, True), "the same mail, and another event"


async def test_a_mail_in_several_records_of_the_history_fires_once(there: Gmail, ctx: FakeContext) -> None:
    await look(ctx, events.label_added, STARRED)
    key = there.receive("Came with it", labels=["INBOX", "STARRED"])
    there._record(
        next(there._numbers), labelsAdded=[{"message": {"id": key, "threadId": key}, "labelIds": ["STARRED"]}]
    )
    assert [one.id for one in await look(ctx, events.label_added, STARRED)] == [key]


async def test_many_labelled_at_once_are_read_a_part_at_a_time_over_pages(there: Gmail, ctx: FakeContext) -> None:
    keys = [there.receive(f"{number}") for number in range(100)]
    await look(ctx, events.label_added, STARRED)
    there.page = 15  # four pages hold sixty
    for key in keys:
        there.label(key, "STARRED")
    found = [[one.id for one in await look(ctx, events.label_added, STARRED)] for _ in range(5)]
    assert found == [keys[:40], keys[40:60], keys[60:], [], []]


async def test_a_history_that_is_gone_is_begun_anew_and_fires_nothing(there: Gmail, ctx: FakeContext) -> None:
    there.receive("Before")
    await look(ctx, events.label_added, STARRED)
    missed, next_one = there.receive("Missed", labels=["STARRED"]), there.receive("Next")
    there.forgotten = int(there.mails[missed]["historyId"])
    assert await look(ctx, events.label_added, STARRED) == []
    assert "does not reach back" in ctx.lines[-1][1]
    there.label(next_one, "STARRED")
    assert [one.id for one in await look(ctx, events.label_added, STARRED)] == [next_one]


# Reading


def part(text: bytes, kind: str = "text/plain", **headers: str) -> dict[str, Any]:
    listed = [{"name": name.replace("_", "-"), "value": value} for name, value in headers.items()]
    return {
        "mimeType": kind,
        "filename": "",
        "headers": listed,
        "body": {"data": urlsafe_b64encode(text).decode().rstrip("=")},
    }


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (part("Zoë ✨".encode()), "Zoë ✨"),
        (part("Zoë".encode("latin-1"), Content_Type='text/plain; charset="ISO-8859-1"'), "Zoë"),
        (part("Жук".encode("koi8-r"), Content_Type="text/plain; charset=koi8-r"), "Жук"),
        (part("Zoë".encode("latin-1"), Content_Type="text/plain; charset=nonsense"), "Zo\ufffd"),
        ({"parts": [part(b"<p>x</p>", "text/html"), {"parts": [part(b"plain")]}]}, "plain"),
        ({"parts": [part(b"<p>x</p>", "text/html")]}, "<p>x</p>"),
        ({"parts": [{**part(b"a file"), "filename": "a.txt"}]}, ""),
        ({"mimeType": "text/plain", "body": {"data": "a"}}, ""),
        ({"mimeType": "text/plain", "body": {"attachmentId": "too-long"}}, ""),
        ({"parts": "x", "headers": 5, "body": []}, ""),
        (part(b"x" * 200_000), "x" * 100_000),
    ],
    ids=["utf-8", "latin-1", "koi8", "no charset", "nested", "html", "file", "no base64", "apart", "nonsense", "long"],
)
def test_text_is_read_out_of_a_mails_parts(payload: dict[str, Any], text: str) -> None:
    assert mails.text_of({"payload": payload}) == text


def test_a_mail_without_headers_and_with_a_strange_date_is_read() -> None:
    told = mails.summary({"id": "1", "internalDate": "soon", "labelIds": None, "payload": {}})
    assert (told["sender"], told["subject"], told["labels"], told["received_at"]) == ("", "", [], None)


# Writing


async def test_a_mail_is_sent_as_it_was_written(there: Gmail, ctx: FakeContext) -> None:
    letter = reactions.Letter(
        to='"Lovelace, Ada" <ada@example.com>, Zoë <zoe@example.com>',
        subject="Ça va? " + "🎉" * 100,
        text=NOTE,
        html="<p>Grüße</p>",
        cc="bob@example.com",
        bcc="log@example.com",
    )
    sent = await reactions.send.fn(ctx, letter)
    (mail,) = there.sent()
    assert sent.url == f"https://mail.google.com/mail/u/0/#all/{sent.id}"
    assert (str(mail["To"]), str(mail["Cc"]), str(mail["Bcc"])) == (letter.to, "bob@example.com", "log@example.com")
    assert str(mail["Subject"]) == letter.subject
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain
    assert html
    assert (plain.get_content(), html.get_content()) == (NOTE, "<p>Grüße</p>\n")
    assert str(mail["Message-ID"]).startswith("<area-")
    assert str(mail["Message-ID"]).endswith("@example.com>")


@pytest.mark.parametrize(
    ("field", "line"),
    [("to", "Ada"), ("to", ","), ("cc", "ada@example.com, bob"), ("to", "zoë@example.com"), ("bcc", "a@b@c, x")],
)
async def test_what_is_no_address_is_told_with_its_field(there: Gmail, ctx: FakeContext, field: str, line: str) -> None:
    letter = reactions.Letter(**{"to": "ada@example.com", "subject": "x", field: line})
    with pytest.raises(sdk.Rejected, match="is not a list of mail addresses") as caught:
        await reactions.send.fn(ctx, letter)
    assert (caught.value.field, there.sent()) == (field, [])


async def test_too_many_or_no_recipients_and_too_long_a_mail_are_refused(there: Gmail, ctx: FakeContext) -> None:
    many = ", ".join(f"a{number}@example.com" for number in range(101))
    long = {"text": "é" * 500_000, "html": "🎉" * 500_000}
    for given, told in (
        ({"to": many}, "at most 100"),
        ({"to": ""}, "no recipient"),
        ({"to": "a@b.example", **long}, "bytes"),
    ):
        with pytest.raises(sdk.Rejected, match=told):
            await reactions.send.fn(ctx, reactions.Letter(**{"subject": "x", **given}))
    assert there.sent() == []
    with pytest.raises(ValidationError, match="one line"):
        reactions.Letter(to="a@b.example", subject="x\r\nBcc: spam@example.com")


async def test_an_answer_stays_in_its_conversation(there: Gmail, ctx: FakeContext) -> None:
    long_id = f"<{'x' * 120}@example.com>"
    key = there.receive("Frage", References=f"<1@example.com> {long_id}")
    first = await reactions.reply.fn(ctx, reactions.Reply(mail_id=key, text="Antwort ✓"))
    (mail,) = there.sent()
    named = next(one["value"] for one in there.mails[key]["payload"]["headers"] if one["name"] == "Message-ID")
    assert (mail["To"], mail["Subject"], mail["In-Reply-To"]) == (
        "Grace Hopper <grace@example.com>",
        "Re: Frage",
        named,
    )
    assert str(mail["References"]).split() == ["<1@example.com>", long_id, named]
    (call,) = there.asked("POST", f"{ME}/messages/send")
    assert long_id.encode() in urlsafe_b64decode(call.json["raw"]), "an id that is encoded names nothing"
    assert first.thread_id == key


@pytest.mark.parametrize(
    ("headers", "to", "cc", "subject"),
    [
        ({"Cc": "bob@example.com"}, "Grace Hopper <grace@example.com>", "bob@example.com", "Re: Hi"),
        ({"Reply_To": "list@example.com"}, "list@example.com", None, "Re: Hi"),
        ({"Cc": "ADA@example.com, grace@example.com"}, "Grace Hopper <grace@example.com>", None, "Re: Hi"),
        ({"sender": "ada@example.com", "Cc": "eve@example.com"}, "ada@example.com", "eve@example.com", "Re: Hi"),
        ({"sender": "nobody"}, None, None, ""),
        ({"subject": "RE: Hi"}, "Grace Hopper <grace@example.com>", None, "RE: Hi"),
    ],
    ids=["to all", "reply-to", "not to oneself", "to oneself", "nobody", "again"],
)
async def test_an_answer_goes_to_whom_it_should(
    there: Gmail, ctx: FakeContext, headers: dict[str, str], to: str | None, cc: str | None, subject: str
) -> None:
    key = there.receive(
        headers.pop("subject", "Hi"), sender=headers.pop("sender", "Grace Hopper <grace@example.com>"), **headers
    )
    answer = reactions.Reply(mail_id=key, text="x", to_all=True)
    if to is None:
        with pytest.raises(sdk.Rejected, match="no sender"):
            await reactions.reply.fn(ctx, answer)
        return
    await reactions.reply.fn(ctx, answer)
    (mail,) = there.sent()
    assert (mail["To"], mail["Cc"], mail["Subject"]) == (to, cc, subject)


async def test_labels_are_put_on_and_taken_off_and_a_mail_is_marked_as_read(there: Gmail, ctx: FakeContext) -> None:
    key = there.receive("x")
    for _ in range(2):
        got = await reactions.modify_labels.fn(ctx, reactions.Labels(mail_id=key, add=["Label_7"], remove=["INBOX"]))
        assert got == reactions.Marked(id=key, labels=["UNREAD", "Label_7"])
    assert (await reactions.mark_read.fn(ctx, reactions.Which(mail_id=key))).labels == ["Label_7"]
    with pytest.raises(sdk.Rejected, match="Invalid label: Rechnungen"):
        await reactions.modify_labels.fn(ctx, reactions.Labels(mail_id=key, add=["Rechnungen"]))
    with pytest.raises(Gone):
        await reactions.mark_read.fn(ctx, reactions.Which(mail_id="0"))
    with pytest.raises(ValidationError, match="name a label"):
        reactions.Labels(mail_id=key)
    choices = await label_choices(ctx, {})
    assert (choices[0], len(choices)) == (sdk.Choice("Label_7", "Rechnungen 💶"), 6)


# Whether it happened


@pytest.mark.parametrize("keeps", [True, False], ids=["its own id", "an id of Gmail's"])
async def test_a_mail_whose_sending_had_no_answer_is_found_again(there: Gmail, ctx: FakeContext, keeps: bool) -> None:
    there.keeps_message_ids = keeps
    ctx.tried_since = datetime.now(UTC)
    letter = reactions.Letter(to="Zoë <zoe@example.com>", subject="Ça va?", text="x\n\n y " * 50)
    answer = reactions.Reply(mail_id=there.receive("Frage"), text="Ja")
    for node, given in ((reactions.send, letter), (reactions.draft, letter), (reactions.reply, answer)):
        ctx.idempotency_key = node.key
        assert node.reconciler
        assert await node.reconciler(ctx, given) is None
        done = await node.fn(ctx, given)
        assert await node.reconciler(ctx, given) == done
    ctx.idempotency_key = "run-2/step-1"
    assert reactions.send.reconciler is not None
    assert await reactions.send.reconciler(ctx, letter.model_copy(update={"text": "Another"})) is None
    same_words = await reactions.send.reconciler(ctx, letter)
    assert (same_words is None) == keeps, "another run's mail is told apart where Gmail leaves its id alone"


async def test_an_account_that_may_only_send_cannot_be_asked(there: Gmail) -> None:
    ctx = wired(gmail.service, there, SEND)
    letter = reactions.Letter(to="zoe@example.com", subject="x")
    assert reactions.send.reconciler
    with pytest.raises(sdk.Rejected, match="has not allowed this"):
        await reactions.send.reconciler(ctx, letter)


# Accounts and refusals


async def test_whose_account_it_is_needs_no_scope_of_gmails(there: Gmail) -> None:
    ctx = wired(gmail.service, there, SEND)
    assert gmail.service.identifier
    profile = await gmail.service.identifier(ctx)
    assert (profile.external_id, profile.label, profile.facts) == (
        "1001",
        "ada@example.com",
        {"email": "ada@example.com"},
    )
    there.auth.grants[-1].scopes = ("openid",)
    assert (await gmail.service.identifier(ctx)).label == "Ada Lovelace", "the address was not ticked"


def test_each_node_asks_for_the_least() -> None:
    nodes = {**gmail.service.actions, **gmail.service.reactions}
    assert {key.partition(".")[2]: set(node.scopes) for key, node in nodes.items()} == {
        "new_message": {READ},
        "new_attachment": {READ},
        "label_added": {READ},
        "send": {SEND},
        "reply": {SEND, READ},
        "draft": {COMPOSE},
        "modify_labels": {MODIFY},
        "mark_read": {MODIFY},
    }
    assert gmail.service.auth
    assert gmail.service.auth.covered([MODIFY]) == {MODIFY, READ, COMPOSE, SEND}
    assert gmail.service.auth.covered([COMPOSE]) == {COMPOSE, SEND}


@pytest.mark.parametrize(
    ("response", "code"),
    [
        (refusal(403, "insufficientPermissions"), "MISSING_SCOPE"),
        (refusal(403, "domainPolicy"), "FORBIDDEN"),
        (refusal(404, "notFound"), "NOT_FOUND"),
        (refusal(409, "duplicate"), "EXISTS"),
        (refusal(410, "updatedMinTooLongAgo"), "GONE"),
        (refusal(400, "failedPrecondition", "Mail service not enabled"), "HTTP_400"),
        (refusal(403, "sharingLimitExceeded"), "FORBIDDEN"),
    ],
)
def test_refusals_say_what_google_says(response: httpx.Response, code: str) -> None:
    with pytest.raises(sdk.Rejected, match=response.json()["error"]["message"]) as caught:
        judge(response)
    assert caught.value.code == code


@pytest.mark.parametrize(
    "reason", ["rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded", "dailyLimitExceeded"]
)
def test_limits_with_status_403_are_waited_for(reason: str) -> None:
    judge(refusal(403, reason))
    with pytest.raises(sdk.Throttled):
        sdk.map_response(refusal(403, reason), authorised=True)


async def test_a_consent_that_was_cut_is_told(there: Gmail) -> None:
    ctx = wired(gmail.service, there, READ)
    with pytest.raises(sdk.Rejected, match="tick what is asked for") as caught:
        await reactions.mark_read.fn(ctx, reactions.Which(mail_id=there.receive("x")))
    assert caught.value.code == "MISSING_SCOPE"


async def test_a_200_with_an_error_inside_or_html_after_sending_is_not_sent_again(context: MakeContext) -> None:
    for body in ({"json": {"error": {"message": "no"}}}, {"html": "<p>Sign in</p>"}, {"content": b'{"id": "1'}):
        account = sdk.Account("a1", "1", "ada", facts={"email": "ada@example.com"})
        ctx = context(lambda _, body=body: httpx.Response(200, **body), service=gmail.service, connected=account)
        with pytest.raises(sdk.Unknown):
            await reactions.send.fn(ctx, reactions.Letter(to="a@b.example", subject="x"))
        with pytest.raises(sdk.Unavailable):
            await events.new_message.fn(ctx, INBOX)
