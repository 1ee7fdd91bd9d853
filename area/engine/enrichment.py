"""What a provider's delivery lacks is asked for once an event, before its first run begins, and kept with the event."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any
from uuid import UUID

import asyncpg
from pydantic import ValidationError

from area.core import log
from area.core.jsons import dump
from area.nodes import sdk

logger = log.get(__name__)

Contexts = Callable[..., AbstractAsyncContextManager[sdk.Context]]
"""``async with using(service, account_id, key=...)`` gives the context of a call that belongs to no run."""

SECONDS = 10.0
"""Longest that a run waits for it."""

# The first answer is the event's for good: every run and replay of it sees the same.
KEEP = "UPDATE events SET payload = $2::text::jsonb, enriched_at = now() WHERE id = $1 AND enriched_at IS NULL RETURNING payload"
KEPT = "SELECT payload, enriched_at, hook_id FROM events WHERE id = $1"
ACCOUNT = "SELECT account_id FROM hooks WHERE id = $1"


class Enrichment:
    """Asks each event's question once in this process at a time."""

    def __init__(self, pool: asyncpg.Pool, using: Contexts) -> None:
        self._pool = pool
        self._using = using
        self._asking: dict[UUID, asyncio.Task[Any]] = {}

    async def of(self, event_id: UUID, action: sdk.Action) -> Any:
        """The event's payload with everything in it. Raises: sdk.NodeError, httpx.TransportError, OSError, TimeoutError."""
        task = self._asking.get(event_id)
        if task is None:
            task = asyncio.create_task(self._ask(event_id, action))
            self._asking[event_id] = task
            task.add_done_callback(lambda _: self._asking.pop(event_id, None))
        return await asyncio.shield(task)

    async def _ask(self, event_id: UUID, action: sdk.Action) -> Any:
        row = await self._pool.fetchrow(KEPT, event_id)
        if row is None or row["enriched_at"] is not None or action.enricher is None:
            return row["payload"] if row else {}
        account_id = await self._pool.fetchval(ACCOUNT, row["hook_id"])
        try:
            event = action.outputs.model_validate(row["payload"])
        except ValidationError:
            # Accepted by an earlier release in another shape: it is run as it is.
            return row["payload"]
        async with asyncio.timeout(SECONDS), self._using(action.service, account_id, key=str(event_id)) as context:
            fuller = await action.enricher(context, event)
        kept = await self._pool.fetchval(KEEP, event_id, dump(fuller.model_dump(mode="json")))
        if kept is None:
            kept = (await self._pool.fetchrow(KEPT, event_id))["payload"]
        return kept
