"""Mail through the engine: a mailbox connected by its password, a mail that comes in, and one that goes out, once."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import aiohttp
import pytest

from area.core.ids import new_id, to_global, uuid_of
from area.core.settings import Settings
from area.db.models import Area
from area.engine.areas import ReactionDraft
from tests.e2e.world import Client
from tests.engine.living import Living, living
from tests.providers.calls import Fault
from tests.providers.email import Email

CONNECT = """mutation ($i: ConnectWithKeyInput!) { connectWithKey(input: $i) {
  account { id label status method } errors { code message path } } }"""
FOLDERS = """query ($a: ID!) { service(key: "email") { actions { fields {
  ... on ChoiceField { key options(accountId: $a) { value label } } } } } }"""
ADMINS = "grace@example.com, Bób <bob@example.org>"
TELL = {
    "to": ADMINS,
    "subject": "Neu: {{ trigger.subject }}",
    "text": "{{ trigger.sender }} → {{ trigger.text | strip }}",
    "html": "<p>{{ trigger.text | strip | escape }}</p>",
}


class Stage:
    """Ada, her mailbox, and the platform."""

    def __init__(self, world: Living, mail: Email, client: Client) -> None:
        self.world, self.mail, self.client = world, mail, client

    async def connect(self, **changed: Any) -> Any:
        """By the API; gives its answer."""
        fields = self.mail.fields(**changed)
        return (await self.client.ask(CONNECT, i={"service": "email", "fields": fields}))["connectWithKey"]

    async def watching(self, **letter: Any) -> tuple[UUID, Area]:
        """An account, and an AREA that tells the admins of each mail in its inbox from now on."""
        connected = await self.connect()
        assert connected["errors"] == []
        account = uuid_of(connected["account"]["id"], "ConnectedAccount")
        assert account
        tell = ReactionDraft("email.send", {**TELL, **letter}, key="tell", account_id=account)
        area = await self.world.area(tell, action="email.received", config={}, account_id=account)
        await self.world.look(area)
        return account, area

    async def runs(self, area: Area) -> list[UUID]:
        rows = await self.world.pool.fetch("SELECT id FROM runs WHERE area_id = $1 ORDER BY id", area.id)
        return [row["id"] for row in rows]

    async def told(self, area: Area, subject: str = "Hallo") -> UUID:
        """A mail arrives, and what it starts is executed."""
        self.mail.receive(subject, "<b>Grüße</b> 🎉")
        await self.world.look(area)
        run = await self.world.run_of(area)
        await self.world.execute(run)
        return run


@pytest.fixture
async def stage(settings: Settings, user: UUID, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    mail = Email(tls=True)
    assert mail.certificate
    monkeypatch.setenv("SSL_CERT_FILE", str(mail.certificate.trusted))
    async with living(settings, user, mail) as world, aiohttp.ClientSession() as http:
        client = Client(world.platform.settings.public_url, http)
        address = f"{new_id().hex}@example.com"
        await client.sign_up(address)
        world.user = await world.pool.fetchval("SELECT id FROM users WHERE email = $1", address)
        yield Stage(world, mail, client)


async def test_a_mail_comes_in_and_the_admins_are_told_once(stage: Stage) -> None:
    refused = await stage.connect(password="wrong")
    assert refused["account"] is None
    assert "would not sign in ada@example.com" in refused["errors"][0]["message"]
    assert (
        await stage.world.pool.fetchval("SELECT count(*) FROM connected_accounts WHERE user_id = $1", stage.world.user)
        == 0
    )

    stage.mail.receive("before", "anybody watched")
    account, area = await stage.watching()
    run = await stage.told(area, "Übergabe ✓")
    assert await stage.world.status(run) == "succeeded"
    (sent,) = stage.mail.sent
    assert (sent.sender, sent.recipients) == ("ada@example.com", ["grace@example.com", "bob@example.org"])
    assert [sent.message[name] for name in ("From", "To", "Subject")] == [
        "Ada Lovelace <ada@example.com>",
        ADMINS,
        "Neu: Übergabe ✓",
    ]
    assert sent.bodies() == {
        "text/plain": "Bob <bob@example.org> → <b>Grüße</b> 🎉",
        "text/html": "<p>&lt;b&gt;Grüße&lt;/b&gt; 🎉</p>",
    }
    await stage.world.look(area)
    assert (await stage.runs(area), len(stage.mail.sent)) == ([run], 1)
    secret = stage.mail.passwords["ada@example.com"]
    kept = await stage.world.pool.fetchval("SELECT credentials FROM connected_accounts WHERE id = $1", account)
    assert secret not in kept


async def test_the_folders_of_the_mailbox_are_offered(stage: Stage) -> None:
    account, _ = await stage.watching()
    found = await stage.client.ask(FOLDERS, a=to_global("ConnectedAccount", account))
    offered = [one for one in found["service"]["actions"][0]["fields"] if one]
    names = ("INBOX", "Bücher & Co", "Lists")
    assert offered == [{"key": "mailbox", "options": [{"value": name, "label": name} for name in names]}]


async def test_a_server_that_refuses(stage: Stage) -> None:
    _, area = await stage.watching(to="nobody@example.com")
    run = await stage.told(area)
    step = (await stage.world.steps(run))["tell"]
    assert (await stage.world.status(run), step["error"]["code"]) == ("failed", "SMTP_REFUSED")
    assert "550 5.1.1 no such person here for nobody@example.com" in step["error"]["message"]

    _, area = await stage.watching()
    stage.mail.next(Fault(status=451, body="4.7.1 greylisted"), "SMTP RCPT", times=2)
    run = await stage.told(area)
    assert (await stage.world.steps(run))["tell"]["status"] == "waiting"
    assert stage.mail.sent == []
    await stage.world.due_now(run)
    await stage.world.execute(run)
    assert (await stage.world.status(run), len(stage.mail.sent)) == ("succeeded", 1)


async def test_an_answer_that_was_lost_leaves_the_mail_unknown_and_sent_once(stage: Stage) -> None:
    _, area = await stage.watching()
    stage.mail.next(Fault(lose=True), "SMTP DATA")
    run = await stage.told(area)
    assert (await stage.world.steps(run))["tell"]["status"] == "unknown"
    await stage.world.execute(run)
    assert len(stage.mail.sent) == 1


async def test_a_mail_of_10_mb_is_cut(stage: Stage) -> None:
    _, area = await stage.watching(text="{{ trigger.text | size }}", html=None)
    stage.mail.receive("", raw=b"Subject: large\r\n\r\n" + b"word\r\n" * ((10 << 20) // 6))
    await stage.world.look(area)
    run = await stage.world.run_of(area)
    await stage.world.execute(run)
    assert await stage.world.status(run) == "succeeded"
    assert 0 < int(stage.mail.sent[0].bodies()["text/plain"]) <= 1 << 20


async def test_a_password_that_was_changed_holds_runs_until_it_is_typed_in_again(stage: Stage) -> None:
    account, area = await stage.watching()
    stage.mail.receive("Hallo", "<b>Grüße</b> 🎉")
    await stage.world.look(area)
    stage.mail.passwords["ada@example.com"] = "a new one"
    run = await stage.world.run_of(area)
    await stage.world.execute(run)
    assert await stage.world.status(run) == "held"
    status = "SELECT status FROM connected_accounts WHERE id = $1"
    assert await stage.world.pool.fetchval(status, account) == "needs_reconnect"

    again = await stage.connect()
    assert (again["errors"], again["account"]["status"]) == ([], "ACTIVE")
    assert uuid_of(again["account"]["id"], "ConnectedAccount") == account
    await stage.world.execute(run)
    assert (await stage.world.status(run), len(stage.mail.sent)) == ("succeeded", 1)
