"""API tokens by the API: what each scope may do, and what none may."""

from typing import Any

import pytest

from area.auth.service import AuthService
from tests.graphql.conftest import CREATE, LOG_AREA, Client

MAKE = """mutation($input: CreateApiTokenInput!) { createApiToken(input: $input) {
  secret apiToken { id name prefix scopes expiresAt lastUsedAt revokedAt } errors { code path } } }"""
END = "mutation($id: ID!) { revokeApiToken(input: {id: $id}) { apiToken { revokedAt } errors { code path } } }"
LIST = "{ viewer { apiTokens { nodes { id name } } } }"


async def make(client: Client, **given: Any) -> dict[str, Any]:
    answer: dict[str, Any] = (await client.data(MAKE, input={"name": "CI"} | given))["createApiToken"]
    assert answer["errors"] == []
    return answer


async def test_a_token_reads_what_its_owner_reads(ada: Client) -> None:
    area_id = await ada.create_area()
    made = await make(ada)
    shown = {"name": "CI", "scopes": ["READ"], "expiresAt": None, "lastUsedAt": None, "revokedAt": None}
    assert made["apiToken"] == shown | {"id": made["apiToken"]["id"], "prefix": made["secret"][:11]}
    program = Client(ada.http, made["secret"], ada.user_id)
    assert (await program.data("query($id: ID!) { node(id: $id) { id } }", id=area_id))["node"] == {"id": area_id}
    answer = await program.http.post(
        "/graphql", json={"query": CREATE, "variables": {"input": LOG_AREA}},
        headers={"authorization": f"Bearer {made['secret']}"},
    )  # fmt: skip
    assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (403, "FORBIDDEN")
    assert len((await ada.data("{ viewer { areas { nodes { id } } } }"))["viewer"]["areas"]["nodes"]) == 1


async def test_a_writing_token_makes_no_tokens(ada: Client) -> None:
    made = await make(ada, scopes=["READ", "WRITE"])
    program = Client(ada.http, made["secret"], ada.user_id)
    await program.create_area()
    for query, given in ((MAKE, {"input": {"name": "x"}}), (END, {"id": made["apiToken"]["id"]})):
        answer = await program.post(query, **given)
        assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert (await ada.data(LIST))["viewer"]["apiTokens"]["nodes"] == [{"id": made["apiToken"]["id"], "name": "CI"}]


async def test_a_revoked_token_is_listed_no_more(ada: Client, eve: Client) -> None:
    made = await make(ada)
    token_id = made["apiToken"]["id"]
    assert (await eve.data(END, id=token_id))["revokeApiToken"]["errors"] == [{"code": "NOT_FOUND", "path": ["id"]}]
    assert await eve.data("query($id: ID!) { node(id: $id) { id } }", id=token_id) == {"node": None}
    assert (await ada.data(END, id=token_id))["revokeApiToken"]["apiToken"]["revokedAt"] is not None
    assert (await ada.data(LIST))["viewer"]["apiTokens"]["nodes"] == []
    program = Client(ada.http, made["secret"], ada.user_id)
    assert (await program.post("{ __typename }"))["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


@pytest.mark.parametrize("by_refresh_token", [True, False])
async def test_sign_out_by_the_api(anonymous: Client, auth: AuthService, ada: Client, by_refresh_token: bool) -> None:
    up = "mutation($input: SignInInput!) { signIn(input: $input) { session { accessToken refreshToken } } }"
    email = (await ada.data("{ viewer { email } }"))["viewer"]["email"]
    session = (await anonymous.data(up, input={"email": email, "password": "long enough"}))["signIn"]["session"]
    device = Client(ada.http, session["accessToken"], ada.user_id)
    assert (await device.data("{ viewer { email } }"))["viewer"]["email"] == email
    out = "mutation($input: SignOutInput!) { signOut(input: $input) { errors { code } } }"
    if by_refresh_token:
        await anonymous.data(out, input={"refreshToken": session["refreshToken"]})
    else:
        await device.data(out, input={})
    assert (await device.post("{ viewer { email } }"))["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert (await ada.data("{ viewer { email } }"))["viewer"]["email"] == email
