"""Subscriptions at providers: made, renewed, looked after, and ended with their hook's last AREA (law 8).

A hook whose action subscribes is due when its subscription has to be made, renewed, looked at or ended; `tend` does what is due.
The provider is called without a database connection, under the hook's lease, and each call may be repeated after a crash: nodes
take over a subscription that is there already, and a removal of what is gone is done.
"""

import asyncio
import random
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from area.core import log
from area.core.clock import Carried
from area.engine import reasons
from area.engine.lifetimes import RENEW_AHEAD
from area.engine.platform import Platform
from area.nodes import sdk

logger = log.get(__name__)

LOOK_EVERY = timedelta(hours=6)
"""How often the provider is asked whether a subscription is still there."""
CALL_SECONDS = 45.0
"""Longest that one hook's calls may take: less than its lease."""
LEAVE_SECONDS = 10.0
"""Longest that a disconnection waits for its subscriptions to end."""

SUBSCRIBED = """
UPDATE hooks SET remote_id = $3, topic = coalesce($4, topic), secret = coalesce($5, secret), subscribed_at = now(),
  -- What the provider has confirmed holds, be it before or while this was asked for.
  expires_at = CASE WHEN $8 AND expires_at > $6 THEN expires_at ELSE $6 END,
  lease_until = NULL, failures_in_row = 0, last_polled_at = now(),
  last_error = CASE WHEN status <> 'active' THEN $9::jsonb ->> 'message' END,
  failure = CASE WHEN status <> 'active' THEN $9::jsonb END,
  -- An AREA that went meanwhile left the hook unused: what was just made is ended next.
  status = CASE WHEN status = 'unused' THEN 'unused'
    WHEN $8 AND (status <> 'active' OR expires_at <= now()) THEN 'pending' ELSE 'active' END,
  next_due_at = CASE WHEN status = 'unused' THEN now() ELSE $7 END
WHERE id = $1 AND lease_until = $2 RETURNING id
"""

LOOKED = """
UPDATE hooks SET lease_until = NULL, last_polled_at = now(), failures_in_row = 0, last_error = NULL, failure = NULL,
  status = CASE WHEN status = 'unused' THEN 'unused' ELSE 'active' END,
  next_due_at = CASE WHEN status = 'unused' THEN now() ELSE $3 END
WHERE id = $1 AND lease_until = $2
"""

UNSUBSCRIBED = """
UPDATE hooks SET remote_id = NULL, expires_at = NULL, lease_until = NULL,
  next_due_at = CASE WHEN status = 'pending' THEN now() END
WHERE id = $1 AND lease_until = $2
"""

# What an account that goes is subscribed to: leased, so that no scheduler deals with it meanwhile.
LEAVING = """
UPDATE hooks SET lease_until = now() + interval '60 seconds' FROM connected_accounts AS account
WHERE hooks.account_id = account.id AND account.id = $1 AND account.user_id = $2 AND account.status <> 'revoked'
  AND hooks.kind = 'webhook' AND hooks.remote_id IS NOT NULL AND (hooks.lease_until IS NULL OR hooks.lease_until < now())
RETURNING hooks.id, hooks.action, hooks.config, hooks.account_id, hooks.remote_id, hooks.lease_until
"""

# The next look finds no account, and tells the owner.
LEFT = """
UPDATE hooks SET remote_id = NULL, expires_at = NULL, lease_until = NULL,
  next_due_at = CASE WHEN status <> 'unused' THEN now() END
WHERE id = $1 AND lease_until = $2
"""

# At an address for all, a provider may have one subscription for what several hooks watch, each with an account of its own.
SHARED = """
SELECT 1 FROM hooks AS mine JOIN hooks AS other ON other.id <> mine.id AND other.kind = 'webhook'
  AND other.token IS NULL AND split_part(other.action, '.', 1) = split_part(mine.action, '.', 1)
WHERE mine.id = $1 AND (
  (other.remote_id = mine.remote_id AND other.status IN ('active', 'broken', 'pending'))
  OR (other.topic = mine.topic AND other.status = 'pending')
) LIMIT 1
"""

# Whoever took it over in the meantime, or is about to, looks again: without its lease it cannot keep what is gone.
BEREFT = """
WITH mine AS (SELECT split_part(action, '.', 1) AS service, topic FROM hooks WHERE id = $1)
UPDATE hooks SET lease_until = NULL, next_due_at = now() FROM mine
WHERE hooks.id <> $1 AND split_part(hooks.action, '.', 1) = mine.service AND hooks.kind = 'webhook'
  AND hooks.token IS NULL AND hooks.status IN ('active', 'broken', 'pending')
  AND (hooks.remote_id = $2 OR hooks.topic = mine.topic OR (hooks.status = 'pending' AND hooks.lease_until > now()))
"""


async def tend(platform: Platform, hook: asyncpg.Record, action: sdk.Action, where: sdk.Inputs, clock: Carried) -> None:
    """Do what is due for this hook, by the clock of Postgres. Raises: what the node raises; the caller backs off."""
    if action.subscriber is None:
        await platform.db.pool.execute(UNSUBSCRIBED, hook["id"], hook["lease_until"])
        return
    async with asyncio.timeout(CALL_SECONDS):
        if hook["status"] == "unused":
            await _end(platform, hook, action, where)
            return
        async with platform.using(action.service, hook["account_id"], key=str(hook["id"])) as context:
            if await _is_there(hook, action, where, context, clock):
                due = _next_look(action, hook["expires_at"], clock)
                await platform.db.pool.execute(LOOKED, hook["id"], hook["lease_until"], due)
            else:
                await _subscribe(platform, hook, action, where, context, clock)


async def _is_there(
    hook: asyncpg.Record, action: sdk.Action, where: sdk.Inputs, context: sdk.Context, clock: Carried
) -> bool:
    """Whether the subscription stands and needs no renewal."""
    if hook["remote_id"] is None or hook["status"] == "broken":
        return False
    if hook["status"] == "pending" and action.still_there is None:
        return False  # the provider has not confirmed it, and cannot be asked whether it will
    expires, made = hook["expires_at"], hook["subscribed_at"]
    if expires is not None and (made is None or clock.now() >= _renewal(made, expires)):
        return False
    if action.still_there is None:
        return expires is not None
    return bool(await action.still_there(context, where, hook["remote_id"]))


async def _subscribe(
    platform: Platform,
    hook: asyncpg.Record,
    action: sdk.Action,
    where: sdk.Inputs,
    context: sdk.Context,
    clock: Carried,
) -> None:
    assert action.subscriber is not None  # noqa: S101 - `tend` has looked
    secret = await secret_of(platform, hook, action)
    offered = sdk.Hook(str(hook["id"]), callback(platform, hook, action), secret, hook["remote_id"])
    made = await action.subscriber(context, where, offered)
    if isinstance(made, str):
        made = sdk.Subscription(made)
    topic = made.topic or (made.remote_id if action.app_level and action.topic_of is None else None)
    stored = await platform.db.pool.fetchval(
        SUBSCRIBED,
        hook["id"],
        hook["lease_until"],
        made.remote_id,
        None if topic is None else f"{action.service.key}:{topic}",
        platform.sealer.seal(made.secret, "hook") if made.secret else None,
        made.expires_at,
        _next_look(action, made.expires_at, clock),
        made.unconfirmed,
        _unheard(hook, action) if made.unconfirmed else None,
    )
    if stored is None:
        # The lease ran out in the call. Whoever has the hook now subscribes too, and takes this one over.
        logger.warning("subscription.not_kept", hook=str(hook["id"]), action=action.key)


def _unheard(hook: asyncpg.Record, action: sdk.Action) -> dict[str, Any] | None:
    """What the owner is told when the provider, which was asked before, has not confirmed a subscription in time."""
    waited = hook["status"] == "pending" and hook["remote_id"] is not None and hook["expires_at"] is not None
    if not waited or hook["moment"] < _renewal(hook["subscribed_at"], hook["expires_at"]):
        return None
    told = (
        f"{action.service.name} has not confirmed the subscription. The operator has to see to it that AREA_PUBLIC_URL leads to "
        "this platform from the internet; it is asked again."
    )
    return reasons.of_look(action.key, sdk.Unavailable(told, code="UNCONFIRMED"))


async def disconnect(platform: Platform, user_id: UUID, account_id: UUID) -> None:
    """Disconnect an account; what it is subscribed to ends first, while there is something to end it with. Raises: NotFound.

    A provider that is down does not keep anybody from leaving: what has not ended in time is let go.
    """
    hooks = await platform.db.pool.fetch(LEAVING, account_id, user_id)
    with suppress(TimeoutError):
        async with asyncio.timeout(LEAVE_SECONDS):
            for hook in hooks:  # one by one: the last of those that share a subscription ends it
                await _leave(platform, hook)
    for hook in hooks:
        await platform.db.pool.execute(LEFT, hook["id"], hook["lease_until"])
    await platform.accounts.disconnect(user_id, account_id)


async def _leave(platform: Platform, hook: asyncpg.Record) -> None:
    try:
        action = platform.registry.action(hook["action"])
        if action.unsubscriber is not None:
            await _end(platform, hook, action, action.inputs.model_validate(hook["config"]), done=LEFT)
    except Exception as error:  # whatever it was, the account goes
        logger.warning("subscription.let_go", hook=str(hook["id"]), action=hook["action"], reason=repr(error))


async def _end(
    platform: Platform, hook: asyncpg.Record, action: sdk.Action, where: sdk.Inputs, done: str = UNSUBSCRIBED
) -> None:
    """End a subscription that is not needed any more, unless another hook lives by it."""
    pool, remote_id = platform.db.pool, hook["remote_id"]
    shared = remote_id is not None and action.app_level and await pool.fetchval(SHARED, hook["id"])
    if remote_id is not None and not shared:
        await _remove(platform, hook, action, where)
        if action.app_level:
            await pool.execute(BEREFT, hook["id"], remote_id)
    await pool.execute(done, hook["id"], hook["lease_until"])


async def _remove(platform: Platform, hook: asyncpg.Record, action: sdk.Action, where: sdk.Inputs) -> None:
    """Ask the provider to deliver no more; as the app alone, where the account is of no use any more."""
    assert action.unsubscriber is not None  # noqa: S101 - there is one wherever there is a subscriber
    account_id = hook["account_id"]
    try:
        async with platform.using(action.service, account_id, key=str(hook["id"])):
            pass
    except (sdk.Rejected, sdk.Reconnect):
        account_id = None
    try:
        async with platform.using(action.service, account_id, key=str(hook["id"])) as context:
            await action.unsubscriber(context, where, hook["remote_id"])
    except (sdk.Rejected, sdk.Reconnect) as error:
        # Gone already, or out of our reach for good: nobody listens any more, so it is let go.
        logger.info("subscription.let_go", hook=str(hook["id"]), action=action.key, reason=error.message)


def callback(platform: Platform, hook: asyncpg.Record, action: sdk.Action) -> str:
    """Where the provider shall deliver to."""
    base = platform.settings.public_url.rstrip("/")
    return f"{base}/webhooks/{action.service.key}" if action.app_level else f"{base}/hooks/{hook['token']}"


async def secret_of(platform: Platform, hook: asyncpg.Record, action: sdk.Action) -> str:
    """The secret that proves deliveries to this hook."""
    if action.app_level:
        return await platform.endpoint_secrets.of(action.service.key, action.service.name)
    return platform.sealer.open(hook["secret"], "hook")


def _renewal(made: datetime, expires: datetime) -> datetime:
    return expires - (expires - made) * RENEW_AHEAD


def _next_look(action: sdk.Action, expires: datetime | None, clock: Carried) -> datetime | None:
    """When the hook is due again: to be looked at, or to be renewed, whichever is first. None: never unasked."""
    moment = clock.now()
    looks: list[datetime] = []
    if action.still_there is not None:
        looks.append(moment + LOOK_EVERY * random.uniform(0.8, 1.2))  # noqa: S311
    if expires is not None:
        looks.append(_renewal(moment, expires))
    return min(looks, default=None)
