"""Postgres and Redis as real, durable servers that can be killed and come back, each behind a wire that can be cut."""

import asyncio
import signal
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import asyncpg
from redis.asyncio import Redis

from area.app.embedded import Embedded, Server
from area.db.session import plain_url
from chaos.proxy import Proxy

READY_SECONDS = 60.0
DURABLE_REDIS = "\nappendonly yes\nappendfsync everysec\n"


class Servers:
    """Both servers; an async context manager."""

    def __init__(self, directory: Path) -> None:
        self._embedded = Embedded(directory)
        self._postgres: Server
        self._redis: Server
        self._redis_directory = directory / "redis"
        self.postgres_proxy = Proxy(self._to_postgres)
        self.redis_proxy = Proxy(self._to_redis)

    async def __aenter__(self) -> Self:
        try:
            self._embedded.start()
            self._postgres, self._redis = self._embedded.servers
            configuration = self._redis_directory / "redis.conf"
            configuration.write_text(configuration.read_text().replace("\nappendonly no", "") + DURABLE_REDIS)
            await self.kill_redis(keep=True)
            await self.postgres_proxy.start()
            await self.redis_proxy.start()
        except BaseException:
            self._embedded.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for proxy in (self.postgres_proxy, self.redis_proxy):
            proxy.release()
            await proxy.close()
        self._embedded.close()

    @property
    def database_url(self) -> str:
        """Postgres, without the proxy: for those who watch."""
        return self._embedded.database_url

    def database_url_for(self, role: str) -> str:
        """Postgres, through the proxy, as a role of its own."""
        return f"postgresql://{role}@127.0.0.1:{self.postgres_proxy.port}/area"

    @property
    def redis_url(self) -> str:
        """Redis, through the proxy."""
        return f"redis://:{urlsplit(self._embedded.redis_url).password}@127.0.0.1:{self.redis_proxy.port}/0"

    async def kill_postgres(self, away: float = 0.0) -> None:
        """Stop Postgres at once, as a power cut of its processes would, and start it again after ``away`` seconds."""
        assert self._postgres.process is not None
        self._postgres.process.send_signal(signal.SIGQUIT)
        await asyncio.to_thread(self._postgres.process.wait)
        await asyncio.sleep(away)
        # From this thread: the server dies with the thread that starts it.
        self._postgres.start()
        await self.postgres_ready()

    async def postgres_ready(self) -> None:
        """Until Postgres answers."""
        async with asyncio.timeout(READY_SECONDS):
            while True:
                try:
                    connection = await asyncpg.connect(plain_url(self.database_url), timeout=5)
                except (OSError, asyncpg.PostgresError):
                    await asyncio.sleep(0.05)
                    continue
                await connection.close()
                return

    async def kill_redis(self, *, keep: bool, away: float = 0.0) -> None:
        """SIGKILL Redis and start it again after ``away`` seconds, with what it had on disk or with nothing."""
        assert self._redis.process is not None
        self._redis.process.kill()
        await asyncio.to_thread(self._redis.process.wait)
        if not keep:
            for path in self._redis_directory.iterdir():
                if path.suffix in (".aof", ".rdb"):
                    path.unlink()
        await asyncio.sleep(away)
        self._redis.start()
        async with asyncio.timeout(READY_SECONDS):
            while not await self._redis_answers():
                await asyncio.sleep(0.05)

    async def flush_redis(self) -> None:
        """FLUSHALL."""
        client = Redis.from_url(self._embedded.redis_url)
        try:
            await client.flushall()
        finally:
            await client.aclose()

    async def _redis_answers(self) -> bool:
        client = Redis.from_url(self._embedded.redis_url, socket_timeout=1)
        try:
            return bool(await client.ping())
        except Exception:  # loading its file, or not there yet
            return False
        finally:
            await client.aclose()

    async def _to_postgres(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host = self.database_url.partition("host=")[2]
        return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.5432")

    async def _to_redis(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", urlsplit(self._embedded.redis_url).port)
