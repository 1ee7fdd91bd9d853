"""Watched sources: each due hook is claimed by one scheduler, looked at once, and moved on with its events (laws 4 and 8)."""

import asyncio
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import asyncpg
import httpx

from area.core import log, metrics
from area.core.clock import Carried
from area.core.jsons import shortened
from area.db.session import AWAY, Connection
from area.engine import reasons, statements, subscriptions
from area.engine.intake import Incoming, accept, payload_hash
from area.engine.moments import missed
from area.engine.outcomes import happened
from area.engine.platform import Platform
from area.nodes import sdk

logger = log.get(__name__)

CLOCKED = ("schedule", "manual")
POLLED = ("poll", "webhook")
"""Looked at apart: a source that does not answer must not delay the clock."""
AT_ONCE = 100
GATHER_SECONDS = 0.005
"""Pause before places that have become free are taken, so that one claim takes several."""
SEEN_KEPT = 2_000
"""Identities remembered per hook: an item that a source shows again is not new."""
POLL_TIMEOUT = 45.0
ITEM_LIMIT = 1 << 20
"""Characters of a polled item above which its long texts are cut. What is delivered is bounded by `AREA_BODY_LIMIT`."""
LONG_TEXT = 16 << 10
BACKOFF_CAP = timedelta(hours=1)
BROKEN_AFTER = 5
MAX_WAIT = 86_400.0
"""Longest wait, in seconds, that a provider may ask for: a wrong header must not park a source for years."""
OUTCOME_EVERY = timedelta(seconds=1)
PUNCTUAL = timedelta(seconds=60)
"""A schedule's moment that is later than this has been missed."""
MISFIRES = 100
"""Most missed moments that fire one by one; of more, the newest."""


class Watch:
    """The looks under way in one scheduler. None waits for another: each that ends makes room for the next hook that is due."""

    def __init__(self, platform: Platform, kinds: Sequence[str], at_once: int = AT_ONCE) -> None:
        self._platform = platform
        self._kinds = list(kinds)
        self._at_once = at_once
        self._looks: set[asyncio.Task[None]] = set()

    @property
    def _room(self) -> int:
        return self._at_once - len(self._looks)

    async def keep_up(self) -> None:
        """Begin looks until none is due that is not under way; while all places are taken, wait for one."""
        more = True
        while more:
            if self._room <= 0:
                await asyncio.wait(self._looks, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.sleep(GATHER_SECONDS)
            room = self._room
            more = await self.fill() >= room

    async def fill(self) -> int:
        """Claim hooks that are due, as far as there is room, and begin to look at them; how many."""
        if self._room <= 0:
            return 0
        rows = await self._platform.db.pool.fetch(statements.DUE_HOOKS, self._room, self._kinds)
        for row in rows:
            look = asyncio.create_task(_guarded(self._platform, row))
            self._looks.add(look)
            look.add_done_callback(self._ended)
        return len(rows)

    def _ended(self, look: "asyncio.Task[None]") -> None:
        self._looks.discard(look)
        if not look.cancelled() and (error := look.exception()):
            # Whatever one hook brings about, the others are still looked at; this one's lease runs out.
            logger.error("poll.broke", exc_info=error)

    async def stop(self) -> None:
        """Give up what is under way; each hook is let go, so that another scheduler takes it at once."""
        looks = list(self._looks)
        for look in looks:
            look.cancel()
        await asyncio.gather(*looks, return_exceptions=True)


async def tick(platform: Platform, kinds: Sequence[str] = CLOCKED + POLLED) -> int:
    """Look once at the hooks of these kinds that are due, and wait until all are looked at; how many there were."""
    rows = await platform.db.pool.fetch(statements.DUE_HOOKS, AT_ONCE, list(kinds))
    await asyncio.gather(*(_guarded(platform, row) for row in rows))
    return len(rows)


async def _guarded(platform: Platform, hook: asyncpg.Record) -> None:
    # Due times are judged by the clock of Postgres, so they are reckoned by it too.
    clock = Carried(hook["moment"])
    metrics.POLL_LAG.labels(hook["kind"]).observe((hook["moment"] - hook["next_due_at"]).total_seconds())
    try:
        await _look(platform, hook, clock)
    except _OwnTrouble as trouble:
        # Not the source's failure: its next look is not put off, and a schedule keeps its moment.
        logger.warning("poll.postgres_away", hook=str(hook["id"]), error=repr(trouble.__cause__))
        await _let_go(platform, hook)
    except asyncio.CancelledError:
        await _let_go(platform, hook)
        raise
    except _HookLost:
        logger.info("poll.hook_lost", hook=str(hook["id"]), action=hook["action"])
    except Exception as error:
        metrics.POLLS.labels(hook["action"], "failed").inc()
        if not isinstance(error, sdk.NodeError | httpx.TransportError | OSError | TimeoutError):
            logger.warning("poll.failed", hook=str(hook["id"]), action=hook["action"], exc_info=error)
        with suppress(*AWAY):
            await _back_off(platform, hook, error, clock)


async def _let_go(platform: Platform, hook: asyncpg.Record) -> None:
    with suppress(*AWAY):
        await platform.db.pool.execute(statements.LET_GO, hook["id"], hook["lease_until"])


class _OwnTrouble(Exception):
    """Postgres was away while a look was prepared or stored."""


@contextmanager
def _ours() -> Iterator[None]:
    try:
        yield
    except AWAY as error:
        raise _OwnTrouble from error


async def _look(platform: Platform, hook: asyncpg.Record, clock: Carried) -> None:
    action = platform.registry.action(hook["action"])
    where = action.inputs.model_validate(hook["config"])
    match action.delivery:
        case sdk.Delivery.SCHEDULE:
            await _fire(platform, hook, action, where)
        case sdk.Delivery.MANUAL:
            await _watch_platform(platform, hook, action, where)
        case sdk.Delivery.WEBHOOK:
            await subscriptions.tend(platform, hook, action, where, clock)
        case _:
            await _poll(platform, hook, action, where, clock)


async def _fire(platform: Platform, hook: asyncpg.Record, action: sdk.Action, where: sdk.Inputs) -> None:
    """A schedule's moment; for moments that were missed, what its misfire policy says."""
    moment: datetime = hook["moment"]
    policy = getattr(where, "misfire", sdk.Misfire.ONCE)
    following = partial(action.fn, where)
    passed = missed(following, hook["next_due_at"], moment, MISFIRES if policy is sdk.Misfire.ALL else 1)
    upcoming = following(passed[-1])
    if policy is sdk.Misfire.SKIP:
        passed = [due for due in passed if moment - due <= PUNCTUAL]
    incoming = [Incoming(hook["id"], f"at:{due.isoformat()}", _ticked(action, due), due) for due in passed]
    status = "active" if upcoming else "ended"
    await _store(platform, hook, incoming, hook["cursor"], upcoming, status=status)


def _ticked(action: sdk.Action, due: datetime) -> dict[str, Any]:
    return action.outputs.model_validate({**action.sample(), "scheduled_at": due}).model_dump(mode="json")


async def _poll(
    platform: Platform, hook: asyncpg.Record, action: sdk.Action, where: sdk.Inputs, clock: Carried
) -> None:
    stored = hook["cursor"]
    first = stored is None
    known: list[str] = [] if first else stored["seen"]
    lines: list[str] = []
    using = platform.accounts.using(
        action.service,
        lambda message, _level, _attributes: lines.append(message),
        account_id=hook["account_id"],
        idempotency_key=str(hook["id"]),
        cursor=None if first else stored["node"],
        clock=clock.now,
    )
    async with asyncio.timeout(POLL_TIMEOUT), using as context:
        answer = await action.fn(context, where)
    items, cursor = (answer.items, answer.cursor) if isinstance(answer, sdk.Page) else (answer, None)
    seen = dict.fromkeys(known)
    incoming = []
    for item in items:
        try:
            key, one = _item(hook["id"], action, item)
        except ValueError as error:  # pydantic's, where it cannot go deep enough, and our own
            platform.intake.ledger.note(hook["id"], "rejected", f"an item of {action.key} cannot be stored: {error}")
            continue
        if key not in seen:
            incoming.append(one)
        # What the source shows now is remembered as the freshest.
        seen.pop(key, None)
        seen[key] = None
    every = action.every or timedelta(minutes=5)
    due = clock.now() + every * random.uniform(0.95, 1.05)  # noqa: S311
    # The first look is a baseline: what was there before is not news.
    # Of a source that shows more than that, all it shows: what is forgotten would be news again.
    kept = {"node": cursor, "seen": list(seen)[-max(SEEN_KEPT, len(items)) :]}
    await _store(platform, hook, [] if first else incoming, kept, due)
    metrics.POLLS.labels(action.key, "found" if incoming and not first else "nothing").inc()


def _item(hook_id: UUID, action: sdk.Action, item: Any) -> tuple[str, Incoming]:
    """What names an item, and the event that it would be. Raises: ValueError when it cannot be kept."""
    payload = item.model_dump(mode="json")
    key = str(payload[action.identity]) if action.identity else payload_hash(payload)
    one = Incoming(hook_id, f"item:{key}", payload)
    if (size := len(one.text)) > ITEM_LIMIT:
        one = Incoming(hook_id, one.dedupe_key, shortened(payload, LONG_TEXT))
        if len(one.text) > ITEM_LIMIT:
            one = Incoming(hook_id, one.dedupe_key, {"cut": True, "bytes": size})
    return key, one


_ABOUT = {"area": "run", "account": "account", "hook": "hook"}
"""What an internal service's events are named by."""


async def _watch_platform(platform: Platform, hook: asyncpg.Record, action: sdk.Action, where: sdk.Inputs) -> None:
    """An AREA that reacts to the platform: the hook reads what its owner is to be told, behind a cursor."""
    after = hook["cursor"]
    with _ours():
        found, cursor = await happened(platform.db.pool, hook["id"], action.key, after)
    incoming = []
    for outcome in found if after is not None else []:
        told = action.outputs.model_validate(outcome)
        if action.fn(where, told):
            name = f"{_ABOUT[action.service.key]}:{outcome[str(action.identity)]}"
            incoming.append(Incoming(hook["id"], name, told.model_dump(mode="json")))
    await _store(platform, hook, incoming, cursor, hook["moment"] + OUTCOME_EVERY)


async def _store(
    platform: Platform,
    hook: asyncpg.Record,
    incoming: list[Incoming],
    cursor: Any,
    due: datetime | None,
    *,
    status: str = "active",
) -> None:
    """Events, runs and cursor in one transaction, if the hook is still ours."""
    with _ours():
        async with platform.db.pool.acquire() as connection, connection.transaction():
            accepted = await accept(connection, incoming) if incoming else []
            if not await _move(connection, hook, cursor, due, 0, None, status):
                raise _HookLost
    platform.intake.announce(accepted)


class _HookLost(Exception):
    """Another scheduler took the hook, or it was changed: nothing of this look is kept."""


async def _move(
    connection: Connection,
    hook: asyncpg.Record,
    cursor: Any,
    due: datetime | None,
    failures: int,
    failure: dict[str, Any] | None,
    status: str,
) -> UUID | None:
    moved: UUID | None = await connection.fetchval(
        statements.POLLED, hook["id"], hook["lease_until"], cursor, due, failures, failure, status
    )
    return moved


async def _back_off(platform: Platform, hook: asyncpg.Record, error: Exception, clock: Carried) -> None:
    failures = hook["failures_in_row"] + 1
    wait = (
        min(error.retry_after, MAX_WAIT)
        if isinstance(error, sdk.Throttled)
        else min(BACKOFF_CAP.total_seconds(), 15 * 2**failures)
    )
    # Never before the moment that a provider named.
    spread = random.uniform(1.0, 1.2) if isinstance(error, sdk.Throttled) else random.uniform(0.8, 1.2)  # noqa: S311
    due = clock.now() + timedelta(seconds=wait * spread)
    # What only its user can mend is told at once; everything else after a few attempts.
    hopeless = isinstance(error, sdk.Rejected | sdk.Reconnect)
    status = hook["status"]
    if status != "unused" and (hopeless or failures >= BROKEN_AFTER):
        status = "broken"
    failure = reasons.of_look(hook["action"], error)
    async with platform.db.pool.acquire() as connection:
        await _move(connection, hook, hook["cursor"], due, failures, failure, status)
