"""The checker of requests bites: every self-test of the specifications gets its verdict."""

import json
from typing import Any

import httpx
import pytest

from tests.contract.documents import SHARED, SPECS, ContractBroken
from tests.contract.plugin import Contracts
from tests.contract.requests import check_request

FILE = SPECS / "derived/selftest_cases.jsonl"
CASES: list[Any] = [json.loads(line) for line in FILE.read_text().splitlines()] if FILE.exists() else []
needs_specs = pytest.mark.skipif(not CASES, reason=f"the providers' specifications are not there: {SHARED} is missing")


@needs_specs
def test_every_self_test_gets_its_verdict() -> None:
    wrong = []
    for case in CASES:
        body = case["body"]
        content = body.encode() if isinstance(body, str) else None if body is None else json.dumps(body).encode()
        request = httpx.Request(case["method"], case["url"], headers=case["headers"], content=content)
        try:
            check_request(case["name"].partition(":")[0], request)
            verdict = "valid"
        except ContractBroken:
            verdict = "invalid"
        if verdict != case["expect"]:
            wrong.append(case["name"])
    assert (len(CASES), wrong) == (77, [])


@pytest.mark.parametrize(
    ("name", "method", "path", "body", "why"),
    [
        ("twitch", "POST", "/helix/nothing", {}, r"has no POST /helix/nothing"),
        ("twitch", "DELETE", "/helix/streams", {}, r"has no DELETE /helix/streams; the path takes GET"),
        ("twitch", "GET", "/helix/streams?user=7", None, r"no query parameter user"),
        ("discord", "POST", "/api/v10/channels/1/messages", {"content": "x" * 2001}, r"content: '?x+.* is too long"),
        (
            "spotify",
            "POST",
            "/v1/playlists/3cEYpjA9oz9GiPac4AsH4n/items",
            {"uris": "x"},
            r"uris: 'x' is not of type 'array'",
        ),
        ("github", "PUT", "/repos/a/b/contents/docs/new.md", {"message": "m"}, r"'content' is a required property"),
    ],
)
def test_messages_say_what_is_wrong_and_where(
    contract: Contracts, name: str, method: str, path: str, body: Any, why: str
) -> None:
    headers = {
        "Authorization": "Bot t" if name == "discord" else "Bearer t",
        "Client-Id": "c",
        "User-Agent": "DiscordBot (x, 1)",
    }
    request = httpx.Request(method, f"http://127.0.0.1:1{path}", headers=headers, json=body)
    with pytest.raises(ContractBroken, match=why):
        contract(name).request(request)


@pytest.mark.parametrize(
    ("method", "path", "body", "why"),
    [
        ("GET", "/guilds/1/nothing", None, "has no GET"),
        ("GET", "/guilds/1/roles?limit=1", None, "no query parameter limit"),
        ("POST", "/applications/1/guilds/2/commands", {"name": "x", "desc": "y"}, "'desc' was unexpected"),
        ("POST", "/applications/1/guilds/2/commands", {"name": "x" * 33}, "name: '?x+'? is too long"),
        ("POST", "/applications/1/guilds/2/commands", None, "has a JSON body"),
        ("GET", "/guilds/1/roles", {}, "has no JSON body"),
    ],
)
def test_what_the_strict_file_leaves_out_is_judged_by_the_whole(
    contract: Contracts, method: str, path: str, body: Any, why: str
) -> None:
    good = httpx.Request("POST", "http://127.0.0.1:1/api/v10/applications/1/guilds/2/commands", json={"name": "x"})
    contract("discord").request(good)
    with pytest.raises(ContractBroken, match=why):
        contract("discord").request(httpx.Request(method, f"http://127.0.0.1:1/api/v10{path}", json=body))


def test_calls_beyond_the_specification_are_named(contract: Contracts) -> None:
    newer = contract("twitch", beyond=["POST /helix/newer"])
    newer.request(httpx.Request("POST", "https://api.twitch.tv/helix/newer"))
    assert newer.checked == 0
    with pytest.raises(ValueError, match="no specification 'twich'"):
        contract("twich")
