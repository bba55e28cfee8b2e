"""Refresh stale pairs, a batch at a time: the calls of a worker into schema ``gaq``."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from psycopg import AsyncClientCursor, Error, errors
from psycopg.rows import class_row

from gaq_listen.db.connection import AbortableConnection, fetch_with_locks
from gaq_listen.db.server_errors import sentence
from gaq_listen.types import Key, columns
from gaq_listen.worker.batching import BatchTimeout, BatchTimeouts
from gaq_listen.worker.event_pairs import FailedPair, RefreshedPair

# One message, so one transaction: the settings hold for this batch alone, and need no round trip of their own.
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
from gaq.record_failure(%(pass)s, %(run)s, %(error)s, %(state)s)
"""
_OLDEST = """
select data_pass_id, run_number from gaq.pending p
where not exists (select from gaq.failures e
                  where e.data_pass_id = p.data_pass_id and e.run_number = p.run_number
                    and e.next_try_at > clock_timestamp())
order by invalidated_at limit %s
"""
_CHECK_DUE = """
select gaq.next_due(%s, %s) as next_due, p.paused_by, p.reason,
       date_part('epoch', clock_timestamp() - p.paused_at) as seconds, {changes}
from (select) one left join gaq.paused p on true
"""
_CHANGES = "array(select c.what from gaq.source_changes() c)"
_PAIRS_LEFT = "select stale_pairs from gaq.backlog()"
_FAILING = "select count(*) from gaq.pending join gaq.failures using (data_pass_id, run_number)"

PARTS = 8
"""Number of parts of a batch that takes too long. Each part with a pair that cannot be computed takes the timeout."""

_TOO_MUCH = (errors.QueryCanceled, errors.OutOfMemory)
"""Errors of a batch that takes too long or too much memory. A single pair may be the reason."""


@dataclass(frozen=True, slots=True)
class BatchResult:
    """Hold the outcome of a batch: pairs that were refreshed, and pairs that could not be computed."""

    pairs: tuple[RefreshedPair, ...] = ()
    failed: tuple[FailedPair, ...] = ()

    def __len__(self) -> int:
        return len(self.pairs) + len(self.failed)

    def __add__(self, other: "BatchResult") -> "BatchResult":
        return BatchResult(self.pairs + other.pairs, self.failed + other.failed)


@dataclass(frozen=True, slots=True)
class Pause:
    """Hold who has paused work, for how many seconds work has been paused, and why."""

    by: str
    seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class DueCheck:
    """Hold the answer to a check for due pairs.

    ``next_due`` is the number of seconds until a pair is due. 0: a pair is due. None: no pair is marked.
    ``source_changes`` has a sentence for each change of the source tables that makes values wrong. None: the worker did
    not ask.
    """

    next_due: float | None = None
    pause: Pause | None = None
    source_changes: tuple[str, ...] | None = None


class Refresher:
    """Refresh stale pairs through one autocommit connection.

    ``debounce`` and ``max_wait`` are in seconds: ``gaq.due_at`` decides with them which pairs are due. ``timeouts``
    limit a batch. ``sync_commit`` commits a batch as the server's synchronous_commit says. By default the commit of a
    batch does not wait for the disk: a batch deletes its marks in the same transaction, so a crash that loses the batch
    leaves its pairs stale.
    """

    def __init__(
        self,
        connection: AbortableConnection,
        debounce: float,
        max_wait: float,
        worker: str = "gaq-listen",
        announce: bool = True,
        *,
        timeouts: BatchTimeouts,
        sync_commit: bool = False,
    ) -> None:
        self._connection = connection
        self._due_settings = (timedelta(seconds=debounce), timedelta(seconds=max_wait))
        self._worker = worker
        self._announce = announce
        self._timeouts = timeouts
        self._synchronous_commit = None if sync_commit else "off"

    async def refresh(self, limit: int) -> BatchResult:
        """Refresh up to ``limit`` due pairs in one transaction. Return them, in the order of their first marks.

        A batch that the server ends after a short timeout gets the full one. A batch that takes too long even then, or
        too much memory, is divided into smaller and smaller parts. The pairs that cannot be computed alone are recorded
        as failing, and all others are refreshed.
        """
        timeout, full = self._timeouts.next(), self._timeouts.full
        try:
            try:
                return await self._batch(limit, timeout)
            except errors.QueryCanceled:
                if timeout.statement >= full.statement:
                    raise
                return await self._batch(limit, full)
        except _TOO_MUCH:
            return await self._in_parts(await self._oldest(limit))

    async def _batch(self, limit: int, timeout: BatchTimeout, only: Sequence[Key] | None = None) -> BatchResult:
        keys = (None, None) if only is None else columns(only)
        milliseconds = f"{round(timeout.statement * 1000)}"
        values = (
            milliseconds,
            self._synchronous_commit,
            limit,
            *self._due_settings,
            self._announce,
            self._worker,
            *keys,
        )
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with self._connection.deadline(timeout.response), AsyncClientCursor(self._connection) as cursor:
            await cursor.execute(_REFRESH, values)
            cursor.nextset()
            rows = await cursor.fetchall()
        self._timeouts.record(loop.time() - began)
        return BatchResult(
            tuple(RefreshedPair(*row[:8]) for row in rows if row[8] is None),
            tuple(FailedPair(*row[:3], *row[8:]) for row in rows if row[8] is not None),
        )

    async def _in_parts(self, pairs: list[Key]) -> BatchResult:
        """Refresh a batch in parts. Larger parts go first, so that good pairs do not wait for bad ones."""
        done = BatchResult()
        waiting = [pairs] if len(pairs) == 1 else _parts(pairs)
        while waiting:
            part = waiting.pop(0)
            try:
                done += await self._batch(len(part), self._timeouts.full, part)
            except _TOO_MUCH as error:
                if len(part) > 1:
                    waiting += _parts(part)
                else:
                    done += await self._record_failure(part[0], error)
        return done

    async def _record_failure(self, pair: Key, error: Error) -> BatchResult:
        values = {"pass": pair[0], "run": pair[1], "error": sentence(error), "state": error.sqlstate}
        async with (
            self._connection.deadline(),
            AsyncClientCursor(self._connection, row_factory=class_row(FailedPair)) as cursor,
        ):
            return BatchResult((), tuple(await fetch_with_locks(cursor, _FAIL, values)))

    async def _oldest(self, limit: int) -> list[Key]:
        """Return the keys of the pairs with the oldest marks, without those that failed and are not tried again yet."""
        async with (
            self._connection.deadline(self._timeouts.full.response),
            AsyncClientCursor(self._connection) as cursor,
        ):
            return [(row[0], row[1]) for row in await fetch_with_locks(cursor, _OLDEST, (limit,))]

    async def check_due(self, sources: bool = False) -> DueCheck:
        """Ask when a pair is due, whether work is paused and, with ``sources``, how the source tables have changed."""
        async with self._connection.deadline():
            query = _CHECK_DUE.format(changes=_CHANGES if sources else "null").encode()
            (row,) = await (await self._connection.execute(query, self._due_settings)).fetchall()
        due, by, reason, seconds, changes = row
        return DueCheck(
            None if due is None else float(due),
            None if by is None else Pause(by, float(seconds), reason or ""),
            None if changes is None else tuple(changes),
        )

    async def source_changes(self) -> tuple[str, ...]:
        """Return a sentence for each change of the source tables that makes values wrong."""
        async with self._connection.deadline():
            rows = await (await self._connection.execute(f"select {_CHANGES}".encode())).fetchall()
        return tuple(rows[0][0])

    async def pairs_left(self) -> int:
        """Return how many pairs are stale. Behind very many wide marks, the number is an estimate."""
        return await self._count(_PAIRS_LEFT)

    async def pairs_failing(self) -> int:
        """Return how many stale pairs are failing."""
        return await self._count(_FAILING)

    async def ring(self) -> None:
        """Wake the other workers."""
        async with self._connection.deadline():
            await self._connection.execute("select gaq.ring()")

    async def _count(self, query: str) -> int:
        async with (
            self._connection.deadline(self._timeouts.full.response),
            AsyncClientCursor(self._connection) as cursor,
        ):
            (row,) = await fetch_with_locks(cursor, query)
            return int(row[0])


def _parts(pairs: list[Key]) -> list[list[Key]]:
    """Divide pairs into up to ``PARTS`` parts of about the same size."""
    size = -(-len(pairs) // PARTS)
    return [pairs[start : start + size] for start in range(0, len(pairs), size)]
