"""Trusted documents: named by hash over every transport, and, by setting, the only ones."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner
from websockets.asyncio.client import connect

from area.app.documents import cli as documents_cli
from area.app.watch import FEED
from area.auth.service import AuthService
from area.core.settings import Settings
from area.engine.platform import Platform
from area.graphql.app import make_graphql_app
from area.graphql.documents import Documents
from area.graphql.schema import schema
from area.graphql.trusted import Entry, ManifestError, digest, read_manifest, register, remove
from tests.graphql.conftest import Client
from tests.graphql.conftest import served as served_app
from tests.graphql.test_websocket import PROTOCOL, opened, receive, send, socket_of

DOCUMENTS = Documents(schema._schema)


def persisted(text: str) -> dict[str, Any]:
    return {"persistedQuery": {"version": 1, "sha256Hash": digest(text)}}


def code(answer: httpx.Response) -> str | None:
    errors = answer.json().get("errors")
    found: str | None = errors[0]["extensions"]["code"] if errors else None
    return found


async def post(client: Client, **body: Any) -> httpx.Response:
    return await client.http.post("/graphql", json=body)


async def test_automatic_persisted_queries(anonymous: Client) -> None:
    text = "query Mine { __typename }"
    unknown = await post(anonymous, extensions=persisted(text))
    assert (unknown.status_code, code(unknown)) == (400, "PERSISTED_QUERY_NOT_FOUND")
    assert code(await post(anonymous, query="{ __typename }", extensions=persisted(text))) == "BAD_USER_INPUT"
    assert code(await post(anonymous, extensions=persisted(text))) == "PERSISTED_QUERY_NOT_FOUND"
    assert code(await post(anonymous, query=text, extensions=persisted(text))) is None
    assert (await post(anonymous, extensions=persisted(text))).json()["data"] == {"__typename": "Query"}
    by_get = {"extensions": json.dumps(persisted(text))}
    assert (await anonymous.http.get("/graphql", params=by_get)).json()["data"] == {"__typename": "Query"}


@pytest.mark.parametrize("extensions", [{"persistedQuery": 1}, {"persistedQuery": {"sha256Hash": "x"}}])
async def test_a_bad_hash_is_400(anonymous: Client, extensions: Any) -> None:
    assert (await post(anonymous, extensions=extensions)).status_code == 400
    assert (await post(anonymous, documentId=7)).status_code == 400


async def test_registered_documents_are_named_by_every_transport(anonymous: Client, platform: Platform) -> None:
    text, named = "query ByHash { __typename }", "query ByName { __typename }"
    await register(
        platform.db.pool, [Entry(digest(text), text, "ByHash"), Entry("frontend.v1-ByName", named, "ByName")]
    )
    for identifier in (digest(text), f"sha256:{digest(text)}", "frontend.v1-ByName"):
        assert (await post(anonymous, documentId=identifier)).json()["data"] == {"__typename": "Query"}
    async with served_app(platform) as url, connect(socket_of(url), subprotocols=PROTOCOL) as socket:
        await opened(socket, None)
        await send(socket, type="subscribe", id="1", payload={"documentId": f"sha256:{digest(text)}"})
        assert (await receive(socket))["payload"]["data"] == {"__typename": "Query"}
        await receive(socket)
        await send(socket, type="subscribe", id="1", payload={"documentId": "unknown"})
        answer = await receive(socket)
        assert (answer["type"], answer["payload"][0]["extensions"]["code"]) == ("error", "PERSISTED_QUERY_NOT_FOUND")


@pytest.fixture
async def strict(platform: Platform, auth: AuthService) -> Any:
    settings = platform.settings.model_copy(update={"trusted_documents_only": True})
    app = make_graphql_app(dataclasses.replace(platform, settings=settings), auth, built_in=[FEED])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://area.test") as http:
        yield Client(http, None, None)


async def test_only_trusted_documents(strict: Client, platform: Platform) -> None:
    text = "query Trusted { viewer { id } }"
    await register(platform.db.pool, [Entry(digest(text), text, "Trusted")])
    assert (await post(strict, query=text)).json()["data"] == {"viewer": None}
    assert (await post(strict, documentId=digest(text))).json()["data"] == {"viewer": None}
    for other in ("{ __typename }", "{ __schema { types { name } } }", text + " "):
        for body in ({"query": other}, {"query": other, "extensions": persisted(other)}):
            assert code(await post(strict, **body)) == "PERSISTED_QUERY_NOT_FOUND"
    # What the product itself sends is trusted without being registered.
    assert code(await post(strict, query=FEED)) == "BAD_USER_INPUT"


async def test_a_removed_document_is_unknown_to_a_new_process(
    anonymous: Client, platform: Platform, auth: AuthService
) -> None:
    text = "query Removed { __typename }"
    await register(platform.db.pool, [Entry(digest(text), text, "Removed")])
    assert code(await post(anonymous, documentId=digest(text))) is None
    assert await remove(platform.db.pool, [digest(text), "unknown"]) == 1
    transport = httpx.ASGITransport(make_graphql_app(platform, auth))
    async with httpx.AsyncClient(transport=transport, base_url="http://area.test") as http:
        assert code(await post(Client(http, None, None), documentId=digest(text))) == "PERSISTED_QUERY_NOT_FOUND"


def test_manifests() -> None:
    text = "query Q { __typename }"
    apollo = {"format": "apollo-persisted-query-manifest", "version": 1}
    operation = {"id": digest(text), "name": "Q", "type": "query", "body": text}
    expected = [Entry(digest(text), text, "Q")]
    for given in ({digest(text): text}, {f"sha256:{digest(text)}": text}, [text], apollo | {"operations": [operation]}):
        assert read_manifest(json.dumps(given), DOCUMENTS) == expected
    assert read_manifest(json.dumps({"md5-abc": text}), DOCUMENTS)[0].hash == "md5-abc"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("{", "not JSON"), ("1", "must be an object"), ("{}", "no documents"), ('{"a": 1}', "not text"),
        ('{"a": "{ nonsense }"}', "Cannot query field"), ('{"a b": "{ __typename }"}', "other characters"),
        (json.dumps({"0" * 64: "{ __typename }"}), "not the SHA-256"), ('{"operations": [1]}', "not text"),
    ],
)  # fmt: skip
def test_bad_manifests(given: str, words: str) -> None:
    with pytest.raises(ManifestError, match=words):
        read_manifest(given, DOCUMENTS)


def test_the_command_registers_all_or_nothing(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("database_url", "redis_url", "secret_key"):
        monkeypatch.setenv(f"AREA_{name.upper()}", getattr(settings, name).get_secret_value())
    monkeypatch.setenv("COLUMNS", "200")

    def documents(*words: str) -> str:
        return CliRunner().invoke(documents_cli, words, catch_exceptions=False).output

    good, bad = "query FromFile { __typename }", "query Bad { nonsense }"
    (tmp_path / "bad.json").write_text(json.dumps([good, bad]))
    (tmp_path / "good.json").write_text(json.dumps([good]))
    with pytest.raises(ManifestError, match=r"Document 2 .*Cannot query field"):
        documents("register", str(tmp_path / "bad.json"))
    assert digest(good) not in documents("list")
    assert "1 documents of" in documents("register", str(tmp_path / "good.json"))
    assert digest(good) in documents("list")
    assert "1 of 1" in documents("remove", digest(good))
    with pytest.raises(ManifestError, match="cannot be read"):
        documents("register", str(tmp_path / "missing.json"))
