"""Serve one worker while it is connected: refresh what is due, wait, and begin again."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from math import inf

from gaq_listen.db import source_bindings
from gaq_listen.db.connection import AbortableConnection
from gaq_listen.db.watchdog import BackendProbe, Result, watched
from gaq_listen.errors import GaqListenError
from gaq_listen.settings import WorkerSettings
from gaq_listen.worker import events
from gaq_listen.worker.audit_schedule import AuditSchedule
from gaq_listen.worker.auditor import Auditor
from gaq_listen.worker.batching import BacklogWarning, BatchSize
from gaq_listen.worker.contention import Contention
from gaq_listen.worker.doorbell import Doorbell, nap
from gaq_listen.worker.refresher import DueCheck, Pause, Refresher
from gaq_listen.worker.registration import Registration, WorkTotals
from gaq_listen.worker.waiting import (
    CHECK_HOLDER,
    RETRY_CLAIMED,
    RING_OTHERS,
    DoorbellState,
    Mode,
    PollInterval,
    Wait,
    WaitState,
    next_wait,
)

REPORT_EVERY = 5.0
"""Seconds between two reports of a busy worker. A worker at rest reports with each sweep."""

DRAINING_AFTER = 1.0
"""Seconds of batch after batch after which the worker reports the state ``draining``."""

LET_GO_AFTER = 0.005
"""Seconds of a drain after which the worker lets the doorbell go beside it. Writers that change something until then
ring. A worker that lets the doorbell go beside the refresh of a single pair takes a tenth longer."""


@dataclass(frozen=True, slots=True)
class SessionParts:
    """Hold what a worker uses while it is connected. Refresher, registration and auditor use ``connection``.

    ``doorbell`` has a connection of its own, through which ``probe`` asks for the state of the backend of
    ``connection``. Both are None if notifications do not arrive, or the worker does not wait.
    """

    connection: AbortableConnection
    refresher: Refresher
    registration: Registration
    auditor: Auditor
    doorbell: Doorbell | None = None
    probe: BackendProbe | None = None


class WorkerSession:
    """Serve with one set of connections until ``stop`` is set. ``clock`` returns monotonic seconds."""

    def __init__(
        self,
        settings: WorkerSettings,
        observe: events.Observer,
        clock: Callable[[], float],
        stop: asyncio.Event,
        totals: WorkTotals,
        parts: SessionParts,
    ) -> None:
        self._settings = settings
        self._observe = observe
        self._clock = clock
        self._stop = stop
        self._totals = totals
        self._parts = parts
        self._batch_size = BatchSize(settings.min_batch, settings.max_batch)
        self._backlog_warning = BacklogWarning(settings.max_batch)
        self._audit_schedule = AuditSchedule(settings.audit_rate, clock())
        self._poll_interval = PollInterval(settings.max_wait)
        self._contention = Contention()
        self._was_due = False
        """Whether a pair was due at the last check."""
        self._drain_began = 0.0
        self._changed_at = -inf
        self._next_sweep = clock() + settings.sweep
        self._next_report = 0.0
        self._next_ring = 0.0
        self._pause: Pause | None = None
        self._pause_seen = 0.0
        self._check_sources = False
        """Whether the next check also compares the source tables with those that gaq-listen was installed for."""
        self._sources_changed_since: float | None = None

    async def serve(self) -> None:
        """Refresh what is due, wait, and begin again. First, check the source tables."""
        sweeping = False
        self._report_sources(await self._parts.refresher.source_changes())
        while True:
            found = await self._drain_awake(sweeping)
            if sweeping:
                self._totals.found_by_sweeps += found
                self._observe(events.Swept(found))
            if self._stop.is_set():
                return
            await self._audit()
            wait = await self._decide_wait(found)
            await self._report(self._state(), swept=found if sweeping else None)
            sweeping = await self._wait(wait)

    async def _drain_awake(self, sweeping: bool) -> int:
        """Drain, and let the doorbell go after that, or meanwhile if the drain takes longer than ``LET_GO_AFTER``."""
        doorbell, self._drain_began = self._parts.doorbell, self._clock()
        # Nobody has rung for a sweep, and the server frees the lock of a worker that stops.
        if doorbell is None or sweeping or self._stop.is_set():
            return await self._drain(sweeping)
        letting_go: asyncio.Task[bool] | None = None

        def let_go() -> asyncio.Task[bool]:
            nonlocal letting_go
            letting_go = letting_go or asyncio.create_task(doorbell.let_go())
            return letting_go

        timer = asyncio.get_running_loop().call_later(LET_GO_AFTER, let_go)
        try:
            found = await self._drain(sweeping)
        except BaseException:
            with suppress(Exception):
                await let_go()
            raise
        finally:
            timer.cancel()
        if await let_go():
            self._contention.record_queue()
        self._contention.record_ringers(doorbell.ringers())
        return found

    async def _decide_wait(self, found: int) -> Wait:
        """Decide how to wait after a drain that has found ``found`` pairs.

        A worker that may hold the doorbell tries to, and checks only then whether a pair is due: until the worker holds
        the doorbell, no writer rings for it.
        """
        began = self._clock()
        doorbell = await self._take_doorbell()
        polls_again = doorbell is DoorbellState.GIVEN_UP and found > 0 and not self._check_sources
        check = DueCheck() if polls_again else await self._check_due()
        state = WaitState(
            doorbell,
            check.next_due,
            was_due=self._was_due,
            paused=check.pause is not None,
            found=found,
            took=began - self._drain_began,
            since_change=began - self._changed_at,
            rest=self._settings.max_wait
            if self._parts.doorbell is None
            else self._poll_interval.next(restart=found > 0 or doorbell is not DoorbellState.NOT_HELD),
        )
        if not polls_again:
            self._was_due = check.next_due == 0
        self._record_change(state)
        return next_wait(state)

    async def _take_doorbell(self) -> DoorbellState:
        """Try to hold the doorbell if the worker may."""
        if self._parts.doorbell is None:
            return DoorbellState.UNAVAILABLE
        if not self._contention.may_hold(self._clock()):
            return DoorbellState.GIVEN_UP
        return DoorbellState.NOT_HELD if self._pause else await self._parts.doorbell.hold()

    async def _check_due(self) -> DueCheck:
        """Ask when a pair is due, and emit what else the answer says."""
        check = await self._parts.refresher.check_due(self._check_sources)
        if check.source_changes is not None:
            self._report_sources(check.source_changes)
        await self._report_pause(check.pause)
        self._observe(events.BacklogCounted(0) if check.next_due is None else events.Idle())
        return check

    def _record_change(self, state: WaitState) -> None:
        """Tell the contention rule of a mark that came since the drain. It counts as a wake-up without sleep."""
        if state.doorbell is DoorbellState.UNAVAILABLE or state.paused or state.claimed or state.next_due is None:
            return
        if state.next_due <= self._settings.debounce:
            self._changed_at = self._clock()
            self._contention.record_change()
        if state.next_due == 0 and state.doorbell is not DoorbellState.GIVEN_UP:
            self._contention.record_wake_up(slept=0.0)

    async def _wait(self, wait: Wait) -> bool:
        """Wait. Return whether the sweep has ended the wait, so that nothing had announced what it finds."""
        doorbell = self._parts.doorbell
        began = self._clock()
        until_sweep = max(0.0, self._next_sweep - began)
        until_audit = self._audit_schedule.next() - began if self._pause is None else inf
        longest = max(0.0, min(until_sweep, until_audit))
        timeout = longest if wait.seconds is None else min(wait.seconds, longest)
        announced = False
        if doorbell is None:
            await nap(self._stop, timeout)
        elif wait.mode is Mode.POLLING:
            self._contention.record_ringers(await doorbell.count(timeout))
            announced = True
        elif timeout > 0:
            ringers = await self._listen(doorbell, timeout)
            following = wait.mode is Mode.FOLLOWING
            while following and not ringers and not self._stop.is_set() and self._clock() < began + longest:
                following = await doorbell.hold() is DoorbellState.HELD_BY_OTHER
                if following:
                    ringers = await self._listen(doorbell, min(CHECK_HOLDER, longest))
            if ringers:
                self._contention.record_wake_up(self._clock() - began)
                self._contention.record_ringers(ringers)
                announced = True
        now = self._clock()
        if now < self._next_sweep:
            return False
        self._next_sweep = now + self._settings.sweep
        self._check_sources = True
        return not announced and (wait.seconds is None or wait.seconds > until_sweep)

    async def _listen(self, doorbell: Doorbell, seconds: float) -> frozenset[int]:
        """Wait for a ring, with jitter, so that workers that wait for the same time do not wake together."""
        return await doorbell.wait(seconds * random.uniform(1.0, 1.1))  # noqa: S311

    async def _drain(self, sweeping: bool = False) -> int:
        """Refresh batch after batch until nothing is due. Return how many pairs the batches had."""
        found = 0
        began = self._clock()
        while True:
            limit = self._batch_size.pairs
            batch_began = self._clock()
            batch = await self._watched(self._parts.refresher.refresh(limit))
            seconds = self._clock() - batch_began
            if batch.pairs:
                self._totals.batches += 1
                self._totals.pairs += len(batch.pairs)
                self._changed_at = self._clock()
                self._contention.record_change(len(batch.pairs))
                self._observe(events.BatchRefreshed(batch.pairs, seconds, limit, sweeping))
            if batch.failed:
                self._observe(events.PairsFailed(batch.failed))
            self._batch_size.record(len(batch), seconds)
            found += len(batch)
            full = len(batch) >= limit
            await self._warn_of_backlog(full, seconds / max(1, len(batch)))
            if not full or self._stop.is_set():
                return found
            await self._ring_others()
            if self._clock() - began > DRAINING_AFTER:
                await self._report("draining")

    async def _watched(self, work: Awaitable[Result]) -> Result:
        """Await ``work`` on the work connection, and watch its backend through the doorbell's connection."""
        parts = self._parts
        return await (work if parts.probe is None else watched(work, parts.connection, parts.probe))

    async def _warn_of_backlog(self, full: bool, seconds_a_pair: float) -> None:
        """Emit an event if the backlog stays larger than a batch, and another when it does not any more."""
        warned, full_batches = self._backlog_warning.warned, self._backlog_warning.full_batches
        if self._backlog_warning.record_batch(full):
            left = await self._parts.refresher.pairs_left()
            if self._backlog_warning.record_pairs_left(left):
                self._observe(events.Behind(left, self._backlog_warning.full_batches, left * seconds_a_pair))
        elif warned and not self._backlog_warning.warned:
            self._observe(events.CaughtUp(full_batches))

    async def _ring_others(self) -> None:
        """Wake other workers, because there is more to do than one batch."""
        if self._clock() >= self._next_ring:
            self._next_ring = self._clock() + RING_OTHERS
            await self._parts.refresher.ring()

    async def _audit(self) -> None:
        """Audit the portion of pairs that is due, if any, unless work is paused."""
        if self._pause is None and (pairs := self._audit_schedule.take(self._clock())):
            self._observe(await self._watched(self._parts.auditor.audit(pairs)))

    def _state(self) -> str:
        """Return the state to report of a worker that waits."""
        if self._pause is not None:
            return "paused"
        return "polling" if self._parts.doorbell is None else "listening"

    def _report_sources(self, changes: tuple[str, ...]) -> None:
        """Emit an event if the source tables are not those that gaq-listen was installed for, or are again."""
        self._check_sources = False
        if changes:
            if self._sources_changed_since is None:
                self._sources_changed_since = self._clock()
            self._observe(events.SourcesChanged(changes, source_bindings.FIX))
        elif self._sources_changed_since is not None:
            self._observe(events.SourcesRestored(self._clock() - self._sources_changed_since))
            self._sources_changed_since = None

    async def _report_pause(self, pause: Pause | None) -> None:
        """Emit an event if a pause has begun or ended. Let the doorbell go when it begins, so that nobody rings."""
        if pause is not None and self._pause is None:
            self._observe(events.Paused(pause.by, pause.seconds, pause.reason))
            if self._parts.doorbell is not None:
                await self._parts.doorbell.let_go()
            self._pause, self._pause_seen = pause, self._clock()
        elif pause is None and self._pause is not None:
            self._observe(events.Resumed(self._pause.seconds + self._clock() - self._pause_seen))
            self._pause = None

    async def _report(self, state: str, swept: int | None = None) -> None:
        """Report to ``gaq.workers`` after a sweep, when the state has changed, and now and then."""
        registration = self._parts.registration
        if swept is not None or state != registration.state or self._clock() >= self._next_report:
            every = REPORT_EVERY if state == "draining" else self._settings.sweep
            self._next_report = self._clock() + every
            await registration.report(state, self._totals, swept)

    async def drain_all(self) -> None:
        """Refresh until no pair is stale, also those that other workers have claimed now: for ``once``.

        Raises:
            GaqListenError: pairs stay stale. The message says why.
        """
        refresher = self._parts.refresher
        self._report_sources(await refresher.source_changes())
        give_up_at = self._clock() + self._settings.sweep
        while not self._stop.is_set():
            if await self._drain():
                give_up_at = self._clock() + self._settings.sweep
                continue
            check = await refresher.check_due()
            if check.next_due is None:
                return
            if check.pause is not None:
                raise GaqListenError(f"paused by {check.pause.by}: nothing is refreshed; see: gaq-listen resume")
            left, failing = await refresher.pairs_left(), await refresher.pairs_failing()
            if left and left == failing:
                raise GaqListenError(f"{failing} stale pairs cannot be computed; see: gaq-listen failures")
            if self._clock() > give_up_at:
                raise GaqListenError(
                    f"{left} stale pairs have been claimed by another worker "
                    f"for {self._settings.sweep:g} s; see: gaq-listen status"
                )
            await nap(self._stop, RETRY_CLAIMED)
