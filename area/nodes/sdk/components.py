"""Actions (what starts a run) and reactions (what a run does)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

from area.nodes.sdk.models import Identity, Inputs, Outputs, marked, sample_of
from area.nodes.sdk.webhooks import Verify

if TYPE_CHECKING:
    from area.nodes.sdk.service import Service

Fn = TypeVar("Fn", bound=Callable[..., Any])


class Delivery(StrEnum):
    """How an action's events reach the engine."""

    WEBHOOK = "WEBHOOK"
    POLL = "POLL"
    SCHEDULE = "SCHEDULE"
    MANUAL = "MANUAL"


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
    identity: str | None = field(init=False)
    checker: Callable[[Any], None] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.identity = next(marked(self.outputs, Identity), None)

    def check(self, fn: Fn) -> Fn:
        """Decorator: ``fn(where) -> None`` runs at save time and raises InvalidInput for what cannot work."""
        self.checker = fn
        return fn

    def sample(self) -> dict[str, Any]:
        """An example of the outputs, JSON-ready."""
        return sample_of(self.outputs)


@dataclass(eq=False, slots=True)
class Reaction:
    """What a run does: ``async fn(ctx, inputs) -> outputs``. ``timeout`` is in seconds."""

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
    reconciler: Callable[..., Any] | None = field(default=None, repr=False)

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
