"""The one writer of `connected_accounts`. Tokens are sealed for their row; every change of them names the version it follows."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg

from area.core.crypto import SealBroken, Sealer
from area.core.ids import new_id
from area.engine.connections.connected import Connected, Secrets, connected_of
from area.nodes import sdk

READ = """
SELECT id, user_id, service, method, external_id, label, facts, scopes, status, credentials, version, last_error,
  extract(epoch FROM access_expires_at - now())::float8 AS ends_in,
  extract(epoch FROM now() - issued_at)::float8 AS issued_ago,
  extract(epoch FROM retry_at - now())::float8 AS retry_in,
  last_used_at IS NULL OR last_used_at < now() - interval '1 minute' AS use_is_news
FROM connected_accounts WHERE id = $1
"""

USED = "UPDATE connected_accounts SET last_used_at = now() WHERE id = $1"

# The attempt is written ahead: whoever finds a claim that has run out knows that an answer may have been lost.
CLAIM = """
UPDATE connected_accounts SET claim = $3, claim_until = now() + $4::interval
WHERE id = $1 AND version = $2 AND status IN ('active', 'expiring') AND (claim_until IS NULL OR claim_until < now())
  AND (retry_at IS NULL OR retry_at <= now())
RETURNING id
"""

# The first good grant is kept, whoever has the claim by now: two tokens of one rotation cannot both be good.
REFRESHED = """
UPDATE connected_accounts SET credentials = $3, access_expires_at = now() + $4::interval, version = version + 1, issued_at = now(),
  expires_at = CASE WHEN $5::interval IS NULL THEN expires_at ELSE now() + $5::interval END,
  claim = NULL, claim_until = NULL, retry_at = NULL, failures_in_row = 0, last_error = NULL, died_at = NULL,
  status = CASE WHEN coalesce(now() + $5::interval, expires_at) < now() + interval '7 days' THEN 'expiring' ELSE 'active' END
WHERE id = $1 AND version = $2 AND status <> 'revoked' RETURNING id
"""

POSTPONED = """
UPDATE connected_accounts SET claim = NULL, claim_until = NULL, failures_in_row = failures_in_row + 1, last_error = $3,
  retry_at = now() + greatest($4::interval, least(interval '5 minutes', interval '1 second' * 2 ^ least(failures_in_row, 10)))
WHERE id = $1 AND claim = $2
"""

LET_GO = "UPDATE connected_accounts SET claim = NULL, claim_until = NULL WHERE id = $1 AND claim = $2"

_DEAD = """
UPDATE connected_accounts SET status = 'needs_reconnect', died_at = now(), last_error = {reason}, claim = NULL, claim_until = NULL,
  retry_at = NULL WHERE {where} AND status IN ('active', 'expiring') RETURNING id
"""
DIED = _DEAD.format(reason="$3", where="id = $1 AND version = $2")
GONE = _DEAD.format(reason="$3", where="service = $1 AND external_id = $2")

SAVE = """
INSERT INTO connected_accounts AS a (id, user_id, service, method, external_id, label, avatar_url, facts, scopes, credentials,
  version, issued_at, access_expires_at, expires_at, check_at)
VALUES ($1, $2, $3, $4, $5, coalesce($6, $7), $8, $9, $10, $11, 1, now(), now() + $12::interval, now() + $13::interval,
  now() + $14::interval)
ON CONFLICT (user_id, service, external_id) DO UPDATE SET method = excluded.method, avatar_url = excluded.avatar_url,
  -- A name that its owner gave it stays.
  label = CASE WHEN $6::text IS NOT NULL OR a.status = 'revoked' THEN excluded.label ELSE a.label END,
  facts = excluded.facts, scopes = excluded.scopes, credentials = excluded.credentials, version = a.version + 1,
  access_expires_at = excluded.access_expires_at, expires_at = excluded.expires_at, check_at = excluded.check_at, status = 'active',
  created_at = CASE WHEN a.status = 'revoked' THEN now() ELSE a.created_at END,
  issued_at = now(), claim = NULL, claim_until = NULL, retry_at = NULL, failures_in_row = 0, last_error = NULL, died_at = NULL
RETURNING id
"""

BLANK = """
UPDATE connected_accounts SET status = 'revoked', credentials = NULL, scopes = '[]', facts = '{}', avatar_url = NULL,
  version = version + 1, access_expires_at = NULL, expires_at = NULL, issued_at = NULL, claim = NULL, claim_until = NULL,
  retry_at = NULL, check_at = NULL, died_at = NULL, last_error = NULL
WHERE id = $1 AND user_id = $2 AND status <> 'revoked' RETURNING id
"""

RENAME = "UPDATE connected_accounts SET label = $3 WHERE id = $1 AND user_id = $2 AND status <> 'revoked' RETURNING id"

FIND = (
    "SELECT id FROM connected_accounts WHERE user_id = $1 AND service = $2 AND external_id = $3 AND status <> 'revoked'"
)

SHARED = """
SELECT 1 FROM connected_accounts WHERE service = $1 AND external_id = $2 AND id <> $3 AND status IN ('active', 'expiring') LIMIT 1
"""

DUE_CHECKS = """
WITH due AS (
  SELECT id FROM connected_accounts WHERE check_at <= now() AND status IN ('active', 'expiring')
  ORDER BY check_at LIMIT $1 FOR UPDATE SKIP LOCKED
)
UPDATE connected_accounts SET check_at = now() + interval '2 minutes' FROM due WHERE connected_accounts.id = due.id
RETURNING connected_accounts.id, service
"""

MADE_DUE = """
UPDATE connected_accounts SET check_at = now()
WHERE check_at IS NULL AND method = 'oauth2' AND service = ANY($1::text[]) AND status IN ('active', 'expiring')
"""

SERVICES = "SELECT DISTINCT service FROM connected_accounts"

EXPIRING = """
UPDATE connected_accounts SET status = 'expiring' WHERE status = 'active' AND expires_at < now() + interval '7 days'
"""

CHECKED = "UPDATE connected_accounts SET check_at = now() + $2::interval WHERE id = $1 AND check_at IS NOT NULL"


def context_of(user_id: UUID, service: str, external_id: str) -> str:
    """What binds sealed secrets to their row: the three columns that are unique together and never change."""
    return f"connected_account:{user_id}:{service}:{external_id}"


@dataclass(frozen=True, slots=True)
class NewAccount:
    """What a consent or a tried key gives."""

    user_id: UUID
    service: str
    method: str
    profile: sdk.Profile
    secrets: Secrets = field(repr=False)
    scopes: frozenset[str] = frozenset()
    label: str | None = None
    """The name that its owner gives it; None: what the provider calls it."""
    expires_in: float | None = None
    """Seconds that the access token lives."""
    consent_ends_in: float | None = None
    check_every: timedelta | None = None


class Store:
    """Reads and writes accounts; nothing here speaks to a provider."""

    def __init__(self, pool: asyncpg.Pool, sealer: Sealer) -> None:
        self._pool = pool
        self._sealer = sealer

    async def read(self, account_id: UUID, *, mark_used: bool = False, is_lenient: bool = False) -> Connected | None:
        """The account with its secrets opened. Raises: SealBroken, unless ``is_lenient``: then it has none."""
        row = await self._pool.fetchrow(READ, account_id)
        if row is None:
            return None
        if mark_used and row["use_is_news"]:
            await self._pool.execute(USED, account_id)
        secrets = Secrets()
        if row["credentials"] is not None:
            context = context_of(row["user_id"], row["service"], row["external_id"])
            try:
                secrets = Secrets.unpacked(self._sealer.open(row["credentials"], context))
            except SealBroken:
                if not is_lenient:
                    raise
        return connected_of(row, secrets)

    async def save(self, new: NewAccount) -> UUID:
        """Keep a new account, or renew the one that it is; the answer is its id."""
        profile = new.profile
        context = context_of(new.user_id, new.service, profile.external_id)
        saved: UUID = await self._pool.fetchval(
            SAVE, new_id(), new.user_id, new.service, new.method, profile.external_id, new.label, profile.label,
            profile.avatar_url, dict(profile.facts), sorted(new.scopes), self._sealer.seal(new.secrets.packed(), context),
            _interval(new.expires_in), _interval(new.consent_ends_in), new.check_every,
        )  # fmt: skip
        return saved

    async def claim(self, account: Connected, claim: UUID, lease: timedelta) -> bool:
        """Begin a refresh, unless somebody else has or it is too soon after one that failed."""
        return await self._pool.fetchval(CLAIM, account.id, account.version, claim, lease) is not None

    async def refreshed(self, account: Connected, grant: sdk.Grant) -> bool:
        """Keep the tokens of a refresh; False when the secrets have been replaced meanwhile."""
        context = context_of(account.user_id, account.service, account.account.external_id)
        sealed = self._sealer.seal(account.secrets.after(grant).packed(), context)
        ends = _interval(grant.expires_in), _interval(consent_ends_in(grant))
        return await self._pool.fetchval(REFRESHED, account.id, account.version, sealed, *ends) is not None

    async def postponed(self, account_id: UUID, claim: UUID, reason: str, wait: float = 0.0) -> None:
        """A refresh came to nothing for now; the next is put off by ``wait`` seconds at least, longer each time."""
        await self._pool.execute(POSTPONED, account_id, claim, reason[:1000], timedelta(seconds=wait))

    async def let_go(self, account_id: UUID, claim: UUID) -> None:
        """Give a claim back: there was nothing to refresh."""
        await self._pool.execute(LET_GO, account_id, claim)

    async def died(self, account: Connected, reason: str) -> bool:
        """The consent behind these very secrets is gone; False when they have been replaced, or that is known."""
        return await self._pool.fetchval(DIED, account.id, account.version, reason[:1000]) is not None

    async def gone(self, service: str, external_id: str, reason: str) -> list[UUID]:
        """The provider says that this account's consent is gone, whoever has connected it."""
        rows = await self._pool.fetch(GONE, service, external_id, reason[:1000])
        return [row["id"] for row in rows]

    async def blank(self, account_id: UUID, user_id: UUID) -> bool:
        """Forget every secret of an account; its row stays, so that what refers to it finds it again if it comes back."""
        return await self._pool.fetchval(BLANK, account_id, user_id) is not None

    async def rename(self, account_id: UUID, user_id: UUID, label: str) -> bool:
        """Give an account a name."""
        return await self._pool.fetchval(RENAME, account_id, user_id, label) is not None

    async def find(self, user_id: UUID, service: str, external_id: str) -> Connected | None:
        """The account that a user has with this identity; None when there is none, or it was disconnected."""
        found = await self._pool.fetchval(FIND, user_id, service, external_id)
        return None if found is None else await self.read(found, is_lenient=True)

    async def is_shared(self, account: Connected) -> bool:
        """Whether somebody else has connected the very same account, so that a revocation would end theirs too."""
        given = account.service, account.account.external_id, account.id
        return await self._pool.fetchval(SHARED, *given) is not None

    async def due_checks(self, at_once: int) -> list[asyncpg.Record]:
        """Accounts whose validation is due, claimed for two minutes."""
        rows: list[asyncpg.Record] = await self._pool.fetch(DUE_CHECKS, at_once)
        return rows

    async def services(self) -> list[str]:
        """The keys of the services that accounts are connected to."""
        return [row["service"] for row in await self._pool.fetch(SERVICES)]

    async def make_due(self, services: list[str]) -> None:
        """Let the validation of these services' accounts begin, where it has not."""
        await self._pool.execute(MADE_DUE, services)

    async def mark_expiring(self) -> None:
        """Say of accounts whose consent ends within a week that it does."""
        await self._pool.execute(EXPIRING)

    async def checked(self, account_id: UUID, after: timedelta) -> None:
        """Look again after this time."""
        await self._pool.execute(CHECKED, account_id, after)


def consent_ends_in(grant: sdk.Grant, lasts: timedelta | None = None) -> float | None:
    """Seconds until the consent itself ends, where the answer says: the refresh token's life, or the only token's.

    Where it does not: ``lasts``, for a new consent at a provider whose consents end.
    """
    for name in ("refresh_token_expires_in", "refresh_expires_in"):
        given: Any = grant.extra.get(name)
        if isinstance(given, int | float) and given > 0:
            return float(given)
    return lasts.total_seconds() if lasts else None


def _interval(seconds: float | None) -> timedelta | None:
    # A life beyond a century is none to count with.
    return None if seconds is None else timedelta(seconds=min(seconds, 3.2e9))
