"""Subscriptions over a real WebSocket: replay, live, errors per operation, and close codes."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from structlog.testing import capture_logs
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from area.auth.service import AuthService
from area.core.ids import uuid_of
from area.engine.feed import Feed, FeedChunk
from area.engine.platform import Platform
from tests.graphql.conftest import Client, served

PROTOCOL = [Subprotocol("graphql-transport-ws")]
RUN = "mutation($id: ID!) { runArea(input: {id: $id}) { run { id } } }"
RUN_LOG = """subscription($id: ID!, $after: String) { runLog(runId: $id, after: $after) {
  entries { seq } cursor isFinished missedEntries run { status } } }"""


def socket_of(url: str) -> str:
    return url.replace("http", "ws") + "/graphql"


async def send(socket: ClientConnection, **message: Any) -> None:
    await socket.send(json.dumps(message))


async def receive(socket: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(await socket.recv())
    return message


async def opened(socket: ClientConnection, token: str | None) -> None:
    await send(socket, type="connection_init", payload={"AUTHORIZATION": f"Bearer {token}"} if token else {})
    assert (await receive(socket))["type"] == "connection_ack"


async def rest_of(socket: ClientConnection) -> list[dict[str, Any]]:
    batches = []
    while (message := await receive(socket))["type"] == "next":
        batches.append(message["payload"]["data"]["runLog"])
    assert message["type"] == "complete", message
    return batches


async def test_a_runs_log_replays_goes_live_and_completes(ada: Client, platform: Platform) -> None:
    run_id = (await ada.data(RUN, id=await ada.create_area()))["runArea"]["run"]["id"]
    key = uuid_of(run_id, "Run")
    assert key is not None
    async with served(platform) as url, connect(socket_of(url), subprotocols=PROTOCOL) as socket:
        await opened(socket, ada.token)
        await send(socket, type="subscribe", id="1", payload={"query": RUN_LOG, "variables": {"id": run_id}})
        first = (await receive(socket))["payload"]["data"]["runLog"]
        assert (first["entries"], first["isFinished"]) == ([{"seq": 1}], False)
        await platform.executor().execute([key])
        batches = [first, *await rest_of(socket)]
        seen = [entry["seq"] for batch in batches for entry in batch["entries"]]
        assert seen == list(range(1, len(seen) + 1))
        assert batches[-1]["isFinished"]
        assert batches[-1]["run"] == {"status": "SUCCEEDED"}
        variables = {"id": run_id, "after": first["cursor"]}
        await send(socket, type="subscribe", id="1", payload={"query": RUN_LOG, "variables": variables})
        again = [entry["seq"] for batch in await rest_of(socket) for entry in batch["entries"]]
        assert again == seen[1:]


async def test_the_feed_and_run_updates(ada: Client, platform: Platform) -> None:
    area_id = await ada.create_area()
    feed = "subscription { feed { events { kind run { id } area { id } } cursor isCaughtUp } }"
    updates = "subscription($a: ID) { runUpdates(areaId: $a) { runs { id status } cursor } }"
    async with served(platform) as url, connect(socket_of(url), subprotocols=PROTOCOL) as socket:
        await opened(socket, ada.token)
        await send(socket, type="subscribe", id="feed", payload={"query": feed})
        await receive(socket)
        await send(socket, type="subscribe", id="updates", payload={"query": updates, "variables": {"a": area_id}})
        await receive(socket)
        run_id = (await ada.data(RUN, id=area_id))["runArea"]["run"]["id"]
        found: dict[str, Any] = {}
        while len(found) < 2:
            message = await receive(socket)
            data = message["payload"]["data"]
            if rows := data.get("feed", {}).get("events") or data.get("runUpdates", {}).get("runs"):
                found[message["id"]] = rows
        assert found["updates"] == [{"id": run_id, "status": "QUEUED"}]
        assert found["feed"] == [{"kind": "EVENT_RECEIVED", "run": {"id": run_id}, "area": {"id": area_id}}]


async def test_errors_stay_with_their_operation(ada: Client, eve: Client, platform: Platform) -> None:
    run_id = (await ada.data(RUN, id=await ada.create_area()))["runArea"]["run"]["id"]
    async with served(platform) as url, connect(socket_of(url), subprotocols=PROTOCOL) as socket:
        await opened(socket, None)
        await send(socket, type="subscribe", id="1", payload={"query": "{ viewer {"})
        answer = await receive(socket)
        assert (answer["type"], answer["payload"][0]["extensions"]["code"]) == ("error", "GRAPHQL_PARSE_FAILED")
        await send(socket, type="subscribe", id="1", payload={"query": "{ viewer { id } }"})
        assert (await receive(socket))["payload"]["data"] == {"viewer": None}
        assert (await receive(socket))["type"] == "complete"
        await send(socket, type="subscribe", id="1", payload={"query": RUN_LOG, "variables": {"id": run_id}})
        answer = await receive(socket)
        errors = answer["payload"] if answer["type"] == "error" else answer["payload"]["errors"]
        assert errors[0]["extensions"]["code"] == "UNAUTHENTICATED"
    async with served(platform) as url, connect(socket_of(url), subprotocols=PROTOCOL) as socket:
        await opened(socket, eve.token)
        await send(socket, type="subscribe", id="1", payload={"query": RUN_LOG, "variables": {"id": run_id}})
        answer = await receive(socket)
        assert "There is no such run" in str(answer)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ('{"type": "connection_init", "payload": {"authorization": "Bearer nonsense"}}', 4403),
        ('{"type": "connection_init", "payload": 1}', 4400),
        ('{"type": "subscribe", "id": "1", "payload": {"query": "{ __typename }"}}', 4401),
        ("[]", 4400), ("1", 4400), ("null", 4400), ("{", 4400), ('{"type": 1}', 4400), ('{"type": "odd"}', 4400),
        ('{"type": "subscribe", "id": {}, "payload": {}}', 4400), (b"\x00", 4400),
    ],
)  # fmt: skip
async def test_close_codes(platform: Platform, message: str | bytes, code: int) -> None:
    async with served(platform) as url, connect(socket_of(url), subprotocols=PROTOCOL) as socket:
        await socket.send(message)
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == code


async def test_a_revoked_session_closes_its_sockets(ada: Client, platform: Platform) -> None:
    quick = AuthService(platform.db, platform.settings, recheck=0.05)
    session = await quick.sign_in(await email_of(ada), "long enough")
    async with (
        served(platform, quick) as url,
        connect(socket_of(url), subprotocols=PROTOCOL) as ends,
        connect(socket_of(url), subprotocols=PROTOCOL) as stays,
    ):
        await opened(ends, session.access_token)
        await opened(stays, ada.token)
        feed = {"query": "subscription { feed { cursor } }"}
        await send(ends, type="subscribe", id="1", payload=feed)
        await receive(ends)
        await quick.sign_out(session.refresh_token)
        with pytest.raises(ConnectionClosed) as closed:
            await ends.recv()
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4403, "The access token was revoked")
        await send(stays, type="subscribe", id="1", payload={"query": "{ __typename }"})
        assert (await receive(stays))["payload"]["data"] == {"__typename": "Query"}


async def email_of(client: Client) -> str:
    found: str = (await client.data("{ viewer { email } }"))["viewer"]["email"]
    return found


class Broken(Feed):
    """A feed that ends at once, with an error."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def account(self, user_id: UUID, after: str | None = None) -> AsyncIterator[FeedChunk]:
        raise self.error
        yield


@pytest.mark.parametrize(
    ("error", "tracebacks"),
    [
        (ConnectionRefusedError("no Postgres"), []),
        (RuntimeError("a bug"), ["graphql.stream_failed"]),
    ],
)
async def test_a_stream_that_breaks_asks_for_another_try(
    ada: Client, platform: Platform, error: Exception, tracebacks: list[str]
) -> None:
    with capture_logs() as lines:
        async with (
            served(replace(platform, feed=Broken(error))) as url,
            connect(socket_of(url), subprotocols=PROTOCOL) as socket,
        ):
            await opened(socket, ada.token)
            await send(socket, type="subscribe", id="1", payload={"query": "subscription { feed { cursor } }"})
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1013, "Try again")
    assert [line["event"] for line in lines if line.get("exc_info") is error] == tracebacks
