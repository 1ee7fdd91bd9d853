"""``python -m benchmarks.graphql``: the API's figures on this machine, in one table. Loopback only, ends alone."""

import asyncio
import os
import subprocess
import time
from collections.abc import Sequence
from typing import Any

import asyncpg
from rich.console import Console
from rich.table import Table

from area.core.ids import to_global
from area.db.session import plain_url
from area.nodes.registry import load
from benchmarks.bench import percentile
from benchmarks.fixtures import SECRET, plant
from benchmarks.stack import Stack

CONNECTIONS = 32
SUBSCRIBERS = 1_000
LINES = 10_000
READERS = 8
GENERATOR_FULL = 0.9
"""Above this share of a core the load generator, not the server, sets the rate."""
ABUSES = ("nothing", "replay", "repeated fields", "unknown fields", "introspection", "large pages", "large variables")
ROWS = """query($ids: [ID!]!) { nodes(ids: $ids) { ... on ComponentDefinition {
  a: id b: key c: name d: description e: id f: key g: name h: description i: key j: name } } }"""
LONG_RUN = """
WITH area AS (SELECT id, user_id, published_version_id FROM areas WHERE id = $1
), run AS (
  INSERT INTO runs (id, user_id, area_id, area_version_id, status, last_seq, started_at, finished_at)
  SELECT area_uuid7(), user_id, id, published_version_id, 'succeeded', $2, now(), now() FROM area RETURNING id, user_id, area_id
), told AS (
  INSERT INTO run_events (run_id, seq, day, user_id, area_id, at, kind, level, message)
  SELECT run.id, n, date_trunc('day', now()), user_id, area_id, now(), 'log', 'info', 'Line ' || n || ' of a long story'
  FROM run, generate_series(1, $2::int) AS n
)
SELECT id FROM run
"""

Row = tuple[str, str, str]


def both(values: Sequence[float]) -> str:
    """Median and 99th percentile."""
    return f"{percentile(values, 0.5):.1f} / {percentile(values, 0.99):.1f} ms" if values else "none"


class Bench:
    """The measurements, in order; the API and the raw route share one core, the load has the other."""

    def __init__(self, stack: Stack, api: "subprocess.Popen[bytes]", raw: str, account: Any) -> None:
        self._stack = stack
        self._api = api
        self._raw = raw
        self._account = account
        self._url = f"{stack.url}/graphql"
        self._socket = self._url.replace("http", "ws")

    def _load(self, do: str, **asked: Any) -> dict[str, Any]:
        return self._stack.load("benchmarks.listeners", do=do, token=self._account.token, **asked)

    def _rate(self, url: str, body: Any) -> tuple[float, str, str]:
        self._load("ask", url=url, body=body, connections=CONNECTIONS, seconds=1)
        seen = self._load("ask", url=url, body=body, connections=CONNECTIONS, seconds=5)
        if seen["failed"]:
            raise RuntimeError(f"{seen['failed']} requests to {url} failed.")
        rate = len(seen["times"]) / seen["seconds"]
        full = " (the generator's limit)" if seen["cpu"] / seen["seconds"] > GENERATOR_FULL else ""
        return rate, f"{rate:,.0f}/s, p50 / p99 {both(seen['times'])}", full

    def queries(self) -> list[Row]:
        """Queries that need no database, next to a raw route."""
        raw, told, full = self._rate(f"{self._raw}/raw", {"n": 1})
        ids = [
            to_global(kind, key)
            for kind, found in (("ActionDefinition", load().actions), ("ReactionDefinition", load().reactions))
            for key in found
        ]
        rows = [("Raw Starlette JSON route", told + full, "")]
        for name, body, target in (
            ("Trivial query: { __typename }", {"query": "{ __typename }"}, "0.35 of raw"),
            ("50 rows of 10 fields, from memory", {"query": ROWS, "variables": {"ids": (ids * 50)[:50]}}, "550/s"),
        ):
            rate, told, full = self._rate(self._url, body)
            rows.append((name, f"{told}{full}; {rate / raw:.2f} of raw", target))
        return rows

    def fan(self) -> list[Row]:
        """One event to many."""
        hook = self._account.areas["log"].hook_url
        seen = self._load(
            "fan", url=self._socket, hook=hook, secret=SECRET, subscribers=SUBSCRIBERS, events=10, pid=self._api.pid
        )
        lost = f"; {seen['lost']} lost" if seen["lost"] else ""
        return [
            (f"1 event to {SUBSCRIBERS:,} sockets, to the last", f"p50 / p99 {both(seen['last'])}{lost}", "250 ms"),
            ("… to the first", f"p50 / p99 {both(seen['first'])}", ""),
            ("Memory of a socket with a subscription", f"{seen['bytes'] / 1000:.0f} kB", "50 kB"),
        ]

    def log(self) -> list[Row]:
        """A long log, replayed."""
        run = self._long_run()
        rates = []
        for readers in (1, READERS):
            seen = self._load("log", url=self._socket, run=run, subscribers=readers)
            if seen["lines"] != LINES * readers:
                raise RuntimeError(f"{seen['lines']} of {LINES * readers} lines arrived.")
            rates.append(f"{seen['lines'] / seen['seconds']:,.0f} lines/s to {readers}")
        return [("Lines of a log of 10,000, 4 fields each", ", ".join(rates), "50,000/s")]

    def beside(self) -> list[Row]:
        """Another client's query, beside those that misbehave."""
        run, rows = self._long_run(), []
        for abuse in ABUSES:
            seen = self._load("beside", url=self._url, abuse=abuse, run=run, seconds=5, abusers=4)
            codes = ", ".join(f"{code} {count}" for code, count in seen["codes"].items())
            p50, p99, most = (percentile(seen["times"], share) for share in (0.5, 0.99, 1))
            told = f"p50 {p50:.1f}, p99 {p99:.1f}, max {most:.1f} ms"
            rows.append((f"Another's query beside 4 clients: {abuse}", f"{told}; {codes}".rstrip("; "), "100 ms"))
        return rows

    def _long_run(self) -> str:
        async def make() -> str:
            connection = await asyncpg.connect(plain_url(self._stack.settings.database_url.get_secret_value()))
            try:
                return to_global("Run", await connection.fetchval(LONG_RUN, self._account.areas["log"].id, LINES))
            finally:
                await connection.close()

        return asyncio.run(make())


def main() -> None:
    """Measure everything and print the table."""
    console = Console(width=160)
    with Stack() as stack:
        raw, sink = stack.serve("benchmarks.servers"), "http://127.0.0.1:9"
        account = asyncio.run(plant(stack.settings, sink))
        api = stack.area("api")
        cores = sorted(os.sched_getaffinity(0))
        for process in stack.running:
            os.sched_setaffinity(process.pid, cores[:1])
        os.sched_setaffinity(0, cores[1:] or cores)  # what is started from here on: the load
        bench = Bench(stack, api, raw, account)
        began = time.perf_counter()
        table = Table("Measured", "Result", "To reach", title="The API, one process on one core", title_justify="left")
        for rows in (bench.queries, bench.fan, bench.log, bench.beside):
            for row in rows():
                table.add_row(*row)
        console.print(table)
        console.print(f"{time.perf_counter() - began:.0f} s; load {os.getloadavg()[0]:.1f} at the end.", style="dim")


if __name__ == "__main__":
    main()
