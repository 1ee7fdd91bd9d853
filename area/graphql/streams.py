"""How many live streams a user may have at once in this process."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from area.graphql.documents import Refused
from area.graphql.limits import refused


class Streams:
    """Counts the streams that are open, by who pays for them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: Counter[str] = Counter()

    def open(self, payer: str) -> int:
        """How many this one has."""
        return self._open[payer]

    @contextmanager
    def one(self, payer: str) -> Iterator[None]:
        """Room for one more stream. Raises: Refused when there is none."""
        if self._open[payer] >= self._most:
            message = f"You have {self._most} live streams open, the most there may be; end one first."
            raise Refused([refused("SUBSCRIPTION_LIMIT", message)])
        self._open[payer] += 1
        try:
            yield
        finally:
            self._open[payer] -= 1
            if not self._open[payer]:
                del self._open[payer]
