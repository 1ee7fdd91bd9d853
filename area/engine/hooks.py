"""Hooks: one watched source for every AREA that asks for the same thing (law 8)."""

import hashlib
import secrets
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import and_, null, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from area.core.clock import now
from area.core.crypto import Sealer
from area.core.ids import new_id
from area.db.models import Area, Hook
from area.nodes import sdk

KINDS = {
    sdk.Delivery.POLL: "poll",
    sdk.Delivery.WEBHOOK: "webhook",
    sdk.Delivery.SCHEDULE: "schedule",
    sdk.Delivery.MANUAL: "manual",
}


def is_private(action: sdk.Action) -> bool:
    """Whether the hook is a private URL that its user hands out, and not a subscription that the platform makes."""
    return action.delivery is sdk.Delivery.WEBHOOK and not (action.app_level or action.subscriber)


def source_key(
    action: sdk.Action, config: dict[str, Any], user_id: UUID, area_id: UUID, account_id: UUID | None = None
) -> str:
    """What makes two AREAs share a hook. A private URL is its AREA's own; what an account sees is that account's own."""
    owner = str(account_id or "")
    if is_private(action):
        owner = str(area_id)
        config = {}
    elif action.delivery is sdk.Delivery.MANUAL:
        owner = str(user_id)
    canonical = orjson.dumps([action.key, owner, config], option=orjson.OPT_SORT_KEYS, default=str)
    return f"{action.key}:{hashlib.sha256(canonical).hexdigest()}"


def topic_of(action: sdk.Action, where: Any, account: sdk.Account | None) -> str | None:
    """What an app-level action's deliveries are routed by, where that is known before it is subscribed."""
    return None if action.topic_of is None else f"{action.service.key}:{action.topic_of(where, account)}"


def first_due(action: sdk.Action, where: sdk.Inputs, moment: datetime) -> datetime | None:
    """When the hook is to be looked at first. None: it waits for deliveries, or its one date has passed."""
    if action.subscriber is not None:
        return moment
    if action.delivery is sdk.Delivery.SCHEDULE:
        due = action.fn(where, moment)
        return due if isinstance(due, datetime) else None
    return None if action.delivery is sdk.Delivery.WEBHOOK or not action.watched else moment


async def attach(
    session: AsyncSession,
    action: sdk.Action,
    where: sdk.Inputs,
    area: Area,
    sealer: Sealer,
    account: sdk.Account | None = None,
    baseline: dict[str, Any] | None = None,
) -> UUID:
    """The hook for this source, made if it is new, ready to fire for ``area``. ``baseline`` is its first cursor."""
    config = where.model_dump(mode="json", exclude_none=True)
    account_id = UUID(account.id) if account else None
    key = source_key(action, config, area.user_id, area.id, account_id)
    if action.delivery is sdk.Delivery.WEBHOOK and config.get("secret"):
        config["secret"] = sealer.seal(config["secret"], "hook")
    moment = now()
    own_address = action.delivery is sdk.Delivery.WEBHOOK and not action.app_level
    live = "pending" if action.subscriber else "active"
    row = {
        "id": new_id(),
        "source_key": key,
        "kind": KINDS[action.delivery],
        "action": action.key,
        "account_id": account_id,
        "config": config,
        "status": live,
        "token": secrets.token_urlsafe(24) if own_address else None,
        "secret": sealer.seal(secrets.token_hex(32), "hook") if own_address and action.subscriber else None,
        "topic": topic_of(action, where, account),
        "next_due_at": first_due(action, where, moment),
        "cursor": null() if baseline is None else baseline,
    }
    await session.execute(insert(Hook).values(row).on_conflict_do_nothing(index_elements=["source_key"]))
    hook = (await session.execute(select(Hook).where(Hook.source_key == key).with_for_update())).scalar_one()
    hook.config = config
    if hook.status in ("unused", "ended"):
        # What happened while nobody watched is not news: the cursor starts again from a baseline.
        hook.status, hook.cursor, hook.failures_in_row = live, baseline, 0
        if action.subscriber is None:
            hook.lease_until = None
        # Else the lease stays: whoever is ending the subscription just now is let finish, and then it is made again.
        hook.next_due_at = row["next_due_at"]  # type: ignore[assignment]
    elif hook.status == "broken":
        # Its user has looked at it: try at once.
        hook.next_due_at = moment
    hook.topic = topic_of(action, where, account) or hook.topic
    return hook.id


async def release(session: AsyncSession, hook_id: UUID | None) -> None:
    """Stop watching a source that no AREA hangs on any more. Run it after the AREA was changed."""
    if hook_id is None:
        return
    await session.flush()
    # Locked before it is looked at: an AREA that is being attached elsewhere is waited for, and seen.
    await session.execute(select(Hook.id).where(Hook.id == hook_id).with_for_update())
    in_use = select(Area.id).where(Area.hook_id == hook_id, Area.deleted_at.is_(None), Area.is_enabled).limit(1)
    if (await session.execute(in_use)).first() is not None:
        return
    # Without a lease, a look that is under way finds its hook changed and keeps nothing.
    unwatched = update(Hook).where(Hook.id == hook_id).values(status="unused", next_due_at=None, lease_until=None)
    # A subscription is ended by the scheduler, which keeps its lease: the hook is due at once.
    is_subscription = and_(Hook.kind == "webhook", or_(Hook.token.is_(None), Hook.secret.is_not(None)))
    leaving = update(Hook).where(Hook.id == hook_id, is_subscription).values(status="unused", next_due_at=now())
    await session.execute(leaving)
    # A private URL stays known while its AREA is only switched off, so that deliveries are told as paused.
    await session.execute(unwatched.where(Hook.kind != "webhook"))
    gone = select(Area.id).where(Area.hook_id == hook_id, Area.deleted_at.is_(None)).limit(1)
    if (await session.execute(gone)).first() is None:
        await session.execute(unwatched.where(~is_subscription))
