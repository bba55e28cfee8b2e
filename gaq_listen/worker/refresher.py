"""The calls into schema ``gaq`` that refresh: what a worker does, a batch at a time."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from psycopg import AsyncClientCursor, Error, errors
from psycopg.rows import class_row

from gaq_listen.db.connection import AbortableConnection, fetch_with_locks
from gaq_listen.db.server_errors import sentence
from gaq_listen.types import Key, columns
from gaq_listen.worker.event_pairs import FailedPair, RefreshedPair
from gaq_listen.worker.pacing import BatchTimeout, BatchTimeouts

# Both in one message, so in one transaction: the settings are those of this batch, and cost no round trip of their own.
_REFRESH = """
select set_config('statement_timeout', %s, true),
       set_config('synchronous_commit', coalesce(%s, current_setting('synchronous_commit')), true);
select data_pass_id, data_pass, run_number, seconds_stale, causes, good_before, good_after, removed,
       error, attempts, next_try
from gaq.refresh(%s, %s, %s, %s, %s, %s, %s)
"""
_FAIL = """
select %(pass)s::bigint as data_pass_id, (select name from gaq.source_data_passes where id = %(pass)s) as data_pass,
       %(run)s::bigint as run_number, %(error)s as error, attempts, next_try
from gaq.fail(%(pass)s, %(run)s, %(error)s, %(state)s)
"""
_OLDEST = """
select data_pass_id, run_number from gaq.pending p
where not exists (select from gaq.failures e
                  where e.data_pass_id = p.data_pass_id and e.run_number = p.run_number
                    and e.next_try_at > clock_timestamp())
order by invalidated_at limit %s
"""
_LOOK = """
select gaq.next_due(%s, %s) as next_due, p.paused_by, p.reason,
       date_part('epoch', clock_timestamp() - p.paused_at) as seconds, {changes}
from (select) one left join gaq.paused p on true
"""
_CHANGES = "array(select c.what from gaq.source_changes() c)"
_PAIRS_LEFT = "select stale_pairs from gaq.backlog()"
_FAILING = "select count(*) from gaq.pending join gaq.failures using (data_pass_id, run_number)"

PARTS = 8
"""Into how many parts a batch is divided that takes too long: each part with a culprit costs its whole timeout."""

_TOO_MUCH = (errors.QueryCanceled, errors.OutOfMemory)
"""What the server says of a batch that is too much for it; it need not be the fault of all its pairs."""


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What became of a batch: pairs that were refreshed, and pairs that could not be computed."""

    pairs: tuple[RefreshedPair, ...] = ()
    failed: tuple[FailedPair, ...] = ()

    def __len__(self) -> int:
        return len(self.pairs) + len(self.failed)

    def __add__(self, other: "BatchResult") -> "BatchResult":
        return BatchResult(self.pairs + other.pairs, self.failed + other.failed)


@dataclass(frozen=True, slots=True)
class Pause:
    """Work is paused, by whom, since how many seconds, and why."""

    by: str
    seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class WorkState:
    """``next_due``: seconds until a pair is due; 0: one is; None: no pair is marked.

    ``changes``: what makes values wrong unseen, a sentence for each change of the source tables; None: not asked.
    """

    next_due: float | None
    pause: Pause | None
    changes: tuple[str, ...] | None = None


class Refresher:
    """The stale pairs of a database, through one autocommit connection.

    A pair is due when it was quiet before its first mark, else when it has been quiet for ``debounce`` seconds or
    its first mark is ``max_wait`` seconds old. ``allowance``: how long a batch may take.
    ``sync_commit``: commit a batch as the server's synchronous_commit says. By default the commit of a batch does not
    wait for the disk, because a batch takes its marks away in the same transaction: after a crash that loses the batch,
    its pairs are marked again.
    """

    def __init__(
        self,
        connection: AbortableConnection,
        debounce: float,
        max_wait: float,
        worker: str = "gaq-listen",
        announce: bool = True,
        *,
        allowance: BatchTimeouts,
        sync_commit: bool = False,
    ) -> None:
        self._connection = connection
        self._pace = (timedelta(seconds=debounce), timedelta(seconds=max_wait))
        self._worker = worker
        self._announce = announce
        self._allowance = allowance
        self._synchronous_commit = None if sync_commit else "off"

    async def refresh(self, limit: int) -> BatchResult:
        """Refreshes up to ``limit`` due pairs in one transaction; returns them, first marked first.

        When that takes longer than is usual, it is tried once more and has the time. When it takes too long or too much
        memory, it is done in parts, smaller and smaller, until the pairs that cannot be computed stand alone; those
        are taken note of, and all others are refreshed.
        """
        allowed, whole = self._allowance.next(), self._allowance.whole
        try:
            try:
                return await self._batch(limit, allowed)
            except errors.QueryCanceled:
                if allowed.seconds >= whole.seconds:
                    raise
                return await self._batch(limit, whole)
        except _TOO_MUCH:
            return await self._in_parts(await self._oldest(limit))

    async def _batch(self, limit: int, allowed: BatchTimeout, only: Sequence[Key] | None = None) -> BatchResult:
        keys = (None, None) if only is None else columns(only)
        timeout = f"{round(allowed.seconds * 1000)}"
        values = (timeout, self._synchronous_commit, limit, *self._pace, self._announce, self._worker, *keys)
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with self._connection.deadline(allowed.answer), AsyncClientCursor(self._connection) as cursor:
            await cursor.execute(_REFRESH, values)
            cursor.nextset()
            rows = await cursor.fetchall()
        self._allowance.took(loop.time() - began)
        return BatchResult(
            tuple(RefreshedPair(*row[:8]) for row in rows if row[8] is None),
            tuple(FailedPair(*row[:3], *row[8:]) for row in rows if row[8] is not None),
        )

    async def _in_parts(self, pairs: list[Key]) -> BatchResult:
        """All parts of one size before those that had to be divided again: good pairs do not wait for bad ones."""
        done = BatchResult()
        waiting = [pairs] if len(pairs) == 1 else _parts(pairs)
        while waiting:
            part = waiting.pop(0)
            try:
                done += await self._batch(len(part), self._allowance.whole, part)
            except _TOO_MUCH as error:
                if len(part) > 1:
                    waiting += _parts(part)
                else:
                    done += await self._fail(part[0], error)
        return done

    async def _fail(self, pair: Key, error: Error) -> BatchResult:
        values = {"pass": pair[0], "run": pair[1], "error": sentence(error), "state": error.sqlstate}
        async with (
            self._connection.deadline(),
            AsyncClientCursor(self._connection, row_factory=class_row(FailedPair)) as cursor,
        ):
            return BatchResult((), tuple(await fetch_with_locks(cursor, _FAIL, values)))

    async def _oldest(self, limit: int) -> list[Key]:
        async with (
            self._connection.deadline(self._allowance.whole.answer),
            AsyncClientCursor(self._connection) as cursor,
        ):
            return [(row[0], row[1]) for row in await fetch_with_locks(cursor, _OLDEST, (limit,))]

    async def look(self, sources: bool = False) -> WorkState:
        """When there is something to do, and whether it may be done; with ``sources``, how those have changed."""
        async with self._connection.deadline():
            query = _LOOK.format(changes=_CHANGES if sources else "null").encode()
            (row,) = await (await self._connection.execute(query, self._pace)).fetchall()
        due, by, reason, seconds, changes = row
        return WorkState(
            None if due is None else float(due),
            None if by is None else Pause(by, float(seconds), reason or ""),
            None if changes is None else tuple(changes),
        )

    async def source_changes(self) -> tuple[str, ...]:
        """Return what makes values wrong unseen: a sentence for each change of the source tables."""
        async with self._connection.deadline():
            rows = await (await self._connection.execute(f"select {_CHANGES}".encode())).fetchall()
        return tuple(rows[0][0])

    async def pairs_left(self) -> int:
        """How many pairs are stale; roughly, when there are very many marks of other things than pairs."""
        return await self._count(_PAIRS_LEFT)

    async def failing(self) -> int:
        """How many of them are those that could not be computed."""
        return await self._count(_FAILING)

    async def ring(self) -> None:
        """Wakes the other workers: there is more to do than one does at once."""
        async with self._connection.deadline():
            await self._connection.execute("select gaq.ring()")

    async def _count(self, query: str) -> int:
        async with (
            self._connection.deadline(self._allowance.whole.answer),
            AsyncClientCursor(self._connection) as cursor,
        ):
            (row,) = await fetch_with_locks(cursor, query)
            return int(row[0])


def _parts(pairs: list[Key]) -> list[list[Key]]:
    size = -(-len(pairs) // PARTS)
    return [pairs[start : start + size] for start in range(0, len(pairs), size)]
