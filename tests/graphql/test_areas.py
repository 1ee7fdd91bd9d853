"""AREAs and runs by the API: ownership, errors with paths, and the whole of an AREA in one query."""

from typing import Any

import pytest

from area.core.ids import new_id, to_global, uuid_of
from area.engine.platform import Platform
from tests.graphql.conftest import CREATE, LOG_AREA, Client

RUN = "mutation($id: ID!) { runArea(input: {id: $id}) { run { id status cause } errors { code path } } }"
CANCEL = "mutation($id: ID!) { cancelRun(input: {id: $id}) { run { id status } errors { code path } } }"
EVERYTHING = """query($id: ID!) { node(id: $id) { ... on Area {
  name status version publishedVersion mode action { key config definition { name delivery } account { id } }
  reactions { key reaction onFailure retry { attempts } definition { name fields { key } } }
  hook { kind status webhookUrl } versions { nodes { version } } deliveries { nodes { outcome } }
  lastRun { id } runs(first: 1) { nodes { id status areaVersion durationMs event { payload } failure { code }
    steps { key status output effect }
    log { nodes { seq kind level message stepKey step { key status } attributes } } area { id } replayOf { id } }
    pageInfo { hasNextPage endCursor } } } } }"""


async def test_sign_in_by_the_api(anonymous: Client) -> None:
    up = "mutation($input: SignUpInput!) { signUp(input: $input) { session { refreshToken } viewer { email }"
    given = {"email": f"{id(anonymous)}.ada@example.com", "password": "long enough"}
    made = await anonymous.data(up + " errors { code path } } }", input=given)
    assert made["signUp"]["viewer"] == {"email": given["email"]}
    wrong = await anonymous.data(
        "mutation($input: SignInInput!) { signIn(input: $input) { viewer { id } errors { code path } } }",
        input=given | {"password": "wrong one"},
    )
    assert wrong["signIn"] == {"viewer": None, "errors": [{"code": "WRONG_CREDENTIALS", "path": ["password"]}]}
    assert (await anonymous.data("{ viewer { id } }")) == {"viewer": None}


async def test_nobody_changes_nothing(anonymous: Client) -> None:
    answer = await anonymous.post(CREATE, input=LOG_AREA)
    assert answer["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert answer["data"] == {"createArea": None}


async def test_an_area_from_end_to_end(ada: Client, platform: Platform) -> None:
    area_id = await ada.create_area()
    started = (await ada.data(RUN, id=area_id))["runArea"]
    run_id = uuid_of(started["run"]["id"], "Run")
    assert started["run"] | {"id": ""} == {"id": "", "status": "QUEUED", "cause": "MANUAL"}
    assert run_id is not None
    await platform.executor().execute([run_id])
    area = (await ada.data(EVERYTHING, id=area_id))["node"]
    run = area["runs"]["nodes"][0]
    assert (area["status"], area["mode"], area["hook"]["kind"]) == ("ENABLED", "SEQUENTIAL", "WEBHOOK")
    assert area["hook"]["webhookUrl"].startswith(f"{platform.settings.public_url}/hooks/")
    assert (run["status"], run["areaVersion"], run["area"]["id"]) == ("SUCCEEDED", 1, area_id)
    assert [step["status"] for step in run["steps"]] == ["SUCCEEDED"]
    assert [entry["seq"] for entry in run["log"]["nodes"]] == list(range(1, len(run["log"]["nodes"]) + 1))
    assert run["log"]["nodes"][-1]["kind"] == "RUN_SUCCEEDED"
    done = next(entry for entry in run["log"]["nodes"] if entry["kind"] == "STEP_SUCCEEDED")
    assert (done["stepKey"], done["step"]) == ("log", {"key": "log", "status": "SUCCEEDED"})
    assert done["attributes"]["output"] == run["steps"][0]["output"]
    assert run["log"]["nodes"][-1]["step"] is None


async def test_figures_count_what_there_is(ada: Client, platform: Platform) -> None:
    area_id = await ada.create_area()
    run_id = uuid_of((await ada.data(RUN, id=area_id))["runArea"]["run"]["id"], "Run")
    asked = """query($id: ID!, $since: DateTime) { viewer { usage { areas areasLimit } }
      node(id: $id) { ... on Area { stats(since: $since) { succeeded failed cancelled unfinished } } } }"""
    before = await ada.data(asked, id=area_id)
    assert before["node"]["stats"] == {"succeeded": 0, "failed": 0, "cancelled": 0, "unfinished": 1}
    assert run_id is not None
    await platform.executor().execute([run_id])
    after = await ada.data(asked, id=area_id)
    assert after["node"]["stats"] == {"succeeded": 1, "failed": 0, "cancelled": 0, "unfinished": 0}
    later = await ada.data(asked, id=area_id, since="2999-01-01T00:00:00+00:00")
    assert set(later["node"]["stats"].values()) == {0}
    assert after["viewer"]["usage"]["areasLimit"] == platform.settings.max_areas
    assert after["viewer"]["usage"]["areas"] >= 1


async def test_errors_name_their_place(ada: Client) -> None:
    reactions: list[dict[str, Any]] = [
        {"reaction": "flow.lgo", "config": {}},
        {"reaction": "flow.log", "config": {}, "accountId": "x"},
    ]
    made = await ada.data(CREATE, input={"name": " ", "action": {"action": "webhook.received"}, "reactions": reactions})
    assert made["createArea"]["area"] is None
    assert [error["path"] for error in made["createArea"]["errors"]] == [["reactions", "1", "accountId"]]
    del reactions[1]["accountId"]
    made = await ada.data(CREATE, input={"name": " ", "action": {"action": "webhook.received"}, "reactions": reactions})
    paths = [error["path"] for error in made["createArea"]["errors"]]
    assert ["name"] in paths
    assert ["reactions", "1", "config", "message"] in paths
    assert any(path[:2] == ["reactions", "0"] for path in paths)


async def test_what_is_not_yours_is_not_there(ada: Client, eve: Client, platform: Platform) -> None:
    area_id = await ada.create_area()
    run_id = (await ada.data(RUN, id=area_id))["runArea"]["run"]["id"]
    hook_id = (await ada.data("query($id: ID!) { node(id: $id) { ... on Area { hook { id } } } }", id=area_id))["node"]
    ids = [area_id, run_id, hook_id["hook"]["id"]]
    query = "query($ids: [ID!]!) { nodes(ids: $ids) { id } viewer { areas { nodes { id } } runs { nodes { id } } } }"
    assert [node["id"] for node in (await ada.data(query, ids=ids))["nodes"]] == ids
    assert await eve.data(query, ids=ids) == {
        "nodes": [None, None, None],
        "viewer": {"areas": {"nodes": []}, "runs": {"nodes": []}},
    }
    assert (await eve.data(CANCEL, id=run_id))["cancelRun"]["errors"][0]["code"] == "NOT_FOUND"
    assert (await eve.data(RUN, id=area_id))["runArea"]["errors"][0] == {"code": "NOT_FOUND", "path": ["id"]}
    status = await platform.db.pool.fetchval("SELECT status FROM runs WHERE id = $1", uuid_of(run_id, "Run"))
    assert status == "queued"
    assert (await ada.data(CANCEL, id=run_id))["cancelRun"]["run"]["status"] == "CANCELLED"


async def test_pages_meet_without_gap(ada: Client) -> None:
    made = [await ada.create_area() for _ in range(3)]
    query = """query($first: Int, $after: String, $last: Int, $before: String) { viewer {
      areas(first: $first, after: $after, last: $last, before: $before) {
        nodes { id } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } }"""
    one = (await ada.data(query, first=2))["viewer"]["areas"]
    two = (await ada.data(query, first=2, after=one["pageInfo"]["endCursor"]))["viewer"]["areas"]
    assert [node["id"] for node in one["nodes"] + two["nodes"]] == made[::-1]
    assert (one["pageInfo"]["hasNextPage"], two["pageInfo"]["hasNextPage"]) == (True, False)
    back = (await ada.data(query, last=2, before=two["pageInfo"]["startCursor"]))["viewer"]["areas"]
    assert back["nodes"] == one["nodes"]
    for bad in ({"first": 0}, {"first": 101}, {"after": "nonsense"}):
        answer = await ada.post(query, **bad)
        assert answer["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_areas_are_filtered_and_put_in_order(ada: Client) -> None:
    beta, alpha = await ada.create_area(name="Beta"), await ada.create_area(name="Alpha")
    tick = {"action": "schedule.every", "config": {"seconds": 300}}
    gamma = await ada.create_area(name="gamma_%", action=tick, isEnabled=False)
    query = """query($filter: AreaFilter, $order: AreaOrder, $first: Int, $after: String) { viewer {
      areas(filter: $filter, orderBy: $order, first: $first, after: $after) { nodes { id } pageInfo { endCursor } } } }"""

    async def listed(**given: Any) -> list[str]:
        return [node["id"] for node in (await ada.data(query, **given))["viewer"]["areas"]["nodes"]]

    assert await listed() == [gamma, alpha, beta]
    by_name = {"field": "NAME", "direction": "ASC"}
    assert (await listed(order=by_name))[:2] == [alpha, beta]
    one = (await ada.data(query, order=by_name, first=1))["viewer"]["areas"]
    assert (await listed(order=by_name, first=1, after=one["pageInfo"]["endCursor"])) == [beta]
    assert await listed(order={"field": "UPDATED_AT", "direction": "ASC"}) == [beta, alpha, gamma]
    assert await listed(filter={"search": "_%"}) == [gamma]
    assert await listed(filter={"statuses": ["DISABLED", "PAUSED"]}) == [gamma]
    assert await listed(filter={"action": "schedule.every"}) == [gamma]
    assert await listed(filter={"reaction": "flow.log", "search": "a", "statuses": ["ENABLED"]}) == [alpha, beta]
    wrong = await ada.post(query, after=one["pageInfo"]["endCursor"])
    assert wrong["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


@pytest.mark.parametrize("version", [1, 7])
async def test_an_update_needs_the_version_it_changed(ada: Client, version: int) -> None:
    area_id = await ada.create_area()
    update = """mutation($input: UpdateAreaInput!) { updateArea(input: $input) {
      area { version name } errors { code ... on ConflictError { currentVersion } } } }"""
    given = LOG_AREA | {"id": area_id, "expectedVersion": version, "name": "New"}
    answer = (await ada.data(update, input=given))["updateArea"]
    if version == 1:
        assert answer == {"area": {"version": 2, "name": "New"}, "errors": []}
    else:
        assert answer == {"area": None, "errors": [{"code": "CONFLICT", "currentVersion": 1}]}


async def test_the_catalogue(anonymous: Client) -> None:
    query = """{ services(first: 100) { nodes { key actions { key delivery inputSchema sample fields { key label } }
      reactions { key isIdempotent outputs { key example } } } } service(key: "flow") { name logoUrl }
      email: service(key: "email") { reactions { key timeoutSeconds attempts } } }"""
    found = await anonymous.data(query)
    assert "flow" in [service["key"] for service in found["services"]["nodes"]]
    assert found["service"]["logoUrl"].endswith("/services/flow/logo.svg")
    assert found["email"]["reactions"] == [{"key": "email.send", "timeoutSeconds": 60, "attempts": 12}]


async def test_an_account_of_somebody_else_cannot_be_used(ada: Client, eve: Client, platform: Platform) -> None:
    account = new_id()
    insert = "INSERT INTO connected_accounts (id, user_id, service, label, external_id) VALUES ($1, $2, 'github', 'eve', 'e1')"
    await platform.db.pool.execute(insert, account, eve.user_id)
    action = {"action": "webhook.received", "accountId": to_global("ConnectedAccount", account)}
    made = (await ada.data(CREATE, input=LOG_AREA | {"action": action}))["createArea"]
    assert made == {"area": None, "errors": [{"code": "NOT_FOUND", "path": ["action", "accountId"]}]}


async def test_an_area_says_what_becomes_of_events_beyond_its_limit(ada: Client) -> None:
    make = """mutation($input: CreateAreaInput!) { createArea(input: $input) {
      area { maxConcurrentRuns overlap versions { nodes { maxConcurrentRuns overlap } } } errors { path } } }"""
    plain = (await ada.data(make, input=LOG_AREA))["createArea"]["area"]
    limited = LOG_AREA | {"maxConcurrentRuns": 2, "overlap": "DROP"}
    dropping = (await ada.data(make, input=limited))["createArea"]["area"]
    none = (await ada.data(make, input=LOG_AREA | {"maxConcurrentRuns": 0}))["createArea"]
    assert (plain["maxConcurrentRuns"], plain["overlap"]) == (None, "QUEUE")
    assert dropping["versions"]["nodes"] == [{"maxConcurrentRuns": 2, "overlap": "DROP"}]
    assert none == {"area": None, "errors": [{"path": ["maxConcurrentRuns"]}]}
