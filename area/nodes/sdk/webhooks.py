"""A webhook's request, and the proofs that its sender sent it."""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeAlias

from area.nodes.sdk.errors import BadSignature


@dataclass(frozen=True, slots=True)
class WebhookDelivery:
    """One request to a hook's URL. Header names are lower case; ``body`` is ``raw``, parsed by ``content_type``."""

    method: str
    headers: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    raw: bytes = b""
    body: Any = None
    content_type: str = ""


class Verify(Protocol):
    """Proof of origin, checked over the raw bytes before any parse."""

    def check(self, secret: str, delivery: WebhookDelivery, now: datetime | None = None) -> None:
        """Raise BadSignature unless the sender knew ``secret``."""


@dataclass(frozen=True, slots=True)
class HmacSha256:
    """Hex HMAC-SHA256 of the raw body in ``header``, after ``prefix``; compared in constant time."""

    header: str
    prefix: str = "sha256="

    def check(self, secret: str, delivery: WebhookDelivery, now: datetime | None = None) -> None:
        """Raise BadSignature unless the header holds the body's HMAC under ``secret``."""
        given = delivery.headers.get(self.header.lower())
        if given is None:
            raise BadSignature(f"The header {self.header} is missing: sign the raw body with HMAC-SHA256.")
        wanted = self.prefix + hmac.new(secret.encode(), delivery.raw, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(given.strip().encode(), wanted.encode()):
            raise BadSignature(f"The signature in {self.header} does not match the body and the hook's secret.")


@dataclass(frozen=True, slots=True)
class Unsigned:
    """The source signs nothing; ``why`` that is acceptable."""

    why: str

    def check(self, secret: str, delivery: WebhookDelivery, now: datetime | None = None) -> None:
        """Accept: there is nothing to check."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a provider gets back: ``body`` as it is when it is text, else as JSON."""

    body: Any = ""
    status: int = 200
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)
    lease: float | None = None
    """Seconds for which the provider grants the subscription, where its handshake says so."""


@dataclass(frozen=True, slots=True)
class Hook:
    """What the platform offers for a subscription at a provider."""

    id: str
    url: str
    """Where the provider shall deliver."""
    secret: str = field(repr=False)
    """64 hex characters that only this hook (or, at an app-level endpoint, this service) knows."""
    remote_id: str | None = None
    """The provider's id of the subscription that is being renewed; None at first."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a provider made of it."""

    remote_id: str
    expires_at: datetime | None = None
    """When it ends unless it is renewed, in UTC."""
    topic: str | None = None
    """What deliveries at an app-level endpoint name it by; ``remote_id`` when left out."""
    secret: str | None = field(default=None, repr=False)
    """The secret that the provider chose, where it does not take ours."""
    unconfirmed: bool = False
    """The provider first asks, by `handshake`, whether we want this, and says there for how long it is granted.

    Until ``expires_at`` it is waited for; then it is asked again. A grant that stands meanwhile goes on.
    """


@dataclass(frozen=True, slots=True)
class AccountGone:
    """A delivery says that an account's consent is gone; ``external_id`` is the provider's id of the account."""

    external_id: str


@dataclass(frozen=True, slots=True)
class SubscriptionGone:
    """A delivery says that a subscription has ended; ``topic`` is what its hook is known by, ``reason`` why."""

    topic: str
    reason: str


Routed: TypeAlias = str | AccountGone | SubscriptionGone
"""One thing that an app-level delivery is about: a topic whose hooks take it, or an end."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A service's one address for all its users, ``POST /webhooks/<service>``: see `Service.endpoint`."""

    verify: Verify
    route: Callable[[WebhookDelivery], list[Routed]]
    secret: str | None = None
    """The setting that holds the secret or public key; None: the platform makes one, and `Hook.secret` is it."""
    handshake: Callable[[WebhookDelivery], Answer | None] | None = None
    reply: Callable[[WebhookDelivery], Answer] | None = None
