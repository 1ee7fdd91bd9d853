"""EventSub by webhooks: one address for the whole app, one subscription for each type and condition.

https://dev.twitch.tv/docs/eventsub/handling-webhook-events/ and https://dev.twitch.tv/docs/eventsub/manage-subscriptions/
Subscriptions are the app's, made with its own token; what they tell of a user needs that this user has connected an account.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit

from pydantic import ValidationError

from area.nodes import sdk
from area.nodes.twitch.provider import Exists, Gone, channel_id, data, service

PATH = "/eventsub/subscriptions"
ID = "Twitch-Eventsub-Message-Id"
TIMESTAMP = "Twitch-Eventsub-Message-Timestamp"
KIND = "twitch-eventsub-message-type"
REVOKE = "user.authorization.revoke"
VERIFIED_WITHIN = timedelta(seconds=30)
"""How long a new subscription may wait for Twitch to verify our address, before we look what became of it."""
PAGES = 5
ENDS = {
    "authorization_revoked": "the account's consent was taken back",
    "user_removed": "the channel or the account no longer exists",
    "moderator_removed": "the account is no longer a moderator of the channel",
    "notification_failures_exceeded": "too many deliveries failed; Twitch could not reach this platform",
    "version_removed": "Twitch has retired this version of the event",
}

Condition = Callable[[Any, str, str], Mapping[str, str]]
"""``fn(where, own, watched)``: a subscription's condition, from the ids of the account and of the channel that is watched."""
Made = TypeVar("Made", bound=sdk.Outputs)

SIGNED = sdk.Hmac(
    header="Twitch-Eventsub-Message-Signature",
    prefix="sha256=",
    signs=(f"{{{ID}}}", f"{{{TIMESTAMP}}}", "{body}"),
    timestamp=TIMESTAMP,
    tolerance=timedelta(minutes=10),
)


def broadcaster(where: Any, own: str, watched: str) -> Mapping[str, str]:
    """The condition of most types."""
    return {"broadcaster_user_id": watched}


def listen(action: sdk.Action, kind: str, version: str = "1", condition: Condition = broadcaster) -> None:
    """Have an action's hooks subscribe to the EventSub type ``kind``, and take its deliveries."""

    async def wanted(ctx: sdk.Context, where: Any) -> Mapping[str, str]:
        watched = await channel_id(ctx, getattr(where, "channel", None))
        return condition(where, ctx.account.external_id, watched)

    @action.topic
    def topic(where: Any, account: sdk.Account | None) -> str:
        """Known before anything is subscribed: no event is lost between that and the commit of what became of it."""
        own = account.external_id if account else ""
        login = getattr(where, "channel", None)
        other = login is not None and not (account and login == account.facts.get("login"))
        return _topic(kind, condition(where, own, f"@{login}" if other else own))

    @action.subscribe
    async def subscribe(ctx: sdk.Context, where: Any, hook: sdk.Hook) -> sdk.Subscription:
        _reachable(ctx, hook.url)
        watched = await wanted(ctx, where)
        known = await _by_id(ctx, hook.remote_id) if hook.remote_id else None
        if known and not _same(known, kind, watched):
            known = None  # the login is somebody else's now; what it was is left to who else may watch it
        failed = known is not None and known["status"] == "webhook_callback_verification_failed"
        found = await _kept(ctx, known, hook.url)
        if failed:
            raise _unverified(hook.url)
        found = found or await _create(ctx, kind, version, watched, hook)
        waiting = found["status"] != "enabled"
        return sdk.Subscription(
            remote_id=found["id"],
            expires_at=ctx.now() + VERIFIED_WITHIN if waiting else None,
            topic=_topic(kind, watched),
        )

    @action.unsubscribe
    async def unsubscribe(ctx: sdk.Context, where: Any, remote_id: str) -> None:
        await _delete(ctx, remote_id)

    @action.is_subscribed
    async def is_subscribed(ctx: sdk.Context, where: Any, remote_id: str) -> bool:
        found = await _by_id(ctx, remote_id)
        # A login may have been given up, and taken by somebody else, since.
        return found is not None and found["status"] == "enabled" and _same(found, kind, await wanted(ctx, where))


# Deliveries


def _probe(delivery: sdk.WebhookDelivery) -> sdk.Answer | None:
    """The challenge back as it is: text, and not JSON."""
    if delivery.headers.get(KIND) != "webhook_callback_verification":
        return None
    challenge = delivery.body.get("challenge") if isinstance(delivery.body, dict) else None
    return sdk.Answer(challenge, content_type="text/plain") if isinstance(challenge, str) else None


@service.endpoint(verify=SIGNED, handshake=_probe)
def entrance(delivery: sdk.WebhookDelivery) -> list[sdk.Routed]:
    """What a delivery is about. The header with its type is not signed, so the body has to agree with it."""
    subscription = _object(delivery.body, "subscription")
    kind, condition = str(subscription.get("type")), _object(subscription, "condition")
    if delivery.headers.get(KIND) == "revocation":
        return _ended(kind, condition, str(subscription.get("status")))
    if delivery.headers.get(KIND) != "notification":
        return []
    event = _object(delivery.body, "event")
    if kind == REVOKE:
        return [sdk.AccountGone(_text(event, "user_id"))]
    # A hook whose subscription is only being made knows somebody else's channel by login.
    logins = {key: event.get(f"{key.removesuffix('_id')}_login") for key, value in condition.items() if value}
    topics: list[sdk.Routed] = [_topic(kind, condition)]
    if all(logins.values()):
        topics.append(_topic(kind, {key: f"@{login}" for key, login in logins.items()}))
    return topics


def _ended(kind: str, condition: Mapping[str, Any], status: str) -> list[sdk.Routed]:
    if status in ("enabled", "webhook_callback_verification_pending"):
        raise sdk.Rejected(f"A revocation of a subscription that is {status}.")
    users = {str(value) for key, value in condition.items() if value and key.endswith("user_id")}
    ended: list[sdk.Routed] = [sdk.SubscriptionGone(_topic(kind, condition), f"Twitch: {ENDS.get(status, status)}.")]
    if status == "authorization_revoked" and len(users) == 1:
        ended.append(sdk.AccountGone(users.pop()))
    return ended


def event_of(delivery: sdk.WebhookDelivery) -> Mapping[str, Any]:
    """What happened, as Twitch tells it. Raises: Rejected when the delivery is something else."""
    return _object(delivery.body, "event")


def sent_at(delivery: sdk.WebhookDelivery) -> str | None:
    """When Twitch told it; nearest to when it happened for events that carry no time."""
    return delivery.headers.get(TIMESTAMP.lower())


def read(model: type[Made], **values: Any) -> Made:
    """An output from a delivery's values. Raises: Rejected when they are not as the reference says."""
    try:
        return model(**values)
    except ValidationError as error:
        places = ", ".join(sorted({".".join(map(str, problem["loc"])) for problem in error.errors()}))
        raise sdk.Rejected(f"The delivery is not as Twitch documents it: {places} cannot be read.") from None


def _object(holder: Any, name: str) -> Mapping[str, Any]:
    found = holder.get(name) if isinstance(holder, dict) else None
    if not isinstance(found, dict):
        raise sdk.Rejected(f"The delivery has no {name}: it is no message of Twitch's EventSub.")
    return found


def _text(holder: Mapping[str, Any], name: str) -> str:
    found = holder.get(name)
    if not isinstance(found, str) or not found:
        raise sdk.Rejected(f"The delivery has no {name}: it is no message of Twitch's EventSub.")
    return found


# Subscriptions


def _topic(kind: str, condition: Mapping[str, Any]) -> str:
    """A subscription by its type and condition. Twitch repeats what was left out of a condition as an empty text."""
    return f"{kind}:" + "&".join(f"{key}={value}" for key, value in sorted(condition.items()) if value)


def _same(found: Mapping[str, Any], kind: str, condition: Mapping[str, str]) -> bool:
    return _topic(str(found.get("type")), found.get("condition") or {}) == _topic(kind, condition)


def _reachable(ctx: sdk.Context, url: str) -> None:
    """Twitch takes only https on port 443; a stand-in, which the operator has named, takes what it likes."""
    parts = urlsplit(url)
    if (parts.scheme == "https" and parts.port in (None, 443)) or ctx.settings.get("base_url"):
        return
    raise sdk.Rejected(
        f"Twitch delivers only to https addresses on port 443, and ours is {url}. The operator has to set AREA_PUBLIC_URL "
        "to the address by which this platform is reached from the internet.",
        code="PUBLIC_URL_NOT_HTTPS",
    )


async def _create(
    ctx: sdk.Context, kind: str, version: str, condition: Mapping[str, str], hook: sdk.Hook
) -> Mapping[str, Any]:
    """A new subscription, or the one that is there already. Raises: Rejected."""
    try:
        made = await _post(ctx, kind, version, condition, hook)
    except Exists:
        found = await _kept(ctx, await _by_condition(ctx, kind, condition), hook.url)
        made = found or await _post(ctx, kind, version, condition, hook)
    # So that a consent that is taken back is told at once; where this cannot be had, the hourly validation finds out.
    with suppress(sdk.NodeError):
        await _post(ctx, REVOKE, "1", {"client_id": ctx.settings.get("client_id", "")}, hook)
    return made


async def _kept(ctx: sdk.Context, found: Mapping[str, Any] | None, url: str) -> Mapping[str, Any] | None:
    """``found`` if it delivers here or soon will; else it is removed."""
    if found is None:
        return None
    here = (found.get("transport") or {}).get("callback") == url
    if here and found["status"] in ("enabled", "webhook_callback_verification_pending"):
        return found
    await _delete(ctx, found["id"])
    return None


def _unverified(url: str) -> sdk.Rejected:
    return sdk.Rejected(
        f"Twitch could not verify {url}. The operator has to see to it that AREA_PUBLIC_URL leads to this platform from the "
        "internet; it is tried again.",
        code="CALLBACK_NOT_VERIFIED",
    )


async def _post(
    ctx: sdk.Context, kind: str, version: str, condition: Mapping[str, str], hook: sdk.Hook
) -> Mapping[str, Any]:
    transport = {"method": "webhook", "callback": hook.url, "secret": hook.secret}
    asked = {"type": kind, "version": version, "condition": condition, "transport": transport}
    made = data(await ctx.app_http.post(PATH, json=asked), "id", "status")
    if not made:
        raise sdk.Unavailable("Twitch accepted the subscription and did not say which it is.")
    return made[0]


async def _by_id(ctx: sdk.Context, remote_id: str) -> Mapping[str, Any] | None:
    found = data(await ctx.app_http.get(PATH, params={"subscription_id": remote_id}), "id", "status")
    return next((one for one in found if one["id"] == remote_id), None)


async def _by_condition(ctx: sdk.Context, kind: str, condition: Mapping[str, str]) -> Mapping[str, Any] | None:
    """The subscription of this type and condition. Twitch takes one filter at a time: the user's are the fewest."""
    asked = {"user_id": next(iter(condition.values()))}
    for _ in range(PAGES):
        answer = await ctx.app_http.get(PATH, params=asked)
        for one in data(answer, "id", "status"):
            if _same(one, kind, condition):
                return one
        cursor = (answer.json().get("pagination") or {}).get("cursor")
        if not cursor:
            return None
        asked["after"] = cursor
    return None


async def _delete(ctx: sdk.Context, remote_id: str) -> None:
    with suppress(Gone):
        await ctx.app_http.delete(PATH, params={"id": remote_id})
