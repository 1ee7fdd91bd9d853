"""What every node that speaks HTTP makes of a provider that refuses, fails, is slow, or talks nonsense."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from area.nodes import sdk
from area.nodes.registry import load
from tests.nodes import shapes
from tests.nodes.rig import Probe, outcome, probes, speaks_http, unreadable

SERVICES = [service for service in load().services.values() if speaks_http(service)]
PROBES = {probe.name: probe for service in SERVICES for probe in probes(service)}
EVERY_PROBE = pytest.mark.parametrize("probe", PROBES.values(), ids=PROBES.keys())
EVERY_SERVICE = pytest.mark.parametrize("service", SERVICES, ids=[service.key for service in SERVICES])

NONSENSE: dict[str, Callable[[], httpx.Response]] = {
    "a page of HTML": lambda: httpx.Response(200, html="<!doctype html><title>Sign in to the network</title>"),
    "JSON cut short": lambda: httpx.Response(
        200, content=b'{"data":[{"id":"1","na', headers={"content-type": "application/json"}
    ),
    "nothing": lambda: httpx.Response(200),
    "an empty object": lambda: httpx.Response(200, json={}),
    "an empty list": lambda: httpx.Response(200, json=[]),
    "null": lambda: httpx.Response(200, json=None),
    "a number": lambda: httpx.Response(200, json=5),
    "an error with a good status": lambda: httpx.Response(200, json={"error": {"message": "no"}, "data": None}),
    "bytes that are no text": lambda: httpx.Response(
        200, content=b"\xff\xfe{", headers={"content-type": "application/json"}
    ),
}


@EVERY_PROBE
async def test_refusals_mean_what_the_engine_must_do(probe: Probe) -> None:
    """401 parks the run, 429 waits as long as is asked, 5xx is tried again, and nothing else is."""
    refuse = shapes.refusal_of(probe.service)
    for status in (401, 403, 404, 409, 422, 429, 500):
        got = await outcome(probe, lambda _, status=status: refuse(status))  # type: ignore[misc]
        if not got.asked:
            return  # it works by itself
        found = got.raised
        about = f"{probe.name} makes {found!r} of {status}"
        if status == 401:
            by_account = probe.node is not None and probe.node.account == "required" and probe.service.app_auth is None
            assert isinstance(found, sdk.Reconnect if by_account else sdk.Reconnect | sdk.Rejected), about
        elif status == 429:
            assert isinstance(found, sdk.Throttled), about
            assert shapes.WAIT - 2 <= found.retry_after <= shapes.WAIT + 2, f"{about}, after {found.retry_after} s"
        elif status == 500:
            assert isinstance(found, sdk.Unavailable | sdk.Unknown), about
        elif status == 403:
            assert isinstance(found, sdk.Rejected | sdk.Reconnect), about
        else:  # what is gone, or there already, may be what was wanted
            assert found is None or isinstance(found, sdk.Rejected), about


@EVERY_PROBE
async def test_refusals_that_the_status_does_not_say(probe: Probe) -> None:
    for answer in shapes.waits_of(probe.service):
        got = await outcome(probe, lambda _, answer=answer: answer)  # type: ignore[misc]
        fine = not got.asked or isinstance(got.raised, sdk.Throttled)
        assert fine, f"{probe.name} makes {got.raised!r} of {answer.text}"
    for answer in shapes.noes_in_200(probe.service):
        got = await outcome(probe, lambda _, answer=answer: answer)  # type: ignore[misc]
        fine = not got.asked or isinstance(got.raised, sdk.Rejected)
        assert fine, f"{probe.name} makes {got.raised!r} of {answer.text}"


@EVERY_PROBE
async def test_no_answer_is_never_taken_for_nothing_happened(probe: Probe) -> None:
    def raising(error: type[httpx.TransportError]) -> Callable[[httpx.Request], httpx.Response]:
        def answer(request: httpx.Request) -> httpx.Response:
            raise error("no answer", request=request)

        return answer

    for error in (httpx.ReadTimeout, httpx.RemoteProtocolError, httpx.ConnectError):
        got = await outcome(probe, raising(error))
        if not got.asked:
            return
        found = got.raised
        allowed: tuple[type[Exception], ...] = (httpx.TransportError, sdk.Unknown)
        if probe.safe or not got.wrote or error is httpx.ConnectError:
            allowed = (*allowed, sdk.Unavailable)
        assert isinstance(found, allowed), f"{probe.name} makes {found!r} of {error.__name__}"


@EVERY_PROBE
@pytest.mark.parametrize("what", NONSENSE)
async def test_nonsense_breaks_no_node(probe: Probe, what: str) -> None:
    got = await outcome(probe, lambda _: NONSENSE[what]())
    found = got.raised
    assert unreadable(found), f"{probe.name} breaks at {what}: {found!r}. Read answers by a pydantic model."
    repeats = got.wrote and not probe.safe and isinstance(found, sdk.Unavailable)
    assert not repeats, f"{probe.name} makes {found!r} of {what}: that is tried again, and the call happened"


@EVERY_SERVICE
@pytest.mark.parametrize("status", [200, 204, 400, 401, 403, 404, 429, 500, 503])
def test_judges_read_anything(service: sdk.Service, status: int) -> None:
    bodies: list[Any] = [
        None,
        [],
        "x",
        5,
        {},
        {"error": None},
        {"error": 5},
        {"error": {"errors": "x"}},
        {"error": {"errors": []}},
    ]
    bodies += [{"ok": False}, {"ok": "no", "error": []}, {"errors": [None]}, {"message": {}}, {"retry_after": "soon"}]
    raw = [*(json.dumps(body).encode() for body in bodies), b"", b"<html>", b'{"a', b"\xff"]
    headers = {
        "content-type": "application/json",
        "retry-after": "soon",
        "x-ratelimit-reset": "x",
        "ratelimit-reset": "-",
    }
    for content in raw if service.judge else []:
        request = httpx.Request("GET", service.base_url or "https://api.test")
        judged: Exception | None = None
        try:
            service.judge(httpx.Response(status, content=content, headers=headers, request=request))  # type: ignore[misc]
        except Exception as error:
            judged = error
        fine = judged is None or (isinstance(judged, sdk.NodeError) and judged.message)
        assert fine, f"the judge of {service.key} makes {judged!r} of {status} with {content!r}"
