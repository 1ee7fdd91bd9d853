"""The feed: replay from Postgres, then live, with no gap and no duplicate (law 6)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from area.core import metrics
from area.core.clock import now
from area.core.errors import InvalidInput, NotFound
from area.db.session import Database
from area.engine import statements
from area.engine.broadcast import Wakeups

CHUNK = 200
"""Lines read at once."""
IDLE = 5.0
"""Seconds after which a listener looks again unasked: a lost wake-up costs no more than this."""
LARGEST = 2**63 - 1
TERMINAL = ("succeeded", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a run's story."""

    run_id: UUID
    area_id: UUID
    seq: int
    at: datetime
    kind: str
    level: str
    step: str | None
    message: str
    data: Any


@dataclass(frozen=True, slots=True)
class LogChunk:
    """Some lines of one run; ``cursor`` is the last sequence number read."""

    entries: list[LogLine]
    cursor: int
    is_caught_up: bool
    is_finished: bool


@dataclass(frozen=True, slots=True)
class FeedChunk:
    """Some lines of a whole account; ``cursor`` is where to go on from."""

    events: list[LogLine]
    cursor: str
    is_caught_up: bool


def _line(row: asyncpg.Record) -> LogLine:
    return LogLine(*(row[name] for name in LogLine.__slots__))


class Feed:
    """Streams of run events, straight from Postgres; pub/sub only says when to look."""

    def __init__(self, db: Database, wakeups: Wakeups) -> None:
        self._db = db
        self._wakeups = wakeups

    async def run_log(self, user_id: UUID, run_id: UUID, after: int = 0) -> AsyncIterator[LogChunk]:
        """Every line of a run after sequence number ``after``; ends when the run has.

        Raises: NotFound when there is no such run of this user.
        """
        with self._wakeups.listen(str(run_id)) as flag:
            while True:
                flag.clear()
                # The state is read first: lines written after it are found by the read that follows.
                state = await self._db.pool.fetchrow(statements.RUN_STATE, run_id, user_id)
                if state is None:
                    raise NotFound("There is no such run; it may have been deleted.")
                day = state["created_at"].replace(hour=0, minute=0, second=0, microsecond=0)
                rows = await self._db.pool.fetch(statements.LOG_AFTER, run_id, after, day, CHUNK)
                after = rows[-1]["seq"] if rows else after
                caught_up = after >= state["last_seq"]
                finished = caught_up and state["status"] in TERMINAL
                if rows or finished:
                    yield LogChunk([_line(row) for row in rows], after, caught_up, finished)
                if finished:
                    return
                if caught_up:
                    await _sleep(flag, IDLE)
                else:
                    await asyncio.sleep(0)

    async def account(self, user_id: UUID, after: str | None = None) -> AsyncIterator[FeedChunk]:
        """Every line of every run of a user after ``after``, or from now on, in an order that no late commit upsets."""
        standing = await self._db.pool.fetchrow(statements.WATERMARK)
        txid, number = parse_cursor(after) if after else (standing["watermark"], 0)
        if txid > standing["watermark"]:
            # Never given by this database as it is: a backup was restored behind it. Twice is better than not at all.
            txid, number = standing["base"], 0
        # The first chunk may be empty: it gives the client a cursor to resume from.
        first, quick = True, 0
        with self._wakeups.listen(str(user_id)) as flag:
            while True:
                flag.clear()
                rows = await self._db.pool.fetch(statements.ACCOUNT_AFTER, user_id, txid, number, CHUNK)
                if rows:
                    txid, number = rows[-1]["txid"], rows[-1]["number"]
                caught_up = len(rows) < CHUNK
                if rows or first:
                    yield FeedChunk([_line(row) for row in rows], f"{txid}.{number}", caught_up)
                if rows and caught_up and not first:
                    metrics.FEED_LAG.observe(max(0.0, (now() - rows[-1]["at"]).total_seconds()))
                first, quick = False, 0 if rows else quick + 1
                if not caught_up:
                    await asyncio.sleep(0)
                    continue
                # A transaction still open elsewhere hides what was just committed for a moment: look again soon, then rest.
                woken = await _sleep(flag, IDLE if quick > 4 else 0.01 * 2**quick)
                quick = 0 if woken else quick


def parse_cursor(cursor: str) -> tuple[int, int]:
    """The two numbers of an account cursor. Raises: InvalidInput."""
    try:
        txid, number = map(int, cursor.split("."))
        if max(txid, number) > LARGEST:
            raise ValueError(cursor)
    except ValueError:
        raise InvalidInput(
            f"{cursor[:40]!r} is not a cursor of this feed; leave `after` out to begin from now.", path=("after",)
        ) from None
    return txid, number


async def _sleep(flag: asyncio.Event, seconds: float) -> bool:
    with suppress(TimeoutError):
        await asyncio.wait_for(flag.wait(), seconds)
    return flag.is_set()
