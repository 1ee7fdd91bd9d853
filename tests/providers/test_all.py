"""Every stand-in: all run together in one process, and each connects an account as its service asks for it."""

import base64
import hashlib
import importlib
import pkgutil
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

import tests.providers
from area.nodes import sdk
from area.nodes.registry import load
from tests.nodes import rig
from tests.providers.base import StandIn, serving

MODULES = [
    importlib.import_module(f"tests.providers.{found.name}") for found in pkgutil.iter_modules(tests.providers.__path__)
]
MAKERS = {module.__name__.rpartition(".")[2]: module.make for module in MODULES if hasattr(module, "make")}
SERVICES = load().services
CONSENTED = [key for key in MAKERS if key in SERVICES and SERVICES[key].auth]
BACK = "http://127.0.0.1:9/oauth/callback"
VERIFIER = "v" * 64


@pytest.fixture
async def standins() -> AsyncIterator[dict[str, StandIn]]:
    made: dict[str, StandIn] = {name: make() for name, make in MAKERS.items()}
    async with serving(*made.values()):
        yield made


def test_each_is_named_as_its_service_and_made_anew() -> None:
    for name, make in MAKERS.items():
        first, second = make(), make()
        assert isinstance(first, StandIn)
        assert first.service == name
        assert first is not second
        assert first.users[0] is not second.users[0], f"{name} shares its users between tests"


async def test_all_run_in_one_process_and_name_their_own_settings(standins: dict[str, StandIn]) -> None:
    assert len({standin.url for standin in standins.values()}) == len(standins)
    for name, standin in standins.items():
        given = standin.environment()
        assert all(variable.startswith(f"AREA_{name}_".upper()) for variable in given)
        assert all(
            urlsplit(value).hostname == "127.0.0.1" for variable, value in given.items() if variable.endswith("_URL")
        )
        if name in SERVICES:
            settings = {
                variable.removeprefix(f"AREA_{name}_".upper()).lower(): value for variable, value in given.items()
            }
            assert SERVICES[name].missing(settings) == [], f"the service {name} cannot work with what its stand-in sets"


def test_a_person_can_connect_where_there_is_no_consent_page() -> None:
    """The page of `area dev --stand-ins` shows the hint."""
    for name, make in MAKERS.items():
        if name in SERVICES and SERVICES[name].key_auth and not SERVICES[name].auth:
            assert make().hint, f"the stand-in {name} does not say by what an account is connected"


@pytest.mark.parametrize("name", CONSENTED)
async def test_an_account_is_connected_as_the_service_asks_for_it(standins: dict[str, StandIn], name: str) -> None:
    service, standin = SERVICES[name], standins[name]
    assert service.auth
    scopes = dict.fromkeys([*service.auth.scopes, *(s for node in rig.nodes(service) for s in node.scopes)])
    asked = {"client_id": standin.auth.client_id, "redirect_uri": BACK, "response_type": "code", "state": "s"}
    asked |= {"scope": service.auth.scope_separator.join(scopes), **service.auth.parameters}
    if service.auth.pkce:
        challenge = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
        asked |= {"code_challenge": challenge, "code_challenge_method": "S256"}
    given = standin.environment()
    back = await standin.consent(str(httpx.URL(given[f"AREA_{name}_AUTHORIZE_URL".upper()], params=asked)))
    form = {"grant_type": "authorization_code", "code": parse_qs(urlsplit(back).query)["code"][0], "redirect_uri": BACK}
    form |= {"code_verifier": VERIFIER} if service.auth.pkce else {}
    client = (standin.auth.client_id, standin.auth.client_secret)
    by_basic = service.auth.client_auth == "basic"
    form |= {} if by_basic else {"client_id": client[0], "client_secret": client[1]}
    headers = {"accept": "application/json"}
    async with httpx.AsyncClient(headers=headers, auth=client if by_basic else None) as http:
        sent = {"json" if service.auth.json_body else "data": form}
        answer = await http.post(given[f"AREA_{name}_TOKEN_URL".upper()], **sent)
    grant = service.auth.read_grant(answer.json())
    assert grant.scopes is None or service.auth.covered(grant.scopes) >= set(scopes)
    profile = await identified(service, standin, grant)
    assert profile.external_id
    assert profile.label


async def identified(service: sdk.Service, standin: StandIn, grant: sdk.Grant) -> sdk.Profile:
    """Whose account the stand-in says it is."""
    settings = {"client_id": standin.auth.client_id, "client_secret": standin.auth.client_secret, **standin.settings}

    async def authorise(request: httpx.Request) -> None:
        assert service.auth
        service.auth.authorise(request, grant.access_token, settings)

    ctx = rig.context(service, lambda request: httpx.Response(599))
    ctx.granted, ctx.settings = (
        grant,
        {**settings, "token_url": standin.url + (standin.dialect.token if standin.dialect else "")},
    )
    async with httpx.AsyncClient(base_url=standin.url + standin.base_path, headers=dict(service.headers)) as http:
        http.event_hooks = {"request": [authorise]}
        ctx.http = http
        assert service.identifier
        found = await service.identifier(ctx)
    assert isinstance(found, sdk.Profile)
    return found
