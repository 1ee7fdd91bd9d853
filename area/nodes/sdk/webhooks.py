"""A webhook's request, and the proofs that its sender sent it."""

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

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
