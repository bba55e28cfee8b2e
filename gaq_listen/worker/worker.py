"""A worker from start to stop: connects, serves, and connects again."""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress

import psycopg
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    wait_random_exponential,
)

from gaq_listen.db import missing_rights, sessions
from gaq_listen.db.connection import AbortableConnection
from gaq_listen.db.connection_errors import Outlook, classify
from gaq_listen.db.server_errors import explain, is_lasting
from gaq_listen.db.watchdog import backend_pid, backend_probe
from gaq_listen.errors import DoorbellRequired
from gaq_listen.settings import WorkerSettings
from gaq_listen.worker import events
from gaq_listen.worker.auditor import Auditor
from gaq_listen.worker.doorbell import Doorbell
from gaq_listen.worker.pacing import BatchTimeouts
from gaq_listen.worker.refresher import Refresher
from gaq_listen.worker.registration import Registration, WorkTotals
from gaq_listen.worker.session import SessionParts, WorkerSession, nap

HEALTHY = 10.0
"""Seconds that a connection must have lasted for the next reconnecting to start without delay."""

PROMOTION = 1.0
"""Seconds between two looks whether a standby has been promoted."""

BROKEN = 5.0
"""Seconds between two tries while the database is broken: trying again does not heal it, only somebody can."""

BLOCKED = 0.25
"""Seconds between two tries while another session has, or wants, a lock that the worker needs."""

PATIENT = 1.0
"""Seconds of that for which the worker says nothing."""

_TROUBLE = (psycopg.Error, TimeoutError)
"""What may heal by itself, once the worker had been at work: a lost connection, a lock, a right that was revoked."""


class _Stopped(Exception):
    """Asked to stop, while there was nothing that had to be finished."""


class Worker:
    """Keeps summaries fresh until it is asked to stop.

    ``observe`` is called with each event, ``alive`` with each answer of the server; ``clock`` gives monotonic seconds.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        observe: events.Observer,
        clock: Callable[[], float] = time.monotonic,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._observe = observe
        self._clock = clock
        self._alive = alive
        self.abandoned = False
        self._host = socket.gethostname()
        self._enrolment: Registration | None = None
        self._stop = asyncio.Event()
        self._lines: set[AbortableConnection] = set()
        self._started = clock()
        self._totals = WorkTotals()
        self._allowance = BatchTimeouts(settings.batch_timeout, settings.heartbeat)
        self._connected: float | None = None
        self._lost: float | None = None
        self._broken: float | None = None
        self._blocked: float | None = None
        self._told_blocked = False

    def stop(self, reason: str) -> None:
        """Asks it to stop, soon: the batch in flight finishes."""
        if not self._stop.is_set():
            self._observe(events.Stopping(reason))
            self._stop.set()

    def abandon(self) -> None:
        """Asks it to end at once; the server does what was in flight as a whole or not at all."""
        self.abandoned = True
        self.stop("at once")
        for line in self._lines:
            line.abort()

    async def run(self) -> None:
        """Works until stopped or, with ``once``, until nothing is stale.

        Raises:
            DatabaseUnreachable: the first connection could not be made, or none will be until somebody changes a role,
                a password or the database. Everything else is tried again for ever.
            NotInstalled: the database has no schema ``gaq``, or another version of it.
            DoorbellRequired: notifications do not arrive, and the settings want them.
            GaqListenError: something that trying again does not heal.
        """
        try:
            while not self._stop.is_set():
                await self._retry()
        except _Stopped:
            pass
        except (psycopg.Error, TimeoutError) as error:
            raise sessions.explained_errors(error) from error
        finally:
            if self._connected is not None:
                seconds = self._clock() - self._started
                self._observe(events.Stopped(self._totals.batches, self._totals.pairs, seconds))

    async def _retry(self) -> None:
        """Connects and serves, again and again, with growing delays while that fails early."""
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(_TROUBLE),
            stop=self._is_final,
            wait=wait_random_exponential(multiplier=0.2, max=10),
            before_sleep=self._tell_disconnected,
            sleep=lambda seconds: nap(self._stop, seconds),
            reraise=True,
        ):
            with attempt:
                if self._stop.is_set():
                    return
                try:
                    await self._connect_and_serve()
                except _TROUBLE as error:
                    lost_before = self._lost is not None
                    self._lost = self._lost or self._clock()
                    if self._stop.is_set():
                        return
                    if lost_before or self._connected is None or self._clock() - self._connected < HEALTHY:
                        raise
                    self._tell_trouble(error, 0)

    def _is_final(self, state: RetryCallState) -> bool:
        """Whether there is no use in trying again."""
        error = state.outcome.exception() if state.outcome else None
        verdict = classify(str(error))
        if self._connected is None and (verdict is not Outlook.WAIT or self._settings.once):
            return True
        if self._settings.once and is_lasting(error):
            return True
        return self._stop.is_set() or verdict is Outlook.GIVE_UP

    def _tell_disconnected(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        self._tell_trouble(error or TimeoutError(), state.next_action.sleep if state.next_action else 0)

    def _tell_trouble(self, error: BaseException, delay: float) -> None:
        if is_lasting(error):
            self._broken = self._broken or self._clock()
            self._observe(events.Broken(explain(error), delay))
        else:
            self._observe(events.Disconnected(explain(error), delay))

    def _observe_service(self, event: events.Event) -> None:
        """Pass on an event of the service. The first full round after a breakage says that it is repaired."""
        if isinstance(event, events.BacklogCounted | events.Idle):
            if self._broken is not None:
                self._observe(events.Repaired(self._clock() - self._broken))
                self._broken = None
            if self._blocked is not None and self._told_blocked:
                self._observe(events.Unblocked(self._clock() - self._blocked))
            self._blocked, self._told_blocked = None, False
        self._observe(event)

    async def _connect_and_serve(self) -> None:
        settings = self._settings
        async with self._connection("gaq-listen worker") as work, self._noting_rights(work):
            await sessions.require_installed_async(work)
            await sessions.limit_session(work, settings.batch_timeout)
            if await sessions.is_standby(work):
                self._tell_connected(work, settings.name or f"{self._host}:{os.getpid()}")
                await self._wait_for_promotion(work)
            before = self._enrolment
            name, backend = (before.name, before.backend) if before else (settings.name or None, None)
            self._enrolment = enrolment = Registration(work, name, self._host, os.getpid(), backend)
            await enrolment.register()
            self._tell_connected(work, enrolment.name)
            pace = (0.0, 0.0) if settings.once else (settings.debounce, settings.max_wait)
            backlog = Refresher(
                work,
                *pace,
                enrolment.name,
                settings.announce,
                allowance=self._allowance,
                sync_commit=settings.sync_commit,
            )
            audit = Auditor(work, self._allowance.whole.answer)
            if settings.once:
                await self._serve(SessionParts(work, backlog, enrolment, audit))
                self.stop("nothing is stale")
            else:
                async with self._connection("gaq-listen doorbell") as listening:
                    bell = await self._doorbell(listening, work)
                    look = None
                    if bell is not None:
                        look = backend_probe(await backend_pid(work), asked=listening)
                        await enrolment.listens(await backend_pid(listening))
                    await self._serve(SessionParts(work, backlog, enrolment, audit, bell, look))
            # Whoever looks sees it gone; should that fail, its row tells by itself that it has gone.
            with suppress(*_TROUBLE):
                await enrolment.unregister()

    def _service(self, work: SessionParts) -> WorkerSession:
        return WorkerSession(self._settings, self._observe_service, self._clock, self._stop, self._totals, work)

    async def _serve(self, work: SessionParts) -> None:
        """Serve until stopped; with ``once``, drain. While the database is broken, stay connected and try again."""
        service = self._service(work)
        while not self._stop.is_set():
            try:
                await (service.drain_all() if self._settings.once else service.serve())
            except psycopg.errors.LockNotAvailable as error:
                await self._give_way(error, work)
            except psycopg.Error as error:
                if self._settings.once or not is_lasting(error):
                    raise
                if isinstance(error, psycopg.errors.InsufficientPrivilege):
                    await missing_rights.add_advice_async(work.line, error)
                # Not even this may be there any more: then the worker ends, and says so.
                await _unless_broken(sessions.require_installed_async(work.line))
                self._tell_trouble(error, BROKEN)
                if work.bell is not None:
                    await _unless_broken(work.bell.let_go())
                await _unless_broken(work.enrolment.report("broken", self._totals))
                self._alive()
                await nap(self._stop, BROKEN)
            else:
                return

    async def _give_way(self, error: psycopg.errors.LockNotAvailable, work: SessionParts) -> None:
        """Wait for the session that has the lock; the worker holds none. Say so if it takes long."""
        now = self._clock()
        if self._blocked is None:
            self._blocked = now
        if now - self._blocked >= PATIENT:
            first, self._told_blocked = not self._told_blocked, True
            self._observe(events.Blocked(explain(error), BLOCKED))
            if first:
                if work.bell is not None:
                    await work.bell.let_go()
                await work.enrolment.report("blocked", self._totals)
        self._alive()
        await nap(self._stop, BLOCKED)

    def _tell_connected(self, work: AbortableConnection, name: str) -> None:
        first = self._connected is None
        self._connected = self._clock()
        if first:
            version = work.info.parameter_status("server_version") or "?"
            self._observe(events.Started(work.info.dbname, version, name))
        elif self._lost is not None:
            self._observe(events.Reconnected(self._connected - self._lost))
        self._lost = None

    @asynccontextmanager
    async def _connection(self, name: str) -> AsyncIterator[AbortableConnection]:
        line = await self._unless_stopped(sessions.connect(self._settings.dsn, name, self._settings.heartbeat))
        line.alive = self._alive
        self._lines.add(line)
        try:
            yield line
        finally:
            self._lines.discard(line)
            await line.close()

    @asynccontextmanager
    async def _noting_rights(self, work: AbortableConnection) -> AsyncIterator[None]:
        """Let an error within the context say which right is missing."""
        try:
            yield
        except psycopg.errors.InsufficientPrivilege as error:
            await missing_rights.add_advice_async(work, error)
            raise

    async def _unless_stopped(self, connecting: Coroutine[None, None, AbortableConnection]) -> AbortableConnection:
        """A connection; when asked to stop before there is one, there is nothing to finish."""
        connected = asyncio.ensure_future(connecting)
        stopping = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait((connected, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not connected.done():
                raise _Stopped
            return await connected
        finally:
            connected.cancel()
            stopping.cancel()

    async def _wait_for_promotion(self, work: AbortableConnection) -> None:
        reason = "the server is a standby, where nothing can be refreshed before it is promoted"
        if self._settings.require_listen or self._settings.once:
            raise DoorbellRequired(reason)
        self._observe(events.Polling(reason, PROMOTION))
        while await sessions.is_standby(work):
            await nap(self._stop, PROMOTION)
            if self._stop.is_set():
                raise _Stopped

    async def _doorbell(self, listening: AbortableConnection, work: AbortableConnection) -> Doorbell | None:
        async def notify(channel: str, payload: str) -> None:
            async with work.deadline():
                await work.execute("select pg_notify(%s, %s)", (channel, payload))

        bell = Doorbell(listening, self._stop)
        if await bell.listen(notify):
            self._observe(events.Listening())
            return bell
        reason = "notifications do not arrive, as through a transaction pooler"
        if self._settings.require_listen:
            raise DoorbellRequired(reason)
        self._observe(events.Polling(reason, self._settings.max_wait))
        return None


async def _unless_broken(work: Coroutine[None, None, object]) -> None:
    """Await ``work``; what a broken database refuses is left undone."""
    try:
        await work
    except psycopg.Error as error:
        if not is_lasting(error):
            raise
