"""GraphQL over HTTP: bodies, types, statuses, and errors that leak nothing."""

from typing import Any

import pytest
from graphql import GraphQLInputObjectType, build_client_schema, get_introspection_query

from area.graphql.app import RESPONSE_JSON, GraphQLApp
from area.graphql.loaders import Loaders
from tests.graphql.conftest import Client

JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"1", b'"x"', b"[]", b'[{"query":"{__typename}"}]', b"\xff\xfe", b"[" * 100_000, b"{}",
        b'{"query":1}', b'{"query":"{__typename}","variables":[]}', b'{"query":"{__typename}","operationName":1}',
        b'{"query":"{__typename}","extensions":1}',
    ],
)  # fmt: skip
async def test_bad_bodies_are_400(anonymous: Client, body: bytes) -> None:
    answer = await anonymous.http.post("/graphql", content=body, headers=JSON)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_simple_requests_are_refused(anonymous: Client, kind: str) -> None:
    answer = await anonymous.http.post("/graphql", content=b'{"query":"{__typename}"}', headers={"content-type": kind})
    assert answer.status_code == 415


async def test_too_large_a_body_is_413(anonymous: Client) -> None:
    answer = await anonymous.http.post("/graphql", content=b" " * (2 << 20), headers=JSON)
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("accept", "kind", "status"),
    [(RESPONSE_JSON, RESPONSE_JSON, 400), ("*/*", RESPONSE_JSON, 400), ("application/json", "application/json", 200)],
)
async def test_status_follows_accept(anonymous: Client, accept: str, kind: str, status: int) -> None:
    answer = await anonymous.http.post("/graphql", json={"query": "{ nonsense }"}, headers={"accept": accept})
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith(kind)
    assert "data" not in answer.json()
    assert answer.json()["errors"][0]["extensions"]["code"] == "GRAPHQL_VALIDATION_FAILED"


async def test_accept_without_json_is_406(anonymous: Client) -> None:
    answer = await anonymous.http.post("/graphql", json={"query": "{__typename}"}, headers={"accept": "image/png"})
    assert answer.status_code == 406


async def test_get_is_for_queries(anonymous: Client) -> None:
    found = await anonymous.http.get("/graphql", params={"query": "{ __typename }"})
    assert found.json()["data"] == {"__typename": "Query"}
    mutation = 'mutation { signOut(input: {refreshToken: "x"}) { errors { code } } }'
    assert (await anonymous.http.get("/graphql", params={"query": mutation})).status_code == 405
    assert (await anonymous.http.put("/graphql")).status_code == 405


async def test_a_bad_token_is_401(anonymous: Client) -> None:
    headers = {"authorization": "Bearer nonsense"}
    answer = await anonymous.http.post("/graphql", json={"query": "{ __typename }"}, headers=headers)
    assert answer.status_code == 401
    assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_variables_of_the_wrong_type_are_400(anonymous: Client) -> None:
    query = "query($id: ID!) { node(id: $id) { id } }"
    answer = await anonymous.http.post("/graphql", json={"query": query, "variables": {"id": {}}})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


async def test_an_internal_error_leaks_nothing(ada: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_self: Loaders) -> Any:
        raise RuntimeError("secret text")

    monkeypatch.setattr(Loaders, "user", broken)
    answer = await ada.post("{ viewer { id } }")
    error = answer["errors"][0]
    assert error["extensions"]["code"] == "INTERNAL"
    assert error["extensions"]["reference"] in error["message"]
    assert "secret text" not in str(answer)


async def test_introspection_is_whole(anonymous: Client) -> None:
    answer = await anonymous.post(get_introspection_query(input_value_deprecation=True))
    assert "errors" not in answer
    client = build_client_schema(answer["data"])
    given = client.type_map["CreateAreaInput"]
    assert isinstance(given, GraphQLInputObjectType)
    assert "config" in str(client.type_map["AreaActionInput"].to_kwargs()["fields"])
    shown = {field["name"]: field["defaultValue"] for kind in answer["data"]["__schema"]["types"]
             if kind["name"] == "AreaActionInput" for field in kind["inputFields"]}  # fmt: skip
    assert shown == {"action": None, "accountId": "null", "config": "{  }"}


async def test_cost_is_told_and_bounded(ada: Client, app: GraphQLApp) -> None:
    answer = await ada.post("{ viewer { areas(first: 10) { nodes { id } } } }")
    assert answer["extensions"]["cost"]["requested"] == 22
    assert answer["extensions"]["cost"]["available"] <= app.executor._buckets.capacity - 22
    deep = "{ viewer { runs(first: 100) { nodes { area { runs(first: 100) { nodes { id status } } } } } } }"
    assert (await ada.post(deep))["errors"][0]["extensions"]["code"] == "QUERY_TOO_EXPENSIVE"
    app.executor._buckets.spend(str(ada.user_id), app.executor._buckets.capacity - 30)
    assert (await ada.post("{ __typename }"))["data"]
