"""Proofs that a webhook's sender sent it. Each runs over the raw bytes, before any parse, and compares in constant time."""

import binascii
import hashlib
import hmac
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from area.nodes.sdk.errors import BadSignature
from area.nodes.sdk.webhooks import WebhookDelivery

BODY = "{body}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hmac:
    """HMAC in ``header``, after ``prefix``, over the parts of ``signs`` joined.

    A part ``{body}`` is the raw body, ``{name}`` the text of that header as it was sent, anything else stands for itself. With
    ``timestamp``, a header of epoch seconds or RFC 3339 text, a delivery further than ``tolerance`` from now is refused.
    """

    header: str
    prefix: str = ""
    signs: tuple[str, ...] = (BODY,)
    algorithm: Literal["sha1", "sha256", "sha384", "sha512"] = "sha256"
    encoding: Literal["hex", "base64"] = "hex"
    timestamp: str | None = None
    tolerance: timedelta = timedelta(minutes=5)
    refusal: int = 401
    """Status that a forged delivery is answered with, where the provider's rules ask for another."""

    def check(self, secret: str, delivery: WebhookDelivery, now: datetime | None = None) -> None:
        """Raise BadSignature unless the header holds the HMAC of what was signed, lately, under ``secret``."""
        try:
            self._check(secret, delivery, now)
        except BadSignature as error:
            raise BadSignature(error.message, self.refusal) from None

    def _check(self, secret: str, delivery: WebhookDelivery, now: datetime | None) -> None:
        given = _header(delivery, self.header)
        if self.timestamp:
            _fresh(_header(delivery, self.timestamp), self.tolerance, now)
        mac = hmac.new(secret.encode(), digestmod=self.algorithm)
        for part in self.signs:
            mac.update(_part(part, delivery))
        digest = mac.hexdigest() if self.encoding == "hex" else b64encode(mac.digest()).decode()
        if not _equal(given, self.prefix + digest):
            raise BadSignature(f"The signature in {self.header} does not match the delivery and the hook's secret.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ed25519:
    """Ed25519 over a timestamp header and the raw body; the secret is the sender's public key in hex (Discord)."""

    header: str
    timestamp: str
    tolerance: timedelta = timedelta(minutes=5)

    def check(self, secret: str, delivery: WebhookDelivery, now: datetime | None = None) -> None:
        """Raise BadSignature unless the holder of the key signed this."""
        moment = _header(delivery, self.timestamp)
        try:
            key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(secret))
            key.verify(bytes.fromhex(_header(delivery, self.header)), moment.encode() + delivery.raw)
        except (InvalidSignature, ValueError):
            raise BadSignature(f"The signature in {self.header} does not match the delivery and the key.") from None
        _fresh(moment, self.tolerance, now)


@dataclass(frozen=True, slots=True)
class SharedToken:
    """The secret itself in ``header`` (Telegram, GitLab)."""

    header: str

    def check(self, secret: str, delivery: WebhookDelivery, now: datetime | None = None) -> None:
        """Raise BadSignature unless the header is the secret."""
        if not _equal(_header(delivery, self.header), secret):
            raise BadSignature(f"{self.header} is not the hook's secret.")


@dataclass(frozen=True, slots=True)
class StripeSignature:
    """``t=…,v1=…`` over ``t.body``; one of several ``v1`` suffices, other versions do not count."""

    header: str = "stripe-signature"
    tolerance: timedelta = timedelta(minutes=5)

    def check(self, secret: str, delivery: WebhookDelivery, now: datetime | None = None) -> None:
        """Raise BadSignature unless a ``v1`` matches and its time is near."""
        pairs = [part.strip().partition("=") for part in _header(delivery, self.header).split(",")]
        moment = next((value for name, _, value in pairs if name == "t"), "")
        wanted = hmac.new(secret.encode(), moment.encode() + b"." + delivery.raw, hashlib.sha256).hexdigest()
        if not any([_equal(value, wanted) for name, _, value in pairs if name == "v1"]):  # noqa: C419 - look at all
            raise BadSignature(f"No v1 signature in {self.header} matches the body and the hook's secret.")
        _fresh(moment, self.tolerance, now)


@dataclass(frozen=True, slots=True)
class StandardWebhook:
    """Standard Webhooks: ``v1,<base64>`` over ``id.timestamp.body`` under a key written ``whsec_<base64>``."""

    tolerance: timedelta = timedelta(minutes=5)

    def check(self, secret: str, delivery: WebhookDelivery, now: datetime | None = None) -> None:
        """Raise BadSignature unless one of the signatures matches and the time is near."""
        try:
            key = b64decode(secret.removeprefix("whsec_"), validate=True)
        except binascii.Error:
            raise BadSignature("The hook's secret is not whsec_ and base64.") from None
        moment = _header(delivery, "webhook-timestamp")
        signed = f"{_header(delivery, 'webhook-id')}.{moment}.".encode() + delivery.raw
        wanted = "v1," + b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        given = _header(delivery, "webhook-signature").split()
        if not any([_equal(one, wanted) for one in given]):  # noqa: C419 - look at all
            raise BadSignature("No signature in webhook-signature matches the delivery and the hook's secret.")
        _fresh(moment, self.tolerance, now)


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Several proofs, one of which suffices: for providers whose instances differ."""

    proofs: tuple[Hmac | SharedToken | StandardWebhook, ...] = field(default_factory=tuple)

    def check(self, secret: str, delivery: WebhookDelivery, now: datetime | None = None) -> None:
        """Raise the last proof's BadSignature unless one holds."""
        for proof in self.proofs[:-1]:
            try:
                return proof.check(secret, delivery, now)
            except BadSignature:
                continue
        return self.proofs[-1].check(secret, delivery, now)


def _header(delivery: WebhookDelivery, name: str) -> str:
    given = delivery.headers.get(name.lower())
    if given is None:
        raise BadSignature(f"The header {name} is missing: sign the delivery.")
    return given.strip()


def _part(part: str, delivery: WebhookDelivery) -> bytes:
    if part == BODY:
        return delivery.raw
    return _header(delivery, part[1:-1]).encode() if part.startswith("{") else part.encode()


def _equal(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())


def _fresh(given: str, tolerance: timedelta, now: datetime | None) -> None:
    """Raise BadSignature for a time that is far from now, or no time."""
    try:
        if given.isascii() and given.isdigit():
            moment = datetime.fromtimestamp(int(given[:12]), UTC)
        else:
            # Nanoseconds are more than Python reads, and the sender's text was signed as it stands.
            head, dot, rest = given.partition(".")
            digits = len(rest) - len(rest.lstrip("0123456789"))
            moment = datetime.fromisoformat(
                head + (dot + rest[: min(digits, 6)].ljust(6, "0") + rest[digits:] if dot else "")
            )
        age = abs((now or datetime.now(UTC)) - moment)
    except (ValueError, OverflowError, OSError, TypeError):
        raise BadSignature("The delivery's timestamp is not a time.") from None
    if age > tolerance:
        raise BadSignature(f"The delivery's timestamp is more than {tolerance.total_seconds():.0f} s away from now.")
