"""Notion through the engine: a consent or a key, pages that start runs, and pages that runs write, once."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from area.core.errors import InvalidInput
from area.core.settings import Settings
from area.db.models import Area
from area.engine.areas import ReactionDraft
from tests.contract.documents import SPECS
from tests.contract.notion import audited
from tests.contract.plugin import Contract
from tests.e2e.services.stories import Watched
from tests.engine.living import living
from tests.providers.calls import Fault
from tests.providers.notion import ADA, HOME, KEY, SOURCE, Notion

ADDED, UPDATED = "notion.page_added", "notion.page_updated"
CREATE, APPEND, SET = "notion.create_page", "notion.append_blocks", "notion.update_property"
OVER = timedelta(minutes=2)
"""How long ago something happens whose minute is over."""


class Story(Watched[Notion]):
    """One user's AREAs, and a workspace."""

    async def watching(self, account: UUID, action: str, *reactions: ReactionDraft) -> Area:
        """An AREA that watches the database from now on."""
        return await self.from_now(account, action, *reactions, database=SOURCE)


@pytest.fixture(params=[False, True], ids=["no refresh token", "refresh tokens rotate"])
async def story(settings: Settings, user: UUID, request: pytest.FixtureRequest) -> AsyncIterator[Story]:
    there = Notion(refreshes=request.param)
    async with living(settings, user, there) as world:
        yield Story(world.platform, user, there)
    if SPECS.is_dir():
        audited(Contract("notion"), there)


once = pytest.mark.parametrize("story", [False], indirect=True, ids=[""])
"""Where it is all the same how tokens are refreshed."""


def step(account: UUID, reaction: str, key: str = "it", **config: Any) -> ReactionDraft:
    return ReactionDraft(reaction, config, key=key, account_id=account)


def noted(account: UUID) -> ReactionDraft:
    return step(account, APPEND, page=HOME, text="- {{ trigger.title }}\n\nby @{{ trigger.created_by }}")


@once
async def test_a_page_is_logged_copied_and_marked_once(story: Story) -> None:
    account = await story.connect("notion", ADDED, CREATE)
    (asked,) = story.there.asked("POST", "/v1/oauth/token")
    assert (sorted(asked.json), asked.headers["notion-version"]) == (
        ["code", "grant_type", "redirect_uri"],
        "2025-09-03",
    )
    assert asked.headers["authorization"].startswith("Basic ")
    mark = step(account, SET, "mark", page="{{ trigger.id }}", property="Status", value="Done")
    copy = step(
        account, CREATE, "copy", parent=HOME, title="{{ trigger.title }}", text="{{ trigger.properties.Status }}"
    )
    area = await story.watching(account, ADDED, noted(account), copy, mark)
    page = story.there.add("Zoë 🎉", ago=OVER, Status={"name": "To do"})
    (run,) = await story.runs(area)
    assert await story.status(run) == "succeeded", await story.steps(run)
    copied = (await story.steps(run))["copy"]["output"]
    assert story.there.blocks[HOME][0]["bulleted_list_item"]["rich_text"][0]["text"]["content"] == "Zoë 🎉"
    assert (copied["title"], story.there.text(copied["id"])) == ("Zoë 🎉", [("paragraph", "To do")])
    assert story.there.pages[page]["properties"]["Status"]["status"] == {"name": "Done"}
    assert await story.runs(area) == [run], "a page is new once"
    await story.platform.accounts.disconnect(story.user, account)
    (revoked,) = story.there.asked("POST", "/v1/oauth/revoke")
    assert (list(revoked.json), story.there.auth.grants[0].withdrawn) == (["token"], True)


@once
async def test_a_change_starts_one_run_and_what_the_run_changes_none(story: Story) -> None:
    account = await story.connect("notion", UPDATED, SET)
    page = story.there.add("Task", ago=timedelta(days=1))
    count = step(account, SET, page="{{ trigger.id }}", property="Count", value="{{ trigger.title | size }}")
    area = await story.watching(account, UPDATED, count)
    story.there.edit(page, ago=OVER, Status={"name": "Done"})
    (run,) = await story.runs(area)
    assert (await story.status(run), story.there.pages[page]["properties"]["Count"]["number"]) == ("succeeded", 4)
    story.there.edit(page, by=ADA, ago=timedelta(minutes=1, seconds=30))
    assert await story.runs(area) == [run]


async def test_a_token_that_ends_is_refreshed_where_that_can_be_and_else_the_run_waits_for_its_owner(
    story: Story,
) -> None:
    account = await story.connect("notion", ADDED, APPEND)
    area = await story.watching(account, ADDED, noted(account))
    story.there.add("Ada", ago=OVER)
    await story.look(area)
    story.there.auth.expire()
    rows = await story.pool.fetch("SELECT id FROM runs WHERE area_id = $1", area.id)
    (run,) = [row["id"] for row in rows]
    await story.execute(run)
    found = await story.status(run), (await story.row(account))["status"], len(story.there.blocks[HOME])
    if not story.there.auth.dialect.refreshes:
        assert found == ("held", "needs_reconnect", 0)
        return
    assert found == ("succeeded", "active", 2)
    (_, refresh) = story.there.asked("POST", "/v1/oauth/token")
    assert (refresh.json["grant_type"], story.there.auth.refreshes, story.there.auth.reuses) == ("refresh_token", 1, 0)


@once
@pytest.mark.parametrize(
    ("reaction", "call"), [(APPEND, f"PATCH /v1/blocks/{HOME}/children"), (CREATE, "POST /v1/pages")]
)
async def test_what_was_written_though_the_answer_was_lost_is_found(story: Story, reaction: str, call: str) -> None:
    account = await story.connect("notion", ADDED, reaction)
    create = step(account, CREATE, parent=SOURCE, title="Copy of {{ trigger.title }}", properties={"Count": "3"})
    area = await story.watching(account, ADDED, noted(account) if reaction == APPEND else create)
    story.there.add("Once", ago=OVER)
    story.there.next(Fault(lose=True), call)
    (run,) = await story.runs(area)
    assert await story.status(run) == "succeeded", await story.steps(run)
    assert (len(story.there.blocks[HOME]), len(story.there.titled("Copy of Once"))) == (
        (2, 0) if reaction == APPEND else (0, 1)
    )


@once
async def test_a_failure_that_may_have_written_is_left_to_a_person_and_a_wait_is_kept(story: Story) -> None:
    account = await story.connect("notion", ADDED, APPEND)
    area = await story.watching(account, ADDED, noted(account))
    story.there.add("First", ago=OVER)
    timeout = {"object": "error", "status": 504, "code": "gateway_timeout", "message": "Notion timed out"}
    story.there.next(Fault(status=504, body=timeout), "PATCH /v1/blocks")
    (first,) = await story.runs(area)
    assert (await story.status(first), (await story.steps(first))["it"]["status"]) == ("held", "unknown")
    story.there.add("Second", ago=OVER)
    limit = {"object": "error", "status": 529, "code": "service_overload"}
    story.there.next(Fault(status=529, body=limit, headers={"Retry-After": "5"}), "PATCH /v1/blocks")
    (_, second) = await story.runs(area)
    found = (await story.steps(second))["it"]
    assert (found["status"], found["error"]["code"], story.there.blocks[HOME]) == ("waiting", "THROTTLED", [])
    await story.platform.redis.flushall()  # what the governor remembers of the wait
    await story.due_now(second)
    await story.execute(second)
    assert (await story.status(second), len(story.there.blocks[HOME])) == ("succeeded", 2)


@once
async def test_a_page_that_is_gone_says_so(story: Story) -> None:
    account = await story.connect("notion", ADDED, APPEND)
    area = await story.watching(account, ADDED, noted(account))
    story.there.unshared.add(HOME)
    story.there.add("x", ago=OVER)
    (run,) = await story.runs(area)
    error = (await story.steps(run))["it"]["error"]
    assert (await story.status(run), error["code"]) == ("failed", "NOT_FOUND")
    assert "open it in Notion and add it there" in error["message"]


@once
async def test_the_key_of_an_integration_connects_too_and_a_wrong_one_does_not(story: Story) -> None:
    with pytest.raises(InvalidInput):
        await story.platform.keys.connect(story.user, "notion", {"secret": "ntn_wrong_one"}, None)
    account = await story.platform.keys.connect(story.user, "notion", {"secret": KEY}, None)
    area = await story.watching(account, ADDED, noted(account))
    story.there.add("By key", ago=OVER)
    (run,) = await story.runs(area)
    assert (await story.status(run), len(story.there.blocks[HOME])) == ("succeeded", 2)
