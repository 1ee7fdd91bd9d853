"""Hooks: one watched source for every AREA that asks for the same thing (law 8)."""

import hashlib
import secrets
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import select, update
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


def source_key(action: sdk.Action, config: dict[str, Any], user_id: UUID, area_id: UUID) -> str:
    """What makes two AREAs share a hook. A private URL is its AREA's own; what an account did is its user's own."""
    owner = ""
    if action.delivery is sdk.Delivery.WEBHOOK:
        owner = str(area_id)
        config = {}
    elif action.delivery is sdk.Delivery.MANUAL:
        owner = str(user_id)
    canonical = orjson.dumps([action.key, owner, config], option=orjson.OPT_SORT_KEYS, default=str)
    return f"{action.key}:{hashlib.sha256(canonical).hexdigest()}"


def first_due(action: sdk.Action, where: sdk.Inputs, moment: datetime) -> datetime | None:
    """When the hook is to be looked at first. None: it waits for deliveries, or its one date has passed."""
    if action.delivery is sdk.Delivery.SCHEDULE:
        due = action.fn(where, moment)
        return due if isinstance(due, datetime) else None
    return None if action.delivery is sdk.Delivery.WEBHOOK else moment


async def attach(session: AsyncSession, action: sdk.Action, where: sdk.Inputs, area: Area, sealer: Sealer) -> UUID:
    """The hook for this source, made if it is new, ready to fire for ``area``."""
    config = where.model_dump(mode="json", exclude_none=True)
    key = source_key(action, config, area.user_id, area.id)
    if action.delivery is sdk.Delivery.WEBHOOK and config.get("secret"):
        config["secret"] = sealer.seal(config["secret"], "hook")
    moment = now()
    row = {
        "id": new_id(),
        "source_key": key,
        "kind": KINDS[action.delivery],
        "action": action.key,
        "config": config,
        "token": secrets.token_urlsafe(24) if action.delivery is sdk.Delivery.WEBHOOK else None,
        "next_due_at": first_due(action, where, moment),
    }
    await session.execute(insert(Hook).values(row).on_conflict_do_nothing(index_elements=["source_key"]))
    hook = (await session.execute(select(Hook).where(Hook.source_key == key).with_for_update())).scalar_one()
    hook.config = config
    if hook.status in ("unused", "ended"):
        # What happened while nobody watched is not news: the cursor starts again from a baseline.
        hook.status, hook.cursor, hook.failures_in_row = "active", None, 0
        hook.lease_until = None
        hook.next_due_at = row["next_due_at"]  # type: ignore[assignment]
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
    # A private URL stays known while its AREA is only switched off, so that deliveries are told as paused.
    await session.execute(unwatched.where(Hook.kind != "webhook"))
    gone = select(Area.id).where(Area.hook_id == hook_id, Area.deleted_at.is_(None)).limit(1)
    if (await session.execute(gone)).first() is None:
        await session.execute(unwatched)
