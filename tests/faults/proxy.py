"""A network between worker and server, which a test can slow down, block or cut.

A proxy in a thread of its own listens on a TCP port of the loopback interface, and forwards to the server's socket.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from psycopg.conninfo import make_conninfo

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Direction:
    """One direction of all connections: whether data passes, and after which delay in seconds."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.delay = 0.0

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward bytes until the end of the stream. Blocked bytes arrive later, because TCP would send them again."""
        while True:
            data = await reader.read(65536)
            if self.delay:
                await asyncio.sleep(self.delay)
            await self.open.wait()
            if not data:
                return
            writer.write(data)
            await writer.drain()


class Proxy:
    """A proxy to the socket of a server. Each method takes effect at once, for all connections."""

    def __init__(self, socket_path: Path) -> None:
        self._path = socket_path
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._connections: set[Streams] = set()
        self._clients: set[socket.socket] = set()
        self._serving: set[asyncio.Task[None]] = set()
        # A server of asyncio would leak the connections that it has just accepted when it is closed.
        self._listening: socket.socket | None = None
        self.port = 0
        self.accepted = 0

    def start(self) -> None:
        """Start the thread, and listen."""
        self._thread.start()
        self._do(self._start)

    def stop(self) -> None:
        """Close all connections, and end the thread."""
        self._do(self._stop)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def leads_to(self, socket_path: Path) -> None:
        """Forward new connections to this server."""
        self._path = socket_path

    def dsn(self, **options: Any) -> str:
        """Return a DSN of the server that leads through this proxy."""
        where: dict[str, Any] = {"host": "127.0.0.1", "port": self.port, "sslmode": "disable"}
        return make_conninfo(**(where | options))

    def black_hole(self, to_server: bool = True, to_client: bool = True) -> None:
        """Block the data silently, in one or both directions."""
        for direction, closed in ((self._to_server, to_server), (self._to_client, to_client)):
            if closed:
                self._soon(direction.open.clear)

    def slow(self, seconds: float) -> None:
        """Delay the data by ``seconds`` in each direction."""
        self._to_server.delay = self._to_client.delay = seconds

    def heal(self) -> None:
        """End all blocking and delays. Blocked data arrives."""
        self.slow(0)
        for direction in (self._to_server, self._to_client):
            self._soon(direction.open.set)

    def reset(self) -> None:
        """Reset all connections on both sides (RST)."""
        self._do(self._reset)

    def refuse(self) -> None:
        """Refuse new connections, until ``accept``."""
        self._do(self._close)

    def accept(self) -> None:
        """Accept connections again, on the same port."""
        self._do(self._listen)

    def _soon(self, action: Callable[[], object]) -> None:
        self._loop.call_soon_threadsafe(action)

    def _do(self, action: Callable[[], Any]) -> None:
        asyncio.run_coroutine_threadsafe(action(), self._loop).result(20)

    async def _start(self) -> None:
        self._to_server, self._to_client = Direction(), Direction()
        await self._listen()

    async def _listen(self) -> None:
        if self._listening is None:
            self._listening = socket.create_server(("127.0.0.1", self.port))
            self._listening.setblocking(False)
            self.port = self._listening.getsockname()[1]
            self._loop.add_reader(self._listening, self._accept, self._listening)

    async def _close(self) -> None:
        if self._listening is not None:
            self._loop.remove_reader(self._listening)
            self._listening.close()
            self._listening = None

    async def _reset(self) -> None:
        for _, writer in self._connections:
            connection = writer.get_extra_info("socket")
            with suppress(OSError):  # the peer may have closed the connection
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    async def _stop(self) -> None:
        await self._close()
        await self._reset()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        for _ in range(10):  # asyncio closes the socket of a closed transport in later turns of its loop
            await asyncio.sleep(0)
        for client in self._clients:
            client.close()

    def _accept(self, listening: socket.socket) -> None:
        with suppress(BlockingIOError, ConnectionAbortedError):  # the client has gone already
            client, _ = listening.accept()
            client.setblocking(False)
            self._clients.add(client)
            self._serving.add(asyncio.ensure_future(self._serve(client)))

    async def _serve(self, accepted: socket.socket) -> None:
        self.accepted += 1
        with suppress(OSError, asyncio.CancelledError):
            client: Streams = await asyncio.open_connection(sock=accepted)
            try:
                server = await asyncio.open_unix_connection(str(self._path))
            except (OSError, asyncio.CancelledError):
                client[1].transport.abort()
                raise
            await self._carry(client, server)

    async def _carry(self, client: Streams, server: Streams) -> None:
        ends = {client, server}
        self._connections |= ends
        ways = [
            asyncio.ensure_future(self._to_server.carry(client[0], server[1])),
            asyncio.ensure_future(self._to_client.carry(server[0], client[1])),
        ]
        try:
            with suppress(asyncio.CancelledError):  # raised when the proxy stops; Python 3.11 would report it
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._connections -= ends
            # Close before waiting, because the proxy may stop and cancel this task while it waits.
            for _, end in ends:
                with suppress(OSError):
                    end.close()
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)


@contextmanager
def network(socket_path: Path) -> Iterator[Proxy]:
    """Run a proxy to this socket of a server, until the context ends."""
    proxy = Proxy(socket_path)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()
