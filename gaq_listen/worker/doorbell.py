"""Listen for rings, and hold the advisory lock that tells writers whether a worker sleeps.

``sql/10_marks.sql`` describes the protocol, at ``gaq.ring``. LISTEN and the lock use the same connection, so the server
ends both together. Nothing else writes through that connection.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress

from psycopg import Notify, errors
from psycopg.rows import TupleRow

from gaq_listen.db.connection import AbortableConnection
from gaq_listen.worker.waiting import DoorbellState

CHANNEL = "gaq_invalidated"
"""The channel on which writers ring."""

# A sleeping worker holds the lock exclusively, and a writer that does not ring holds it shared. The answers are values
# of DoorbellState.
_HOLD = """
select case
    when pg_try_advisory_lock(gaq.bell_key()) then 'this worker'
    when exists (select from gaq.bell_holders where exclusively) then 'another worker'
    else 'writers'
end
"""

# The query asks for waiting sessions after the unlock: a writer that still waits had decided to ring before it.
_LET_GO = """
select pg_advisory_unlock(gaq.bell_key()),
       exists (select from pg_locks
               where locktype = 'object' and classid = 'pg_database'::regclass and objid = 0 and not granted)
"""

_READS = 1000
"""Buffers of some kilobytes to read in one go, so that a flood of notifications does not occupy the worker forever."""


class Doorbell:
    """Listen through ``connection``. Setting ``stop`` ends any wait at once.

    The rings of the worker itself do not count, because they are for other workers. While it waits, the doorbell probes
    a server that has been silent for the response timeout of the connection.
    """

    def __init__(self, connection: AbortableConnection, stop: asyncio.Event) -> None:
        self._connection = connection
        self._stop = stop
        self._rung = False
        self._ringers: set[int] = set()
        self._own_pid: int | None = None
        self._last_answer = 0.0
        self._probe: str | None = None
        self.held = False
        """Whether this worker holds the doorbell, so that writers ring for it."""
        # A handler also gets the notifications that arrive with the answer to a query; notifies() does not.
        connection.add_notify_handler(self._hear)

    def _hear(self, notification: Notify) -> None:
        if notification.payload and notification.payload == self._probe:
            self._probe = None
            self._own_pid = notification.pid
        else:
            self._rung = True
            if notification.pid != self._own_pid:
                self._ringers.add(notification.pid)

    async def listen(self, notify: Callable[[str, str], Awaitable[None]], within: float = 2.0) -> bool:
        """Start to listen, and test it with ``notify(channel, payload)``, which uses another connection.

        Return False if the notification does not arrive in ``within`` seconds, as through a pooler. In that case
        no session of the pooler goes on listening.
        """
        await self._execute(f"listen {CHANNEL}")
        self._probe = f"probe {uuid.uuid4()}"
        try:
            await notify(CHANNEL, self._probe)
        except errors.ProgramLimitExceeded:
            return True  # The server's queue is full, which says nothing about the connection.
        deadline = asyncio.get_running_loop().time() + within
        while self._probe is not None and not self._stop.is_set():
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                await self._execute("unlisten *")
                return False
            await self._readable(left)
        return True

    async def hold(self) -> DoorbellState:
        """Try to hold the doorbell, so that writers ring. Return who holds it.

        A worker that wants to sleep must check for marks after this call, not before.
        """
        if self.held:
            return DoorbellState.HELD
        state = DoorbellState((await self._fetch_row(_HOLD))[0])
        self.held = state is DoorbellState.HELD
        return state

    async def let_go(self) -> bool:
        """Let the doorbell go if this worker holds it, so that writers do not ring.

        Return whether sessions, of any database of the server, were waiting for the lock of NOTIFY at that moment.
        """
        if not self.held:
            return False
        self.held = False
        _, queue = await self._fetch_row(_LET_GO)
        return bool(queue)

    def ringers(self) -> frozenset[int]:
        """Return the backends that have rung since the last call of this or of ``wait``, without waiting.

        Call it before ``hold``: the check that follows ``hold`` then finds the marks of these rings.
        """
        self._consume()
        return self._take_ringers()

    async def wait(self, timeout: float) -> frozenset[int]:
        """Sleep until a ring, until ``stop`` is set, or for ``timeout`` seconds. Return the backends that have rung.

        Raises:
            TimeoutError, psycopg.OperationalError: the server does not answer.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        self._consume()
        while not self._rung and not self._stop.is_set() and loop.time() < end:
            silent_until = self._last_answer + self._connection.response_timeout
            if loop.time() < silent_until:
                await self._readable(min(end, silent_until) - loop.time())
            else:
                await self._execute("select 1")
        return self._take_ringers()

    async def count(self, seconds: float) -> frozenset[int]:
        """Wait ``seconds``, or until ``stop`` is set, whatever rings. Return the backends that have rung.

        Raises:
            TimeoutError, psycopg.OperationalError: the server does not answer.
        """
        await nap(self._stop, seconds)
        if asyncio.get_running_loop().time() >= self._last_answer + self._connection.response_timeout:
            await self._execute("select 1")
        return self.ringers()

    def _take_ringers(self) -> frozenset[int]:
        ringers = frozenset(self._ringers)
        self._ringers.clear()
        self._rung = False
        return ringers

    async def _readable(self, timeout: float) -> None:
        """Wait until there is something to read, until ``stop`` is set, or for ``timeout`` seconds."""
        loop = asyncio.get_running_loop()
        # One future for all three, so that a ring needs only one turn of the event loop.
        woken: asyncio.Future[None] = loop.create_future()

        def wake() -> None:
            if not woken.done():
                woken.set_result(None)

        stopping = loop.create_task(self._stop.wait())
        stopping.add_done_callback(lambda _: wake())
        timer = loop.call_later(timeout, wake)
        loop.add_reader(self._connection.fileno(), wake)
        try:
            await woken
        finally:
            loop.remove_reader(self._connection.fileno())
            timer.cancel()
            stopping.cancel()
        self._consume()

    def _consume(self) -> None:
        """Handle all notifications that libpq has. An earlier read may have left some in libpq's buffer."""
        for _ in range(_READS):
            self._connection.pgconn.consume_input()
            heard = False
            while notification := self._connection.pgconn.notifies():
                heard = True
                self._hear(Notify(notification.relname.decode(), notification.extra.decode(), notification.be_pid))
            if not heard:
                return

    async def _execute(self, query: str) -> None:
        async with self._connection.deadline():
            await self._connection.execute(query.encode())
        self._last_answer = asyncio.get_running_loop().time()

    async def _fetch_row(self, query: str) -> TupleRow:
        async with self._connection.deadline():
            (row,) = await (await self._connection.execute(query.encode())).fetchall()
        self._last_answer = asyncio.get_running_loop().time()
        return row


async def nap(stop: asyncio.Event, seconds: float) -> None:
    """Sleep for ``seconds``, or until ``stop`` is set."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()
