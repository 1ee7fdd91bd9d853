"""uvicorn's protocols with one thing more: a peer that stops reading is let go, so that it holds no memory for ever."""

import asyncio
import os
import socket
import struct

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

STALL_SECONDS = 7.0
"""A full buffer from which nothing was read for this long ends the connection: at most 14 s after the peer's last read."""


class Stall:
    """Watches a transport whose buffer is full, until it is not."""

    def __init__(self, transport: asyncio.Transport, seconds: float) -> None:
        self._transport = transport
        self._seconds = seconds
        self._waiting = 0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """The buffer is full."""
        self._waiting = self._transport.get_write_buffer_size()
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._look)

    def end(self) -> None:
        """It is not, or there is no connection any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        if self._transport.get_write_buffer_size() >= self._waiting:
            self._let_go()
        else:
            self.begin()

    def _let_go(self) -> None:
        """Reset the connection: a close would wait for the peer to read what was sent before, here and in the kernel."""
        given = self._transport.get_extra_info("socket")
        # uvloop hands out a socket that cannot be set; a second descriptor of the same one can.
        with socket.socket(fileno=os.dup(given.fileno())) as same:
            same.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()


class _LetsGo(asyncio.Protocol):
    transport: asyncio.Transport
    stall: Stall | None = None
    stall_seconds = STALL_SECONDS

    def pause_writing(self) -> None:
        """The peer reads too slowly."""
        super().pause_writing()
        self.stall = self.stall or Stall(self.transport, self.stall_seconds)
        self.stall.begin()

    def resume_writing(self) -> None:
        """It caught up."""
        super().resume_writing()
        if self.stall:
            self.stall.end()

    def connection_lost(self, exc: Exception | None) -> None:
        """There is no peer any more."""
        if self.stall:
            self.stall.end()
        super().connection_lost(exc)


class WebSocketProtocol(_LetsGo, WebSocketsSansIOProtocol):
    """WebSockets; a peer that stops reading is let go."""


class HttpProtocol(_LetsGo, HttpToolsProtocol):
    """HTTP, event streams included; a peer that stops reading is let go."""
