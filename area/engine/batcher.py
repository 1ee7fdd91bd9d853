"""Group commit without a timer: what gathers while one flush is under way is the next flush."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Batcher(Generic[Item, Answer]):
    """Hands items to ``flush`` in batches of at most ``size``, on at most ``lanes`` connections at once.

    An idle batcher adds no delay; one with a ``pause``, in seconds, lets more gather after each flush. A flush that
    raises fails each of its items with that error, unless it is one of ``alone``: then each item is flushed by itself,
    so that what is wrong with one does not befall the others.
    """

    def __init__(
        self,
        flush: Callable[[list[Item]], Awaitable[list[Answer]]],
        *,
        size: int = 256,
        lanes: int = 2,
        alone: tuple[type[Exception], ...] = (),
        pause: float = 0.0,
    ) -> None:
        self._alone = alone
        self._pause = pause
        self._flush = flush
        self._size = size
        self._free = lanes
        self._waiting: list[tuple[Item, asyncio.Future[Answer]]] = []
        self.tasks: set[asyncio.Task[None]] = set()

    def submit(self, item: Item) -> "asyncio.Future[Answer]":
        """Queue one item; the future gives what the flush answered for it."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._free:
            self._free -= 1
            task = asyncio.create_task(self._drain())
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
        return future

    async def _drain(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[: self._size], self._waiting[self._size :]
                await self._settle(batch)
                if self._pause:
                    await asyncio.sleep(self._pause)
        finally:
            self._free += 1

    async def _settle(self, batch: list[tuple[Item, "asyncio.Future[Answer]"]]) -> None:
        try:
            answers = await self._flush([item for item, _ in batch])
        except Exception as error:
            if isinstance(error, self._alone) and len(batch) > 1:
                for one in batch:
                    await self._settle([one])
                return
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
        else:
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)
