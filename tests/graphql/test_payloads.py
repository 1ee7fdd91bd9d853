"""Large details of a line, by the API: a beginning in lists, the whole for those who ask."""

from typing import Any

from area.core.ids import new_id, uuid_of
from area.engine.platform import Platform
from tests.graphql.conftest import Client
from tests.graphql.test_flow import started

LINES = """query($id: ID!) { node(id: $id) { ... on Run { status steps { key input output }
  log(first: 50) { nodes { seq kind attributes payload } } } } }"""


async def lines(client: Client, run_id: str, kind: str) -> list[Any]:
    run = (await client.data(LINES, id=run_id))["node"]
    return [line for line in run["log"]["nodes"] if line["kind"] == kind]


async def test_details_are_read_whole_when_asked_for(ada: Client, platform: Platform) -> None:
    values = {"list": "{{ trigger.body.list }}"}
    reactions = [{"reaction": "flow.set", "key": "set", "config": {"values": values}}]
    body = {"list": ["x" * 1000] * 50}
    run_id = await started(ada, platform, reactions, {"body": body})
    [began] = await lines(ada, run_id, "STEP_STARTED")
    [ended] = await lines(ada, run_id, "STEP_SUCCEEDED")
    for line in (began, ended):
        assert line["attributes"]["cut"] is True
        assert line["attributes"]["bytes"] > 50_000
        assert len(line["attributes"]["preview"]) == 1024
    assert began["payload"] == {"input": {"values": body}, "attempt": 1}
    assert ended["payload"] == {"output": {"values": body}}
    [step] = (await ada.data(LINES, id=run_id))["node"]["steps"]
    assert (step["input"], step["output"]) == ({"values": body}, {"values": body})
    [first] = await lines(ada, run_id, "EVENT_RECEIVED")
    assert first["payload"] == first["attributes"]


async def test_nobody_reads_the_details_of_another(ada: Client, eve: Client, platform: Platform) -> None:
    reactions = [{"reaction": "flow.log", "key": "a", "config": {"message": "x"}}]
    theirs = await started(ada, platform, reactions, {})
    mine = await started(eve, platform, reactions, {})
    payload = new_id()
    await platform.db.pool.execute(
        "INSERT INTO blobs (id, run_id, content) VALUES ($1, $2, $3)", payload, uuid_of(theirs, "Run"), b'{"secret": 1}'
    )
    forged = {"cut": True, "payload": str(payload)}
    change = "UPDATE run_events SET data = $2 WHERE run_id = $1 AND kind = 'log'"
    for run_id in (mine, theirs):
        await platform.db.pool.execute(change, uuid_of(run_id, "Run"), forged)
    [line] = await lines(eve, mine, "LOG")
    assert line["payload"] == forged
    [line] = await lines(ada, theirs, "LOG")
    assert line["payload"] == {"secret": 1}
    assert (await eve.data(LINES, id=theirs))["node"] is None


async def test_what_is_no_longer_kept_leaves_its_beginning(ada: Client, platform: Platform) -> None:
    reactions = [{"reaction": "flow.log", "key": "a", "config": {"message": "x"}}]
    run_id = await started(ada, platform, reactions, {})
    for odd in ({"cut": True, "payload": str(new_id())}, {"cut": True, "payload": [7]}, {"cut": True}):
        change = "UPDATE run_events SET data = $2 WHERE run_id = $1 AND kind = 'log'"
        await platform.db.pool.execute(change, uuid_of(run_id, "Run"), odd)
        [line] = await lines(ada, run_id, "LOG")
        assert line["payload"] == odd
