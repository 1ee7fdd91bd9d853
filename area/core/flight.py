"""How far an outgoing call has got: whether anything has left us, so that a cancel knows if it can still be in time."""

import asyncio
from contextvars import ContextVar, Token
from types import TracebackType


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

    def under_way(self) -> "UnderWay":
        """The flight of what is called inside. Raises: Aborted; and errors, where the call would end more than itself."""
        return UnderWay(self)

    def _ended_by(self, error: BaseException | None) -> None:
        match error:
            case asyncio.CancelledError():
                if self._task is None or not self._task.cancelling():
                    raise ConnectionAbortedError("The call was cancelled from inside.") from None
                if self.aborted:
                    self._task.uncancel()
                    raise Aborted from None
            case SystemExit():
                raise RuntimeError("The call wanted to end the process.") from None


class Aborted(Exception):
    """The call was given up before anything of it had left."""


# Every call goes through the two below: as classes they cost a third of what generators would.


class UnderWay:
    """The context of `Flight.under_way`."""

    __slots__ = ("_flight", "_token")

    def __init__(self, flight: Flight) -> None:
        self._flight = flight

    def __enter__(self) -> None:
        self._token: Token[Flight | None] = _flight.set(self._flight)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        _flight.reset(self._token)
        if error is not None:
            self._flight._ended_by(error)


class held_back:  # noqa: N801 - reads as the verb it is
    """While inside, the present call waits for its turn or a connection; unless it has sent something before, nothing has left."""

    __slots__ = ("_flight",)

    def __enter__(self) -> None:
        self._flight = _flight.get()
        if self._flight is not None:
            self._flight._held_back += 1

    def __exit__(self, *_: object) -> None:
        if self._flight is not None:
            self._flight._held_back -= 1


def leaves() -> None:
    """The present call is about to send its first byte."""
    flight = _flight.get()
    if flight is not None:
        flight.sent = True


_flight: ContextVar[Flight | None] = ContextVar("flight", default=None)
