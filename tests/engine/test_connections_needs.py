"""What an AREA needs of accounts is found out when it is saved, with its place; all of it at once."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from area.core.errors import AccountRequired, AreaError, InvalidInputs
from area.core.ids import new_id
from area.core.settings import Settings
from area.engine.areas import ReactionDraft, duplicate_area, set_area_enabled
from tests.engine.conftest import World, log
from tests.engine.connections import connected, platform_with
from tests.providers.acme import Acme, make_service
from tests.providers.base import serving


@pytest.fixture
async def acme() -> AsyncIterator[Acme]:
    standin = Acme()
    async with serving(standin):
        yield standin


@pytest.fixture
async def world(settings: Settings, acme: Acme, user: UUID) -> AsyncIterator[World]:
    async with platform_with(settings, acme.environment()) as opened:
        yield World(opened, user)


async def problems(world: World, *reactions: ReactionDraft, **draft: Any) -> list[AreaError]:
    with pytest.raises(InvalidInputs) as caught:
        await world.area(*reactions, **draft)
    assert await world.pool.fetchval("SELECT count(*) FROM areas WHERE user_id = $1", world.user) == 0
    return caught.value.problems


def write(account: UUID | None) -> ReactionDraft:
    return ReactionDraft("acme.write_note", {"text": "hello"}, account_id=account)


async def test_accounts_that_are_missing_are_named_with_what_to_ask_for(world: World) -> None:
    found = await problems(world, write(None), action="acme.new_note")
    assert [(type(one), one.code, one.path) for one in found] == [
        (AccountRequired, "ACCOUNT_REQUIRED", ("action", "account_id")),
        (AccountRequired, "ACCOUNT_REQUIRED", ("reactions", 0, "account_id")),
    ]
    assert [(one.service, one.missing_scopes) for one in found] == [  # type: ignore[attr-defined]
        ("acme", ("notes:read", "profile")),
        ("acme", ("notes:write", "profile")),
    ]


async def test_consent_that_is_missing_is_named(world: World, acme: Acme) -> None:
    reader = await connected(world.platform, acme, world.user, None, "profile", "notes:read")
    (problem,) = await problems(world, write(reader))
    assert isinstance(problem, AccountRequired)
    assert (problem.missing_scopes, problem.path) == (("notes:write",), ("reactions", 0, "account_id"))
    assert "notes:write" in problem.message


async def test_a_scope_that_holds_what_is_needed_is_enough(settings: Settings, acme: Acme, user: UUID) -> None:
    service = make_service(implies={"all": ("notes:all",), "notes:all": ("notes:write",)})
    async with platform_with(settings, acme.environment(), service) as platform:
        account = await connected(platform, acme, user, None, "all")
        await World(platform, user).area(write(account))


async def test_a_key_has_no_scopes_to_miss(world: World) -> None:
    account = await world.platform.keys.connect(world.user, "acme", {"key": "key-of-ada"})
    await world.area(write(account))


@pytest.mark.parametrize("whose", ["nobody's", "somebody else's"])
async def test_an_account_that_is_not_ones_own_is_not_there(world: World, acme: Acme, whose: str) -> None:
    account = new_id()
    if whose != "nobody's":
        other = new_id()
        await world.pool.execute("INSERT INTO users (id, email) VALUES ($1, $2)", other, f"{other.hex}@example.com")
        account = await connected(world.platform, acme, other)
    (problem,) = await problems(world, write(account))
    assert (problem.code, problem.path) == ("NOT_FOUND", ("reactions", 0, "account_id"))


async def test_an_account_of_another_service_does_not_fit(world: World, acme: Acme) -> None:
    account = await connected(world.platform, acme, world.user)
    await world.pool.execute("UPDATE connected_accounts SET service = 'twitch' WHERE id = $1", account)
    (problem,) = await problems(world, write(account))
    assert (problem.code, problem.path) == ("ACCOUNT_OF_OTHER_SERVICE", ("reactions", 0, "account_id"))


async def test_a_node_that_uses_no_account_takes_none(world: World, acme: Acme) -> None:
    account = await connected(world.platform, acme, world.user)
    (problem,) = await problems(world, ReactionDraft("flow.log", {"message": "x"}, account_id=account))
    assert (problem.code, problem.path) == ("ACCOUNT_NOT_USED", ("reactions", 0, "account_id"))


async def test_a_disconnected_account_has_to_be_connected_again_and_a_dead_one_may_be_saved(
    world: World, acme: Acme
) -> None:
    account = await connected(world.platform, acme, world.user)
    await world.platform.accounts.gone("acme", acme.users[0].id, "it says so")
    await world.area(write(account))  # its runs are held until it is back
    await world.platform.accounts.disconnect(world.user, account)
    with pytest.raises(InvalidInputs) as caught:
        await world.area(write(account))
    assert [one.code for one in caught.value.problems] == ["ACCOUNT_REQUIRED"]


async def test_a_service_that_is_not_set_up_is_told_when_saving(settings: Settings, acme: Acme, user: UUID) -> None:
    given = {**acme.environment(), "AREA_ACME_CLIENT_ID": "", "AREA_ACME_CLIENT_SECRET": ""}
    async with platform_with(settings, given) as platform:
        found = await problems(World(platform, user), write(None), log("x"))
    assert [(one.code, one.path) for one in found] == [
        ("SERVICE_NOT_CONFIGURED", ("reactions", 0, "reaction")),
        ("ACCOUNT_REQUIRED", ("reactions", 0, "account_id")),
    ]
    assert "AREA_ACME_CLIENT_ID, AREA_ACME_CLIENT_SECRET" in found[0].message


async def test_an_area_is_checked_again_when_it_is_switched_on_or_copied(world: World, acme: Acme) -> None:
    account = await connected(world.platform, acme, world.user)
    area = await world.area(write(account), is_enabled=False)
    await world.platform.accounts.disconnect(world.user, account)
    for change in (
        set_area_enabled(world.platform, world.user, area.id, True),
        duplicate_area(world.platform, world.user, area.id),
    ):
        with pytest.raises(InvalidInputs) as caught:
            await change
        assert [one.code for one in caught.value.problems] == ["ACCOUNT_REQUIRED"]
