"""Intake: events and their runs in one statement, many deliveries to a commit (laws 1 and 4)."""

import hashlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import InitVar, dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from pydantic import ValidationError

from area.core import log, metrics
from area.core.clock import now
from area.core.crypto import SealBroken, Sealer
from area.core.ids import new_id
from area.core.jsons import dump, keep, printable
from area.core.tracing import now_ns, span_id, tracing
from area.db.session import UNFIT, Connection, Database
from area.engine import lifetimes, statements
from area.engine.admission import Admission
from area.engine.batcher import Batcher
from area.engine.doorbell import Doorbell
from area.engine.ledger import Ledger
from area.nodes import sdk
from area.nodes.registry import Registry

logger = log.get(__name__)

ANSWER_SECONDS = 6.0
"""Longest that a delivery may take, in seconds: a Postgres that hangs is answered for as one that is away.

Senders commonly give up after 10 seconds, and a server that is told to stop gives its requests 8.
"""
HOOK_CACHE_SECONDS = 1.0
"""How long a hook's settings are remembered: a deleted hook answers 404 after no more than this."""
HOOK_CACHE_SIZE = 20_000
LIVE = ("active", "broken", "pending")
"""What the status of a hook is that takes deliveries."""
AGAIN = "it came again, with the id of an event that had been taken"
LONGEST_KEY = 500
"""Characters of a dedupe key; of a longer one, or one that Postgres does not take, the hash is kept."""
DELIVERY_ID_HEADERS = ("idempotency-key", "x-delivery-id", "x-github-delivery", "webhook-id")
"""Headers that name one delivery. Not X-Request-Id: many senders carry one through all the calls that belong together."""


class UnknownHook(Exception):
    """No hook has this token."""


class BadDelivery(Exception):
    """The delivery cannot be read by its action; the message says why."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """One thing that happened at a hook."""

    hook_id: UUID
    dedupe_key: str
    payload: InitVar[Any]
    occurred_at: datetime | None = None
    id: UUID = field(default_factory=new_id)
    began: int = field(default_factory=now_ns)
    """When it came in, in nanoseconds since 1970."""
    text: str = field(init=False)
    """The payload as it is stored."""

    def __post_init__(self, payload: Any) -> None:
        """Raises: TooDeep. Made here, one by one, so that a payload that cannot be kept is nobody else's trouble."""
        key = self.dedupe_key
        if len(key) > LONGEST_KEY or printable(key) != key:
            object.__setattr__(self, "dedupe_key", hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest())
        object.__setattr__(self, "text", keep(payload)[1])


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of one `Incoming`: the runs it started, or a duplicate of what had been accepted before."""

    event_id: UUID
    runs: list[tuple[UUID, UUID]]
    """(run, user) pairs."""
    duplicate: bool
    incoming: Incoming
    limited: tuple[UUID, ...] = ()
    """AREAs of runs that wait to be let in below a limit."""


@dataclass(frozen=True, slots=True)
class DeliverResult:
    """The answer to a provider."""

    event_id: UUID | None
    runs: int
    duplicate: bool
    answer: sdk.Answer | None = None
    """What the provider wants to hear, where that is not our own JSON."""


NOTHING = DeliverResult(None, 0, duplicate=False)


@dataclass(frozen=True, slots=True)
class HookView:
    """What intake needs of a webhook's hook."""

    id: UUID
    action: str
    config: dict[str, Any]
    secret: str | None
    """The platform's own secret with the provider, sealed."""


Parse = Callable[[], Awaitable[Any]]


async def accept(connection: Connection, incoming: list[Incoming]) -> list[Accepted]:
    """Write events and runs on this connection, inside the caller's transaction if there is one."""
    rows = await connection.fetch(
        statements.ACCEPT,
        [item.id for item in incoming],
        [item.hook_id for item in incoming],
        [item.dedupe_key for item in incoming],
        [item.text for item in incoming],
        [item.occurred_at for item in incoming],
    )
    runs: dict[UUID, list[tuple[UUID, UUID]]] = {}
    limited: dict[UUID, tuple[UUID, ...]] = {}
    for row in rows:
        made = runs.setdefault(row["event_id"], [])
        if row["run_id"] is not None:
            made.append((row["run_id"], row["user_id"]))
            if not row["admitted"]:
                limited[row["event_id"]] = (*limited.get(row["event_id"], ()), row["area_id"])
    return [Accepted(i.id, runs.get(i.id, []), i.id not in runs, i, limited.get(i.id, ())) for i in incoming]


class Intake:
    """The way in for everything that happens."""

    def __init__(
        self, db: Database, registry: Registry, doorbell: Doorbell, admission: Admission, sealer: Sealer
    ) -> None:
        self._db = db
        self._admission = admission
        self._registry = registry
        self._doorbell = doorbell
        self._sealer = sealer
        self._batcher: Batcher[Incoming, Accepted] = Batcher(self._flush, size=256, lanes=2, alone=UNFIT)
        self._finder: Batcher[str, asyncpg.Record | None] = Batcher(self._find, size=256, lanes=2, alone=UNFIT)
        self._hooks: dict[str, tuple[float, HookView | None]] = {}
        self.ledger = Ledger(db.pool)

    async def submit(self, incoming: Incoming) -> Accepted:
        """Durable when this returns. Raises: asyncpg.PostgresError or OSError when Postgres is out of reach."""
        return await self._batcher.submit(incoming)

    async def hook_by_token(self, token: str) -> HookView | None:
        """The hook behind a private URL."""
        cached = self._hooks.get(token)
        moment = time.monotonic()
        if cached and moment - cached[0] < HOOK_CACHE_SECONDS:
            return cached[1]
        row = await self._finder.submit(token)
        view = None
        if row is not None and row["status"] in LIVE:
            view = HookView(row["id"], row["action"], row["config"], row["secret"])
        if len(self._hooks) >= HOOK_CACHE_SIZE:
            self._hooks.clear()
        self._hooks[token] = (moment, view)
        return view

    async def _find(self, tokens: list[str]) -> list[asyncpg.Record | None]:
        found = {row["token"]: row for row in await self._db.pool.fetch(statements.HOOKS_OF, tokens)}
        return [found.get(token) for token in tokens]

    async def probe(self, token: str, delivery: sdk.WebhookDelivery) -> sdk.Answer | None:
        """The answer to a provider that asks by GET whether its deliveries are wanted; None: they are not. Raises: UnknownHook."""
        # Not as remembered: providers ask in the moment in which a subscription begins or ends.
        row = await self._finder.submit(token)
        if row is None:
            raise UnknownHook
        action = self._registry.action(row["action"])
        where = action.inputs.model_construct(**row["config"])
        if row["status"] not in LIVE:
            if action.farewell is None:
                raise UnknownHook
            return action.farewell(where, delivery)
        if action.handshake is None:
            return None
        try:
            answer = action.handshake(where, delivery)
        except sdk.SubscriptionEnded as error:
            return await self._subscription_ended(row["id"], error)
        if answer is not None and answer.lease is not None:
            await lifetimes.granted(self._db.pool, row["id"], answer.lease)
        return answer

    async def _subscription_ended(self, hook_id: UUID, error: sdk.SubscriptionEnded) -> sdk.Answer:
        await lifetimes.ended(self._db.pool, [hook_id], error)
        return sdk.Answer()

    async def deliver(self, token: str, delivery: sdk.WebhookDelivery, parse: Parse | None = None) -> DeliverResult:
        """Verify a webhook, parse it, and make it durable.

        Raises: UnknownHook, BadDelivery, sdk.BadSignature; asyncpg.PostgresError or OSError when Postgres is out of reach.
        """
        hook = await self.hook_by_token(token)
        if hook is None:
            raise UnknownHook
        try:
            return await self._deliver(hook, delivery, parse)
        except (BadDelivery, sdk.BadSignature) as error:
            self.ledger.note(hook.id, "rejected", str(error))
            raise

    async def refused(self, token: str, reason: str) -> None:
        """Tell the ledger of a delivery that was not even read."""
        hook = await self.hook_by_token(token)
        if hook is not None:
            self.ledger.note(hook.id, "rejected", reason)

    async def _deliver(self, hook: HookView, delivery: sdk.WebhookDelivery, parse: Parse | None) -> DeliverResult:
        action = self._registry.action(hook.action)
        where = action.inputs.model_construct(**hook.config) if hook.config else action.inputs()
        secret = hook.secret or hook.config.get("secret")
        if secret:
            self._verify(hook, action, where, secret, delivery)
        if parse is not None:
            delivery = replace(delivery, body=await parse())
        if action.handshake is not None:
            answer = action.handshake(where, delivery)
            if answer is not None:
                return replace(NOTHING, answer=answer)
        try:
            found = action.fn(where, delivery)
        except sdk.SubscriptionEnded as error:
            return replace(NOTHING, answer=await self._subscription_ended(hook.id, error))
        except sdk.NodeError as error:
            raise BadDelivery(str(error)) from None
        except ValidationError as error:
            raise unlike(action.key, error) from None
        reply = action.reply(delivery) if action.reply else None
        results = [await self._take(incoming_of(hook.id, action, one, delivery), hook) for one in events_of(found)]
        if not results:
            return replace(NOTHING, answer=reply)
        # Of several, the first that is new speaks for all.
        shown = next((one for one in results if not one.duplicate), results[0])
        return replace(shown, runs=sum(one.runs for one in results), answer=reply)

    async def _take(self, incoming: Incoming, hook: HookView) -> DeliverResult:
        accepted = await self.submit(incoming)
        metrics.EVENTS.labels(hook.action, "duplicate" if accepted.duplicate else "accepted").inc()
        if accepted.duplicate:
            self.ledger.note(hook.id, "duplicate", AGAIN)
            first = await self._db.pool.fetchval(statements.EVENT_BY_KEY, hook.id, incoming.dedupe_key)
            return DeliverResult(first, 0, duplicate=True)
        return DeliverResult(accepted.event_id, len(accepted.runs), duplicate=False)

    def _verify(
        self, hook: HookView, action: sdk.Action, where: Any, secret: str, delivery: sdk.WebhookDelivery
    ) -> None:
        try:
            plain = self._sealer.open(secret, "hook")
        except SealBroken:
            logger.error("intake.secret_unreadable", hook=str(hook.id))
            raise sdk.BadSignature("The secret of this hook cannot be read; save the AREA again.") from None
        header = getattr(where, "signature_header", None)
        verify = sdk.HmacSha256(header) if header else action.verify
        verify.check(plain, delivery, now())  # type: ignore[union-attr]

    async def _flush(self, incoming: list[Incoming]) -> list[Accepted]:
        async with self._db.pool.acquire() as connection:
            # Law 4 within one batch too: the first of two equal keys is the event, the second its duplicate.
            accepted = await accept(connection, incoming)
        self.announce(accepted)
        return accepted

    def announce(self, accepted: list[Accepted]) -> None:
        """Ring for the runs of committed events."""
        if waiting := sum(len(item.runs) - len(item.limited) for item in accepted):
            self._doorbell.ring(waiting)
        self._admission.later(area for item in accepted for area in item.limited)
        for item in accepted:
            if tracing.on and not item.duplicate:
                attributes = {"area.hook": str(item.incoming.hook_id), "area.runs": len(item.runs)}
                event = item.event_id
                tracing.record("event", event, span_id(event), item.incoming.began, attributes=attributes)
            for run, user in item.runs:
                self._doorbell.announce(user, run)


def events_of(found: Any) -> list[Any]:
    """What an action made of a delivery: one event, several, or none."""
    if isinstance(found, list):
        return found
    return [] if found is None else [found]


def incoming_of(hook_id: UUID, action: sdk.Action, event: Any, delivery: sdk.WebhookDelivery) -> Incoming:
    """What a delivery brings to a hook. Raises: BadDelivery when it cannot be kept."""
    try:
        given = event.model_dump(mode="json") if hasattr(event, "model_dump") else event
        return Incoming(hook_id, dedupe_key(action, given, delivery), given)
    except ValueError as error:  # pydantic's, where it cannot go deep enough, and our own
        raise BadDelivery(f"The delivery cannot be stored: {error}") from None


def dedupe_key(action: sdk.Action, given: dict[str, Any], delivery: sdk.WebhookDelivery) -> str:
    """What makes two deliveries the same event: what the action says, else the output's identity, else a delivery id."""
    if callable(action.dedupe):
        return action.dedupe(delivery)
    if action.dedupe and (value := delivery.headers.get(action.dedupe.lower())):
        return value[:500]
    if action.identity:
        return str(given[action.identity])
    for header in DELIVERY_ID_HEADERS:
        value = delivery.headers.get(header)
        if value:
            return hashlib.sha256(f"{header}:{value}".encode()).hexdigest()
    # Nothing names this delivery, so it is its own: two equal bodies are two events.
    return str(new_id())


def payload_hash(payload: Any) -> str:
    """A short name for a payload, for sources that name nothing."""
    return hashlib.sha256(dump(payload, sort_keys=True).encode()).hexdigest()[:32]


def unlike(what: str, error: ValidationError) -> BadDelivery:
    """The refusal of a delivery that is not as its action, or endpoint, knows them. Its values are not quoted."""
    places = ", ".join(".".join(map(str, problem["loc"])) or "the body" for problem in error.errors()[:5])
    return BadDelivery(f"{what} does not know deliveries like this one; what is wrong or missing: {places}.")
