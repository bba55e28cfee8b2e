"""Run a worker from start to stop: connect, serve, and connect again."""

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
from gaq_listen.worker.batching import BatchTimeouts
from gaq_listen.worker.doorbell import Doorbell, nap
from gaq_listen.worker.refresher import Refresher
from gaq_listen.worker.registration import Registration, WorkTotals
from gaq_listen.worker.session import SessionParts, WorkerSession

STABLE_AFTER = 10.0
"""Seconds after which a connection counts as stable. When a stable one is lost, the worker connects again at once."""

CHECK_STANDBY = 1.0
"""Seconds between two checks whether a standby has been promoted."""

RETRY_BROKEN = 5.0
"""Seconds between two tries while the database is broken. Only an operator can fix that."""

RETRY_BLOCKED = 0.25
"""Seconds between two tries while another session has, or wants, a lock that the worker needs."""

REPORT_BLOCKED_AFTER = 1.0
"""Seconds of such tries after which the worker emits an event."""

_TROUBLE = (psycopg.Error, TimeoutError)
"""Errors after which the worker connects again, once it has been connected."""


class _Stopped(Exception):
    """Raised if the worker is stopped while there is nothing to finish."""


class Worker:
    """Keep summaries fresh until ``stop`` is called.

    The worker calls ``observe`` with each event, and ``alive`` after each answer of the server. ``clock`` returns
    monotonic seconds.
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
        """Whether ``abandon`` was called."""
        self._host = socket.gethostname()
        self._stop = asyncio.Event()
        self._started = clock()
        self._totals = WorkTotals()
        self._timeouts = BatchTimeouts(settings.batch_timeout, settings.heartbeat)
        self._connections: set[AbortableConnection] = set()
        self._registration: Registration | None = None
        self._connected_at: float | None = None
        self._lost_at: float | None = None
        self._broken_at: float | None = None
        self._blocked_at: float | None = None
        self._reported_blocked = False

    def stop(self, reason: str) -> None:
        """Let the worker finish the batch in flight, and end."""
        if not self._stop.is_set():
            self._observe(events.Stopping(reason))
            self._stop.set()

    def abandon(self) -> None:
        """End the worker at once. The server completes the batch in flight or rolls it back."""
        self.abandoned = True
        self.stop("at once")
        for connection in self._connections:
            connection.abort()

    async def run(self) -> None:
        """Work until stopped or, with ``once``, until nothing is stale.

        Raises:
            DatabaseUnreachable: the first connection could not be made, or none will be until somebody changes a role,
                a password or the database. After any other loss of a connection, the worker tries again forever.
            NotInstalled: the database has no schema ``gaq``, or another version of it.
            DoorbellRequired: notifications do not arrive, and the settings require them.
            GaqListenError: an error that trying again does not fix.
        """
        try:
            while not self._stop.is_set():
                await self._retry()
        except _Stopped:
            pass
        except _TROUBLE as error:
            raise sessions.explained_errors(error, self._settings.dsn) from error
        finally:
            if self._connected_at is not None:
                seconds = self._clock() - self._started
                self._observe(events.Stopped(self._totals.batches, self._totals.pairs, seconds))

    async def _retry(self) -> None:
        """Connect and serve, again and again, with growing delays while connections are lost early."""
        async for attempt in AsyncRetrying(
            retry=retry_if_exception_type(_TROUBLE),
            stop=self._is_final,
            wait=wait_random_exponential(multiplier=0.2, max=10),
            before_sleep=self._report_retry,
            sleep=lambda seconds: nap(self._stop, seconds),
            reraise=True,
        ):
            with attempt:
                if self._stop.is_set():
                    return
                try:
                    await self._connect_and_serve()
                except _TROUBLE as error:
                    lost_before = self._lost_at is not None
                    self._lost_at = self._lost_at or self._clock()
                    if self._stop.is_set():
                        return
                    connected_at = self._connected_at
                    if lost_before or connected_at is None or self._clock() - connected_at < STABLE_AFTER:
                        raise
                    self._report_trouble(error, 0)

    def _is_final(self, state: RetryCallState) -> bool:
        """Return whether the worker should not try again."""
        error = state.outcome.exception() if state.outcome else None
        outlook = classify(str(error))
        if self._connected_at is None and (outlook is not Outlook.WAIT or self._settings.once):
            return True
        if self._settings.once and is_lasting(error):
            return True
        return self._stop.is_set() or outlook is Outlook.GIVE_UP

    def _report_retry(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        self._report_trouble(error or TimeoutError(), state.next_action.sleep if state.next_action else 0)

    def _report_trouble(self, error: BaseException, next_try: float) -> None:
        """Emit that the database is broken, or that the connection is lost."""
        if is_lasting(error):
            self._broken_at = self._broken_at or self._clock()
            self._observe(events.Broken(explain(error), next_try))
        else:
            self._observe(events.Disconnected(explain(error), next_try))

    def _observe_session(self, event: events.Event) -> None:
        """Emit an event of a session. After the first full round, emit that the worker is not broken or blocked now."""
        if isinstance(event, events.BacklogCounted | events.Idle):
            if self._broken_at is not None:
                self._observe(events.Repaired(self._clock() - self._broken_at))
                self._broken_at = None
            if self._blocked_at is not None and self._reported_blocked:
                self._observe(events.Unblocked(self._clock() - self._blocked_at))
            self._blocked_at, self._reported_blocked = None, False
        self._observe(event)

    async def _connect_and_serve(self) -> None:
        """Connect, register, and serve until the worker is stopped or a connection is lost."""
        settings = self._settings
        async with self._connection("gaq-listen worker") as connection, self._rights_explained(connection):
            await sessions.require_installed_async(connection)
            await sessions.limit_session(connection, settings.batch_timeout)
            if await sessions.is_standby(connection):
                self._report_connected(connection, settings.name or f"{self._host}:{os.getpid()}")
                await self._wait_for_promotion(connection)
            before = self._registration
            name, backend = (before.name, before.backend) if before else (settings.name or None, None)
            self._registration = registration = Registration(connection, name, self._host, os.getpid(), backend)
            await registration.register()
            self._report_connected(connection, registration.name)
            refresher = Refresher(
                connection,
                0.0 if settings.once else settings.debounce,
                0.0 if settings.once else settings.max_wait,
                registration.name,
                settings.announce,
                timeouts=self._timeouts,
                sync_commit=settings.sync_commit,
            )
            auditor = Auditor(connection, self._timeouts.full.response)
            if settings.once:
                await self._serve(SessionParts(connection, refresher, registration, auditor))
                self.stop("nothing is stale")
            else:
                async with self._connection("gaq-listen doorbell") as listening:
                    doorbell = await self._open_doorbell(listening, connection)
                    probe = None
                    if doorbell is not None:
                        probe = backend_probe(await backend_pid(connection), through=listening)
                        await registration.report_doorbell(await backend_pid(listening))
                    await self._serve(SessionParts(connection, refresher, registration, auditor, doorbell, probe))
            # If the row stays, readers still see that the worker is gone, because the backend in the row is gone.
            with suppress(*_TROUBLE):
                await registration.unregister()

    async def _serve(self, parts: SessionParts) -> None:
        """Serve until stopped; with ``once``, drain. While the database is broken, stay connected and try again."""
        session = WorkerSession(self._settings, self._observe_session, self._clock, self._stop, self._totals, parts)
        while not self._stop.is_set():
            try:
                await (session.drain_all() if self._settings.once else session.serve())
            except psycopg.errors.LockNotAvailable as error:
                await self._wait_for_lock(error, parts)
            except psycopg.Error as error:
                if self._settings.once or not is_lasting(error):
                    raise
                if isinstance(error, psycopg.errors.InsufficientPrivilege):
                    await missing_rights.add_advice_async(parts.connection, error)
                await self._wait_for_repair(error, parts)
            else:
                return

    async def _wait_for_repair(self, error: psycopg.Error, parts: SessionParts) -> None:
        """Wait before the next try while the database is broken.

        Raises:
            NotInstalled: schema ``gaq`` is gone, or has another version.
        """
        await _unless_broken(sessions.require_installed_async(parts.connection))
        self._report_trouble(error, RETRY_BROKEN)
        if parts.doorbell is not None:
            await _unless_broken(parts.doorbell.let_go())
        await _unless_broken(parts.registration.report("broken", self._totals))
        self._alive()
        await nap(self._stop, RETRY_BROKEN)

    async def _wait_for_lock(self, error: psycopg.errors.LockNotAvailable, parts: SessionParts) -> None:
        """Wait, without any lock, for the session that has the lock. Emit an event if that takes long."""
        now = self._clock()
        if self._blocked_at is None:
            self._blocked_at = now
        if now - self._blocked_at >= REPORT_BLOCKED_AFTER:
            first, self._reported_blocked = not self._reported_blocked, True
            self._observe(events.Blocked(explain(error), RETRY_BLOCKED))
            if first:
                if parts.doorbell is not None:
                    await parts.doorbell.let_go()
                await parts.registration.report("blocked", self._totals)
        self._alive()
        await nap(self._stop, RETRY_BLOCKED)

    def _report_connected(self, connection: AbortableConnection, name: str) -> None:
        """Emit that the worker has connected, for the first time or again."""
        first = self._connected_at is None
        self._connected_at = self._clock()
        if first:
            version = connection.info.parameter_status("server_version") or "?"
            self._observe(events.Started(connection.info.dbname, version, name))
        elif self._lost_at is not None:
            self._observe(events.Reconnected(self._connected_at - self._lost_at))
        self._lost_at = None

    @asynccontextmanager
    async def _connection(self, application_name: str) -> AsyncIterator[AbortableConnection]:
        """Connect, and close the connection at the end of the context."""
        connecting = sessions.connect(self._settings.dsn, application_name, self._settings.heartbeat)
        connection = await self._unless_stopped(connecting)
        connection.alive = self._alive
        self._connections.add(connection)
        try:
            yield connection
        finally:
            self._connections.discard(connection)
            await connection.close()

    @asynccontextmanager
    async def _rights_explained(self, connection: AbortableConnection) -> AsyncIterator[None]:
        """Add to an error within the context which right is missing."""
        try:
            yield
        except psycopg.errors.InsufficientPrivilege as error:
            await missing_rights.add_advice_async(connection, error)
            raise

    async def _unless_stopped(self, connecting: Coroutine[None, None, AbortableConnection]) -> AbortableConnection:
        """Await a new connection.

        Raises:
            _Stopped: the worker was stopped before there was a connection.
        """
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

    async def _wait_for_promotion(self, connection: AbortableConnection) -> None:
        """Wait until the standby is promoted.

        Raises:
            DoorbellRequired: the settings do not let the worker wait.
        """
        reason = "the server is a standby, where nothing can be refreshed before it is promoted"
        if self._settings.require_listen or self._settings.once:
            raise DoorbellRequired(reason)
        self._observe(events.Polling(reason, CHECK_STANDBY))
        while await sessions.is_standby(connection):
            await nap(self._stop, CHECK_STANDBY)
            if self._stop.is_set():
                raise _Stopped

    async def _open_doorbell(self, listening: AbortableConnection, connection: AbortableConnection) -> Doorbell | None:
        """Listen for rings. Return None if notifications do not arrive.

        Raises:
            DoorbellRequired: notifications do not arrive, and the settings require them.
        """

        async def notify(channel: str, payload: str) -> None:
            async with connection.deadline():
                await connection.execute("select pg_notify(%s, %s)", (channel, payload))

        doorbell = Doorbell(listening, self._stop)
        if await doorbell.listen(notify):
            self._observe(events.Listening())
            return doorbell
        reason = "notifications do not arrive, as through a transaction pooler"
        if self._settings.require_listen:
            raise DoorbellRequired(reason)
        self._observe(events.Polling(reason, self._settings.max_wait))
        return None


async def _unless_broken(work: Coroutine[None, None, object]) -> None:
    """Await ``work``, and ignore errors that a broken database causes."""
    try:
        await work
    except psycopg.Error as error:
        if not is_lasting(error):
            raise
