"""The measurements: each gives its figures by name, those of the naive baseline under ``naive: `` and the same name."""

import asyncio
import importlib.metadata
import os
import platform
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import asyncpg
import orjson
import redis

from area.app.embedded import free_port
from area.db.session import plain_url
from benchmarks import history
from benchmarks.fixtures import SECRET, Account
from benchmarks.stack import Stack, cpu_seconds, memory, wait_for

CONNECTIONS = 64
DRAIN_SECONDS = 90.0
BURSTS = {"calls": (10_000, 500), "computed": (4_000, 150), "slow": (10_000, 1_000)}
"""Runs of a burst: AREA's, and the naive baseline's."""
AREAS = 10_000
REST_SECONDS = 8
# What is asked several times a second goes by an index: it must cost the measured next to nothing, over a history too.
LIVE = "status IN ('queued', 'running', 'waiting', 'held')"
OPEN = f"SELECT count(*) FROM runs WHERE {LIVE}"
LOOKED = """
SELECT count(*) FROM runs WHERE status = 'succeeded' AND replay_of IS NULL AND NOT is_test AND event_id IN (
  SELECT id FROM events WHERE hook_id = (SELECT hook_id FROM areas WHERE id = $1) AND received_at > $2)
"""
ENDED = """
SELECT count(*) FILTER (WHERE status = 'succeeded') AS succeeded, count(*) AS accepted,
  extract(epoch FROM max(finished_at) - min(started_at))::float AS seconds
FROM runs WHERE area_id = $1 AND started_at > $2
"""
NAIVE_OPEN = "SELECT count(*) FROM naive_runs WHERE finished_at IS NULL"
DROP_REST = f"UPDATE runs SET status = 'cancelled', finished_at = now() WHERE {LIVE}"
NAIVE_DROP = "UPDATE naive_runs SET status = 'cancelled', finished_at = now() WHERE finished_at IS NULL"
SWITCH = "UPDATE areas SET is_enabled = $2 WHERE hook_id = (SELECT hook_id FROM areas WHERE id = $1)"
LOOK = "UPDATE hooks SET next_due_at = now() WHERE id = (SELECT hook_id FROM areas WHERE id = $1)"

Figure = dict[str, float]


def percentile(values: Sequence[float], share: float) -> float:
    """A percentile of seconds, in ms."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] * 1000


def naive_sink() -> None:
    """ORM sessions, a commit for each write, a job for each run, a publish for each line, stock httpx; none of the laws."""


class Bench:
    """The measurements, on one stack. Processes live only as long as their measurement."""

    def __init__(self, stack: Stack, account: Account, sink: str) -> None:
        self.stack = stack
        self.account = account
        self.with_naive = True
        self._has_urls = self._has_watchers = False
        self._sink = sink
        self._raw = stack.serve("benchmarks.servers")
        self._url = plain_url(stack.settings.database_url.get_secret_value())
        self.redis = redis.Redis.from_url(stack.settings.redis_url.get_secret_value())

    def query(self, sql: str, *given: object) -> asyncpg.Record:
        """One row."""

        async def ask() -> asyncpg.Record:
            connection = await asyncpg.connect(self._url)
            try:
                return await connection.fetchrow(sql, *given)
            finally:
                await connection.close()

        return asyncio.run(ask())

    def flood(self, url: str, seconds: float, count: int = 10**9, urls: int = 1) -> tuple[float, list[float]]:
        """Accepted per second, and each answer's time in seconds. Raises: RuntimeError when one is not accepted."""
        seen = self.stack.load(
            do="flood", url=url, secret=SECRET, connections=CONNECTIONS, seconds=seconds, count=count, urls=urls
        )
        if seen["failed"]:
            raise RuntimeError(f"{seen['failed']} deliveries to {url} were not accepted.")
        return len(seen["times"]) / seen["seconds"], seen["times"]

    def rest(self) -> Figure:
        """Memory of processes that have nothing to do."""
        roles = {role: self.stack.area(role) for role in ("api", "worker", "scheduler")}
        roles["naive: api"], _ = self._naive_api()
        roles["naive: worker"] = self._naive("worker")
        time.sleep(REST_SECONDS)
        sizes = {role: memory(process) for role, process in roles.items()}
        for process in roles.values():
            self.stack.stop(process)
        self._forget()
        return {
            f"{'naive: ' if role.startswith('naive') else ''}Memory at rest: {role.removeprefix('naive: ')} (MB)": size
            for role, size in sizes.items()
        }

    def intake(self) -> Figure:
        """Signed webhooks into an AREA that nobody executes yet, next to a raw route and the baseline."""
        raw, _ = self.flood(f"{self._raw}/raw", 3)
        api = self.stack.area("api")
        hook = self.account.areas["log"].hook_url
        self.flood(hook, 1)
        rate, times = self.flood(hook, 6)
        self.stack.stop(api)
        figure = {
            "Signed webhook, committed, 64 connections (/s)": rate,
            "… p50 (ms)": percentile(times, 0.5),
            "… p99 (ms)": percentile(times, 0.99),
            "Raw Starlette route, nothing stored (/s)": raw,
        }
        if self.with_naive:
            process, url = self._naive_api()
            self.flood(f"{url}/hooks/log", 1)
            rate, times = self.flood(f"{url}/hooks/log", 3)
            self.stack.stop(process)
            figure["naive: Signed webhook, committed, 64 connections (/s)"] = rate
            figure["naive: … p50 (ms)"], figure["naive: … p99 (ms)"] = percentile(times, 0.5), percentile(times, 0.99)
        self._forget()
        return figure

    def calls(self) -> Figure:
        """A burst of runs with 2 HTTP reactions."""
        return self._burst("calls", "Runs of 2 http.request, one worker (/s)")

    def computed(self) -> Figure:
        """A burst of runs with 10 flow steps and 1 HTTP reaction."""
        return self._burst("computed", "Runs of 10 flow.set and 1 http.request (/s)")

    def slow(self) -> Figure:
        """200 calls in flight to a sink that takes 100 ms."""
        return self._burst("slow", "Calls to a sink that takes 100 ms, 200 in flight (/s)")

    def _burst(self, name: str, told: str) -> Figure:
        planted, (count, naive_count) = self.account.areas[name], BURSTS[name]
        api = self.stack.area("api")
        began = self.query("SELECT now()")["now"]
        self.flood(planted.hook_url, 90, count)
        self.stack.stop(api)
        worker = self.stack.area("worker")
        cost = self._drained(worker, OPEN)
        peak = memory(worker, peak=True)
        self.stack.stop(worker)
        figure = {
            told: self._rate(planted.id, began),
            f"… worker's CPU, {name} (ms a run)": cost,
            f"… worker's memory, most, in {name} (MB)": peak,
        }
        if self.with_naive:
            process, url = self._naive_api()
            self.flood(f"{url}/hooks/{name}", 90, naive_count)
            self.stack.stop(process)
            worker = self._naive("worker")
            cost = self._drained(worker, NAIVE_OPEN)
            naive_peak = memory(worker, peak=True)
            self.stack.stop(worker)
            row = self.query(
                "SELECT count(*) AS runs, extract(epoch FROM max(finished_at) - min(started_at))::float AS seconds "
                "FROM naive_runs WHERE shape = $1 AND status = 'succeeded' AND started_at > $2",
                name,
                began,
            )
            figure[f"naive: {told}"] = row["runs"] / row["seconds"]
            figure[f"naive: … worker's CPU, {name} (ms a run)"] = cost
            figure[f"naive: … worker's memory, most, in {name} (MB)"] = naive_peak
        self._forget()
        return figure

    def latency(self) -> Figure:
        """A steady trickle of 50 events a second, with a worker, a scheduler and a subscriber."""
        running = [self.stack.area("api"), self.stack.area("worker"), self.stack.area("scheduler")]
        socket = f"{self.stack.url.replace('http', 'ws')}/graphql"
        figure = self._paced("", self.account.areas["timed"].hook_url, socket, self.account.token)
        for process in running:
            self.stack.stop(process)
        if self.with_naive:
            process, url = self._naive_api()
            worker = self._naive("worker")
            figure |= self._paced("naive: ", f"{url}/hooks/timed", f"{url.replace('http', 'ws')}/feed", "")
            self.stack.stop(worker)
            self.stack.stop(process)
        self._forget()
        return figure

    def _paced(self, whose: str, hook: str, socket: str, token: str) -> Figure:
        self.flood(hook, 2, 50)
        time.sleep(2)
        self._ask("noted")
        seen = self.stack.load(do="pace", url=hook, secret=SECRET, rate=50, seconds=10, socket_url=socket, token=token)
        calls = self._ask("noted")
        # The baseline may be slower than the pace: its figures are then those of what came in time.
        if not whose and (len(calls) < seen["sent"] or len(seen["times"]) < seen["sent"]):
            raise RuntimeError(
                f"Of {seen['sent']} events {len(calls)} made their call and {len(seen['times'])} were seen."
            )
        return {
            f"{whose}Webhook to first outgoing call at 50/s, p50 (ms)": percentile(calls, 0.5),
            f"{whose}… p99 (ms) ": percentile(calls, 0.99),
            f"{whose}Event to subscriber at 50/s, p50 (ms)": percentile(seen["times"], 0.5),
            f"{whose}… p99 (ms)  ": percentile(seen["times"], 0.99),
        }

    def webhooks(self) -> Figure:
        """10,000 AREAs, each with a private URL of its own."""
        if not self._has_urls:
            asyncio.run(history.copies(self._url, self.account.areas["log"].id, AREAS, "copy-"))
            self._has_urls = True
        api = self.stack.area("api")
        url = f"{self.stack.url}/hooks/copy-{{n}}"
        self.flood(url, 2, urls=AREAS)
        rate, times = self.flood(url, 8, urls=AREAS)
        self.stack.stop(api)
        figure = {
            f"Signed webhook, {AREAS:,} AREAs with a URL each (/s)": rate,
            "…  p99 (ms)": percentile(times, 0.99),
        }
        if self.with_naive:
            process, url = self._naive_api()
            self.flood(f"{url}/hooks/copy-{{n}}", 1, urls=AREAS)
            rate, times = self.flood(f"{url}/hooks/copy-{{n}}", 3, urls=AREAS)
            self.stack.stop(process)
            figure[f"naive: Signed webhook, {AREAS:,} AREAs with a URL each (/s)"] = rate
            figure["naive: …  p99 (ms)"] = percentile(times, 0.99)
        self._forget()
        return figure

    def polled(self) -> Figure:
        """10,000 AREAs on one polled source: one look, and a run for each."""
        planted = self.account.areas["watching"]
        if self._has_watchers:
            self.query(SWITCH, planted.id, True)
        else:
            asyncio.run(history.copies(self._url, planted.id, AREAS - 1))
            self._has_watchers = True
        scheduler, worker = self.stack.area("scheduler"), self.stack.area("worker")
        time.sleep(5)  # the first look takes the baseline
        urllib.request.urlopen(urllib.request.Request(f"{self._sink}/value", method="POST"), timeout=5).close()
        began, moment = time.monotonic(), self.query("SELECT now()")["now"]
        self.query(LOOK, planted.id)
        deadline = began + DRAIN_SECONDS
        while (done := self.query(LOOKED, planted.id, moment)["count"]) < AREAS and time.monotonic() < deadline:
            time.sleep(0.2)
        seconds, looks = time.monotonic() - began, self._ask("asked")
        self.stack.stop(worker)
        self.stack.stop(scheduler)
        if done < AREAS:
            raise RuntimeError(f"{done} of {AREAS} runs ended in {DRAIN_SECONDS:.0f} s.")
        self.query(SWITCH, planted.id, False)
        figure = {
            f"{AREAS:,} AREAs on one source: looks at it": float(looks),  # type: ignore[arg-type]
            "… to the end of the last run (s)": seconds,
            "… runs of one look (/s)": AREAS / seconds,
        }
        if self.with_naive:
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.naive", "poll", f"{self._sink}/value", "500"],
                env=self.stack.environment(),
                cwd=Path(__file__).parents[1],
                capture_output=True,
                text=True,
                check=True,
                timeout=DRAIN_SECONDS,
            )
            figure["naive: … runs of one look (/s)"] = float(done.stdout)
        self._forget()
        return figure

    def fill(self, runs: int) -> None:
        """A history of finished runs."""
        asyncio.run(history.past(self._url, self.account.areas["calls"].id, runs))

    def _rate(self, area: UUID, since: object) -> float:
        ended = self.query(ENDED, area, since)
        if ended["succeeded"] < ended["accepted"]:
            raise RuntimeError(f"{ended['succeeded']} of {ended['accepted']} runs succeeded.")
        return float(ended["succeeded"] / ended["seconds"])

    def _drained(self, worker: "subprocess.Popen[bytes]", open_runs: str) -> float:
        """Wait for the end of every run; the answer is what one cost the worker, in ms of CPU, its start left out."""
        deadline = time.monotonic() + DRAIN_SECONDS
        accepted = self.query(open_runs)["count"]
        first: tuple[int, float] | None = None
        while left := self.query(open_runs)["count"]:
            if first is None and left < accepted:
                first = (left, cpu_seconds(worker))
            if worker.poll() is not None:
                raise RuntimeError(f"The worker ended by itself in the middle, with code {worker.returncode}.")
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.query(open_runs)['count']} runs have not ended after {DRAIN_SECONDS:.0f} s.")
            time.sleep(0.25)
        count, before = first or (accepted, 0.0)
        return (cpu_seconds(worker) - before) / count * 1000

    def _forget(self) -> None:
        """Nothing of one measurement is left to do in the next."""
        self.query(DROP_REST)
        if self.query("SELECT to_regclass('naive_runs') AS found")["found"]:
            self.query(NAIVE_DROP)
        self.redis.flushdb()

    def _naive(self, *words: str) -> "subprocess.Popen[bytes]":
        return self.stack.start("benchmarks.naive", *words, NAIVE_SINK=self._sink)

    def _naive_api(self) -> tuple["subprocess.Popen[bytes]", str]:
        port = free_port()
        process = self._naive("api", str(port))
        wait_for(f"http://127.0.0.1:{port}/noted")
        return process, f"http://127.0.0.1:{port}"

    def _ask(self, what: str) -> list[float]:
        with urllib.request.urlopen(f"{self._sink}/{what}", timeout=5) as answer:
            told: list[float] = orjson.loads(answer.read())
            return told


def additions() -> float:
    """How fast one core is at Python itself: machines differ, and the same machine from hour to hour."""
    began, total = time.perf_counter(), 0
    for number in range(5_000_000):
        total += number
    return 5 / (time.perf_counter() - began)


def conditions(bench: Bench) -> str:
    """The machine and the versions."""
    info = Path("/proc/cpuinfo")
    named = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    server = bench.query(
        "SELECT current_setting('server_version') AS version, current_setting('fsync') AS fsync, "
        "current_setting('synchronous_commit') AS commits"
    )
    parts = [
        f"{name} {importlib.metadata.version(name)}" for name in ("starlette", "uvicorn", "asyncpg", "saq", "aiohttp")
    ]
    cpu = named[0] if named else platform.machine()
    return (
        f"{os.cpu_count()} CPUs ({cpu}), {platform.system()}; Python {platform.python_version()}, Postgres {server['version']} "
        f"(fsync {server['fsync']}, synchronous_commit {server['commits']}), Redis {bench.redis.info('server')['redis_version']}, "
        f"{', '.join(parts)}; one core adds {additions():.1f} million integers a second"
    )
