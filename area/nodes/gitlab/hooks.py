"""Webhooks of projects: one at GitLab for each watched source. What they deliver is relied upon for nothing but its secret.

https://docs.gitlab.com/api/project_webhooks/ and https://docs.gitlab.com/user/project/integrations/webhooks/
"""

import hashlib
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from area.nodes import sdk
from area.nodes._answers import one
from area.nodes._forges import pages
from area.nodes._payloads import text
from area.nodes.gitlab.projects import path_of
from area.nodes.gitlab.provider import API, Gone, service

SECRET = sdk.SharedToken("x-gitlab-token")
FLAGS = ("push_events", "merge_requests_events", "pipeline_events", "issues_events")


def named(delivery: sdk.WebhookDelivery) -> str:
    """What a delivery is known by: its Idempotency-Key, which its repetitions keep; before GitLab 17.4, what it says.

    X-Gitlab-Event-UUID names no delivery: what follows from a webhook, and is delivered in turn, may bear the same.
    """
    return delivery.headers.get("idempotency-key") or hashlib.sha256(delivery.raw).hexdigest()


def watched(title: str, flag: str) -> Callable[[Callable[..., Any]], sdk.Action]:
    """An action on the project's events of which ``flag`` is the switch."""

    def declare(fn: Callable[..., Any]) -> sdk.Action:
        action = service.webhook(title, verify=SECRET, dedupe=named, scopes=(API,))(fn)

        @action.subscribe
        async def subscribe(ctx: sdk.Context, where: Any, hook: sdk.Hook) -> sdk.Subscription:
            return await _subscribe(ctx, where, hook, flag)

        @action.is_subscribed
        async def is_subscribed(ctx: sdk.Context, where: Any, remote_id: str) -> bool:
            return await _is_subscribed(ctx, where, remote_id, flag)

        action.unsubscribe(_unsubscribe)
        return action

    return declare


async def _subscribe(ctx: sdk.Context, where: Any, hook: sdk.Hook, flag: str) -> sdk.Subscription:
    path = f"{path_of(where.project)}/hooks"
    # Pushes are switched on unless it is said that they are not. Addresses are verified by TLS wherever there is TLS.
    asked = {
        "url": hook.url,
        "token": hook.secret,
        **{one: one == flag for one in FLAGS},
        "enable_ssl_verification": True,
    }
    ours = None if hook.remote_id is None else hook.remote_id.rpartition("/")[2]
    kept: sdk.Subscription | None = None
    for known in dict.fromkeys((ours, *await _known(ctx, path, hook.url))):
        if known is None:
            continue
        with suppress(Gone):
            if kept is None:
                found = one(await ctx.http.put(f"{path}/{known}", json=asked), "id")
                if found.get("alert_status", "executable") == "executable":
                    kept = _subscription(found)
                    continue
            # GitLab has given it up, and changing it does not undo that; or it would tell everything a second time.
            await ctx.http.delete(f"{path}/{known}")
    return kept or _subscription(one(await ctx.http.post(path, json=asked), "id"))


def _subscription(found: dict[str, Any]) -> sdk.Subscription:
    """Known by its project's number too, which stays when the project is renamed or moved."""
    project = found.get("project_id")
    return sdk.Subscription(f"{project}/{found['id']}" if project else str(found["id"]))


def _place(where: Any, remote_id: str) -> str:
    project, _, number = remote_id.rpartition("/")
    return f"{f'projects/{project}' if project else path_of(where.project)}/hooks/{number}"


async def _known(ctx: sdk.Context, path: str, url: str) -> list[str]:
    """The webhooks that deliver to ``url``: made before a crash, perhaps."""
    return [str(item["id"]) for item in await pages(ctx, path) if item.get("url") == url and item.get("id") is not None]


async def _unsubscribe(ctx: sdk.Context, where: Any, remote_id: str) -> None:
    try:
        await ctx.http.delete(_place(where, remote_id))
    except Gone:
        return


async def _is_subscribed(ctx: sdk.Context, where: Any, remote_id: str, flag: str) -> bool:
    try:
        found = one(await ctx.http.get(_place(where, remote_id)), "id")
    except Gone:
        return False
    # After failures of ours GitLab waits by itself, a day at most; "disabled" is for good.
    return found.get(flag) is True and found.get("alert_status") != "disabled"


# How deliveries are read


def body_of(delivery: sdk.WebhookDelivery, kind: str) -> dict[str, Any]:
    """The payload, when it is of this kind, else {}."""
    body = delivery.body
    return body if isinstance(body, dict) and body.get("object_kind") == kind else {}


def moment(body: Any, *names: str) -> datetime | None:
    """A time there, in UTC: GitLab writes ``2026-03-01T08:00:00Z`` in some places and ``2026-03-01 08:00:00 UTC`` in others."""
    try:
        found = datetime.fromisoformat(text(body, *names).replace(" UTC", "+00:00"))
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
