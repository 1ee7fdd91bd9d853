"""Health and figures of a process that serves no API: ``GET /healthz`` and ``GET /metrics`` on ``AREA_PROBE_PORT``.

A thread answers, so that a stuck event loop is told rather than waited for.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app

BEAT_SECONDS = 1.0
STUCK_AFTER = 15.0
"""A loop that has not turned for this long is stuck, and the process is to be replaced."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Probes are not news."""


class Probes:
    """Serves until `stop`; the event loop that made it is the one that is watched."""

    def __init__(self, host: str, port: int) -> None:
        self._beat = time.monotonic()
        self._figures = make_wsgi_app()
        self._server = make_server(host, port, self._answer, server_class=_Server, handler_class=_Quiet)
        self.port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, name="probes", daemon=True)
        self._task = asyncio.get_running_loop().create_task(self._turn())
        self._thread.start()

    async def _turn(self) -> None:
        while True:
            self._beat = time.monotonic()
            await asyncio.sleep(BEAT_SECONDS)

    def _answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/metrics":
            answer: Iterable[bytes] = self._figures(environ, start)
            return answer
        if environ["PATH_INFO"] != "/healthz":
            start("404 Not Found", [("Content-Type", "text/plain")])
            return [b"There are /healthz and /metrics."]
        silent = time.monotonic() - self._beat
        status = "200 OK" if silent < STUCK_AFTER else "503 Service Unavailable"
        start(status, [("Content-Type", "application/json")])
        return [b'{"status": "ok"}' if silent < STUCK_AFTER else b'{"status": "the event loop is stuck"}']

    async def stop(self) -> None:
        """Serve no more."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        await asyncio.to_thread(self._server.shutdown)
        self._server.server_close()
