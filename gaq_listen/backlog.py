"""The calls into schema ``gaq`` that refresh: what a worker does, a batch at a time."""

import asyncio
from datetime import timedelta

from psycopg import AsyncConnection
from psycopg.rows import TupleRow, class_row

from gaq_listen.database import ROUND_TRIP
from gaq_listen.events import RefreshedPair

_REFRESH = """
select data_pass_id, data_pass, run_number, seconds_stale, causes, good_before, good_after, removed
from gaq.refresh(%s, %s, %s, %s)
"""
_NEXT_DUE = "select gaq.next_due(%s, %s)"
_PAIRS_LEFT = "select count(*) from (select distinct data_pass_id, run_number from gaq.invalidations) p"


class Backlog:
    """The stale pairs of a database, through one autocommit connection.

    A pair is due when it was quiet before its first mark, else when it has been quiet for ``debounce`` seconds or
    its first mark is ``max_wait`` seconds old.
    """

    def __init__(
        self,
        connection: AsyncConnection[TupleRow],
        debounce: float,
        max_wait: float,
        announce: bool = True,
    ) -> None:
        self._connection = connection
        self._pace = (timedelta(seconds=debounce), timedelta(seconds=max_wait))
        self._announce = announce

    async def refresh(self, limit: int) -> tuple[RefreshedPair, ...]:
        """Refreshes up to ``limit`` due pairs in one transaction; returns them, first marked first."""
        async with self._connection.cursor(row_factory=class_row(RefreshedPair)) as cursor:
            await cursor.execute(_REFRESH, (limit, *self._pace, self._announce))
            return tuple(await cursor.fetchall())

    async def next_due(self) -> float | None:
        """Seconds until a pair is due; 0: one is; None: no pair is marked."""
        due = await self._ask(_NEXT_DUE, self._pace)
        return None if due is None else float(due)

    async def pairs_left(self) -> int:
        """How many pairs have marks of their own."""
        return int(await self._ask(_PAIRS_LEFT) or 0)

    async def _ask(self, query: str, values: tuple[object, ...] = ()) -> float | None:
        async with asyncio.timeout(ROUND_TRIP):
            answer = await (await self._connection.execute(query, values)).fetchone()
        return answer[0] if answer else None
