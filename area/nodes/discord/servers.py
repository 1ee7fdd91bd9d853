"""Which server a call may touch, and what is in it to choose from.

The platform's bot is in the servers of many users, and Discord lets it into all of them. So for an account that was connected by
consent each channel is looked up, and refused unless it is in that account's server. A channel never moves to another server.
"""

from collections.abc import Mapping
from typing import Any

import httpx

from area.core.lru import Lru
from area.nodes import sdk
from area.nodes.discord.connection import read, read_list

SNOWFLAKE = r"^\d{15,20}$"
FORUMS = (15, 16)
TEXT, ANNOUNCEMENT = 0, 5
CHATS = (TEXT, ANNOUNCEMENT, 2, 13)
"""Voice and stage channels have a chat too."""
MANY_SERVERS = 10
STANDARD_EMOJIS = ("👍", "👎", "✅", "❌", "🎉", "❤️", "👀", "🚀")

_homes: Lru[tuple[str, str], str] = Lru(10_000)
"""The server of a channel, by the API's address and the channel's id."""


def bot(ctx: sdk.Context) -> httpx.AsyncClient:
    """The bot's client: the user's own bot, or else the platform's."""
    return ctx.http if ctx.credentials else ctx.app_http


def home(ctx: sdk.Context, given: str | None = None) -> str | None:
    """The one server that the account may touch; for a bot of one's own what was ``given``.

    Raises: Rejected when another was given.
    """
    if ctx.credentials:
        return given
    facts = ctx.account.facts
    own = facts.get("guild_id")
    if not own:
        raise sdk.Rejected(f"{ctx.account.label} has no server. Connect Discord again, and choose a server.")
    if given and given != own:
        raise _elsewhere(ctx, f"Server {given} is not")
    return str(own)


def server_of(ctx: sdk.Context, given: str | None) -> str:
    """The server to act in. Raises: Rejected when a bot of one's own was told none, or an account another's."""
    found = home(ctx, given)
    if not found:
        raise sdk.Rejected(f"Say in which server: {ctx.account.label} may be in several.", code="NO_SERVER")
    return found


async def channel(ctx: sdk.Context, channel_id: str) -> Mapping[str, Any]:
    """A channel of the account's server, as it is now. Raises: Rejected when it is in another, or in none."""
    found = read(await bot(ctx).get(f"/channels/{channel_id}"))
    _allow(ctx, channel_id, str(found.get("guild_id") or ""))
    return found


async def place(ctx: sdk.Context, channel_id: str) -> str:
    """The server of a channel, "@me" for a direct one. Raises: Rejected when the account may not touch it."""
    known = _homes.get(_key(ctx, channel_id))
    if known is None:
        return str((await channel(ctx, channel_id)).get("guild_id") or "@me")
    _allow(ctx, channel_id, known)
    return known


async def allow_member(ctx: sdk.Context, user_id: str) -> None:
    """Pass for a member of the account's server. Raises: Rejected for anybody else."""
    server = home(ctx)
    if server:
        await bot(ctx).get(f"/guilds/{server}/members/{user_id}")


def _allow(ctx: sdk.Context, channel_id: str, server: str) -> None:
    if server:
        _homes.put(_key(ctx, channel_id), server)
    if not ctx.credentials and server != home(ctx):
        raise _elsewhere(ctx, f"Channel {channel_id} is not in")


def _key(ctx: sdk.Context, channel_id: str) -> tuple[str, str]:
    return str(bot(ctx).base_url), channel_id


def _elsewhere(ctx: sdk.Context, what: str) -> sdk.Rejected:
    name = ctx.account.facts.get("guild_name") or ctx.account.label
    return sdk.Rejected(
        f"{what} {name}, the server of this account. Choose one of its own, or connect the other server too.",
        code="OTHER_SERVER",
    )


async def list_servers(ctx: sdk.Context, so_far: Mapping[str, Any]) -> list[sdk.Choice]:
    """The account's server, or those of one's own bot."""
    if not ctx.credentials:
        return [sdk.Choice(server_of(ctx, None), str(ctx.account.facts.get("guild_name") or ctx.account.label))]
    found = read_list(await bot(ctx).get("/users/@me/guilds", params={"limit": 200}))
    return [sdk.Choice(str(one["id"]), str(one["name"])) for one in found]


async def list_chats(ctx: sdk.Context, so_far: Mapping[str, Any]) -> list[sdk.Choice]:
    """Channels in which messages are."""
    return await _channels(ctx, so_far, CHATS)


async def list_thread_parents(ctx: sdk.Context, so_far: Mapping[str, Any]) -> list[sdk.Choice]:
    """Channels in which threads can be opened."""
    return await _channels(ctx, so_far, (TEXT, ANNOUNCEMENT, *FORUMS))


async def _channels(ctx: sdk.Context, so_far: Mapping[str, Any], kinds: tuple[int, ...]) -> list[sdk.Choice]:
    servers = await list_servers(ctx, so_far)
    choices = []
    for server in servers[:MANY_SERVERS]:
        found = read_list(await bot(ctx).get(f"/guilds/{server.value}/channels"))
        groups = {one["id"]: (one.get("position", 0), one["name"]) for one in found if one.get("type") == 4}
        prefix = f"{server.label}: " if len(servers) > 1 else ""
        fitting = [one for one in found if one.get("type") in kinds]
        for one in sorted(fitting, key=lambda each: (groups.get(each.get("parent_id"), (-1,))[0], each["position"])):
            group = groups.get(one.get("parent_id"))
            label = f"{prefix}#{one['name']}{f' ({group[1]})' if group else ''}"
            choices.append(sdk.Choice(str(one["id"]), label))
    return choices


async def list_roles(ctx: sdk.Context, so_far: Mapping[str, Any]) -> list[sdk.Choice]:
    """Roles that can be given: neither everybody's own, nor those of bots and boosters."""
    server = server_of(ctx, so_far.get("server"))
    found = read_list(await bot(ctx).get(f"/guilds/{server}/roles"))
    ranked = sorted(found, key=lambda one: -int(one.get("position", 0)))
    return [sdk.Choice(str(one["id"]), str(one["name"])) for one in ranked if _is_given(one, server)]


def _is_given(role: Mapping[str, Any], server: str) -> bool:
    return role["id"] != server and not role.get("managed")


async def list_emojis(ctx: sdk.Context, so_far: Mapping[str, Any]) -> list[sdk.Choice]:
    """A few of everybody's, and those of the server."""
    choices = [sdk.Choice(one, one) for one in STANDARD_EMOJIS]
    for server in (await list_servers(ctx, so_far))[:MANY_SERVERS]:
        found = read_list(await bot(ctx).get(f"/guilds/{server.value}/emojis"))
        usable = [one for one in found if one.get("available") is not False]
        choices += [sdk.Choice(f"{one['name']}:{one['id']}", f":{one['name']}:") for one in usable]
    return choices
