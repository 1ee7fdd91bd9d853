"""The ledger as a client reads it: one line for every event and every AREA, and the counts of what made none."""

from typing import Any
from uuid import UUID

from area.core.ids import uuid_of
from area.engine.platform import Platform
from area.nodes import sdk
from tests.graphql.conftest import CREATE, Client

LINES = """query($id: ID!, $outcomes: [DeliveryOutcome!], $first: Int, $after: String, $last: Int, $before: String) {
  node(id: $id) { ... on Area { deliveries(outcomes: $outcomes, first: $first, after: $after, last: $last, before: $before) {
    nodes { id outcome reason count run { status } event { id } }
    pageInfo { hasNextPage hasPreviousPage endCursor startCursor } } } } }"""
AREA = {
    "name": "Gate",
    "action": {"action": "webhook.received"},
    "reactions": [{"reaction": "flow.filter", "config": {"condition": "trigger.body.n > 3"}}],
}
SWITCH = "mutation($id: ID!, $on: Boolean!) { setAreaEnabled(input: {id: $id, isEnabled: $on}) { errors { code } } }"


async def fire(platform: Platform, area_id: str, n: int, **headers: str) -> None:
    """One delivery, and a worker for what it started."""
    row_id = uuid_of(area_id, "Area")
    token = await platform.db.pool.fetchval(
        "SELECT h.token FROM hooks h JOIN areas a ON a.hook_id = h.id WHERE a.id = $1", row_id
    )
    delivery = sdk.WebhookDelivery("POST", headers, {}, b"", {"n": n}, "application/json")
    await platform.intake.deliver(token, delivery)
    runs = await platform.db.pool.fetch("SELECT id FROM runs WHERE area_id = $1 AND status = 'queued'", row_id)
    await platform.executor().execute([row["id"] for row in runs])


async def lines(client: Client, area_id: str, **asked: Any) -> Any:
    return (await client.data(LINES, id=area_id, **asked))["node"]["deliveries"]


async def test_every_event_has_its_line(ada: Client, eve: Client, platform: Platform) -> None:
    area_id = (await ada.data(CREATE, input=AREA))["createArea"]["area"]["id"]
    await fire(platform, area_id, 9, **{"idempotency-key": "a"})
    await fire(platform, area_id, 9, **{"idempotency-key": "a"})
    await platform.intake.ledger.flush()
    await fire(platform, area_id, 1)
    await ada.data(SWITCH, id=area_id, on=False)
    await fire(platform, area_id, 9)
    found = (await lines(ada, area_id))["nodes"]
    assert [line["outcome"] for line in found] == ["PAUSED", "FILTERED", "DUPLICATE", "RAN"]
    assert [line["run"] and line["run"]["status"] for line in found] == [None, "SUCCEEDED", None, "SUCCEEDED"]
    assert [line["event"] is None for line in found] == [False, False, True, False]
    assert found[2]["reason"] == "it came again, with the id of an event that had been taken"
    ran = (await lines(ada, area_id, outcomes=["RAN"]))["nodes"]
    assert [line["id"] for line in ran] == [found[3]["id"]]
    assert (await lines(ada, area_id, outcomes=["HELD"]))["nodes"] == []
    some = (await lines(ada, area_id, outcomes=["RAN", "HELD", "PAUSED"]))["nodes"]
    assert [line["outcome"] for line in some] == ["PAUSED", "RAN"]
    for line in found:
        again = "query($id: ID!) { node(id: $id) { ... on Delivery { id outcome } } }"
        assert (await ada.data(again, id=line["id"]))["node"] == {"id": line["id"], "outcome": line["outcome"]}
        assert (await eve.data(again, id=line["id"]))["node"] is None
    everything = "{ viewer { deliveries { nodes { id } } } }"
    assert len((await ada.data(everything))["viewer"]["deliveries"]["nodes"]) == 4
    assert (await eve.data(everything))["viewer"]["deliveries"]["nodes"] == []


async def test_a_held_run_says_so_in_the_ledger(ada: Client, platform: Platform) -> None:
    area_id = (await ada.data(CREATE, input=AREA))["createArea"]["area"]["id"]
    await fire(platform, area_id, 9)
    held = "UPDATE runs SET status = 'held', error = $2 WHERE area_id = $1"
    await platform.db.pool.execute(held, uuid_of(area_id, "Area"), {"message": "Connect the account again."})
    [line] = (await lines(ada, area_id, outcomes=["HELD"]))["nodes"]
    assert (line["outcome"], line["reason"], line["run"]["status"]) == ("HELD", "Connect the account again.", "HELD")


async def test_lines_of_both_kinds_come_in_pages_without_gap_or_repeat(ada: Client, platform: Platform) -> None:
    area_id = (await ada.data(CREATE, input=AREA))["createArea"]["area"]["id"]
    for n in (9, 1, 9, 9, 1, 1, 9):
        await fire(platform, area_id, n)
    whole = [line["id"] for line in (await lines(ada, area_id))["nodes"]]
    assert len(whole) == 7
    forward: list[str] = []
    after = None
    while True:
        page = await lines(ada, area_id, first=2, after=after)
        forward += [line["id"] for line in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            break
    assert forward == whole
    last = await lines(ada, area_id, last=3)
    assert [line["id"] for line in last["nodes"]] == whole[-3:]
    before = await lines(ada, area_id, last=3, before=last["pageInfo"]["startCursor"])
    assert [line["id"] for line in before["nodes"]] == whole[1:4]
    assert isinstance(uuid_of(whole[0], "Delivery"), UUID)
