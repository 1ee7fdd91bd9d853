"""The SDK: declarations, signatures and what answers mean."""

import hashlib
import hmac
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Annotated

import httpx
import pytest
from pydantic import Field

from area.nodes import sdk


class In(sdk.Inputs):
    name: Annotated[str, sdk.NoTemplate] = Field(examples=["x"])


class Out(sdk.Outputs):
    id: Annotated[int, sdk.Identity] = Field(examples=[7])


def service() -> sdk.Service:
    return sdk.Service(key="acme", name="Acme", description="A test.")


def test_a_poll_takes_its_models_from_its_signature() -> None:
    acme = service()

    @acme.poll("New thing", every=timedelta(minutes=1))
    async def new_thing(ctx: sdk.Context, where: In) -> list[Out]:
        """Fires for
        each thing."""
        return []

    assert acme.actions == {"acme.new_thing": new_thing}
    assert (new_thing.inputs, new_thing.outputs, new_thing.identity) == (In, Out, "id")
    assert new_thing.description == "Fires for each thing."
    assert new_thing.sample() == {"id": 7}


def test_a_node_without_docstring_or_models_is_refused() -> None:
    async def silent(ctx: sdk.Context, where: In) -> Out:
        raise AssertionError("declared only, never called")

    async def untyped(ctx, where):  # type: ignore[no-untyped-def]
        """Does."""

    with pytest.raises(TypeError, match="no docstring"):
        service().reaction("X", idempotent=True)(silent)
    with pytest.raises(TypeError, match=r"parameter 2 of .*untyped must be annotated with a sdk.Inputs"):
        service().reaction("X", idempotent=True)(untyped)


def test_idempotency_can_depend_on_the_call() -> None:
    async def act(ctx: sdk.Context, what: In) -> Out:
        """Acts."""
        raise AssertionError("declared only, never called")

    reaction = service().reaction("Act", idempotent=lambda what: what.name == "safe")(act)
    assert reaction.is_idempotent(In(name="safe"))
    assert not reaction.is_idempotent(In(name="other"))


@pytest.mark.parametrize("attempts", [0, sdk.MAX_ATTEMPTS + 1])
def test_attempts_that_no_area_could_ask_for_are_refused(attempts: int) -> None:
    async def act(ctx: sdk.Context, what: In) -> Out:
        """Acts."""
        raise AssertionError("declared only, never called")

    with pytest.raises(TypeError, match=rf"acme.act has attempts={attempts}: give between 1 and 20"):
        service().reaction("Act", idempotent=True, attempts=attempts)(act)


def test_hooks_are_kept_on_their_component() -> None:
    acme = service()

    @acme.reaction("Act", idempotent=False)
    async def act(ctx: sdk.Context, what: In) -> Out:
        """Acts."""
        raise AssertionError("declared only, never called")

    @act.reconcile
    async def find(ctx: sdk.Context, what: In) -> Out | None:
        return None

    assert act.reconciler is find


def test_markers_show_in_the_schema() -> None:
    assert In.model_json_schema()["properties"]["name"]["x-no-template"] is True
    assert Out.model_json_schema()["properties"]["id"]["x-identity"] is True


@pytest.mark.parametrize("tamper", [None, "body", "secret", "prefix", "absent"])
def test_hmac_accepts_only_the_signed_body(tamper: str | None) -> None:
    body = b'{"a": 1}'
    signature = "sha256=" + hmac.new(b"s3cret", body, hashlib.sha256).hexdigest()
    headers = {"x-sig": signature.removeprefix("sha256=") if tamper == "prefix" else signature}
    delivery = sdk.WebhookDelivery(
        "POST", {} if tamper == "absent" else headers, raw=body + b" " if tamper == "body" else body
    )
    verify = sdk.HmacSha256("X-Sig")
    secret = "other" if tamper == "secret" else "s3cret"
    if tamper is None:
        verify.check(secret, delivery, datetime.now(UTC))
    else:
        with pytest.raises(sdk.BadSignature):
            verify.check(secret, delivery, datetime.now(UTC))


def answer(status: int, headers: dict[str, str] | None = None, text: str = "why") -> httpx.Response:
    return httpx.Response(status, headers=headers, text=text, request=httpx.Request("GET", "https://api.test/x"))


@pytest.mark.parametrize(
    ("status", "authorised", "error"),
    [
        (400, False, sdk.Rejected),
        (401, False, sdk.Rejected),
        (401, True, sdk.Reconnect),
        (403, True, sdk.Rejected),
        (404, False, sdk.Rejected),
        (408, False, sdk.Unavailable),
        (409, False, sdk.Rejected),
        (422, False, sdk.Rejected),
        (429, False, sdk.Throttled),
        (500, False, sdk.Unavailable),
        (503, False, sdk.Unavailable),
    ],
)
def test_statuses_mean(status: int, authorised: bool, error: type[sdk.NodeError]) -> None:
    with pytest.raises(error, match=rf"api\.test answered {status} .*: why"):
        sdk.map_response(answer(status), authorised=authorised)


@pytest.mark.parametrize(
    ("method", "status", "error"),
    [
        ("POST", 502, sdk.Unheard),
        ("PATCH", 504, sdk.Unheard),
        ("PUT", 520, sdk.Unheard),
        ("DELETE", 524, sdk.Unheard),
        ("POST", 503, sdk.Unavailable),
        ("GET", 502, sdk.Unavailable),
        ("HEAD", 504, sdk.Unavailable),
    ],
)
def test_a_gateway_that_gave_up_leaves_open_what_was_written(method: str, status: int, error: type) -> None:
    with pytest.raises(sdk.Unavailable) as raised:
        sdk.map_response(httpx.Response(status, request=httpx.Request(method, "https://api.test/x")))
    assert type(raised.value) is error


def test_good_statuses_raise_nothing() -> None:
    for status in (200, 204, 301, 304):
        sdk.map_response(answer(status))


def test_retry_after_in_seconds_as_a_date_or_absent() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    assert sdk.retry_after(answer(429, {"Retry-After": "7"})) == 7
    assert 90 < sdk.retry_after(answer(429, {"Retry-After": later})) <= 100
    assert sdk.retry_after(answer(429)) == 30
    assert sdk.retry_after(answer(429, {"Retry-After": "soon"})) == 30


async def test_response_hook_quotes_a_body_that_nobody_read() -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(422, json={"message": "bad title"}))
    hooks = {"response": [sdk.response_hook(authorised=True)]}
    async with httpx.AsyncClient(transport=transport, event_hooks=hooks) as client:
        with pytest.raises(sdk.Rejected, match="bad title") as caught:
            await client.get("https://api.test/")
    assert caught.value.code == "HTTP_422"


def test_transport_errors_mean_never_sent_or_unknown() -> None:
    assert isinstance(sdk.map_transport_error(httpx.ConnectError("refused")), sdk.Unavailable)
    assert isinstance(sdk.map_transport_error(httpx.ReadTimeout("slow")), sdk.Unknown)
    assert isinstance(sdk.map_transport_error(httpx.UnsupportedProtocol("ftp")), sdk.Rejected)


class Cut(httpx.AsyncByteStream):
    """A body that ends in the middle."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b'{"ok": tr'
        raise httpx.ReadError("the connection closed")


@pytest.mark.parametrize(("status", "error"), [(200, httpx.ReadError), (500, sdk.Unavailable), (404, sdk.Rejected)])
async def test_a_body_cut_short_is_judged_by_its_status_alone(status: int, error: type[Exception]) -> None:
    judged: list[httpx.Response] = []
    hook = sdk.response_hook(authorised=True, judge=judged.append)

    async def look(response: httpx.Response, *, twice: bool) -> None:
        if twice and response.is_error:  # the authorisation looks at answers before the hook does
            await sdk.has_body(response)
        await hook(response)

    for twice in (False, True):
        response = httpx.Response(status, stream=Cut(), request=httpx.Request("POST", "https://api.test/x"))
        with pytest.raises(error):
            await look(response, twice=twice)
    assert judged == []
