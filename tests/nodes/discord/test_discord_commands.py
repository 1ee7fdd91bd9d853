"""Slash commands: made, removed, delivered, signed."""

import json
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError

from area.nodes import discord, sdk
from area.nodes.discord import commands
from tests.nodes.conftest import NOON
from tests.nodes.discord.conftest import ADA, BOT, CHANNEL, HOME, HOOK, TOKEN, Make, at, body_of, names, refused

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw().hex()
APP = {"id": BOT, "name": "AREA", "verify_key": PUBLIC}
COMMANDS = f"/applications/{BOT}/guilds/{HOME}/commands"
COMMAND_ID = "800000000000000001"
DEPLOY = commands.SlashCommand(
    command="deploy",
    description="Deploys",
    parameters=[
        {"name": "loud", "description": "Tell all", "kind": "yes_no", "required": False},
        {"name": "version", "description": "Which"},
    ],
)
OPTIONS = [
    {"type": 3, "name": "version", "description": "Which", "required": True},
    {"type": 5, "name": "loud", "description": "Tell all", "required": False},
]
THERE = {"id": COMMAND_ID, "name": "deploy", "description": "Deploys", "options": OPTIONS}
REMOTE = f"{BOT}/guilds/{HOME}/commands/{COMMAND_ID}"
COMMAND = f"{COMMANDS}/{COMMAND_ID}"
SETTINGS = {"public_key": PUBLIC.upper() + "\n"}


async def test_the_command_is_made_in_the_accounts_server(make: Make) -> None:
    ctx, seen = make({"GET /applications/@me": APP, f"POST {COMMANDS}": (201, THERE)}, settings=SETTINGS)
    made = await commands.make_command(ctx, DEPLOY, HOOK)
    assert made == sdk.Subscription(REMOTE, topic=f"{HOME}/deploy")
    assert body_of(seen[1]) == {"type": 1, "name": "deploy", "description": "Deploys", "options": OPTIONS}


async def test_a_bot_whose_commands_arrive_elsewhere_makes_none(make: Make) -> None:
    ctx, seen = make(
        {"GET /applications/@me": APP | {"name": "Mine", "verify_key": "ab" * 32}}, settings=SETTINGS, credentials=TOKEN
    )
    with pytest.raises(sdk.Rejected, match="of the application Mine do not arrive here: AREA_DISCORD_PUBLIC_KEY"):
        await commands.make_command(ctx, DEPLOY.model_copy(update={"server": HOME}), HOOK)
    assert len(seen) == 1
    assert commands.slash_command.topic_of is None, "a topic is had only by a command that was made"


@pytest.mark.parametrize(
    "answer", [(204, None), refused(404, 10063, "Unknown application command")], ids=["there", "gone"]
)
async def test_the_command_is_removed(make: Make, answer: Any) -> None:
    ctx, seen = make({f"DELETE {COMMAND}": answer})
    await commands.remove_command(ctx, DEPLOY, REMOTE)
    assert names(seen) == [f"DELETE {COMMAND}"]


async def test_a_command_that_cannot_be_removed_is_no_success(make: Make) -> None:
    ctx, _ = make({f"DELETE {COMMAND}": refused(403, 50001, "Missing Access")})
    with pytest.raises(sdk.Rejected, match="Missing Access"):
        await commands.remove_command(ctx, DEPLOY, REMOTE)


async def test_whether_the_command_is_there(make: Make) -> None:
    asked = {True: THERE | {"description": "by another AREA"}, False: refused(404, 10063)}
    for expected, there in asked.items():
        ctx, _ = make({f"GET {COMMAND}": there})
        assert await commands.has_command(ctx, DEPLOY, REMOTE) is expected
    ctx, _ = make({f"GET {COMMAND}": refused(403, 50001, "Missing Access")})
    with pytest.raises(sdk.Rejected, match="Missing Access"):
        await commands.has_command(ctx, DEPLOY, REMOTE)


INTERACTION = {
    "id": at(NOON),
    "application_id": BOT,
    "type": 2,
    "token": "secret-continuation",
    "version": 1,
    "guild_id": HOME,
    "channel_id": CHANNEL,
    "data": {
        "id": COMMAND_ID,
        "name": "deploy",
        "type": 1,
        "options": [{"name": "version", "type": 3, "value": "1.4 ✨"}, {"name": "loud", "type": 5, "value": True}],
    },
    "member": {"user": {"id": ADA, "username": "ada", "global_name": "Ada"}, "nick": "Countess", "roles": []},
}


def delivered(body: Any, **more: Any) -> sdk.WebhookDelivery:
    raw = more.pop("raw", json.dumps(body).encode())
    return sdk.WebhookDelivery("POST", more.pop("headers", {}), {}, raw, body, "application/json")


def test_a_use_is_routed_by_server_and_name_and_fires(make: Make) -> None:
    entrance = discord.service.entrance
    assert entrance is not None
    assert entrance.route(delivered(INTERACTION)) == [f"{HOME}/deploy"]
    used = commands.slash_command.fn(DEPLOY, delivered(INTERACTION))
    assert used == commands.Used(
        id=at(NOON),
        command="deploy",
        values={"version": "1.4 ✨", "loud": True},
        text="1.4 ✨ True",
        user_id=ADA,
        user_name="Countess",
        user_username="ada",
        channel_id=CHANNEL,
        server_id=HOME,
        used_at=NOON,
    )
    assert "secret-continuation" not in used.model_dump_json()
    assert commands.slash_command.identity == "id"


def test_its_user_is_answered_at_once_and_alone() -> None:
    entrance = discord.service.entrance
    assert entrance is not None
    assert entrance.reply is not None
    answer = entrance.reply(delivered(INTERACTION))
    assert answer.body == {
        "type": 4,
        "data": {"content": "/deploy is on its way.", "flags": 64, "allowed_mentions": {"parse": []}},
    }
    assert (answer.status, answer.content_type) == (200, "application/json")
    assert entrance.reply(delivered({"type": 4})).body == {"type": 8, "data": {"choices": []}}
    assert entrance.reply(delivered({"type": 3})).body == {"type": 6}


EVENT = {"version": 1, "application_id": BOT, "type": 1, "event": {"type": "APPLICATION_DEAUTHORIZED", "data": {}}}


def test_discords_probes_are_answered() -> None:
    entrance = discord.service.entrance
    assert entrance is not None
    assert entrance.handshake is not None
    assert entrance.reply is not None
    pong = entrance.handshake(delivered({"type": 1, "id": "1", "application_id": "2", "token": "t", "version": 1}))
    assert pong == sdk.Answer({"type": 1}, content_type="application/json")
    assert entrance.handshake(delivered({"version": 1, "application_id": BOT, "type": 0})) == sdk.Answer(status=204)
    assert entrance.handshake(delivered(INTERACTION)) is None
    assert entrance.handshake(delivered(EVENT)) is None
    assert entrance.route(delivered(EVENT)) == []
    assert entrance.reply(delivered(EVENT)) == sdk.Answer(status=204)


@pytest.mark.parametrize("body", [None, "text", [], {}, 7])
def test_what_is_no_interaction_is_refused(body: Any) -> None:
    entrance = discord.service.entrance
    assert entrance is not None
    assert entrance.handshake is not None
    assert entrance.handshake(delivered(body)) is None
    with pytest.raises(sdk.Rejected, match="neither an interaction nor a webhook event"):
        entrance.route(delivered(body))


@pytest.mark.parametrize(
    "changed",
    [{"type": 3}, {"type": 5}, {"guild_id": None}, {"data": None}, {"data": {"name": ""}}],
)
def test_other_interactions_go_nowhere(changed: dict[str, Any]) -> None:
    entrance = discord.service.entrance
    assert entrance is not None
    assert entrance.route(delivered(INTERACTION | changed)) == []


def test_a_use_of_another_command_does_not_fire() -> None:
    assert commands.slash_command.fn(commands.SlashCommand(command="else"), delivered(INTERACTION)) is None
    nobody = INTERACTION | {"member": None}
    assert commands.slash_command.fn(DEPLOY, delivered(nobody)) is None


def test_a_signature_is_over_timestamp_and_raw_body() -> None:
    entrance = discord.service.entrance
    assert entrance is not None
    raw, moment = b'{"type": 1}', str(int(NOON.timestamp()))
    headers = {"x-signature-timestamp": moment, "x-signature-ed25519": KEY.sign(moment.encode() + raw).hex()}
    entrance.verify.check(PUBLIC, delivered({}, raw=raw, headers=headers), NOON)
    wrong = [
        (raw + b" ", headers, NOON),
        (raw, headers | {"x-signature-timestamp": str(int(moment) + 1)}, NOON),
        (raw, headers | {"x-signature-ed25519": "00" * 64}, NOON),
        (raw, headers | {"x-signature-ed25519": "zz"}, NOON),
        (raw, {"x-signature-timestamp": moment}, NOON),
        (raw, headers, NOON + timedelta(minutes=6)),
    ]
    for body, given, now in wrong:
        with pytest.raises(sdk.BadSignature):
            entrance.verify.check(PUBLIC, delivered({}, raw=body, headers=given), now)
    assert entrance.secret == "public_key"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"command": "/deploy"}, "match pattern"),
        ({"command": "De ploy"}, "match pattern"),
        ({"command": "Deploy"}, "use lower-case letters"),
        ({"command": "x" * 33}, "match pattern"),
        ({"description": ""}, "at least 1"),
        ({"description": "x" * 101}, "at most 100"),
        ({"parameters": [{"name": "a", "description": "b"}] * 2}, "two parameters are named 'a'"),
        ({"parameters": [{"name": f"a{n}", "description": "b"} for n in range(26)]}, "at most 25"),
        ({"parameters": [{"name": "A", "description": "b"}]}, "use lower-case letters"),
    ],
)
def test_a_command_that_discord_refuses_is_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        commands.SlashCommand.model_validate({"command": "deploy", **given})


def test_a_command_may_be_named_in_any_script() -> None:
    assert commands.SlashCommand(command="déploie-日本").command == "déploie-日本"
