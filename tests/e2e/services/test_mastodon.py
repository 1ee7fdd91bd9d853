"""Mastodon through the engine: an account at an instance by its token, posts that start runs, and posts that runs write, once."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from area.core.errors import InvalidInput
from area.core.settings import Settings
from area.engine.areas import ReactionDraft
from tests.contract.documents import SPECS
from tests.contract.plugin import Contract
from tests.contract.test_mastodon import beyond
from tests.e2e.services.stories import Watched, step
from tests.engine.living import living
from tests.providers.calls import Fault
from tests.providers.mastodon import READ_ONLY, TOKEN, Mastodon

MENTION, BY_ACCOUNT = "mastodon.mention", "mastodon.post_by_account"
POST, BOOST = "mastodon.post", "mastodon.boost"
STATUSES = "POST /api/v1/statuses"


class Story(Watched[Mastodon]):
    """One user's AREAs, and an instance."""

    async def login(self, token: str = TOKEN) -> UUID:
        """The account, as its owner connects it."""
        typed = {"instance": self.there.url, "token": token}
        return await self.platform.keys.connect(self.user, "mastodon", typed, None)


@pytest.fixture
async def story(settings: Settings, user: UUID) -> AsyncIterator[Story]:
    there = Mastodon()
    async with living(settings, user, there) as world:
        yield Story(world.platform, user, there)
    if SPECS.is_dir():
        Contract("mastodon", beyond(there)).audit(there)


def answer(account: UUID) -> ReactionDraft:
    return step(account, POST, text="@{{ trigger.acct }} Danke 🎉", reply_to="{{ trigger.id }}", visibility="unlisted")


async def test_a_mention_is_answered_and_boosted_once(story: Story) -> None:
    account = await story.login()
    area = await story.from_now(account, MENTION, answer(account), step(account, BOOST, post_id="{{ trigger.id }}"))
    asked = story.there.write("@ada Grüße!\n\nBis dann")
    (run,) = await story.runs(area)
    assert await story.status(run) == "succeeded", await story.steps(run)
    mine = [row for row in story.there.posts.values() if row["account"]["id"] == "1001"]
    assert [(row["in_reply_to_id"], row["visibility"]) for row in mine if row["reblog"] is None] == [
        (asked["id"], "unlisted")
    ]
    assert [row["reblog"]["id"] for row in mine if row["reblog"]] == [asked["id"]]
    assert story.there.texts() == ["@grace Danke 🎉"]
    assert await story.runs(area) == [run]


@pytest.mark.parametrize("fault", [Fault(lose=True), Fault(status=503)], ids=["lost answer", "down"])
async def test_what_went_wrong_in_the_middle_is_written_once(story: Story, fault: Fault) -> None:
    account = await story.login()
    area = await story.from_now(account, BY_ACCOUNT, step(account, POST, text="{{ trigger.text }}"), author="grace")
    story.there.write("Neu: é")
    story.there.next(fault, STATUSES)
    (run,) = await story.runs(area)
    assert await story.status(run) == "waiting"
    await story.due_now(run)
    await story.execute(run)
    assert (await story.status(run), story.there.texts()) == ("succeeded", ["Neu: é"])
    assert len({call.headers["idempotency-key"] for call in story.there.asked(*STATUSES.split())}) == 1


async def test_a_post_whose_key_is_forgotten_is_found_again(story: Story) -> None:
    account = await story.login()
    area = await story.from_now(account, BY_ACCOUNT, step(account, POST, text="{{ trigger.text }}"), author="grace")
    story.there.now = datetime.now(UTC)
    story.there.write("einmal")
    story.there.next(Fault(lose=True), STATUSES)
    (run,) = await story.runs(area)
    story.there.keys.clear()
    await story.pool.execute(
        "UPDATE run_steps SET started_at = started_at - $2::interval WHERE run_id = $1", run, timedelta(hours=2)
    )
    await story.due_now(run)
    await story.execute(run)
    assert (await story.status(run), story.there.texts()) == ("succeeded", ["einmal"])


async def test_a_token_that_is_revoked_stops_its_areas_and_loses_nothing(story: Story) -> None:
    account = await story.login()
    area = await story.from_now(account, MENTION, answer(account))
    story.there.write("@ada eins")
    await story.look(area)
    run = await story.run_of(area)
    gone = story.there.tokens.pop(TOKEN)
    await story.execute(run)
    assert await story.status(run) == "held"
    found = await story.pool.fetchval("SELECT status FROM connected_accounts WHERE id = $1", account)
    assert found == "needs_reconnect"
    story.there.tokens[TOKEN] = gone
    assert await story.login() == account, "the same account again"
    await story.execute(run)
    assert (await story.status(run), story.there.texts()) == ("succeeded", ["@grace Danke 🎉"])


async def test_a_token_that_may_only_read_fails_with_what_to_do(story: Story) -> None:
    account = await story.login(READ_ONLY)
    area = await story.from_now(account, MENTION, answer(account))
    story.there.write("@ada eins")
    (run,) = await story.runs(area)
    assert await story.status(run) == "failed"
    assert "write:statuses" in str((await story.steps(run))["post"]["error"])


async def test_a_token_that_is_nobodys_is_not_kept(story: Story) -> None:
    with pytest.raises(InvalidInput, match="The access token is invalid") as caught:
        await story.login("gone-token-gone")
    assert "gone-token-gone" not in str(caught.value)
    kept = "SELECT count(*) FROM connected_accounts WHERE user_id = $1"
    assert await story.pool.fetchval(kept, story.user) == 0
