"""Listening over a Redis that goes and comes back: told once each, and never deaf afterwards."""

import asyncio
import logging
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from area.app.embedded import Embedded
from area.app.processes import stop
from area.engine.broadcast import CHANNEL, GAP, SupervisedRedis
from area.engine.platform import open_redis
from tests.engine.conftest import eventually


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    """What is logged, from information up."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    with capture_logs() as told:
        yield told
    structlog.configure(**before)


async def test_a_redis_that_goes_is_told_once_and_heard_again_when_it_is_back(tmp_path: Path, lines: list[Any]) -> None:
    async def told_of_it() -> bool:
        return bool(lines)

    with Embedded(tmp_path, with_postgres=False) as embedded:
        redis = open_redis(embedded.redis_url)
        backend = SupervisedRedis(redis)
        await backend.subscribe(CHANNEL)
        assert (await backend.next_published()).message == GAP

        (server,) = embedded.servers
        assert server.process is not None
        await asyncio.to_thread(stop, server.process, signal.SIGTERM, 5)
        listening = asyncio.create_task(backend.next_published())
        await eventually(told_of_it)
        embedded.revive()

        assert (await asyncio.wait_for(listening, 20)).message == GAP
        await backend.publish(CHANNEL, "again")
        assert (await asyncio.wait_for(backend.next_published(), 10)).message == "again"
        told = [(line["event"], line["log_level"]) for line in lines]
        assert told == [("redis.away", "warning"), ("redis.back", "info")]
        await backend.disconnect()
        await redis.aclose()
