"""A connected account, opened for use in this process."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from area.nodes import sdk

LIVE = ("active", "expiring")


@dataclass(frozen=True, slots=True)
class Secrets:
    """What is sealed of an account: tokens of a grant or a session, and what its owner typed in."""

    access_token: str | None = field(default=None, repr=False)
    refresh_token: str | None = field(default=None, repr=False)
    fields: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def packed(self) -> str:
        """As text, to be sealed."""
        return orjson.dumps(
            {"access": self.access_token, "refresh": self.refresh_token, "fields": self.fields}
        ).decode()

    @classmethod
    def unpacked(cls, text: str) -> "Secrets":
        """From what `packed` made."""
        found = orjson.loads(text)
        return cls(found["access"], found["refresh"], found["fields"])

    def after(self, grant: sdk.Grant) -> "Secrets":
        """With the tokens of a refresh; one that came without a refresh token leaves the old one good."""
        return Secrets(grant.access_token, grant.refresh_token or self.refresh_token, self.fields)


@dataclass(frozen=True, slots=True)
class Connected:
    """One account and its secrets, as of ``version``."""

    id: UUID
    user_id: UUID
    service: str
    method: str
    status: str
    account: sdk.Account
    secrets: Secrets = field(repr=False)
    version: int
    """Counts the writes of its secrets."""
    ends_at: float | None = None
    """When the access token ends, by `time.monotonic`; None: it does not say."""
    life: float | None = None
    """How long the access token lives in all, in seconds."""
    issued_ago: float = 0.0
    """Seconds since its tokens were given."""
    retry_in: float = 0.0
    """Seconds until a refresh may be tried again after one that failed."""
    last_error: str | None = None

    @property
    def is_live(self) -> bool:
        """Whether it can be used."""
        return self.status in LIVE

    @property
    def seconds_left(self) -> float:
        """Of the access token's life; infinite when it does not say."""
        return float("inf") if self.ends_at is None else self.ends_at - time.monotonic()


def after_refresh(account: Connected, grant: sdk.Grant) -> Connected:
    """The account as it is once the tokens of a refresh are kept."""
    return replace(
        account,
        secrets=account.secrets.after(grant),
        version=account.version + 1,
        ends_at=None if grant.expires_in is None else time.monotonic() + grant.expires_in,
        life=grant.expires_in,
        issued_ago=0.0,
        last_error=None,
    )


def connected_of(row: asyncpg.Record, secrets: Secrets) -> Connected:
    """The account in a row of `store.READ`."""
    ends_in, issued_ago = row["ends_in"], row["issued_ago"] or 0.0
    return Connected(
        id=row["id"],
        user_id=row["user_id"],
        service=row["service"],
        method=row["method"],
        status=row["status"],
        account=sdk.Account(
            id=str(row["id"]),
            external_id=row["external_id"],
            label=row["label"],
            scopes=frozenset(row["scopes"]),
            facts=row["facts"],
        ),
        secrets=secrets,
        version=row["version"],
        ends_at=None if ends_in is None else time.monotonic() + ends_in,
        life=None if ends_in is None else ends_in + issued_ago,
        issued_ago=issued_ago,
        retry_in=max(0.0, row["retry_in"] or 0.0),
        last_error=row["last_error"],
    )
