"""Counts what is stale, for those who watch: from outside, so that the worker has nothing to do with it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import psycopg
from psycopg.rows import class_row

from gaq_listen import database
from gaq_listen.errors import GaqListenError
from gaq_listen.events import Counted, Observer
from gaq_listen.line import Line

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
async def watching(dsn: str, observe: Observer, every: float = LOOK_EVERY, stay: bool = True) -> AsyncIterator[None]:
    """Tells ``observe`` what is stale, again and again, until the end of the context; without an answer, that.

    Unless it is to ``stay``, it connects for each look: a worker that nobody watches holds no connection for it.
    """
    task = asyncio.get_running_loop().create_task(_watch(dsn, observe, every, stay))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _watch(dsn: str, observe: Observer, every: float, stay: bool) -> None:
    while True:
        try:
            async with await database.connect(dsn, "gaq-listen watching") as line:
                while True:
                    began = time.monotonic()
                    observe(await _count(line))
                    if not stay:
                        break
                    await asyncio.sleep(min(LONGEST, max(every, (time.monotonic() - began) / _SHARE)))
        except (psycopg.Error, GaqListenError, TimeoutError):
            # Whatever went wrong, the worker says it if it matters.
            observe(Counted(None))
        await asyncio.sleep(every)


async def _count(line: Line) -> Counted:
    async with line.answering(), line.cursor(row_factory=class_row(Counted)) as cursor:
        await cursor.execute(_COUNT)
        counted = await cursor.fetchone()
    return counted or Counted(None)
