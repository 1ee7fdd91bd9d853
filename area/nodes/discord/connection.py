"""How a Discord account is connected, and what Discord's refusals mean.

An account is one server: the consent of somebody who manages it adds the platform's bot there, and all calls are the bot's. So a
user reaches the channels, roles and members of that server and no other, though the same bot serves many: see `servers`.
Or it is a bot of the user's own, by its token, which reaches what Discord lets it.

Facts: https://docs.discord.com/developers/topics/oauth2 (bot authorisation; the token's answer names the server),
https://docs.discord.com/developers/topics/opcodes-and-status-codes (error codes), https://docs.discord.com/developers/topics/permissions
"""

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Annotated, Any

import httpx
from pydantic import Field

from area.core.http import AGENT
from area.nodes import _answers, sdk

PERMISSIONS = {
    "ADD_REACTIONS": 1 << 6,
    "VIEW_CHANNEL": 1 << 10,
    "SEND_MESSAGES": 1 << 11,
    "EMBED_LINKS": 1 << 14,
    "READ_MESSAGE_HISTORY": 1 << 16,
    "MANAGE_ROLES": 1 << 28,
    "CREATE_PUBLIC_THREADS": 1 << 35,
    "SEND_MESSAGES_IN_THREADS": 1 << 38,
}
"""What the bot asks for; whoever adds it may untick some. Not MENTION_EVERYONE: a server gives that by itself."""
ADMINISTRATOR, MANAGE_GUILD = 1 << 3, 1 << 5

HINTS = {
    10003: "The channel was deleted, or the bot may not see it: choose another, or let the bot see it.",
    10004: "The bot is not in this server any more: connect the server again.",
    10007: "This user is not a member of the server.",
    10008: "The message was deleted, or it is in another channel.",
    10011: "The role was deleted: choose another.",
    10013: "There is no such user: give a user id, such as the author id of a message.",
    10014: "There is no such emoji here: give one emoji, or name:id of an emoji of this server.",
    10015: "The webhook was deleted: create one in the channel's settings, and give its URL.",
    10063: "The command was removed at Discord.",
    30010: "The message has 20 different emojis already.",
    30032: "A server has at most 100 commands of one bot: remove some.",
    50001: "Let the bot see this channel, in the channel's permissions.",
    40067: "This forum wants a tag on each post: change that in its settings, or choose another.",
    50007: "This user takes no direct messages from the bot.",
    50008: "No message can be posted in a channel of this kind: choose a text channel, or create a thread.",
    50013: "Give the bot's role this permission, and for roles move it above the role in the server's settings.",
    50024: "That cannot be done in a channel of this kind: choose a text, announcement or forum channel.",
    50027: "The webhook's URL is incomplete or was replaced: copy it again from the channel's settings.",
    50083: "The thread is archived: open it again, or choose another.",
    50278: "The bot shares no server with this user.",
    160002: "Let the bot read this channel's message history.",
    160004: "The message has a thread already.",
    160005: "The thread is locked.",
    160006: "The server has as many active threads as it may have.",
    200000: "The server's automatic moderation blocks this text.",
    220002: "Give a thread, or the title of a new forum post, not both.",
    220001: "The webhook's channel is a forum: give a thread name or a thread id.",
    220003: "Only the webhook of a forum makes threads: leave the thread name out.",
}
WEBHOOK_TOKEN = 50027
ABOUT = re.compile(r"/(channel|guild|webhook)s/(\d+)")


def judge(response: httpx.Response) -> None:
    """Raise Rejected, with what to do, for a refusal that Discord explains by a code of its own."""
    status = response.status_code
    if not 400 <= status < 500 or status == httpx.codes.TOO_MANY_REQUESTS:
        return
    body = _refusal(response)
    code = body.get("code")
    if not isinstance(code, int) or not code or (status == httpx.codes.UNAUTHORIZED and code != WEBHOOK_TOKEN):
        return
    about = ABOUT.search(response.request.url.path)
    what = f" for {about[1].replace('guild', 'server')} {about[2]}" if about else ""
    details = "; ".join(_details(body.get("errors")))
    said = f"Discord refused this{what}: {body.get('message')}{f' ({details})' if details else ''}"
    raise sdk.Rejected(f"{said.rstrip('.')}. {HINTS.get(code, '')}".rstrip()[:1000], code=f"DISCORD_{code}")


def _refusal(response: httpx.Response) -> Mapping[str, Any]:
    body = _answers.read(response)
    return body if isinstance(body, Mapping) else {}


def _details(errors: Any, place: str = "") -> Iterator[str]:
    """What is wrong and where, from the nested ``errors`` of code 50035: at most a few."""
    if not isinstance(errors, Mapping):
        return
    for name, inner in list(errors.items())[:5]:
        if name == "_errors" and isinstance(inner, list):
            yield from (f"{place or 'request'}: {one.get('message')}" for one in inner[:2] if isinstance(one, Mapping))
        elif place.count(".") < 6:
            yield from _details(inner, f"{place}.{name}" if place else str(name))


def as_bot(request: httpx.Request, token: str, settings: Mapping[str, str]) -> None:
    """``Authorization: Bot <token>``, not Bearer."""
    request.headers["Authorization"] = f"Bot {token}"


class BotToken(sdk.Inputs):
    """A bot of one's own."""

    token: Annotated[str, sdk.Secret] = Field(
        title="Bot token",
        description="From the Bot page of your application; it is shown once, when it is made.",
        pattern=r"^[\w-]+\.[\w-]+\.[\w-]+$",
        max_length=200,
        examples=["application.moment.proof"],
    )


service = sdk.Service(
    key="discord",
    name="Discord",
    description="Reacts to messages and slash commands; posts messages, opens threads, gives roles.",
    base_url="https://discord.com/api/v10",
    auth=sdk.OAuth2(
        authorize_url="https://discord.com/oauth2/authorize",
        token_url="https://discord.com/api/oauth2/token",  # noqa: S106 - an address
        revoke_url="https://discord.com/api/oauth2/token/revoke",
        scopes=("identify", "bot"),
        parameters={"permissions": str(sum(PERMISSIONS.values()))},
        validate_every=timedelta(hours=6),
    ),
    key_auth=sdk.Key(
        fields=BotToken,
        authorise=lambda request, given: as_bot(request, given["token"], {}),
        help="Create an application at https://discord.com/developers/applications, copy the token from its Bot page, and add the "
        "bot to your server by the link of its OAuth2 page.",
    ),
    app_auth=sdk.AppHeader(setting="bot_token", authorise=as_bot),
    docs_url="https://docs.discord.com/developers/reference",
    headers={"User-Agent": f"DiscordBot (https://area.example, {AGENT.partition('/')[2]}) {AGENT}"},
    judge=judge,
)


@service.identify
async def identify(ctx: sdk.Context) -> sdk.Profile:
    """The server that the consent added the bot to; or the bot whose token was given."""
    me = read(await ctx.http.get("/users/@me"))
    if ctx.credentials:
        return sdk.Profile(me["id"], f"{me['username']} (bot)", _image("avatars", me["id"], me.get("avatar")))
    server = ctx.grant.extra.get("guild")
    if not isinstance(server, Mapping) or not server.get("id"):
        raise sdk.Rejected("Discord names no server that the bot was added to. Connect again, and choose a server.")
    name, owner = server.get("name") or server["id"], me.get("global_name") or me["username"]
    facts = {"guild_id": server["id"], "guild_name": name, "user_id": me["id"], "user_name": owner}
    return sdk.Profile(server["id"], f"{name} ({owner})", _image("icons", server["id"], server.get("icon")), facts)


@service.validate
async def validate(ctx: sdk.Context) -> None:
    """Whether the bot is still in the server, and who connected it still manages that: one who does not has no say in it.

    By the bot alone: to revoke one token of a user ends all of that user's, also those of the other servers connected.

    Raises: Reconnect when it is not so.
    """
    if ctx.credentials:
        await ctx.http.get("/users/@me")
        return
    facts = ctx.account.facts
    name, who = facts.get("guild_name"), facts.get("user_name")
    server = await _found(ctx, f"/guilds/{facts.get('guild_id')}")
    if server is None:
        raise sdk.Reconnect(f"The bot is not in {name} any more. Connect the server again to add it.")
    if server.get("owner_id") == facts.get("user_id"):
        return
    member = await _found(ctx, f"/guilds/{facts.get('guild_id')}/members/{facts.get('user_id')}", "user")
    held = {facts.get("guild_id"), *(member or {}).get("roles", ())}
    allowed = [int(role["permissions"]) for role in server.get("roles", ()) if role["id"] in held]
    if member is None or not any(each & (ADMINISTRATOR | MANAGE_GUILD) for each in allowed):
        raise sdk.Reconnect(f"{who} may not manage {name} any more. Have somebody connect it who may.")


async def _found(ctx: sdk.Context, path: str, key: str = "id") -> Mapping[str, Any] | None:
    """The object at ``path``; None when Discord says that it is not there, or not for the bot."""
    try:
        return read(await ctx.app_http.get(path), key)
    except sdk.Rejected as error:
        if error.code in ("DISCORD_10004", "DISCORD_50001", "DISCORD_10007", "DISCORD_10013"):
            return None
        raise


def read(response: httpx.Response, key: str = "id", *, repeatable: bool = True) -> Mapping[str, Any]:
    """The object that was answered, which has ``key``.

    Raises: Unavailable for anything else, which is asked for again; Unknown where the call is not ``repeatable``.
    """
    body = _answers.read(response)
    if isinstance(body, Mapping) and body.get(key) is not None:
        return body
    raise _unreadable(response, repeatable=repeatable)


def read_list(response: httpx.Response) -> list[Mapping[str, Any]]:
    """The objects that were answered, each with its id. Raises: Unavailable for anything else."""
    body = _answers.read(response)
    if isinstance(body, list):
        return [one for one in body if isinstance(one, Mapping) and one.get("id")]
    raise _unreadable(response, repeatable=True)


def done(response: httpx.Response) -> None:
    """Pass for an answer that says that it was done, and no more. Raises: Unavailable for anything else."""
    if response.status_code != httpx.codes.NO_CONTENT:
        raise _unreadable(response, repeatable=True)


def _unreadable(response: httpx.Response, *, repeatable: bool) -> sdk.NodeError:
    kind = response.headers.get("content-type", "something without a type").partition(";")[0]
    said = f"{response.request.url.host} answered {response.status_code} with {kind} that is not Discord's"
    if repeatable:
        return sdk.Unavailable(f"{said}.")
    return sdk.Unknown(f"{said}: look whether it happened.")


def _image(kind: str, owner: str, digest: Any) -> str | None:
    return f"https://cdn.discordapp.com/{kind}/{owner}/{digest}.png" if digest else None
