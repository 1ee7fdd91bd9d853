"""Slash commands: each is made in the server by its AREA, and removed with it; their use arrives at one address, signed.

Two AREAs may want one name in one server, and Discord then has one command, as it was described last. Both hear of its use, since
deliveries are routed by server and name, and it is there until the last of them goes.

Facts: https://docs.discord.com/developers/interactions/application-commands (naming, a same name overwrites),
https://docs.discord.com/developers/interactions/receiving-and-responding (3 seconds, answers),
https://docs.discord.com/developers/events/webhook-events (their ping and answer)
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, field_validator

from area.nodes import sdk
from area.nodes.discord.connection import read, service
from area.nodes.discord.sending import moment_of
from area.nodes.discord.servers import SNOWFLAKE, bot, list_servers, server_of

NAME = r"^[-_'\w]{1,32}$"
PING, COMMAND, AUTOCOMPLETE = 1, 2, 4
PONG, MESSAGE, DEFERRED_UPDATE, SUGGESTIONS = 1, 4, 6, 8
EPHEMERAL = 1 << 6
CHAT_INPUT = 1
GONE = "DISCORD_10063"


class Kind(StrEnum):
    """What a parameter holds."""

    TEXT = "text"
    INTEGER = "integer"
    YES_NO = "yes_no"
    USER = "user"
    CHANNEL = "channel"
    ROLE = "role"
    NUMBER = "number"


KINDS = {
    Kind.TEXT: 3,
    Kind.INTEGER: 4,
    Kind.YES_NO: 5,
    Kind.USER: 6,
    Kind.CHANNEL: 7,
    Kind.ROLE: 8,
    Kind.NUMBER: 10,
}


def _lower(value: str) -> str:
    if value != value.lower():
        raise ValueError("use lower-case letters")
    return value


class Parameter(sdk.Inputs):
    """What users fill in after the command."""

    name: str = Field(title="Name", description="Lower case, no spaces.", pattern=NAME, examples=["version"])
    description: str = Field(
        title="Description", description="Shown beside it.", min_length=1, max_length=100, examples=["Which version"]
    )
    kind: Kind = Field(Kind.TEXT, title="Kind", description="What it holds.", examples=["text"])
    required: bool = Field(True, title="Required", description="Whether it must be filled in.", examples=[True])

    _is_lower = field_validator("name")(_lower)


class SlashCommand(sdk.Inputs):
    """Which command."""

    command: str = Field(
        title="Command",
        description="Its name without the slash: lower case, no spaces.",
        pattern=NAME,
        examples=["deploy"],
    )
    description: str = Field(
        "Starts an automation",
        title="Description",
        description="What users see beside the command.",
        min_length=1,
        max_length=100,
        examples=["Deploys a version"],
    )
    parameters: list[Parameter] = Field(
        default_factory=list,
        title="Parameters",
        description="What users fill in; up to 25.",
        max_length=25,
        examples=[[{"name": "version", "description": "Which version"}]],
    )
    server: Annotated[str, sdk.Choices(list_servers)] = Field(
        "",
        title="Server",
        description="Only for a bot of your own: the server's id. Otherwise it is the connected one.",
        pattern=rf"^$|{SNOWFLAKE}",
        examples=["1100000000000000000"],
    )

    _is_lower = field_validator("command")(_lower)

    @field_validator("parameters")
    @classmethod
    def _distinct(cls, parameters: list[Parameter]) -> list[Parameter]:
        names = [one.name for one in parameters]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two parameters are named {name!r}: rename one")
        return parameters

    def payload(self) -> dict[str, Any]:
        """As Discord takes it: required parameters come first."""
        options = [
            {"type": KINDS[one.kind], "name": one.name, "description": one.description, "required": one.required}
            for one in sorted(self.parameters, key=lambda each: not each.required)
        ]
        return {"type": CHAT_INPUT, "name": self.command, "description": self.description, "options": options}


class Used(sdk.Outputs):
    """One use of the command."""

    id: Annotated[str, sdk.Identity] = Field(
        title="Id", description="The interaction's id.", examples=["1100000000000000090"]
    )
    command: str = Field(title="Command", description="Its name.", examples=["deploy"])
    values: dict[str, Any] = Field(
        default_factory=dict,
        title="Values",
        description="Parameters by name; users, channels and roles by their ids.",
        examples=[{"version": "1.4.2"}],
    )
    text: str = Field("", title="Text", description="All values in one line.", examples=["1.4.2"])
    user_id: str = Field(title="User id", description="Who used it.", examples=["1100000000000000010"])
    user_name: str = Field(title="User", description="The name shown in the server.", examples=["Ada Lovelace"])
    user_username: str = Field(title="Username", description="The user's handle.", examples=["ada"])
    channel_id: str = Field("", title="Channel id", description="Where.", examples=["1100000000000000001"])
    server_id: str = Field(title="Server id", description="In which server.", examples=["1100000000000000000"])
    used_at: datetime = Field(
        title="Used at", description="When, in UTC.", examples=[datetime(2026, 3, 1, 8, 0, tzinfo=UTC)]
    )


def _handshake(delivery: sdk.WebhookDelivery) -> sdk.Answer | None:
    """Discord's probes: of the interactions endpoint, and of the one for webhook events."""
    body = delivery.body
    if not isinstance(body, Mapping) or "event" in body:
        return None
    if body.get("type") == PING:
        return _json({"type": PONG})
    return sdk.Answer(status=204) if body.get("type") == 0 else None


def _reply(delivery: sdk.WebhookDelivery) -> sdk.Answer:
    """Seen by the user alone, at once: Discord waits for 3 seconds, and a run may take longer."""
    body = delivery.body if isinstance(delivery.body, Mapping) else {}
    if "event" in body:
        return sdk.Answer(status=204)
    if body.get("type") == AUTOCOMPLETE:
        return _json({"type": SUGGESTIONS, "data": {"choices": []}})
    if body.get("type") != COMMAND:
        return _json({"type": DEFERRED_UPDATE})
    name = (body.get("data") or {}).get("name")
    shown = {"content": f"/{name} is on its way.", "flags": EPHEMERAL, "allowed_mentions": {"parse": []}}
    return _json({"type": MESSAGE, "data": shown})


@service.endpoint(
    verify=sdk.Ed25519(header="x-signature-ed25519", timestamp="x-signature-timestamp"),
    secret="public_key",  # noqa: S106 - the name of a setting
    handshake=_handshake,
    reply=_reply,
)
def entrance(delivery: sdk.WebhookDelivery) -> list[sdk.Routed]:
    """A use of a command goes to the hooks of its server and name. Events about the app itself start nothing."""
    body = _body(delivery)
    name = (body.get("data") or {}).get("name")
    if "event" in body or body.get("type") != COMMAND or not body.get("guild_id") or not name:
        return []
    return [_topic(str(body["guild_id"]), str(name))]


@service.webhook("Slash command", app_level=True)
def slash_command(where: SlashCommand, delivery: sdk.WebhookDelivery) -> Used | None:
    """Fires when somebody uses a command in the connected server. The command is made there when the AREA is saved and
    removed with it; who may use it is set in the server's settings, under Integrations."""
    body = _body(delivery)
    data, member = body.get("data") or {}, body.get("member") or {}
    user = member.get("user") or body.get("user") or {}
    if data.get("name") != where.command or not user.get("id"):
        return None
    values = {one["name"]: one.get("value") for one in data.get("options") or [] if "name" in one}
    return Used(
        id=body["id"],
        command=where.command,
        values=values,
        text=" ".join(str(value) for value in values.values()),
        user_id=user["id"],
        user_name=member.get("nick") or user.get("global_name") or user.get("username") or "",
        user_username=user.get("username") or "",
        channel_id=body.get("channel_id") or "",
        server_id=body["guild_id"],
        used_at=moment_of(body["id"]),
    )


@slash_command.subscribe
async def make_command(ctx: sdk.Context, where: SlashCommand, hook: sdk.Hook) -> sdk.Subscription:
    """Make the command, or take over the one of this name that is there.

    Only now is its topic known to be the account's: a bot of another application could claim any server's.
    """
    server = server_of(ctx, where.server)
    application = read(await bot(ctx).get("/applications/@me"))
    if application.get("verify_key") != ctx.settings.get("public_key", "").strip().lower():
        raise sdk.Rejected(
            f"Uses of commands of the application {application.get('name')} do not arrive here: AREA_DISCORD_PUBLIC_KEY is not its "
            "public key. The operator sets it; or connect a server by the platform's own bot.",
            code="OTHER_APPLICATION",
        )
    within = f"{application['id']}/guilds/{server}/commands"
    made = read(await bot(ctx).post(f"/applications/{within}", json=where.payload()))
    return sdk.Subscription(f"{within}/{made['id']}", topic=_topic(server, where.command))


@slash_command.unsubscribe
async def remove_command(ctx: sdk.Context, where: SlashCommand, remote_id: str) -> None:
    """Remove the command; one that is gone already is no error."""
    try:
        await bot(ctx).delete(f"/applications/{remote_id}")
    except sdk.Rejected as error:
        if error.code != GONE:
            raise


@slash_command.is_subscribed
async def has_command(ctx: sdk.Context, where: SlashCommand, remote_id: str) -> bool:
    """Whether a command of this name is still there."""
    try:
        there = read(await bot(ctx).get(f"/applications/{remote_id}"))
    except sdk.Rejected as error:
        if error.code != GONE:
            raise
        return False
    return there.get("name") == where.command


def _topic(server: str, name: str) -> str:
    return f"{server}/{name}"


def _body(delivery: sdk.WebhookDelivery) -> Mapping[str, Any]:
    """The delivery's body. Raises: Rejected when it is no interaction at all."""
    if not isinstance(delivery.body, Mapping) or "type" not in delivery.body:
        raise sdk.Rejected("This is neither an interaction nor a webhook event of Discord.")
    return delivery.body


def _json(body: Mapping[str, Any]) -> sdk.Answer:
    return sdk.Answer(body, content_type="application/json")
