"""A stand-in for Discord: servers with channels, roles, members and commands; bots; webhooks; signed interactions.

As https://docs.discord.com/developers says: the consent adds the bot to the server that the user picks (``user.facts["guild"]``;
by default the user's own) and the token's answer names it; a bot sees the servers that it is in and no other; a nonce is known for
a while; messages after an id come in pages of the next ones, newest first; a revoked token ends all of its user's.
"""

import itertools
import re
import time
from collections.abc import Mapping
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.responses import JSONResponse, Response

from tests.providers.base import Auth, StandIn
from tests.providers.calls import Call
from tests.providers.discord_shapes import (
    ADA,
    ELSEWHERE,
    EVE,
    FORUM,
    GENERAL,
    GRACE,
    GUILD_REST,
    HOME,
    LOUNGE,
    MEMBERS,
    NAMES,
    NEWS,
    OTHER,
    PARTY,
    STREAMERS,
    WEBHOOK,
    WEBHOOK_TOKEN,
    Bot,
    Server,
    home,
    other,
    person,
    shown,
)
from tests.providers.oauth import AuthorizationServer, Dialect, Grant, User
from tests.providers.signing import discord as signed
from tests.providers.signing import public_hex

API = "/api/v10"
AGENT = re.compile(r"DiscordBot \(\S+, \S+\)")
EPOCH = 1_420_070_400_000
__all__ = [
    "ADA", "ELSEWHERE", "EVE", "FORUM", "GENERAL", "GRACE", "HOME", "LOUNGE", "MEMBERS", "NEWS", "OTHER", "PARTY", "STREAMERS",
    "WEBHOOK", "WEBHOOK_TOKEN", "Discord", "make",
]  # fmt: skip


class Authorization(AuthorizationServer):
    """To revoke one token of a user ends all that the user granted."""

    def revoke(self, given: Mapping[str, str], headers: Mapping[str, str]) -> Response:
        token = given.get("token", "")
        for user in [one.user for one in self.grants if token in one.access or token in one.refresh]:
            self.withdraw(user)
        return Response(status_code=200)


class Discord(StandIn):
    """``bot`` is the platform's; ``own`` one of a user's, with the token ``own.moment.proof``."""

    base_path = API

    def __init__(self) -> None:
        self.key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
        self.bot = Bot("100000000000000001", "AREA", public_hex(self.key))
        self.own = Bot("100000000000000002", "Mine", "ab" * 32, {OTHER})
        self.tokens = {"platform.moment.proof": self.bot, "own.moment.proof": self.own}
        settings = {"bot_token": "platform.moment.proof", "public_key": self.bot.public_key}
        users = [User(id_, login, name, facts={}) for id_, (login, name) in NAMES.items()]
        dialect = Dialect(
            token="/api/oauth2/token",
            revoke="/api/oauth2/token/revoke",
            expires_in=604800,
            rotates=True,
            pkce="ignored",
            shape=self._named,
        )
        super().__init__("discord", dialect, settings=settings, users=users)
        self.auth = Authorization(dialect, "discord-client", "discord-secret", self.users)
        self.servers = {HOME: home(), OTHER: other()}
        self.messages: dict[str, list[dict[str, Any]]] = {}
        self.reactions: list[tuple[str, str, str]] = []
        self.direct: dict[str, str] = {}
        self.nonces: dict[tuple[str, str], dict[str, Any]] = {}
        self.hidden: set[str] = set()
        """Channels that no bot may see."""
        self.no_history: set[str] = set()
        """Channels whose history no bot may read."""
        self.closed: set[str] = set()
        """Channels in which, and users to whom, no bot may write."""
        self.webhooks = {(WEBHOOK, WEBHOOK_TOKEN): GENERAL}
        self._numbers = itertools.count(1)
        self._endpoints()

    # What tests use

    @property
    def webhook_url(self) -> str:
        """The URL that a user copies from a channel's settings."""
        return f"{self.url}/api/webhooks/{WEBHOOK}/{WEBHOOK_TOKEN}"

    def new_id(self) -> str:
        """A snowflake of now."""
        return str(((int(time.time() * 1000) - EPOCH) << 22) + next(self._numbers) % 4096)

    def say(self, channel: str, text: str, *, by: str = ADA, **more: Any) -> dict[str, Any]:
        """A message by somebody, as the channel then has it."""
        message = self._message(channel, person(by), {"content": text}) | more
        self.messages.setdefault(channel, []).append(message)
        return message

    def texts(self, channel: str) -> list[str]:
        """What was said in a channel, oldest first."""
        return [one["content"] for one in self.messages.get(channel, [])]

    def thread(self, channel: str, name: str, *, owner: str, thread_id: str = "") -> dict[str, Any]:
        """A thread that somebody opened."""
        server = self._server_of(channel)
        made = {
            "id": thread_id or self.new_id(), "type": 11, "flags": 0, "guild_id": server.id, "name": name, "parent_id": channel,
            "owner_id": owner, "last_message_id": None, "message_count": 0, "member_count": 1, "total_message_sent": 0,
            "rate_limit_per_user": 0,
            "thread_metadata": {
                "archived": False, "archive_timestamp": "2026-03-01T08:00:00+00:00", "auto_archive_duration": 1440, "locked": False,
            },
        }  # fmt: skip
        server.threads[made["id"]] = made
        return made

    async def use_command(
        self, url: str, name: str, values: Mapping[str, Any] | None = None, *, by: str = ADA, **more: Any
    ) -> httpx.Response:
        """Somebody uses a command of the home server; ``url`` is the app's Interactions Endpoint URL, the answer what is seen."""
        command = self.servers[HOME].commands[name]
        return await self.interact(url, self.interaction(command, values or {}, by=by), **more)

    async def interact(self, url: str, body: Any, **more: Any) -> httpx.Response:
        """Deliver an interaction, signed; Discord gives up after 3 seconds."""
        return await self.deliver(url, body, **{"sign": signed(self.key), "expects": 200, "within": 3.0, **more})

    def interaction(self, command: Mapping[str, Any], values: Mapping[str, Any], *, by: str = ADA) -> dict[str, Any]:
        """The body of a command's use."""
        kinds = {one["name"]: one["type"] for one in command.get("options", [])}
        options = [{"type": kinds.get(name, 3), "name": name, "value": value} for name, value in values.items()]
        member = {
            "user": person(by), "roles": [], "premium_since": None, "permissions": "2147483647", "pending": False, "nick": None,
            "mute": False, "joined_at": "2024-03-13T19:19:14.040000+00:00", "deaf": False, "avatar": None, "flags": 0,
        }  # fmt: skip
        return {
            "id": self.new_id(), "application_id": command["application_id"], "type": 2, "token": "token-of-this-use", "version": 1,
            "data": {"id": command["id"], "name": command["name"], "type": 1, "guild_id": command["guild_id"], "options": options},
            "guild_id": command["guild_id"], "channel_id": GENERAL, "member": member, "app_permissions": "442368",
            "locale": "en-US", "guild_locale": "en-US", "entitlements": [], "context": 0,
            "authorizing_integration_owners": {"0": HOME},
        }  # fmt: skip

    # State

    def _named(self, answer: dict[str, Any], grant: Grant) -> Mapping[str, Any]:
        """The consent that has the ``bot`` scope adds the bot to a server, and says to which."""
        if "bot" not in grant.scopes or grant.user is None or "added" in grant.user.facts:
            return answer
        owned = [one.id for one in self.servers.values() if one.owner == grant.user.id]
        server = self.servers[grant.user.facts.get("guild") or owned[0]]
        self.bot.servers.add(server.id)
        rest = {name: GUILD_REST[name] for name in ("icon", "description", "features", "region", "verification_level")}
        return answer | {
            "guild": {"id": server.id, "name": server.name, "owner_id": server.owner, "roles": server.roles, **rest}
        }

    def _server_of(self, channel: str) -> Server:
        return next(one for one in self.servers.values() if channel in one.channels or channel in one.threads)

    def _message(self, channel: str, author: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
        made_id = self.new_id()
        moment = ((int(made_id) >> 22) + EPOCH) / 1000
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + f".{int(moment * 1000) % 1000:03d}000+00:00"
        embeds = [{"type": "rich", **one} for one in given.get("embeds", [])]
        message = {
            "id": made_id, "type": 0, "channel_id": channel, "author": dict(author), "content": given.get("content", "").strip(),
            "timestamp": stamp, "edited_timestamp": None, "tts": False, "mention_everyone": False, "mentions": [],
            "mention_roles": [], "attachments": [], "embeds": embeds, "pinned": False, "flags": 0, "components": [],
        }  # fmt: skip
        answered = given.get("message_reference")
        if answered:
            reference = {"type": 0, "channel_id": channel, "message_id": answered["message_id"]}
            message |= {"type": 19, "message_reference": reference}
        return message

    # Who asks

    def admit(self, call: Call, auth: Auth, scopes: Any) -> Response | None:
        """A bot's token, a user's, or either; with a proper User-Agent."""
        if call.path.startswith(API) and not AGENT.match(call.headers.get("user-agent", "")):
            return self.refuse(403, "40333", "Cloudflare is blocking your request. Set a proper User Agent.")
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        if auth in ("app", "any") and scheme == "Bot" and token in self.tokens:
            call.request.state.bot = self.tokens[token]
            return None
        return super().admit(call, "user" if auth == "any" else auth, scopes)

    def refuse(self, status: int, code: str, words: str) -> Response:
        """Errors have a number; a token that is none has 0."""
        if not code.isdigit():
            return JSONResponse(
                {"message": f"{status}: {words}" if status != 401 else "401: Unauthorized", "code": 0}, status
            )
        return JSONResponse({"message": words, "code": int(code)}, status)

    def _visible(self, call: Call, channel: str) -> Response | dict[str, Any]:
        """A channel as the asking bot sees it, or why it does not."""
        bot = call.request.state.bot
        if channel in self.direct.values():
            user = next(user for user, one in self.direct.items() if one == channel)
            return {
                "id": channel,
                "type": 1,
                "last_message_id": self._last(channel),
                "flags": 0,
                "recipients": [person(user)],
            }
        for server in self.servers.values():
            found = server.channels.get(channel) or server.threads.get(channel)
            if found and server.id in bot.servers and channel not in self.hidden:
                return found | {"last_message_id": self._last(channel)}
            if found:
                return self.refuse(403, "50001", "Missing Access")
        return self.refuse(404, "10003", "Unknown Channel")

    def _last(self, channel: str) -> str | None:
        return self.messages[channel][-1]["id"] if self.messages.get(channel) else None

    def _guild(self, call: Call) -> Response | Server:
        server = self.servers.get(call.parameters["guild"])
        if server is None or server.id not in call.request.state.bot.servers:
            return self.refuse(404, "10004", "Unknown Guild")
        return server

    # The API

    def _endpoints(self) -> None:
        messages = f"{API}/channels/{{channel}}/messages"
        guild = f"{API}/guilds/{{guild}}"
        commands = f"{API}/applications/{{application}}/guilds/{{guild}}/commands"
        self.route("GET", f"{API}/users/@me", self.me, auth="any")
        self.route("GET", f"{API}/users/@me/guilds", self.my_guilds, auth="app")
        self.route("POST", f"{API}/users/@me/channels", self.open_direct, auth="app")
        self.route("GET", f"{API}/applications/@me", self.application, auth="app")
        self.route("GET", f"{API}/channels/{{channel}}", self.channel, auth="app")
        self.route("GET", messages, self.list_messages, auth="app")
        self.route("POST", messages, self.create_message, auth="app")
        self.route("GET", f"{messages}/{{message}}", self.one_message, auth="app")
        self.route("PUT", f"{messages}/{{message}}/reactions/{{emoji}}/@me", self.react, auth="app")
        self.route("POST", f"{messages}/{{message}}/threads", self.thread_on, auth="app")
        self.route("POST", f"{API}/channels/{{channel}}/threads", self.thread_in, auth="app")
        self.route("GET", guild, self.guild, auth="app")
        self.route("GET", f"{guild}/channels", self.guild_channels, auth="app")
        self.route("GET", f"{guild}/roles", self.guild_roles, auth="app")
        self.route("GET", f"{guild}/emojis", self.guild_emojis, auth="app")
        self.route("GET", f"{guild}/threads/active", self.active_threads, auth="app")
        self.route("GET", f"{guild}/members/{{user}}", self.member, auth="app")
        self.route("PUT", f"{guild}/members/{{user}}/roles/{{role}}", self.give_role, auth="app")
        self.route("POST", commands, self.create_command, auth="app")
        self.route("GET", f"{commands}/{{command}}", self.one_command, auth="app")
        self.route("DELETE", f"{commands}/{{command}}", self.delete_command, auth="app")
        self.route("POST", f"{API}/webhooks/{{webhook}}/{{token}}", self.execute, auth="none")

    async def me(self, call: Call) -> Any:
        private = {"mfa_enabled": True, "locale": "en-US", "verified": True, "email": None}
        if call.grant is None:
            bot: Bot = call.request.state.bot
            found = shown(bot.id, bot.name, None) | {"bot": True} | private
        else:
            found = person(call.user.id) | private
        del found["primary_guild"]
        return found

    async def my_guilds(self, call: Call) -> Any:
        found = [self.servers[one] for one in sorted(call.request.state.bot.servers)]
        rest: dict[str, Any] = {"icon": None, "banner": None, "owner": False, "permissions": "2048", "features": []}
        return [{"id": one.id, "name": one.name, **rest} for one in found]

    async def application(self, call: Call) -> Any:
        bot: Bot = call.request.state.bot
        return {
            "id": bot.id, "name": bot.name, "icon": None, "description": "", "type": None, "verify_key": bot.public_key, "flags": 0,
            "flags_new": "0", "redirect_uris": [], "interactions_endpoint_url": None, "role_connections_verification_url": None,
            "owner": person(ADA), "approximate_guild_count": len(bot.servers), "approximate_user_install_count": 0,
            "approximate_user_authorization_count": 0, "explicit_content_filter": 0, "team": None, "eligible_oauth2_scopes": [],
        }  # fmt: skip

    async def open_direct(self, call: Call) -> Any:
        user = call.json["recipient_id"]
        if user not in NAMES:
            return self.refuse(400, "50033", "Invalid Recipient(s)")
        channel = self.direct.setdefault(user, self.new_id())
        return {"id": channel, "type": 1, "last_message_id": None, "flags": 0, "recipients": [person(user)]}

    async def channel(self, call: Call) -> Any:
        return self._visible(call, call.parameters["channel"])

    async def list_messages(self, call: Call) -> Any:
        channel = call.parameters["channel"]
        seen = self._visible(call, channel)
        if isinstance(seen, Response):
            return seen
        if channel in self.no_history:
            return []
        found = self.messages.get(channel, [])
        limit = int(call.query.get("limit", "50"))
        if "after" in call.query:
            later = [one for one in found if int(one["id"]) > int(call.query["after"])]
            return list(reversed(later[:limit]))
        return list(reversed(found[-limit:]))

    async def one_message(self, call: Call) -> Any:
        seen = self._visible(call, call.parameters["channel"])
        if isinstance(seen, Response):
            return seen
        found = self._find(call)
        if found is None:
            return self.refuse(404, "10008", "Unknown Message")
        thread = self._server_of(call.parameters["channel"]).threads.get(found["id"])
        return found | ({"thread": thread} if thread else {})

    def _find(self, call: Call) -> dict[str, Any] | None:
        known = self.messages.get(call.parameters["channel"], [])
        return next((one for one in known if one["id"] == call.parameters["message"]), None)

    async def create_message(self, call: Call) -> Any:
        channel = call.parameters["channel"]
        seen = self._visible(call, channel)
        if isinstance(seen, Response):
            return seen
        if channel in self.closed:
            return self.refuse(403, "50013", "Missing Permissions")
        if seen["type"] == 1 and seen["recipients"][0]["id"] in self.closed:
            return self.refuse(403, "50007", "Cannot send messages to this user")
        if seen["type"] not in (0, 1, 2, 5, 11):
            return self.refuse(400, "50008", "Cannot send messages in a non-text channel")
        if len(call.json.get("content", "")) > 2000:
            inner = {"_errors": [{"code": "BASE_TYPE_MAX_LENGTH", "message": "Must be 2000 or fewer in length."}]}
            return JSONResponse({"message": "Invalid Form Body", "code": 50035, "errors": {"content": inner}}, 400)
        bot: Bot = call.request.state.bot
        nonce = str(call.json.get("nonce", ""))
        if call.json.get("enforce_nonce") and (bot.id, nonce) in self.nonces:
            return self.nonces[bot.id, nonce]
        message = self._message(channel, shown(bot.id, bot.name, None) | {"bot": True}, call.json)
        self.messages.setdefault(channel, []).append(message)
        self.nonces[bot.id, nonce] = message | ({"nonce": nonce} if nonce else {})
        return self.nonces[bot.id, nonce]

    async def react(self, call: Call) -> Any:
        seen = self._visible(call, call.parameters["channel"])
        if isinstance(seen, Response):
            return seen
        if self._find(call) is None:
            return self.refuse(404, "10008", "Unknown Message")
        emoji = call.parameters["emoji"]
        known = {f"{one['name']}:{one['id']}" for server in self.servers.values() for one in server.emojis}
        if (":" in emoji and emoji not in known) or not (":" in emoji or max(map(ord, emoji)) > 0x2000):
            return self.refuse(400, "10014", "Unknown Emoji")
        added = (call.request.state.bot.id, call.parameters["message"], emoji)
        if added not in self.reactions:
            self.reactions.append(added)
        return None

    async def thread_on(self, call: Call) -> Any:
        channel, message = call.parameters["channel"], call.parameters["message"]
        seen = self._visible(call, channel)
        if isinstance(seen, Response):
            return seen
        if message in self._server_of(channel).threads:
            return self.refuse(400, "160004", "A thread has already been created for this message")
        return 201, self.thread(channel, call.json["name"], owner=call.request.state.bot.id, thread_id=message)

    async def thread_in(self, call: Call) -> Any:
        channel = call.parameters["channel"]
        seen = self._visible(call, channel)
        if isinstance(seen, Response):
            return seen
        bot: Bot = call.request.state.bot
        made = self.thread(channel, call.json["name"], owner=bot.id)
        if seen["type"] == 15:
            first = self._message(made["id"], shown(bot.id, bot.name, None) | {"bot": True}, call.json["message"])
            self.messages[made["id"]] = [first]
        return 201, made

    async def guild(self, call: Call) -> Any:
        server = self._guild(call)
        if isinstance(server, Response):
            return server
        named = {"id": server.id, "name": server.name, "owner_id": server.owner}
        return GUILD_REST | named | {"roles": server.roles, "emojis": server.emojis}

    async def guild_channels(self, call: Call) -> Any:
        server = self._guild(call)
        return server if isinstance(server, Response) else list(server.channels.values())

    async def guild_roles(self, call: Call) -> Any:
        server = self._guild(call)
        return server if isinstance(server, Response) else server.roles

    async def guild_emojis(self, call: Call) -> Any:
        server = self._guild(call)
        return server if isinstance(server, Response) else server.emojis

    async def active_threads(self, call: Call) -> Any:
        server = self._guild(call)
        if isinstance(server, Response):
            return server
        return {"threads": list(server.threads.values()), "members": [], "has_more": False}

    async def member(self, call: Call) -> Any:
        server = self._guild(call)
        if isinstance(server, Response):
            return server
        user = call.parameters["user"]
        if user not in server.members:
            return self.refuse(404, "10007" if user in NAMES else "10013", "Unknown Member")
        return {
            "user": person(user), "roles": sorted(server.members[user]), "avatar": None, "banner": None, "nick": None,
            "communication_disabled_until": None, "flags": 0, "joined_at": "2024-03-13T19:19:14.040000+00:00", "pending": False,
            "premium_since": None, "mute": False, "deaf": False,
        }  # fmt: skip

    async def give_role(self, call: Call) -> Any:
        server = self._guild(call)
        if isinstance(server, Response):
            return server
        user, role = call.parameters["user"], call.parameters["role"]
        if user not in server.members:
            return self.refuse(404, "10007", "Unknown Member")
        found = next((one for one in server.roles if one["id"] == role), None)
        if found is None:
            return self.refuse(404, "10011", "Unknown Role")
        if found["managed"]:
            return self.refuse(403, "50013", "Missing Permissions")
        server.members[user].add(role)
        return None

    async def create_command(self, call: Call) -> Any:
        server = self._guild(call)
        bot: Bot = call.request.state.bot
        if isinstance(server, Response) or call.parameters["application"] != bot.id:
            return self.refuse(403, "50001", "Missing Access")
        given = call.json
        known = server.commands.get(given["name"])
        made = {
            "id": known["id"] if known else self.new_id(), "application_id": bot.id, "version": self.new_id(),
            "default_member_permissions": None, "type": given.get("type", 1), "name": given["name"],
            "description": given["description"], "guild_id": server.id, "nsfw": False, "options": given.get("options", []),
        }  # fmt: skip
        server.commands[given["name"]] = made
        return 200 if known else 201, made

    async def one_command(self, call: Call) -> Any:
        return self._command(call) or self.refuse(404, "10063", "Unknown application command")

    async def delete_command(self, call: Call) -> Any:
        found = self._command(call)
        if found is None:
            return self.refuse(404, "10063", "Unknown application command")
        del self.servers[call.parameters["guild"]].commands[found["name"]]
        return None

    def _command(self, call: Call) -> dict[str, Any] | None:
        server = self._guild(call)
        if isinstance(server, Response) or call.parameters["application"] != call.request.state.bot.id:
            return None
        return next((one for one in server.commands.values() if one["id"] == call.parameters["command"]), None)

    async def execute(self, call: Call) -> Any:
        webhook, token = call.parameters["webhook"], call.parameters["token"]
        channel = self.webhooks.get((webhook, token))
        if channel is None:
            known = any(one == webhook for one, _ in self.webhooks)
            return (
                self.refuse(401, "50027", "Invalid Webhook Token")
                if known
                else self.refuse(404, "10015", "Unknown Webhook")
            )
        name = call.json.get("username") or "Captain Hook"
        author = shown(webhook, name, None) | {"bot": True}
        message = self._message(call.query.get("thread_id", channel), author, call.json) | {"webhook_id": webhook}
        self.messages.setdefault(message["channel_id"], []).append(message)
        return message if call.query.get("wait") == "true" else None


def make() -> StandIn:
    """With nothing said and nobody connected."""
    return Discord()
