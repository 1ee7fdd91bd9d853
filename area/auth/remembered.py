"""Answers of the database that are believed for a few seconds: a check at each request costs a look into memory."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from time import monotonic
from typing import Generic, TypeVar

KeyT = TypeVar("KeyT", bound=Hashable)
AnswerT = TypeVar("AnswerT")


class Remembered(Generic[KeyT, AnswerT]):
    """Answers by key, for ``seconds``; those who ask at once wait for one question. The least used are forgotten."""

    def __init__(
        self,
        ask: Callable[[KeyT], Awaitable[AnswerT]],
        seconds: float,
        *,
        keys: int = 20_000,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._ask = ask
        self._seconds = seconds
        self._keys = keys
        self._clock = clock
        self._known: OrderedDict[KeyT, tuple[float, asyncio.Future[AnswerT]]] = OrderedDict()

    async def get(self, key: KeyT) -> AnswerT:
        """The answer. Raises: what the question raises; that is not remembered."""
        until, answer = self._known.get(key, (0.0, None))
        if answer is None or self._clock() >= until:
            answer = asyncio.ensure_future(self._ask(key))
            answer.add_done_callback(_seen)
            self._known[key] = (self._clock() + self._seconds, answer)
            if len(self._known) > self._keys:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        try:
            # One who gives up asking must not take the answer from the others.
            return await asyncio.shield(answer)
        except Exception:
            if self._known.get(key, (0.0, None))[1] is answer:
                self.forget(key)
            raise

    def forget(self, key: KeyT) -> None:
        """Ask again the next time."""
        self._known.pop(key, None)


def _seen(answer: "asyncio.Future[AnswerT]") -> None:
    # With nobody left to ask, a failure is nobody's; asyncio would complain of it.
    if not answer.cancelled():
        answer.exception()
