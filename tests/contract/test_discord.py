"""Everything that Discord's nodes send, and all that their stand-in answers, is as Discord's specification says."""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from area.nodes import discord, sdk
from area.nodes.discord import commands, members, messages, reactions, servers, threads, watching
from area.nodes.discord.connection import as_bot, identify, judge, validate
from tests.contract.documents import SHARED, SPECS
from tests.contract.plugin import Contract, Contracts
from tests.nodes.conftest import FakeContext
from tests.providers import discord as stand
from tests.providers.discord import ADA, ELSEWHERE, FORUM, GENERAL, GRACE, HOME, NEWS, OTHER, PARTY, STREAMERS

needs_specs = pytest.mark.skipif(not SPECS.is_dir(), reason=f"the providers' specifications are not there: {SHARED}")
FACTS = {"guild_id": HOME, "guild_name": "Ada's server", "user_id": ADA, "user_name": "Ada Lovelace"}
HOOK = sdk.Hook("h1", "https://area.test/webhooks/discord", "0" * 64)
FULL = {
    "title": "Live",
    "url": "https://x.test",
    "description": "Ça va",
    "color": "#9146ff",
    "author": "Ada",
    "image_url": "https://x.test/i.png",
    "thumbnail_url": "https://x.test/t.png",
    "footer": "AREA",
    "timestamp": "2026-03-01T09:00:00+01:00",
    "fields": [{"name": "Game", "value": "Chess", "inline": True}],
}


@dataclass
class Clients(FakeContext):
    """A context whose three clients differ, as the platform's do."""

    app: httpx.AsyncClient | None = None
    nobody: httpx.AsyncClient | None = None

    @property
    def app_http(self) -> httpx.AsyncClient:
        assert self.app
        return self.app

    @property
    def client_http(self) -> httpx.AsyncClient:
        assert self.nobody
        return self.nobody

    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass
class World:
    """A stand-in, and contexts that speak to it."""

    there: stand.Discord
    checked: Contract

    def client(self, authorization: str = "") -> httpx.AsyncClient:
        client = httpx.AsyncClient(
            transport=httpx.ASGITransport(app=self.there), base_url=f"https://{id(self)}.test/api/v10"
        )
        client.headers.update(
            {**discord.service.headers, **({"Authorization": authorization} if authorization else {})}
        )
        client.event_hooks = {"response": [sdk.response_hook(authorised=True, judge=judge)]}
        return client

    def home(self, **given: Any) -> Clients:
        """As the account that is Ada's server."""
        grant = self.there.auth.issue(self.there.users[0], "identify", "bot")
        granted = sdk.read_grant(grant)
        account = sdk.Account("a1", HOME, "Ada's server (Ada)", facts=FACTS)
        clients = {"app": self.client("Bot platform.moment.proof"), "nobody": self.client()}
        settings = {"public_key": self.there.bot.public_key}
        user = self.client(f"Bearer {granted.access_token}")
        return Clients(user, connected=account, granted=granted, settings=settings, **clients, **given)

    def own(self, **given: Any) -> Clients:
        """As a bot of one's own."""
        account = sdk.Account("a2", self.there.own.id, "Mine (bot)")
        client = self.client("Bot own.moment.proof")
        credentials = {"token": "own.moment.proof"}
        return Clients(client, connected=account, credentials=credentials, app=client, nobody=self.client(), **given)


@pytest.fixture
async def world(contract: Contracts) -> AsyncIterator[World]:
    """Whatever is asked for in the test is checked at its end."""
    made = World(stand.Discord(), contract("discord"))
    yield made
    made.checked.audit(made.there)


def chosen(model: type[sdk.Inputs], field: str) -> Callable[..., Any]:
    return next(mark.fn for mark in model.model_fields[field].metadata if isinstance(mark, sdk.Choices))


async def test_messages(world: World) -> None:
    ctx = world.home()
    posted = await messages.post_message.fn(ctx, messages.Message(channel=GENERAL, content="héllo", embeds=[FULL]))
    again = await messages.post_message.fn(ctx, messages.Message(channel=GENERAL, content="héllo", embeds=[FULL]))
    assert again == posted, "the same nonce"
    ctx.idempotency_key = "another"
    reply = messages.Message(channel=GENERAL, content="so?", reply_to=posted.id, ping=["users", "roles", "everyone"])
    await messages.post_message.fn(ctx, reply)
    assert world.there.texts(GENERAL) == ["héllo", "so?"]
    assert world.there.messages[GENERAL][1]["message_reference"]["message_id"] == posted.id
    for way in ("https://discord.com/api", "https://discord.com/api/v10"):
        url = f"{way}/webhooks/{stand.WEBHOOK}/{stand.WEBHOOK_TOKEN}"
        given = {"content": "by hook", "username": "Hermes", "avatar_url": "https://x.test/a.png", "embeds": [FULL]}
        await messages.post_webhook.fn(ctx, messages.WebhookMessage(webhook_url=url, **given))
    await messages.post_webhook.fn(ctx, messages.WebhookMessage(webhook_url=url, content="x", thread_name="A post"))
    ctx.idempotency_key = "a third"
    await messages.direct_message.fn(ctx, messages.PersonalMessage(user=GRACE, content="psst"))
    assert world.there.texts(world.there.direct[GRACE]) == ["psst"]


async def test_a_repeat_hours_later(world: World) -> None:
    ctx = world.home()
    posted = await messages.post_message.fn(ctx, messages.Message(channel=GENERAL, content="once"))
    world.there.nonces.clear()
    world.there.say(GENERAL, "once")
    ctx.tried_since = datetime.now(UTC) - timedelta(minutes=3)
    assert (await messages.post_message.fn(ctx, messages.Message(channel=GENERAL, content="once"))).id == posted.id
    assert world.there.texts(GENERAL) == ["once", "once"]
    world.there.no_history.add(GENERAL)
    with pytest.raises(sdk.Unknown):
        await messages.post_message.fn(ctx, messages.Message(channel=GENERAL, content="once"))


async def test_threads(world: World) -> None:
    ctx = world.home()
    plain = await threads.create_thread.fn(ctx, threads.NewThread(channel=GENERAL, name="Plain", archive_after=10080))
    started = threads.NewThread(channel=NEWS, name="Started", content="First")
    on_first = await threads.create_thread.fn(ctx, started)
    assert on_first.id == world.there.messages[NEWS][0]["id"]
    await threads.create_thread.fn(ctx, threads.NewThread(channel=NEWS, name="Announced"))
    said = world.there.say(GENERAL, "a question")
    on_message = threads.NewThread(channel=GENERAL, name="Answers", message=said["id"])
    first, second = [await threads.create_thread.fn(ctx, on_message) for _ in range(2)]
    assert first == second
    post = await threads.create_thread.fn(ctx, threads.NewThread(channel=FORUM, name="Help", content="How?"))
    assert world.there.texts(post.id) == ["How?"]
    ctx.tried_since = datetime.now(UTC)
    again = await threads.create_thread.fn(ctx, threads.NewThread(channel=GENERAL, name="Plain"))
    assert again.id == plain.id
    ctx.idempotency_key, ctx.tried_since = "another", None
    await messages.post_message.fn(ctx, messages.Message(channel=plain.id, content="in the thread"))
    assert world.there.texts(plain.id) == ["in the thread"]


async def test_emojis_and_roles(world: World) -> None:
    ctx = world.home()
    said = world.there.say(GENERAL, "hello")["id"]
    for emoji in ("🎉", "1️⃣", f"<:party:{PARTY}>"):
        for _ in range(2):
            given = reactions.EmojiOnMessage(channel=GENERAL, message=said, emoji=emoji)
            await reactions.add_reaction.fn(ctx, given)
    assert [one[2] for one in world.there.reactions] == ["🎉", "1️⃣", f"party:{PARTY}"]
    await members.add_role.fn(ctx, members.RoleForMember(role=STREAMERS, user=GRACE))
    assert world.there.servers[HOME].members[GRACE] == {stand.MEMBERS, STREAMERS}


async def test_new_messages(world: World) -> None:
    ctx, where = world.home(), watching.Watched(channel=GENERAL)
    world.there.say(GENERAL, "before")
    page = await watching.new_message.fn(ctx, where)
    assert page.items == []
    said = [world.there.say(GENERAL, f"{n} ✨")["content"] for n in range(120)]
    await messages.post_message.fn(ctx, messages.Message(channel=GENERAL, content="not this"))
    ctx.cursor = page.cursor
    page = await watching.new_message.fn(ctx, where)
    assert [one.content for one in page.items] == said
    ctx.cursor = page.cursor
    assert (await watching.new_message.fn(ctx, where)).items == []


async def test_slash_commands(world: World) -> None:
    ctx = world.home()
    kinds = [{"name": kind.value, "description": "one", "kind": kind} for kind in commands.Kind]
    where = commands.SlashCommand(
        command="déploie", parameters=[*kinds, {"name": "o", "description": "x", "required": False}]
    )
    made = await commands.make_command(ctx, where, HOOK)
    assert await commands.make_command(ctx, where, HOOK) == made, "the one that is there is taken over"
    assert await commands.has_command(ctx, where, made.remote_id)
    await commands.remove_command(ctx, where, made.remote_id)
    await commands.remove_command(ctx, where, made.remote_id)
    assert not await commands.has_command(ctx, where, made.remote_id)
    assert world.there.servers[HOME].commands == {}


async def test_accounts(world: World) -> None:
    ctx = world.home()
    assert await identify(ctx) == sdk.Profile(HOME, "Ada's server (Ada Lovelace)", None, FACTS)
    await validate(ctx)
    world.there.servers[HOME].owner = GRACE
    with pytest.raises(sdk.Reconnect, match="may not manage"):
        await validate(ctx)
    world.there.servers[HOME].roles[1]["permissions"] = str(1 << 5)
    world.there.servers[HOME].members[ADA].add(stand.MEMBERS)
    await validate(ctx)
    world.there.bot.servers.clear()
    with pytest.raises(sdk.Reconnect, match="is not in"):
        await validate(ctx)
    own = world.own()
    assert (await identify(own)).label == "Mine (bot)"
    await validate(own)


async def test_choices(world: World) -> None:
    ctx = world.home()
    assert [one.label for one in await servers.list_chats(ctx, {})] == [
        "#lounge", "#general (Text channels)", "#news (Text channels)",
    ]  # fmt: skip
    assert (await servers.list_thread_parents(ctx, {}))[0].label == "#help"
    assert [one.label for one in await chosen(members.RoleForMember, "role")(ctx, {})] == ["Streamers", "Members"]
    assert (await chosen(reactions.EmojiOnMessage, "emoji")(ctx, {}))[-1].label == ":party:"
    own = world.own()
    assert [one.value for one in await chosen(commands.SlashCommand, "server")(own, {})] == [OTHER]
    assert [one.label for one in await servers.list_chats(own, {})] == ["#secrets"]


async def test_the_platforms_bot_is_kept_in_its_accounts_server(world: World) -> None:
    world.there.bot.servers.add(OTHER)
    world.there.servers[OTHER].members[GRACE] = set()
    ctx = world.home()
    with pytest.raises(sdk.Rejected, match="is not in Ada's server"):
        await messages.post_message.fn(ctx, messages.Message(channel=ELSEWHERE, content="x"))
    direct = world.there.direct.setdefault(GRACE, world.there.new_id())
    with pytest.raises(sdk.Rejected, match="is not in Ada's server"):
        await messages.post_message.fn(ctx, messages.Message(channel=direct, content="x"))
    with pytest.raises(sdk.Rejected, match="not a member"):
        await messages.direct_message.fn(ctx, messages.PersonalMessage(user=stand.EVE, content="x"))
    assert world.there.messages == {}


@needs_specs
def test_samples_of_tokens_limits_and_events_are_read() -> None:
    tokens = json.loads((SPECS / "samples/oauth_token_responses.json").read_text())["discord"]
    granted = sdk.read_grant(tokens)
    assert (granted.expires_in, granted.scopes) == (604800, {"identify", "guilds"})
    limits = json.loads((SPECS / "samples/rate_limit_responses.json").read_text())
    for name in ("discord", "discord_global"):
        one = limits[name]
        response = httpx.Response(
            one["status"],
            headers=one["headers"],
            json=one["body"],
            request=httpx.Request("GET", "https://x.test/api/v10/a"),
        )
        judge(response)
        with pytest.raises(sdk.Throttled) as caught:
            sdk.map_response(response)
        assert caught.value.retry_after == 64.57
    events = json.loads((SPECS / "samples/other_webhooks.json").read_text())
    entrance = discord.service.entrance
    assert entrance is not None
    assert entrance.handshake is not None
    assert entrance.handshake(_delivery(events["discord_webhook_events_ping"])) == sdk.Answer(status=204)
    assert entrance.route(_delivery(events["discord_webhook_event"])) == []


@needs_specs
def test_signed_requests_of_the_samples_get_the_answers_they_expect() -> None:
    vectors = json.loads((SPECS / "samples/signature_vectors.json").read_text())
    mine = [one for one in vectors if one["provider"] == "discord"]
    entrance = discord.service.entrance
    assert entrance is not None
    assert entrance.handshake is not None
    for vector in mine:
        delivery = _delivery(vector["body"], vector["headers"])
        moment = datetime.fromtimestamp(int(vector["headers"]["X-Signature-Timestamp"]), UTC)
        if vector["valid"]:
            entrance.verify.check(vector["public_key"], delivery, moment)
            answer = entrance.handshake(delivery)
            assert answer is not None
            assert (answer.status, answer.body) == (200, vector["expect_response"]["json"])
        else:
            with pytest.raises(sdk.BadSignature):
                entrance.verify.check(vector["public_key"], delivery, moment)
    assert [one["valid"] for one in mine] == [True, False]


def _delivery(body: Any, headers: dict[str, str] | None = None) -> sdk.WebhookDelivery:
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    given = {name.lower(): value for name, value in (headers or {}).items()}
    return sdk.WebhookDelivery("POST", given, {}, raw, json.loads(raw), "application/json")


def test_bots_are_authorised_by_their_own_scheme() -> None:
    request = httpx.Request("GET", "https://x.test")
    as_bot(request, "a.b.c", {})
    assert request.headers["authorization"] == "Bot a.b.c"
