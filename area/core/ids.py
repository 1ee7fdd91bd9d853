"""Time-ordered identifiers (UUIDv7, RFC 9562) and their opaque GraphQL form."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime
from uuid import UUID

import uuid_utils

_uuid7 = uuid_utils.uuid7


def new_id() -> UUID:
    """A new UUIDv7: sorts by the time it was made."""
    return UUID(int=_uuid7().int)


def first_id_at(moment: datetime) -> UUID:
    """The least id that can have been made at ``moment`` or later."""
    return UUID(int=max(0, int(moment.timestamp() * 1000)) << 80)


def to_global(kind: str, key: UUID | str) -> str:
    """The opaque id that the API shows for a row of ``kind``."""
    return urlsafe_b64encode(f"{kind}:{key}".encode()).decode().rstrip("=")


def from_global(value: str) -> tuple[str, str]:
    """Kind and key of an opaque id.

    Raises: ValueError when it is not one of ours.
    """
    try:
        kind, _, key = urlsafe_b64decode(value + "=" * (-len(value) % 4)).decode().partition(":")
    except (ValueError, UnicodeError):
        kind, key = "", ""
    if not kind or not key:
        raise ValueError(f"{value[:60]!r} is not an id of this API")
    return kind, key


def uuid_of(value: str, kind: str) -> UUID | None:
    """The row id inside an opaque id of ``kind``, or None when it is anything else."""
    try:
        found, key = from_global(value)
        return UUID(key) if found == kind else None
    except ValueError:
        return None


def row_uuid(value: str, kind: str) -> UUID | None:
    """The row id in an opaque id of ``kind``, or ``value`` itself where it is one; None when it is neither."""
    try:
        return uuid_of(value, kind) or UUID(value)
    except ValueError:
        return None
