"""Measure the time from the commit of a change until every session can read a fresh summary."""

import asyncio
import json
import math
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import psycopg
from psycopg import AsyncConnection
from psycopg.pq.abc import PGconn
from psycopg.rows import TupleRow

from gaq_listen.db import sessions
from gaq_listen.db.server_errors import sentence
from gaq_listen.demo.period import Pair
from gaq_listen.demo.shift import SimulatedChange
from gaq_listen.errors import DatabaseUnreachable
from gaq_listen.observers.staleness import Staleness

# While few pairs are stale, reading all of them costs as much as reading one.
_STALE = "select data_pass_id, run_number from gaq_summaries where invalidated_at is not null"


@dataclass(frozen=True, slots=True)
class FreshnessResult:
    """The number of changes, the pairs that became fresh after a change, and the pairs that are still stale.

    The percentiles are milliseconds from the commit of a change, over the last pairs that ``Staleness`` keeps. They are
    None if no pair was measured.
    """

    changes: int
    pairs: int
    p50_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    outstanding: int


class FreshnessMeter:
    """Listen on ``gaq_refreshed``, and check whether each announced pair is fresh.

    A worker may announce a refresh that began before a commit after this commit. Then the pair is still stale, and the
    meter waits for the next announcement of the pair. The caller records each change::

        async with FreshnessMeter(dsn) as meter:
            await Shift(dsn, period, chance, on_change=meter.record).run(stop)
            print(await meter.settle())
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._changes = 0
        self._pairs = 0
        self._longest = 0.0
        self._staleness = Staleness()
        self._outstanding: dict[Pair, list[float]] = {}  # times of the commits whose pairs are not fresh yet
        self._announced: dict[Pair, float] = {}  # time of the last announcement
        self._to_check: set[Pair] = set()
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()
        self._lost: psycopg.Error | None = None

    async def __aenter__(self) -> Self:
        """Connect, and listen.

        Raises:
            DatabaseUnreachable: The server accepts no connection.
        """
        async with AsyncExitStack() as stack:
            try:
                listening = await sessions.connect(self._dsn, "gaq-listen demo, listening")
                await stack.enter_async_context(listening)
                await listening.execute("listen gaq_refreshed")
                checking = await sessions.connect(self._dsn, "gaq-listen demo, checking")
                await stack.enter_async_context(checking)
            except psycopg.OperationalError as error:
                raise sessions.unreachable(error) from error
            loop = asyncio.get_running_loop()
            socket = listening.fileno()
            loop.add_reader(socket, self._read_announcements, listening.pgconn, socket)
            stack.callback(self._stop_reading, socket)
            self._task = loop.create_task(self._check_announced(checking))
            stack.push_async_callback(self._stop_checking)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Disconnect."""
        await self._stack.aclose()

    def record(self, change: SimulatedChange) -> None:
        """Record a change right after its commit."""
        self._changes += 1
        for pair in change.pairs:
            self._outstanding.setdefault(pair, []).append(change.committed)
            self._settled.clear()
            # The announcement can arrive before the caller knows that the change has committed.
            if self._announced.get(pair, -math.inf) >= change.begun:
                self._to_check.add(pair)
                self._wake.set()

    async def settle(self, timeout: float = 10.0) -> FreshnessResult:
        """Wait until every recorded pair is fresh, for at most ``timeout`` seconds, and return the result.

        Raises:
            DatabaseUnreachable: A connection was lost, so the meter cannot measure any more.
        """
        settled = asyncio.create_task(self._settled.wait())
        await asyncio.wait({settled, self._task}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        settled.cancel()
        if self._task.done():
            self._task.result()
        return self._result()

    def _result(self) -> FreshnessResult:
        percentiles = self._staleness.percentiles()
        return FreshnessResult(
            changes=self._changes,
            pairs=self._pairs,
            p50_ms=percentiles.p50 * 1000 if percentiles else None,
            p99_ms=percentiles.p99 * 1000 if percentiles else None,
            max_ms=self._longest * 1000 if self._pairs else None,
            outstanding=len(self._outstanding),
        )

    def _read_announcements(self, connection: PGconn, socket: int) -> None:
        # The event loop calls this as soon as data arrives, so that the time of the announcement is exact.
        now = time.monotonic()
        try:
            connection.consume_input()
        except psycopg.OperationalError as error:
            self._stop_reading(socket)
            self._lost = error
            self._wake.set()
            return
        while notification := connection.notifies():
            for data_pass_id, run_number in json.loads(notification.extra):
                pair = (data_pass_id, run_number)
                self._announced[pair] = now
                if pair in self._outstanding:
                    self._to_check.add(pair)
                    self._wake.set()

    def _stop_reading(self, socket: int) -> None:
        # libpq closes the socket of a lost connection, and another file may get its number. So remove it only once.
        if self._lost is None:
            asyncio.get_running_loop().remove_reader(socket)

    async def _stop_checking(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _check_announced(self, connection: AsyncConnection[TupleRow]) -> None:
        """Check announced pairs until a connection is lost.

        Raises:
            DatabaseUnreachable: A connection was lost.
        """
        try:
            while self._lost is None:
                await self._wake.wait()
                self._wake.clear()
                while self._to_check:
                    await self._check(connection)
            raise self._lost
        except psycopg.OperationalError as error:
            raise DatabaseUnreachable(f"the demo cannot measure freshness any more: {sentence(error)}") from error

    async def _check(self, connection: AsyncConnection[TupleRow]) -> None:
        """Measure each announced pair that is fresh."""
        pairs, self._to_check = self._to_check, set()
        asked = time.monotonic()
        stale = set(await (await connection.execute(_STALE)).fetchall())
        answered = time.monotonic()
        for pair in pairs - stale:
            announced = self._announced[pair]
            for committed in self._outstanding.pop(pair, []):
                if committed > asked:  # the snapshot of the query may be older than this commit
                    self._outstanding.setdefault(pair, []).append(committed)
                else:
                    self._add((announced if announced > committed else answered) - committed, answered)
        if not self._outstanding:
            self._settled.set()

    def _add(self, seconds: float, now: float) -> None:
        self._pairs += 1
        self._staleness.add(now, [seconds])
        self._longest = max(self._longest, seconds)
