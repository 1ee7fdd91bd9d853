"""How providers sign what they deliver, written apart from the product's checks: both sides must agree by the provider's rules.

Each maker gives ``sign(raw, headers) -> headers to add``, for ``StandIn.deliver(sign=…)``.
"""

import base64
import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

Sign = Callable[[bytes, Mapping[str, str]], Mapping[str, str]]


def hmac_body(secret: str, header: str, prefix: str = "sha256=", algorithm: str = "sha256") -> Sign:
    """Hex HMAC of the body alone (GitHub, Notion, Linear, Dropbox, WebSub with sha1)."""

    def sign(raw: bytes, headers: Mapping[str, str]) -> Mapping[str, str]:
        return {header: prefix + hmac.new(secret.encode(), raw, algorithm).hexdigest()}

    return sign


def twitch(secret: str, kind: str, *, at: datetime | None = None, message_id: str | None = None) -> Sign:
    """Twitch EventSub; ``kind`` is notification, webhook_callback_verification or revocation."""

    def sign(raw: bytes, headers: Mapping[str, str]) -> Mapping[str, str]:
        moment = (at or datetime.now(UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "123Z"
        known = message_id or str(uuid4())
        digest = hmac.new(secret.encode(), known.encode() + moment.encode() + raw, hashlib.sha256).hexdigest()
        return {
            "Twitch-Eventsub-Message-Id": known,
            "Twitch-Eventsub-Message-Timestamp": moment,
            "Twitch-Eventsub-Message-Signature": f"sha256={digest}",
            "Twitch-Eventsub-Message-Type": kind,
            "Twitch-Eventsub-Message-Retry": "0",
        }

    return sign


def slack(signing_secret: str, *, at: int | None = None) -> Sign:
    """Slack's v0 scheme; ``at`` in epoch seconds."""

    def sign(raw: bytes, headers: Mapping[str, str]) -> Mapping[str, str]:
        moment = str(at or int(time.time()))
        digest = hmac.new(signing_secret.encode(), f"v0:{moment}:".encode() + raw, hashlib.sha256).hexdigest()
        return {"X-Slack-Request-Timestamp": moment, "X-Slack-Signature": f"v0={digest}"}

    return sign


def discord(key: Ed25519PrivateKey, *, at: int | None = None) -> Sign:
    """Discord's Ed25519; the product is given ``public_hex(key)``. ``at`` in epoch seconds."""

    def sign(raw: bytes, headers: Mapping[str, str]) -> Mapping[str, str]:
        moment = str(at or int(time.time()))
        return {"X-Signature-Timestamp": moment, "X-Signature-Ed25519": key.sign(moment.encode() + raw).hex()}

    return sign


def public_hex(key: Ed25519PrivateKey) -> str:
    """The public key, as Discord shows it."""
    return key.public_key().public_bytes_raw().hex()


def stripe(secret: str, *, at: int | None = None) -> Sign:
    """Stripe-Signature, with a v0 beside the v1 as test events have it; ``at`` in epoch seconds."""

    def sign(raw: bytes, headers: Mapping[str, str]) -> Mapping[str, str]:
        moment = str(at or int(time.time()))
        digest = hmac.new(secret.encode(), moment.encode() + b"." + raw, hashlib.sha256).hexdigest()
        return {"Stripe-Signature": f"t={moment},v1={digest},v0={'0' * 64}"}

    return sign


def standard_webhook(secret: str, *, at: int | None = None, message_id: str | None = None) -> Sign:
    """Standard Webhooks under ``whsec_<base64>``; ``at`` in epoch seconds."""

    def sign(raw: bytes, headers: Mapping[str, str]) -> Mapping[str, str]:
        moment, known = str(at or int(time.time())), message_id or f"msg_{uuid4().hex}"
        key = base64.b64decode(secret.removeprefix("whsec_"))
        digest = hmac.new(key, f"{known}.{moment}.".encode() + raw, hashlib.sha256).digest()
        signature = f"v1,{base64.b64encode(digest).decode()}"
        return {"webhook-id": known, "webhook-timestamp": moment, "webhook-signature": signature}

    return sign


def shared_token(secret: str, header: str) -> Sign:
    """The secret itself (Telegram's X-Telegram-Bot-Api-Secret-Token, X-Gitlab-Token)."""

    def sign(raw: bytes, headers: Mapping[str, str]) -> Mapping[str, str]:
        return {header: secret}

    return sign
