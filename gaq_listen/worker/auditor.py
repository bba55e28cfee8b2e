"""Compare stored summaries with recomputed ones, to find changes that no trigger saw."""

from collections.abc import Mapping
from dataclasses import dataclass

from psycopg import AsyncClientCursor
from psycopg.rows import class_row

from gaq_listen.db.connection import AbortableConnection, fetch_with_locks
from gaq_listen.types import Key, columns
from gaq_listen.worker.event_pairs import DriftedPair
from gaq_listen.worker.events import Audited

DIFFERENCES = """
select data_pass_id, data_pass, run_number, differs, stored, recomputed from gaq.differences(%s, %s)
"""
REPAIR = "select gaq.recalculate(%s, %s, 'drift')"
_NEXT = """
select data_pass_id, run_number from gaq.known_pairs
where (data_pass_id, run_number) > (%s, %s)
order by data_pass_id, run_number limit %s
"""
_FIRST = (-(2**63), -(2**63))

Values = Mapping[str, float | int | bool | None]


@dataclass(frozen=True, slots=True)
class Difference:
    """Hold a fresh summary that differs from the recomputed one, as ``gaq.differences`` returns it.

    ``differs`` names the columns that differ. It is ``missing`` for a summary that should be stored, and ``left`` for
    one that should not. ``stored`` and ``recomputed`` are values by column. None: there is no such summary.
    """

    data_pass_id: int
    data_pass: str | None
    run_number: int
    differs: str
    stored: Values | None
    recomputed: Values | None

    def drifted(self) -> DriftedPair:
        """Return the difference as a part of an event."""
        good = "explicitly_not_bad_run_coverage"
        return DriftedPair(
            self.data_pass_id,
            self.data_pass,
            self.run_number,
            self.differs,
            self.stored.get(good) if self.stored else None,
            self.recomputed.get(good) if self.recomputed else None,
        )


class Auditor:
    """Compare all pairs, again and again, a portion at a time. ``timeout`` limits a portion, in seconds."""

    def __init__(self, connection: AbortableConnection, timeout: float) -> None:
        self._connection = connection
        self._timeout = timeout
        self._last = _FIRST

    async def audit(self, pairs: int) -> Audited:
        """Recompute the next ``pairs`` pairs, and mark those that differ, so that a worker refreshes them."""
        async with self._connection.deadline(self._timeout):
            portion = await self._next(pairs)
            if len(portion) < pairs:
                self._last = _FIRST
            async with AsyncClientCursor(self._connection, row_factory=class_row(Difference)) as cursor:
                differences = await fetch_with_locks(cursor, DIFFERENCES, columns(portion))
            if differences:
                keys = [(difference.data_pass_id, difference.run_number) for difference in differences]
                await self._connection.execute(REPAIR, columns(keys))
        return Audited(len(portion), tuple(difference.drifted() for difference in differences))

    async def _next(self, pairs: int) -> list[Key]:
        """Return the keys of the next portion. It is shorter than ``pairs`` at the end of the walk."""
        async with AsyncClientCursor(self._connection) as cursor:
            portion = [(row[0], row[1]) for row in await fetch_with_locks(cursor, _NEXT, (*self._last, pairs))]
        if portion:
            self._last = portion[-1]
        return portion
