"""Discord: whose server may be touched, what is sent, what refusals mean, and that nothing is said twice."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import ValidationError

from area.nodes import discord, sdk
from area.nodes.discord import commands, members, messages, reactions, threads, watching
from area.nodes.discord.sending import moment_of, snowflake
from tests.nodes.conftest import NOON, FakeContext, MakeContext

HOME, OTHER = "300000000000000001", "300000000000000002"
CHANNEL, MESSAGE = "400000000000000001", "450000000000000001"
ADA, BOT = "200000000000000001", "100000000000000001"
ROLE = "500000000000000001"
DM = "470000000000000001"
FACTS = {"guild_id": HOME, "guild_name": "Ada's server", "user_id": ADA, "user_name": "Ada"}
ACCOUNT = sdk.Account("a1", HOME, "Ada's server (Ada)", facts=FACTS)
OWN = sdk.Account("a2", "100000000000000002", "Mine (bot)")
TOKEN = {"token": "own.moment.proof"}

Answers = Mapping[str, Any]
Make = Callable[..., tuple[FakeContext, list[httpx.Request]]]


def msg(id_: str, text: str = "", *, by: str = ADA, **more: Any) -> dict[str, Any]:
    """A message as Discord shows it."""
    author = {"id": by, "username": "ada", "global_name": "Ada Lovelace", "discriminator": "0"}
    return {"id": id_, "channel_id": CHANNEL, "type": 0, "content": text, "author": author, "embeds": [], **more}


def at(moment: datetime, number: int = 0) -> str:
    """An id of something made then."""
    return str(snowflake(moment) + number)


CHANNEL_INFO = {"id": CHANNEL, "guild_id": HOME, "type": 0, "name": "general"}
SENT = msg(at(NOON), "hi", by=BOT)
POST = f"POST /channels/{CHANNEL}/messages"
LIST = f"GET /channels/{CHANNEL}/messages"
LOOK = f"GET /channels/{CHANNEL}"
ME = "GET /users/@me"
GOOD: Answers = {LOOK: CHANNEL_INFO, POST: SENT, ME: {"id": BOT, "username": "AREA"}}


@pytest.fixture
def make(context: MakeContext) -> Make:
    """A context whose Discord answers ``{"GET /users/@me": body}``: a body, (status, body), a response, or a list of those in turn.

    Each has an address of its own, so that no test knows what another has looked up.
    """

    def of(answers: Answers = GOOD, **given: Any) -> tuple[FakeContext, list[httpx.Request]]:
        seen: list[httpx.Request] = []
        left = {name: list(body) if isinstance(body, Turns) else body for name, body in answers.items()}

        def answer(request: httpx.Request) -> httpx.Response:
            seen.append(request)
            name = f"{request.method} {request.url.raw_path.decode().partition('?')[0].removeprefix('/api/v10')}"
            assert name in left, f"unexpected {name}"
            found = left[name]
            if isinstance(answers[name], Turns):
                found = found.pop(0)
            if isinstance(found, httpx.Response):
                return found
            status, body = found if isinstance(found, tuple) else (200, found)
            return httpx.Response(status, json=body) if body is not None else httpx.Response(status)

        given.setdefault("connected", OWN if given.get("credentials") else ACCOUNT)
        ctx = context(answer, service=discord.service, **given)
        ctx.http.base_url = httpx.URL(f"https://{uuid4().hex}.test/api/v10")
        return ctx, seen

    return of


class Turns(tuple[Any, ...]):
    """Answers to the first, second, … call."""


def names(seen: list[httpx.Request]) -> list[str]:
    return [f"{one.method} {one.url.path.removeprefix('/api/v10')}" for one in seen]


def body_of(request: httpx.Request) -> Any:
    return json.loads(request.content)


def refused(status: int, code: int, words: str = "No", **more: Any) -> tuple[int, dict[str, Any]]:
    return status, {"message": words, "code": code, **more}


# Posting


async def test_a_message_is_sent_once_and_notifies_nobody(make: Make) -> None:
    ctx, seen = make()
    given = messages.Message(channel=CHANNEL, content="Grüße @everyone 🎉 <@200000000000000001>")
    got = await messages.post_message.fn(ctx, given)
    assert names(seen) == [LOOK, POST]
    sent = body_of(seen[1])
    nonce = sent.pop("nonce")
    assert sent == {
        "content": "Grüße @everyone 🎉 <@200000000000000001>",
        "allowed_mentions": {"parse": []},
        "enforce_nonce": True,
    }
    assert 0 < len(nonce) <= 25
    assert seen[1].headers["user-agent"].startswith("DiscordBot (https://")
    assert got == messages.Posted(
        id=SENT["id"],
        channel_id=CHANNEL,
        url=f"https://discord.com/channels/{HOME}/{CHANNEL}/{SENT['id']}",
        created_at=NOON,
    )


async def test_a_channel_is_looked_up_once(make: Make) -> None:
    ctx, seen = make()
    for _ in range(3):
        await messages.post_message.fn(ctx, messages.Message(channel=CHANNEL, content="x"))
    assert names(seen) == [LOOK, POST, POST, POST]


@pytest.mark.parametrize(
    "found", [{"guild_id": OTHER}, {"guild_id": None}, {}], ids=["another server's", "none", "direct"]
)
async def test_an_account_reaches_no_channel_beyond_its_server(make: Make, found: dict[str, Any]) -> None:
    ctx, seen = make({LOOK: {"id": CHANNEL, "type": 0, **found}})
    for _ in range(2):
        with pytest.raises(sdk.Rejected, match=f"Channel {CHANNEL} is not in Ada's server") as caught:
            await messages.post_message.fn(ctx, messages.Message(channel=CHANNEL, content="x"))
    assert caught.value.code == "OTHER_SERVER"
    assert set(names(seen)) == {LOOK}, "nothing was posted"


@pytest.mark.parametrize(
    "call",
    [
        lambda ctx: reactions.add_reaction.fn(
            ctx, reactions.EmojiOnMessage(channel=CHANNEL, message=MESSAGE, emoji="🎉")
        ),
        lambda ctx: threads.create_thread.fn(ctx, threads.NewThread(channel=CHANNEL, name="x")),
        lambda ctx: watching.new_message.fn(ctx, watching.Watched(channel=CHANNEL)),
        lambda ctx: members.add_role.fn(ctx, members.RoleForMember(server=OTHER, role=ROLE, user=ADA)),
        lambda ctx: commands.make_command(ctx, commands.SlashCommand(command="x", server=OTHER), HOOK),
    ],
    ids=["emoji", "thread", "poll", "role", "command"],
)
async def test_no_node_reaches_beyond_the_accounts_server(make: Make, call: Callable[[sdk.Context], Any]) -> None:
    ctx, seen = make({LOOK: CHANNEL_INFO | {"guild_id": OTHER}})
    with pytest.raises(sdk.Rejected, match="the server of this account") as caught:
        await call(ctx)
    assert caught.value.code == "OTHER_SERVER"
    assert set(names(seen)) <= {LOOK}


async def test_an_account_of_no_server_reaches_nothing(make: Make) -> None:
    ctx, seen = make(connected=sdk.Account("a1", "x", "Somebody"))
    with pytest.raises(sdk.Rejected, match=r"Somebody has no server\. Connect Discord again"):
        await messages.post_message.fn(ctx, messages.Message(channel=CHANNEL, content="x"))
    assert POST not in names(seen)


async def test_a_bot_of_ones_own_is_let_where_discord_lets_it(make: Make) -> None:
    ctx, seen = make({**GOOD, LOOK: CHANNEL_INFO | {"guild_id": OTHER}}, credentials=TOKEN)
    got = await messages.post_message.fn(ctx, messages.Message(channel=CHANNEL, content="x"))
    assert got.url == f"https://discord.com/channels/{OTHER}/{CHANNEL}/{SENT['id']}"
    assert names(seen) == [LOOK, POST]


async def test_mentions_notify_whom_the_author_names(make: Make) -> None:
    ctx, seen = make()
    given = messages.Message(channel=CHANNEL, content="@here", ping=["everyone", "users", "users"], reply_to=MESSAGE)
    await messages.post_message.fn(ctx, given)
    sent = body_of(seen[1])
    assert sent["allowed_mentions"] == {"parse": ["everyone", "users"]}
    assert sent["message_reference"] == {"message_id": MESSAGE, "fail_if_not_exists": False}


async def test_an_embed_has_what_was_filled_in(make: Make) -> None:
    ctx, seen = make()
    full = {
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
    await messages.post_message.fn(ctx, messages.Message(channel=CHANNEL, embeds=[full, {"description": "b"}]))
    sent = body_of(seen[1])
    assert "content" not in sent
    assert sent["embeds"] == [
        {
            "title": "Live",
            "url": "https://x.test",
            "description": "Ça va",
            "color": 0x9146FF,
            "author": {"name": "Ada"},
            "image": {"url": "https://x.test/i.png"},
            "thumbnail": {"url": "https://x.test/t.png"},
            "footer": {"text": "AREA"},
            "timestamp": "2026-03-01T08:00:00+00:00",
            "fields": [{"name": "Game", "value": "Chess", "inline": True}],
        },
        {"description": "b"},
    ]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "the message is empty"),
        ({"content": " \n"}, "the message is empty"),
        ({"content": "x" * 2001}, "at most 2000"),
        ({"embeds": [{}]}, "an embed is empty"),
        ({"embeds": [{"title": "x"}] * 11}, "at most 10"),
        ({"embeds": [{"title": "x" * 257}]}, "at most 256"),
        ({"embeds": [{"description": "x" * 4097}]}, "at most 4096"),
        ({"embeds": [{"description": "x" * 4000}, {"description": "x" * 2001}]}, "more than 6000 characters together"),
        ({"embeds": [{"title": "x", "fields": [{"name": "a", "value": "b"}] * 26}]}, "at most 25"),
        ({"embeds": [{"title": "x", "color": "red"}]}, "match pattern"),
        ({"embeds": [{"title": "x", "url": "javascript:alert(1)"}]}, "match pattern"),
        ({"content": "x", "ping": ["all"]}, "'users', 'roles' or 'everyone'"),
        ({"content": "x", "channel": "general"}, "match pattern"),
        ({"content": "x", "message": "y"}, "Extra inputs"),
    ],
)
def test_a_message_beyond_discords_limits_is_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        messages.Message.model_validate({"channel": CHANNEL, **given})


def test_limits_are_inclusive() -> None:
    fields = [{"name": "n" * 256, "value": "v" * 664}] * 2
    embeds = [{"description": "x" * 4096, "fields": []}, {"title": "t" * 64, "fields": fields}]
    given = messages.Message.model_validate({"channel": CHANNEL, "content": "x" * 2000, "embeds": embeds})
    assert sum(embed.length() for embed in given.embeds) == 6000


# A repeat


async def test_every_attempt_carries_the_same_nonce_and_every_step_its_own(make: Make) -> None:
    sent = []
    for key, since in (("run/a", None), ("run/a", NOON - timedelta(seconds=90)), ("run/b", None)):
        ctx, seen = make(idempotency_key=key, tried_since=since)
        await messages.post_message.fn(ctx, messages.Message(channel=CHANNEL, content="hi"))
        assert names(seen) == [LOOK, POST], "within minutes the nonce suffices"
        sent.append(body_of(seen[1])["nonce"])
    assert sent[0] == sent[1] != sent[2]


HOURS_AGO = NOON - timedelta(hours=5)


@pytest.mark.parametrize(
    "earlier",
    [
        msg(at(HOURS_AGO, 1), "hi  there", by=BOT),
        msg(at(HOURS_AGO - timedelta(seconds=20)), "hi there", by=BOT, embeds=[{"type": "link", "title": "a preview"}]),
    ],
    ids=["trimmed", "with a preview, by a clock that is behind"],
)
async def test_hours_later_what_was_posted_is_found_and_not_said_again(make: Make, earlier: dict[str, Any]) -> None:
    page = [msg(at(NOON), "hi there"), earlier]
    ctx, seen = make({**GOOD, LIST: page}, tried_since=HOURS_AGO)
    got = await messages.post_message.fn(ctx, messages.Message(channel=CHANNEL, content=" hi there"))
    assert got.id == earlier["id"]
    assert names(seen) == [LOOK, ME, LIST]
    assert dict(seen[2].url.params) == {"after": at(HOURS_AGO - timedelta(seconds=30)), "limit": "50"}
    assert ctx.lines == [("info", f"An earlier attempt had posted it, as message {earlier['id']}")]


async def test_hours_later_what_was_not_posted_is(make: Make) -> None:
    page = [msg(at(NOON), "hi"), msg(at(HOURS_AGO, 9), "another", by=BOT)]
    ctx, seen = make({**GOOD, LIST: page}, tried_since=HOURS_AGO)
    await messages.post_message.fn(ctx, messages.Message(channel=CHANNEL, content="hi"))
    assert names(seen) == [LOOK, ME, LIST, POST]


@pytest.mark.parametrize(
    ("embed", "is_new"),
    [
        ({"title": "a"}, True),
        ({"title": "a", "description": "b", "fields": [{"name": "n", "value": "w"}]}, True),
        ({"title": "a", "description": "b", "fields": [{"name": "n", "value": "v"}]}, False),
    ],
)
async def test_embeds_tell_two_messages_apart(make: Make, embed: dict[str, Any], is_new: bool) -> None:
    shown = {"type": "rich", "title": "a", "description": "b", "fields": [{"name": "n", "value": "v", "inline": False}]}
    ctx, seen = make({**GOOD, LIST: [msg(at(HOURS_AGO, 9), by=BOT, embeds=[shown])]}, tried_since=HOURS_AGO)
    await messages.post_message.fn(ctx, messages.Message(channel=CHANNEL, embeds=[embed]))
    assert (POST in names(seen)) is is_new


async def test_a_history_that_may_not_be_read_leaves_it_unknown(make: Make) -> None:
    info = CHANNEL_INFO | {"last_message_id": at(NOON)}
    ctx, seen = make({**GOOD, LOOK: info, LIST: []}, tried_since=HOURS_AGO)
    with pytest.raises(sdk.Unknown, match=f"may have posted this in channel {CHANNEL}: look there"):
        await messages.post_message.fn(ctx, messages.Message(channel=CHANNEL, content="hi"))
    assert POST not in names(seen)


@pytest.mark.parametrize("last", [None, at(HOURS_AGO - timedelta(days=1))])
async def test_a_channel_in_which_nothing_was_said_since_is_posted_in(make: Make, last: str | None) -> None:
    ctx, seen = make({**GOOD, LOOK: CHANNEL_INFO | {"last_message_id": last}, LIST: []}, tried_since=HOURS_AGO)
    await messages.post_message.fn(ctx, messages.Message(channel=CHANNEL, content="hi"))
    assert names(seen)[-1] == POST


async def test_a_channel_too_busy_to_look_through_leaves_it_unknown(make: Make) -> None:
    pages = Turns([msg(at(HOURS_AGO, 50 * page + n), "spam") for n in range(49, -1, -1)] for page in range(10))
    ctx, seen = make({**GOOD, LIST: pages}, tried_since=HOURS_AGO)
    with pytest.raises(sdk.Unknown):
        await messages.post_message.fn(ctx, messages.Message(channel=CHANNEL, content="hi"))
    asked = [one.url.params["after"] for one in seen if one.url.params]
    assert asked[1:] == [at(HOURS_AGO, 50 * page + 49) for page in range(9)], "each page goes on after the last"
    assert POST not in names(seen)


# To one person


async def test_a_direct_message_goes_to_a_member_of_the_server(make: Make) -> None:
    answers = {
        f"GET /guilds/{HOME}/members/{ADA}": {"user": {"id": ADA}, "roles": []},
        "POST /users/@me/channels": {"id": DM, "type": 1},
        f"POST /channels/{DM}/messages": SENT | {"channel_id": DM},
    }
    ctx, seen = make(answers)
    got = await messages.direct_message.fn(ctx, messages.PersonalMessage(user=ADA, content="psst"))
    assert names(seen) == list(answers)
    assert body_of(seen[1]) == {"recipient_id": ADA}
    assert body_of(seen[2])["content"] == "psst"
    assert got.url == f"https://discord.com/channels/@me/{DM}/{SENT['id']}"


async def test_strangers_get_no_direct_message(make: Make) -> None:
    ctx, seen = make({f"GET /guilds/{HOME}/members/{ADA}": refused(404, 10007, "Unknown Member")})
    with pytest.raises(sdk.Rejected, match="This user is not a member of the server") as caught:
        await messages.direct_message.fn(ctx, messages.PersonalMessage(user=ADA, content="psst"))
    assert caught.value.code == "DISCORD_10007"
    assert len(seen) == 1


async def test_a_bot_of_ones_own_writes_to_whom_discord_lets_it(make: Make) -> None:
    answers = {
        "POST /users/@me/channels": {"id": DM},
        f"POST /channels/{DM}/messages": refused(403, 50007, "Cannot send messages to this user"),
    }
    ctx, _ = make(answers, credentials=TOKEN)
    with pytest.raises(sdk.Rejected, match="takes no direct messages from the bot"):
        await messages.direct_message.fn(ctx, messages.PersonalMessage(user=ADA, content="psst"))


# By webhook

HOOK_ID = "700000000000000001"
URL = f"https://discord.com/api/webhooks/{HOOK_ID}/a-Secret_Token"
EXECUTE = f"POST /webhooks/{HOOK_ID}/a-Secret_Token"


async def test_a_webhook_posts_under_its_own_name(make: Make) -> None:
    ctx, seen = make({EXECUTE: SENT}, connected=None)
    given = messages.WebhookMessage(
        webhook_url=URL, content="été", username="Herald", avatar_url="https://x.test/a.png", thread_id=MESSAGE
    )
    got = await messages.post_webhook.fn(ctx, given)
    assert dict(seen[0].url.params) == {"wait": "true", "thread_id": MESSAGE}
    assert body_of(seen[0]) == {
        "content": "été",
        "username": "Herald",
        "avatar_url": "https://x.test/a.png",
        "allowed_mentions": {"parse": []},
    }
    assert "authorization" not in seen[0].headers
    assert (got.id, got.channel_id, got.url) == (SENT["id"], CHANNEL, None)
    assert not messages.post_webhook.is_idempotent(given)


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.test/api/webhooks/700000000000000001/token",
        "https://discord.com.evil.test/api/webhooks/700000000000000001/token",
        "http://discord.com/api/webhooks/700000000000000001/token",
        "https://user@discord.com/api/webhooks/700000000000000001/token",
        "http://169.254.169.254/api/webhooks/700000000000000001/token",
    ],
)
async def test_a_webhook_elsewhere_is_not_called(make: Make, url: str) -> None:
    ctx, seen = make({}, connected=None)
    with pytest.raises(sdk.Rejected, match="not the URL of a Discord webhook") as caught:
        await messages.post_webhook.fn(ctx, messages.WebhookMessage(webhook_url=url, content="x"))
    assert caught.value.code == "NOT_A_WEBHOOK"
    assert "token" not in str(caught.value)
    assert seen == []


@pytest.mark.parametrize(
    "host", ["https://ptb.discord.com/api", "https://canary.discord.com/api/v9", "https://discordapp.com/api"]
)
async def test_only_the_webhooks_id_and_token_are_taken_from_its_url(make: Make, host: str) -> None:
    ctx, seen = make({EXECUTE: SENT}, connected=None)
    await messages.post_webhook.fn(
        ctx, messages.WebhookMessage(webhook_url=URL.replace("https://discord.com/api", host), content="x")
    )
    assert seen[0].url.host == ctx.http.base_url.host
    own = f"{ctx.http.base_url}webhooks/{HOOK_ID}/a-Secret_Token"
    await messages.post_webhook.fn(ctx, messages.WebhookMessage(webhook_url=own, content="x"))
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("answer", "error", "told"),
    [
        (refused(404, 10015, "Unknown Webhook"), sdk.Rejected, "The webhook was deleted"),
        (refused(401, 50027, "Invalid Webhook Token"), sdk.Rejected, "copy it again"),
        (refused(400, 220001, "needs thread"), sdk.Rejected, "is a forum"),
        ((500, {"message": "oops", "code": 0}), sdk.Unavailable, "answered 500"),
        (httpx.Response(200, html="<h1>Hi</h1>"), sdk.Unknown, "answered 200 with text/html"),
        ((200, []), sdk.Unknown, "not Discord's"),
        ((200, {"oddly": "empty"}), sdk.Unknown, "not Discord's"),
        ((204, None), sdk.Unknown, "answered 204"),
    ],
)
async def test_what_a_webhooks_failures_mean(make: Make, answer: Any, error: type[sdk.NodeError], told: str) -> None:
    ctx, seen = make({EXECUTE: answer}, connected=None)
    with pytest.raises(error, match=told) as caught:
        await messages.post_webhook.fn(ctx, messages.WebhookMessage(webhook_url=URL, content="x"))
    assert "a-Secret_Token" not in str(caught.value)
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"username": "My Discord bot"}, "no webhook whose name has 'discord'"),
        ({"username": "CLYDE"}, "'clyde'"),
        ({"thread_id": MESSAGE, "thread_name": "x"}, "not both"),
        ({"webhook_url": "https://discord.com/channels/1/2"}, "match pattern"),
        ({"webhook_url": f"{URL}/github"}, "match pattern"),
        ({"avatar_url": "file:///etc/passwd"}, "match pattern"),
    ],
)
def test_a_webhook_message_is_refused(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        messages.WebhookMessage.model_validate({"webhook_url": URL, "content": "x", **given})


# Roles and emojis


async def test_a_role_is_given_in_the_accounts_server(make: Make) -> None:
    put = f"PUT /guilds/{HOME}/members/{ADA}/roles/{ROLE}"
    ctx, seen = make({put: (204, None)})
    for server in ("", HOME):
        got = await members.add_role.fn(ctx, members.RoleForMember(role=ROLE, user=ADA, server=server))
        assert got == members.Given(user_id=ADA, role_id=ROLE, server_id=HOME)
    assert names(seen) == [put, put]


async def test_a_bot_of_ones_own_says_in_which_server(make: Make) -> None:
    put = f"PUT /guilds/{OTHER}/members/{ADA}/roles/{ROLE}"
    ctx, seen = make({put: (204, None)}, credentials=TOKEN)
    await members.add_role.fn(ctx, members.RoleForMember(role=ROLE, user=ADA, server=OTHER))
    with pytest.raises(sdk.Rejected, match="Say in which server") as caught:
        await members.add_role.fn(ctx, members.RoleForMember(role=ROLE, user=ADA))
    assert caught.value.code == "NO_SERVER"
    assert names(seen) == [put]


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("🎉", "%F0%9F%8E%89"),
        (" ❤️ ", "%E2%9D%A4%EF%B8%8F"),
        ("1️⃣", "1%EF%B8%8F%E2%83%A3"),
        ("party:600000000000000001", "party%3A600000000000000001"),
        ("<:party:600000000000000001>", "party%3A600000000000000001"),
        ("<a:party:600000000000000001>", "party%3A600000000000000001"),
    ],
)
async def test_an_emoji_is_encoded(make: Make, given: str, sent: str) -> None:
    put = f"PUT /channels/{CHANNEL}/messages/{MESSAGE}/reactions/{sent}/@me"
    ctx, seen = make({LOOK: CHANNEL_INFO, put: (204, None)})
    await reactions.add_reaction.fn(ctx, reactions.EmojiOnMessage(channel=CHANNEL, message=MESSAGE, emoji=given))
    assert len(seen) == 2


@pytest.mark.parametrize("emoji", ["", "x", ":party:", "🎉 🎉", "../../x", "🎉" * 65])
def test_what_is_no_emoji_is_refused(emoji: str) -> None:
    with pytest.raises(ValidationError):
        reactions.EmojiOnMessage(channel=CHANNEL, message=MESSAGE, emoji=emoji)


# Threads

THREAD = {"id": "460000000000000001", "guild_id": HOME, "name": "Live", "parent_id": CHANNEL, "type": 11}
OPEN = f"POST /channels/{CHANNEL}/threads"


@pytest.mark.parametrize(("kind", "made"), [(0, 11), (5, 10)], ids=["text", "announcement"])
async def test_a_thread_is_opened(make: Make, kind: int, made: int) -> None:
    ctx, seen = make({LOOK: CHANNEL_INFO | {"type": kind}, OPEN: (201, THREAD)})
    got = await threads.create_thread.fn(ctx, threads.NewThread(channel=CHANNEL, name="Live", archive_after=60))
    assert body_of(seen[1]) == {"name": "Live", "auto_archive_duration": 60, "type": made}
    assert got == threads.Thread(
        id=THREAD["id"],
        name="Live",
        channel_id=CHANNEL,
        server_id=HOME,
        url=f"https://discord.com/channels/{HOME}/{THREAD['id']}",
    )


async def test_a_forum_post_has_a_first_message(make: Make) -> None:
    ctx, seen = make({LOOK: CHANNEL_INFO | {"type": 15}, OPEN: (201, THREAD)})
    with pytest.raises(sdk.Rejected, match="is a forum: its posts need a first message"):
        await threads.create_thread.fn(ctx, threads.NewThread(channel=CHANNEL, name="Live"))
    await threads.create_thread.fn(ctx, threads.NewThread(channel=CHANNEL, name="Live", content="@everyone"))
    assert names(seen) == [LOOK, LOOK, OPEN]
    assert body_of(seen[2]) == {
        "name": "Live",
        "auto_archive_duration": 1440,
        "message": {"content": "@everyone", "allowed_mentions": {"parse": []}},
    }


ONE = f"GET /channels/{CHANNEL}/messages/{MESSAGE}"
ON = f"POST /channels/{CHANNEL}/messages/{MESSAGE}/threads"


async def test_a_thread_is_opened_on_a_message_or_the_one_there_is_taken(make: Make) -> None:
    given = threads.NewThread(channel=CHANNEL, name="Live", message=MESSAGE)
    ctx, seen = make({LOOK: CHANNEL_INFO, ONE: msg(MESSAGE), ON: (201, THREAD)})
    await threads.create_thread.fn(ctx, given)
    assert names(seen) == [LOOK, ONE, ON]
    assert body_of(seen[2]) == {"name": "Live", "auto_archive_duration": 1440}
    for since in (None, HOURS_AGO):
        ctx, seen = make({LOOK: CHANNEL_INFO, ONE: msg(MESSAGE, thread=THREAD | {"name": "Old"})}, tried_since=since)
        got = await threads.create_thread.fn(ctx, given)
        assert (got.id, got.name) == (THREAD["id"], "Old")
        assert names(seen) == [LOOK, ONE]


async def test_in_a_text_channel_the_first_message_is_posted_and_the_thread_opened_on_it(make: Make) -> None:
    first = msg(MESSAGE, "Hello", by=BOT)
    ctx, seen = make({LOOK: CHANNEL_INFO, POST: first, ONE: first, ON: (201, THREAD)})
    await threads.create_thread.fn(
        ctx, threads.NewThread(channel=CHANNEL, name="Live", content="Hello", ping=["users"])
    )
    assert names(seen) == [LOOK, POST, ONE, ON]
    sent = body_of(seen[1])
    assert (sent["content"], sent["allowed_mentions"], sent["enforce_nonce"]) == ("Hello", {"parse": ["users"]}, True)


ACTIVE = f"GET /guilds/{HOME}/threads/active"
MINUTES_AGO = NOON - timedelta(minutes=10)
OURS = THREAD | {"id": at(MINUTES_AGO), "owner_id": BOT}


@pytest.mark.parametrize(
    ("there", "opens"),
    [
        (OURS, False),
        (OURS | {"owner_id": ADA}, True),
        (OURS | {"name": "Lives"}, True),
        (OURS | {"parent_id": DM}, True),
        (OURS | {"id": at(MINUTES_AGO - timedelta(hours=1))}, True),
    ],
    ids=["ours", "another's", "other name", "other channel", "older"],
)
async def test_a_later_attempt_takes_the_thread_that_an_earlier_one_opened(make: Make, there: Any, opens: bool) -> None:
    answers = {LOOK: CHANNEL_INFO, ME: {"id": BOT}, ACTIVE: {"threads": [there], "members": []}, OPEN: (201, THREAD)}
    ctx, seen = make(answers, tried_since=MINUTES_AGO)
    got = await threads.create_thread.fn(ctx, threads.NewThread(channel=CHANNEL, name="Live"))
    assert (OPEN in names(seen), got.id == OURS["id"]) == (opens, not opens)


async def test_when_threads_may_have_been_archived_since_it_is_unknown(make: Make) -> None:
    ctx, seen = make({LOOK: CHANNEL_INFO}, tried_since=HOURS_AGO)
    with pytest.raises(sdk.Unknown, match=f"may have opened 'Live' in channel {CHANNEL}"):
        await threads.create_thread.fn(ctx, threads.NewThread(channel=CHANNEL, name="Live"))
    assert names(seen) == [LOOK]


def test_a_thread_starts_in_one_way() -> None:
    with pytest.raises(ValidationError, match="not both"):
        threads.NewThread(channel=CHANNEL, name="x", message=MESSAGE, content="y")
    with pytest.raises(ValidationError):
        threads.NewThread(channel=CHANNEL, name="x", archive_after=61)


# New messages


async def test_the_first_poll_fires_nothing(make: Make) -> None:
    ctx, seen = make({**GOOD, LIST: [msg(MESSAGE, "old")]})
    page = await watching.new_message.fn(ctx, watching.Watched(channel=CHANNEL))
    assert page == sdk.Page([], {"after": MESSAGE, "me": BOT})
    assert dict(seen[1].url.params) == {"limit": "1"}


async def test_an_empty_channel_has_a_baseline_too(make: Make) -> None:
    ctx, _ = make({**GOOD, LOOK: CHANNEL_INFO | {"last_message_id": None}, LIST: []})
    page = await watching.new_message.fn(ctx, watching.Watched(channel=CHANNEL))
    assert page.cursor == {"after": "0", "me": BOT}


async def test_a_channel_whose_history_the_bot_may_not_read_is_told(make: Make) -> None:
    ctx, _ = make({**GOOD, LOOK: CHANNEL_INFO | {"last_message_id": MESSAGE}, LIST: []})
    with pytest.raises(sdk.Rejected, match="let it read the message history there") as caught:
        await watching.new_message.fn(ctx, watching.Watched(channel=CHANNEL))
    assert caught.value.code == "NO_HISTORY"


CURSOR = {"after": "450000000000000000", "me": BOT}


async def test_messages_come_in_order_with_all_that_templates_want(make: Make) -> None:
    reply = {
        "type": 19,
        "message_reference": {"type": 0, "channel_id": CHANNEL, "message_id": MESSAGE},
        "attachments": [{"url": "https://cdn.test/a.png"}, {"oddly": "none"}],
    }
    page = [msg("450000000000000003", "zwei 🎉", **reply), msg(MESSAGE, "eins")]
    ctx, seen = make({LOOK: CHANNEL_INFO, LIST: page}, cursor=CURSOR)
    got = await watching.new_message.fn(ctx, watching.Watched(channel=CHANNEL))
    assert dict(seen[1].url.params) == {"after": "450000000000000000", "limit": "50"}
    assert got.cursor == {"after": "450000000000000003", "me": BOT}
    assert [one.content for one in got.items] == ["eins", "zwei 🎉"]
    assert got.items[1] == watching.NewMessage(
        id="450000000000000003",
        content="zwei 🎉",
        author_id=ADA,
        author_name="Ada Lovelace",
        author_username="ada",
        author_is_bot=False,
        channel_id=CHANNEL,
        server_id=HOME,
        url=f"https://discord.com/channels/{HOME}/{CHANNEL}/450000000000000003",
        created_at=moment_of("450000000000000003"),
        reply_to=MESSAGE,
        attachment_urls=["https://cdn.test/a.png"],
    )
    assert got.items[0].reply_to is None


async def test_nothing_new_keeps_the_cursor(make: Make) -> None:
    ctx, _ = make({LOOK: CHANNEL_INFO, LIST: []}, cursor=CURSOR)
    assert await watching.new_message.fn(ctx, watching.Watched(channel=CHANNEL)) == sdk.Page([], CURSOR)


def _robot(number: int, **more: Any) -> dict[str, Any]:
    found = msg(f"45000000000000000{number}", "beep", by="100000000000000009", **more)
    return found | {"author": found["author"] | {"bot": True}}


async def test_bots_and_notices_do_not_fire_unless_they_shall_and_the_bot_itself_never(make: Make) -> None:
    page = [
        msg("450000000000000009", "by a person"),
        msg("450000000000000008", "joined", type=7),
        _robot(7),
        _robot(6, type=20),
        msg("450000000000000005", "by a webhook", webhook_id=HOOK_ID),
        msg("450000000000000004", "by us", by=BOT),
    ]
    fired = {}
    for include in (False, True):
        ctx, _ = make({LOOK: CHANNEL_INFO, LIST: page}, cursor=CURSOR)
        got = await watching.new_message.fn(ctx, watching.Watched(channel=CHANNEL, include_bots=include))
        fired[include] = [one.id[-1] for one in got.items]
        assert got.cursor["after"] == "450000000000000009", "what does not fire is passed all the same"
    assert fired == {False: ["9"], True: ["5", "6", "7", "9"]}


async def test_a_busy_channel_is_read_page_by_page_and_goes_on_next_time(make: Make) -> None:
    start = 450000000000000000

    def page_after(number: int) -> list[dict[str, Any]]:
        return [msg(str(start + 50 * number + n + 1), str(n)) for n in range(49, -1, -1)]

    ctx, seen = make({LOOK: CHANNEL_INFO, LIST: Turns(page_after(n) for n in range(10))}, cursor=CURSOR)
    got = await watching.new_message.fn(ctx, watching.Watched(channel=CHANNEL))
    assert [int(one.id) for one in got.items] == list(range(start + 1, start + 501))
    assert got.cursor["after"] == str(start + 500)
    assert len(seen) == 11
    ctx, _ = make({LOOK: CHANNEL_INFO, LIST: Turns([page_after(10), []])}, cursor=got.cursor)
    more = await watching.new_message.fn(ctx, watching.Watched(channel=CHANNEL))
    assert len(more.items) == 50


async def test_a_provider_that_repeats_itself_is_not_followed_for_ever(make: Make) -> None:
    page = [msg(str(450000000000000000 - n)) for n in range(50)]
    ctx, seen = make({LOOK: CHANNEL_INFO, LIST: page}, cursor=CURSOR)
    assert await watching.new_message.fn(ctx, watching.Watched(channel=CHANNEL)) == sdk.Page([], CURSOR)
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("answer", "error", "told"),
    [
        (httpx.Response(200, html="<h1>Down</h1>"), sdk.Unavailable, "text/html that is not Discord's"),
        (
            httpx.Response(200, content=b'[{"id": "45', headers={"content-type": "application/json"}),
            sdk.Unavailable,
            "application/json that is not Discord's",
        ),
        ({"messages": []}, sdk.Unavailable, "not Discord's"),
        (refused(404, 10003, "Unknown Channel"), sdk.Rejected, "The channel was deleted, or the bot may not see it"),
        (refused(403, 50001, "Missing Access"), sdk.Rejected, "Let the bot see this channel"),
        ((502, {}), sdk.Unavailable, "answered 502"),
    ],
)
async def test_what_a_polls_failures_mean(make: Make, answer: Any, error: type[sdk.NodeError], told: str) -> None:
    ctx, _ = make({LOOK: CHANNEL_INFO, LIST: answer}, cursor=CURSOR)
    with pytest.raises(error, match=told):
        await watching.new_message.fn(ctx, watching.Watched(channel=CHANNEL))


# Refusals


@pytest.mark.parametrize(
    ("answer", "error", "told"),
    [
        (
            refused(403, 50013, "Missing Permissions"),
            sdk.Rejected,
            "for channel 400000000000000001: Missing Permissions. Give the bot",
        ),
        (refused(400, 50008, "Cannot send"), sdk.Rejected, "create a thread"),
        (refused(400, 999999, "Something new."), sdk.Rejected, r"refused this for channel \d+: Something new\.$"),
        ((403, {}), sdk.Rejected, "answered 403"),
        (httpx.Response(403, html="<title>Attention Required!</title>"), sdk.Rejected, "answered 403"),
        (httpx.Response(500, text="x" * 5000), sdk.Unavailable, "answered 500"),
        ((401, {"message": "401: Unauthorized", "code": 0}), sdk.Reconnect, "Connect the account again"),
        (httpx.Response(200, html="<p>hi</p>"), sdk.Unavailable, "text/html"),
    ],
)
async def test_what_refusals_mean(make: Make, answer: Any, error: type[sdk.NodeError], told: str) -> None:
    ctx, _ = make({**GOOD, POST: answer})
    with pytest.raises(error, match=told):
        await messages.post_message.fn(ctx, messages.Message(channel=CHANNEL, content="x"))


async def test_a_malformed_request_is_told_with_its_places(make: Make) -> None:
    inner = {"_errors": [{"code": "BASE_TYPE_MAX_LENGTH", "message": "Must be 2000 or fewer in length."}]}
    errors = {"content": inner, "embeds": {"0": {"url": {"_errors": [{"message": "Not a well formed URL."}]}}}}
    ctx, _ = make({**GOOD, POST: refused(400, 50035, "Invalid Form Body", errors=errors)})
    with pytest.raises(sdk.Rejected) as caught:
        await messages.post_message.fn(ctx, messages.Message(channel=CHANNEL, content="x"))
    assert str(caught.value) == (
        f"Discord refused this for channel {CHANNEL}: Invalid Form Body (content: Must be 2000 or fewer in length.; "
        "embeds.0.url: Not a well formed URL.)."
    )


async def test_a_refusal_nested_without_end_is_cut(make: Make) -> None:
    deep: dict[str, Any] = {"_errors": [{"message": "deep"}]}
    for _ in range(200):
        deep = {"x": deep}
    ctx, _ = make({**GOOD, POST: refused(400, 50035, "Invalid Form Body", errors=deep)})
    with pytest.raises(sdk.Rejected, match="Invalid Form Body") as caught:
        await messages.post_message.fn(ctx, messages.Message(channel=CHANNEL, content="x"))
    assert len(str(caught.value)) < 200


async def test_a_forbidden_call_on_an_exhausted_bucket_is_no_throttle(make: Make) -> None:
    # Discord counts 401 and 403 towards a ban: to wait and try again would be a storm.
    forbidden = httpx.Response(
        403, json={"message": "Missing Access", "code": 50001}, headers={"X-RateLimit-Remaining": "0"}
    )
    ctx, seen = make({**GOOD, POST: forbidden})
    with pytest.raises(sdk.Rejected, match="Missing Access"):
        await messages.post_message.fn(ctx, messages.Message(channel=CHANNEL, content="x"))
    assert len(seen) == 2


# Slash commands

HOOK = sdk.Hook("h1", "https://area.test/webhooks/discord", "0" * 64)
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
