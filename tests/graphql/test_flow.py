"""Approvals, loops, calls and trials by the API."""

import json
from typing import Any

from area.core.ids import new_id, to_global, uuid_of
from area.engine.platform import Platform
from tests.engine.conftest import Sink
from tests.engine.conftest import sink as sink
from tests.graphql.conftest import CREATE, LOG_AREA, Client

RUN = """mutation($id: ID!, $payload: JSON) { runArea(input: {id: $id, payload: $payload}) {
  run { id } errors { message } } }"""
STEPS = """query($id: ID!) { node(id: $id) { ... on Run { id status cause calledBy { id }
  steps { key status output approvalUrl calledRun { id status cause calledBy { id } } items { key status output } }
  log { nodes { stepKey step { key } } } } } }"""
DECIDE = """mutation($input: DecideApprovalInput!) { decideApproval(input: $input) {
  run { id status } errors { code message path } } }"""
TRY = """mutation($input: TestReactionInput!) { testReaction(input: $input) { trial { input output waitsUntil endsRun
  durationMs failure { code message } log { level message } } errors { code path ... on InvalidInputError { suggestion } } } }"""


async def started(client: Client, platform: Platform, reactions: list[Any], payload: Any, **more: Any) -> str:
    made = (await client.data(CREATE, input={**LOG_AREA, "reactions": reactions, **more}))["createArea"]
    assert made["errors"] == []
    run_id: str = (await client.data(RUN, id=made["area"]["id"], payload=payload))["runArea"]["run"]["id"]
    await executed(platform, run_id)
    return run_id


async def executed(platform: Platform, run_id: str) -> None:
    key = uuid_of(run_id, "Run")
    assert key is not None
    await platform.executor().execute([key])


async def test_an_approval_is_decided_by_its_owner_alone(ada: Client, eve: Client, platform: Platform) -> None:
    asks = {"reaction": "flow.approval", "key": "ask", "config": {"message": "OK?"}}
    run_id = await started(ada, platform, [asks], {})
    [step] = (await ada.data(STEPS, id=run_id))["node"]["steps"]
    assert step["status"] == "WAITING"
    assert step["approvalUrl"].startswith(f"{platform.settings.public_url}/approvals/")
    given = {"runId": run_id, "step": "ask", "decision": "APPROVE", "comment": "fine"}
    refused = (await eve.data(DECIDE, input=given))["decideApproval"]
    assert [(error["code"], error["path"]) for error in refused["errors"]] == [("NOT_FOUND", ["runId"])]
    done = (await ada.data(DECIDE, input=given))["decideApproval"]
    assert done == {"run": {"id": run_id, "status": "QUEUED"}, "errors": []}
    again = (await ada.data(DECIDE, input=given | {"decision": "REJECT"}))["decideApproval"]
    assert [error["code"] for error in again["errors"]] == ["CONFLICT"]
    await executed(platform, run_id)
    run = (await ada.data(STEPS, id=run_id))["node"]
    assert run["status"] == "SUCCEEDED"
    assert (run["steps"][0]["output"]["approved"], run["steps"][0]["output"]["comment"]) == (True, "fine")
    assert run["steps"][0]["approvalUrl"] is None


async def test_a_question_is_not_resumed_past(ada: Client, platform: Platform) -> None:
    run_id = await started(
        ada, platform, [{"reaction": "flow.approval", "key": "ask", "config": {"message": "OK?"}}], {}
    )
    resume = "mutation($id: ID!) { resumeRun(input: {id: $id}) { run { status } errors { code message } } }"
    answer = (await ada.data(resume, id=run_id))["resumeRun"]
    assert [error["code"] for error in answer["errors"]] == ["CONFLICT"]
    assert "waits for a decision" in answer["errors"][0]["message"]
    await executed(platform, run_id)
    assert (await ada.data(STEPS, id=run_id))["node"]["status"] == "WAITING"


async def test_a_loop_shows_its_items(ada: Client, platform: Platform) -> None:
    config = {"items": "{{ trigger.body }}", "reaction": "flow.log", "config": {"message": "{{ item }}"}}
    run_id = await started(
        ada, platform, [{"reaction": "flow.for_each", "key": "l", "config": config}], {"body": [1, 2]}
    )
    run = (await ada.data(STEPS, id=run_id))["node"]
    [step] = run["steps"]
    assert [(item["key"], item["status"], item["output"]["message"]) for item in step["items"]] == [
        ("l[0]", "SUCCEEDED", "1"),
        ("l[1]", "SUCCEEDED", "2"),
    ]
    assert {"stepKey": "l[1]", "step": {"key": "l[1]"}} in run["log"]["nodes"]


async def test_a_call_links_both_runs(ada: Client, platform: Platform) -> None:
    other = (await ada.data(CREATE, input=LOG_AREA | {"action": {"action": "area.called"}}))["createArea"]["area"]["id"]
    run_id = await started(
        ada, platform, [{"reaction": "flow.call_area", "key": "c", "config": {"area_id": other}}], {}
    )
    called = (await ada.data(STEPS, id=run_id))["node"]["steps"][0]["calledRun"]
    assert called | {"id": ""} == {"id": "", "status": "QUEUED", "cause": "CALL", "calledBy": {"id": run_id}}
    assert (await ada.data(STEPS, id=called["id"]))["node"]["calledBy"] == {"id": run_id}


async def test_a_reaction_is_tried_once_for_real(ada: Client, platform: Platform, sink: Sink) -> None:
    config = {"url": sink.url, "method": "POST", "body": {"n": "{{ trigger.body.n }}", "s": "{{ steps.a.s }}"}}
    tried = (
        await ada.data(
            TRY,
            input={
                "reaction": {"reaction": "http.request", "config": config},
                "action": "webhook.received",
                "payload": {"body": {"n": 7}},
                "steps": {"a": {"s": "x"}},
            },
        )
    )["testReaction"]
    assert tried["errors"] == []
    assert tried["trial"]["failure"] is None
    assert tried["trial"]["output"]["status"] == 200
    assert [json.loads(body) for _, _, body in sink.calls] == [{"n": 7, "s": "x"}]
    assert await platform.db.pool.fetchval("SELECT count(*) FROM runs WHERE user_id = $1", ada.user_id) == 0


async def test_a_trial_tells_what_a_run_would_do(ada: Client, sink: Sink) -> None:
    async def tried(reaction: str, config: Any, **more: Any) -> Any:
        given = {"reaction": {"reaction": reaction, "config": config}, "payload": {"n": 1}, **more}
        return (await ada.data(TRY, input=given))["testReaction"]["trial"]

    sink.answers = [(404, {}), (500, {})]
    get = {"url": sink.url, "method": "GET"}
    assert (await tried("http.request", get))["failure"]["code"] == "HTTP_404"
    assert (await tried("http.request", get))["failure"]["code"] == "UNAVAILABLE"
    assert len(sink.calls) == 2, "nothing is tried again"
    closed = {"url": "http://127.0.0.1:9", "method": "GET"}
    assert (await tried("http.request", closed))["failure"]["code"] == "UNREACHABLE"
    assert (await tried("flow.delay", {"seconds": 60}))["waitsUntil"] is not None
    assert (await tried("flow.filter", {"condition": "trigger.n > 1"}))["endsRun"] == "The condition is false."
    logged = await tried("flow.log", {"message": "n is {{ trigger.n }}", "level": "warning"})
    assert (logged["log"], logged["output"]["lines"]) == ([{"level": "WARNING", "message": "n is 1"}], 1)
    assert (await tried("flow.delay", {"seconds": "{{ trigger.n | times: 0 }}"}))["failure"]["code"] == "INVALID_INPUT"
    endless = "{% for a in (1..9000) %}{% endfor %}{% for a in (1..9000) %}{% endfor %}{{ trigger.n }}"
    assert (await tried("flow.log", {"message": endless}))["failure"]["code"] == "TEMPLATE_FAILED"


async def test_a_trial_is_checked_first(ada: Client, platform: Platform) -> None:
    async def refused(**given: Any) -> list[tuple[str, list[str], str | None]]:
        answer = (await ada.data(TRY, input=given))["testReaction"]
        assert answer["trial"] is None
        return [(error["code"], error["path"], error.get("suggestion")) for error in answer["errors"]]

    log = {"reaction": "flow.log", "config": {"message": "{{ trigger.bdy }}"}}
    assert await refused(reaction=log, action="webhook.received") == [
        ("UNKNOWN_REFERENCE", ["reaction", "config", "message"], "trigger.body")
    ]
    assert await refused(reaction={"reaction": "flow.lgo"}) == [
        ("UNKNOWN_REACTION", ["reaction", "reaction"], "flow.log")
    ]
    assert await refused(reaction={"reaction": "flow.approval", "config": {"message": "?"}}) == [
        ("NOT_TRIABLE", ["reaction", "reaction"], None)
    ]
    stranger = to_global("ConnectedAccount", new_id())
    assert await refused(reaction={"reaction": "flow.log", "config": {"message": "x"}, "accountId": stranger}) == [
        ("NOT_FOUND", ["reaction", "accountId"], None)
    ]
    event = to_global("Event", new_id())
    assert await refused(reaction=LOG_AREA["reactions"][0], eventId=event) == [("NOT_FOUND", ["eventId"], None)]  # type: ignore[index]


async def test_a_past_event_is_tried_again(ada: Client, eve: Client, platform: Platform) -> None:
    say = [{"reaction": "flow.log", "config": {"message": "Hi {{ trigger.body.name }}"}}]
    run_id = await started(ada, platform, say, {"body": {"name": "Ada"}})
    key = uuid_of(run_id, "Run")
    event_id = await platform.db.pool.fetchval("SELECT event_id FROM runs WHERE id = $1", key)
    event = to_global("Event", event_id)
    tried = (await ada.data(TRY, input={"reaction": say[0], "eventId": event}))["testReaction"]
    assert tried["trial"]["output"]["message"] == "Hi Ada"
    assert (await eve.data(TRY, input={"reaction": say[0], "eventId": event}))["testReaction"]["trial"] is None
    both = (await ada.data(TRY, input={"reaction": say[0], "eventId": event, "payload": {}}))["testReaction"]
    assert [(error["code"], error["path"]) for error in both["errors"]] == [("INVALID_INPUT", ["eventId"])]
    area_id = to_global("Area", await platform.db.pool.fetchval("SELECT area_id FROM runs WHERE id = $1", key))
    test = """mutation($id: ID!, $event: ID) { testArea(input: {id: $id, eventId: $event}) {
      run { id isTest event { payload } } errors { code } } }"""
    answer = (await ada.data(test, id=area_id, event=event))["testArea"]
    assert (answer["errors"], answer["run"]["isTest"]) == ([], True)
    assert answer["run"]["event"]["payload"] == {"body": {"name": "Ada"}}
