"""The key that secrets are sealed with is replaced while everything goes on."""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from pydantic import SecretStr

from area.app.keys import rotate_keys
from area.auth.tokens import AccessTokens
from area.core.crypto import SealBroken, Sealer, Signer
from area.core.ids import new_id
from area.core.settings import Settings
from area.engine.connections.flow import Wanted
from area.engine.connections.keys import PLACES
from area.engine.connections.store import context_of
from area.engine.platform import Platform
from area.nodes import sdk
from tests.engine.conftest import World, eventually, log
from tests.engine.connections import column, connected, context, platform_with
from tests.providers.acme import Acme
from tests.providers.base import serving

OLD, NEW = "the-old-key-of-thirty-two-letters", "the-new-key-of-thirty-two-letters"


def test_a_sealer_opens_what_its_other_keys_sealed_and_seals_with_its_own() -> None:
    before = Sealer(OLD).seal("secret", "here")
    both = Sealer(NEW, [OLD])
    assert both.open(before, "here") == "secret"
    assert both.is_current(both.seal("secret", "here"))
    assert not both.is_current(before)
    for sealer, place in ((Sealer(NEW), "here"), (both, "there")):
        with pytest.raises(SealBroken):
            sealer.open(before, place)


def test_a_signature_is_good_for_its_purpose_and_with_a_known_key() -> None:
    signed = Signer(OLD, "one").sign("text.with.dots")
    assert Signer(OLD, "one").read(signed) == "text.with.dots"
    assert Signer(NEW, "one", [OLD]).read(signed) == "text.with.dots"
    for wrong in (
        Signer(OLD, "two").read(signed),
        Signer(NEW, "one").read(signed),
        Signer(OLD, "one").read(signed[:-1]),
    ):
        assert wrong is None
    assert Signer(OLD, "one").read("") is None


def test_access_tokens_of_the_old_key_are_read_while_it_is_known() -> None:
    user = new_id()
    token = AccessTokens(OLD, 60).issue(user, new_id()).value
    assert AccessTokens(NEW, 60, [OLD]).read(token).user_id == user
    with pytest.raises(Exception, match="not valid"):
        AccessTokens(NEW, 60).read(token)


@pytest.fixture
async def acme() -> AsyncIterator[Acme]:
    standin = Acme()
    async with serving(standin):
        yield standin


def with_key(settings: Settings, key: str, *others: str) -> Settings:
    return settings.model_copy(
        update={"secret_key": SecretStr(key), "old_secret_keys": [SecretStr(other) for other in others]}
    )


async def signed(platform: Platform, area_token: str, body: bytes, secret: str) -> int:
    mac = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {"x-hub-signature-256": f"sha256={mac}", "content-type": "application/json"}
    delivery = sdk.WebhookDelivery("POST", headers, {}, body, {"n": 1}, "application/json")
    return (await platform.intake.deliver(area_token, delivery)).runs


async def test_every_secret_is_sealed_anew_and_the_old_key_can_go(settings: Settings, acme: Acme, user: UUID) -> None:
    given = acme.environment()
    old = with_key(settings, OLD)
    async with platform_with(old, given) as platform:
        pool = platform.db.pool
        # Whatever else this session has sealed is not ours to rotate.
        await pool.execute("DELETE FROM connection_attempts")
        account = await connected(platform, acme, user)
        area = await World(platform, user).area(
            log("a"), config={"secret": "hush-hush-hush", "signature_header": "x-hub-signature-256"}
        )
        token = await pool.fetchval("SELECT token FROM hooks WHERE id = $1", area.hook_id)
        endpoint = await platform.endpoint_secrets.of("acme", "Acme")
        await platform.connecting.start(user, Wanted("acme"), with_cookie=False)

    # Both keys are known everywhere; the accounts are used meanwhile.
    both = with_key(settings, NEW, OLD)
    async with platform_with(both, given) as platform:
        done = {place.name: place for place in await rotate_keys(both)}
        assert done["connected accounts"].sealed >= 1
        assert done["connection attempts"].sealed == 1
        assert done["secrets of webhooks"].sealed >= 1
        assert done["endpoints of services"].sealed >= 1
        again = await rotate_keys(both)
        assert [place.sealed for place in again] == [0] * len(PLACES)

    async with platform_with(with_key(settings, NEW), given) as platform:
        async with context(platform, account) as ctx:
            assert (await ctx.http.get("/me")).json()["login"] == "ada"
        assert await signed(platform, token, b'{"n": 1}', "hush-hush-hush") == 1
        assert await platform.endpoint_secrets.of("acme", "Acme") == endpoint
        assert str(await column(platform, account, "credentials")).startswith(Sealer(NEW).key_id)


async def test_a_rotation_that_was_stopped_goes_on_and_what_does_not_open_is_left(
    settings: Settings, acme: Acme, user: UUID
) -> None:
    async with platform_with(with_key(settings, OLD), acme.environment()) as platform:
        account = await connected(platform, acme, user)
        before = await column(platform, account, "credentials")
        # The operator forgot the old key: nothing is lost, and it says so.
        done = {place.name: place for place in await rotate_keys(with_key(settings, NEW))}
        assert done["connected accounts"].unreadable >= 1
        assert await column(platform, account, "credentials") == before
        done = {place.name: place for place in await rotate_keys(with_key(settings, NEW, OLD))}
        assert done["connected accounts"].sealed >= 1
    async with (
        platform_with(with_key(settings, NEW), acme.environment()) as platform,
        context(platform, account) as ctx,
    ):
        assert (await ctx.http.get("/me")).status_code == 200


async def test_tokens_refreshed_during_a_rotation_are_not_overwritten(
    settings: Settings, acme: Acme, user: UUID
) -> None:
    """The rotation writes only where it finds what it read."""
    async with platform_with(with_key(settings, OLD), acme.environment()) as platform:
        account = await connected(platform, acme, user)
        pool = platform.db.pool
        async with pool.acquire() as connection, connection.transaction():
            # The row is read by the rotation, and changed before it writes.
            await connection.execute("SELECT 1 FROM connected_accounts WHERE id = $1 FOR UPDATE", account)
            rotating = asyncio.create_task(rotate_keys(with_key(settings, NEW, OLD)))

            async def waits() -> bool:
                blocked = "SELECT count(*) FROM pg_locks WHERE NOT granted"
                return bool(await pool.fetchval(blocked))

            await eventually(waits)
            kept = Sealer(OLD).seal('{"access": "newer", "refresh": null, "fields": {}}', _place(acme, user))
            await connection.execute("UPDATE connected_accounts SET credentials = $2 WHERE id = $1", account, kept)
        await rotating
        assert await column(platform, account, "credentials") == kept
        await rotate_keys(with_key(settings, NEW, OLD))
        assert Sealer(NEW).is_current(await column(platform, account, "credentials"))


def _place(acme: Acme, user: UUID) -> str:
    return context_of(user, "acme", acme.users[0].id)


async def test_every_column_that_holds_sealed_values_is_rotated(settings: Settings, acme: Acme, user: UUID) -> None:
    """A scan of the database for anything that looks sealed finds it in a place that the rotation knows."""
    async with platform_with(settings, acme.environment()) as platform:
        await connected(platform, acme, user)
        await _scan(platform)


async def _scan(platform: Platform) -> None:
    known = {(place.table, place.value.split(" ")[0]) for place in PLACES}
    columns = await platform.db.pool.fetch(
        "SELECT table_name, column_name FROM information_schema.columns c JOIN information_schema.tables t "
        "USING (table_schema, table_name) WHERE table_schema = current_schema() AND data_type IN ('text', 'jsonb') "
        "AND table_type = 'BASE TABLE'"
    )
    found = set()
    for row in columns:
        table, name = row["table_name"], row["column_name"]
        looks = f'SELECT 1 FROM "{table}" WHERE "{name}"::text ~ \'(^|")[0-9a-f]{{8}}\\.[A-Za-z0-9_-]{{38,}}={{0,2}}("|$)\' LIMIT 1'
        if await platform.db.pool.fetchval(looks):
            found.add((table, name))
    assert found <= known
    assert ("connected_accounts", "credentials") in found
