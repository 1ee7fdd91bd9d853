"""The sender: a steady rate of deliveries with unique ids, each sent again until it is answered 2xx."""

import asyncio
import itertools
import random
import time
from collections import Counter
from typing import Any

import aiohttp

OPEN_AT_ONCE = 600
"""Deliveries under way; beyond this none begins until some are answered."""
ANSWER_SECONDS = 15.0
AGAIN_SECONDS = 6.0
"""Longest pause before a delivery is sent again, whatever Retry-After says."""


def event_id(number: int) -> str:
    """What a delivery is called."""
    return f"event-{number}"


def passes(id_: str) -> bool:
    """Whether a delivery asks to be let through by a filter: each other one."""
    return int(id_.removeprefix("event-")) % 2 == 0


class Sender:
    """What a provider does."""

    def __init__(self, hooks: list[str], rate: float, rng: random.Random) -> None:
        self.accepted: dict[str, float] = {}
        """When each delivery was answered 2xx, by its id."""
        self.sent_more_than_once = 0
        self.answers: Counter[str] = Counter()
        self.wrong: list[str] = []
        """Answers that a provider could not act on."""
        self.slowest = 0.0
        """The longest that an answer took, in seconds."""
        self._hooks = hooks
        self._deck: list[str] = []
        self._rate = rate
        self._rng = rng
        self._stopping = asyncio.Event()
        self._open: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Send until `stop`."""
        async with aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS), connector=aiohttp.TCPConnector(limit=200)
        ) as session:
            begin = time.monotonic()
            for number in itertools.count():
                pause = begin + number / self._rate - time.monotonic()
                if pause > 0 and await self._stopped(pause):
                    break
                if self._stopping.is_set():
                    break
                if len(self._open) < OPEN_AT_ONCE:
                    task = asyncio.create_task(self._deliver(session, number, self._next()))
                    self._open.add(task)
                    task.add_done_callback(self._open.discard)
            await asyncio.gather(*self._open)

    def stop(self) -> None:
        """Begin nothing more; what is not answered by now is given up after one more try."""
        self._stopping.set()

    @property
    def unanswered(self) -> int:
        """Deliveries that are still under way."""
        return len(self._open)

    def _next(self) -> str:
        """Dealt like cards, so that however short a play is, each address gets its share."""
        if not self._deck:
            self._deck = self._rng.sample(self._hooks, len(self._hooks))
        return self._deck.pop()

    async def _stopped(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def _deliver(self, session: aiohttp.ClientSession, number: int, url: str) -> None:
        id_ = event_id(number)
        body = {"id": id_, "passes": passes(id_)}
        for attempt in itertools.count():
            last = self._stopping.is_set()
            if attempt == 1:
                self.sent_more_than_once += 1
            pause = await self._once(session, id_, url, body)
            if pause is None or last:
                return
            await self._stopped(pause)

    async def _once(self, session: aiohttp.ClientSession, id_: str, url: str, body: dict[str, Any]) -> float | None:
        """Send it; the seconds after which to try again, or None when it was accepted."""
        began = time.monotonic()
        try:
            async with session.post(url, json=body, headers={"X-Delivery-Id": id_}) as answer:
                text = await answer.text()
        except (aiohttp.ClientError, OSError) as error:
            self.answers["no answer" if isinstance(error, TimeoutError) else "no connection"] += 1
            return self._rng.uniform(1, 4)
        finally:
            self.slowest = max(self.slowest, time.monotonic() - began)
        self.answers[str(answer.status)] += 1
        if answer.status == 202:
            self.accepted[id_] = time.time()
            return None
        again = answer.headers.get("Retry-After", "")
        if answer.status != 503 or not again.isdigit():
            self.wrong.append(f"{id_}: {answer.status}, Retry-After {again!r}: {text[:200]}")
            return self._rng.uniform(0.5, 2)
        return min(float(again), AGAIN_SECONDS) * self._rng.uniform(0.5, 1)
