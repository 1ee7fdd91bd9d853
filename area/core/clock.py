"""The time, in UTC, from one place so that tests can set it."""

import time
from datetime import UTC, datetime, timedelta


def now() -> datetime:
    """The present moment by this machine, with time zone UTC."""
    return datetime.now(UTC)


class Carried:
    """Another clock's moment, carried on by our monotonic one: a step of this machine's clock does not move it."""

    __slots__ = ("_heard", "_moment")

    def __init__(self, moment: datetime) -> None:
        self._moment = moment
        self._heard = time.monotonic()

    def now(self) -> datetime:
        """The present moment by that clock."""
        return self._moment + timedelta(seconds=time.monotonic() - self._heard)
