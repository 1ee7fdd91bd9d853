"""Connected accounts by the API: connected, renamed, shown with what they stop, and let go; each by its owner alone."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from area.app.server import Entrance, make_app
from area.auth.service import AuthService
from area.core.settings import Settings
from area.engine.platform import Platform
from tests.engine.connections import platform_with
from tests.graphql.conftest import LOG_AREA, Client, signed_up
from tests.providers.acme import Acme
from tests.providers.base import serving

BACK = "https://app.example.com/accounts"
ACCOUNT = "account { id label status method scopes service { key } }"
ERRORS = "errors { code message path }"
START = f"mutation($input: StartConnectionInput!) {{ startConnection(input: $input) {{ url expiresAt {ERRORS} }} }}"
CONFIRM = (
    f"mutation($code: String!) {{ confirmConnection(input: {{code: $code}}) {{ outcome message {ACCOUNT} {ERRORS} }} }}"
)
KEY = f"mutation($input: ConnectWithKeyInput!) {{ connectWithKey(input: $input) {{ {ACCOUNT} {ERRORS} }} }}"
RENAME = f"mutation($input: RenameAccountInput!) {{ renameAccount(input: $input) {{ {ACCOUNT} {ERRORS} }} }}"
DISCONNECT = f"mutation($id: ID!) {{ disconnectAccount(input: {{id: $id}}) {{ disconnectedId {ERRORS} }} }}"
MINE = "{ viewer { connectedAccounts { nodes { id label status areas { nodes { id name } } } } } }"
NODE = "query($id: ID!) { node(id: $id) { id ... on ConnectedAccount { status } } }"


@pytest.fixture
async def acme() -> AsyncIterator[Acme]:
    standin = Acme()
    async with serving(standin):
        yield standin


@pytest.fixture
async def platform(settings: Settings, acme: Acme) -> AsyncIterator[Platform]:
    own = settings.model_copy(update={"return_origins": ["https://app.example.com"]})
    async with platform_with(own, acme.environment()) as opened:
        yield opened


@pytest.fixture
def whole(platform: Platform, auth: AuthService) -> Entrance:
    """The API with its callback."""
    return make_app(platform, auth)


@pytest.fixture
async def anonymous(whole: Entrance) -> AsyncIterator[Client]:
    async with browser(whole) as http:
        yield Client(http, None, None)


@pytest.fixture
async def eve(whole: Entrance, auth: AuthService) -> AsyncIterator[Client]:
    """Somebody else, in a browser of her own."""
    async with browser(whole) as http:
        yield await signed_up(Client(http, None, None), auth)


def browser(app: Entrance) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8000")


async def by_key(client: Client, key: str = "key-of-ada", **more: Any) -> dict[str, Any]:
    given = {"service": "acme", "fields": {"key": key}, **more}
    found: dict[str, Any] = (await client.data(KEY, input=given))["connectWithKey"]
    return found


async def consented(client: Client, acme: Acme, **wanted: Any) -> str:
    """Begin, and say yes at the provider; gives the address that it sends the browser to."""
    started = (await client.data(START, input={"service": "acme", "returnTo": BACK, **wanted}))["startConnection"]
    assert started["errors"] == []
    assert started["expiresAt"] is not None
    return await acme.consent(started["url"])


async def told(client: Client, address: str) -> dict[str, str]:
    """What the frontend is told when the browser comes back."""
    answer = await client.http.get(address)
    assert answer.status_code == 302, answer.text
    assert answer.headers["location"].startswith(f"{BACK}?")
    return dict(parse_qsl(urlsplit(answer.headers["location"]).query))


async def mine(client: Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.data(MINE))["viewer"]["connectedAccounts"]["nodes"]
    return found


async def using(client: Client, account: str, name: str) -> str:
    """An AREA that writes a note by this account."""
    reaction = {"reaction": "acme.write_note", "config": {"text": "hello"}, "accountId": account}
    return await client.create_area(**LOG_AREA | {"name": name, "reactions": [reaction]})


async def test_a_browser_that_began_comes_back_with_its_account(ada: Client, acme: Acme) -> None:
    found = await told(ada, await consented(ada, acme, nodes=["acme.new_note"]))
    (account,) = await mine(ada)
    assert found == {"connection": "CONNECTED", "service": "acme", "account": account["id"]}
    assert (account["label"], account["status"]) == ("ada", "ACTIVE")


async def test_a_client_without_cookies_confirms_once_and_nobody_else_does(
    ada: Client, eve: Client, whole: Entrance, acme: Acme
) -> None:
    async with browser(whole) as elsewhere:
        other = Client(elsewhere, None, None)
        found = await told(other, await consented(ada, acme, nodes=["acme.new_note"]))
        assert found["connection"] == "UNCONFIRMED"
        assert await mine(ada) == []
        done = (await ada.data(CONFIRM, code=found["code"]))["confirmConnection"]
        assert (done["outcome"], done["errors"]) == ("CONNECTED", [])
        shown = {"label": "ada", "status": "ACTIVE", "method": "OAUTH2", "scopes": ["notes:read", "profile"]}
        assert done["account"] == {"id": (await mine(ada))[0]["id"], "service": {"key": "acme"}, **shown}
        again = (await ada.data(CONFIRM, code=found["code"]))["confirmConnection"]
        assert [error["code"] for error in again["errors"]] == ["NOT_FOUND"]

        found = await told(other, await consented(ada, acme))
        stolen = (await eve.data(CONFIRM, code=found["code"]))["confirmConnection"]
        assert (stolen["outcome"], stolen["account"]) == ("WRONG_USER", None)
        assert await mine(eve) == []


async def test_a_good_key_connects_and_a_bad_one_says_where_it_is_wrong(ada: Client, acme: Acme) -> None:
    bad = await by_key(ada, "key-of-nobody")
    assert bad["account"] is None
    ((code, path),) = [(error["code"], error["path"]) for error in bad["errors"]]
    assert (code, path) == ("CREDENTIALS_REFUSED", ["fields"])
    assert "Acme does not accept this" in bad["errors"][0]["message"]
    short = await by_key(ada, "k")
    assert [(error["code"], error["path"]) for error in short["errors"]] == [("INVALID_INPUT", ["fields", "key"])]
    assert await mine(ada) == []
    good = await by_key(ada, label="Mine")
    assert good["errors"] == []
    assert (good["account"]["label"], good["account"]["method"]) == ("Mine", "KEY")
    assert [account["id"] for account in await mine(ada)] == [good["account"]["id"]]


async def test_an_account_is_renamed(ada: Client) -> None:
    account = (await by_key(ada))["account"]
    done = (await ada.data(RENAME, input={"id": account["id"], "label": "  Work "}))["renameAccount"]
    assert done == {"account": account | {"label": "Work"}, "errors": []}
    bad = (await ada.data(RENAME, input={"id": account["id"], "label": " "}))["renameAccount"]
    assert [(error["code"], error["path"]) for error in bad["errors"]] == [("INVALID_INPUT", ["label"])]
    assert [one["label"] for one in await mine(ada)] == ["Work"]


async def test_an_account_shows_what_stops_with_it_and_is_let_go(ada: Client, acme: Acme) -> None:
    await told(ada, await consented(ada, acme, nodes=["acme.write_note"]))
    (account,) = await mine(ada)
    other = (await by_key(ada, "key-of-grace"))["account"]
    areas = [await using(ada, account["id"], name) for name in ("One", "Two")]
    await using(ada, other["id"], "Three")
    (found,) = [one for one in await mine(ada) if one["id"] == account["id"]]
    assert found["areas"]["nodes"] == [{"id": areas[1], "name": "Two"}, {"id": areas[0], "name": "One"}]

    done = (await ada.data(DISCONNECT, id=account["id"]))["disconnectAccount"]
    assert done == {"disconnectedId": account["id"], "errors": []}
    assert len(acme.asked("POST", "/oauth2/revoke")) == 1
    assert all(grant.withdrawn for grant in acme.auth.grants)
    (kept,) = [one for one in await mine(ada) if one["status"] == "ACTIVE"]
    assert kept["id"] == other["id"]


async def test_an_account_of_somebody_else_is_not_there(ada: Client, eve: Client, acme: Acme) -> None:
    account = (await by_key(ada))["account"]["id"]
    refusals = [
        await eve.data(RENAME, input={"id": account, "label": "Eve's"}),
        await eve.data(DISCONNECT, id=account),
        await eve.data(START, input={"service": "acme", "accountId": account}),
    ]
    assert [error["code"] for answer in refusals for one in answer.values() for error in one["errors"]] == [
        "NOT_FOUND"
    ] * 3
    assert await eve.data(NODE, id=account) == {"node": None}
    assert await mine(eve) == []
    assert [(one["label"], one["status"]) for one in await mine(ada)] == [("ada", "ACTIVE")]
    assert acme.asked("POST", "/oauth2/revoke") == []


async def test_an_account_of_somebody_else_cannot_be_used_in_an_area(ada: Client, eve: Client) -> None:
    account = (await by_key(ada))["account"]["id"]
    reaction = {"reaction": "acme.write_note", "config": {"text": "hello"}, "accountId": account}
    query = "mutation($input: CreateAreaInput!) { createArea(input: $input) { area { id } errors { code path } } }"
    answer = (await eve.data(query, input=LOG_AREA | {"reactions": [reaction]}))["createArea"]
    assert answer["area"] is None
    assert [error["path"] for error in answer["errors"]] == [["reactions", "0", "accountId"]]
    assert [one["areas"]["nodes"] for one in await mine(ada)] == [[]]
