"""The feed's pub/sub: broadcaster on a Redis backend that survives Redis, and one conflating wake-up per listener."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import orjson
from broadcaster import Broadcast, BroadcastBackend, Event
from redis.asyncio import Redis
from redis.exceptions import RedisError

from area.core import log

logger = log.get(__name__)

CHANNEL = "area:feed"
CANCELS = "cancels"
"""The key that workers listen to: some run that is under way is asked to end."""
GAP = "gap"
"""The message that listeners get when the subscription begins, or begins again: something may have been missed."""
BEGIN_SECONDS = 5.0
"""How long a stop waits for a subscription that has yet to begin."""
QUIET_SECONDS = 10.0
"""After this long without a word the connection is asked for a sign of life, and given up after as long again."""


class SupervisedRedis(BroadcastBackend):
    """A broadcaster backend that reconnects for ever, with back-off, and says when there may be a gap."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._pubsub = redis.pubsub()
        self._channels: set[str] = set()
        self._changed = asyncio.Event()

    async def connect(self) -> None:
        """Nothing to do before the first channel."""

    async def disconnect(self) -> None:
        """Drop the subscription's connection."""
        with suppress(RedisError, OSError):
            await self._pubsub.aclose()  # type: ignore[no-untyped-call]

    async def subscribe(self, channel: str) -> None:
        """Listen to one more channel."""
        self._channels.add(channel)
        with suppress(RedisError, OSError):
            await self._pubsub.subscribe(channel)
        self._changed.set()

    async def unsubscribe(self, channel: str) -> None:
        """Stop listening to a channel."""
        self._channels.discard(channel)
        with suppress(RedisError, OSError):
            await self._pubsub.unsubscribe(channel)

    async def publish(self, channel: str, message: str) -> None:
        """Say it. Raises: RedisError when Redis is out of reach."""
        await self._redis.publish(channel, message)

    async def next_published(self) -> Event:
        """The next message; at the begin of a subscription, and after a lost connection, a `GAP`."""
        await self._changed.wait()
        delay = 0.1
        lost_at: float | None = None
        while True:
            try:
                if lost_at is not None:
                    await self._pubsub.aclose()  # type: ignore[no-untyped-call]
                    self._pubsub = self._redis.pubsub()
                    await self._pubsub.subscribe(*self._channels)
                    logger.info("redis.back", away_seconds=round(time.monotonic() - lost_at, 1))
                    lost_at = None
                message = await self._heard()
            except (RedisError, OSError, RuntimeError) as error:
                if lost_at is None:
                    lost_at = time.monotonic()
                    logger.warning(
                        "redis.away",
                        error=repr(error),
                        until_then="runs and feeds go on from Postgres, up to seconds later",
                    )
                await asyncio.sleep(delay)
                delay = min(delay * 2, 2)
                continue
            # The client subscribes again by itself where it can, and tells of it by this message alone.
            if message["type"] == "subscribe":
                return Event(CHANNEL, GAP)
            if message["type"] == "message":
                return Event(message["channel"].decode(), message["data"].decode())

    async def _heard(self) -> Any:
        """What Redis says next. Raises: OSError when it says nothing at all, not even to a ping."""
        asked_at: float | None = None
        while True:
            message = await self._pubsub.get_message(timeout=QUIET_SECONDS)
            if message:
                return message
            moment = time.monotonic()
            if asked_at is None:
                await self._pubsub.ping()
                asked_at = moment
            elif moment - asked_at >= QUIET_SECONDS:
                raise TimeoutError("Redis does not answer.")


class Wakeups:
    """Wakes listeners by key (a user's id, a run's id). One flag each, so memory is bounded however much happens."""

    def __init__(self, broadcast: Broadcast) -> None:
        self._broadcast = broadcast
        self._listeners: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._task: asyncio.Task[None] | None = None
        self._begun = asyncio.Event()

    async def start(self) -> None:
        """Begin to listen."""
        await self._broadcast.connect()
        self._task = asyncio.create_task(self._pump())

    async def stop(self) -> None:
        """Stop listening."""
        if self._task:
            # A subscription that is cancelled while it connects may lose the cancellation, and wait for ever.
            begun = asyncio.create_task(self._begun.wait())
            await asyncio.wait({begun, self._task}, timeout=BEGIN_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            begun.cancel()
            self._task.cancel()
            # A subscription that is cut short in its beginning ends with an error of broadcaster's own.
            await asyncio.gather(self._task, return_exceptions=True)
        with suppress(asyncio.CancelledError):
            await self._broadcast.disconnect()

    @contextmanager
    def listen(self, key: str) -> Iterator[asyncio.Event]:
        """A flag that is set whenever something about ``key`` may have changed."""
        flag = asyncio.Event()
        self._listeners[key].add(flag)
        try:
            yield flag
        finally:
            self._listeners[key].discard(flag)
            if not self._listeners[key]:
                del self._listeners[key]

    async def _pump(self) -> None:
        async with self._broadcast.subscribe(CHANNEL) as messages:
            self._begun.set()
            while True:
                self._wake((await messages.get()).message)

    def _wake(self, message: str) -> None:
        if message == GAP:
            flags = [flag for flags in self._listeners.values() for flag in flags]
        else:
            keys = {key for change in orjson.loads(message) for key in change}
            flags = [flag for key in keys for flag in self._listeners.get(key, ())]
        for flag in flags:
            flag.set()
