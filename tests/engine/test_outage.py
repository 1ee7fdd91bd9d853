"""Postgres goes away in the middle: outcomes are written when it is back, and nothing happens twice."""

import asyncio
import contextlib

import asyncpg

from area.engine.runs import Checkpoint
from tests.engine.conftest import Sink, World, eventually, http


async def test_a_postgres_that_drops_every_connection_costs_no_outcome(world: World, sink: Sink) -> None:
    area = await world.area(http("first", f"{sink.url}/first"), http("second", f"{sink.url}/second"))
    await world.fire(area, {})
    run = await world.run_of(area)
    sink.holds = "/first"
    task = asyncio.create_task(world.execute(run))
    await asyncio.wait_for(sink.arrived.wait(), 10)
    # The answer to the call arrives while no connection works.
    with contextlib.suppress(asyncpg.PostgresError):
        await world.pool.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    sink.hold.set()
    await task

    async def ended() -> bool:
        return await world.status(run) == "succeeded"

    await eventually(ended)
    assert [path for path, _, _ in sink.calls] == ["/first", "/second"]
    await world.story(run)


async def test_renewals_and_checkpoints_do_not_deadlock(world: World) -> None:
    area = await world.area(*(http(f"s{n}", "http://127.0.0.1:9/", "GET") for n in range(1)))
    for _ in range(40):
        await world.fire(area, {})
    runs = world.platform.runs
    ids = [row["id"] for row in await world.pool.fetch("SELECT id FROM runs WHERE area_id = $1", area.id)]
    claims = await runs.claim(ids)
    held = {claim["id"]: claim["fence"] for claim in claims}
    assert len(held) == 40

    async def renew() -> None:
        for _ in range(60):
            assert set(await runs.renew(held)) == set(ids)

    async def checkpoint(order: list[object]) -> None:
        for _ in range(60):
            await asyncio.gather(*(runs.commit(Checkpoint(id_, held[id_], "running", 1)) for id_ in order))  # type: ignore[index, arg-type]

    await asyncio.gather(renew(), checkpoint(list(ids)), checkpoint(list(reversed(ids))))
