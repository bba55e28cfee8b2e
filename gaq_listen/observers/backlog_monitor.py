"""Counts what is stale, for those who watch: from outside, so that the worker has nothing to do with it.

Nor does it count what the worker has just found by itself: when that finds no mark at all, and goes to sleep.
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
"""Seconds between two looks."""

LONGEST = 10.0
"""But not longer, whatever it takes."""

REST = 40.0
"""Seconds for which a worker is believed that has found nothing at all: more than until it looks again by itself."""

_SHARE = 0.05
"""The share of the time that looking may take at most: a long backlog takes long to count."""

_COUNT = """
select stale_pairs::int,
       coalesce(date_part('epoch', clock_timestamp() - stale_since), 0) as seconds_stale,
       (select count(*) from gaq.failures)::int as failing,
       coalesce((select error from gaq.failures order by last_failed_at desc limit 1), '') as error
from gaq.backlog()
"""


@asynccontextmanager
async def monitor_backlog(
    dsn: str, observe: Observer, every: float = COUNT_EVERY, stay: bool = True
) -> AsyncIterator[Observer]:
    """Tells ``observe`` what is stale, again and again, until the end of the context; without an answer, that.

    Yields what is to be told whatever the worker tells. While that is at rest, nothing is asked and no connection held.
    Unless it is to ``stay``, it connects for each look: a worker that nobody watches holds no connection for it.
    """
    watch = _Watch(dsn, observe, every, stay)
    task = asyncio.get_running_loop().create_task(watch.run())
    try:
        yield watch.hear
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class _Watch:
    def __init__(self, dsn: str, observe: Observer, every: float, stay: bool) -> None:
        self._dsn = dsn
        self._observe = observe
        self._every = every
        self._stay = stay
        self._resting_until = 0.0

    def hear(self, event: Event) -> None:
        """Takes note of what the worker tells: whatever comes after that nothing is stale ends its rest."""
        at_rest = isinstance(event, BacklogCounted) and event.stale_pairs == 0
        self._resting_until = time.monotonic() + REST if at_rest else 0.0

    async def run(self) -> None:
        """Looks for ever."""
        while True:
            if self._wanted():
                await self._look()
            await asyncio.sleep(self._every)

    def _wanted(self) -> bool:
        return time.monotonic() >= self._resting_until

    async def _look(self) -> None:
        """Once or, if it is to stay, until the worker is at rest."""
        try:
            async with await sessions.connect(self._dsn, "gaq-listen watching") as line:
                while True:
                    began = time.monotonic()
                    self._observe(await _count(line))
                    if not self._stay:
                        break
                    await asyncio.sleep(min(LONGEST, max(self._every, (time.monotonic() - began) / _SHARE)))
                    if not self._wanted():
                        break
        except (psycopg.Error, GaqListenError, TimeoutError):
            # Whatever went wrong, the worker says it if it matters.
            self._observe(BacklogCounted(None))


async def _count(line: AbortableConnection) -> BacklogCounted:
    async with line.deadline(), AsyncClientCursor(line, row_factory=class_row(BacklogCounted)) as cursor:
        (counted,) = await fetch_with_locks(cursor, _COUNT)
    return counted
