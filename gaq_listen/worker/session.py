"""What a worker does while it is connected: refreshes what is due, sleeps, looks again, and tells what happened."""

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
from gaq_listen.worker import events, pacing
from gaq_listen.worker.auditor import Auditor
from gaq_listen.worker.contention import Contention
from gaq_listen.worker.doorbell import Doorbell
from gaq_listen.worker.refresher import Pause, Refresher
from gaq_listen.worker.registration import Registration, WorkTotals

REPORT_EVERY = 5.0
"""Seconds between two reports of a worker that is busy; one at rest reports with each sweep."""

DRAINING = 1.0
"""Seconds of batch after batch from which on that is what a worker's state is called."""


@dataclass(frozen=True, slots=True)
class SessionParts:
    """What a worker works with while it is connected, on one ``line``. No ``bell``: it polls.

    ``look`` tells through another connection what the server says of that line.
    """

    line: AbortableConnection
    backlog: Refresher
    enrolment: Registration
    audit: Auditor
    bell: Doorbell | None = None
    look: BackendProbe | None = None


class WorkerSession:
    """Serves with one set of connections, until ``stop`` is set. ``clock`` gives monotonic seconds."""

    def __init__(
        self,
        settings: WorkerSettings,
        observe: events.Observer,
        clock: Callable[[], float],
        stop: asyncio.Event,
        totals: WorkTotals,
        work: SessionParts,
    ) -> None:
        self._settings = settings
        self._observe = observe
        self._clock = clock
        self._stop = stop
        self._totals = totals
        self._work = work
        self._size = pacing.BatchSize(settings.min_batch, settings.max_batch)
        self._contention = Contention()
        self._was_due = False
        """Whether a pair was due at the last look, so that one which still is has been claimed elsewhere."""
        self._drain_began = 0.0
        self._rounds = pacing.BacklogWarning(settings.max_batch)
        self._poll = pacing.PollInterval(pacing.TICK, settings.max_wait)
        self._portions = pacing.AuditSchedule(settings.audit_rate, clock())
        self._next_sweep = clock() + settings.sweep
        self._next_report = 0.0
        self._next_ring = 0.0
        self._pause: Pause | None = None
        self._pause_seen = 0.0
        self._sources_due = False
        """Whether the next look asks as well if the source tables are those that were installed for."""
        self._changed_since: float | None = None

    async def serve(self) -> None:
        """Refreshes what is due, sleeps, and looks again; first of all at everything."""
        sweeping = False
        self._note_sources(await self._work.backlog.source_changes())
        while True:
            found = await self._drain_awake(sweeping)
            if sweeping:
                self._totals.found_by_sweeps += found
                self._observe(events.Swept(found))
            if self._stop.is_set():
                return
            await self._check_some()
            wait = await self._next_wait(found)
            await self._report(self._state(), swept=found if sweeping else None)
            sweeping = await self._sleep(wait)

    async def _drain_awake(self, sweeping: bool) -> int:
        """Drain. At the same time let the doorbell go, through the other connection, so that no pair waits longer."""
        bell, self._drain_began = self._work.bell, self._clock()
        # Nobody has rung for a sweep, and the server frees the lock of a worker that stops.
        if bell is None or sweeping or self._stop.is_set():
            return await self._drain(sweeping)
        letting_go = asyncio.ensure_future(bell.let_go())
        try:
            found = await self._drain(sweeping)
        except BaseException:
            with suppress(Exception):
                await letting_go
            raise
        if await letting_go:
            self._contention.saw_queue()
        self._contention.heard(bell.heard())
        return found

    async def _next_wait(self, found: int) -> pacing.Wait:
        """Decide how to wait after a drain that found ``found`` pairs.

        A worker that may hold the doorbell tries to, and scans once more for marks that came before it held it.
        """
        bell, now = self._work.bell, self._clock()
        poll = self._poll.after(found > 0)
        polls = bell is not None and not self._contention.may_hold(now)
        if polls and found and not self._sources_due:
            return pacing.poll_again(found, now - self._drain_began)
        holder = pacing.Holder.WRITERS
        if bell is not None and not polls and self._pause is None:
            holder = await bell.hold()
        look = await self._work.backlog.look(self._sources_due)
        self._note_sources(look.changes)
        await self._tell_pause(look.pause)
        self._observe(events.BacklogCounted(0) if look.next_due is None else events.Idle())
        claimed = look.next_due == 0 and self._was_due and not found
        self._was_due = look.next_due == 0
        if look.pause is not None:
            return pacing.Wait(pacing.Mode.LISTENING, pacing.PAUSED)
        if bell is None:
            return pacing.Wait(pacing.Mode.LISTENING, self._settings.max_wait)
        if look.next_due is not None and look.next_due <= self._settings.debounce and not claimed:
            self._contention.saw_change(self._clock())
        if polls:
            return pacing.next_poll(look.next_due, claimed, poll)
        if look.next_due == 0 and not claimed:
            self._contention.woke(slept=0.0)
        return pacing.next_wait(holder, look.next_due, claimed, poll)

    def _state(self) -> str:
        if self._pause is not None:
            return "paused"
        return "polling" if self._work.bell is None else "listening"

    async def _tell_pause(self, pause: Pause | None) -> None:
        if pause is not None and self._pause is None:
            self._observe(events.Paused(pause.by, pause.seconds, pause.reason))
            # Marks can wait, so nobody needs to ring; the end of the pause rings all the same.
            if self._work.bell is not None:
                await self._work.bell.let_go()
            self._pause_seen = self._clock()
        elif pause is None and self._pause is not None:
            self._observe(events.Resumed(self._pause.seconds + self._clock() - self._pause_seen))
        self._pause = self._pause if pause and self._pause else pause

    async def _sleep(self, wait: pacing.Wait) -> bool:
        """Wait, and return whether it was the sweep that ended the wait: nothing had announced work."""
        bell = self._work.bell
        began = self._clock()
        until_sweep = max(0.0, self._next_sweep - began)
        until_audit = self._portions.next() - began if self._pause is None else inf
        longest = max(0.0, min(until_sweep, until_audit))
        timeout = longest if wait.seconds is None else min(wait.seconds, longest)
        ringers: frozenset[int] = frozenset()
        if bell is None:
            await nap(self._stop, timeout)
        elif wait.mode is pacing.Mode.POLLING:
            ringers = await bell.count(timeout)
        elif timeout > 0:
            beside = wait.mode is pacing.Mode.BESIDE
            ringers = await self._wait(bell, timeout)
            while beside and not ringers and not self._stop.is_set() and self._clock() < began + longest:
                beside = await bell.hold() is pacing.Holder.OTHER_WORKER
                if beside:
                    ringers = await self._wait(bell, min(pacing.CHECK_HOLDER, longest))
            if ringers:
                self._contention.woke(self._clock() - began)
        self._contention.heard(ringers)
        now = self._clock()
        if now < self._next_sweep:
            return False
        self._next_sweep = now + self._settings.sweep
        self._sources_due = True
        announced = bool(ringers) or wait.mode is pacing.Mode.POLLING
        return not announced and (wait.seconds is None or wait.seconds > until_sweep)

    async def _wait(self, bell: Doorbell, seconds: float) -> frozenset[int]:
        # Jitter, so that colleagues who wait for the same thing do not come at the same time.
        return await bell.wait(seconds * random.uniform(1.0, 1.1))  # noqa: S311

    async def _drain(self, sweeping: bool = False) -> int:
        """Refreshes what is due, batch after batch; returns how many pairs it found."""
        found = 0
        began_to_drain = self._clock()
        while True:
            limit = self._size.pairs
            began = self._clock()
            batch = await self._attended(self._work.backlog.refresh(limit))
            seconds = self._clock() - began
            if batch.pairs:
                self._totals.batches += 1
                self._totals.pairs += len(batch.pairs)
                self._contention.saw_change(self._clock())
                self._observe(events.BatchRefreshed(batch.pairs, seconds, limit, sweeping))
            if batch.failed:
                self._observe(events.PairsFailed(batch.failed))
            self._size.after(len(batch), seconds)
            found += len(batch)
            full = len(batch) >= limit
            await self._watch(full, seconds / max(1, len(batch)))
            if not full or self._stop.is_set():
                return found
            await self._ring_others()
            if self._clock() - began_to_drain > DRAINING:
                await self._report("draining")

    async def _attended(self, doing: Awaitable[Result]) -> Result:
        work = self._work
        return await (doing if work.look is None else watched(doing, work.line, work.look))

    async def _watch(self, full: bool, seconds_a_pair: float) -> None:
        warned, passed = self._rounds.warned, self._rounds.passed
        if self._rounds.after(full):
            left = await self._work.backlog.pairs_left()
            if self._rounds.above(left):
                self._observe(events.Behind(left, self._rounds.passed, left * seconds_a_pair))
        elif warned and not self._rounds.warned:
            self._observe(events.CaughtUp(passed))

    async def _ring_others(self) -> None:
        if self._clock() >= self._next_ring:
            self._next_ring = self._clock() + pacing.RING_OTHERS
            await self._work.backlog.ring()

    async def _check_some(self) -> None:
        if self._pause is None and (pairs := self._portions.due(self._clock())):
            self._observe(await self._attended(self._work.audit.portion(pairs)))

    def _note_sources(self, changes: tuple[str, ...] | None) -> None:
        """Say what makes values wrong unseen, or that nothing does any more. None: the look has not asked."""
        if changes is None:
            return
        self._sources_due = False
        if changes:
            self._changed_since = self._clock() if self._changed_since is None else self._changed_since
            self._observe(events.SourcesChanged(changes, source_bindings.FIX))
        elif self._changed_since is not None:
            self._observe(events.SourcesRestored(self._clock() - self._changed_since))
            self._changed_since = None

    async def _report(self, state: str, swept: int | None = None) -> None:
        if swept is not None or state != self._work.enrolment.state or self._clock() >= self._next_report:
            every = REPORT_EVERY if state == "draining" else self._settings.sweep
            self._next_report = self._clock() + every
            await self._work.enrolment.report(state, self._totals, swept)

    async def drain_all(self) -> None:
        """For ``once``: until nothing is stale, also what other workers have claimed.

        Raises:
            GaqListenError: something stays stale, and why.
        """
        backlog = self._work.backlog
        self._note_sources(await backlog.source_changes())
        patience = self._clock() + self._settings.sweep
        while not self._stop.is_set():
            if await self._drain():
                patience = self._clock() + self._settings.sweep
                continue
            look = await backlog.look()
            if look.next_due is None:
                return
            if look.pause is not None:
                raise GaqListenError(f"paused by {look.pause.by}: nothing is refreshed; see: gaq-listen resume")
            left, failing = await backlog.pairs_left(), await backlog.failing()
            if left and left == failing:
                raise GaqListenError(f"{failing} stale pairs cannot be computed; see: gaq-listen failures")
            if self._clock() > patience:
                raise GaqListenError(
                    f"{left} stale pairs have been claimed by another worker "
                    f"for {self._settings.sweep:g} s; see: gaq-listen status"
                )
            await nap(self._stop, pacing.CLAIMED)


async def nap(stop: asyncio.Event, seconds: float) -> None:
    """Sleeps, unless ``stop`` is set."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass
