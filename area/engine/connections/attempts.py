"""Ways to a consent page and back: each is one row, taken by one atomic UPDATE, and good for nothing afterwards."""

import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from area.core.crypto import SealBroken, Sealer
from area.core.ids import new_id

LIFE = timedelta(minutes=10)
MOST_OPEN = 50
"""Attempts that one user may have open at once."""

OPEN = """
INSERT INTO connection_attempts (id, user_id, service, account_id, scopes, return_to, browser_hash, secret, expires_at)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, now() + $9::interval
WHERE (SELECT count(*) FROM connection_attempts WHERE user_id = $2 AND status = 'open' AND expires_at > now()) < $10
RETURNING expires_at
"""

TAKE = """
WITH found AS (SELECT id, secret, status AS was, expires_at > now() AS is_fresh FROM connection_attempts WHERE id = $1 FOR UPDATE
), taken AS (
  UPDATE connection_attempts SET status = 'used', secret = NULL FROM found
  WHERE connection_attempts.id = found.id AND found.was = 'open' AND found.is_fresh
)
SELECT a.id, a.user_id, a.service, a.account_id, a.scopes, a.return_to, a.browser_hash, found.secret, found.was, found.is_fresh
FROM connection_attempts a JOIN found ON found.id = a.id
"""

PUT_ASIDE = """
UPDATE connection_attempts SET status = 'unconfirmed', secret = $2, code_hash = $3, expires_at = now() + $4::interval WHERE id = $1
"""

# Whoever comes with the code ends the attempt: somebody else's try leaves nothing to try again.
CONFIRM = """
WITH found AS (SELECT id, secret, expires_at > now() AS is_fresh FROM connection_attempts
  WHERE code_hash = $1 AND status = 'unconfirmed' FOR UPDATE
), taken AS (
  UPDATE connection_attempts SET status = 'used', secret = NULL FROM found WHERE connection_attempts.id = found.id
)
SELECT a.id, a.user_id, a.service, a.account_id, a.scopes, a.return_to, a.browser_hash, found.secret, found.is_fresh
FROM connection_attempts a JOIN found ON found.id = a.id
"""

FORGET = "DELETE FROM connection_attempts WHERE expires_at < now() - interval '1 day'"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One way there and back."""

    user_id: UUID
    service: str
    account_id: UUID | None
    scopes: frozenset[str]
    return_to: str | None
    browser_hash: bytes | None = field(default=None, repr=False)
    secret: str | None = field(default=None, repr=False)
    """The PKCE verifier; once the browser is back, what was granted."""
    id: UUID = field(default_factory=new_id)


@dataclass(frozen=True, slots=True)
class Taken:
    """An attempt that somebody came back with, and whether it is theirs to use."""

    attempt: Attempt
    is_expired: bool = False
    is_replayed: bool = False


class Attempts:
    """Reads and writes attempts."""

    def __init__(self, pool: asyncpg.Pool, sealer: Sealer) -> None:
        self._pool = pool
        self._sealer = sealer

    async def open(self, new: Attempt) -> datetime | None:
        """Keep a new attempt; the answer is when it expires, None when its user has too many open."""
        secret = None if new.secret is None else self._sealer.seal(new.secret, _context(new.id))
        expires: datetime | None = await self._pool.fetchval(
            OPEN, new.id, new.user_id, new.service, new.account_id, sorted(new.scopes), new.return_to, new.browser_hash,
            secret, LIFE, MOST_OPEN,
        )  # fmt: skip
        return expires

    async def take(self, attempt_id: UUID) -> Taken | None:
        """Use an attempt up; of all who ask at once, one gets it. None: there is none, or none any more."""
        row = await self._pool.fetchrow(TAKE, attempt_id)
        if row is None:
            return None
        is_replayed = row["was"] != "open"
        return Taken(self._attempt(row), is_expired=not row["is_fresh"] and not is_replayed, is_replayed=is_replayed)

    async def put_aside(self, attempt: Attempt, granted: str) -> str:
        """Keep what was granted until its user confirms it; the answer is the code for that."""
        code = secrets.token_urlsafe(24)
        sealed = self._sealer.seal(granted, _context(attempt.id))
        await self._pool.execute(PUT_ASIDE, attempt.id, sealed, _hash(code), LIFE)
        return code

    async def confirm(self, code: str) -> Taken | None:
        """Take what was put aside; None when there is nothing by this code."""
        row = await self._pool.fetchrow(CONFIRM, _hash(code))
        return None if row is None else Taken(self._attempt(row), is_expired=not row["is_fresh"])

    async def forget(self) -> None:
        """Delete what has long been good for nothing."""
        await self._pool.execute(FORGET)

    def _attempt(self, row: Any) -> Attempt:
        secret = None
        if row["secret"] is not None:
            try:
                secret = self._sealer.open(row["secret"], _context(row["id"]))
            except SealBroken:
                secret = None
        return Attempt(
            row["user_id"], row["service"], row["account_id"], frozenset(row["scopes"]), row["return_to"],
            row["browser_hash"], secret, row["id"],
        )  # fmt: skip


def browser_hash(nonce: str) -> bytes:
    """What is kept of a browser's nonce."""
    return _hash(nonce)


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _context(attempt_id: UUID) -> str:
    return f"connection_attempt:{attempt_id}"
