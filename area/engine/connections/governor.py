"""The rate governor: what providers say of their limits, shared by all workers through Redis, so that a call that would be refused
is not made. While Redis is away each process goes by what it has heard itself.

An account has one budget for all its calls, and pauses of single routes where the provider counts those apart (Discord's
buckets, GitHub's resources). ``remaining`` is counted down here at each call, so that workers that ask at once do not all
take the last one.
"""

import asyncio
import hashlib
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
from redis.asyncio import Redis
from redis.exceptions import RedisError

from area.core import log
from area.nodes import sdk

logger = log.get(__name__)

REDIS_SECONDS = 0.5
AWAY_SECONDS = 5.0
"""How long a Redis that failed is not asked again."""
KEPT_MS = 3_600_000
SAME_WINDOW_MS = 2_000
"""Resets that differ by less are of one window: some are reckoned from seconds left."""
KEPT_ACCOUNTS = 10_000

# Times are in milliseconds since the epoch, by the callers' clocks.
ADMIT = """
local f = redis.call('HMGET', KEYS[1], 'blocked', 'remaining', 'reset')
local now, wait = tonumber(ARGV[1]), redis.call('PTTL', KEYS[2])
wait = math.max(wait, (tonumber(f[1]) or 0) - now, 0)
if f[2] and (tonumber(f[3]) or 0) > now then
  if tonumber(f[2]) <= 0 then wait = math.max(wait, tonumber(f[3]) - now)
  elseif wait == 0 then redis.call('HINCRBY', KEYS[1], 'remaining', -1) end
end
return wait
"""

LEARN = """
local now, limit, remaining, reset, wait, route = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), ARGV[6]
if route == '1' then
  if wait > 0 then redis.call('SET', KEYS[2], '1', 'PX', wait) end
  return 0
end
if limit ~= '' then redis.call('HSET', KEYS[1], 'limit', limit) end
if remaining ~= '' and reset ~= '' then
  local f = redis.call('HMGET', KEYS[1], 'remaining', 'reset')
  local same = f[1] and math.abs((tonumber(f[2]) or 0) - tonumber(reset)) < tonumber(ARGV[7])
  if same and tonumber(f[1]) < tonumber(remaining) then remaining = f[1] end
  redis.call('HSET', KEYS[1], 'remaining', remaining, 'reset', reset)
end
if wait > 0 then
  local till = math.max(now + wait, tonumber(redis.call('HGET', KEYS[1], 'blocked') or '0'))
  redis.call('HSET', KEYS[1], 'blocked', till)
end
redis.call('PEXPIRE', KEYS[1], math.max(tonumber(ARGV[8]), wait))
return 0
"""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """What is known of an account's budget."""

    limit: int | None
    remaining: int | None
    resets_at: datetime | None
    blocked_until: datetime | None


@dataclass(frozen=True, slots=True)
class Lesson:
    """What one answer says; times in milliseconds."""

    limit: int | None = None
    remaining: int | None = None
    reset: int | None = None
    wait: int = 0
    is_route: bool = False


@dataclass(slots=True)
class _Budget:
    """One account, as this process knows it."""

    limit: int | None = None
    remaining: int | None = None
    reset: int = 0
    blocked: int = 0
    routes: dict[str, int] = field(default_factory=dict)

    def admit(self, now: int, route: str) -> int:
        wait = max(0, self.blocked - now, self.routes.get(route, 0) - now)
        if self.remaining is not None and self.reset > now:
            if self.remaining <= 0:
                wait = max(wait, self.reset - now)
            elif wait == 0:
                self.remaining -= 1
        return wait

    def learn(self, now: int, route: str, lesson: Lesson) -> None:
        if lesson.is_route:
            self.routes = {name: till for name, till in self.routes.items() if till > now}
            if lesson.wait:
                self.routes[route] = now + lesson.wait
            return
        self.limit = lesson.limit if lesson.limit is not None else self.limit
        if lesson.remaining is not None and lesson.reset is not None:
            same = self.remaining is not None and abs(self.reset - lesson.reset) < SAME_WINDOW_MS
            self.remaining = min(self.remaining or 0, lesson.remaining) if same else lesson.remaining
            self.reset = lesson.reset
        if lesson.wait:
            self.blocked = max(self.blocked, now + lesson.wait)


class Governor:
    """The budgets of all accounts."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._away_until = 0.0
        self._here: dict[str, _Budget] = {}

    def gate(self, key: str, service: sdk.Service) -> "AccountGate":
        """The gate of one account (its id), or of a service's app (``app:<service>``)."""
        return AccountGate(self, key, service)

    async def admit(self, key: str, route: str) -> float:
        """Take one call from the budget; the answer is the seconds to wait first, 0 when there is one."""
        now, here = _now(), self._budget(key).admit(_now(), route)
        answer = await self._ask(ADMIT, key, route, now)
        return (here if answer is None else int(answer)) / 1000

    async def learn(self, key: str, route: str, lesson: Lesson) -> None:
        """Take in what an answer said."""
        now = _now()
        self._budget(key).learn(now, route, lesson)
        given = ("" if value is None else value for value in (lesson.limit, lesson.remaining, lesson.reset))
        await self._ask(LEARN, key, route, now, *given, lesson.wait, int(lesson.is_route), SAME_WINDOW_MS, KEPT_MS)

    async def state(self, key: str) -> RateLimit | None:
        """What is known of a budget; None when nothing is."""
        now = _now()
        found = await self._stored(key)
        budget = found if found is not None else self._here.get(key, _Budget())
        is_open = budget.remaining is not None and budget.reset > now
        if not is_open and budget.blocked <= now and budget.limit is None:
            return None
        return RateLimit(
            limit=budget.limit,
            remaining=max(0, budget.remaining or 0) if is_open else None,
            resets_at=_moment(budget.reset) if is_open else None,
            blocked_until=_moment(budget.blocked) if budget.blocked > now else None,
        )

    async def _stored(self, key: str) -> _Budget | None:
        if time.monotonic() < self._away_until:
            return None
        names = ("limit", "remaining", "reset", "blocked")
        try:
            async with asyncio.timeout(REDIS_SECONDS):
                values = await self._redis.hmget(_name(key), list(names))
        except (RedisError, OSError) as error:
            self._is_away(error)
            return None
        limit, remaining, reset, blocked = (None if value is None else int(float(value)) for value in values)
        return _Budget(limit, remaining, reset or 0, blocked or 0)

    async def _ask(self, script: str, key: str, route: str, *given: Any) -> Any:
        """Run a script; None while Redis is away."""
        if time.monotonic() < self._away_until:
            return None
        name = _name(key)
        try:
            async with asyncio.timeout(REDIS_SECONDS):
                return await self._redis.eval(script, 2, name, f"{name}:{route}", *given)
        except (RedisError, OSError) as error:
            self._is_away(error)
            return None

    def _is_away(self, error: Exception) -> None:
        self._away_until = time.monotonic() + AWAY_SECONDS
        logger.warning("governor.redis_away", error=repr(error))

    def _budget(self, key: str) -> _Budget:
        if len(self._here) >= KEPT_ACCOUNTS and key not in self._here:
            self._here.clear()
        return self._here.setdefault(key, _Budget())


class AccountGate:
    """Stands before the calls of one account."""

    def __init__(self, governor: Governor, key: str, service: sdk.Service) -> None:
        self._governor = governor
        self._key = key
        self._service = service

    async def admit(self, request: httpx.Request) -> None:
        """Raise sdk.Throttled when the provider would."""
        wait = await self._governor.admit(self._key, route_of(request))
        if wait > 0:
            raise sdk.Throttled(
                f"{self._service.name} allows no more calls of this kind for {wait:.0f} s, so none was made",
                retry_after=wait,
            )

    async def learn(self, response: httpx.Response) -> None:
        """Take in what an answer says."""
        lesson = lesson_of(response)
        if lesson is not None:
            await self._governor.learn(self._key, route_of(response.request), lesson)


def lesson_of(response: httpx.Response, moment: datetime | None = None) -> Lesson | None:
    """What an answer teaches; None when it says nothing of limits."""
    limits, wait = sdk.read_limits(response, moment), sdk.throttled(response, moment)
    if limits is None and wait is None:
        return None
    limits = limits or sdk.Limits()
    is_route = limits.bucket is not None and not _is_global(response)
    if is_route and wait is None and limits.remaining == 0:
        wait = limits.resets_in
    now = _now() if moment is None else int(moment.timestamp() * 1000)
    return Lesson(
        limit=limits.limit,
        remaining=limits.remaining,
        reset=None if limits.resets_in is None else now + round(limits.resets_in * 1000),
        wait=0 if wait is None else max(1, round(wait * 1000)),
        is_route=is_route,
    )


def route_of(request: httpx.Request) -> str:
    """What providers that count routes apart count by: method and path, the ids in it included."""
    named = f"{request.method} {request.url.host}{request.url.path}"
    return hashlib.sha256(named.encode()).hexdigest()[:16]


def _is_global(response: httpx.Response) -> bool:
    headers = response.headers
    return bool(headers.get("x-ratelimit-scope") == "global" or "x-ratelimit-global" in headers)


def _name(key: str) -> str:
    return f"area:rate:{{{key}}}"


def _now() -> int:
    return int(time.time() * 1000)


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
