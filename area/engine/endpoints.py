"""A service's one address for all its users: a verified delivery finds its hooks by what it says about itself."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import asyncpg
from pydantic import ValidationError

from area.core import log, metrics
from area.core.clock import now
from area.db.session import UNFIT
from area.engine import lifetimes
from area.engine.intake import AGAIN, Accepted, BadDelivery, Incoming, UnknownHook, events_of, incoming_of, unlike
from area.engine.platform import Platform
from area.nodes import sdk
from area.nodes.registry import UnknownComponent

logger = log.get(__name__)

AT_ONCE = 512
"""Hooks of one delivery whose events are in memory at once: as many as intake writes at once."""

HOOKS_BY_TOPIC = """
SELECT id, action, config, topic FROM hooks
WHERE topic = ANY($1::text[]) AND kind = 'webhook' AND status IN ('active', 'broken', 'pending')
"""
PENDING = "SELECT 1 FROM hooks WHERE kind = 'webhook' AND status = 'pending' AND starts_with(action, $1) LIMIT 1"

Parse = Callable[[], Awaitable[Any]]


class NotYet(Exception):
    """A delivery that nobody takes yet, while a subscription of this service is being made: the sender shall try again."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The answer to the provider, and what became of the delivery."""

    answer: sdk.Answer
    events: int = 0
    runs: int = 0


class Endpoints:
    """The app-level endpoints of the services that have one."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def deliver(self, service_key: str, delivery: sdk.WebhookDelivery, parse: Parse) -> Taken:
        """Verify a delivery, answer a probe, or make durable what it is about.

        Raises: UnknownHook, BadDelivery, NotYet, sdk.BadSignature; asyncpg.PostgresError or OSError when Postgres is out of reach.
        """
        service = self._platform.registry.services.get(service_key)
        if service is None or service.entrance is None:
            raise UnknownHook
        entrance = service.entrance
        if delivery.method != "GET":
            await self._verify(service, entrance, delivery)
        delivery = replace(delivery, body=await parse())
        answer = entrance.handshake(delivery) if entrance.handshake else None
        if answer is not None:
            return Taken(answer)
        if delivery.method == "GET":
            raise BadDelivery("Send deliveries with POST.")
        try:
            routed = entrance.route(delivery)
        except sdk.NodeError as error:
            raise BadDelivery(str(error)) from None
        except ValidationError as error:
            raise unlike(f"The endpoint of {service.name}", error) from None
        taken = await self._take(service, routed, delivery)
        reply = entrance.reply(delivery) if entrance.reply else sdk.Answer()
        return replace(taken, answer=reply)

    async def _verify(self, service: sdk.Service, entrance: sdk.Endpoint, delivery: sdk.WebhookDelivery) -> None:
        if entrance.secret is None:
            secret = await self._platform.endpoint_secrets.of(service.key, service.name)
        else:
            secret = self._platform.clients.settings(service.key).get(entrance.secret, "")
        if not secret:
            name = f"AREA_{service.key}_{entrance.secret}".upper()
            raise sdk.BadSignature(f"{service.name} cannot be verified here: the operator has to set {name}.")
        entrance.verify.check(secret, delivery, now())

    async def _take(self, service: sdk.Service, routed: list[sdk.Routed], delivery: sdk.WebhookDelivery) -> Taken:
        topics = [f"{service.key}:{item}" for item in routed if isinstance(item, str)]
        events, runs = await self._fire(service, topics, delivery) if topics else (0, 0)
        for item in routed:
            if isinstance(item, sdk.AccountGone):
                await self._platform.accounts.gone(service.key, item.external_id, f"{service.name} says so")
            elif isinstance(item, sdk.SubscriptionGone):
                found = await self._hooks([f"{service.key}:{item.topic}"])
                told = sdk.SubscriptionEnded(item.reason)
                await lifetimes.ended(self._platform.db.pool, [row["id"] for row in found], told)
        return Taken(sdk.Answer(), events, runs)

    async def _hooks(self, topics: list[str]) -> list[asyncpg.Record]:
        rows: list[asyncpg.Record] = await self._platform.db.pool.fetch(HOOKS_BY_TOPIC, topics)
        return rows

    async def _fire(self, service: sdk.Service, topics: list[str], delivery: sdk.WebhookDelivery) -> tuple[int, int]:
        rows = await self._hooks(topics)
        if not rows and await self._platform.db.pool.fetchval(PENDING, f"{service.key}."):
            raise NotYet
        failed: dict[UUID, Exception] = {}
        events = runs = 0
        for start in range(0, len(rows), AT_ONCE):
            for action, accepted in await self._accept(rows[start : start + AT_ONCE], delivery, failed):
                metrics.EVENTS.labels(action, "duplicate" if accepted.duplicate else "accepted").inc()
                if accepted.duplicate:
                    self._platform.intake.ledger.note(accepted.incoming.hook_id, "duplicate", AGAIN)
                events += 1
                runs += len(accepted.runs)
        if failed and len(failed) == len(rows):
            # What is our own fault goes first: the sender is to keep the delivery.
            raise min(failed.values(), key=lambda error: isinstance(error, BadDelivery))
        return events, runs

    async def _accept(
        self, rows: list[asyncpg.Record], delivery: sdk.WebhookDelivery, failed: dict[UUID, Exception]
    ) -> list[tuple[str, Accepted]]:
        """Make durable what the delivery brings to these hooks; what fails at one is told there, and is nobody else's trouble."""
        incoming: list[tuple[asyncpg.Record, Incoming]] = []
        for row in rows:
            try:
                incoming += [(row, one) for one in self._incoming(row, delivery)]
            except Exception as error:
                self._fail(row, error, failed)
        submit = self._platform.intake.submit
        answers = await asyncio.gather(*(submit(one) for _, one in incoming), return_exceptions=True)
        accepted = []
        for (row, _), answer in zip(incoming, answers, strict=True):
            if isinstance(answer, UNFIT):
                self._fail(row, BadDelivery(f"The delivery cannot be stored: {answer}"), failed)
            elif isinstance(answer, BaseException):
                raise answer
            else:
                accepted.append((row["action"], answer))
        for _, one in accepted:
            # Of several events it has kept one: the delivery is not to be sent again for the others.
            failed.pop(one.incoming.hook_id, None)
        return accepted

    def _fail(self, row: asyncpg.Record, error: Exception, failed: dict[UUID, Exception]) -> None:
        told = str(error)
        if not isinstance(error, BadDelivery | UnknownComponent):
            told = f"{row['action']} broke on it"
            logger.error(
                "endpoints.broke", hook=str(row["id"]), action=row["action"], exc_info=None if failed else error
            )
        failed[row["id"]] = error
        self._platform.intake.ledger.note(row["id"], "rejected", told)

    def _incoming(self, row: asyncpg.Record, delivery: sdk.WebhookDelivery) -> list[Incoming]:
        action = self._platform.registry.action(row["action"])
        where = action.inputs.model_construct(**row["config"]) if row["config"] else action.inputs()
        try:
            found = action.fn(where, delivery)
        except sdk.NodeError as error:
            raise BadDelivery(str(error)) from None
        except ValidationError as error:
            raise unlike(action.key, error) from None
        return [incoming_of(row["id"], action, one, delivery) for one in events_of(found)]
