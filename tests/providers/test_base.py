"""The stand-ins' own base: its example is run as it is written at the top of base.py, against its OAuth server and its faults."""

import base64
import hashlib
import re
import textwrap
from collections.abc import AsyncIterator
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from area.nodes import sdk
from tests.engine.conftest import serving as serving_app
from tests.providers import base, signing
from tests.providers.base import StandIn, serving
from tests.providers.calls import Fault
from tests.providers.oauth import Dialect

BACK = "http://127.0.0.1:9/back?from=acme"
VERIFIER = "v" * 43
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture
async def acme() -> AsyncIterator[Any]:
    """The example's provider, served."""
    found = re.search(r"^    from typing.*?^        return Acme\(\)", base.__doc__ or "", re.MULTILINE | re.DOTALL)
    assert found
    example = found[0]
    module = ModuleType("acme")
    exec(compile(textwrap.dedent(example), "acme.py", "exec"), module.__dict__)
    made: StandIn = module.make()
    async with serving(made) as environment:
        made.environment_given = environment  # type: ignore[attr-defined]
        yield made


def authorize_url(provider: StandIn, **more: str) -> str:
    asked = {"client_id": "acme-client", "redirect_uri": BACK, "response_type": "code", "state": "s1"}
    asked |= {"scope": "notes:write read", **more}
    return str(httpx.URL(f"{provider.url}/oauth2/authorize", params=asked))


async def code_of(provider: StandIn, **more: Any) -> str:
    pkce = {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
    back = await provider.consent(authorize_url(provider, **pkce), **more)
    query = parse_qs(urlsplit(back).query)
    assert (query["from"], query["state"]) == (["acme"], ["s1"])
    return query["code"][0]


async def token(provider: StandIn, **given: str) -> httpx.Response:
    form = {"client_id": "acme-client", "client_secret": "acme-secret", "redirect_uri": BACK, **given}
    async with httpx.AsyncClient() as client:
        return await client.post(f"{provider.url}/oauth2/token", data=form)


async def redeemed(provider: StandIn, code: str, **more: str) -> httpx.Response:
    return await token(
        provider, **{"grant_type": "authorization_code", "code": code, "code_verifier": VERIFIER, **more}
    )


def test_environment_points_at_it(acme: Any) -> None:
    assert acme.environment_given == {
        "AREA_ACME_BASE_URL": f"{acme.url}/v1",
        "AREA_ACME_AUTHORIZE_URL": f"{acme.url}/oauth2/authorize",
        "AREA_ACME_TOKEN_URL": f"{acme.url}/oauth2/token",
        "AREA_ACME_REVOKE_URL": f"{acme.url}/oauth2/revoke",
        "AREA_ACME_CLIENT_ID": "acme-client",
        "AREA_ACME_CLIENT_SECRET": "acme-secret",
        "AREA_ACME_WEBHOOK_SECRET": "s" * 32,
    }


async def test_consent_page_lists_scopes_and_its_form_decides(acme: Any) -> None:
    async with httpx.AsyncClient() as client:
        page = await client.get(authorize_url(acme, state='"><script>'))
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert 'value="notes:write" checked' in page.text
        assert "<script>" not in page.text
        fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text))
        fields |= {"ticked": "read", "user": "grace", "auto": "allow"}
        answer = await client.post(f"{acme.url}/oauth2/authorize", data=fields)
    got = (
        await token(
            acme,
            grant_type="authorization_code",
            code=parse_qs(urlsplit(answer.headers["location"]).query)["code"][0],
        )
    ).json()
    assert got["scope"] == ["read"]
    assert acme.auth.find(got["access_token"]).user.login == "grace"


async def test_code_is_good_once_for_its_redirect_and_its_verifier(acme: Any) -> None:
    for wrong in ({"redirect_uri": "http://127.0.0.1:9/other"}, {"code_verifier": "w" * 43}):
        refused = await redeemed(acme, await code_of(acme), **wrong)
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_grant")
    code = await code_of(acme)
    assert (await redeemed(acme, code)).json()["scope"] == ["notes:write", "read"]
    assert (await redeemed(acme, code)).json()["error_description"] == "The code was used before"
    assert (await redeemed(acme, await code_of(acme), client_secret="no")).status_code == 401


async def test_deny_comes_back_as_an_error(acme: Any) -> None:
    back = await acme.consent(authorize_url(acme), allow=False)
    assert parse_qs(urlsplit(back).query)["error"] == ["access_denied"]


async def test_refresh_rotates_and_reuse_is_refused(acme: Any) -> None:
    first = (await redeemed(acme, await code_of(acme))).json()
    second = (await token(acme, grant_type="refresh_token", refresh_token=first["refresh_token"])).json()
    assert second["refresh_token"] != first["refresh_token"]
    again = await token(acme, grant_type="refresh_token", refresh_token=first["refresh_token"])
    assert again.json()["error"] == "invalid_grant"
    assert (acme.auth.refreshes, acme.auth.reuses) == (1, 1)


async def test_api_wants_a_live_token_with_its_scope_and_records_calls(acme: Any) -> None:
    ada = acme.users[0]
    good, weak = (acme.auth.issue(ada, *scopes)["access_token"] for scopes in (("notes:write",), ()))
    async with httpx.AsyncClient(base_url=acme.environment_given["AREA_ACME_BASE_URL"]) as client:

        async def create(access: str, text: str = "hello") -> httpx.Response:
            return await client.post("/notes", json={"text": text}, headers={"Authorization": f"Bearer {access}"})

        assert (await client.get("/me")).json()["code"] == "unauthorized"
        assert (await client.get("/public/7?page=2")).json() == {"id": "7", "page": "2"}
        assert (await create(weak)).status_code == 403
        assert (await create(good, "x" * 501)).status_code == 422
        assert (await create(good)).json() == {"id": 1, "by": "1001", "text": "hello"}
        assert (await client.get("/nothing")).json()["code"] == "not_found"
        acme.auth.expire(ada)
        assert (await create(good)).status_code == 401
        await client.post(acme.environment_given["AREA_ACME_REVOKE_URL"], data={"token": good})
    assert acme.auth.grants[0].withdrawn
    assert [len(call.json["text"]) for call in acme.asked("POST", "/v1/notes")] == [5, 501, 5, 5]


async def test_faults_befall_the_next_call_that_fits(acme: Any) -> None:
    acme.next(Fault(status=429, headers={"Retry-After": "7"}, body={"why": "slow"}), "GET /v1/public")
    acme.next(Fault(cut=True), "GET /v1/public")
    acme.next(Fault(lose=True), "POST /v1/notes")
    acme.next(Fault(body="<p>down</p>", headers={"Content-Type": "text/html"}, size=10 << 20), "/me")
    acme.next(Fault(hang=True), "/me")
    access = acme.auth.issue(acme.users[0], "notes:write")["access_token"]
    async with httpx.AsyncClient(base_url=f"{acme.url}/v1", headers={"Authorization": f"Bearer {access}"}) as client:
        page = await client.get("/me")
        assert (len(page.content), page.headers["content-type"]) == (10 << 20, "text/html")
        slow = await client.get("/public/1")
        assert (slow.status_code, slow.headers["retry-after"], slow.json()) == (429, "7", {"why": "slow"})
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("/public/1")
        with pytest.raises(httpx.RemoteProtocolError):
            await client.post("/notes", json={"text": "lost"})
        assert acme.notes == [{"id": 1, "by": "1001", "text": "lost"}]
        with pytest.raises(httpx.ReadTimeout):
            await client.get("/me", timeout=0.2)
        assert (await client.get("/public/1")).status_code == 200


async def test_deliveries_are_signed_and_their_answers_checked(acme: Any) -> None:
    verify = sdk.HmacSha256("x-acme-signature")

    async def hook(request: Request) -> PlainTextResponse:
        delivery = sdk.WebhookDelivery("POST", dict(request.headers), {}, await request.body())
        try:
            verify.check("secret", delivery)
        except sdk.BadSignature:
            return PlainTextResponse("forged", 401)
        return PlainTextResponse("seen")

    acme.notes.append({"id": 1})
    async with serving_app(Starlette(routes=[Route("/hook", hook, methods=["POST"])])) as address:
        url = f"{address}/hook"
        await acme.note_added(url, "secret")
        with pytest.raises(AssertionError, match=r"wanted 2xx .* got 401: forged"):
            await acme.note_added(url, "wrong")
        sign = signing.hmac_body("secret", "X-Acme-Signature")
        with pytest.raises(AssertionError, match="wanted 'challenge'"):
            await acme.deliver(url, {"n": 1}, sign=sign, answer="challenge")
        await acme.deliver(url, b"\xff", expects=401)


@pytest.mark.parametrize(
    ("dialect", "given", "accept", "status", "wanted"),
    [
        (Dialect(errors_in_200=True, form_answers=True), {}, "*/*", 200, "error=unsupported_grant_type"),
        (Dialect(errors_in_200=True, form_answers=True), {}, "application/json", 200, '"unsupported_grant_type"'),
        (Dialect(client_auth="basic"), {"grant_type": "client_credentials"}, "*/*", 401, '"invalid_client"'),
        (Dialect(client_credentials=True), {"grant_type": "client_credentials", "scope": "a b"}, "*/*", 200, '"a b"'),
        (
            Dialect(client_credentials=True, scope_as="comma", shape=lambda answer, _: {"ok": True, **answer}),
            {"grant_type": "client_credentials", "scope": "a b"},
            "*/*",
            200,
            '"scope":"a,b"',
        ),
        (Dialect(shape_error=lambda error, _: {"status": 400, "message": error}), {}, "*/*", 400, '"status":400'),
    ],
)
async def test_dialects(dialect: Dialect, given: dict[str, str], accept: str, status: int, wanted: str) -> None:
    async with serving(provider := StandIn("acme", dialect)), httpx.AsyncClient(headers={"Accept": accept}) as client:
        form = {"client_id": "acme-client", "client_secret": "acme-secret", **given}
        got = await client.post(f"{provider.url}/oauth2/token", data=form)
    assert got.status_code == status
    assert wanted in got.text


async def test_google_gives_no_refresh_token_on_refresh() -> None:
    offline = Dialect(refresh_again=False, offline=lambda asked: asked.get("access_type") == "offline")
    async with serving(provider := StandIn("acme", offline)):
        online = (await redeemed(provider, await code_of(provider))).json()
        assert "refresh_token" not in online
        granted = provider.auth.issue(provider.users[0], "read")
        again = (await token(provider, grant_type="refresh_token", refresh_token=granted["refresh_token"])).json()
        assert "refresh_token" not in again
        provider.auth.withdraw()
        dead = await token(provider, grant_type="refresh_token", refresh_token=granted["refresh_token"])
        assert dead.json()["error"] == "invalid_grant"
