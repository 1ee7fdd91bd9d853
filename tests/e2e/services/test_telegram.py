"""Telegram through the engine: a bot by its token, what is written to it, answers said once, and one webhook for all."""

from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from area.core.errors import InvalidInput
from area.core.settings import Settings
from area.engine.areas import ReactionDraft
from tests.contract.documents import SPECS
from tests.contract.plugin import Contract
from tests.e2e.services.stories import Heard, step
from tests.engine.living import living
from tests.providers.calls import Fault
from tests.providers.telegram import GROUP, OTHER, TOKEN, Telegram

MESSAGE, COMMAND, BUTTON = "telegram.message", "telegram.command", "telegram.button"
SEND, EDIT, ANSWER = "telegram.send_message", "telegram.edit_message", "telegram.answer_button"
BOT = "110201543"


class Story(Heard[Telegram]):
    """One user's AREAs, and Telegram."""

    async def bot(self, token: str = TOKEN) -> UUID:
        """A bot, as its owner connects it."""
        return await self.platform.keys.connect(self.user, "telegram", {"token": token}, None)


@pytest.fixture
async def story(settings: Settings, user: UUID) -> AsyncIterator[Story]:
    there = Telegram()
    async with living(settings, user, there) as world:
        made = Story(world.platform, user, there)
        # What other tests left would share the bot's webhook.
        await made.pool.execute(
            "UPDATE hooks SET status = 'unused', next_due_at = NULL, remote_id = NULL, topic = NULL, lease_until = NULL"
        )
        yield made
    if SPECS.is_dir():  # Telegram wants https of a webhook, which a test on loopback has not
        Contract("telegram", [f"POST /bot{token}/setWebhook" for token in (TOKEN, OTHER)]).audit(there)


def echo(account: UUID) -> ReactionDraft:
    return step(account, SEND, chat_id="{{ trigger.chat_id }}", text="{{ trigger.user }}: {{ trigger.text }}")


async def test_a_message_is_answered_once_and_forgeries_never(story: Story) -> None:
    account = await story.bot()
    area = await story.from_now(account, MESSAGE, echo(account), contains="grüße")
    update = await story.there.write("Viele Grüße 🎉")
    await story.there.send_update(BOT, update)
    forged = {**update, "update_id": 1}
    await story.there.send_update(BOT, forged, secret="guessed", expects=401)
    await story.there.write("nothing for us")
    (run,) = await story.runs(area)
    assert (await story.status(run), story.there.texts()) == ("succeeded", ["Zoë Ö: Viele Grüße 🎉"])
    assert (await story.steps(run))["send_message"]["output"] == {"message_id": 1366, "chat_id": GROUP}


async def test_a_button_is_answered_and_its_message_changed(story: Story) -> None:
    account = await story.bot()
    buttons = [{"text": "Ja", "data": "ja"}]
    asks = step(account, SEND, chat_id="{{ trigger.chat_id }}", text="Tür auf?", buttons=buttons)
    asking = await story.from_now(account, COMMAND, asks, command="tuer")
    pressed = await story.from_now(
        account,
        BUTTON,
        step(account, ANSWER, query_id="{{ trigger.query_id }}", text="Danke"),
        step(account, EDIT, chat_id="{{ trigger.chat_id }}", message_id="{{ trigger.message_id }}", text="Offen ✓"),
    )
    await story.there.write("/tuer@area_bot")
    await story.there.write("/tuer@other_bot")
    assert len(await story.runs(asking)) == 1
    await story.there.press("ja")
    (run,) = await story.runs(pressed)
    assert (await story.status(run), story.there.texts()) == ("succeeded", ["Offen ✓"])
    assert story.there.presses == {"press-0": "Danke"}


async def test_all_actions_of_a_bot_share_its_webhook_and_no_other_bot_hears_them(story: Story) -> None:
    account, other = await story.bot(), await story.bot(OTHER)
    first = await story.from_now(account, MESSAGE, echo(account))
    second = await story.from_now(account, BUTTON, step(account, ANSWER, query_id="{{ trigger.query_id }}"))
    elsewhere = await story.from_now(other, MESSAGE, echo(other))
    assert set(story.there.webhooks) == {BOT, "220201543"}
    await story.there.write("for one")
    assert (len(await story.runs(first)), len(await story.runs(elsewhere))) == (1, 0)
    await story.gone(first)
    assert BOT in story.there.webhooks, "the other action lives by it"
    await story.gone(second)
    assert set(story.there.webhooks) == {"220201543"}


async def test_an_answer_that_was_lost_is_not_said_twice(story: Story) -> None:
    account = await story.bot()
    area = await story.from_now(account, MESSAGE, echo(account))
    story.there.next(Fault(lose=True), "/sendMessage")
    await story.there.write("once")
    (run,) = await story.runs(area)
    await story.due_now(run)
    await story.execute(run)
    assert (await story.status(run), story.there.texts()) == ("held", ["Zoë Ö: once"]), "its owner decides"


async def test_a_token_that_is_no_bots_is_not_kept(story: Story) -> None:
    with pytest.raises(InvalidInput):
        await story.bot("330201543:" + "x" * 35)
    found = await story.pool.fetchval("SELECT count(*) FROM connected_accounts WHERE user_id = $1", story.user)
    assert found == 0
