"""New messages in a channel, and what Discord's refusals mean."""

from typing import Any

import httpx
import pytest

from area.nodes import sdk
from area.nodes.discord import messages, watching
from area.nodes.discord.sending import moment_of
from tests.nodes.discord.conftest import (
    ADA,
    BOT,
    CHANNEL,
    CHANNEL_INFO,
    GOOD,
    HOME,
    HOOK_ID,
    LIST,
    LOOK,
    MESSAGE,
    POST,
    Make,
    Turns,
    msg,
    refused,
)

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
