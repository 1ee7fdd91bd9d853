"""Connecting by consent and by key: every way it can end, and what is stored when it ends well."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import UUID

import httpx
import pytest

from area.app.server import make_app
from area.core.errors import AreaError, InvalidInput, InvalidInputs, LimitReached, NotFound
from area.core.ids import new_id, to_global
from area.core.settings import Settings
from area.engine.connections.flow import Wanted
from area.engine.connections.outcomes import Outcome
from area.engine.platform import Platform
from area.graphql.context import BROWSER_COOKIE
from area.nodes import sdk
from tests.engine.connections import column, connected, context, platform_with
from tests.providers.acme import Acme, make_service
from tests.providers.base import serving
from tests.providers.calls import Fault
from tests.providers.oauth import Dialect

BACK = "https://app.example.com/accounts?tab=2#list"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"return_origins": ["https://app.example.com"]})


@pytest.fixture
async def acme() -> AsyncIterator[Acme]:
    standin = Acme()
    async with serving(standin):
        yield standin


@pytest.fixture
async def platform(settings: Settings, acme: Acme) -> AsyncIterator[Platform]:
    async with platform_with(settings, acme.environment()) as opened:
        yield opened


class Person:
    """A user with a browser of their own."""

    def __init__(self, platform: Platform, acme: Acme, user: UUID) -> None:
        self.platform, self.acme, self.user = platform, acme, user
        self.cookie: str | None = None

    async def start(self, *, cookies: bool = True, **wanted: Any) -> str:
        """Begin; gives the address of the consent page."""
        asked = Wanted(**{"service": "acme", "return_to": BACK, "browser": self.cookie, **wanted})
        started = await self.platform.connecting.start(self.user, asked, with_cookie=cookies)
        self.cookie = started.browser or self.cookie
        return started.url

    async def visit(self, address: str, *, cookies: bool = True) -> httpx.Response:
        """Open an address of ours."""
        transport = httpx.ASGITransport(make_app(self.platform))
        sent = {BROWSER_COOKIE: self.cookie} if cookies and self.cookie else {}
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000", cookies=sent) as browser:
            return await browser.get(address)

    async def connect(self, *, user: str = "ada", untick: tuple[str, ...] = (), **wanted: Any) -> dict[str, str]:
        """Begin, consent, come back; gives what the frontend is told."""
        back = await self.acme.consent(await self.start(**wanted), user=user, untick=untick)
        return told(await self.visit(back))


def told(answer: httpx.Response) -> dict[str, str]:
    assert answer.status_code == 302, answer.text
    where = urlsplit(answer.headers["location"])
    assert (where.scheme, where.netloc, where.path, where.fragment) == ("https", "app.example.com", "/accounts", "list")
    found = dict(parse_qsl(where.query))
    assert found.pop("tab") == "2"
    assert found.pop("service") == "acme"
    return found


@pytest.fixture
def ada(platform: Platform, acme: Acme, user: UUID) -> Person:
    return Person(platform, acme, user)


async def a_user(platform: Platform) -> UUID:
    user = new_id()
    await platform.db.pool.execute("INSERT INTO users (id, email) VALUES ($1, $2)", user, f"{user.hex}@example.com")
    return user


async def accounts_of(person: Person) -> list[Any]:
    rows: list[Any] = await person.platform.db.pool.fetch(
        "SELECT * FROM connected_accounts WHERE user_id = $1 ORDER BY id", person.user
    )
    return rows


async def test_the_consent_page_is_asked_for_what_the_nodes_need_and_no_more(ada: Person) -> None:
    asked = dict(parse_qsl(urlsplit(await ada.start(nodes=("acme.new_note",))).query))
    assert asked["scope"] == "notes:read profile"
    assert asked["redirect_uri"] == "http://127.0.0.1:8000/oauth/acme/callback"
    assert (asked["code_challenge_method"], asked["response_type"]) == ("S256", "code")


async def test_an_account_is_connected(ada: Person, acme: Acme) -> None:
    found = await ada.connect(nodes=("acme.new_note",))
    (row,) = await accounts_of(ada)
    assert found == {"connection": "CONNECTED", "account": to_global("ConnectedAccount", row["id"])}
    assert (row["external_id"], row["label"], row["status"]) == (acme.users[0].id, "ada", "active")
    assert (row["avatar_url"], row["facts"]) == ("https://acme.test/ada.png", {"login": "ada"})
    assert row["scopes"] == ["notes:read", "profile"]
    assert row["check_at"] is not None
    async with context(ada.platform, row["id"]) as ctx:
        assert (await ctx.http.get("/notes")).json() == {"notes": []}
    exchange = acme.asked("POST", "/oauth2/token")[0]
    assert exchange.form["code_verifier"]


async def test_several_accounts_of_one_service_live_side_by_side(ada: Person) -> None:
    await ada.connect()
    await ada.connect(user="grace")
    assert [row["label"] for row in await accounts_of(ada)] == ["ada", "grace"]


async def test_a_user_who_says_no_is_told_so(ada: Person, acme: Acme) -> None:
    back = await acme.consent(await ada.start(), allow=False)
    assert told(await ada.visit(back)) == {"connection": "DENIED"}
    assert await accounts_of(ada) == []


async def test_an_address_is_good_once_also_for_two_at_once(ada: Person, acme: Acme) -> None:
    back = await acme.consent(await ada.start())
    answers = await asyncio.gather(*(ada.visit(back) for _ in range(5)))
    assert sorted(told(answer)["connection"] for answer in answers) == ["CONNECTED", *["REPLAYED"] * 4]
    assert len(acme.asked("POST", "/oauth2/token")) == 1


async def test_an_attempt_expires_after_ten_minutes(ada: Person, acme: Acme) -> None:
    back = await acme.consent(await ada.start())
    pool = ada.platform.db.pool
    left = await pool.fetchval(
        "SELECT extract(epoch FROM expires_at - now())::int FROM connection_attempts WHERE user_id = $1", ada.user
    )
    assert 590 <= left <= 600
    await pool.execute("UPDATE connection_attempts SET expires_at = now() WHERE user_id = $1", ada.user)
    assert told(await ada.visit(back)) == {"connection": "EXPIRED"}
    assert await accounts_of(ada) == []
    assert acme.asked("POST", "/oauth2/token") == []


@pytest.mark.parametrize("change", ["state", "signature", "service", "none"])
async def test_a_forged_address_goes_nowhere(ada: Person, acme: Acme, change: str) -> None:
    back = await acme.consent(await ada.start())
    parts = urlsplit(back)
    query = dict(parse_qsl(parts.query))
    state, _, signature = query["state"].partition(".")
    match change:
        case "state":
            query["state"] = f"{new_id().hex}.{signature}"
        case "signature":
            query["state"] = f"{state}.{signature[:-2]}xx"
        case "none":
            del query["state"]
    path = "/oauth/twitch/callback" if change == "service" else parts.path
    answer = await ada.visit(str(httpx.URL(path, params=query)))
    assert answer.status_code == 403
    assert "location" not in answer.headers
    assert "not made by us" in answer.text
    assert await accounts_of(ada) == []


async def test_somebody_elses_browser_cannot_finish_an_attempt(ada: Person, acme: Acme) -> None:
    """An attacker sends the victim his own consent page: the victim's account must not become his."""
    victim = Person(ada.platform, acme, await a_user(ada.platform))
    await victim.connect(user="grace")  # so that this browser has a cookie of ours
    attackers_page = await ada.start()
    back = await acme.consent(attackers_page, user="grace")
    found = told(await victim.visit(back))
    assert found["connection"] == "UNCONFIRMED"
    assert await accounts_of(ada) == []
    result = await ada.platform.connecting.confirm(victim.user, found["code"])
    assert (result.outcome, result.account_id) == (Outcome.WRONG_USER, None)
    # And nothing is left for the attacker to confirm, had he got hold of the code.
    with pytest.raises(NotFound):
        await ada.platform.connecting.confirm(ada.user, found["code"])
    assert await accounts_of(ada) == []
    assert len(await accounts_of(victim)) == 1


async def test_an_attackers_code_cannot_be_smuggled_into_the_victims_attempt(ada: Person, acme: Acme) -> None:
    """The victim's browser is made to come back with the attacker's code: PKCE binds a code to the attempt it is for."""
    attacker = Person(ada.platform, acme, await a_user(ada.platform))
    stolen = dict(parse_qsl(urlsplit(await acme.consent(await attacker.start(), user="grace")).query))["code"]
    page = dict(parse_qsl(urlsplit(await ada.start()).query))
    back = httpx.URL("/oauth/acme/callback", params={"code": stolen, "state": page["state"]})
    assert told(await ada.visit(str(back))) == {"connection": "PROVIDER_REFUSED"}
    assert await accounts_of(ada) == []


async def test_a_client_without_cookies_confirms_by_being_signed_in(ada: Person, acme: Acme) -> None:
    back = await acme.consent(await ada.start(cookies=False))
    found = told(await ada.visit(back, cookies=False))
    assert found["connection"] == "UNCONFIRMED"
    assert await accounts_of(ada) == []
    stored = await ada.platform.db.pool.fetchval("SELECT secret FROM connection_attempts WHERE user_id = $1", ada.user)
    assert not any(token in stored for grant in acme.auth.grants for token in (*grant.access, *grant.refresh))
    result = await ada.platform.connecting.confirm(ada.user, found["code"])
    (row,) = await accounts_of(ada)
    assert (result.outcome, result.account_id) == (Outcome.CONNECTED, row["id"])
    with pytest.raises(NotFound):
        await ada.platform.connecting.confirm(ada.user, found["code"])


async def test_a_confirmation_expires(ada: Person, acme: Acme) -> None:
    found = told(await ada.visit(await acme.consent(await ada.start(cookies=False))))
    await ada.platform.db.pool.execute("UPDATE connection_attempts SET expires_at = now() WHERE user_id = $1", ada.user)
    assert (await ada.platform.connecting.confirm(ada.user, found["code"])).outcome is Outcome.EXPIRED
    assert await accounts_of(ada) == []


async def test_scopes_that_the_user_cut_are_named(ada: Person) -> None:
    found = await ada.connect(nodes=("acme.new_note", "acme.write_note"), untick=("notes:write",))
    (row,) = await accounts_of(ada)
    assert found["connection"] == "SCOPES_MISSING"
    assert found["missingScopes"] == "notes:write"
    assert row["scopes"] == ["notes:read", "profile"]


async def test_a_scope_that_holds_another_is_as_good(settings: Settings, user: UUID) -> None:
    acme, service = Acme(), make_service(implies={"notes:write": ("notes:read",)})
    async with serving(acme) as given, platform_with(settings, given, service) as platform:
        found = await Person(platform, acme, user).connect(
            nodes=("acme.new_note", "acme.write_note"), untick=("notes:read",)
        )
    assert found["connection"] == "CONNECTED"


async def test_more_is_asked_for_without_losing_what_was_granted(ada: Person) -> None:
    await ada.connect(nodes=("acme.new_note",))
    (row,) = await accounts_of(ada)
    url = await ada.start(nodes=("acme.write_note",), account_id=row["id"])
    assert dict(parse_qsl(urlsplit(url).query))["scope"] == "notes:read notes:write profile"
    found = told(await ada.visit(await ada.acme.consent(url)))
    (row,) = await accounts_of(ada)
    assert found["connection"] == "CONNECTED"
    assert row["scopes"] == ["notes:read", "notes:write", "profile"]


async def test_connecting_a_known_account_anew_goes_round_again_rather_than_lose_scopes(ada: Person) -> None:
    await ada.connect(nodes=("acme.new_note",))
    (before,) = await accounts_of(ada)
    answer = await ada.visit(await ada.acme.consent(await ada.start(nodes=("acme.write_note",))))
    page = answer.headers["location"]
    assert page.startswith(ada.acme.url)
    assert dict(parse_qsl(urlsplit(page).query))["scope"] == "notes:read notes:write profile"
    assert [row["version"] for row in await accounts_of(ada)] == [before["version"]]
    assert told(await ada.visit(await ada.acme.consent(page)))["connection"] == "CONNECTED"
    (row,) = await accounts_of(ada)
    assert (row["id"], row["scopes"]) == (before["id"], ["notes:read", "notes:write", "profile"])


async def test_another_account_than_the_one_to_reconnect_changes_nothing(ada: Person) -> None:
    await ada.connect()
    (before,) = await accounts_of(ada)
    found = await ada.connect(account_id=before["id"], user="grace")
    assert found == {"connection": "WRONG_ACCOUNT"}
    assert await accounts_of(ada) == [before]


async def test_a_second_consent_without_a_refresh_token_keeps_the_first_ones(settings: Settings, user: UUID) -> None:
    google = Acme(Dialect(offline=lambda asked: asked.get("access_type") == "offline"))
    service = make_service(parameters={"access_type": "offline"})
    async with serving(google) as given, platform_with(settings, given, service) as platform:
        person = Person(platform, google, user)
        await person.connect()
        page = (await person.start()).replace("access_type=offline", "access_type=online")
        assert told(await person.visit(await google.consent(page)))["connection"] == "CONNECTED"
        (row,) = await accounts_of(person)
        assert (await platform.accounts.vault.open(row["id"])).secrets.refresh_token


@pytest.mark.parametrize(
    ("fault", "call", "outcome"),
    [
        (Fault(status=503), "/oauth2/token", "PROVIDER_UNAVAILABLE"),
        (Fault(cut=True), "/oauth2/token", "PROVIDER_UNAVAILABLE"),
        (
            Fault(status=200, body="<html>", headers={"content-type": "text/html"}),
            "/oauth2/token",
            "PROVIDER_UNAVAILABLE",
        ),
        (Fault(status=429), "/oauth2/token", "PROVIDER_UNAVAILABLE"),
        (Fault(status=400, body={"error": "invalid_grant"}), "/oauth2/token", "PROVIDER_REFUSED"),
        (Fault(status=200, body={"error": "bad_verification_code"}), "/oauth2/token", "PROVIDER_REFUSED"),
        (Fault(status=401, body={"error": "invalid_client"}), "/oauth2/token", "PROVIDER_REFUSED"),
        (Fault(status=500), "/v1/me", "PROVIDER_UNAVAILABLE"),
        (Fault(status=403), "/v1/me", "PROVIDER_REFUSED"),
        (Fault(body={"strange": True}), "/v1/me", "PROVIDER_UNAVAILABLE"),
        (Fault(body="<html>"), "/v1/me", "PROVIDER_UNAVAILABLE"),
    ],
)
async def test_what_a_providers_failure_is_called(
    ada: Person, acme: Acme, fault: Fault, call: str, outcome: str
) -> None:
    acme.next(fault, call)
    assert await ada.connect() == {"connection": outcome}
    assert await accounts_of(ada) == []


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        ("access_denied", "DENIED"),
        ("temporarily_unavailable", "PROVIDER_UNAVAILABLE"),
        ("invalid_scope", "PROVIDER_REFUSED"),
    ],
)
async def test_errors_in_the_address_are_told_apart(ada: Person, error: str, outcome: str) -> None:
    state = dict(parse_qsl(urlsplit(await ada.start()).query))["state"]
    back = httpx.URL("/oauth/acme/callback", params={"error": error, "state": state})
    assert told(await ada.visit(str(back))) == {"connection": outcome}


async def test_without_a_frontend_a_page_of_ours_says_what_happened(ada: Person, acme: Acme) -> None:
    back = await acme.consent(await ada.start(return_to=None))
    good = await ada.visit(back)
    assert (good.status_code, good.headers["referrer-policy"]) == (200, "no-referrer")
    assert "<h1>Connected</h1>" in good.text
    bad = await ada.visit(back)
    assert bad.status_code == 400
    assert "used before" in bad.text
    assert "script" not in bad.headers["content-security-policy"]


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example.com/",
        "https://app.example.com.evil.com/",
        "https://app.example.com@evil.com/",
        "https://evil.com\\@app.example.com/",
        "http://app.example.com/",
        "https://app.example.com:444/",
        "//app.example.com/",
        "javascript:alert(1)",
        "/accounts",
    ],
)
async def test_a_browser_is_sent_to_allowed_origins_only(ada: Person, elsewhere: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        await ada.start(return_to=elsewhere)
    assert (caught.value.code, caught.value.path) == ("RETURN_NOT_ALLOWED", ("returnTo",))


@pytest.mark.parametrize(
    ("wanted", "path", "suggestion"),
    [
        ({"service": "acmee"}, ("service",), "acme"),
        ({"service": "flow"}, ("service",), None),
        ({"nodes": ("acme.newnote",)}, ("nodes", 0), "acme.new_note"),
        ({"nodes": ("flow.log",)}, ("nodes", 0), None),
        ({"scopes": ("notes:reed",)}, ("scopes", 0), "notes:read"),
    ],
)
async def test_what_cannot_be_started_is_told_with_its_place(
    ada: Person, wanted: dict[str, Any], path: tuple[Any, ...], suggestion: str | None
) -> None:
    with pytest.raises(InvalidInput) as caught:
        await ada.start(**wanted)
    assert (caught.value.path, caught.value.suggestion) == (path, suggestion)


async def test_a_service_that_is_not_set_up_cannot_be_started(settings: Settings, user: UUID, acme: Acme) -> None:
    given = {**acme.environment(), "AREA_ACME_CLIENT_ID": ""}
    async with platform_with(settings, given) as platform:
        with pytest.raises(InvalidInput, match="AREA_ACME_CLIENT_ID") as caught:
            await Person(platform, acme, user).start()
    assert caught.value.code == "SERVICE_NOT_CONFIGURED"


async def test_an_account_of_somebody_else_cannot_be_reconnected(ada: Person, acme: Acme) -> None:
    other = await connected(ada.platform, acme, await a_user(ada.platform))
    with pytest.raises(NotFound):
        await ada.start(account_id=other)


async def test_attempts_are_bounded_and_cleared_away(ada: Person) -> None:
    for _ in range(50):
        await ada.start()
    with pytest.raises(LimitReached):
        await ada.start()
    pool = ada.platform.db.pool
    await pool.execute(
        "UPDATE connection_attempts SET expires_at = now() - interval '2 days' WHERE user_id = $1", ada.user
    )
    await ada.platform.connecting.tidy()
    assert await pool.fetchval("SELECT count(*) FROM connection_attempts WHERE user_id = $1", ada.user) == 0


async def test_a_disconnected_account_comes_back_as_itself(ada: Person) -> None:
    await ada.connect()
    (row,) = await accounts_of(ada)
    await ada.platform.accounts.disconnect(ada.user, row["id"])
    assert (await ada.connect())["account"] == to_global("ConnectedAccount", row["id"])
    assert await column(ada.platform, row["id"], "status") == "active"


async def test_an_account_that_somebody_else_uses_too_is_not_revoked_for_both(ada: Person, acme: Acme) -> None:
    await ada.connect()
    other = Person(ada.platform, acme, await a_user(ada.platform))
    await other.connect()
    (mine,) = await accounts_of(ada)
    await ada.platform.accounts.disconnect(ada.user, mine["id"])
    assert acme.asked("POST", "/oauth2/revoke") == []
    (theirs,) = await accounts_of(other)
    await ada.platform.accounts.disconnect(other.user, theirs["id"])
    assert len(acme.asked("POST", "/oauth2/revoke")) == 1


async def test_a_provider_that_is_down_does_not_keep_anybody_from_leaving(ada: Person, acme: Acme) -> None:
    await ada.connect()
    (row,) = await accounts_of(ada)
    acme.next(Fault(status=500), "/oauth2/revoke")
    await ada.platform.accounts.disconnect(ada.user, row["id"])
    assert await column(ada.platform, row["id"], "credentials IS NULL AND facts = '{}' AND scopes = '[]'")
    with pytest.raises(NotFound):
        await ada.platform.accounts.disconnect(ada.user, row["id"])


# Keys


async def test_a_key_is_tried_before_it_is_kept(ada: Person, acme: Acme) -> None:
    account = await ada.platform.keys.connect(ada.user, "acme", {"key": "key-of-ada"}, "My Acme")
    (row,) = await accounts_of(ada)
    assert (row["id"], row["method"], row["label"]) == (account, "key", "My Acme")
    assert "key-of-ada" not in row["credentials"]
    async with context(ada.platform, account) as ctx:
        assert ctx.credentials == {"key": "key-of-ada", "region": "eu"}
        assert (await ctx.http.get("/keyed/me")).json()["login"] == "ada"


@pytest.mark.parametrize(
    ("fields", "code", "path"),
    [
        ({"key": "key-of-nobody"}, "CREDENTIALS_REFUSED", ("fields",)),
        ({}, "REQUIRED_FIELD", ("fields", "key")),
        ({"key": "k"}, "INVALID_INPUT", ("fields", "key")),
        ({"key": "key-of-ada", "regoin": "us"}, "UNKNOWN_FIELD", ("fields", "regoin")),
    ],
)
async def test_a_key_that_is_no_good_is_told_with_its_place(
    ada: Person, fields: dict[str, Any], code: str, path: tuple[str, ...]
) -> None:
    with pytest.raises(AreaError) as caught:
        await ada.platform.keys.connect(ada.user, "acme", fields)
    error = caught.value.problems[0] if isinstance(caught.value, InvalidInputs) else caught.value
    assert (error.code, error.path) == (code, path)
    assert await accounts_of(ada) == []


@pytest.mark.parametrize("fault", [Fault(status=503), Fault(cut=True), Fault(status=429, headers={"Retry-After": "9"})])
async def test_a_key_is_not_kept_while_its_provider_cannot_say(ada: Person, acme: Acme, fault: Fault) -> None:
    acme.next(fault, "/v1/keyed/me")
    with pytest.raises(InvalidInput) as caught:
        await ada.platform.keys.connect(ada.user, "acme", {"key": "key-of-ada"})
    assert caught.value.code == "PROVIDER_UNAVAILABLE"
    assert await accounts_of(ada) == []


async def test_a_key_of_a_session_is_opened_prolonged_and_opened_again(settings: Settings, user: UUID) -> None:
    """As Bluesky's: a password opens a session, whose tokens end."""
    sky, opened = Acme(), []
    service = make_service()

    async def open_(ctx: sdk.Context, typed: Any) -> sdk.Grant:
        if typed["key"] != "right":
            raise sdk.GrantRefused("AuthenticationRequired", "Invalid identifier or password")
        opened.append(typed)
        return sdk.read_grant(sky.auth.issue(sky.users[0], "notes:write", "notes:read", "profile"))

    async def prolong(ctx: sdk.Context, refresh_token: str) -> sdk.Grant:
        answer = await ctx.client_http.post(
            f"{sky.url}/oauth2/token",
            data={
                "grant_type": "refresh_token",
                "refresh_token": refresh_token,
                "client_id": "acme-client",
                "client_secret": "acme-secret",
            },
        )
        return sdk.read_grant(answer.json())

    async def who(ctx: sdk.Context) -> sdk.Profile:
        found = (await ctx.http.get("/me")).json()
        return sdk.Profile(found["id"], found["login"])

    service.key_auth = sdk.Key(fields=service.key_auth.fields, open=open_, refresh=prolong)  # type: ignore[union-attr]
    service.identify(who)
    async with serving(sky) as given, platform_with(settings, given, service) as platform:
        with pytest.raises(InvalidInput, match="Invalid identifier"):
            await platform.keys.connect(user, "acme", {"key": "wrong"})
        account = await platform.keys.connect(user, "acme", {"key": "right"})
        for _ in range(2):
            sky.auth.expire()
            await platform.db.pool.execute(
                "UPDATE connected_accounts SET issued_at = now() - interval '1 hour' WHERE id = $1", account
            )
            platform.accounts.vault.forget(account)
            async with context(platform, account) as ctx:
                assert (await ctx.http.get("/notes")).status_code == 200
        assert (sky.auth.refreshes, len(opened)) == (2, 1)
        sky.auth.withdraw()
        async with context(platform, account) as ctx:
            assert (await ctx.http.get("/notes")).status_code == 200
        assert len(opened) == 2
