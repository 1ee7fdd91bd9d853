"""Google Sheets through the engine: an account by real consent, rows that start runs, and rows that runs write, once."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from area.core.settings import Settings
from area.db.models import Area
from area.engine.areas import ReactionDraft
from tests.contract.documents import SPECS
from tests.contract.plugin import Contract
from tests.e2e.services.stories import Watched
from tests.engine.living import living
from tests.providers.calls import Fault
from tests.providers.google_sheets import BOOK, ODD, ORDERS, GoogleSheets

ADDED, APPEND = "google_sheets.row_added", "google_sheets.append_row"
UPDATE, LOOK_UP = "google_sheets.update_row", "google_sheets.look_up_row"


class Story(Watched[GoogleSheets]):
    """One user's AREAs, and a spreadsheet."""

    async def watching(self, account: UUID, *reactions: ReactionDraft) -> Area:
        """An AREA that watches the orders from now on."""
        return await self.from_now(account, ADDED, *reactions, spreadsheet=BOOK, sheet=ORDERS)


@pytest.fixture
async def story(settings: Settings, user: UUID) -> AsyncIterator[Story]:
    there = GoogleSheets()
    async with living(settings, user, there) as world:
        yield Story(world.platform, user, there)
    if SPECS.is_dir():
        Contract("sheets").audit(there)


def step(account: UUID, reaction: str, key: str = "it", sheet: str = ODD, **config: Any) -> ReactionDraft:
    given = {"spreadsheet": BOOK, "sheet": sheet, **config}
    return ReactionDraft(reaction, given, key=key, account_id=account)


def copied(account: UUID) -> ReactionDraft:
    return step(account, APPEND, values={"Name": "{{ trigger.values.Name }}", "B": "{{ trigger.row }}"})


async def test_a_row_is_copied_found_and_marked_once(story: Story) -> None:
    account = await story.connect("google_sheets", ADDED, APPEND)
    area = await story.watching(
        account,
        copied(account),
        step(account, LOOK_UP, key="found", sheet=ORDERS, column="Name", value="{{ trigger.values.Name }}"),
        step(
            account,
            UPDATE,
            key="mark",
            sheet=ORDERS,
            row="{{ steps.found.row }}",
            values={"Größe": "✓ {{ steps.it.row }}"},
        ),
    )
    story.there.sheets[ORDERS].append(["Zoë 🎉", "=SUM(A1)"])
    (run,) = await story.runs(area)
    assert await story.status(run) == "succeeded", await story.steps(run)
    assert story.there.sheets == {
        ORDERS: [["Name", "City", "Größe"], ["Zoë 🎉", "=SUM(A1)", "✓ 2"]],
        ODD: [["Name"], ["Zoë 🎉", "2"]],
    }
    assert await story.runs(area) == [run], "a row that is edited is not new"


async def test_a_dead_token_and_a_limit_are_got_over(story: Story) -> None:
    account = await story.connect("google_sheets", ADDED, APPEND)
    area = await story.watching(account, copied(account))
    story.there.auth.expire()
    story.there.sheets[ORDERS].append(["Ada"])
    limit = {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "Quota exceeded for quota metric"}}
    story.there.next(Fault(status=429, body=limit), "POST /v4/spreadsheets")
    (run,) = await story.runs(area)
    found = (await story.steps(run))["it"]
    assert (found["status"], found["error"]["code"]) == ("waiting", "THROTTLED")
    await story.platform.redis.flushall()  # what the governor remembers of the wait
    await story.due_now(run)
    await story.execute(run)
    assert (await story.status(run), story.there.sheets[ODD]) == ("succeeded", [["Name"], ["Ada", "2"]])
    assert story.there.auth.refreshes == 1


@pytest.mark.parametrize(
    "fault",
    [
        Fault(lose=True),
        Fault(body="<h1>Hello</h1>", headers={"content-type": "text/html"}),
        Fault(body={"updates": {}}),
    ],
    ids=["answer lost", "html", "no range"],
)
async def test_an_appending_whose_outcome_is_unknown_is_left_to_a_person(story: Story, fault: Fault) -> None:
    account = await story.connect("google_sheets", ADDED, APPEND)
    area = await story.watching(account, copied(account))
    story.there.sheets[ORDERS].append(["Once"])
    story.there.next(fault, "POST /v4/spreadsheets")
    (run,) = await story.runs(area)
    assert (await story.status(run), (await story.steps(run))["it"]["status"]) == ("held", "unknown")
    assert story.there.sheets[ODD][1:] == ([["Once", "2"]] if fault.lose else []), "it is not written a second time"


async def test_an_updating_that_fails_is_tried_again(story: Story) -> None:
    account = await story.connect("google_sheets", ADDED, UPDATE)
    mark = step(account, UPDATE, sheet=ORDERS, row="{{ trigger.row }}", values={"City": "Paris"})
    area = await story.watching(account, mark)
    story.there.sheets[ORDERS].append(["Ada"])
    story.there.next(Fault(lose=True), "PUT /v4/spreadsheets")
    (run,) = await story.runs(area)
    assert await story.status(run) == "waiting"
    await story.due_now(run)
    await story.execute(run)
    assert (await story.status(run), story.there.sheets[ORDERS][1]) == ("succeeded", ["Ada", "Paris"])
