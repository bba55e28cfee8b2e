"""A network between the worker and the server, which tests make slow, deaf, or cut.

It runs in threads of its own, listens on a TCP port of the loopback and leads to the server's socket.
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
    """One way of every connection: what it lets through, and how soon."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.delay = 0.0

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Bytes from here to there, until the end; whatever is held up arrives later, as TCP has it."""
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
    """The way to the socket of a server. Every method takes effect at once, for all connections."""

    def __init__(self, socket_path: Path) -> None:
        self._path = socket_path
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._connections: set[Streams] = set()
        self._clients: set[socket.socket] = set()
        self._serving: set[asyncio.Task[None]] = set()
        # Not asyncio's server: that forgets what it has just accepted when it is closed.
        self._listening: socket.socket | None = None
        self.port = 0
        self.accepted = 0

    def start(self) -> None:
        """Listens."""
        self._thread.start()
        self._do(self._start)

    def stop(self) -> None:
        """Ends everything."""
        self._do(self._stop)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def leads_to(self, socket_path: Path) -> None:
        """Who connects from now on comes to this server."""
        self._path = socket_path

    def dsn(self, **options: Any) -> str:
        """A way to the server through this network."""
        where: dict[str, Any] = {"host": "127.0.0.1", "port": self.port, "sslmode": "disable"}
        return make_conninfo(**(where | options))

    def black_hole(self, to_server: bool = True, to_client: bool = True) -> None:
        """Nothing arrives any more, this way, that way or both; nobody is told."""
        for direction, closed in ((self._to_server, to_server), (self._to_client, to_client)):
            if closed:
                self._soon(direction.open.clear)

    def slow(self, seconds: float) -> None:
        """Everything takes so much longer, each way."""
        self._to_server.delay = self._to_client.delay = seconds

    def heal(self) -> None:
        """The network is as it should be; what was held up arrives."""
        self.slow(0)
        for direction in (self._to_server, self._to_client):
            self._soon(direction.open.set)

    def reset(self) -> None:
        """Every connection is cut, on both sides, with RST."""
        self._do(self._reset)

    def refuse(self) -> None:
        """Nobody can connect, until ``accept``."""
        self._do(self._close)

    def accept(self) -> None:
        """The same port takes connections again."""
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
            with suppress(OSError):  # it may have gone by itself
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    async def _stop(self) -> None:
        await self._close()
        await self._reset()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        for _ in range(10):  # what was closed closes its socket in the loop's next turns
            await asyncio.sleep(0)
        for client in self._clients:
            client.close()

    def _accept(self, listening: socket.socket) -> None:
        with suppress(BlockingIOError, ConnectionAbortedError):  # who wanted to connect has thought better of it
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
            with suppress(asyncio.CancelledError):  # the end of the network; Python 3.11 complains about it
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._connections -= ends
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for _, end in ends:
                with suppress(OSError):
                    end.close()


@contextmanager
def network(socket_path: Path) -> Iterator[Proxy]:
    """A proxy to the server whose socket this is, for as long as the context lasts."""
    proxy = Proxy(socket_path)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()
