"""The checker of answers bites: answers as the providers give them pass, and one wrong thing in each is found."""

from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator

from tests.contract.answers import DISCOVERY, OPENAPI, official, root_of, schema_of
from tests.contract.documents import ContractBroken, read
from tests.contract.plugin import Contract, Contracts
from tests.contract.schemas import errors
from tests.providers.base import StandIn, serving
from tests.providers.calls import Call, Fault

USER = {
    "id": "1",
    "login": "ada",
    "display_name": "Ada",
    "type": "",
    "broadcaster_type": "partner",
    "description": "",
    "profile_image_url": "https://x.test/a.png",
    "offline_image_url": "",
    "view_count": 0,
    "created_at": "2016-12-14T20:32:28Z",
}
PAGE = {"href": "x", "items": [{"added_at": "2026-03-01T08:00:00Z"}], "limit": 1, "next": None, "offset": 0}
PAGE |= {"previous": None, "total": 1}
MESSAGE = {"message_id": 5, "date": 1763892672, "chat": {"id": 42, "type": "private"}}


def answered(method: str, url: str, body: Any, status: int = 200, sent: Any = None) -> httpx.Response:
    return httpx.Response(status, json=body, request=httpx.Request(method, url, json=sent))


@pytest.mark.parametrize(
    ("name", "method", "path", "body", "broken", "why"),
    [
        (
            "twitch",
            "GET",
            "/helix/users",
            {"data": [USER]},
            {"data": [{**USER, "id": 1}]},
            "data/0/id: 1 is not of type",
        ),
        (
            "twitch",
            "GET",
            "/helix/users",
            {"data": []},
            {"data": [{**USER, "mood": ""}]},
            "data/0: Unevaluated .*'mood'",
        ),
        (
            "telegram",
            "POST",
            "/bot1:a/sendMessage",
            {"ok": True, "result": MESSAGE},
            {"ok": True, "result": {}},
            "chat",
        ),
        (
            "telegram",
            "GET",
            "/bot1:a/getMe",
            {"ok": False, "error_code": 401, "description": "No"},
            {"ok": True},
            "result",
        ),
        (
            "gmail",
            "GET",
            "/gmail/v1/users/me/profile",
            {"historyId": "7"},
            {"historyId": 7},
            "historyId: 7 is not of type",
        ),
        ("calendar", "POST", "/calendar/v3/calendars/primary/events", {"id": "abc"}, {"title": "x"}, "'title'"),
        ("sheets", "GET", "/v4/spreadsheets/1/values/A1", {"values": [["a"]]}, {"values": ["a"]}, "values/0"),
        ("spotify", "GET", "/v1/me", {"id": "ada"}, {"id": "ada", "nickname": "a"}, "'nickname'"),
        ("spotify", "GET", "/v1/me/tracks", PAGE, {**PAGE, "items": [{"saved_at": "x"}]}, "'saved_at'"),
        (
            "slack",
            "POST",
            "/api/chat.postMessage",
            {"ok": False, "error": "new_code"},
            {"ok": True, "channel": "C1"},
            "ts",
        ),
        ("notion", "GET", "/v1/users/me", {"object": "user"}, ["no object"], "is not of type 'object'"),
        (
            "bluesky",
            "GET",
            "/xrpc/com.atproto.identity.resolveHandle",
            {"did": "did:plc:a"},
            {"id": "x"},
            "'did' is a req",
        ),
    ],
)
def test_answers(contract: Contracts, name: str, method: str, path: str, body: Any, broken: Any, why: str) -> None:
    url, status = f"https://{name}.test{path}", 401 if isinstance(body, dict) and "error_code" in body else 200
    contract(name).answer(answered(method, url, body, status))
    with pytest.raises(ContractBroken, match=why):
        contract(name).answer(answered(method, url, broken))


@pytest.mark.parametrize("method", ["chat.postMessage", "conversations.list", "users.info", "conversations.history"])
def test_slack_s_own_examples_pass(contract: Contracts, method: str) -> None:
    slack = contract("slack")
    item = read("slack/web_api.swagger2.trimmed.json")["paths"][f"/{method}"]
    verb, called = next(iter(item.items()))
    for answer in called["responses"].values():
        for example in answer.get("examples", {}).values():
            slack.answer(answered(verb.upper(), f"https://slack.com/api/{method}", example))


def test_a_status_that_is_not_described_and_a_body_that_is_no_json(contract: Contracts) -> None:
    twitch, url = contract("twitch"), "https://api.twitch.tv/helix/users"
    with pytest.raises(ContractBroken, match="status 201; the specification has 200"):
        twitch.answer(answered("GET", url, {"data": []}, 201))
    with pytest.raises(ContractBroken, match="content-type 'text/plain; charset=utf-8', not JSON"):
        twitch.answer(httpx.Response(200, text="{}", request=httpx.Request("GET", url)))


QUERY = "query Team($id: String!) { team(id: $id) { id name issues { nodes { title } } } }"


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        ({"query": QUERY, "variables": {}}, "to be provided"),
        ({"query": QUERY, "variables": {"id": "a", "more": 1}}, r"\$more is not declared"),
        ({"query": "{ team(id: 1) { colour } }"}, "Cannot query field 'colour'"),
        ({"query": "{"}, "no GraphQL request"),
    ],
)
def test_linear_requests(contract: Contracts, sent: Any, why: str) -> None:
    linear = contract("linear")
    linear.request(
        httpx.Request("POST", "https://api.linear.app/graphql", json={"query": QUERY, "variables": {"id": "a"}})
    )
    with pytest.raises(ContractBroken, match=why):
        linear.request(httpx.Request("POST", "https://api.linear.app/graphql", json=sent))


def test_linear_answers(contract: Contracts) -> None:
    team: dict[str, Any] = {"id": "a", "name": "A", "issues": {"nodes": [{"title": "t"}]}}

    def check(body: Any) -> None:
        sent = {"query": QUERY, "variables": {"id": "a"}}
        contract("linear").answer(answered("POST", "https://api.linear.app/graphql", body, sent=sent))

    check({"data": {"team": team}})
    check({"data": None, "errors": [{"message": "no"}]})
    for broken, why in (
        ({**team, "name": None}, "data/team/name is null"),
        ({**team, "issues": {"nodes": [{}]}}, "nodes/0/title is missing"),
        ({**team, "extra": 1}, "extra was not asked for"),
        ({**team, "name": 5}, "data/team/name"),
    ):
        with pytest.raises(ContractBroken, match=why):
            check({"data": {"team": broken}})


POST = {"$type": "app.bsky.feed.post", "text": "hi", "createdAt": "2026-11-23T10:00:00Z"}


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (POST, None),
        ({**POST, "createdAt": "yesterday"}, "createdAt"),
        ({**POST, "text": 5}, "record/text: 5 is not of type"),
        ({**POST, "text": "é" * 1501}, "longer than 3000 bytes"),
        ({**POST, "$type": "app.bsky.feed.like"}, "not the collection"),
        ({**POST, "facets": [{"index": {"byteStart": 0}, "features": []}]}, "byteEnd"),
    ],
)
def test_bluesky_records(contract: Contracts, record: Any, why: str | None) -> None:
    body = {"repo": "did:plc:a", "collection": "app.bsky.feed.post", "record": record}
    request = httpx.Request("POST", "https://bsky.test/xrpc/com.atproto.repo.createRecord", json=body)
    if why is None:
        contract("bluesky").request(request)
    else:
        with pytest.raises(ContractBroken, match=why):
            contract("bluesky").request(request)


async def test_wrapped_transport_and_hook_check_what_is_sent(contract: Contracts) -> None:
    twitch: Contract = contract("twitch")
    headers = {"Authorization": "Bearer t", "Client-Id": "c"}
    answer = twitch.wrap(lambda _: httpx.Response(200, json={"data": [USER]}))
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer), headers=headers) as client:
        await client.get("https://api.twitch.tv/helix/users")
        with pytest.raises(ContractBroken, match="no query parameter name"):
            await client.get("https://api.twitch.tv/helix/users?name=ada")
        client.event_hooks = {"request": [twitch.hook]}
        with pytest.raises(ContractBroken, match="has no GET /helix/user"):
            await client.get("https://api.twitch.tv/helix/user")
    assert twitch.checked == 1


class Twitchy(StandIn):
    """A stand-in with one route of Twitch's, and one wrong field on demand."""

    base_path = "/helix"

    def __init__(self) -> None:
        super().__init__("twitch")
        self.more: dict[str, Any] = {}
        self.route("GET", "/helix/users", self.answer)

    async def answer(self, call: Call) -> Any:
        return {"data": [{**USER, **self.more}]}


async def test_audit_checks_what_reached_a_stand_in_and_what_it_answered(contract: Contracts) -> None:
    async with serving(standin := Twitchy()):
        with pytest.raises(ContractBroken, match="asked nothing"):
            contract("twitch").audit(standin)
        token = standin.auth.issue(standin.users[0])["access_token"]
        headers = {"Authorization": f"Bearer {token}", "Client-Id": "c"}
        async with httpx.AsyncClient(base_url=f"{standin.url}/helix", headers=headers) as client:
            standin.next(Fault(status=500, body="<p>"))
            await client.get("/users?login=ada")
            await client.get("/users", params={"id": "1"})
            contract("twitch").audit(standin)
            standin.more = {"email": None}
            await client.get("/users")
            with pytest.raises(ContractBroken, match=r"data/0.*email"):
                contract("twitch").audit(standin)
            standin.calls.clear()
            await client.get("/users?nick=ada")
            with pytest.raises(ContractBroken, match="no query parameter nick"):
                contract("twitch").audit(standin)


@pytest.mark.parametrize("name", [*OPENAPI, *DISCOVERY, "telegram"])
def test_every_schema_of_a_specification_is_a_schema(contract: Contracts, name: str) -> None:
    contract(name)
    document = official(name)
    assert document
    schemas = [
        schema_of(document, operation, status)
        for operation in document.operations
        for status, schema in operation.answers.items()
        if schema is not None
    ]
    assert schemas
    for schema in schemas:
        Draft202012Validator.check_schema(schema)
        errors(root_of(document), schema, {})  # every reference leads somewhere
