"""A wire between two programs that can be cut, held still, or lose what is on it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

CHUNK = 1 << 16

Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


class Proxy:
    """Passes bytes between clients of ``port`` on loopback and whatever ``connect`` reaches."""

    def __init__(self, connect: Connect) -> None:
        self.port = 0
        self._connect = connect
        self._server: asyncio.Server | None = None
        self._flows = asyncio.Event()
        self._flows.set()
        self._wires: set[Wire] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen, always on the same port once it is known."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Refuse new connections and cut the old ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for wire in list(self._wires):
            wire.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def is_listening(self) -> bool:
        """Whether new connections are taken."""
        return self._server is not None

    async def refuse(self) -> None:
        """As if the other side's machine were off: connections are reset, new ones refused. `start` ends it."""
        await self.close()

    def hold(self) -> None:
        """As if the network stood still: connections stay open, new ones too, and no byte arrives until `release`."""
        self._flows.clear()

    def release(self) -> None:
        """Everything that was held arrives."""
        self._flows.set()

    def forget(self) -> None:
        """As if a firewall forgot them: present connections fall silent for ever and are not closed; new ones work."""
        for wire in self._wires:
            wire.silence()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._flows.wait()
            try:
                far = await self._connect()
            except OSError:
                writer.transport.abort()
                return
            wire = Wire((reader, writer), far, self._flows)
            self._wires.add(wire)
            try:
                await wire.carry()
            finally:
                self._wires.discard(wire)
                wire.cut()
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self._tasks.discard(task)


class Wire:
    """One connection."""

    def __init__(
        self,
        near: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        far: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        flows: asyncio.Event,
    ) -> None:
        self._near = near
        self._far = far
        self._flows = flows
        self._silent = False

    async def carry(self) -> None:
        """Carry bytes both ways until one side ends."""
        there = asyncio.ensure_future(self._pump(self._near[0], self._far[1]))
        back = asyncio.ensure_future(self._pump(self._far[0], self._near[1]))
        try:
            await asyncio.wait({there, back}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in (there, back):
                pump.cancel()
            await asyncio.gather(there, back, return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                await self._flows.wait()
                if self._silent:
                    continue
                writer.write(data)
                await writer.drain()
        if self._silent:
            # The other side does not learn of the end either.
            await asyncio.Event().wait()

    def silence(self) -> None:
        """Lose everything from now on."""
        self._silent = True

    def cut(self) -> None:
        """Reset both ends."""
        for _, writer in (self._near, self._far):
            writer.transport.abort()


@asynccontextmanager
async def proxied(connect: Connect) -> AsyncIterator[Proxy]:
    """A proxy that is listening."""
    proxy = Proxy(connect)
    await proxy.start()
    try:
        yield proxy
    finally:
        proxy.release()
        await proxy.close()
