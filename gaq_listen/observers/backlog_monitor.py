"""Count the stale pairs on a connection of its own, so that counting never delays the worker.

A worker that finds no mark at all emits a count of zero itself. Until its next event, the monitor counts nothing.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import psycopg
from psycopg import AsyncClientCursor
from psycopg.rows import class_row

from gaq_listen.db import sessions
from gaq_listen.db.connection import AbortableConnection, fetch_with_locks
from gaq_listen.errors import GaqListenError
from gaq_listen.worker.events import BacklogCounted, Event, Observer

COUNT_EVERY = 2.0
"""Seconds between two counts for a console or a scraper."""

LONGEST_WAIT = 10.0
"""Largest number of seconds between two counts on one connection, however long a count takes."""

REST = 40.0
"""Seconds for which the monitor relies on a worker's count of zero. By default, the worker sweeps again sooner."""

_SHARE = 0.05
"""Largest share of the time that counting may take. A long backlog takes long to count."""

_COUNT = """
select stale_pairs::int,
       coalesce(date_part('epoch', clock_timestamp() - stale_since), 0) as seconds_stale,
       (select count(*) from gaq.failures)::int as failing,
       coalesce((select error from gaq.failures order by last_failed_at desc limit 1), '') as error
from gaq.backlog()
"""


@asynccontextmanager
async def monitor_backlog(
    dsn: str, observe: Observer, every: float = COUNT_EVERY, stay_connected: bool = True
) -> AsyncIterator[Observer]:
    """Call ``observe`` with a ``BacklogCounted`` every ``every`` seconds until the context ends.

    If the database does not answer, the count is None. Yield the observer that the worker has to call with its events,
    which calls ``observe`` with each of them. While the worker rests, the monitor executes no query and has no
    connection. Unless ``stay_connected``, the monitor connects for each count.
    """
    monitor = _BacklogMonitor(dsn, observe, every, stay_connected)
    task = asyncio.get_running_loop().create_task(monitor.run())
    try:
        yield monitor.observe
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class _BacklogMonitor:
    def __init__(self, dsn: str, observe: Observer, every: float, stay_connected: bool) -> None:
        self._dsn = dsn
        self._observe = observe
        self._every = every
        self._stay_connected = stay_connected
        self._resting_until = 0.0

    def observe(self, event: Event) -> None:
        """Pass an event of the worker on. A count of zero begins its rest, and any other event ends it."""
        self._observe(event)
        at_rest = isinstance(event, BacklogCounted) and event.stale_pairs == 0
        self._resting_until = time.monotonic() + REST if at_rest else 0.0

    async def run(self) -> None:
        """Count forever, except while the worker rests."""
        while True:
            if not self._resting():
                await self._count_until_rest()
            await asyncio.sleep(self._every)

    def _resting(self) -> bool:
        return time.monotonic() < self._resting_until

    async def _count_until_rest(self) -> None:
        """Connect, and count once or, if the monitor stays connected, until the worker rests."""
        try:
            async with await sessions.connect(self._dsn, "gaq-listen watching") as connection:
                while True:
                    began = time.monotonic()
                    self._observe(await _count(connection))
                    if not self._stay_connected:
                        break
                    took = time.monotonic() - began
                    await asyncio.sleep(min(LONGEST_WAIT, max(self._every, took / _SHARE)))
                    if self._resting():
                        break
        except (psycopg.Error, GaqListenError, TimeoutError):
            # The worker reports an error of the connection if the error matters.
            self._observe(BacklogCounted(None))


async def _count(connection: AbortableConnection) -> BacklogCounted:
    async with connection.deadline(), AsyncClientCursor(connection, row_factory=class_row(BacklogCounted)) as cursor:
        (counted,) = await fetch_with_locks(cursor, _COUNT)
    return counted
