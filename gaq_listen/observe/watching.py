"""Counts what is stale, for those who watch: from outside, so that the worker has nothing to do with it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow, class_row

from gaq_listen import database
from gaq_listen.errors import GaqListenError
from gaq_listen.events import Counted, Observer

LOOK_EVERY = 2.0
"""Seconds between two looks."""

LONGEST = 10.0
"""But not longer, whatever it takes."""

_SHARE = 0.05
"""The share of the time that looking may take at most: a long backlog takes long to count."""

_COUNT = """
select count(*)::int as stale_pairs,
       coalesce(date_part('epoch', clock_timestamp() - min(invalidated_at)), 0) as seconds_stale,
       (select count(*) from gaq.failures)::int as failing,
       coalesce((select error from gaq.failures order by last_failed_at desc limit 1), '') as error
from gaq.pending
"""


@asynccontextmanager
async def watching(dsn: str, observe: Observer, every: float = LOOK_EVERY) -> AsyncIterator[None]:
    """Tells ``observe`` what is stale, again and again, until the end of the context; without an answer, that."""
    task = asyncio.get_running_loop().create_task(_watch(dsn, observe, every))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _watch(dsn: str, observe: Observer, every: float) -> None:
    while True:
        with suppress(psycopg.Error, GaqListenError, TimeoutError):
            async with await database.connect(dsn, "gaq-listen watching") as connection:
                while True:
                    began = time.monotonic()
                    observe(await _count(connection))
                    await asyncio.sleep(min(LONGEST, max(every, (time.monotonic() - began) / _SHARE)))
        # Whatever went wrong, the worker says it if it matters.
        observe(Counted(None))
        await asyncio.sleep(every)


async def _count(connection: AsyncConnection[TupleRow]) -> Counted:
    async with asyncio.timeout(database.ROUND_TRIP), connection.cursor(row_factory=class_row(Counted)) as cursor:
        await cursor.execute(_COUNT)
        counted = await cursor.fetchone()
    return counted or Counted(None)
