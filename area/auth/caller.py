"""Who is calling, by which credential, and what that lets them do."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from math import inf
from uuid import UUID

from area.core.clock import now


class Scope(StrEnum):
    """What an API token may be used for. A signed-in session may do everything."""

    READ = "read"
    WRITE = "write"


EVERYTHING = frozenset(Scope)


@dataclass(frozen=True)
class SessionKey:
    """Came by the access token of this session."""

    id: UUID


@dataclass(frozen=True)
class ApiKey:
    """Came by the API token with this hash."""

    hash: bytes


@dataclass(frozen=True)
class Caller:
    """A user, until ``expires_at`` where that is set; without a ``credential`` somebody else vouches for them (Supabase)."""

    user_id: UUID
    expires_at: datetime | None
    credential: SessionKey | ApiKey | None = None
    scopes: frozenset[Scope] = EVERYTHING

    @property
    def is_session(self) -> bool:
        """Whether a person signed in, as opposed to a program with an API token."""
        return not isinstance(self.credential, ApiKey)

    @property
    def seconds_left(self) -> float:
        """How long the credential is still good, unless it is revoked."""
        return inf if self.expires_at is None else max(0.0, (self.expires_at - now()).total_seconds())
