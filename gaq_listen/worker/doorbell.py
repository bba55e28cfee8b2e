"""Asleep or awake: LISTEN, and the advisory lock that tells writers whether anybody sleeps.

The protocol stands in ``sql/10_marks.sql``, at ``gaq.ring``. The lock and LISTEN are on the same connection, so they
live and die together; that connection does nothing else.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from contextlib import suppress

from psycopg import Notify, errors

from gaq_listen.db.connection import AbortableConnection
from gaq_listen.worker.pacing import Holder

CHANNEL = "gaq_invalidated"

# Ours, or if not, a colleague's? A sleeper holds the lock exclusively; writers that skip the bell hold it shared.
_HOLD = """
select case
    when pg_try_advisory_lock(gaq.bell_key()) then 'ours'
    when exists (select from gaq.bell_holders where exclusively) then 'a colleague''s'
    else 'nobody''s'
end
"""


# Asked after the unlock: a writer that still waits in the queue had decided to ring before it.
_LET_GO = """
select pg_advisory_unlock(gaq.bell_key()),
       exists (select from pg_locks
               where locktype = 'object' and classid = 'pg_database'::regclass and objid = 0 and not granted)
"""

_READS = 1000
"""Buffers that are read at a time, each some kilobytes: a flood is behind us soon, and does not keep us for ever."""


class Doorbell:
    """A listening connection. Setting ``stop`` ends any wait at once.

    What is returned of rings leaves out those of the worker itself, which are for other workers.
    After as much silence as the answer to a question may take, the server is asked whether it is still there.
    """

    def __init__(self, connection: AbortableConnection, stop: asyncio.Event) -> None:
        self._connection = connection
        self._stop = stop
        self._rung = False
        self._ringers: set[int] = set()
        self._own_pid: int | None = None
        self._answered = 0.0
        self._probe: str | None = None
        self.held = False
        """Whether we are the sleeper that writers ring for."""
        # A handler, rather than notifies(): it also hears what arrives with the answer to a query.
        connection.add_notify_handler(self._hear)

    def _hear(self, notification: Notify) -> None:
        if notification.payload and notification.payload == self._probe:
            self._probe = None
            self._own_pid = notification.pid
        else:
            self._rung = True
            if notification.pid != self._own_pid:
                self._ringers.add(notification.pid)

    async def listen(self, notify: Callable[[str, str], Awaitable[None]], patience: float = 2.0) -> bool:
        """Starts to listen, and has itself rung: ``notify(channel, payload)``, on another connection.

        Returns False when nothing is heard within ``patience`` seconds: a pooler between us and the server. Then
        nothing of ours stays behind in its sessions.
        """
        await self._ask(f"listen {CHANNEL}")
        self._probe = f"probe {uuid.uuid4()}"
        try:
            await notify(CHANNEL, self._probe)
        except errors.ProgramLimitExceeded:
            return True  # the server's queue is full, which is no fault of what is between it and us
        deadline = asyncio.get_running_loop().time() + patience
        while self._probe is not None and not self._stop.is_set():
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0:
                await self._ask("unlisten *")
                return False
            await self._readable(left)
        return True

    async def hold(self) -> Holder:
        """Tries to become the sleeper that writers ring for. Whoever sleeps after this scans once more first."""
        if self.held:
            return Holder.THIS_WORKER
        bell = Holder(await self._ask(_HOLD))
        self.held = bell is Holder.THIS_WORKER
        return bell

    async def let_go(self) -> bool:
        """Give the doorbell up if it is held, so that writers need not ring.

        Returns whether sessions, of any database of the server, were waiting for the lock of NOTIFY at that moment.
        """
        if not self.held:
            return False
        self.held = False
        _, queue = await self._ask_row(_LET_GO)
        return bool(queue)

    def heard(self) -> frozenset[int]:
        """Return the backends that have rung since the last call of this or of ``wait``, without waiting.

        Call it before ``hold``: the scan that follows ``hold`` then finds the marks of these rings.
        """
        self._consume()
        return self._take_ringers()

    async def wait(self, timeout: float) -> frozenset[int]:
        """Sleep until it rings, until ``stop`` is set, or for ``timeout`` seconds; return the backends that rang.

        Raises:
            TimeoutError, psycopg.OperationalError: the server is gone.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout
        self._consume()
        while not self._rung and not self._stop.is_set() and loop.time() < end:
            silent_until = self._answered + self._connection.response_timeout
            if loop.time() < silent_until:
                await self._readable(min(end, silent_until) - loop.time())
            else:
                await self._ask("select 1")
        return self._take_ringers()

    async def count(self, seconds: float) -> frozenset[int]:
        """Wait ``seconds`` whatever rings, or until ``stop`` is set; return the backends that rang.

        Raises:
            TimeoutError, psycopg.OperationalError: the server is gone.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        if asyncio.get_running_loop().time() >= self._answered + self._connection.response_timeout:
            await self._ask("select 1")
        return self.heard()

    def _take_ringers(self) -> frozenset[int]:
        ringers = frozenset(self._ringers)
        self._ringers.clear()
        self._rung = False
        return ringers

    async def _readable(self, timeout: float) -> None:
        """Until there is something to read, ``stop`` is set, or the time is over."""
        loop = asyncio.get_running_loop()
        # One future for all three, so that whoever rings waits for one turn of the loop.
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
        # Straight from libpq: it parses what an earlier read left in its buffer, where no socket would tell of it.
        for _ in range(_READS):
            self._connection.pgconn.consume_input()
            heard = False
            while notification := self._connection.pgconn.notifies():
                heard = True
                self._hear(Notify(notification.relname.decode(), notification.extra.decode(), notification.be_pid))
            if not heard:
                return

    async def _ask(self, query: str) -> object:
        return (await self._ask_row(query))[0]

    async def _ask_row(self, query: str) -> tuple[object, ...]:
        async with self._connection.deadline():
            cursor = await self._connection.execute(query.encode())
            answer = await cursor.fetchone() if cursor.description else None
        self._answered = asyncio.get_running_loop().time()
        return answer or (None,)
