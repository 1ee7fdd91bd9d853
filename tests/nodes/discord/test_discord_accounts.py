"""Accounts at Discord: whose server they are, who keeps them, and what they choose from."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from area.nodes import discord, sdk
from area.nodes.discord import members, messages, reactions, threads
from area.nodes.discord.sending import moment_of, snowflake
from tests.nodes.discord.conftest import (
    ADA,
    CHANNEL,
    FACTS,
    HOME,
    ME,
    MESSAGE,
    OTHER,
    ROLE,
    TOKEN,
    Answers,
    Make,
    names,
    refused,
)

# Accounts


async def test_an_account_is_the_server_that_the_consent_added_the_bot_to(make: Make) -> None:
    granted = sdk.Grant("t", extra={"guild": {"id": HOME, "name": "Ada's server", "icon": "abc", "roles": []}})
    me = {"id": ADA, "username": "ada", "global_name": "Ada", "avatar": None}
    ctx, seen = make({ME: me}, granted=granted)
    assert await discord.connection.identify(ctx) == sdk.Profile(
        HOME, "Ada's server (Ada)", f"https://cdn.discordapp.com/icons/{HOME}/abc.png", FACTS
    )
    assert names(seen) == [ME]


@pytest.mark.parametrize("extra", [{}, {"guild": None}, {"guild": {"name": "x"}}])
async def test_a_consent_without_a_server_is_refused(make: Make, extra: dict[str, Any]) -> None:
    ctx, _ = make({ME: {"id": ADA, "username": "ada"}}, granted=sdk.Grant("t", extra=extra))
    with pytest.raises(sdk.Rejected, match="Connect again, and choose a server"):
        await discord.connection.identify(ctx)


async def test_a_bot_of_ones_own_is_known_by_its_name(make: Make) -> None:
    me = {"id": "100000000000000002", "username": "Mine", "avatar": "a1", "bot": True}
    ctx, _ = make({ME: me}, credentials=TOKEN)
    picture = "https://cdn.discordapp.com/avatars/100000000000000002/a1.png"
    assert await discord.connection.identify(ctx) == sdk.Profile("100000000000000002", "Mine (bot)", picture)


def test_what_is_asked_for_and_how_requests_are_authorised() -> None:
    auth, key, app = discord.service.auth, discord.service.key_auth, discord.service.app_auth
    assert auth is not None
    assert key is not None
    assert key.authorise is not None
    assert isinstance(app, sdk.AppHeader)
    assert (auth.scopes, auth.parameters) == (("identify", "bot"), {"permissions": "309506165824"})
    assert not int(auth.parameters["permissions"]) & (1 << 3 | 1 << 17), "neither administrator nor @everyone"
    request = httpx.Request("GET", "https://x.test")
    key.authorise(request, TOKEN)
    assert request.headers["authorization"] == "Bot own.moment.proof"
    app.authorise(request, "platform.moment.proof", {})
    assert (app.setting, request.headers["authorization"]) == ("bot_token", "Bot platform.moment.proof")
    with pytest.raises(ValidationError):
        key.fields.model_validate({"token": "Bot x.y.z"})


GUILD = f"GET /guilds/{HOME}"
MEMBER = f"GET /guilds/{HOME}/members/{ADA}"
SERVER = {
    "id": HOME,
    "owner_id": "200000000000000009",
    "roles": [
        {"id": HOME, "permissions": "2048"},
        {"id": ROLE, "permissions": str(1 << 5 | 1 << 40)},
        {"id": "500000000000000002", "permissions": str(1 << 3)},
        {"id": "500000000000000003", "permissions": "1024"},
    ],
}


@pytest.mark.parametrize(
    "answers",
    [
        {GUILD: SERVER | {"owner_id": ADA}},
        {GUILD: SERVER, MEMBER: {"user": {"id": ADA}, "roles": [ROLE]}},
        {GUILD: SERVER, MEMBER: {"user": {"id": ADA}, "roles": ["500000000000000002"]}},
    ],
    ids=["owner", "manager", "administrator"],
)
async def test_who_still_manages_the_server_keeps_the_account(make: Make, answers: Answers) -> None:
    ctx, seen = make(answers)
    await discord.connection.validate(ctx)
    assert names(seen) == list(answers)


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ({GUILD: refused(404, 10004, "Unknown Guild")}, "The bot is not in Ada's server any more"),
        ({GUILD: refused(403, 50001, "Missing Access")}, "The bot is not in Ada's server any more"),
        ({GUILD: SERVER, MEMBER: refused(404, 10007, "Unknown Member")}, "Ada may not manage Ada's server any more"),
        (
            {GUILD: SERVER, MEMBER: {"user": {"id": ADA}, "roles": ["500000000000000003"]}},
            "Ada may not manage Ada's server any more",
        ),
    ],
    ids=["kicked", "no access", "left", "demoted"],
)
async def test_who_does_not_loses_it(make: Make, answers: Answers, told: str) -> None:
    ctx, _ = make(answers)
    with pytest.raises(sdk.Reconnect, match=told):
        await discord.connection.validate(ctx)


@pytest.mark.parametrize("answer", [(503, {}), httpx.Response(200, html="<p>hi</p>")])
async def test_a_hiccup_costs_no_account(make: Make, answer: Any) -> None:
    ctx, _ = make({GUILD: answer})
    with pytest.raises(sdk.Unavailable):
        await discord.connection.validate(ctx)


async def test_another_refusal_costs_no_account_either(make: Make) -> None:
    ctx, _ = make({GUILD: refused(400, 50035, "Invalid Form Body")})
    with pytest.raises(sdk.Rejected, match="Invalid Form Body"):
        await discord.connection.validate(ctx)


async def test_a_bot_of_ones_own_is_tried(make: Make) -> None:
    ctx, _ = make({ME: (401, {"message": "401: Unauthorized", "code": 0})}, credentials=TOKEN)
    with pytest.raises(sdk.Reconnect):
        await discord.connection.validate(ctx)


# Choices


def choices_of(model: type[sdk.Inputs], field: str) -> Callable[..., Any]:
    found = [mark for mark in model.model_fields[field].metadata if isinstance(mark, sdk.Choices)]
    return found[0].fn


CHANNELS = [
    {"id": "410000000000000001", "type": 4, "name": "Späti", "position": 5},
    {"id": "410000000000000002", "type": 0, "name": "in-group", "position": 0, "parent_id": "410000000000000001"},
    {"id": "410000000000000003", "type": 0, "name": "top", "position": 9, "parent_id": None},
    {"id": "410000000000000004", "type": 15, "name": "forum", "position": 1},
    {"id": "410000000000000005", "type": 2, "name": "voice", "position": 2},
    {"id": "410000000000000006", "type": 14, "name": "directory", "position": 3},
]


async def test_channels_are_chosen_from_the_accounts_server(make: Make) -> None:
    ctx, seen = make({f"GET /guilds/{HOME}/channels": CHANNELS})
    chats = await choices_of(messages.Message, "channel")(ctx, {})
    assert [(one.value[-1], one.label) for one in chats] == [("5", "#voice"), ("3", "#top"), ("2", "#in-group (Späti)")]
    parents = await choices_of(threads.NewThread, "channel")(ctx, {})
    assert [one.label for one in parents] == ["#forum", "#top", "#in-group (Späti)"]
    assert len(seen) == 2


async def test_a_bot_of_ones_own_chooses_from_its_servers(make: Make) -> None:
    guilds = [{"id": HOME, "name": "One"}, {"id": OTHER, "name": "Two"}]
    listed = {f"GET /guilds/{one}/channels": [CHANNELS[2]] for one in (HOME, OTHER)}
    ctx, _ = make({"GET /users/@me/guilds": guilds, **listed}, credentials=TOKEN)
    chats = await choices_of(messages.Message, "channel")(ctx, {})
    assert [one.label for one in chats] == ["One: #top", "Two: #top"]
    servers = await choices_of(members.RoleForMember, "server")(ctx, {})
    assert servers == [sdk.Choice(HOME, "One"), sdk.Choice(OTHER, "Two")]


async def test_a_bot_in_very_many_servers_offers_the_first(make: Make) -> None:
    guilds = [{"id": str(310000000000000000 + n), "name": str(n)} for n in range(200)]
    listed = {f"GET /guilds/{one['id']}/channels": [] for one in guilds}
    ctx, seen = make({"GET /users/@me/guilds": guilds, **listed}, credentials=TOKEN)
    assert await choices_of(messages.Message, "channel")(ctx, {}) == []
    assert len(seen) == 11


async def test_roles_that_can_be_given_are_offered(make: Make) -> None:
    roles = [
        {"id": HOME, "name": "@everyone", "position": 0},
        {"id": ROLE, "name": "Members", "position": 1, "managed": False},
        {"id": "500000000000000002", "name": "Lord", "position": 9, "managed": False},
        {"id": "500000000000000003", "name": "AREA", "position": 5, "managed": True},
    ]
    ctx, _ = make({f"GET /guilds/{HOME}/roles": roles})
    offered = await choices_of(members.RoleForMember, "role")(ctx, {})
    assert offered == [sdk.Choice("500000000000000002", "Lord"), sdk.Choice(ROLE, "Members")]
    assert await choices_of(members.RoleForMember, "server")(ctx, {}) == [sdk.Choice(HOME, "Ada's server")]


async def test_emojis_of_the_server_are_offered_after_common_ones(make: Make) -> None:
    emojis = [
        {"id": "600000000000000001", "name": "party", "available": True},
        {"id": "600000000000000002", "name": "lost", "available": False},
    ]
    ctx, _ = make({f"GET /guilds/{HOME}/emojis": emojis})
    offered = await choices_of(reactions.EmojiOnMessage, "emoji")(ctx, {})
    assert offered[0] == sdk.Choice("👍", "👍")
    assert offered[-1] == sdk.Choice("party:600000000000000001", ":party:")
    for one in offered:
        reactions.EmojiOnMessage(channel=CHANNEL, message=MESSAGE, emoji=str(one.value))


def test_ids_tell_when() -> None:
    assert moment_of("175928847299117063") == datetime(2016, 4, 30, 11, 18, 25, 796000, UTC), "Discord's own example"
    assert snowflake(datetime(2014, 1, 1, tzinfo=UTC)) == 0
