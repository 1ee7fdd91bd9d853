"""Webhooks of repositories: one at GitHub for each watched source. https://docs.github.com/rest/repos/webhooks"""

from collections.abc import Callable
from typing import Any, TypeVar

from area.nodes import sdk
from area.nodes.github.provider import HOOKS, Gone, many, one, path_of, service

SIGNED = sdk.HmacSha256("x-hub-signature-256")
DELIVERY = "x-github-delivery"
MOST_PAGES = 3

Fn = TypeVar("Fn", bound=Callable[..., Any])


def watched(title: str, event: str) -> Callable[[Callable[..., Any]], sdk.Action]:
    """An action on the repository event ``event``; a manual redelivery keeps its id, so it fires nothing again."""

    def declare(fn: Callable[..., Any]) -> sdk.Action:
        action = service.webhook(title, verify=SIGNED, dedupe=DELIVERY, scopes=(HOOKS,))(fn)

        @action.subscribe
        async def subscribe(ctx: sdk.Context, where: Any, hook: sdk.Hook) -> sdk.Subscription:
            return await _subscribe(ctx, where, hook, event)

        action.unsubscribe(_unsubscribe)
        action.is_subscribed(_is_subscribed)
        return action

    return declare


def body_of(delivery: sdk.WebhookDelivery, event: str, *actions: str) -> dict[str, Any] | None:
    """The payload, when the delivery is this event with one of ``actions``; the ping that follows a new webhook is neither."""
    body = delivery.body
    if delivery.headers.get("x-github-event") != event or not isinstance(body, dict):
        return None
    return body if not actions or body.get("action") in actions else None


async def _subscribe(ctx: sdk.Context, where: Any, hook: sdk.Hook, event: str) -> sdk.Subscription:
    path = f"{path_of(where.repository)}/hooks"
    config = {"url": hook.url, "content_type": "json", "secret": hook.secret, "insecure_ssl": "0"}
    known = hook.remote_id or await _known(ctx, path, hook.url)
    if known is not None:
        # Made before a crash, or switched off at GitHub: taken over, with our secret.
        try:
            asked = {"config": config, "events": [event], "active": True}
            return sdk.Subscription(str(one(await ctx.http.patch(f"{path}/{known}", json=asked), "id")["id"]))
        except Gone:
            pass
    asked = {"name": "web", "active": True, "events": [event], "config": config}
    return sdk.Subscription(str(one(await ctx.http.post(path, json=asked), "id")["id"]))


async def _known(ctx: sdk.Context, path: str, url: str) -> str | None:
    """The id of the webhook that delivers to ``url``."""
    for page in range(1, MOST_PAGES + 1):
        found = many(await ctx.http.get(path, params={"per_page": 100, "page": page}))
        for item in found:
            if (item.get("config") or {}).get("url") == url:
                return str(item["id"])
        if len(found) < 100:
            break
    return None


async def _unsubscribe(ctx: sdk.Context, where: Any, remote_id: str) -> None:
    try:
        await ctx.http.delete(f"{path_of(where.repository)}/hooks/{remote_id}")
    except Gone:
        return


async def _is_subscribed(ctx: sdk.Context, where: Any, remote_id: str) -> bool:
    try:
        found = one(await ctx.http.get(f"{path_of(where.repository)}/hooks/{remote_id}"), "id")
    except Gone:
        return False
    return found.get("active") is True
