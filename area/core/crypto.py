"""Sealing of secrets at rest (AES-256-GCM with a key id) and signing of short tokens."""

import hashlib
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


class SealBroken(Exception):
    """A sealed value does not open: wrong key, or it was changed."""


class Sealer:
    """Seals and opens small secrets with a key derived from ``secret``; ``context`` binds a value to its place."""

    def __init__(self, secret: str) -> None:
        self._aead = AESGCM(hashlib.sha256(b"area-seal:" + secret.encode()).digest())
        self.key_id = hashlib.sha256(b"area-key-id:" + secret.encode()).hexdigest()[:8]

    def seal(self, plain: str, context: str) -> str:
        """``plain`` encrypted, as ``key_id.base64``."""
        nonce = os.urandom(12)
        box = nonce + self._aead.encrypt(nonce, plain.encode(), context.encode())
        return f"{self.key_id}.{urlsafe_b64encode(box).decode()}"

    def open(self, sealed: str, context: str) -> str:
        """The plain text. Raises: SealBroken."""
        key_id, _, box = sealed.partition(".")
        try:
            raw = urlsafe_b64decode(box)
            return self._aead.decrypt(raw[:12], raw[12:], context.encode()).decode()
        except (InvalidTag, ValueError) as error:
            raise SealBroken(f"a secret sealed with key {key_id} does not open with key {self.key_id}") from error
