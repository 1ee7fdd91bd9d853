"""Messages that Discord is sent: where, with what, whom they notify, and that none is said twice."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from area.nodes import sdk
from area.nodes.discord import commands, members, messages, reactions, threads, watching
from tests.nodes.conftest import NOON
from tests.nodes.discord.conftest import (
    ADA,
    BOT,
    CHANNEL,
    CHANNEL_INFO,
    DM,
    GOOD,
    HOME,
    HOOK,
    HOURS_AGO,
    LIST,
    LOOK,
    ME,
    MESSAGE,
    OTHER,
    POST,
    ROLE,
    SENT,
    TOKEN,
    Make,
    Turns,
    at,
    body_of,
    msg,
    names,
    refused,
)

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
