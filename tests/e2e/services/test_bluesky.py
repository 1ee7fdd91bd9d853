"""Bluesky through the engine: an account by its app password, sessions that end, and posts that are heard and written once."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID

import pytest

from area.core.errors import InvalidInput
from area.core.settings import Settings
from area.engine.areas import ReactionDraft
from tests.contract.documents import SPECS
from tests.contract.plugin import Contract
from tests.contract.test_bluesky import BEYOND
from tests.e2e.services.stories import Watched, step
from tests.engine.living import living
from tests.providers.bluesky import ADA, PASSWORD, Bluesky
from tests.providers.calls import Fault

MENTION, BY_ACCOUNT = "bluesky.mention", "bluesky.post_by_account"
POST, REPOST = "bluesky.post", "bluesky.repost"
PUT = "com.atproto.repo.putRecord"


class Story(Watched[Bluesky]):
    """One user's AREAs, and Bluesky."""

    async def login(self, password: str = PASSWORD) -> UUID:
        """The account, as its owner connects it."""
        typed = {"identifier": "@ada.bsky.test", "password": password}
        return await self.platform.keys.connect(self.user, "bluesky", typed, None)

    def asked_for(self, method: str) -> int:
        """How often a method was called."""
        return sum(call.path.endswith(method) for call in self.there.calls)


@pytest.fixture
async def story(settings: Settings, user: UUID) -> AsyncIterator[Story]:
    there = Bluesky()
    there.now = datetime.now(UTC)
    async with living(settings, user, there) as world:
        yield Story(world.platform, user, there)
    if SPECS.is_dir():
        Contract("bluesky", BEYOND).audit(there)


def answer(account: UUID) -> ReactionDraft:
    return step(account, POST, text="@{{ trigger.handle }} Danke 🎉", reply_to="{{ trigger.uri }}")


async def test_a_mention_is_answered_and_reposted_once(story: Story) -> None:
    account = await story.login()
    area = await story.from_now(account, MENTION, answer(account), step(account, REPOST, post="{{ trigger.url }}"))
    uri = story.there.write("@ada.bsky.test Grüße!")
    (run,) = await story.runs(area)
    assert await story.status(run) == "succeeded", await story.steps(run)
    assert (story.there.texts(), story.there.reposted()) == (["@grace.bsky.test Danke 🎉"], [uri])
    (mine,) = (one for one in story.there.records.values() if one.get("text") == "@grace.bsky.test Danke 🎉")
    assert (mine["reply"]["parent"]["uri"], mine["facets"][0]["index"]) == (uri, {"byteStart": 0, "byteEnd": 16})
    assert await story.runs(area) == [run]
    assert story.asked_for("createSession") == 1


@pytest.mark.parametrize("fault", [Fault(lose=True), Fault(status=503)], ids=["lost answer", "down"])
async def test_what_went_wrong_in_the_middle_is_written_once(story: Story, fault: Fault) -> None:
    account = await story.login()
    where = {"author": "grace.bsky.test"}
    area = await story.from_now(account, BY_ACCOUNT, step(account, POST, text="{{ trigger.text }}"), **where)
    story.there.write("Neu: é")
    story.there.next(fault, PUT)
    (run,) = await story.runs(area)
    assert await story.status(run) == "waiting"
    await story.due_now(run)
    await story.execute(run)
    assert (await story.status(run), story.there.texts()) == ("succeeded", ["Neu: é"])
    assert story.asked_for(PUT) == (1 if fault.lose else 2)
    (uri,) = (uri for uri in story.there.records if ADA in uri)
    assert (await story.steps(run))["post"]["output"]["uri"] == uri


async def test_a_session_that_ends_is_prolonged_or_opened_again(story: Story) -> None:
    account = await story.login()
    area = await story.from_now(account, MENTION, answer(account))
    story.there.sessions.clear()
    story.there.write("@ada.bsky.test eins")
    (first,) = await story.runs(area)
    assert (await story.status(first), story.asked_for("refreshSession")) == ("succeeded", 1)
    story.there.sessions.clear()
    story.there.refreshes.clear()
    await story.pool.execute("UPDATE connected_accounts SET issued_at = issued_at - interval '1 hour'")
    story.platform.accounts.vault.forget(account)
    story.there.write("@ada.bsky.test zwei")
    (_, second) = await story.runs(area)
    assert await story.status(second) == "succeeded"
    assert (story.asked_for("refreshSession"), story.asked_for("createSession")) == (2, 2)
    assert story.there.texts() == ["@grace.bsky.test Danke 🎉"] * 2


async def test_a_password_that_is_revoked_stops_its_areas_and_loses_nothing(story: Story) -> None:
    account = await story.login()
    area = await story.from_now(account, MENTION, answer(account))
    story.there.write("@ada.bsky.test eins")
    await story.look(area)
    run = await story.run_of(area)
    story.there.password = "else-else-else-else"
    story.there.sessions.clear()
    story.there.refreshes.clear()
    await story.execute(run)
    assert await story.status(run) == "held"
    found = await story.pool.fetchrow("SELECT status, last_error FROM connected_accounts WHERE id = $1", account)
    assert found["status"] == "needs_reconnect"
    assert "app password" in found["last_error"]
    assert await story.login("else-else-else-else") == account, "the same account again"
    await story.execute(run)
    assert (await story.status(run), story.there.texts()) == ("succeeded", ["@grace.bsky.test Danke 🎉"])


async def test_a_password_that_is_wrong_is_not_kept(story: Story) -> None:
    with pytest.raises(InvalidInput, match="does not know this handle") as caught:
        await story.login("wron-gwro-ngwr-ongw")
    assert "wron-" not in str(caught.value)
    kept = "SELECT count(*) FROM connected_accounts WHERE user_id = $1"
    assert await story.pool.fetchval(kept, story.user) == 0
