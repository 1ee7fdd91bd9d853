"""Messages by a webhook's URL."""

from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from area.nodes import sdk
from area.nodes.discord import messages
from tests.nodes.discord.conftest import CHANNEL, HOOK_ID, MESSAGE, SENT, Make, body_of, refused

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
