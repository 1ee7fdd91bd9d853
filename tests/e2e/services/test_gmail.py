"""Gmail through the engine: an account by real consent, mails that come in and are answered once, and a Gmail that fails."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from area.core.settings import Settings
from area.db.models import Area
from area.engine.areas import ReactionDraft
from tests.contract.documents import SPECS
from tests.contract.plugin import Contract
from tests.contract.test_gmail import BEYOND
from tests.e2e.services.stories import Watched, step
from tests.engine.living import living
from tests.providers.calls import Fault
from tests.providers.gmail import ME, SEND, Gmail

NEW = "gmail.new_message"
REPLY, SENDING = "gmail.reply", "gmail.send"
SENDS = f"POST {ME}/messages/send"


class Story(Watched[Gmail]):
    """One user's AREAs, and a mailbox."""

    async def watching(self, account: UUID, *reactions: ReactionDraft, action: str = NEW, **config: Any) -> Area:
        """An AREA that watches from now on."""
        return await self.from_now(account, action, *reactions, **config)


@pytest.fixture
async def story(settings: Settings, user: UUID) -> AsyncIterator[Story]:
    there = Gmail()
    async with living(settings, user, there) as world:
        yield Story(world.platform, user, there)
    if SPECS.is_dir() and any(call.path.startswith(ME) for call in there.calls):
        Contract("gmail", BEYOND).audit(there)


def answered(account: UUID) -> ReactionDraft:
    return step(account, REPLY, mail_id="{{ trigger.id }}", text="Danke für {{ trigger.subject }} ✓")


def sent(story: Story) -> list[str]:
    return [str(mail["Subject"]) for mail in story.there.sent()]


async def test_a_mail_is_answered_labelled_and_marked_once(story: Story) -> None:
    account = await story.connect("gmail", NEW, REPLY, "gmail.modify_labels", "gmail.draft")
    area = await story.watching(
        account,
        answered(account),
        step(account, "gmail.modify_labels", mail_id="{{ trigger.id }}", add=["Label_7"], remove=["UNREAD"]),
        step(
            account, "gmail.draft", to="{{ trigger.sender_address }}", subject="Später: {{ trigger.subject }}", text="…"
        ),
    )
    key = story.there.receive("Rechnung 💶")
    (run,) = await story.runs(area)
    assert await story.status(run) == "succeeded"
    (mail,) = story.there.sent()
    assert (mail["Subject"], mail["To"]) == ("Re: Rechnung 💶", "Grace Hopper <grace@example.com>")
    body = mail.get_body(("plain",))
    assert body
    assert body.get_content() == "Danke für Rechnung 💶 ✓\n"
    assert story.there.mails[key]["labelIds"] == ["INBOX", "Label_7"]
    assert list(story.there.drafts) == ["r1"]
    assert await story.runs(area) == [run]
    assert len(story.there.sent()) == 1


async def test_an_account_knows_its_address_and_what_it_may_do(story: Story) -> None:
    account = await story.connect("gmail", SENDING)
    row = await story.row(account)
    assert (row["external_id"], row["label"], row["status"]) == ("1001", "ada@example.com", "active")
    assert set(row["scopes"]) == {SEND, "openid", "https://www.googleapis.com/auth/userinfo.email"}
    (asked,) = story.there.asked("GET", "/o/oauth2/v2/auth")
    assert (asked.query["access_type"], asked.query["prompt"]) == ("offline", "consent")


async def test_a_token_that_ends_is_refreshed_and_the_refresh_token_is_kept(story: Story) -> None:
    account = await story.connect("gmail", NEW, REPLY)
    area = await story.watching(account, answered(account), query="in:inbox")
    for number in (1, 2):
        story.there.auth.expire()
        story.there.receive(f"Mail {number}")
        await story.runs(area)
    assert sent(story) == ["Re: Mail 1", "Re: Mail 2"]
    assert (story.there.auth.refreshes >= 2, story.there.auth.reuses) == (True, 0)


async def test_a_worker_that_dies_when_the_mail_is_out_does_not_send_it_again(story: Story) -> None:
    account = await story.connect("gmail", NEW, REPLY)
    area = await story.watching(account, answered(account), query="in:inbox")
    story.there.receive("Frage")
    await story.look(area)
    run = await story.run_of(area)
    story.there.next(Fault(hang=True), SENDS)
    executor = story.platform.executor()
    task = asyncio.create_task(executor.execute([run]))
    async with asyncio.timeout(10):
        while not story.there.asked("POST", f"{ME}/messages/send"):  # noqa: ASYNC110 - the call arrives in the stand-in
            await asyncio.sleep(0.02)
    (call,) = story.there.asked("POST", f"{ME}/messages/send")
    call.grant = story.there.auth.grants[0]
    await story.there.send(call)
    for _, running in list(executor._active.values()):
        running.cancel()
    await asyncio.gather(task, return_exceptions=True)
    story.there.release()
    await story.expire_lease(run)
    await story.execute(run)
    assert (await story.status(run), sent(story)) == ("succeeded", ["Re: Frage"])
    (mail,) = (one for one in story.there.mails.values() if "SENT" in one["labelIds"])
    assert (await story.steps(run))["reply"]["output"]["id"] == mail["id"]


async def test_a_sending_whose_answer_was_lost_is_left_to_a_person(story: Story) -> None:
    reading = await story.connect("gmail", NEW)
    sending = await story.connect("gmail", SENDING, who="grace")
    area = await story.watching(reading, step(sending, SENDING, to="zoe@example.com", subject="{{ trigger.subject }}"))
    story.there.receive("Frage")
    story.there.next(Fault(lose=True), SENDS)
    (run,) = await story.runs(area)
    assert (await story.status(run), (await story.steps(run))["send"]["status"]) == ("held", "unknown")
    assert sent(story) == ["Frage"], "it is not sent a second time"


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault(status=503), "UNAVAILABLE"),
        (Fault(status=403, body={"error": {"errors": [{"reason": "userRateLimitExceeded"}]}}), "THROTTLED"),
        (Fault(status=429, headers={"retry-after": "7"}), "THROTTLED"),
    ],
    ids=["down", "limit by 403", "limit by 429"],
)
async def test_a_refusal_that_passes_is_waited_out(story: Story, fault: Fault, code: str) -> None:
    account = await story.connect("gmail", NEW, REPLY)
    area = await story.watching(account, answered(account), query="in:inbox")
    story.there.receive("Frage")
    story.there.next(fault, SENDS)
    (run,) = await story.runs(area)
    found = (await story.steps(run))["reply"]
    assert (found["status"], found["error"]["code"], sent(story)) == ("waiting", code, [])
    await story.platform.redis.flushall()  # what the governor remembers of the wait
    await story.due_now(run)
    await story.execute(run)
    assert (await story.status(run), sent(story)) == ("succeeded", ["Re: Frage"])


async def test_labels_are_followed_over_a_history_that_is_gone(story: Story) -> None:
    account = await story.connect("gmail", "gmail.label_added", "gmail.mark_read")
    mark = step(account, "gmail.mark_read", mail_id="{{ trigger.id }}")
    area = await story.watching(account, mark, action="gmail.label_added", label="STARRED")
    lost, found = story.there.receive("Lost"), story.there.receive("Found")
    story.there.label(lost, "STARRED")
    story.there.forgotten = int(story.there.history[-1]["id"])
    assert await story.runs(area) == []
    story.there.label(found, "STARRED")
    (run,) = await story.runs(area)
    assert await story.status(run) == "succeeded"
    assert [("UNREAD" in story.there.mails[key]["labelIds"]) for key in (lost, found)] == [True, False]


async def test_a_consent_that_was_taken_back_asks_for_a_new_one_and_loses_nothing(story: Story) -> None:
    account = await story.connect("gmail", NEW, REPLY)
    area = await story.watching(account, answered(account), query="in:inbox")
    story.there.receive("Frage")
    await story.look(area)
    run = await story.run_of(area)
    story.there.auth.withdraw()
    await story.execute(run)
    assert (await story.row(account))["status"] == "needs_reconnect"
    assert (await story.status(run), sent(story)) == ("held", [])
    assert await story.connect("gmail", NEW, REPLY) == account
    await story.due_now(run)
    await story.execute(run)
    assert (await story.status(run), sent(story)) == ("succeeded", ["Re: Frage"])
