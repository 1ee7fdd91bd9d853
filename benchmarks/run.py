"""``python -m benchmarks.run``: measures the platform on this machine and prints one table. Loopback only, ends alone."""

import argparse
import asyncio
import importlib.metadata
import os
import platform
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import asyncpg
import orjson
import redis
from rich.console import Console
from rich.table import Table

from area.db.session import plain_url
from benchmarks.fixtures import SECRET, Account, plant
from benchmarks.stack import Stack, memory

CONNECTIONS = 64
BURST = 5_000
DRAIN_SECONDS = 45.0
PROFILE_SECONDS = 10
GENERATOR_FULL = 0.9
"""Above this share of a core the load generator, not the server, sets the rate."""
OPEN = "SELECT count(*) FROM runs WHERE status IN ('queued', 'running', 'waiting', 'held')"
ENDED = """
SELECT count(*) FILTER (WHERE status = 'succeeded') AS succeeded, count(*) AS accepted,
  extract(epoch FROM max(finished_at) - min(started_at))::float AS seconds
FROM runs WHERE area_id = $1
"""
DROP_REST = "UPDATE runs SET status = 'cancelled', finished_at = now() WHERE finished_at IS NULL"

Row = tuple[str, str]


def percentile(values: Sequence[float], share: float) -> str:
    """A percentile of seconds, as milliseconds."""
    if not values:
        return "none"
    return f"{sorted(values)[min(len(values) - 1, int(len(values) * share))] * 1000:.1f} ms"


def both(values: Sequence[float]) -> str:
    """Median and 99th percentile."""
    return f"{percentile(values, 0.5)} / {percentile(values, 0.99)}"


class Bench:
    """The measurements, in order, on one stack."""

    def __init__(self, stack: Stack, account: Account, sink: str, raw: str) -> None:
        self._stack = stack
        self._account = account
        self._sink = sink
        self._raw = raw
        self.generator = 0.0
        self._url = plain_url(stack.settings.database_url.get_secret_value())
        self._redis = redis.Redis.from_url(stack.settings.redis_url.get_secret_value())

    def query(self, sql: str, *given: object) -> asyncpg.Record:
        """One row."""

        async def ask() -> asyncpg.Record:
            connection = await asyncpg.connect(self._url)
            try:
                return await connection.fetchrow(sql, *given)
            finally:
                await connection.close()

        return asyncio.run(ask())

    def flood(self, url: str, seconds: float, count: int = 10**9) -> tuple[float, list[float]]:
        """Accepted per second, and each answer's time in seconds. Raises: RuntimeError when one is not accepted."""
        seen = self._stack.load(
            do="flood", url=url, secret=SECRET, connections=CONNECTIONS, seconds=seconds, count=count
        )
        if seen["failed"]:
            raise RuntimeError(f"{seen['failed']} deliveries to {url} were not accepted.")
        self.generator = seen["cpu"] / seen["seconds"]
        return len(seen["times"]) / seen["seconds"], seen["times"]

    def intake(self) -> list[Row]:
        """Signed webhooks into an AREA that nobody executes yet, next to a raw route."""
        hook = self._account.areas["log"].hook_url
        self.flood(f"{self._raw}/raw", 1)
        self.flood(hook, 1)
        raw, raw_times = self.flood(f"{self._raw}/raw", 5)
        generator = self.generator
        rate, times = self.flood(hook, 8)
        ratio = f"{rate / raw:.2f}"
        if generator > GENERATOR_FULL:
            ratio = f"at most {ratio}: the generator was the raw route's limit"
        return [
            ("Raw Starlette JSON route, 64 connections", f"{raw:,.0f}/s, p50 / p99 {both(raw_times)}"),
            ("Signed webhook accepted and committed, 64 connections", f"{rate:,.0f}/s, p50 / p99 {both(times)}"),
            ("… as a ratio to the raw route", ratio),
            ("Load generator's use of one core: raw, signed", f"{generator:.0%}, {self.generator:.0%}"),
        ]

    def drain(self, area: UUID, profile: bool = False) -> str:
        """One worker executes what has been accepted for ``area``; runs a second."""
        worker = self._stack.area("worker")
        top = self.profile(worker.pid) if profile else ""
        deadline = time.monotonic() + DRAIN_SECONDS
        while self.query(OPEN)["count"] and time.monotonic() < deadline:
            if worker.poll() is not None:
                raise RuntimeError(f"The worker ended by itself in the middle, with code {worker.returncode}.")
            time.sleep(0.25)
        size = memory(worker)
        self._stack.stop(worker)
        ended = self.query(ENDED, area)
        self.query(DROP_REST)
        self._redis.flushdb()
        if profile:
            return top
        rate = ended["succeeded"] / ended["seconds"] if ended["seconds"] else 0
        return f"{rate:,.0f} runs/s ({ended['succeeded']:,} of {ended['accepted']:,}; worker then {size:.0f} MiB)"

    def burst(self, name: str, profile: bool = False) -> str:
        """Accept a burst while no worker lives, then drain it."""
        planted = self._account.areas[name]
        self.flood(planted.hook_url, 30, BURST * 3 if profile else BURST)
        return self.drain(planted.id, profile)

    def profile(self, pid: int) -> str:
        """The functions in which the worker's time is spent."""
        with tempfile.NamedTemporaryFile() as found:
            words = [
                str(Path(sys.executable).with_name("py-spy")),
                "record",
                "-d",
                str(PROFILE_SECONDS),
                "-r",
                "200",
                "-f",
                "raw",
                "--function",
                "-o",
                found.name,
                "--pid",
            ]
            time.sleep(2)  # past its start
            subprocess.run([*words, str(pid)], check=True, capture_output=True)
            lines = Path(found.name).read_text().splitlines()
        own: Counter[str] = Counter()
        for line in lines:
            stack, _, count = line.rpartition(" ")
            own[stack.rpartition(";")[2]] += int(count)
        total = sum(own.values()) or 1
        return "\n".join(f"{count / total:6.1%}  {frame}" for frame, count in own.most_common(15))

    def latency(self) -> list[Row]:
        """A steady trickle, with a worker, a scheduler and a subscriber; memory afterwards."""
        worker, scheduler = self._stack.area("worker"), self._stack.area("scheduler")
        hook = self._account.areas["timed"].hook_url
        self.flood(hook, 1, 50)
        time.sleep(2)
        self._noted()
        seen = self._stack.load(
            do="pace",
            url=hook,
            secret=SECRET,
            rate=50,
            seconds=10,
            socket_url=f"{self._stack.url.replace('http', 'ws')}/graphql",
            token=self._account.token,
        )
        calls = self._noted()
        return [
            ("Webhook sent → first outgoing call arrives, 50/s", f"p50 / p99 {both(calls)} ({len(calls)} calls)"),
            ("Webhook sent → feed subscriber has it, 50/s", f"p50 / p99 {both(seen['times'])} ({len(seen['times'])} events)"),
            ("Memory after that: worker, scheduler", f"{memory(worker):.0f}, {memory(scheduler):.0f} MiB"),
        ]  # fmt: skip

    def _noted(self) -> list[float]:
        with urllib.request.urlopen(f"{self._sink}/noted", timeout=5) as answer:
            noted: list[float] = orjson.loads(answer.read())
            return noted

    def conditions(self) -> str:
        """The machine and the versions."""
        info = Path("/proc/cpuinfo")
        named = [
            line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")
        ]
        server = self.query("SELECT current_setting('server_version') AS version, current_setting('fsync') AS fsync")
        parts = [f"{name} {importlib.metadata.version(name)}" for name in ("starlette", "uvicorn", "asyncpg", "saq")]
        cpu = named[0] if named else platform.machine()
        redis_version = self._redis.info("server")["redis_version"]
        return (
            f"{os.cpu_count()} CPUs ({cpu}), {platform.system()}; Python {platform.python_version()}, "
            f"Postgres {server['version']} (fsync {server['fsync']}), Redis {redis_version}, {', '.join(parts)}"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", action="store_true", help="only sample a worker in a burst, with py-spy")
    profile = parser.parse_args().profile
    console = Console(highlight=False, width=130)
    with Stack() as stack:
        sink, raw = stack.serve("benchmarks.servers"), stack.serve("benchmarks.servers")
        account = asyncio.run(plant(stack.settings, sink))
        api = stack.area("api")
        bench = Bench(stack, account, sink, raw)
        if profile:
            console.print(bench.burst("calls", profile=True), markup=False)
            return
        rows = bench.intake()
        rows.append(("Runs of 1 flow.log, one worker", bench.drain(account.areas["log"].id)))
        rows.append(("Runs of 2 http.request, one worker", bench.burst("calls")))
        rows.append(("Runs of 10 flow.set and 1 http.request, one worker", bench.burst("computed")))
        rows += bench.latency()
        rows.append(("Memory of the API after all of it", f"{memory(api):.0f} MiB"))
        table = Table("Measured", "Result", title=bench.conditions(), title_justify="left", title_style="")
        for row in rows:
            table.add_row(*row)
        console.print(table)


if __name__ == "__main__":
    main()
