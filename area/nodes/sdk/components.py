"""Actions (what starts a run) and reactions (what a run does)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

from area.nodes.sdk.auth import AccountUse
from area.nodes.sdk.models import Identity, Inputs, Outputs, marked, sample_of
from area.nodes.sdk.webhooks import Answer, Verify, WebhookDelivery

if TYPE_CHECKING:
    from area.nodes.sdk.service import Service

Fn = TypeVar("Fn", bound=Callable[..., Any])
MAX_ATTEMPTS = 20
"""Most attempts of one step, whoever asks for them: a node or an AREA."""


class Delivery(StrEnum):
    """How an action's events reach the engine."""

    WEBHOOK = "WEBHOOK"
    POLL = "POLL"
    SCHEDULE = "SCHEDULE"
    MANUAL = "MANUAL"


class Control(StrEnum):
    """What the engine itself does for a reaction that steers the run."""

    APPROVAL = "approval"
    """A person answers while it is parked, by the link ``ctx.answer_url`` or by the API; then it is called with ``ctx.answer``."""
    CALL = "call"
    """It may start another AREA, by ``ctx.start_area``; ``ctx.answer`` is how that ended."""
    EACH = "each"
    """Before it is called the engine runs the reaction that its inputs name for each of the items; see `EachInputs`."""
    END = "end"
    """It may end the run."""


@dataclass(eq=False, slots=True)
class Action:
    """What starts a run. ``fn``'s signature depends on ``delivery``: see the decorators of Service."""

    key: str
    name: str
    description: str
    service: Service = field(repr=False)
    delivery: Delivery
    inputs: type[Inputs]
    outputs: type[Outputs]
    fn: Callable[..., Any] = field(repr=False)
    every: timedelta | None = None
    verify: Verify | None = None
    account: AccountUse = "none"
    scopes: tuple[str, ...] = ()
    app_level: bool = False
    dedupe: str | Callable[[WebhookDelivery], str] | None = None
    handshake: Callable[[Any, WebhookDelivery], Answer | None] | None = field(default=None, repr=False)
    farewell: Callable[[Any, WebhookDelivery], Answer | None] | None = field(default=None, repr=False)
    reply: Callable[[WebhookDelivery], Answer] | None = field(default=None, repr=False)
    watched: bool = True
    """False: nothing is looked at; its events are made by other runs."""
    identity: str | None = field(init=False)
    checker: Callable[[Any], None] | None = field(default=None, repr=False)
    topic_of: Callable[..., str] | None = field(default=None, repr=False)
    subscriber: Callable[..., Any] | None = field(default=None, repr=False)
    unsubscriber: Callable[..., Any] | None = field(default=None, repr=False)
    still_there: Callable[..., Any] | None = field(default=None, repr=False)
    enricher: Callable[..., Any] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.identity = next(marked(self.outputs, Identity), None)

    def check(self, fn: Fn) -> Fn:
        """Decorator: ``fn(where) -> None`` runs at save time and raises InvalidInput for what cannot work."""
        self.checker = fn
        return fn

    def topic(self, fn: Fn) -> Fn:
        """Decorator, for an app-level action: ``fn(where, account: Account | None) -> str``, what its deliveries are routed by."""
        self.topic_of = fn
        return fn

    def subscribe(self, fn: Fn) -> Fn:
        """Decorator: ``async fn(ctx, where, hook: Hook) -> Subscription | str`` asks the provider to deliver; again to renew.

        It may be called twice for one hook (a crash in between), so a subscription that is there already is taken over.
        """
        self.subscriber = fn
        return fn

    def unsubscribe(self, fn: Fn) -> Fn:
        """Decorator: ``async fn(ctx, where, remote_id: str) -> None`` ends it; one that is gone already is no error."""
        self.unsubscriber = fn
        return fn

    def is_subscribed(self, fn: Fn) -> Fn:
        """Decorator: ``async fn(ctx, where, remote_id: str) -> bool`` asks whether the provider still has it; for reconciling."""
        self.still_there = fn
        return fn

    def enrich(self, fn: Fn) -> Fn:
        """Decorator: ``async fn(ctx, event: Out) -> Out`` adds what the delivery lacks, once an event, before its first run begins.

        A failure leaves the event as it is, and the run's log says so.
        """
        self.enricher = fn
        return fn

    def sample(self) -> dict[str, Any]:
        """An example of the outputs, JSON-ready."""
        return sample_of(self.outputs)


@dataclass(eq=False, slots=True)
class Reaction:
    """What a run does: ``async fn(ctx, inputs) -> outputs``, within ``timeout`` seconds, in at most so many ``attempts``."""

    key: str
    name: str
    description: str
    service: Service = field(repr=False)
    inputs: type[Inputs]
    outputs: type[Outputs]
    fn: Callable[..., Any] = field(repr=False)
    idempotent: bool | Callable[[Any], bool]
    pure: bool = False
    timeout: float = 30.0
    attempts: int = 5
    account: AccountUse = "none"
    scopes: tuple[str, ...] = ()
    control: Control | None = None
    reconciler: Callable[..., Any] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not 1 <= self.attempts <= MAX_ATTEMPTS:
            raise TypeError(f"{self.key} has attempts={self.attempts}: give between 1 and {MAX_ATTEMPTS}")

    def is_idempotent(self, inputs: Inputs) -> bool:
        """Whether a second call with these inputs, after one whose outcome is unknown, does no harm."""
        return self.idempotent(inputs) if callable(self.idempotent) else self.idempotent

    def reconcile(self, fn: Fn) -> Fn:
        """Decorator: ``async fn(ctx, inputs) -> outputs | None`` asks the provider whether the call happened."""
        self.reconciler = fn
        return fn

    def sample(self) -> dict[str, Any]:
        """An example of the outputs, JSON-ready."""
        return sample_of(self.outputs)
