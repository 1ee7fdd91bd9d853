"""How far an outgoing call has got: whether anything has left us, so that a cancel knows if it can still be in time."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Flight:
    """One call of a reaction, with every request that it makes. It can be aborted while nothing has left.

    ``harmless`` calls touch nothing outside and can always be aborted. The others can while they are `held_back` and have not
    sent anything: a call that does something else may be speaking to somebody by other means.
    """

    __slots__ = ("_held_back", "_task", "aborted", "harmless", "sent")

    def __init__(self, *, harmless: bool) -> None:
        self.harmless = harmless
        self.sent = False
        self.aborted = False
        self._held_back = 0
        self._task = asyncio.current_task()

    def abort(self) -> None:
        """Cancel the call if nothing can have come of it yet."""
        in_time = self.harmless or (self._held_back > 0 and not self.sent)
        if in_time and not self.aborted and self._task is not None:
            self.aborted = True
            self._task.cancel()

    @contextmanager
    def under_way(self) -> Iterator[None]:
        """The flight of what is called inside. Raises: Aborted; and errors, where the call would end more than itself."""
        token = _flight.set(self)
        try:
            yield
        except asyncio.CancelledError:
            if self._task is None or not self._task.cancelling():
                raise ConnectionAbortedError("The call was cancelled from inside.") from None
            if not self.aborted:
                raise
            self._task.uncancel()
            raise Aborted from None
        except SystemExit:
            raise RuntimeError("The call wanted to end the process.") from None
        finally:
            _flight.reset(token)


class Aborted(Exception):
    """The call was given up before anything of it had left."""


@contextmanager
def held_back() -> Iterator[None]:
    """While inside, the present call waits for its turn or a connection; unless it has sent something before, nothing has left."""
    flight = _flight.get()
    if flight is None:
        yield
        return
    flight._held_back += 1
    try:
        yield
    finally:
        flight._held_back -= 1


def leaves() -> None:
    """The present call is about to send its first byte."""
    flight = _flight.get()
    if flight is not None:
        flight.sent = True


_flight: ContextVar[Flight | None] = ContextVar("flight", default=None)
