"""Why didn't it run? What the ledger says of deliveries that made no event."""

import asyncio
from typing import Any

import httpx
import pytest

from area.app.server import make_app
from area.db.models import Area
from area.engine.intake import UnknownHook
from area.nodes import sdk
from tests.engine.conftest import World, eventually, log


async def lines(world: World, area: Area) -> list[tuple[str, int, str]]:
    await world.platform.intake.ledger.flush()
    rows = await world.pool.fetch(
        "SELECT outcome, count, reason FROM deliveries WHERE area_id = $1 ORDER BY id", area.id
    )
    return [tuple(row) for row in rows]


async def test_forged_deliveries_are_counted_in_one_line(world: World) -> None:
    area = await world.area(log("a"), config={"secret": "a secret that signs"})
    for _ in range(200):
        with pytest.raises(sdk.BadSignature):
            await world.fire(area, {})
    [(outcome, count, reason)] = await lines(world, area)
    assert (outcome, count) == ("rejected", 200)
    assert "signature" in reason.lower()
    with pytest.raises(sdk.BadSignature):
        await world.fire(area, {})
    assert [(line[0], line[1]) for line in await lines(world, area)] == [("rejected", 201)]
    assert await world.run_of(area) is None


async def test_what_came_again_is_counted(world: World) -> None:
    area = await world.area(log("a"))
    results = [await world.fire(area, {}, **{"idempotency-key": "one"}) for _ in range(4)]
    assert [result.duplicate for result in results] == [False, True, True, True]
    told = "it came again, with the id of an event that had been taken"
    assert await lines(world, area) == [("duplicate", 3, told)]


async def test_an_id_that_goes_through_several_calls_makes_no_duplicate(world: World) -> None:
    area = await world.area(log("a"))
    results = [await world.fire(area, {"n": n}, **{"x-request-id": "one"}) for n in range(2)]
    assert [(result.runs, result.duplicate) for result in results] == [(1, False), (1, False)]
    assert await lines(world, area) == []


async def test_each_hour_has_its_line(world: World) -> None:
    area = await world.area(log("a"))
    for _ in range(2):
        await world.fire(area, {}, **{"idempotency-key": "one"})
    assert len(await lines(world, area)) == 1
    await world.pool.execute("UPDATE deliveries SET hour = hour - interval '1 hour' WHERE area_id = $1", area.id)
    await world.fire(area, {}, **{"idempotency-key": "one"})
    assert [line[1] for line in await lines(world, area)] == [1, 1]


async def test_counts_are_written_without_being_asked_for(world: World) -> None:
    area = await world.area(log("a"))
    for _ in range(2):
        await world.fire(area, {}, **{"idempotency-key": "one"})

    async def written() -> bool:
        return bool(await world.pool.fetchval("SELECT count(*) FROM deliveries WHERE area_id = $1", area.id))

    await eventually(written)


@pytest.mark.parametrize(
    ("sent", "headers", "status"),
    [
        (b"{broken", {"content-type": "application/json"}, 400),
        (b"no boundary", {"content-type": "multipart/form-data"}, 400),
        (b"x" * (2 << 20), {"content-type": "text/plain"}, 413),
    ],
)
async def test_what_cannot_be_read_is_told_at_its_hook(world: World, sent: bytes, headers: Any, status: int) -> None:
    area = await world.area(log("a"))
    token = await world.pool.fetchval("SELECT token FROM hooks WHERE id = $1", area.hook_id)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(make_app(world.platform)), base_url="http://a.test"
    ) as http:
        answer = await http.post(f"/hooks/{token}", content=sent, headers=headers)
        nobody = await http.post("/hooks/nobody", content=sent, headers=headers)
    assert (answer.status_code, nobody.status_code) == (status, 413 if status == 413 else 404)
    assert await lines(world, area) == [("rejected", 1, answer.json()["detail"])]


async def test_a_database_that_is_away_costs_no_count(world: World) -> None:
    area = await world.area(log("a"))
    ledger = world.platform.intake.ledger
    pool = ledger._pool

    class Away:
        async def execute(self, *_: object) -> None:
            raise ConnectionRefusedError

    ledger._pool = Away()
    assert area.hook_id is not None
    ledger.note(area.hook_id, "rejected", "first")
    with pytest.raises(ConnectionRefusedError):
        await ledger.flush()
    ledger._pool = pool
    ledger.note(area.hook_id, "rejected", "second")
    assert await lines(world, area) == [("rejected", 2, "second")]


async def test_an_address_that_nobody_has_is_not_told_anywhere(world: World) -> None:
    with pytest.raises(UnknownHook):
        await world.platform.intake.deliver("nobody", sdk.WebhookDelivery("POST", {}, {}))
    await world.platform.intake.refused("nobody", "too large")
    assert world.platform.intake.ledger._counts == {}


async def test_many_processes_count_into_one_line(world: World) -> None:
    area = await world.area(log("a"))
    hook = area.hook_id
    assert hook is not None
    ledgers = [type(world.platform.intake.ledger)(world.pool) for _ in range(4)]
    for ledger in ledgers:
        for _ in range(25):
            ledger.note(hook, "rejected", "forged")
            ledger.note(hook, "duplicate", "again")
    await asyncio.gather(*(ledger.flush() for ledger in ledgers))
    assert sorted(line[:2] for line in await lines(world, area)) == [("duplicate", 100), ("rejected", 100)]
