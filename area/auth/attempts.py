"""A leaky bucket per key, in memory and bounded: sign-in attempts per mail, query cost per user."""

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic


class Buckets:
    """Each key may spend ``capacity`` at once, and wins back ``per_second``; the least used keys are forgotten."""

    def __init__(
        self, capacity: float, per_second: float, *, keys: int = 100_000, clock: Callable[[], float] = monotonic
    ) -> None:
        self.capacity = capacity
        self.per_second = per_second
        self._keys = keys
        self._clock = clock
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def level(self, key: str) -> float:
        """How much of the bucket is spent now."""
        level, since = self._levels.get(key, (0.0, 0.0))
        return max(0.0, level - (self._clock() - since) * self.per_second)

    def spend(self, key: str, amount: float = 1.0) -> float | None:
        """Take ``amount``; None when it fitted, else the seconds to wait, and nothing is taken."""
        level = self.level(key)
        if level + amount > self.capacity:
            return (level + amount - self.capacity) / self.per_second
        self._levels[key] = (level + amount, self._clock())
        self._levels.move_to_end(key)
        if len(self._levels) > self._keys:
            self._levels.popitem(last=False)
        return None

    def clear(self, key: str) -> None:
        """Forget what this key spent."""
        self._levels.pop(key, None)
