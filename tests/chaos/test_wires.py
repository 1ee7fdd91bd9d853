"""What each part does while Postgres or Redis is out of reach, and when it is back."""

import asyncio
from uuid import UUID

import asyncpg
import httpx
import pytest
from redis.exceptions import RedisError

from area.app.server import make_app
from area.engine import polling, statements
from area.engine.feed import FeedChunk
from area.engine.platform import open_platform
from area.engine.runs import Runs
from tests.chaos.conftest import Wired
from tests.engine.conftest import Sink, World, eventually, http, log

TOKEN = "SELECT hooks.token FROM areas JOIN hooks ON hooks.id = areas.hook_id WHERE areas.id = $1"


@pytest.fixture
async def client(wired: Wired) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(make_app(wired.platform)), base_url="http://area.test")


async def hook(world: World) -> str:
    area = await world.area(log("a"))
    return f"/hooks/{await world.pool.fetchval(TOKEN, area.id)}"


async def test_without_redis_deliveries_are_accepted(wired: Wired, world: World, client: httpx.AsyncClient) -> None:
    address = await hook(world)
    await wired.redis.refuse()
    answer = await client.post(address, json={})
    assert (answer.status_code, answer.json()["runs"]) == (202, 1)


async def test_without_postgres_deliveries_are_put_off_and_then_accepted(
    wired: Wired, world: World, client: httpx.AsyncClient
) -> None:
    address = await hook(world)
    await wired.postgres.refuse()
    refused = await client.post(address, json={}, headers={"X-Delivery-Id": "one"})
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
    await wired.postgres.start()

    async def accepted() -> bool:
        answer = await client.post(address, json={}, headers={"X-Delivery-Id": "one"})
        return answer.status_code == 202

    await eventually(accepted)


async def test_a_postgres_that_says_nothing_is_answered_for_in_time(
    wired: Wired, world: World, client: httpx.AsyncClient
) -> None:
    address = await hook(world)
    assert (await client.post(address, json={}, headers={"X-Delivery-Id": "one"})).status_code == 202
    wired.postgres.hold()
    async with asyncio.timeout(9):
        held = await client.post(address, json={}, headers={"X-Delivery-Id": "two"})
    assert (held.status_code, held.headers["Retry-After"]) == (503, "5")
    wired.postgres.release()
    again = await client.post(address, json={}, headers={"X-Delivery-Id": "two"})
    assert again.status_code == 202
    events = "SELECT count(*) FROM events e JOIN hooks h ON h.id = e.hook_id WHERE h.token = $1"
    assert await world.pool.fetchval(events, address.removeprefix("/hooks/")) == 2, "asked for twice, kept once"


async def test_readyz_says_what_is_out_of_reach_and_when_it_is_back(wired: Wired, client: httpx.AsyncClient) -> None:
    async def ready() -> bool:
        return (await client.get("/readyz")).status_code == 200

    await eventually(ready)
    for wire, name in ((wired.redis, "redis"), (wired.postgres, "postgres")):
        await wire.refuse()
        answer = await client.get("/readyz")
        assert answer.status_code == 503
        checks = answer.json()["checks"]
        assert {other for other, said in checks.items() if said.startswith("out of reach")} == {name}
        assert (await client.get("/healthz")).status_code == 200, "a restart would mend nothing"
        await wire.start()
        await eventually(ready)


async def test_a_schedule_whose_moment_could_not_be_stored_keeps_it(wired: Wired, world: World) -> None:
    area = await world.area(log("a"), action="schedule.every", config={"seconds": 3600})
    due = await world.pool.fetchval(
        "UPDATE hooks SET next_due_at = date_trunc('hour', now()) WHERE id = $1 RETURNING next_due_at", area.hook_id
    )
    claimed = await wired.platform.db.pool.fetch(statements.DUE_HOOKS, 50, ["schedule"])
    [mine] = [row for row in claimed if row["id"] == area.hook_id]
    await wired.postgres.refuse()
    await polling._guarded(wired.platform, mine)
    await wired.postgres.start()
    now = await world.pool.fetchrow(
        "SELECT status, next_due_at, failures_in_row FROM hooks WHERE id = $1", area.hook_id
    )
    assert tuple(now) == ("active", due, 0)

    await polling._guarded(wired.platform, mine)
    events = "SELECT dedupe_key FROM events WHERE hook_id = $1"
    assert await world.pool.fetchval(events, area.hook_id) == f"at:{due.isoformat()}"


async def test_after_an_outage_who_lives_writes_before_leases_count(wired: Wired, world: World, sink: Sink) -> None:
    area = await world.area(http("call", sink.url))
    await world.fire(area, {})
    run = await world.run_of(area)
    other = Runs(wired.platform.db.pool, wired.settings.lease_seconds)
    sink.holds = "*"
    task = asyncio.create_task(wired.platform.executor().execute([run]))
    await asyncio.wait_for(sink.arrived.wait(), 10)

    await wired.postgres.refuse()
    sink.hold.set()
    with pytest.raises(OSError, match="Connect"):
        await other.claim_lost(10)
    over = "SELECT lease_until < now() FROM runs WHERE id = $1"
    await eventually(lambda: world.pool.fetchval(over, run))
    with pytest.raises(OSError, match="Connect"):
        await other.wake_due()  # it is away to the last
    await wired.postgres.start()

    # The other worker could not reach Postgres either, so it gives the first one time; a third one has no such doubt.
    assert run not in {claim["id"] for claim in await other.claim_lost(10)}
    await task
    assert await world.status(run) == "succeeded"
    assert await world.pool.fetchval("SELECT fence FROM runs WHERE id = $1", run) == 1
    assert len(sink.calls) == 1


async def test_a_worker_cut_off_alone_loses_its_runs_to_one_that_is_not(wired: Wired, world: World, sink: Sink) -> None:
    area = await world.area(http("call", sink.url, "PUT"))
    await world.fire(area, {})
    run = await world.run_of(area)
    sink.holds = "*"
    task = asyncio.create_task(wired.platform.executor().execute([run]))
    await asyncio.wait_for(sink.arrived.wait(), 10)
    await wired.postgres.refuse()
    sink.hold.set()
    await world.expire_lease(run)
    await world.execute(run)
    assert await world.status(run) == "succeeded"
    await wired.postgres.start()
    await task
    assert await world.pool.fetchval("SELECT fence FROM runs WHERE id = $1", run) == 2
    assert len({headers["idempotency-key"] for _, headers, _ in sink.calls}) == 1
    assert len(sink.calls) == 2
    await world.story(run)


async def test_a_subscriber_gets_each_line_once_across_outages(wired: Wired, world: World) -> None:
    """As a client does: on an error it begins again from its last cursor."""
    area = await world.area(log("a"), log("b"))
    seen: list[tuple[UUID, int]] = []
    listening = asyncio.Event()

    async def watch() -> None:
        cursor: str | None = None
        while True:
            try:
                async for chunk in wired.platform.feed.account(world.user, cursor):
                    take(chunk)
                    cursor = chunk.cursor
                    listening.set()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await asyncio.sleep(0.05)

    def take(chunk: FeedChunk) -> None:
        seen.extend((line.run_id, line.seq) for line in chunk.events)

    watcher = asyncio.create_task(watch())
    await asyncio.wait_for(listening.wait(), 10)
    runs = []
    for wire in (None, wired.redis, wired.postgres, None):
        if wire is not None:
            await wire.refuse()
        runs.append(await world.happen(area, {}))
        if wire is not None:
            await wire.start()
        runs.append(await world.happen(area, {}))
    expected = {run: await world.pool.fetchval("SELECT last_seq FROM runs WHERE id = $1", run) for run in runs}

    async def all_there() -> bool:
        return len(seen) >= sum(expected.values())

    await eventually(all_there, 20)
    watcher.cancel()
    assert seen == [(run, seq) for run in runs for seq in range(1, expected[run] + 1)]


async def test_a_run_log_is_whole_across_outages(wired: Wired, world: World, sink: Sink) -> None:
    area = await world.area(log("a"), http("call", sink.url), log("b"))
    await world.fire(area, {})
    run = await world.run_of(area)
    sink.holds = "*"
    seen: list[int] = []

    async def watch() -> None:
        while True:
            try:
                async for chunk in wired.platform.feed.run_log(world.user, run, seen[-1] if seen else 0):
                    seen.extend(line.seq for line in chunk.entries)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await asyncio.sleep(0.05)
            else:
                return

    watcher = asyncio.create_task(watch())
    task = asyncio.create_task(world.execute(run))
    await asyncio.wait_for(sink.arrived.wait(), 10)
    await wired.redis.refuse()
    await wired.postgres.refuse()
    sink.hold.set()
    await task
    await wired.postgres.start()
    await wired.redis.start()
    await asyncio.wait_for(watcher, 20)
    last = await world.pool.fetchval("SELECT last_seq FROM runs WHERE id = $1", run)
    assert seen == list(range(1, last + 1))


async def test_connections_that_are_forgotten_are_given_up(wired: Wired, world: World) -> None:
    """A firewall drops what it knew: nobody closes, nobody answers, and new connections work."""
    wired.redis.forget()

    async def answers() -> bool:
        try:
            return bool(await wired.platform.redis.ping())
        except RedisError:
            return False

    await eventually(answers, 30)


async def test_a_platform_opens_without_redis(wired: Wired) -> None:
    await wired.redis.refuse()
    platform = await open_platform(wired.settings)
    await platform.close()
