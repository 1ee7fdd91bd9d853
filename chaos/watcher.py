"""A subscriber to the account's feed that is thrown out again and again, and resumes where it left off."""

import asyncio
import json
import random
from contextlib import suppress
from typing import Any
from uuid import UUID

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

from area.core.ids import uuid_of
from area.graphql.pages import to_cursor

QUERY = "subscription Feed($after: String) { feed(after: $after) { cursor events { seq run { id } } } }"
PROTOCOL = Subprotocol("graphql-transport-ws")
SILENCE = 60.0
"""Seconds without any message, pings included, after which the connection is given up."""


class Watcher:
    """Notes the lines of every run in the order in which they came."""

    def __init__(self, url: str, token: str) -> None:
        self.seen: dict[UUID, list[int]] = {}
        self.connections = 0
        self.refused: list[str] = []
        """What no client would come back from."""
        self._url = url.replace("http", "ws") + "/graphql"
        self._token = token
        self._cursor = to_cursor("0.0")  # from the very first line
        self.listening = asyncio.Event()

    async def run(self) -> None:
        """Watch for ever."""
        while True:
            with suppress(OSError, WebSocketException, TimeoutError):
                async with connect(self._url, subprotocols=[PROTOCOL], open_timeout=10, ping_interval=None) as socket:
                    self.connections += 1
                    await self._follow(socket)
            await asyncio.sleep(random.uniform(0.1, 0.5))

    async def _follow(self, socket: ClientConnection) -> None:
        await self._send(socket, type="connection_init", payload={"Authorization": f"Bearer {self._token}"})
        while True:
            message = json.loads(await asyncio.wait_for(socket.recv(), SILENCE))
            match message["type"]:
                case "ping":
                    await self._send(socket, type="pong")
                case "connection_ack":
                    payload = {"query": QUERY, "variables": {"after": self._cursor}}
                    await self._send(socket, type="subscribe", id="1", payload=payload)
                case "next" if "errors" not in message["payload"]:
                    self._take(message["payload"]["data"]["feed"])
                case "next" | "error":
                    self.refused.append(json.dumps(message)[:300])
                    return
                case "complete":
                    return

    def _take(self, batch: dict[str, Any]) -> None:
        for event in batch["events"]:
            run = uuid_of(event["run"]["id"], "Run")
            assert run is not None
            self.seen.setdefault(run, []).append(event["seq"])
        self._cursor = batch["cursor"]
        self.listening.set()

    @staticmethod
    async def _send(socket: ClientConnection, **message: Any) -> None:
        await socket.send(json.dumps(message))
