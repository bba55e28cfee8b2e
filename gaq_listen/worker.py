"""The loop that joins them: woken by the doorbell, paced, it refreshes the backlog and tells what happened."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    wait_random_exponential,
)

from gaq_listen import database, events, pacing
from gaq_listen.backlog import Backlog
from gaq_listen.doorbell import Doorbell
from gaq_listen.errors import GaqListenError
from gaq_listen.settings import WorkerSettings

HEALTHY = 10.0
"""Seconds that a connection must have lasted for the next reconnecting to start without delay."""

COUNT_EVERY = 5.0
"""Seconds between two counts of what is left of a backlog."""


class Worker:
    """Keeps summaries fresh until it is asked to stop.

    ``observe`` is called with each event; ``clock`` gives monotonic seconds.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        observe: events.Observer,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._observe = observe
        self._clock = clock
        self._stop = asyncio.Event()
        self._size = pacing.BatchSize(settings.min_batch, settings.max_batch)
        self._rings = pacing.Rings()
        self._started = clock()
        self._next_sweep = 0.0
        self._next_count = 0.0
        self._batches = 0
        self._pairs = 0
        self._connected: float | None = None
        self._lost: float | None = None

    def stop(self, reason: str) -> None:
        """Asks it to stop, soon: the batch in flight finishes."""
        if not self._stop.is_set():
            self._observe(events.Stopping(reason))
            self._stop.set()

    async def run(self) -> None:
        """Works until stopped or, with ``once``, until nothing is stale.

        Raises:
            DatabaseUnreachable: the first connection could not be made. Later it is tried again for ever.
            NotInstalled: the database has no schema ``gaq``.
            GaqListenError: something that trying again does not heal.
        """
        try:
            while not self._stop.is_set():
                await self._retry()
        except psycopg.OperationalError as error:
            raise database.unreachable(error) from error
        except psycopg.Error as error:
            raise database.explained(error) from error
        finally:
            if self._connected is not None:
                seconds = self._clock() - self._started
                self._observe(events.Stopped(self._batches, self._pairs, seconds))

    async def _retry(self) -> None:
        """Connects and serves, again and again, with growing delays while that fails early."""
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(database.CONNECTION_LOST),
            stop=lambda _: self._stop.is_set() or self._connected is None,
            wait=wait_random_exponential(multiplier=0.2, max=10),
            before_sleep=self._tell_disconnected,
            sleep=self._nap,
            reraise=True,
        ):
            with attempt:
                if self._stop.is_set():
                    return
                try:
                    await self._connect_and_serve()
                except database.CONNECTION_LOST as error:
                    self._lost = self._lost or self._clock()
                    if self._stop.is_set():
                        return
                    if self._connected is None or self._clock() - self._connected < HEALTHY:
                        raise
                    self._observe(events.Disconnected(database.sentence(error), 0))

    def _tell_disconnected(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        delay = state.next_action.sleep if state.next_action else 0
        self._observe(events.Disconnected(database.sentence(error or TimeoutError()), delay))

    async def _nap(self, seconds: float) -> None:
        """Sleeps, unless stopped."""
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            pass

    async def _connect_and_serve(self) -> None:
        async with self._connection("gaq-listen worker") as work:
            await database.require_installed_async(work)
            first = self._connected is None
            self._connected = self._clock()
            if first:
                version = work.info.parameter_status("server_version") or "?"
                self._observe(events.Started(work.info.dbname, version))
            elif self._lost is not None:
                self._observe(events.Reconnected(self._connected - self._lost))
            self._lost = None
            settings = self._settings
            if settings.once:
                await self._drain_all(Backlog(work, 0, 0, settings.announce))
                return
            backlog = Backlog(work, settings.debounce, settings.max_wait, settings.announce)
            async with self._connection("gaq-listen doorbell") as listening:
                await self._serve(backlog, await self._doorbell(listening, work))

    @asynccontextmanager
    async def _connection(self, name: str) -> AsyncIterator[AsyncConnection[TupleRow]]:
        connection = await database.connect(self._settings.dsn, name)
        try:
            yield connection
        finally:
            await connection.close()

    async def _doorbell(self, listening: AsyncConnection[TupleRow], work: AsyncConnection[TupleRow]) -> Doorbell | None:
        async def notify(channel: str, payload: str) -> None:
            await work.execute("select pg_notify(%s, %s)", (channel, payload))

        bell = Doorbell(listening, self._stop)
        if await bell.listen(notify):
            self._observe(events.Listening())
            return bell
        self._observe(
            events.Polling(
                "notifications do not arrive, as through a transaction pooler",
                self._settings.max_wait,
            )
        )
        return None

    async def _serve(self, backlog: Backlog, bell: Doorbell | None) -> None:
        """Refreshes what is due, sleeps, and looks again; first of all at everything."""
        self._next_sweep = self._clock() + self._settings.sweep
        sweeping = False
        looked_again = False
        while True:
            # Under load nobody should ring, least of all while we refresh: until a look finds nothing.
            if bell is not None and self._rings.too_many(self._clock()):
                await bell.let_go()
            found = await self._drain(backlog, sweeping)
            if sweeping:
                self._observe(events.Swept(found))
            if self._stop.is_set():
                return
            if found:
                looked_again = False

            resting: float | None
            if bell is None:
                resting = self._settings.max_wait
            elif found and not bell.held:
                resting = pacing.TICK
            else:
                holder = await bell.hold()
                next_due = await backlog.next_due()
                resting = pacing.rest(holder, next_due, looked_again, self._settings.debounce)
                looked_again = next_due == 0 and not looked_again
            sweeping = await self._sleep(bell, resting)

    async def _sleep(self, bell: Doorbell | None, resting: float | None) -> bool:
        """Returns whether it was the sweep that ended a sleep: nothing had announced work."""
        until_sweep = max(0.0, self._next_sweep - self._clock())
        timeout = until_sweep if resting is None else min(resting, until_sweep)
        rings = 0
        if bell is None:
            await self._nap(timeout)
        elif timeout > 0:
            # Jitter, so that colleagues who wait for the same thing do not come at the same time.
            rings = await bell.wait(timeout * random.uniform(1.0, 1.1))  # noqa: S311
        now = self._clock()
        self._rings.heard(rings, now)
        if now < self._next_sweep:
            return False
        self._next_sweep = now + self._settings.sweep
        return not rings and resting is None

    async def _drain(self, backlog: Backlog, sweeping: bool) -> int:
        """Refreshes what is due, batch after batch; returns how many pairs."""
        found = 0
        behind = False
        while True:
            limit = self._size.pairs
            began = self._clock()
            pairs = await backlog.refresh(limit)
            seconds = self._clock() - began
            if pairs:
                self._batches += 1
                self._pairs += len(pairs)
                self._observe(events.Batch(pairs, seconds, limit, sweeping))
                self._size.after(len(pairs), seconds)
            found += len(pairs)
            if len(pairs) < limit or self._stop.is_set():
                if behind and len(pairs) < limit:
                    self._observe(events.Recovered(0))
                return found
            if self._clock() >= self._next_count:
                self._next_count = self._clock() + COUNT_EVERY
                behind = True
                self._observe(events.Behind(await backlog.pairs_left(), 0))

    async def _drain_all(self, backlog: Backlog) -> None:
        """For ``once``: until nothing is stale, also what other workers have claimed."""
        patience = self._clock() + self._settings.sweep
        while not self._stop.is_set():
            if await self._drain(backlog, sweeping=False):
                patience = self._clock() + self._settings.sweep
            elif await backlog.next_due() is None:
                self.stop("nothing is stale")
            elif self._clock() > patience:
                raise GaqListenError(
                    f"{await backlog.pairs_left()} stale pairs have been claimed by another worker "
                    f"for {self._settings.sweep:g} s; see: gaq-listen status"
                )
            else:
                await self._nap(pacing.CLAIMED)
