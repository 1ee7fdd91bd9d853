"""The time, in UTC, from one place so that tests can set it."""

from datetime import UTC, datetime


def now() -> datetime:
    """The present moment, with time zone UTC."""
    return datetime.now(UTC)
