"""The GraphQL load, in a process of its own: reads what to do as JSON from its input, writes what it saw to its output."""

import asyncio
import itertools
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import uvloop
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from benchmarks.load import signed

FEED = "subscription { feed { cursor events { kind message attributes } } }"
LOG = "subscription($id: ID!) { runLog(runId: $id) { entries { seq at level message } isFinished } }"
ME = "{ viewer { id displayName } }"
PAGE = os.sysconf("SC_PAGE_SIZE")
AT_ONCE = 50
"""Sockets that are opened together."""


async def ask(url: str, token: str, body: Any, connections: int, seconds: float) -> dict[str, Any]:
    """Closed loop: every connection asks again when it is answered."""
    sent, headers = orjson.dumps(body), _headers(token)
    times: list[float] = []
    failed = 0
    begin, cpu = time.perf_counter(), time.process_time()

    async def one(session: aiohttp.ClientSession) -> None:
        nonlocal failed
        while time.perf_counter() - begin < seconds:
            moment = time.perf_counter()
            async with session.post(url, data=sent, headers=headers) as answer:
                told = await answer.read()
                failed += answer.status != 200 or b'"errors"' in told
            times.append(time.perf_counter() - moment)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=connections)) as session:
        await asyncio.gather(*(one(session) for _ in range(connections)))
    seconds = time.perf_counter() - begin
    return {"seconds": seconds, "cpu": time.process_time() - cpu, "times": times, "failed": failed}


async def fan(url: str, token: str, hook: str, secret: str, subscribers: int, events: int, pid: int) -> dict[str, Any]:
    """One account's feed to many sockets: what each costs in memory, and how long an event takes to the last of them."""
    seen: dict[str, list[float]] = {}
    before = _resident(pid)
    async with AsyncExitStack() as stack:
        sockets = []
        for at in range(0, subscribers, AT_ONCE):
            opened = [_subscribed(url, token) for _ in range(at, min(at + AT_ONCE, subscribers))]
            sockets += await asyncio.gather(*opened)
        for socket in sockets:
            stack.push_async_callback(socket.close)
        await asyncio.sleep(2)
        after = _resident(pid)
        readers = [asyncio.create_task(_collect(socket, seen)) for socket in sockets]
        sent: dict[str, float] = {}
        async with aiohttp.ClientSession() as session:
            for number in range(events):
                body, headers = signed(secret)(number)
                moment = time.perf_counter()
                async with session.post(hook, data=body, headers=headers) as answer:
                    sent[orjson.loads(await answer.read())["event"]] = moment
                await asyncio.sleep(1)
        for reader in readers:
            reader.cancel()
    last = [max(seen[event]) - moment for event, moment in sent.items() if len(seen.get(event, ())) == subscribers]
    first = [min(seen[event]) - moment for event, moment in sent.items() if event in seen]
    return {"last": last, "first": first, "lost": len(sent) - len(last), "bytes": (after - before) / subscribers}


async def log(url: str, token: str, run: str, subscribers: int) -> dict[str, Any]:
    """Many readers of one long log, from its first line to its end."""
    lines = 0

    async def one() -> None:
        nonlocal lines
        async with connect(url, subprotocols=[Subprotocol("graphql-transport-ws")], max_size=None) as socket:
            await _begin(socket, token, LOG, {"id": run})
            async for raw in socket:
                message = orjson.loads(raw)
                if message["type"] == "complete":
                    return
                if message["type"] == "next":
                    lines += len(message["payload"]["data"]["runLog"]["entries"])

    begin = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(subscribers)))
    return {"lines": lines, "seconds": time.perf_counter() - begin}


async def beside(url: str, token: str, abuse: str, run: str, seconds: float, abusers: int) -> dict[str, Any]:
    """What another client's small query takes while some misbehave."""
    times: list[float] = []
    stop = time.perf_counter() + seconds
    bad, codes = _bad(abuse), dict[str, int]()

    async def misbehave(session: aiohttp.ClientSession) -> None:
        while time.perf_counter() < stop:
            if abuse == "replay":
                await log(url.replace("http", "ws"), token, run, 1)
                continue
            async with session.post(url, data=next(bad), headers=_headers(token)) as answer:
                told = orjson.loads(await answer.read())
            code = told["errors"][0]["extensions"]["code"] if "errors" in told else "ran"
            codes[code] = codes.get(code, 0) + 1

    async with aiohttp.ClientSession() as session:
        tasks = [asyncio.create_task(misbehave(session)) for _ in range(abusers)]
        while time.perf_counter() < stop:
            moment = time.perf_counter()
            async with session.post(url, data=orjson.dumps({"query": ME}), headers=_headers(token)) as answer:
                await answer.read()
            times.append(time.perf_counter() - moment)
            await asyncio.sleep(0.02)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return {"times": times, "codes": codes}


def _bad(kind: str) -> Iterator[bytes]:
    """Requests that cost as much as they can, each a new one."""
    area = {"name": "x", "action": {"action": "webhook.received"}, "reactions": [{"reaction": "flow.log"}] * 25_000}
    create = "mutation($i: CreateAreaInput!) { createArea(input: $i) { errors { code } } }"
    deep = "fields { type { ofType { fields { name args { name } } } } }"
    makers: dict[str, Callable[[int], Any]] = {
        "nothing": lambda n: {"query": "{ __typename }"},
        "replay": lambda n: None,
        "repeated fields": lambda n: {"query": "{ " + "viewer { id } " * 450 + f"a{n}: __typename }}"},
        "unknown fields": lambda n: {"query": "{ " + " ".join(f"x{n}y{i}" for i in range(900)) + " }"},
        "introspection": lambda n: {"query": f"{{ a{n}: __schema {{ types {{ {deep} }} }} }}"},
        "large pages": lambda n: {"query": f"{{ viewer {{ a{n}: runs(first: 100) {{ nodes {{ {'id status ' * 100} }} }} }} }}"},
        "large variables": lambda n: {"query": create, "variables": {"i": area | {"name": str(n)}}},
    }  # fmt: skip
    return (orjson.dumps(makers[kind](number)) for number in itertools.count())


async def _subscribed(url: str, token: str) -> ClientConnection:
    socket = await connect(
        url, subprotocols=[Subprotocol("graphql-transport-ws")], compression=None, ping_interval=None
    )
    await _begin(socket, token, FEED, {})
    while orjson.loads(await socket.recv())["type"] != "next":
        pass
    return socket


async def _begin(socket: ClientConnection, token: str, query: str, variables: dict[str, Any]) -> None:
    await socket.send(
        orjson.dumps({"type": "connection_init", "payload": {"Authorization": f"Bearer {token}"}}).decode()
    )
    if orjson.loads(await socket.recv())["type"] != "connection_ack":
        raise RuntimeError("The API does not acknowledge a connection.")
    payload = {"query": query, "variables": variables}
    await socket.send(orjson.dumps({"type": "subscribe", "id": "1", "payload": payload}).decode())


async def _collect(socket: ClientConnection, seen: dict[str, list[float]]) -> None:
    async for raw in socket:
        moment = time.perf_counter()
        message = orjson.loads(raw)
        if message["type"] == "ping":
            await socket.send('{"type":"pong"}')
        elif message["type"] == "next":
            for event in message["payload"]["data"]["feed"]["events"]:
                if event["kind"] == "EVENT_RECEIVED":
                    seen.setdefault(event["attributes"]["eventId"], []).append(moment)


def _headers(token: str) -> dict[str, str]:
    return {"content-type": "application/json", "authorization": f"Bearer {token}"}


def _resident(pid: int) -> int:
    """Resident memory of a process, in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE


async def main() -> None:
    """Do what the input asks for."""
    asked = orjson.loads(sys.stdin.buffer.read())
    what = {"ask": ask, "fan": fan, "log": log, "beside": beside}[asked.pop("do")]
    answer = await what(**asked)  # type: ignore[operator]
    sys.stdout.buffer.write(orjson.dumps(answer))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
