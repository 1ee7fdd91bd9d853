"""The load, in a process of its own: reads what to do as JSON from its input, writes what it saw to its output."""

import asyncio
import hashlib
import hmac
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import aiohttp
import orjson
import uvloop
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

FEED = "subscription { feed { cursor events { kind attributes } } }"
SETTLE_SECONDS = 1.0
"""How long the last lines may take to arrive."""

Prepare = Callable[[int], tuple[bytes, dict[str, str]]]


def signed(secret: str) -> Prepare:
    """How to make the delivery number ``n``, with the signature of its bytes."""

    def prepare(number: int) -> tuple[bytes, dict[str, str]]:
        body = orjson.dumps({"n": number, "kind": "order", "total": 42.5, "sent": f"{time.time():.6f}"})
        digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        return body, {"content-type": "application/json", "x-signature-256": f"sha256={digest}"}

    return prepare


async def flood(url: str, secret: str, connections: int, seconds: float, count: int, urls: int = 1) -> dict[str, Any]:
    """Closed loop: each connection posts again when it is answered. ``{n}`` in the URL counts ``urls`` round."""
    prepare, failed, number = signed(secret), 0, 0
    times: list[float] = []
    begin, cpu = time.perf_counter(), time.process_time()

    async def one(session: aiohttp.ClientSession) -> None:
        nonlocal failed, number
        while number < count and time.perf_counter() - begin < seconds:
            number += 1
            body, headers = prepare(number)
            sent = time.perf_counter()
            async with session.post(url.replace("{n}", str(number % urls)), data=body, headers=headers) as answer:
                await answer.read()
                failed += answer.status != 202
            times.append(time.perf_counter() - sent)

    connector = aiohttp.TCPConnector(limit=connections)
    async with aiohttp.ClientSession(connector=connector) as session:
        await asyncio.gather(*(one(session) for _ in range(connections)))
    seconds = time.perf_counter() - begin
    return {"seconds": seconds, "cpu": time.process_time() - cpu, "times": times, "failed": failed}


async def pace(url: str, secret: str, rate: int, seconds: float, socket_url: str, token: str) -> dict[str, Any]:
    """Open loop: one delivery each ``1 / rate`` seconds, while a subscriber follows the account's feed."""
    prepare, failed = signed(secret), 0
    sent: dict[str, float] = {}
    seen: dict[str, float] = {}
    async with connect(socket_url, subprotocols=[Subprotocol("graphql-transport-ws")] if token else None) as socket:
        await _subscribe(socket, token)
        reader = asyncio.create_task(_read(socket, seen))
        async with aiohttp.ClientSession() as session:

            async def one(number: int) -> None:
                nonlocal failed
                body, headers = prepare(number)
                moment = time.perf_counter()
                async with session.post(url, data=body, headers=headers) as answer:
                    told = orjson.loads(await answer.read())
                    if answer.status == 202:
                        sent[told["event"]] = moment
                    else:
                        failed += 1

            begin, tasks = time.perf_counter(), []
            for number in range(int(rate * seconds)):
                await asyncio.sleep(max(0.0, begin + number / rate - time.perf_counter()))
                tasks.append(asyncio.create_task(one(number)))
            await asyncio.gather(*tasks)
        await asyncio.sleep(SETTLE_SECONDS)
        reader.cancel()
        with suppress(asyncio.CancelledError):
            await reader
    return {
        "times": [seen[event] - sent[event] for event in sent if event in seen],
        "sent": len(sent),
        "failed": failed,
    }


async def _subscribe(socket: ClientConnection, token: str) -> None:
    if not token:  # the naive feed begins by itself
        await socket.recv()
        return
    await socket.send(
        orjson.dumps({"type": "connection_init", "payload": {"Authorization": f"Bearer {token}"}}).decode()
    )
    await _expect(socket, "connection_ack")
    await socket.send(orjson.dumps({"type": "subscribe", "id": "1", "payload": {"query": FEED}}).decode())
    # The first batch may be empty: it says that the subscriber is listening.
    await _expect(socket, "next")


async def _expect(socket: ClientConnection, kind: str) -> None:
    while (message := orjson.loads(await asyncio.wait_for(socket.recv(), 10)))["type"] != kind:
        if message["type"] != "ping":
            raise RuntimeError(f"The API answered {message} where {kind} was expected.")
        await socket.send('{"type":"pong"}')


async def _read(socket: ClientConnection, seen: dict[str, float]) -> None:
    async for raw in socket:
        message, moment = orjson.loads(raw), time.perf_counter()
        if "type" not in message:
            if event := message.get("event"):
                seen.setdefault(event, moment)
        elif message["type"] == "ping":
            await socket.send('{"type":"pong"}')
        elif message["type"] == "next":
            for event in message["payload"]["data"]["feed"]["events"]:
                if event["kind"] == "EVENT_RECEIVED":
                    seen.setdefault(event["attributes"]["eventId"], moment)


async def main() -> None:
    """Do what the input asks for."""
    asked = orjson.loads(sys.stdin.buffer.read())
    answer = await flood(**asked) if asked.pop("do") == "flood" else await pace(**asked)
    sys.stdout.buffer.write(orjson.dumps(answer))


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
