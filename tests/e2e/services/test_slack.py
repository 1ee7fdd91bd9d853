"""Slack through the engine: workspaces connected by consent, their events heard once and apart, and answers said once."""

from collections.abc import AsyncIterator
from uuid import UUID

import httpx
import pytest

from area.core.settings import Settings
from area.db.models import Area
from area.engine.areas import ReactionDraft
from tests.contract.documents import SPECS
from tests.contract.plugin import Contract
from tests.contract.test_slack import BEYOND
from tests.e2e.services.stories import Heard, step
from tests.engine.living import living
from tests.providers.calls import Fault
from tests.providers.signing import slack as signed
from tests.providers.slack import BOT, GENERAL, HOME, OTHER, SIGNING_SECRET, Slack

MENTION, MESSAGE = "slack.mention", "slack.message"
POST, REPLY, EMOJI = "slack.post_message", "slack.reply", "slack.add_emoji"


class Story(Heard[Slack]):
    """One user's AREAs, and Slack."""

    async def hearing(self, account: UUID, action: str, *reactions: ReactionDraft) -> Area:
        """An AREA that hears the workspace from now on."""
        return await self.from_now(account, action, *reactions, channel=GENERAL)


@pytest.fixture
async def story(settings: Settings, user: UUID) -> AsyncIterator[Story]:
    there = Slack()
    async with living(settings, user, there) as world:
        yield Story(world.platform, user, there)
    if SPECS.is_dir():
        Contract("slack", BEYOND).audit(there)


def echo(account: UUID) -> ReactionDraft:
    return step(account, POST, channel="{{ trigger.channel }}", text="Heard: {{ trigger.text }}")


async def test_a_mention_is_answered_once_and_forgeries_never(story: Story) -> None:
    account = await story.connect("slack", MENTION, REPLY, EMOJI)
    at = {"channel": "{{ trigger.channel }}"}
    area = await story.hearing(
        account,
        MENTION,
        step(account, EMOJI, ts="{{ trigger.ts }}", emoji="eyes", **at),
        step(account, REPLY, thread_ts="{{ trigger.thread_ts }}", text="Ja 🎉 {{ trigger.text }}", **at),
    )
    said = story.there.says(f"<@{BOT}> cats &amp; dogs?", "app_mention")
    await story.there.send(said, secret="guessed", expects=401)
    await story.there.send(said, key="Ev0PV52K25")
    await story.there.send(said, key="Ev0PV52K25")
    (run,) = await story.runs(area)
    assert await story.status(run) == "succeeded"
    assert story.there.reactions == {(GENERAL, said["ts"], "eyes")}
    (answer,) = story.there.messages
    assert (answer["text"], answer["thread_ts"]) == (f"Ja 🎉 &lt;@{BOT}&gt; cats &amp; dogs?", said["ts"])


async def test_workspaces_share_the_address_and_hear_their_own(story: Story) -> None:
    here = await story.connect("slack", MESSAGE, POST)
    there = await story.connect("slack", MESSAGE, POST, who="corp")
    first = await story.hearing(here, MESSAGE, echo(here))
    second = await story.hearing(there, MESSAGE, echo(there))
    await story.there.send(story.there.says("hej"), OTHER)
    assert (len(await story.runs(first)), len(await story.runs(second))) == (0, 1)


async def test_an_answer_that_was_lost_is_not_said_twice(story: Story) -> None:
    account = await story.connect("slack", MESSAGE, POST)
    area = await story.hearing(account, MESSAGE, echo(account))
    story.there.next(Fault(lose=True), "/chat.postMessage")
    await story.there.send(story.there.says("once"))
    (run,) = await story.runs(area)
    await story.due_now(run)
    await story.execute(run)
    assert (await story.status(run), story.there.texts()) == ("succeeded", ["Heard: once"])


async def test_the_address_is_verified_and_a_removed_app_wants_to_be_connected_again(story: Story) -> None:
    account = await story.connect("slack", MESSAGE, POST)
    probe = {"type": "url_verification", "challenge": "3eZbrw1a"}
    answer: httpx.Response = await story.there.deliver(story.there.request_url, probe, sign=signed(SIGNING_SECRET))
    assert answer.json() == {"challenge": "3eZbrw1a"}
    late = signed(SIGNING_SECRET, at=1531420618)
    await story.there.deliver(story.there.request_url, probe, sign=late, expects=401)
    await story.there.send({"type": "app_uninstalled"}, HOME)
    status = await story.pool.fetchval("SELECT status FROM connected_accounts WHERE id = $1", account)
    assert status == "needs_reconnect"
