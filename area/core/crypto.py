"""Sealing of secrets at rest (AES-256-GCM with a key id) and signing of short texts, with keys that can be replaced."""

import hashlib
import hmac
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


class SealBroken(Exception):
    """A sealed value does not open: wrong key, or it was changed."""


class Sealer:
    """Seals small secrets with a key derived from ``secret``, and opens what that one or one of ``others`` sealed.

    ``context`` binds a value to its place: moved to another row it does not open.
    """

    def __init__(self, secret: str, others: Iterable[str] = ()) -> None:
        self.key_id = _key_id(secret)
        self._aead = _aead(secret)
        self._known = {_key_id(other): _aead(other) for other in others} | {self.key_id: self._aead}

    def seal(self, plain: str, context: str) -> str:
        """``plain`` encrypted, as ``key_id.base64``."""
        nonce = os.urandom(12)
        box = nonce + self._aead.encrypt(nonce, plain.encode(), context.encode())
        return f"{self.key_id}.{urlsafe_b64encode(box).decode()}"

    def open(self, sealed: str, context: str) -> str:
        """The plain text. Raises: SealBroken."""
        key_id, _, box = sealed.partition(".")
        aead = self._known.get(key_id)
        if aead is None:
            raise SealBroken(
                f"a secret was sealed with key {key_id}, which is not known here: put it into AREA_OLD_SECRET_KEYS"
            )
        try:
            raw = urlsafe_b64decode(box)
            return aead.decrypt(raw[:12], raw[12:], context.encode()).decode()
        except (InvalidTag, ValueError) as error:
            raise SealBroken(f"a secret sealed with key {key_id} does not open: it was changed or moved") from error

    def is_current(self, sealed: str) -> bool:
        """Whether the present key sealed it."""
        return sealed.startswith(f"{self.key_id}.")


class Signer:
    """Signs short texts for one ``purpose``; what ``others`` signed is still good."""

    def __init__(self, secret: str, purpose: str, others: Iterable[str] = ()) -> None:
        label = f"area-sign:{purpose}".encode()
        self._keys = [hmac.new(one.encode(), label, hashlib.sha256).digest() for one in (secret, *others)]

    def sign(self, text: str) -> str:
        """``text.signature``; the text must not be secret."""
        return f"{text}.{_mac(self._keys[0], text)}"

    def read(self, signed: str) -> str | None:
        """The text when one of the keys signed it, else None."""
        text, _, given = signed.rpartition(".")
        good = [hmac.compare_digest(given.encode(), _mac(key, text).encode()) for key in self._keys]
        return text if any(good) else None


def _mac(key: bytes, text: str) -> str:
    return urlsafe_b64encode(hmac.new(key, text.encode(), hashlib.sha256).digest()).decode().rstrip("=")


def _aead(secret: str) -> AESGCM:
    return AESGCM(hashlib.sha256(b"area-seal:" + secret.encode()).digest())


def _key_id(secret: str) -> str:
    return hashlib.sha256(b"area-key-id:" + secret.encode()).hexdigest()[:8]
