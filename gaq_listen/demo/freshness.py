"""How long it takes from a commit until everybody can read a fresh summary, measured from outside."""

import asyncio
import json
import math
import time
from collections import deque
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
from gaq_listen.demo.shift import Change
from gaq_listen.errors import DatabaseUnreachable

KEPT = 100_000
"""Measured pairs that percentiles are taken of at most: the last ones."""

# All of them: that costs what asking for one pair costs, as long as not many are stale.
_STALE = "select data_pass_id, run_number from gaq_summaries where invalidated_at is not null"


@dataclass(frozen=True, slots=True)
class Measured:
    """So many changes made ``pairs`` summaries stale that were seen fresh again; ``outstanding`` pairs were not.

    Milliseconds from the commit; None while nothing was measured.
    """

    changes: int
    pairs: int
    p50_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    outstanding: int


class Freshness:
    """Listens to ``gaq_refreshed``, and looks whether a pair that it names is fresh.

    A refresh that began before our commit may be announced after it. Then the pair is still stale, and the next
    announcement decides. While it is open, tell it of each change::

        async with Freshness(dsn) as freshness:
            await Shift(dsn, period, chance, told=freshness.note).run(stop)
            print(await freshness.settle())
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._changes = 0
        self._pairs = 0
        self._longest = 0.0
        self._measured: deque[float] = deque(maxlen=KEPT)
        self._open: dict[Pair, list[float]] = {}  # commits that were not seen fresh yet
        self._heard: dict[Pair, float] = {}  # the last announcement
        self._to_look_at: set[Pair] = set()
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()
        self._lost: psycopg.Error | None = None

    async def __aenter__(self) -> Self:
        """Connects.

        Raises:
            DatabaseUnreachable: a connection could not be made.
        """
        async with AsyncExitStack() as stack:
            try:
                listening = await sessions.connect(self._dsn, "gaq-listen demo, listening")
                await stack.enter_async_context(listening)
                await listening.execute("listen gaq_refreshed")
                looking = await sessions.connect(self._dsn, "gaq-listen demo, looking")
                await stack.enter_async_context(looking)
            except psycopg.OperationalError as error:
                raise sessions.unreachable(error) from error
            loop = asyncio.get_running_loop()
            socket = listening.fileno()
            loop.add_reader(socket, self._hear, listening.pgconn, socket)
            stack.callback(self._stop_hearing, socket)
            self._task = loop.create_task(self._look(looking))
            stack.push_async_callback(self._stop_looking)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Disconnects."""
        await self._stack.aclose()

    def note(self, change: Change) -> None:
        """Takes note of a change, right after its commit."""
        self._changes += 1
        for pair in change.pairs:
            self._open.setdefault(pair, []).append(change.committed)
            self._settled.clear()
            # The announcement can be faster than the news of our own commit.
            if self._heard.get(pair, -math.inf) >= change.begun:
                self._to_look_at.add(pair)
                self._wake.set()

    async def settle(self, timeout: float = 10.0) -> Measured:
        """Waits until nothing is outstanding, for ``timeout`` seconds at most.

        Raises:
            DatabaseUnreachable: a connection was lost, so that nothing more could be measured.
        """
        settled = asyncio.create_task(self._settled.wait())
        await asyncio.wait({settled, self._task}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        settled.cancel()
        if self._task.done():
            self._task.result()
        return self.measured()

    def measured(self) -> Measured:
        """What was measured so far."""
        ordered = sorted(self._measured)

        def percentile(share: float) -> float | None:
            return ordered[math.ceil(len(ordered) * share) - 1] * 1000 if ordered else None

        return Measured(
            changes=self._changes,
            pairs=self._pairs,
            p50_ms=percentile(0.5),
            p99_ms=percentile(0.99),
            max_ms=self._longest * 1000 if self._pairs else None,
            outstanding=len(self._open),
        )

    def _hear(self, connection: PGconn, socket: int) -> None:
        # Straight from libpq, and at once: what is noted here is the time.
        now = time.monotonic()
        try:
            connection.consume_input()
        except psycopg.OperationalError as error:
            self._stop_hearing(socket)
            self._lost = error
            self._wake.set()
            return
        while notification := connection.notifies():
            for data_pass_id, run_number in json.loads(notification.extra):
                pair = (data_pass_id, run_number)
                self._heard[pair] = now
                if pair in self._open:
                    self._to_look_at.add(pair)
                    self._wake.set()

    def _stop_hearing(self, socket: int) -> None:
        # Once: libpq has closed the socket of a lost connection, and somebody else may have its number by now.
        if self._lost is None:
            asyncio.get_running_loop().remove_reader(socket)

    async def _stop_looking(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _look(self, connection: AsyncConnection[TupleRow]) -> None:
        try:
            while self._lost is None:
                await self._wake.wait()
                self._wake.clear()
                while self._to_look_at:
                    await self._look_at(connection)
            raise self._lost
        except psycopg.OperationalError as error:
            raise DatabaseUnreachable(f"freshness cannot be measured any more: {sentence(error)}") from error

    async def _look_at(self, connection: AsyncConnection[TupleRow]) -> None:
        pairs, self._to_look_at = self._to_look_at, set()
        asked = time.monotonic()
        stale = set(await (await connection.execute(_STALE)).fetchall())
        answered = time.monotonic()
        for pair in pairs - stale:
            heard = self._heard[pair]
            for committed in self._open.pop(pair, []):
                if committed > asked:  # the answer may be older than this change
                    self._open.setdefault(pair, []).append(committed)
                else:
                    self._measure((heard if heard > committed else answered) - committed)
        if not self._open:
            self._settled.set()

    def _measure(self, seconds: float) -> None:
        self._pairs += 1
        self._measured.append(seconds)
        self._longest = max(self._longest, seconds)
