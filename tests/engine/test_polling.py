"""The poller against sources that reorder, edit, delete and repeat; looks that do not wait for one another; missed moments."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Annotated, Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import Field

from area.core.ids import new_id
from area.engine import polling
from area.engine.platform import Platform
from area.nodes import sdk
from area.nodes.registry import Registry
from tests.engine.conftest import World, eventually, log

service = sdk.Service(key="fickle", name="Fickle", description="Shows whatever it likes.")


class Shelf(sdk.Inputs):
    """Which shelf to watch."""

    name: Annotated[str, sdk.NoTemplate] = Field(title="Name", description="Its name.", examples=["a"])


class Thing(sdk.Outputs):
    """One thing on a shelf."""

    id: Annotated[str, sdk.Identity] = Field(title="Id", description="Its id.", examples=["1"])
    text: str = Field("", title="Text", description="Its text.", examples=["hello"])
    more: Any = Field(None, title="More", description="Whatever else there is.", examples=[[1]])


shelves: dict[str, list[Thing] | Exception] = {}
holds: dict[str, asyncio.Event] = {}
looked: list[str] = []


@service.poll("New thing", every=timedelta(minutes=5))
async def new_thing(ctx: sdk.Context, where: Shelf) -> list[Thing]:
    """Fires for each new thing on a shelf."""
    looked.append(where.name)
    if where.name in holds:
        await holds[where.name].wait()
    shown = shelves[where.name]
    if isinstance(shown, Exception):
        raise shown
    return shown


@service.poll("New thing, by pages", every=timedelta(minutes=5))
async def paged_thing(ctx: sdk.Context, where: Shelf) -> sdk.Page[Thing]:
    """Fires for each new thing, of which the source shows those after a cursor, and some again."""
    shown = shelves[where.name]
    assert isinstance(shown, list)
    return sdk.Page(shown, {"last": shown[-1].id if shown else (ctx.cursor or {}).get("last")})


@pytest.fixture(scope="module", autouse=True)
def fickle(platform: Platform) -> Any:
    """The service, in the catalogue for as long as this module's tests run."""
    kept = platform.registry
    known = Registry([*kept.services.values(), service])
    kept.services.update({service.key: service})
    kept.actions.update(service.actions)
    yield known
    for mapping in (kept.services, kept.actions):
        for key in [key for key in dict(mapping) if key == "fickle" or key.startswith("fickle.")]:
            dict.pop(mapping, key)


@pytest.fixture
async def alone(platform: Platform) -> AsyncIterator[None]:
    """No hook of another test is due."""
    await platform.db.pool.execute("UPDATE hooks SET next_due_at = NULL, status = 'unused' WHERE kind <> 'webhook'")
    looked.clear()
    holds.clear()
    yield
    for hold in holds.values():
        hold.set()
    await platform.db.pool.execute("UPDATE hooks SET next_due_at = NULL, status = 'unused' WHERE kind <> 'webhook'")


async def watch(world: World, name: str, action: str = "fickle.new_thing") -> UUID:
    area = await world.area(log("x"), action=action, config={"name": name})
    assert area.hook_id is not None
    return area.hook_id


async def poll(world: World, *hooks: UUID) -> None:
    await world.pool.execute("UPDATE hooks SET next_due_at = now() WHERE id = ANY($1)", list(hooks))
    await polling.tick(world.platform, ("poll",))


async def fired(world: World, hook: UUID) -> list[str]:
    rows = await world.pool.fetch("SELECT payload FROM events WHERE hook_id = $1 ORDER BY id", hook)
    return [row["payload"]["id"] for row in rows]


IDS = st.integers(0, 12).map(str)
SHOWN = st.lists(st.tuples(IDS, st.sampled_from(["", "edited", "again"])), max_size=8)
LOOKS = st.lists(st.one_of(SHOWN, st.just(None)), min_size=1, max_size=8)
"""What a source shows at each look, in any order, with items repeated, edited, gone and back; None: it fails."""


@settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(looks=LOOKS, action=st.sampled_from(["fickle.new_thing", "fickle.paged_thing"]))
async def test_each_new_thing_fires_once_and_what_was_there_first_never(
    world: World, alone: None, looks: list[list[tuple[str, str]] | None], action: str
) -> None:
    name = str(new_id())
    shelves[name] = []
    hook = await watch(world, name, action)
    known: set[str] = set()
    expected: list[str] = []
    baseline = True
    for shown in looks:
        if shown is None and action == "fickle.new_thing":
            shelves[name] = sdk.Unavailable("It is away.")
            await poll(world, hook)
            continue
        things = shown or []
        shelves[name] = [Thing(id=key, text=text) for key, text in things]
        new = [key for key in dict.fromkeys(key for key, _ in things) if key not in known]
        known |= set(new)
        expected += [] if baseline else new
        baseline = False
        await poll(world, hook)
        assert await fired(world, hook) == expected
    runs = await world.pool.fetchval(
        "SELECT count(*) FROM runs JOIN events ON events.id = runs.event_id WHERE events.hook_id = $1", hook
    )
    assert runs == len(expected)
    await world.pool.execute("UPDATE hooks SET status = 'unused', next_due_at = NULL WHERE id = $1", hook)


async def test_a_source_that_shows_more_than_is_remembered_fires_nothing_twice(world: World, alone: None) -> None:
    name = str(new_id())
    many = [Thing(id=str(number)) for number in range(polling.SEEN_KEPT + 500)]
    shelves[name] = many
    hook = await watch(world, name)
    await poll(world, hook)
    await poll(world, hook)
    shelves[name] = [*many[::-1], Thing(id="new")]
    await poll(world, hook)
    assert await fired(world, hook) == ["new"]


async def test_what_is_gone_and_back_is_not_new(world: World, alone: None) -> None:
    name = str(new_id())
    shelves[name] = [Thing(id="old")]
    hook = await watch(world, name)
    await poll(world, hook)
    for start in range(0, polling.SEEN_KEPT - 500, 500):
        shelves[name] = [Thing(id=f"{start + number}") for number in range(500)]
        await poll(world, hook)
    before = await fired(world, hook)
    shelves[name] = [Thing(id="old"), Thing(id="0")]
    await poll(world, hook)
    assert await fired(world, hook) == before


async def test_an_item_of_megabytes_fires_cut_and_one_too_deep_not_at_all(world: World, alone: None) -> None:
    name = str(new_id())
    shelves[name] = []
    hook = await watch(world, name)
    await poll(world, hook)
    deep: Any = []
    for _ in range(200):
        deep = [deep]
    shelves[name] = [
        Thing(id="deep", more=deep),
        Thing(id="long", text="x" * 3_000_000, more=["y" * 20_000, 7]),
        Thing(id="wide", more=["y" * 100] * 30_000),
        Thing(id="fine"),
    ]
    await poll(world, hook)
    rows = await world.pool.fetch("SELECT payload FROM events WHERE hook_id = $1 ORDER BY id", hook)
    cut, wide, fine = [row["payload"] for row in rows]
    assert (cut["id"], cut["more"][1], fine["id"]) == ("long", 7, "fine")
    assert cut["text"] == "x" * polling.LONG_TEXT + "… (3,000,000 characters)"
    assert cut["more"][0].endswith("… (20,000 characters)")
    assert (wide["cut"], wide["bytes"] > 3_000_000) == (True, True)
    await world.platform.intake.ledger.flush()
    line = await world.pool.fetchrow("SELECT outcome, reason FROM deliveries WHERE hook_id = $1", hook)
    assert line["outcome"] == "rejected"
    assert "an item of fickle.new_thing cannot be stored" in line["reason"]
    assert await world.pool.fetchval("SELECT status FROM hooks WHERE id = $1", hook) == "active"
    await poll(world, hook)
    assert len(await world.pool.fetch("SELECT 1 FROM events WHERE hook_id = $1", hook)) == 3


async def test_a_source_that_fails_is_asked_ever_less_and_heals_by_itself(world: World, alone: None) -> None:
    name = str(new_id())
    shelves[name] = sdk.Unavailable("It is away.")
    hook = await watch(world, name)
    look = (
        "SELECT status, failures_in_row AS n, extract(epoch FROM next_due_at - now()) AS wait FROM hooks WHERE id = $1"
    )
    for number in range(1, 7):
        await poll(world, hook)
        row = await world.pool.fetchrow(look, hook)
        assert (row["n"], row["status"]) == (number, "broken" if number >= polling.BROKEN_AFTER else "active")
        assert 0.8 * 15 * 2**number - 5 < row["wait"] < 1.2 * 15 * 2**number
    shelves[name] = sdk.Throttled("Not so fast.", retry_after=900)
    await poll(world, hook)
    assert 895 < (await world.pool.fetchrow(look, hook))["wait"] < 1080, "not before the provider's moment"
    shelves[name] = []
    await poll(world, hook)
    row = await world.pool.fetchrow(look, hook)
    assert (row["status"], row["n"]) == ("active", 0)


async def test_a_source_whose_action_is_gone_is_told_and_delays_no_other(world: World, alone: None) -> None:
    gone, fine = str(new_id()), str(new_id())
    shelves[gone], shelves[fine] = [], []
    first, second = await watch(world, gone), await watch(world, fine)
    await poll(world, second)
    shelves[fine] = [Thing(id="1")]
    await world.pool.execute("UPDATE hooks SET action = 'fickle.no_more' WHERE id = $1", first)
    await poll(world, first, second)
    assert await fired(world, second) == ["1"]
    told = await world.pool.fetchval("SELECT last_error FROM hooks WHERE id = $1", first)
    assert "fickle.no_more" in told


async def test_a_slow_source_delays_no_other(world: World, alone: None) -> None:
    slow, quick = str(new_id()), str(new_id())
    shelves[slow], shelves[quick] = [], []
    first, second = await watch(world, slow), await watch(world, quick)
    await poll(world, first, second)
    looked.clear()
    holds[slow] = asyncio.Event()
    watching = polling.Watch(world.platform, ("poll",))
    await world.pool.execute("UPDATE hooks SET next_due_at = now() - interval '1 s' WHERE id = $1", first)
    assert await watching.fill() == 1
    for number in range(3):
        shelves[quick] = [Thing(id=str(number))]
        await world.pool.execute("UPDATE hooks SET next_due_at = now() WHERE id = $1", second)

        async def came(number: int = number) -> bool:
            await watching.fill()
            return await fired(world, second) == [str(one) for one in range(number + 1)]

        await eventually(came)
    assert looked.count(slow) == 1, "it is looked at by one, for as long as it takes"
    holds[slow].set()

    async def done() -> bool:
        return bool(await world.pool.fetchval("SELECT lease_until IS NULL FROM hooks WHERE id = $1", first))

    await eventually(done)
    await watching.stop()


async def test_no_more_looks_at_once_than_there_is_room_for(world: World, alone: None) -> None:
    names = [str(new_id()) for _ in range(5)]
    hooks = []
    for name in names:
        shelves[name], holds[name] = [], asyncio.Event()
        hooks.append(await watch(world, name))
    watching = polling.Watch(world.platform, ("poll",), at_once=2)
    assert [await watching.fill(), await watching.fill()] == [2, 0]

    async def two() -> bool:
        return len(looked) == 2

    await eventually(two)
    holds[looked[0]].set()

    async def third() -> bool:
        await watching.fill()
        return len(looked) == 3

    await eventually(third)
    await watching.stop()
    leased = await world.pool.fetchval(
        "SELECT count(*) FROM hooks WHERE id = ANY($1) AND lease_until > now() + interval '1 second'", hooks
    )
    assert leased == 0, "what was given up is let go, for another scheduler"


async def test_many_that_are_due_at_once_are_all_looked_at_in_one_turn(world: World, alone: None) -> None:
    hooks = []
    for _ in range(12):
        name = str(new_id())
        shelves[name] = []
        hooks.append(await watch(world, name))
    watching = polling.Watch(world.platform, ("poll",), at_once=2)
    await watching.keep_up()
    due = await world.pool.fetchval(
        "SELECT count(*) FROM hooks WHERE id = ANY($1) AND next_due_at <= now() AND lease_until IS NULL", hooks
    )
    assert due == 0
    await watching.stop()


async def test_two_watches_look_at_each_hook_once(world: World, alone: None) -> None:
    names = [str(new_id()) for _ in range(12)]
    for name in names:
        shelves[name], holds[name] = [], asyncio.Event()
        await watch(world, name)
    watches = [polling.Watch(world.platform, ("poll",), at_once=8) for _ in range(2)]
    begun = await asyncio.gather(*(one.fill() for one in watches))
    assert sum(begun) == 12

    async def all_looked() -> bool:
        return len(looked) == 12

    await eventually(all_looked)
    assert sorted(looked) == sorted(names)
    for hold in holds.values():
        hold.set()
    for one in watches:
        await one.stop()


def seldom() -> int:
    """An interval of an hour or two, in seconds, none of whose moments is within ten minutes of now."""
    moment = datetime.now(UTC).timestamp()
    return next(seconds for seconds in range(3600, 7200, 100) if 600 < moment % seconds < seconds - 600)


async def missed(world: World, misfire: str, ago: str, **config: Any) -> tuple[UUID, list[datetime]]:
    """The moments that fired of a schedule whose due time passed so long ago."""
    given_config = {"seconds": 60, "misfire": misfire, **config}
    area = await world.area(log("x"), action="schedule.every", config=given_config)
    await world.pool.execute(
        "UPDATE hooks SET next_due_at = date_trunc('minute', now()) - $2::text::interval WHERE id = $1",
        area.hook_id,
        ago,
    )
    await polling.tick(world.platform, ("schedule",))
    rows = await world.pool.fetch("SELECT payload FROM events WHERE hook_id = $1 ORDER BY id", area.hook_id)
    assert area.hook_id is not None
    return area.hook_id, [datetime.fromisoformat(row["payload"]["scheduled_at"]) for row in rows]


async def test_missed_moments_fire_as_their_policy_says(world: World, alone: None) -> None:
    _, once = await missed(world, "once", "10 minutes", seconds=30)
    _, each = await missed(world, "all", "10 minutes")
    _, many = await missed(world, "all", "500 minutes")
    skipping, skipped = await missed(world, "skip", "10 minutes", seconds=seldom())
    assert len(once) == 1
    assert len(each) in (11, 12), "the minute may have turned meanwhile"
    assert each == sorted(each)
    assert {later - earlier for earlier, later in pairwise(each)} == {timedelta(minutes=1)}
    assert len(many) == polling.MISFIRES
    assert once[0] >= each[-1] - timedelta(minutes=1)
    assert skipped == []
    hook = await world.pool.fetchrow("SELECT status, next_due_at FROM hooks WHERE id = $1", skipping)
    assert hook["status"] == "active"
    assert hook["next_due_at"] > datetime.now(UTC)


async def test_skipping_keeps_a_moment_that_is_hardly_late(world: World, alone: None) -> None:
    area = await world.area(log("x"), action="schedule.every", config={"seconds": seldom(), "misfire": "skip"})
    await world.pool.execute("UPDATE hooks SET next_due_at = now() - interval '20 s' WHERE id = $1", area.hook_id)
    await polling.tick(world.platform, ("schedule",))
    assert await world.pool.fetchval("SELECT count(*) FROM events WHERE hook_id = $1", area.hook_id) == 1


async def test_a_skipped_date_ends_its_hook_without_firing(world: World, alone: None) -> None:
    at = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    area = await world.area(log("x"), action="schedule.once", config={"at": at, "misfire": "skip"})
    config = {"at": (datetime.now(UTC) - timedelta(hours=1)).isoformat(), "misfire": "skip"}
    await world.pool.execute(
        "UPDATE hooks SET next_due_at = now() - interval '1 hour', config = $2 WHERE id = $1", area.hook_id, config
    )
    await polling.tick(world.platform, ("schedule",))
    assert await world.pool.fetchval("SELECT status FROM hooks WHERE id = $1", area.hook_id) == "ended"
    assert await world.pool.fetchval("SELECT count(*) FROM events WHERE hook_id = $1", area.hook_id) == 0
