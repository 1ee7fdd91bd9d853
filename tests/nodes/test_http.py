"""HTTP: requests, what their failures mean, and watching a value."""

import json

import httpx
import pytest
from pydantic import ValidationError

from area.nodes import http, sdk
from tests.nodes.conftest import NOON, MakeContext

URL = "https://api.test/things"


async def test_request_sends_json_and_hands_the_answer_on(context: MakeContext) -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(201, json={"id": 7}, headers={"X-Made": "yes"})

    what = http.Request(url=URL, method="POST", headers={"X-A": "é"}, body={"n": 1})
    got = await http.request.fn(context(answer), what)
    assert (got.status, got.ok, got.body, got.headers["x-made"]) == (201, True, {"id": 7}, "yes")
    assert json.loads(seen[0].content) == {"n": 1}
    assert seen[0].headers["idempotency-key"] == "run-1/step-1"
    assert (b"X-A", "é".encode()) in seen[0].headers.raw


async def test_request_keeps_the_users_idempotency_key_and_text_body(context: MakeContext) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text=f"{request.headers['idempotency-key']} {request.content.decode()}")

    what = http.Request(url=URL, method="PUT", headers={"idempotency-key": "mine"}, body="plain")
    assert (await http.request.fn(context(answer), what)).body == "mine plain"


async def test_request_with_invalid_json_answer_hands_on_text(context: MakeContext) -> None:
    reply = httpx.Response(200, content=b"{oops", headers={"content-type": "application/json"})
    got = await http.request.fn(context(lambda _: reply), http.Request(url=URL))
    assert got.body == "{oops"


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, sdk.Rejected), (401, sdk.Rejected), (404, sdk.Rejected), (429, sdk.Throttled), (502, sdk.Unavailable)],
)
async def test_request_failing_status(context: MakeContext, status: int, error: type[sdk.NodeError]) -> None:
    reply = httpx.Response(status, text="no such thing", headers={"Retry-After": "12"})
    with pytest.raises(error, match=rf"api\.test answered {status} .*no such thing") as caught:
        await http.request.fn(context(lambda _: reply), http.Request(url=URL))
    assert getattr(caught.value, "retry_after", 12) == 12


@pytest.mark.parametrize("method", list(http.Method))
def test_request_is_idempotent_by_its_method(method: http.Method) -> None:
    repeatable = http.request.is_idempotent(http.Request(url=URL, method=method))
    assert repeatable == (method not in (http.Method.POST, http.Method.PATCH))


@pytest.mark.parametrize(
    "given",
    [
        {"url": "ftp://x.test/"},
        {"url": "https://x.test/ a"},
        {"url": URL, "headers": {"X": "a\r\nHost: evil"}},
        {"url": URL, "headers": {"X y": "a"}},
        {"url": URL, "method": "BREW"},
    ],
)
def test_request_refuses(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        http.Request.model_validate(given)


async def test_changed_fires_on_a_new_value_only(context: MakeContext) -> None:
    states = iter(["up", "up", "down"])

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"a/b": [{"state": next(states)}]})

    where = http.Watched(url=URL, pointer="/a~1b/0/state")
    first = await http.changed.fn(context(answer), where)
    assert (first.items, first.cursor["value"]) == ([], "up")
    same = await http.changed.fn(context(answer, cursor=first.cursor), where)
    assert same.items == []
    third = await http.changed.fn(context(answer, cursor=same.cursor), where)
    assert [(item.value, item.previous, item.changed_at) for item in third.items] == [("down", "up", NOON)]
    assert third.cursor["value"] == "down"
    old = await http.changed.fn(
        context(lambda _: httpx.Response(200, json={"a/b": [{"state": "down"}]}), cursor={"value": "down"}), where
    )
    assert old.items == [], "a cursor of an earlier version is understood"


async def test_changed_keeps_a_mark_of_a_long_value_and_not_the_value(context: MakeContext) -> None:
    pages = iter(["a" * 100_000, "a" * 100_000, "b" * 100_000])

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, text=next(pages))

    where = http.Watched(url=URL)
    first = await http.changed.fn(context(answer), where)
    same = await http.changed.fn(context(answer, cursor=first.cursor), where)
    third = await http.changed.fn(context(answer, cursor=same.cursor), where)
    assert (first.items, same.items) == ([], [])
    assert [(len(item.value), item.previous) for item in third.items] == [(100_000, None)]
    assert len(json.dumps(third.cursor)) < 100


@pytest.mark.parametrize(
    ("body", "kind", "pointer", "value"),
    [
        ("<h1>Ünï 🎉</h1>", "text/html; charset=utf-8", "", "<h1>Ünï 🎉</h1>"),
        ('{"ä~/b": [10, null]}', "application/json", "/ä~0~1b/1", None),
        ("[1]", "application/json", "", [1]),
        ("", "application/json", "", ""),
    ],
)
async def test_changed_reads_text_and_json(
    context: MakeContext, body: str, kind: str, pointer: str, value: object
) -> None:
    reply = httpx.Response(200, content=body.encode(), headers={"content-type": kind})
    page = await http.changed.fn(context(lambda _: reply), http.Watched(url=URL, pointer=pointer))
    assert page.cursor["value"] == value


async def test_changed_takes_no_failure_for_a_value(context: MakeContext) -> None:
    with pytest.raises(sdk.Unavailable, match="api.test answered 503"):  # noqa: RUF043
        await http.changed.fn(context(lambda _: httpx.Response(503)), http.Watched(url=URL))


async def test_changed_says_which_part_is_missing(context: MakeContext) -> None:
    where = http.Watched(url=URL, pointer="/a/zz")
    with pytest.raises(sdk.Rejected, match="'zz' is missing"):
        await http.changed.fn(context(lambda _: httpx.Response(200, json={"a": {}})), where)
