"""Webhook endpoints: one at Stripe for each watched source, with a secret that Stripe makes and shows once.

https://docs.stripe.com/api/webhook_endpoints and https://docs.stripe.com/webhooks/signature
"""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from area.nodes import sdk
from area.nodes.stripe.provider import VERSION, Gone, form, listed, nonsense, one, post, service, text

SIGNED = sdk.StripeSignature()
PATH = "/v1/webhook_endpoints"


def watched(
    title: str, events: Callable[[Any], list[str]], *, dedupe: Callable[[sdk.WebhookDelivery], str] | None = None
) -> Callable[[Callable[..., Any]], sdk.Action]:
    """An action on Stripe's events of these types; ``events(where)`` names them.

    An event is told by its id, so once. Stripe may make two of one thing; where that can happen only once, ``dedupe`` names it.
    https://docs.stripe.com/webhooks#handle-duplicate-events
    """

    def declare(fn: Callable[..., Any]) -> sdk.Action:
        action = service.webhook(title, verify=SIGNED, dedupe=dedupe)(fn)

        @action.subscribe
        async def subscribe(ctx: sdk.Context, where: Any, hook: sdk.Hook) -> sdk.Subscription:
            return await _subscribe(ctx, hook, events(where))

        @action.is_subscribed
        async def is_subscribed(ctx: sdk.Context, where: Any, remote_id: str) -> bool:
            return await _is_subscribed(ctx, events(where), remote_id)

        action.unsubscribe(_unsubscribe)
        return action

    return declare


async def _subscribe(ctx: sdk.Context, hook: sdk.Hook, events: list[str]) -> sdk.Subscription:
    if hook.remote_id is not None:
        # Ours, switched off or changed at Stripe: as it is again, under the secret that we have.
        asked = {"url": hook.url, "enabled_events": events, "disabled": False}
        try:
            return sdk.Subscription(
                text(await post(ctx, _path(hook.remote_id), asked, "webhook_endpoint", once=False), "id")
            )
        except Gone:
            pass
    # Made before a crash: nobody has its secret, which is shown once, so what it delivers is refused.
    for known in (await listed(ctx, PATH, "webhook_endpoint", pages=3))[0]:
        if known.get("url") == hook.url:
            await _unsubscribe(ctx, None, known["id"])
    asked = {"url": hook.url, "enabled_events": events, "api_version": VERSION, "description": "AREA"}
    # No Idempotency-Key: within a day it would give back the endpoint that the hook had before, and that is deleted.
    response = await ctx.http.post(PATH, data=form(asked))
    made = one(response, "webhook_endpoint")
    if not text(made, "secret"):
        raise nonsense(response)
    return sdk.Subscription(made["id"], secret=made["secret"])


async def _unsubscribe(ctx: sdk.Context, where: Any, remote_id: str) -> None:
    try:
        await ctx.http.delete(_path(remote_id))
    except Gone:
        return


async def _is_subscribed(ctx: sdk.Context, events: list[str], remote_id: str) -> bool:
    try:
        found = one(await ctx.http.get(_path(remote_id)), "webhook_endpoint")
    except Gone:
        return False
    enabled = found.get("enabled_events")
    asked = set(enabled) if isinstance(enabled, list) else set()
    return found.get("status") == "enabled" and ("*" in asked or asked >= set(events))


def _path(remote_id: str) -> str:
    return f"{PATH}/{quote(remote_id, safe='')}"
