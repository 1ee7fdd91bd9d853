"""One whole play: set the stage, send, do harm, let it settle, judge."""

import asyncio
import os
import random
import shutil
import tempfile
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
from pydantic import SecretStr

from area.app.embedded import free_port
from area.core.settings import Settings
from area.db.migrate import upgrade
from area.db.session import plain_url
from chaos import audit, faults, handed, plant, vacuous
from chaos.cast import Cast
from chaos.evidence import Evidence, gather, stories
from chaos.findings import Verdict
from chaos.load import Sender
from chaos.outside import Outside, outside_world
from chaos.people import People
from chaos.servers import Servers
from chaos.verdict import judge
from chaos.watcher import Watcher

SECRET_KEY = "only-for-this-play-only-for-this-play-only"
WANTED = {"worker": 3, "scheduler": 2, "api": 1}
# A run that waits for one that is held waits for the same person.
OPEN = """
SELECT count(*) FROM runs WHERE status IN ('queued', 'running') OR (status = 'waiting' AND NOT EXISTS (
  SELECT 1 FROM calls JOIN runs called ON called.id = calls.called_id WHERE calls.run_id = runs.id AND called.status = 'held'))
"""
UNTOLD = """
SELECT count(*) FROM runs JOIN areas ON areas.id = runs.area_id WHERE runs.status = 'failed' AND areas.name <> 'failed'
  AND runs.id::text NOT IN (SELECT payload ->> 'run_id' FROM events WHERE payload ? 'run_id')
"""
LINES = "SELECT coalesce(sum(last_seq), 0) FROM runs"
LOOK_NOW = "UPDATE hooks SET next_due_at = now() WHERE kind = 'poll' AND lease_until IS NULL"
# As when the last AREA leaves a schedule: a look that is under way finds its hook changed and keeps nothing.
NO_MORE_TICKS = """
UPDATE hooks SET status = 'unused', next_due_at = NULL, lease_until = NULL WHERE kind = 'schedule' RETURNING true
"""
ITEM_SECONDS = 3.0
READY_SECONDS = 60.0


@dataclass(frozen=True)
class Plan:
    """What is played."""

    seed: int
    rate: float
    """Deliveries a second."""
    counts: Mapping[str, int]
    """How often each fault befalls, by its name."""
    pauses: Mapping[str, tuple[float, float]]
    """Shortest and longest pause between the faults of a lane, in seconds."""
    outage_seconds: float = 30.0
    freeze_seconds: float = 12.0
    mood_seconds: float = 10.0
    settle_seconds: float = 60.0
    """For runs to end, after the last fault."""
    look_seconds: float = 30.0
    """More, for sources: a look that died with its scheduler is repeated a minute later."""
    lease_seconds: float = 8.0
    markdown: Path | None = None
    """Where the table is written, besides the screen."""


@dataclass
class Outcome:
    """What came of it."""

    plan: Plan
    seconds: float
    settled_in: float
    """Seconds from the last fault's end until every run had ended or was held."""
    evidence: Evidence
    verdict: Verdict
    sender: Sender
    watcher: Watcher
    people: People
    cast: Cast
    versions: dict[str, str]
    counted: dict[str, int]
    stops: list[int]
    """How many runs others took from each worker that stood still past its lease."""
    stories: dict[UUID, list[str]] = field(default_factory=dict)
    """The lines of the runs that something was found of."""


class Play:
    """Owns the directory and everything that is started; an async context manager."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.directory = Path(tempfile.mkdtemp(prefix="area-chaos-"))
        self.directory.chmod(0o755)
        self._rng = random.Random(plan.seed)
        self._stack = AsyncExitStack()
        self._settings: Settings
        self.servers: Servers
        self.outside: Outside
        self.cast: Cast

    async def __aenter__(self) -> "Play":
        await self._stack.__aenter__()
        try:
            if not os.environ.get("CHAOS_KEEP"):
                self._stack.callback(shutil.rmtree, self.directory, ignore_errors=True)
            self.outside = await self._stack.enter_async_context(outside_world(random.Random(self._rng.random())))
            self.servers = await self._stack.enter_async_context(Servers(self.directory))
            await asyncio.to_thread(upgrade, self.servers.database_url)
            connection = await self._database()
            await audit.prepare(connection, list(WANTED))
            await connection.close()
            port = free_port()
            self._settings = Settings(
                _env_file=None,
                database_url=SecretStr(self.servers.database_url),
                redis_url=SecretStr(self.servers.redis_url),
                secret_key=SecretStr(SECRET_KEY),
                public_url=f"http://127.0.0.1:{port}",
                port=port,
                egress_allow=[ip_network("127.0.0.0/8")],
                access_token_seconds=86400,
            )
            (self.directory / "cast").mkdir()
            self.cast = Cast(self.directory / "cast", self._environ, WANTED, random.Random(self._rng.random()))
            self._stack.push_async_callback(self.cast.close)
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *given: Any) -> None:
        await self._stack.__aexit__(*given)

    async def perform(self) -> Outcome:
        """The play. Takes as long as the plan's faults and pauses."""
        account = await plant.plant(self._settings, self.outside.url)
        sender = Sender(account.hooks, self.plan.rate, random.Random(self._rng.random()))
        watcher = Watcher(self._settings.public_url, account.token)
        rng = random.Random(self._rng.random())
        people = People(self._settings, account.token, self._database, rng)
        scene = faults.Scene(
            self.servers,
            self.cast,
            self.outside,
            self._database,
            random.Random(self._rng.random()),
            self.plan.outage_seconds,
            self.plan.freeze_seconds,
            self.plan.mood_seconds,
        )
        began = time.monotonic()
        background = [
            asyncio.create_task(self._fill()),
            asyncio.create_task(watcher.run()),
            asyncio.create_task(faults.own_pauses(scene)),
        ]
        try:
            await asyncio.wait_for(watcher.listening.wait(), READY_SECONDS)
            await self._baseline()
            publishing = asyncio.create_task(self._publish())
            background += [publishing, asyncio.create_task(self._look())]
            sending = asyncio.create_task(sender.run())
            cancelling = asyncio.create_task(people.cancel())
            background += [sending, cancelling, asyncio.create_task(people.decide())]
            await faults.play(scene, self.plan.counts, self.plan.pauses)
            ended = time.monotonic()
            sender.stop()
            publishing.cancel()
            cancelling.cancel()
            await sending
            settled_in = await self._settle(watcher, ended)
            connection = await self._database()
            evidence = await gather(connection, self.outside.calls, scene.incidents, time.time())
            versions = await self._versions(connection)
            verdict = judge(evidence, sender, watcher, people, self.outside.items[1:], self.plan.settle_seconds)
            vacuous.judge(verdict, evidence, sender, watcher, people, self.plan.counts)
            counted = {
                "late writes refused": self.cast.said("run.fenced"),
                "leases lost": self.cast.said("run.lease_lost"),
            }
            stops = handed.fenced(verdict, evidence, sum(counted.values()))
            self._judge_processes(verdict, scene.incidents)
            told = await stories(connection, [found.run for found in verdict.findings if found.run])
            await connection.close()
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
        seconds = time.monotonic() - began
        return Outcome(
            self.plan, seconds, settled_in, evidence, verdict, sender, watcher, people, self.cast, versions, counted, stops, told
        )  # fmt: skip

    def _environ(self, name: str) -> dict[str, str]:
        settings = self._settings
        return {
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(Path(__file__).parents[1]),
            "AREA_DATABASE_URL": self.servers.database_url_for(name),
            "AREA_REDIS_URL": self.servers.redis_url,
            "AREA_SECRET_KEY": SECRET_KEY,
            "AREA_PUBLIC_URL": settings.public_url,
            "AREA_PORT": str(settings.port),
            "AREA_EGRESS_ALLOW": "127.0.0.0/8",
            "AREA_LEASE_SECONDS": str(self.plan.lease_seconds),
            "AREA_LOG_LEVEL": "WARNING",
        }

    async def _database(self) -> asyncpg.Connection:
        return await asyncpg.connect(plain_url(self.servers.database_url), timeout=10)

    async def _versions(self, connection: asyncpg.Connection) -> dict[str, str]:
        return {
            "Postgres": await connection.fetchval("SHOW server_version"),
            "fsync": await connection.fetchval("SHOW fsync"),
            "synchronous_commit": await connection.fetchval("SHOW synchronous_commit"),
        }

    async def _ask(self, query: str) -> Any:
        """One value; None while Postgres is away."""
        try:
            connection = await self._database()
        except (OSError, asyncpg.PostgresError):
            return None
        try:
            return await connection.fetchval(query)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return None
        finally:
            connection.terminate()

    async def _until(self, query: str, seconds: float) -> bool:
        """Until ``query`` answers true."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if await self._ask(query):
                return True
            await asyncio.sleep(0.2)
        return False

    async def _fill(self) -> None:
        while True:
            # A start takes a while; meanwhile the services elsewhere, the wires and the sender go on in this thread.
            await asyncio.to_thread(self.cast.fill)
            await asyncio.sleep(0.1)

    async def _baseline(self) -> None:
        if not await self._until("SELECT cursor IS NOT NULL FROM hooks WHERE kind = 'poll'", READY_SECONDS):
            raise TimeoutError("The feed was not looked at: no scheduler works.")

    async def _publish(self) -> None:
        while True:
            self.outside.items.append(f"item {len(self.outside.items)}")
            await asyncio.sleep(ITEM_SECONDS)

    async def _look(self) -> None:
        """A source is due each two seconds, not each five minutes."""
        while True:
            await self._ask(LOOK_NOW)
            await asyncio.sleep(2.0)

    async def _settle(self, watcher: Watcher, ended: float) -> float:
        """Until every run has ended, every item and failure was found, and the subscriber has every line."""
        deadline = ended + self.plan.settle_seconds + self.plan.look_seconds
        await self._until(NO_MORE_TICKS, self.plan.settle_seconds)
        quiet = 0
        while quiet < 5 and time.monotonic() < deadline:
            lines, seen = await self._ask(LINES), sum(map(len, watcher.seen.values()))
            found = await self._ask(
                "SELECT count(*) FROM events e JOIN hooks h ON h.id = e.hook_id WHERE h.kind = 'poll'"
            )
            calm = await self._ask(OPEN) == 0 and lines == seen and found == len(self.outside.items) - 1
            # A look at the outcomes that was broken off, by a kill or with Postgres, is repeated twenty seconds later.
            calm = calm and await self._ask(UNTOLD) == 0
            # Several times in a row: what is found begins a run of its own.
            quiet = quiet + 1 if calm else 0
            await asyncio.sleep(0.5)
        return time.monotonic() - ended

    def _judge_processes(self, verdict: Verdict, incidents: list[faults.Incident]) -> None:
        for ended in self.cast.self_ended:
            began = ended.at - ended.lived
            away = any("Postgres" in i.fault and i.begin <= ended.at and i.end + 2 >= began for i in incidents)
            if not (away and "out of reach" in ended.last_words):
                verdict.breach("other", f"{ended.name} ended by itself (code {ended.code}): {ended.last_words[:300]}")
        for words in self.cast.stubborn:
            verdict.breach("other", words)


async def play(plan: Plan) -> Outcome:
    """Set up, perform, clean up."""
    async with Play(plan) as performance:
        with suppress(asyncio.CancelledError):
            return await performance.perform()
        raise KeyboardInterrupt
