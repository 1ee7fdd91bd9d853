"""Subscriptions by event stream: replay, live, resumed, and ended for every reason there is."""

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from area.auth.service import AuthService
from area.core.ids import uuid_of
from area.engine.platform import Platform
from area.graphql.app import make_graphql_app
from tests.graphql.conftest import Client, served
from tests.graphql.test_websocket import RUN, RUN_LOG, email_of

STREAM = {"accept": "text/event-stream"}
FEED = "subscription { feed { cursor events { kind } } }"
Event = dict[str, Any]


async def events(answer: httpx.Response) -> AsyncIterator[Event]:
    """Each event, as a browser would read it; comments are left out."""
    found: Event = {}
    async for line in answer.aiter_lines():
        name, _, value = line.partition(":")
        if line and name:
            found[name] = json.loads(value) if name == "data" and value.strip() else value.strip()
        elif not line and found:
            yield found
            found = {}


def headers(token: str | None, **more: str) -> dict[str, str]:
    return STREAM | ({"authorization": f"Bearer {token}"} if token else {}) | more


async def ask(url: str, token: str | None, query: str, variables: Any = None, **more: str) -> list[Event]:
    """Every event of an operation that ends by itself."""
    body = {"query": query, "variables": variables}
    async with (
        httpx.AsyncClient(base_url=url) as http,
        http.stream("POST", "/graphql", json=body, headers=headers(token, **more)) as answer,
    ):
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        return [event async for event in events(answer)]


async def test_a_runs_log_goes_live_completes_and_is_resumed(ada: Client, platform: Platform) -> None:
    run_id = (await ada.data(RUN, id=await ada.create_area()))["runArea"]["run"]["id"]
    key = uuid_of(run_id, "Run")
    assert key is not None
    body = {"query": RUN_LOG, "variables": {"id": run_id}}
    async with served(platform) as url, httpx.AsyncClient(base_url=url) as http:
        async with http.stream("POST", "/graphql", json=body, headers=headers(ada.token)) as answer:
            stream = events(answer)
            first = await anext(stream)
            assert first["event"] == "next"
            assert first["data"]["data"]["runLog"]["entries"] == [{"seq": 1}]
            assert first["id"] == first["data"]["data"]["runLog"]["cursor"]
            await platform.executor().execute([key])
            rest = [event async for event in stream]
        assert rest[-1] == {"event": "complete", "data": ""}
        seen = [entry["seq"] for event in [first, *rest[:-1]] for entry in event["data"]["data"]["runLog"]["entries"]]
        assert seen == list(range(1, len(seen) + 1))
        again = await ask(url, ada.token, RUN_LOG, {"id": run_id}, **{"last-event-id": first["id"]})
    assert [e["seq"] for event in again[:-1] for e in event["data"]["data"]["runLog"]["entries"]] == seen[1:]


async def test_the_feed_by_get(ada: Client, platform: Platform) -> None:
    area_id = await ada.create_area()
    async with (
        served(platform) as url,
        httpx.AsyncClient(base_url=url) as http,
        http.stream("GET", "/graphql", params={"query": FEED}, headers=headers(ada.token)) as answer,
    ):
        stream = events(answer)
        assert (await anext(stream))["data"]["data"]["feed"]["events"] == []
        await ada.data(RUN, id=area_id)
        assert (await anext(stream))["data"]["data"]["feed"]["events"] == [{"kind": "EVENT_RECEIVED"}]


async def test_other_operations_are_one_event(ada: Client, platform: Platform) -> None:
    async with served(platform) as url:
        answer, end = await ask(url, ada.token, "{ viewer { id } }")
        assert answer["data"]["data"]["viewer"] is not None
        assert end["event"] == "complete"
        for query, code in (("{ nonsense }", "GRAPHQL_VALIDATION_FAILED"), (FEED, "UNAUTHENTICATED")):
            answer, end = await ask(url, None, query)
            assert answer["data"]["errors"][0]["extensions"]["code"] == code
            assert end["event"] == "complete"


async def test_what_is_no_operation_gets_a_status(anonymous: Client) -> None:
    for body, sent, status in (
        (b"{", STREAM, 400),
        (b'{"query":"{__typename}"}', headers("nonsense"), 401),
        (json.dumps({"query": FEED}).encode(), {"accept": "application/json"}, 400),
    ):
        answer = await anonymous.http.post(
            "/graphql", content=body, headers=sent | {"content-type": "application/json"}
        )
        assert answer.status_code == status
        assert answer.headers.get("www-authenticate") == ("Bearer" if status == 401 else None)


async def test_a_revoked_session_ends_its_streams(ada: Client, platform: Platform) -> None:
    quick = AuthService(platform.db, platform.settings, recheck=0.05)
    session = await quick.sign_in(await email_of(ada), "long enough")
    async with served(platform, quick) as url, httpx.AsyncClient(base_url=url) as http:
        sent = headers(session.access_token)
        async with http.stream("POST", "/graphql", json={"query": FEED}, headers=sent) as answer:
            stream = events(answer)
            await anext(stream)
            await quick.sign_out(session.refresh_token)
            last = [event async for event in stream]
    assert [event["data"]["errors"][0]["extensions"]["code"] for event in last] == ["UNAUTHENTICATED"]


async def test_a_stop_of_the_server_ends_streams_without_completing_them(ada: Client, platform: Platform) -> None:
    async with httpx.AsyncClient() as http:
        async with served(platform) as url:
            request = http.build_request("POST", f"{url}/graphql", json={"query": FEED}, headers=headers(ada.token))
            answer = await http.send(request, stream=True)
            stream = events(answer)
            await anext(stream)
        assert [event async for event in stream] == []
        await answer.aclose()


async def test_a_user_has_a_bounded_number_of_streams(ada: Client, eve: Client, platform: Platform) -> None:
    narrow = dataclasses.replace(platform, settings=platform.settings.model_copy(update={"max_streams": 1}))
    async with served(narrow) as url, httpx.AsyncClient(base_url=url) as http:
        async with http.stream("POST", "/graphql", json={"query": FEED}, headers=headers(ada.token)) as answer:
            await anext(events(answer))
            refused, _ = await ask(url, ada.token, FEED)
            assert refused["data"]["errors"][0]["extensions"]["code"] == "SUBSCRIPTION_LIMIT"
            async with http.stream("POST", "/graphql", json={"query": FEED}, headers=headers(eve.token)) as other:
                assert (await anext(events(other)))["event"] == "next"
        async with asyncio.timeout(10):
            while "SUBSCRIPTION_LIMIT" in str(await first_of(url, ada.token)):
                pass


async def first_of(url: str, token: str | None) -> Event:
    async with (
        httpx.AsyncClient(base_url=url) as http,
        http.stream("POST", "/graphql", json={"query": FEED}, headers=headers(token)) as answer,
    ):
        return await anext(events(answer))


@pytest.mark.parametrize("accept", ["text/event-stream;q=0.5, application/json", "*/*", ""])
async def test_a_query_is_streamed_only_when_that_is_liked_best(anonymous: Client, accept: str) -> None:
    answer = await anonymous.http.post("/graphql", json={"query": "{ __typename }"}, headers={"accept": accept})
    assert answer.headers["content-type"].startswith("application/")


async def test_an_abandoned_stream_leaves_nothing_behind(ada: Client, platform: Platform, auth: AuthService) -> None:
    app = make_graphql_app(platform, auth)
    scope = {
        "type": "http", "method": "GET", "path": "/graphql", "client": ("127.0.0.1", 1),
        "query_string": httpx.QueryParams({"query": FEED}).__str__().encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers(ada.token).items()],
    }  # fmt: skip
    sent: asyncio.Queue[Any] = asyncio.Queue()
    gone = asyncio.Event()

    async def receive() -> dict[str, Any]:
        await gone.wait()
        return {"type": "http.disconnect"}

    task = asyncio.create_task(app(scope, receive, sent.put))
    assert (await sent.get())["status"] == 200
    assert b"event: next" in (await sent.get())["body"]
    assert app.executor.streams.open(str(ada.user_id)) == 1
    gone.set()
    await task
    assert app.executor.streams.open(str(ada.user_id)) == 0
    assert not any(platform.wakeups._listeners.values())
