"""What is done in a server beside messages: roles, reactions, threads."""

from datetime import timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from area.nodes import sdk
from area.nodes.discord import members, reactions, threads
from tests.nodes.conftest import NOON
from tests.nodes.discord.conftest import (
    ADA,
    BOT,
    CHANNEL,
    CHANNEL_INFO,
    DM,
    HOME,
    HOURS_AGO,
    LOOK,
    ME,
    MESSAGE,
    OTHER,
    POST,
    ROLE,
    TOKEN,
    Make,
    at,
    body_of,
    msg,
    names,
)

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
