"""replayRuns and resumeRun, as a client calls them."""

from typing import Any
from uuid import UUID

from area.core.ids import uuid_of
from area.engine.platform import Platform
from tests.graphql.conftest import CREATE, Client

REPLAY = """mutation($input: ReplayRunsInput!) { replayRuns(input: $input) {
  count skipped cursor hasMore errors { code path } } }"""
RUN = "mutation($id: ID!) { runArea(input: {id: $id}) { run { id status } errors { code } } }"
RESUME = "mutation($id: ID!) { resumeRun(input: {id: $id}) { run { status } errors { code message } } }"
WAITS = {
    "name": "Waits",
    "action": {"action": "webhook.received"},
    "reactions": [{"reaction": "flow.delay", "config": {"seconds": 3600}}],
}


async def run(client: Client, platform: Platform, area_id: str) -> str:
    """Run an AREA, and let a worker have the run."""
    run_id: str = (await client.data(RUN, id=area_id))["runArea"]["run"]["id"]
    found = uuid_of(run_id, "Run")
    assert isinstance(found, UUID)
    await platform.executor().execute([found])
    return run_id


async def replay(client: Client, **given: Any) -> Any:
    return (await client.data(REPLAY, input=given))["replayRuns"]


async def test_runs_are_repeated_by_a_filter(ada: Client, eve: Client, platform: Platform) -> None:
    area_id = await ada.create_area()
    for _ in range(3):
        await run(ada, platform, area_id)
    which = {"areaId": area_id, "statuses": ["SUCCEEDED"]}
    first = await replay(ada, filter=which, limit=2, idempotencyKey="k")
    assert (first["count"], first["skipped"], first["hasMore"], first["errors"]) == (2, 0, True, [])
    assert await replay(ada, filter=which, limit=2, idempotencyKey="k") == first
    rest = await replay(ada, filter=which, after=first["cursor"], idempotencyKey="k")
    assert (rest["count"], rest["hasMore"]) == (1, False)
    query = """query($which: RunFilter) { viewer { runs(filter: $which) { nodes { cause replayOf { id } } } } }"""
    queued = (await ada.data(query, which={"statuses": ["QUEUED"]}))["viewer"]["runs"]["nodes"]
    assert [node["cause"] for node in queued] == ["REPLAY"] * 3
    assert len({node["replayOf"]["id"] for node in queued}) == 3
    later = {"statuses": ["QUEUED"], "since": "2999-01-01T00:00:00"}
    assert (await ada.data(query, which=later))["viewer"]["runs"]["nodes"] == []
    assert (await replay(eve, filter=which))["count"] == 0


async def test_what_cannot_be_asked_for_is_told(ada: Client) -> None:
    live = await replay(ada, filter={"statuses": ["RUNNING"]})
    assert live["errors"] == [{"code": "INVALID_INPUT", "path": ["filter", "statuses"]}]
    many = await replay(ada, filter={}, limit=1000)
    assert many["errors"] == [{"code": "INVALID_INPUT", "path": ["limit"]}]
    lost = await replay(ada, filter={}, after="nonsense")
    assert lost["errors"] == [{"code": "INVALID_INPUT", "path": ["after"]}]


async def test_a_waiting_run_is_resumed(ada: Client, platform: Platform) -> None:
    area_id = (await ada.data(CREATE, input=WAITS))["createArea"]["area"]["id"]
    run_id = await run(ada, platform, area_id)
    assert (await ada.data(RESUME, id=run_id))["resumeRun"] == {"run": {"status": "QUEUED"}, "errors": []}
    found = uuid_of(run_id, "Run")
    assert found is not None
    await platform.executor().execute([found])
    again = (await ada.data(RESUME, id=run_id))["resumeRun"]
    assert again["run"] is None
    assert again["errors"][0]["code"] == "CONFLICT"
