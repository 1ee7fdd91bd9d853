"""Notion: minutes that are told once, whole and never lost; values by their types; texts within limits; what refusals mean."""

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from area.core.http import MAX_RESPONSE
from area.nodes import notion, sdk
from area.nodes.notion import provider, reactions, watching
from area.nodes.notion.blocks import blocks_of
from area.nodes.notion.provider import Gone, id_of, page_id_of
from area.nodes.notion.values import read, written
from tests.nodes.conftest import NOON, FakeContext
from tests.nodes.notion_wire import look, wired
from tests.providers.notion import ADA, DATABASE, HOME, PERSON, SCHEMA, SOURCE, TWO, Notion, rich

WHERE = watching.Where(database=SOURCE)
CHANGES = watching.Changes(database=SOURCE)
SECONDS = timedelta(seconds=1)


@pytest.fixture
def there() -> Notion:
    made = Notion()
    made.moment = NOON
    return made


@pytest.fixture
def ctx(there: Notion) -> FakeContext:
    return wired(there, tried_since=NOON)


class Watch:
    """Looks as the engine does: what the first one shows, and what was shown before, fires nothing."""

    def __init__(self, ctx: FakeContext, there: Notion, node: sdk.Action, where: sdk.Inputs) -> None:
        self.ctx, self.there, self.node, self.where = ctx, there, node, where
        self.seen = set[str]()

    async def at(self, seconds: float) -> list[Any]:
        """What fires at a look so many seconds after noon."""
        self.there.moment = NOON + seconds * SECONDS
        first = self.ctx.cursor is None
        assert self.node.identity
        found = [(getattr(one, self.node.identity), one) for one in await look(self.ctx, self.node, self.where)]
        fresh = [one for key, one in dict(found).items() if key not in self.seen]
        self.seen |= dict(found).keys()
        return [] if first else fresh


@pytest.fixture
def added(ctx: FakeContext, there: Notion) -> Watch:
    return Watch(ctx, there, watching.page_added, WHERE)


@pytest.fixture
def updated(ctx: FakeContext, there: Notion) -> Watch:
    return Watch(ctx, there, watching.page_updated, CHANGES)


# Pages that are added


async def test_a_page_is_told_once_when_its_minute_is_over_with_all_it_has(there: Notion, added: Watch) -> None:
    there.add("Old", ago=timedelta(minutes=5))
    there.add("Young")
    assert await added.at(5) == []
    page = there.add("")
    assert await added.at(50) == []
    there.edit(page, Name=rich("Zoë 🎉"), Status={"name": "Done"}, Tags=[{"name": "a"}, {"name": "b"}], Count=1.5)
    (found,) = await added.at(71)
    assert found.model_dump() == {
        "id": page,
        "url": f"https://www.notion.so/{page.replace('-', '')}",
        "title": "Zoë 🎉",
        "properties": {
            **dict.fromkeys(SCHEMA, ""),
            "Name": "Zoë 🎉",
            "Status": "Done",
            "Tags": "a, b",
            "Count": "1.5",
            "Done": "false",
            "Total": "12",
        },
        "database": SOURCE,
        "created_at": NOON,
        "edited_at": NOON,
        "created_by": PERSON,
        "edited_by": PERSON,
    }
    assert [await added.at(at) for at in (72, 130, 1000)] == [[], [], []]
    assert added.ctx.cursor == {"source": SOURCE, "since": "2026-03-01T12:06:00.000Z", "next": None}


async def test_pages_of_one_minute_and_one_shown_late_are_all_told(there: Notion, added: Watch) -> None:
    await added.at(0)
    there.add("first")
    assert [page.title for page in await added.at(75)] == ["first"]
    there.add("shown late", ago=timedelta(seconds=75))
    there.add("second")
    assert [page.title for page in await added.at(80)] == ["shown late"]
    assert [page.title for page in await added.at(135)] == ["second"]


async def test_a_flood_within_one_minute_is_told_in_parts_and_whole(there: Notion, added: Watch) -> None:
    await added.at(0)
    for number in range(650):
        there.add(f"{number}")
    parts = [[int(page.title) for page in await added.at(at)] for at in (70, 130, 190)]
    assert parts == [list(range(500)), list(range(500, 650)), []]


async def test_pages_that_hold_much_fit_in_the_answers_that_are_read(
    there: Notion, ctx: FakeContext, added: Watch
) -> None:
    await added.at(0)
    for number in range(110):
        there.add(f"{number}", **{"Größe 📏": [*rich("é" * 2000)] * 4})
    sizes = []

    async def measured(response: httpx.Response) -> None:
        sizes.append(len(await response.aread()))

    ctx.http.event_hooks["response"].append(measured)
    assert len(await added.at(70)) == 110
    assert len(await provider.page_choices(ctx, {})) == 100
    made = reactions.NewPage(parent=SOURCE, title="x")
    for page in there.pages.values():
        page["created_by"] = {"object": "user", "id": ADA}
    assert reactions.create_page.reconciler
    ctx.tried_since = there.moment
    assert await reactions.create_page.reconciler(ctx, made) is None
    assert max(sizes) < MAX_RESPONSE


async def test_what_was_missed_for_long_is_caught_up_by_time(there: Notion, added: Watch) -> None:
    await added.at(0)
    for number in range(700):
        there.moment = NOON + timedelta(minutes=number // 50)
        there.add(f"{number}")
    first = await added.at(3600)
    assert (len(first), added.ctx.cursor["since"], added.ctx.cursor["next"]) == (500, "2026-03-01T12:09:00.000Z", None)
    assert [page.title for page in await added.at(3660)] == [f"{number}" for number in range(500, 700)]


async def test_a_flood_from_before_is_no_news(there: Notion, added: Watch) -> None:
    for number in range(600):
        there.add(f"{number}", ago=timedelta(minutes=2))
    assert [await added.at(at) for at in (0, 60, 120)] == [[], [], []]
    there.add("new")
    assert [page.title for page in await added.at(200)] == ["new"]


async def test_a_look_that_notion_forgot_begins_anew(there: Notion, added: Watch) -> None:
    await added.at(0)
    for number in range(501):
        there.add(f"{number}")
    assert len(await added.at(70)) == 500
    there.forgotten = 1
    assert [[page.title for page in await added.at(at)] for at in (130, 190)] == [[], ["500"]]
    assert "forgotten" in added.ctx.lines[0][1]


async def test_notions_clock_counts_and_not_ours(there: Notion, added: Watch) -> None:
    added.ctx.moment = NOON + timedelta(hours=1)
    await added.at(0)
    there.add("in time")
    assert await added.at(30) == []
    assert [page.title for page in await added.at(70)] == ["in time"]
    there.moment = NOON + timedelta(days=2)
    there.add("after a long while")
    assert [page.title for page in await added.at(86_400 * 2 + 80)] == ["after a long while"]


async def test_a_database_stands_for_its_only_source(there: Notion, ctx: FakeContext) -> None:
    where = watching.Where(database=f"https://www.notion.so/cats/{DATABASE.replace('-', '')}?v={HOME}")
    await look(ctx, watching.page_added, where)
    assert ctx.cursor["source"] == SOURCE
    with pytest.raises(sdk.Rejected, match="has several data sources") as caught:
        await look(wired(there), watching.page_added, watching.Where(database=TWO))
    assert (caught.value.code, caught.value.field, caught.value.suggestion) == ("SEVERAL_SOURCES", "database", SOURCE)
    with pytest.raises(sdk.Rejected, match="is a page, not a database"):
        await look(wired(there), watching.page_added, watching.Where(database=HOME))
    there.unshared.add(SOURCE)
    with pytest.raises(Gone, match="not shared with the connection: open it in Notion and add it there"):
        await look(ctx, watching.page_added, where)


# Pages that are updated


async def test_a_second_edit_in_a_minute_that_was_looked_at_is_not_lost(there: Notion, updated: Watch) -> None:
    page = there.add("Task", ago=timedelta(days=1))
    await updated.at(-30)
    assert await updated.at(5) == []
    there.edit(page, Status={"name": "To do"})
    assert await updated.at(20) == [], "its minute goes on"
    there.moment = NOON + 40 * SECONDS
    there.edit(page, Status={"name": "Done"})
    (found,) = await updated.at(70)
    assert (found.key, found.properties["Status"]) == (f"{page}@2026-03-01T12:00:00+00:00", "Done")
    there.edit(page, Status={"name": "To do"})
    assert await updated.at(119) == []
    (again,) = await updated.at(130)
    assert (again.key, again.properties["Status"]) == (f"{page}@2026-03-01T12:01:00+00:00", "To do")
    assert await updated.at(600) == []


async def test_a_page_that_never_rests_is_told_all_the_same(there: Notion, updated: Watch) -> None:
    page = there.add("Counter", ago=timedelta(days=1))
    await updated.at(0)
    found = []
    for number in range(1, 10):
        there.moment = NOON + (number * 60 + 5) * SECONDS
        there.edit(page, Count=number)
        found += [one.key[-14:-9] for one in await updated.at(number * 60 + 30)]
    assert found == [f"12:0{minute}" for minute in range(1, 9)]
    found = [one.properties["Count"] for one in await updated.at(611)]
    assert (found, updated.ctx.cursor["open"]) == (["9"], {})


@pytest.mark.parametrize(("seconds", "told"), [(20, 0), (65, 1)])
async def test_an_own_change_hides_somebodys_in_its_own_minute_alone(
    there: Notion, updated: Watch, seconds: int, told: int
) -> None:
    page = there.add("Task", ago=timedelta(days=1))
    await updated.at(-90)
    there.moment = NOON
    there.edit(page)
    assert await updated.at(10) == []
    there.moment = NOON + seconds * SECONDS
    there.edit(page, by=ADA)
    looks = [await updated.at(at) for at in (68, 130, 200)]
    assert sum(map(len, looks)) == told


async def test_to_be_made_is_no_change_and_neither_is_what_was_changed_before(there: Notion, updated: Watch) -> None:
    old = there.add("Old", ago=timedelta(days=1))
    there.edit(old, ago=timedelta(minutes=3))
    await updated.at(0)
    new = there.add("New")
    there.edit(new)
    assert await updated.at(70) == []
    there.edit(new)
    assert [page.id for page in await updated.at(130)] == [new]


@pytest.mark.parametrize(("own_too", "told"), [(False, ["theirs"]), (True, ["own", "theirs"])])
async def test_own_changes_make_no_circle(there: Notion, ctx: FakeContext, own_too: bool, told: list[str]) -> None:
    watch = Watch(ctx, there, watching.page_updated, watching.Changes(database=SOURCE, own_too=own_too))
    own, theirs = (there.add(title, ago=timedelta(days=1)) for title in ("own", "theirs"))
    await watch.at(0)
    await reactions.update_property.fn(ctx, reactions.Setting(page=own, property="Done", value="true"))
    there.edit(theirs)
    assert [page.title for page in await watch.at(70)] == told


async def test_a_time_that_is_none_is_told(there: Notion, ctx: FakeContext) -> None:
    there.pages[there.add("x")]["created_time"] = "2026-03-01Tsoon"
    with pytest.raises(sdk.Unavailable, match="'2026-03-01Tsoon' for a page's created_time"):
        await look(ctx, watching.page_added, WHERE)


# Ids and values


@pytest.mark.parametrize(
    "given",
    [
        HOME,
        HOME.upper(),
        HOME.replace("-", ""),
        f"https://www.notion.so/cats/Zo-{HOME.replace('-', '')}?pvs=4#f00",
        f"https://cats.notion.site/{HOME}/",
    ],
)
def test_ids_are_found_in_addresses(given: str) -> None:
    assert id_of(given) == page_id_of(given) == HOME


def test_a_page_beside_its_database_is_meant_where_a_page_is() -> None:
    address = f"https://www.notion.so/cats/{DATABASE.replace('-', '')}?v=1&p={HOME.replace('-', '')}&pm=s"
    assert (id_of(address), page_id_of(address)) == (DATABASE, HOME)


@pytest.mark.parametrize("given", ["", "Home", f"../{HOME}", f"x{HOME}", f"{HOME}/../users", "https://www.notion.so/"])
def test_what_is_no_id_never_gets_into_an_address(given: str) -> None:
    with pytest.raises(ValidationError, match="'Copy link' gives"):
        reactions.MoreText(page=given, text="x")


PERSONS = [{"object": "user", "id": "u1", "name": "Zoë"}, {"object": "user", "id": "u2"}]


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("title", rich("Zoë 🎉"), "Zoë 🎉"),
        ("number", 12, "12"),
        ("number", None, ""),
        ("checkbox", True, "true"),
        ("select", {"id": "1", "name": "Großes"}, "Großes"),
        ("date", {"start": "2026-03-01", "end": None}, "2026-03-01"),
        ("date", {"start": "2026-03-01", "end": "2026-03-02"}, "2026-03-01 / 2026-03-02"),
        ("people", PERSONS, "Zoë, u2"),
        ("files", [{"name": "a.pdf", "type": "external", "external": {"url": "https://x"}}], "a.pdf"),
        ("relation", [{"id": HOME}], HOME),
        ("formula", {"type": "string", "string": "yes"}, "yes"),
        ("formula", {"type": "date", "date": {"start": "2026-03-01"}}, "2026-03-01"),
        ("rollup", {"type": "array", "array": [{"type": "title", "title": rich("A")}, {"type": "number", "number": 2}]}, "A, 2"),
        ("created_by", {"object": "user", "id": "u1", "type": "person", "person": {}, "name": "Zoë"}, "Zoë"),
        ("created_time", "2026-03-01T12:00:00.000Z", "2026-03-01T12:00:00.000Z"),
        ("unique_id", {"prefix": "TASK", "number": 7}, "TASK-7"),
        ("unique_id", {"prefix": None, "number": 7}, "7"),
        ("button", {}, ""),
        ("of next year", [None, 5], ""),
    ],
)  # fmt: skip
def test_every_type_is_read(kind: str, value: Any, text: str) -> None:
    assert read({"id": "a", "type": kind, kind: value}) == text


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("number", " 12.50 ", 12.5),
        ("number", "1e3", 1000),
        ("number", "", None),
        ("checkbox", "Yes", True),
        ("checkbox", "0", False),
        ("date", "2026-03-01", {"start": "2026-03-01"}),
        ("date", "2026-03-01T09:00:00Z / 2026-03-02", {"start": "2026-03-01T09:00:00Z", "end": "2026-03-02"}),
        ("date", " ", None),
        ("select", " Groß ", {"name": "Groß"}),
        ("status", "", None),
        ("multi_select", "a, b ,", [{"name": "a"}, {"name": "b"}]),
        ("url", "https://x.example", "https://x.example"),
        ("email", "", None),
        ("relation", f"{HOME.replace('-', '')}, {SOURCE}", [{"id": HOME}, {"id": SOURCE}]),
        ("people", PERSON, [{"object": "user", "id": PERSON}]),
        ("title", "", []),
    ],
)
def test_every_type_is_written(kind: str, text: str, value: Any) -> None:
    assert written("It", kind, text) == {kind: value}


@pytest.mark.parametrize(
    ("kind", "text", "why"),
    [
        ("number", "twelve", "cannot be 'twelve': it must be a number"),
        ("number", "inf", "must be a number"),
        ("checkbox", "maybe", "must be true or false"),
        ("date", "tomorrow", "must be a date such as 2026-03-01"),
        ("date", "2026-01-01/2026-01-02/2026-01-03", "must be a date"),
        ("relation", "Home", "must be an id of Notion's"),
        ("formula", "1", "of the type 'formula', which cannot be set"),
    ],
)
def test_what_a_type_cannot_hold_is_told(kind: str, text: str, why: str) -> None:
    with pytest.raises(sdk.Rejected, match=why):
        written("It", kind, text)


# Texts


def test_text_becomes_paragraphs_and_bullets() -> None:
    found = [
        (block["type"], block[block["type"]]["rich_text"][0]["text"]["content"])
        for block in blocks_of("\nGrüße @all\r\nsecond **line**\r\n\r\n \n- one\n * two\n-no bullet\n\n\n  last 🎉\n")
    ]
    assert found == [
        ("paragraph", "Grüße @all\nsecond **line**"),
        ("bulleted_list_item", "one"),
        ("bulleted_list_item", "two"),
        ("paragraph", "-no bullet"),
        ("paragraph", "  last 🎉"),
    ]
    assert [blocks_of(empty) for empty in ("", "\n", " \n \n")] == [[], [], []]


def test_texts_are_cut_at_notions_limits_and_nothing_is_lost() -> None:
    def pieces(block: dict[str, Any]) -> list[str]:
        return [piece["text"]["content"] for piece in block[block["type"]]["rich_text"]]

    (long,) = blocks_of("x" + "🎉" * 2500)
    assert [len(piece.encode("utf-16-le")) // 2 for piece in pieces(long)] == [1999, 2000, 1002]
    assert "".join(pieces(long)) == "x" + "🎉" * 2500
    (most,) = blocks_of("a" + "🎉" * 49_999)
    assert len(pieces(most)) <= 100
    many = blocks_of("\n\n".join(map(str, range(250))) + "\n- end")
    assert len(many) == 100
    assert (pieces(many[0]), pieces(many[99])) == (["0\n\n1\n\n2"], ["249\n\n• end"])
    words = list(itertools.chain.from_iterable("".join(pieces(block)).split("\n\n") for block in many))
    assert words == [*map(str, range(250)), "• end"]


# Reactions


async def test_a_page_is_created_in_a_database_with_values_by_type(there: Notion, ctx: FakeContext) -> None:
    values = {"status": "Done", "Tags": " ", "Größe 📏": "@Zoë", "Count": "3", "Due": "2026-03-01T09:00:00+02:00"}
    given = reactions.NewPage(parent=DATABASE, title="Zoë 🎉", properties=values, text="Hello\n- there")
    page = await reactions.create_page.fn(ctx, given)
    assert there.calls[-1].json == {
        "parent": {"type": "data_source_id", "data_source_id": SOURCE},
        "properties": {
            "Name": {"title": [{"type": "text", "text": {"content": "Zoë 🎉"}}]},
            "Status": {"status": {"name": "Done"}},
            "Größe 📏": {"rich_text": [{"type": "text", "text": {"content": "@Zoë"}}]},
            "Count": {"number": 3},
            "Due": {"date": {"start": "2026-03-01T09:00:00+02:00"}},
        },
        "children": [
            {"type": "paragraph", "paragraph": {"rich_text": [{"type": "text", "text": {"content": "Hello"}}]}},
            {
                "type": "bulleted_list_item",
                "bulleted_list_item": {"rich_text": [{"type": "text", "text": {"content": "there"}}]},
            },
        ],
    }
    assert (page.title, page.properties["Status"], page.created_by) == ("Zoë 🎉", "Done", ADA)
    assert there.text(page.id) == [("paragraph", "Hello"), ("bulleted_list_item", "there")]


async def test_a_page_is_created_under_a_page(there: Notion, ctx: FakeContext) -> None:
    page = await reactions.create_page.fn(ctx, reactions.NewPage(parent=HOME, title="Notes"))
    assert there.calls[-1].json == {
        "parent": {"type": "page_id", "page_id": HOME},
        "properties": {"title": {"title": [{"type": "text", "text": {"content": "Notes"}}]}},
    }
    assert (page.title, page.database, page.properties) == ("Notes", "", {"title": "Notes"})


@pytest.mark.parametrize(
    ("parent", "properties", "why", "code"),
    [
        (SOURCE, {"Sttus": "Done"}, "There is no property 'Sttus'. There are: 'Name', 'Status'", "NO_PROPERTY"),
        (SOURCE, {"Count": "x"}, "'Count' cannot be 'x'", "BAD_VALUE"),
        (SOURCE, {"Total": "1"}, "cannot be set", "NOT_WRITABLE"),
        (SOURCE, {"name": "again"}, "'Name' is given twice", "GIVEN_TWICE"),
        (SOURCE, {"Status": "Gone"}, 'Status option "Gone" does not exist', "HTTP_400"),
        (HOME, {"Status": "Done"}, "Only pages of a database have properties", "NO_DATABASE"),
        (PERSON, {}, "no such page or database", "NOT_FOUND"),
    ],
)
async def test_what_cannot_be_created_is_told(
    there: Notion, ctx: FakeContext, parent: str, properties: dict[str, str], why: str, code: str
) -> None:
    with pytest.raises(sdk.Rejected, match=why) as caught:
        await reactions.create_page.fn(ctx, reactions.NewPage(parent=parent, title="x", properties=properties))
    assert (caught.value.code, len(there.pages)) == (code, 1)


@pytest.mark.parametrize("parent", [SOURCE, HOME])
async def test_a_page_that_was_created_is_found_again_and_nobody_elses(
    there: Notion, ctx: FakeContext, parent: str
) -> None:
    values = {"Due": "2026-03-01T09:00:00Z", "Count": "2"} if parent == SOURCE else {}
    given = reactions.NewPage(parent=parent, title="Once 🎉", properties=values, text="This\n- and that")
    ask = reactions.create_page.reconciler
    assert ask
    there.moment = NOON - timedelta(minutes=2)
    await reactions.create_page.fn(ctx, given)
    there.moment = NOON
    there.add("Once 🎉", Count=2)
    await reactions.create_page.fn(ctx, given.model_copy(update={"title": "Another"}))
    await reactions.create_page.fn(ctx, given.model_copy(update={"text": "Another run's"}))
    assert await ask(ctx, given) is None
    if values:
        await reactions.create_page.fn(ctx, given.model_copy(update={"properties": {"Count": "3"}}))
        assert await ask(ctx, given) is None
    made = await reactions.create_page.fn(ctx, given)
    assert await ask(ctx, given) == made


async def test_text_is_appended_all_or_nothing(there: Notion, ctx: FakeContext) -> None:
    more = reactions.MoreText(page=HOME, text="Grüße\n\n- 🎉")
    appended = await reactions.append_blocks.fn(ctx, more)
    assert there.text(HOME) == [("paragraph", "Grüße"), ("bulleted_list_item", "🎉")]
    assert appended.model_dump() == {"page": HOME, "blocks": [block["id"] for block in there.blocks[HOME]]}
    await reactions.append_blocks.fn(ctx, reactions.MoreText(page=HOME, text="\n\n".join(["🎉" * 160] * 300)))
    assert (len(there.asked("PATCH", f"/v1/blocks/{HOME}/children")), len(there.blocks[HOME])) == (2, 102)
    with pytest.raises(sdk.Rejected, match="There is no text to append"):
        await reactions.append_blocks.fn(ctx, reactions.MoreText(page=HOME, text="\n \n"))


async def test_text_that_was_appended_is_found_again_and_nobody_elses(there: Notion, ctx: FakeContext) -> None:
    more, ask = reactions.MoreText(page=HOME, text="One\n\nTwo"), reactions.append_blocks.reconciler
    assert ask
    there.moment = NOON - timedelta(minutes=2)
    await reactions.append_blocks.fn(ctx, more)
    there.moment = NOON
    await reactions.append_blocks.fn(ctx, reactions.MoreText(page=HOME, text="One\n\nThree"))
    assert await ask(ctx, more) is None
    appended = await reactions.append_blocks.fn(ctx, more)
    assert await ask(ctx, more) == appended
    there.blocks[HOME] = there.blocks[HOME][:1] * 1001
    with pytest.raises(sdk.Unknown, match="so long"):
        await ask(ctx, more)


async def test_a_property_is_set_by_its_type_and_the_others_stay(there: Notion, ctx: FakeContext) -> None:
    page = there.add("Task", Status={"name": "To do"}, Count=7)
    for _ in range(2):
        found = await reactions.update_property.fn(ctx, reactions.Setting(page=page, property=" status", value="Done"))
    assert there.calls[-1].json == {"properties": {"Status": {"status": {"name": "Done"}}}}
    assert (found.title, found.properties["Status"], found.properties["Count"]) == ("Task", "Done", "7")
    cleared = await reactions.update_property.fn(ctx, reactions.Setting(page=page, property="Count", value=""))
    assert cleared.properties["Count"] == ""
    with pytest.raises(sdk.Rejected, match="There is no property 'Colour'") as caught:
        await reactions.update_property.fn(ctx, reactions.Setting(page=page, property="Colour", value="red"))
    assert (caught.value.field, caught.value.suggestion) == ("property", "Name")


# Accounts, choices, errors


async def test_the_bot_of_a_consent_or_of_a_key_says_whose_it_is(there: Notion) -> None:
    consented = await provider.identify(wired(there))
    assert (consented.external_id, consented.label) == (ADA, "Cat herders 🐈")
    by_key = await provider.identify(wired(there, credentials={"secret": "x"}))
    assert (by_key.external_id, by_key.label) == (ADA, "AREA")


async def test_databases_pages_and_properties_are_offered(there: Notion, ctx: FakeContext) -> None:
    page = there.add("")
    databases = [sdk.Choice(SOURCE, "Aufgaben ✅")]
    assert await provider.database_choices(ctx, {}) == databases
    assert await provider.page_choices(ctx, {}) == [sdk.Choice(HOME, "Home 🏠"), sdk.Choice(page, "Untitled")]
    assert [one.label for one in await provider.parent_choices(ctx, {})] == [
        "Database: Aufgaben ✅", "Page: Home 🏠", "Page: Untitled",
    ]  # fmt: skip
    offered = await reactions.property_choices(ctx, {"page": page})
    assert [one.value for one in offered] == [name for name in SCHEMA if name != "Total"]
    assert offered[2] == sdk.Choice("Tags", "Tags (multi select)")
    assert await reactions.property_choices(ctx, {"page": "{{ trigger.id }}"}) == []


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "kind", "why"),
    [
        ("GET", "/v1/pages/x", 403, "restricted_resource", sdk.Rejected, "lacks the capability"),
        ("PATCH", "/v1/pages/x", 409, "conflict_error", sdk.Unavailable, "at the same moment"),
        ("POST", "/v1/pages", 400, "validation_error", sdk.Rejected, "Notion cannot accept this: why"),
        ("POST", "/v1/pages", 504, "gateway_timeout", sdk.Unheard, "504"),
        ("POST", "/v1/pages", 503, "service_unavailable", sdk.Unavailable, "503"),
        ("POST", "/v1/data_sources/x/query", 500, "internal_server_error", sdk.Unavailable, "500"),
    ],
)
async def test_what_refusals_mean(
    context: Any, method: str, path: str, status: int, code: str, kind: type[sdk.NodeError], why: str
) -> None:
    body = {"object": "error", "status": status, "code": code, "message": "why"}
    ctx = context(lambda request: httpx.Response(status, json=body), service=notion.service)
    with pytest.raises(kind, match=why):
        await ctx.http.request(method, path)


@pytest.mark.parametrize(("status", "code"), [(429, "rate_limited"), (529, "service_overload")])
async def test_waits_are_kept_also_for_what_cannot_be_repeated(context: Any, status: int, code: str) -> None:
    body = {"object": "error", "status": status, "code": code, "additional_data": {"rate_limit_reason": "plan"}}
    answer = httpx.Response(status, json=body, headers={"Retry-After": "90"})
    ctx = context(lambda request: answer, service=notion.service)
    with pytest.raises(sdk.Throttled) as caught:
        await ctx.http.post("/v1/pages", json={})
    assert caught.value.retry_after == 90


async def test_a_written_page_without_times_is_not_written_again(context: Any) -> None:
    ctx = context(lambda request: httpx.Response(200, json={"id": SOURCE, "properties": {}}), service=notion.service)
    with pytest.raises(sdk.Unknown, match="may have been created"):
        await reactions.create_page.fn(ctx, reactions.NewPage(parent=SOURCE, title="x"))


def test_every_call_names_the_version() -> None:
    assert notion.service.headers == {"Notion-Version": "2025-09-03"}
    assert datetime.fromisoformat(provider.VERSION).replace(tzinfo=UTC) < NOON
