"""The API as a process, under uvicorn."""

import signal
import socket

import uvicorn

from area.app.protocols import HttpProtocol, WebSocketProtocol
from area.app.server import Entrance, make_app
from area.core.settings import Settings
from area.engine import housekeeping
from area.engine.platform import serving
from area.workers.lifecycle import settle

WEBSOCKET_MESSAGE = 256 << 10
"""Largest WebSocket message from a client, in bytes."""
PING_SECONDS = 20.0
DRAIN_SECONDS = 8
BACKLOG = 4096


class Server(uvicorn.Server):
    """uvicorn, whose end is told to the application before it waits for the connections to close."""

    def __init__(self, app: Entrance, settings: Settings) -> None:
        config = uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            http=HttpProtocol,
            ws=WebSocketProtocol,
            ws_max_size=WEBSOCKET_MESSAGE,
            ws_ping_interval=PING_SECONDS,
            ws_ping_timeout=PING_SECONDS,
            ws_per_message_deflate=False,
            lifespan="off",
            backlog=BACKLOG,
            access_log=False,
            server_header=False,
            log_level="warning",
            timeout_graceful_shutdown=DRAIN_SECONDS,
        )
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting, and let go of everybody."""
        self._app.drain()
        await super().shutdown(sockets)


async def api(settings: Settings) -> None:
    """Serve the API until SIGTERM or SIGINT."""
    async with serving(settings) as platform:
        await housekeeping.sync_services(platform)
        server = Server(make_app(platform), settings)
        # uvicorn raises the signal that stopped it once more at its end; without these the process would die there,
        # with the platform open.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        settle()
        await server.serve()
