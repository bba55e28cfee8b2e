"""Run a real worker that stops before each of its steps until the test lets it go on."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass

import psycopg
from psycopg import Notify

from gaq_listen.db import sessions
from gaq_listen.db.connection import AbortableConnection
from gaq_listen.settings import WorkerSettings
from gaq_listen.worker.auditor import Auditor
from gaq_listen.worker.batching import BatchTimeouts
from gaq_listen.worker.doorbell import Doorbell
from gaq_listen.worker.refresher import BatchResult, DueCheck, Refresher
from gaq_listen.worker.registration import Registration, WorkTotals
from gaq_listen.worker.session import SessionParts, WorkerSession
from gaq_listen.worker.waiting import CHECK_HOLDER, DoorbellState

DAY = 86400.0
PATIENCE = 600.0
"""Seconds that are longer than any gate is closed."""

# Every marked pair is due at once, and only a ring ends a sleep. Batches are small, because there are few pairs.
SETTINGS = WorkerSettings(debounce=0, max_wait=0, min_batch=1, max_batch=4, sweep=DAY)

GOING, REFRESHING, ASLEEP = "going", "refreshing", "asleep"
"""Places of a worker between two stops, inside a refresh, and asleep until a ring."""

TROUBLE = (psycopg.Error, TimeoutError)


class Stops:
    """Hold the place of a worker: the name of a stop, or ``GOING``, ``REFRESHING`` or ``ASLEEP``."""

    def __init__(self) -> None:
        self.place = GOING
        self.heard = 0
        """The number of notifications that have reached the doorbell of the worker."""
        self._go = asyncio.Event()
        self.turn = asyncio.Lock()
        """A lock that lets one of two concurrent steps go before the other."""
        self.letting_go = asyncio.Event()
        """Whether the worker has begun to let the doorbell go since it last decided how to wait."""

    async def stop_at(self, place: str) -> None:
        self.place = place
        self._go.clear()
        await self._go.wait()

    def go(self) -> None:
        self.place = GOING
        self._go.set()

    @property
    def stands(self) -> bool:
        """Return whether the worker waits for the test or, asleep, for a ring."""
        return self.place not in (GOING, REFRESHING)


class SteppedRefresher(Refresher):
    """Stop before each refresh and each check."""

    def __init__(self, connection: AbortableConnection, stops: Stops) -> None:
        super().__init__(connection, SETTINGS.debounce, SETTINGS.max_wait, timeouts=BatchTimeouts(PATIENCE, PATIENCE))
        self.stops = stops

    async def refresh(self, limit: int) -> BatchResult:
        async with self.stops.turn:
            await self.stops.stop_at("refresh")
            self.stops.place = REFRESHING
            try:
                return await super().refresh(limit)
            finally:
                self.stops.place = GOING

    async def check_due(self, sources: bool = False) -> DueCheck:
        self.stops.letting_go.clear()
        await self.stops.stop_at("check")
        return await super().check_due(sources)


class LetsGoFirst(SteppedRefresher):
    """Refresh after the doorbell was let go, as a server that is slow to begin a refresh does, and not before."""

    async def refresh(self, limit: int) -> BatchResult:
        await self.stops.letting_go.wait()
        return await super().refresh(limit)


class SteppedDoorbell(Doorbell):
    """Stop before the worker takes the doorbell, lets it go, or sleeps. A nap lasts until the next step."""

    def __init__(self, connection: AbortableConnection, stop: asyncio.Event, stops: Stops) -> None:
        super().__init__(connection, stop)
        self.stops = stops

    def _hear(self, notification: Notify) -> None:
        super()._hear(notification)
        self.stops.heard += 1

    async def hold(self) -> DoorbellState:
        await self.stops.stop_at("hold")
        return await super().hold()

    async def let_go(self) -> bool:
        # A worker may let the doorbell go during a refresh, through another connection. Here, one comes after another.
        self.stops.letting_go.set()
        async with self.stops.turn:
            if self.held:
                await self.stops.stop_at("let go")
            return await super().let_go()

    async def count(self, seconds: float) -> frozenset[int]:
        self.stops.letting_go.clear()
        await self.stops.stop_at("nap")
        return await super().count(0)

    async def wait(self, timeout: float) -> frozenset[int]:
        if timeout < DAY / 2:
            await self.stops.stop_at("nap")
            return await super().wait(0)
        await self.stops.stop_at("sleep")
        self.stops.place = ASLEEP
        ringers = await super().wait(timeout)
        await self.stops.stop_at("woken")
        return ringers


@dataclass(frozen=True, slots=True)
class Parts:
    """Hold the classes of which a worker is made: the real ones, or mutants."""

    refresher: type[SteppedRefresher] = SteppedRefresher
    doorbell: type[SteppedDoorbell] = SteppedDoorbell


class SteppedWorker:
    """Run one stepped worker. ``number`` is its number in the gates.

    ``lost`` says which of its ``backends`` have crashed, whether the worker has noticed or not.
    """

    def __init__(self, name: str, number: int, dsn: str, parts: Parts) -> None:
        self.name = name
        self.number = number
        self._dsn = dsn
        self._parts = parts
        self._clock = 0.0

    async def start(self) -> None:
        """Connect, listen, and go to the first stop."""
        self.stops = Stops()
        self.lost: set[str] = set()
        self.work = await sessions.connect(self._dsn, "gaq-listen worker")
        self.listening = await sessions.connect(self._dsn, "gaq-listen doorbell")
        self.backends = {"work": self.work.info.backend_pid, "bell": self.listening.info.backend_pid}
        await self.work.execute(
            "SELECT set_config('proof.worker', %s, false), set_config('lock_timeout', '0', false)", [str(self.number)]
        )
        refresher = self._parts.refresher(self.work, self.stops)
        doorbell = self._parts.doorbell(self.listening, asyncio.Event(), self.stops)
        registration = Registration(self.work, self.name, "stage", self.number)
        await registration.register()

        async def notify(channel: str, payload: str) -> None:
            await self.work.execute("SELECT pg_notify(%s, %s)", [channel, payload])

        assert await doorbell.listen(notify, within=20)
        self.stops.heard = 0
        parts = SessionParts(self.work, refresher, registration, Auditor(self.work, PATIENCE), doorbell)
        session = WorkerSession(SETTINGS, lambda _: None, lambda: self._clock, asyncio.Event(), WorkTotals(), parts)
        self.task = asyncio.ensure_future(session.serve())

    @property
    def place(self) -> str:
        return self.stops.place

    @property
    def ended(self) -> bool:
        return self.task.done()

    def go(self) -> None:
        """Let the worker go on to its next stop. A nap ends."""
        if self.place == "nap":
            self._clock += CHECK_HOLDER
        self.stops.go()

    async def finish(self) -> None:
        """End the worker, and close its connections.

        Raises:
            BaseException: an error that has ended the worker, other than a lost connection.
        """
        self.task.cancel()
        try:
            with suppress(asyncio.CancelledError, *TROUBLE):
                await self.task
        finally:
            await self.work.close()
            await self.listening.close()
