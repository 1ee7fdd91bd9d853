"""Peers that misbehave: those that stop reading, that send too much, and what a stop of the server says to all."""

import asyncio
import json
import socket as sockets
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import pytest
from graphql import get_introspection_query
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from area.app.protocols import STALL_SECONDS, WebSocketProtocol
from area.engine.platform import Platform
from tests.graphql.conftest import Client, served
from tests.graphql.test_websocket import PROTOCOL, opened, receive, send, socket_of


def test_a_stalled_peer_is_let_go_within_15_seconds() -> None:
    assert 2 * STALL_SECONDS < 15


async def test_a_peer_that_stops_reading_is_let_go(
    ada: Client, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(WebSocketProtocol, "stall_seconds", 0.2)
    async with served(platform) as url:
        with await shaken(url) as peer:
            say(peer, type="connection_init", payload={"Authorization": f"Bearer {ada.token}"})
            for number in range(90):
                say(peer, type="subscribe", id=str(number), payload={"query": get_introspection_query()})
            # Nothing is read from here on: only the reset of the connection can be noticed.
            async with asyncio.timeout(30):
                await reset(peer)
        async with connect(socket_of(url), subprotocols=PROTOCOL) as other:
            await opened(other, ada.token)
            await send(other, type="subscribe", id="1", payload={"query": "{ __typename }"})
            assert (await receive(other))["payload"]["data"] == {"__typename": "Query"}


async def shaken(url: str) -> sockets.socket:
    """A bare socket after the handshake, with little room for what nobody reads."""
    address = urlsplit(url)
    peer = sockets.socket()
    peer.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
    peer.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(peer, (address.hostname, address.port))
    lines = (
        "GET /graphql HTTP/1.1", f"Host: {address.netloc}", "Upgrade: websocket", "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Protocol: graphql-transport-ws", "", "",
    )  # fmt: skip
    await loop.sock_sendall(peer, "\r\n".join(lines).encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += await loop.sock_recv(peer, 1)
    assert b" 101 " in answer
    peer.setblocking(True)
    return peer


async def reset(peer: sockets.socket) -> None:
    """Return once the connection is reset.

    A reset that finds no room left to read is lost, so a ping asks for another: a connection that is gone resets whoever speaks.
    """
    ping = Frame(Opcode.PING, b"").serialize(mask=True)
    peer.setblocking(False)
    with suppress(ConnectionResetError, BrokenPipeError):
        while True:
            with suppress(BlockingIOError):
                peer.send(ping)
            await asyncio.sleep(0.05)


def say(peer: sockets.socket, **message: Any) -> None:
    peer.sendall(Frame(Opcode.TEXT, json.dumps(message).encode()).serialize(mask=True))


async def test_messages_are_bounded_and_not_compressed(ada: Client, platform: Platform) -> None:
    async with served(platform) as url, connect(socket_of(url), subprotocols=PROTOCOL, compression="deflate") as socket:
        assert socket.response is not None
        assert "Sec-WebSocket-Extensions" not in socket.response.headers
        await opened(socket, ada.token)
        await socket.send(json.dumps({"type": "ping", "payload": {"x": "y" * (256 << 10)}}))
        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009


async def test_a_stop_of_the_server_closes_with_1012(ada: Client, platform: Platform) -> None:
    async with served(platform) as url:
        socket = await connect(socket_of(url), subprotocols=PROTOCOL)
        await opened(socket, ada.token)
        await send(socket, type="subscribe", id="1", payload={"query": "subscription { feed { cursor } }"})
        await receive(socket)
    with pytest.raises(ConnectionClosed) as closed:
        await socket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012


async def test_a_connection_has_a_bounded_number_of_operations(ada: Client, platform: Platform) -> None:
    async with served(platform) as url, connect(socket_of(url), subprotocols=PROTOCOL) as socket:
        await opened(socket, ada.token)
        feed = {"query": "subscription { feed { cursor } }"}
        for number in range(101):
            await send(socket, type="subscribe", id=str(number), payload=feed)
        answers = [await receive(socket) for _ in range(101)]
        refused = [answer for answer in answers if answer["type"] == "error"]
        assert [answer["id"] for answer in refused] == ["100"]
        assert refused[0]["payload"][0]["extensions"]["code"] == "SUBSCRIPTION_LIMIT"
        await send(socket, type="complete", id="7")
        await send(socket, type="subscribe", id="again", payload=feed)
        assert (await receive(socket))["id"] == "again"
