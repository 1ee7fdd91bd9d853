"""Webhooks of repositories: one at GitHub for each watched source.

https://docs.github.com/rest/repos/webhooks and https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries
"""

from collections.abc import Callable
from typing import Any

from area.nodes import sdk
from area.nodes._answers import one
from area.nodes._forges import pages
from area.nodes._payloads import within
from area.nodes.github.provider import HOOKS, Gone, service
from area.nodes.github.repositories import path_of

SIGNED = sdk.HmacSha256("x-hub-signature-256")
DELIVERY = "x-github-delivery"


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


async def _subscribe(ctx: sdk.Context, where: Any, hook: sdk.Hook, event: str) -> sdk.Subscription:
    path = f"{path_of(where.repository)}/hooks"
    asked = {
        "active": True,
        "events": [event],
        "config": {"url": hook.url, "content_type": "json", "secret": hook.secret, "insecure_ssl": "0"},
    }
    # Made before a crash, or switched off at GitHub: taken over, with our secret.
    for known in (hook.remote_id, await _known(ctx, path, hook.url)):
        if known is not None:
            try:
                return sdk.Subscription(str(one(await ctx.http.patch(f"{path}/{known}", json=asked), "id")["id"]))
            except Gone:
                continue
    return sdk.Subscription(str(one(await ctx.http.post(path, json={"name": "web", **asked}), "id")["id"]))


async def _known(ctx: sdk.Context, path: str, url: str) -> str | None:
    """The id of the webhook that delivers to ``url``."""
    for item in await pages(ctx, path):
        config = item.get("config")
        if isinstance(config, dict) and config.get("url") == url and item.get("id") is not None:
            return str(item["id"])
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
    # Forms, which somebody may have chosen at GitHub, would not be understood.
    return found.get("active") is True and within(found, "config", "content_type") == "json"
