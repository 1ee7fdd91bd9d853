"""Passwords: argon2id hashes, computed off the event loop."""

import asyncio
from functools import lru_cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

MIN_LENGTH = 8
MAX_LENGTH = 256
_hasher = PasswordHasher()


@lru_cache(maxsize=1)
def _dummy() -> str:
    return _hasher.hash("no account has this password")


def _verify(stored: str | None, password: str) -> bool:
    # An unknown mail costs the same work as a wrong password, so that timing does not tell them apart.
    try:
        matches = _hasher.verify(stored or _dummy(), password)
    except (VerificationError, InvalidHashError):
        return False
    return matches and stored is not None


async def hash_password(password: str) -> str:
    """The argon2id hash to store."""
    return await asyncio.to_thread(_hasher.hash, password)


async def verify_password(stored: str | None, password: str) -> bool:
    """Whether the password fits; False, after the same work, when there is no stored hash."""
    return await asyncio.to_thread(_verify, stored, password)
