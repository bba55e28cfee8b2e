"""Decide when a worker may hold the doorbell: a pure rule, to which the caller passes the clock.

While a worker holds the doorbell, each transaction that marks something sends a NOTIFY. NOTIFY takes a lock that is
common to the whole server and keeps it until its commit is on the disk. A writer that is alone loses nothing by that.
Writers that commit at the same time queue, and each waits for the flush of every writer before it. So a worker holds
the doorbell only while it sleeps, and gives it up altogether while writers contend for it::

                    ┌──────────────── the wake-ups showed no contention ◄───────────────┐
                    ▼                                                                   │
      ASLEEP, holds the doorbell ──── a writer rings, or a pair is due ────► AWAKE, has let the doorbell go:
                    ▲                                                        refreshes; nobody rings
                    │                                                                   │
          few changes                                                      the wake-ups showed contention
          for `quiet` seconds                                                           │
                    │                                                                   ▼
                    └───────────────────────── POLLING, does not hold the doorbell: comes back every
                                               few milliseconds (``waiting.TICK``); nobody rings

Wake-ups show contention in one of three ways. None of them is a rate of rings, because writers that ring one after the
other on a slow disk never reach a rate.

1. Sessions were waiting for the lock of NOTIFY when the worker woke.
2. Several sessions had rung between the moment the worker took the doorbell and the moment it wanted it again, in
   ``SHARED`` of the last ``RECENT`` wake-ups. Once means little: a second writer may ring before the worker that wakes
   has let the doorbell go, and waits only for the flush of the first.
3. The worker slept less than ``SHORT`` seconds on average before the last ``RECENT`` wake-ups. No writer waits for
   another then, but changes come so often that polling costs less than waking.

Changes are few in a second in which less than half of the polls find one, and all polls together less than ``FEW``
pairs. The mark of a pair that is not due yet counts, so writers that change one pair all the time make many changes.

``quiet`` is ``SHORTEST_QUIET`` at first. It doubles, up to ``LONGEST_QUIET``, whenever contention comes back soon after
the worker had taken the doorbell again, so that writers who pause now and then seldom meet a doorbell that is held.
All times are seconds of a monotonic clock.
"""

from collections import deque
from math import inf

RECENT = 6
"""Number of wake-ups by which the worker judges."""

SHARED = 2
"""Number of these in which several sessions have rung, after which the worker polls."""

SHORT = 0.01
"""Average sleep below which the worker polls: about the time between two polls."""

FEW = 50
"""Pairs a second that are many changes."""

SHORTEST_QUIET = 1.0
LONGEST_QUIET = 8.0
"""Time with few changes after which a worker that polls may hold the doorbell again: at first, and at most."""


class Contention:
    """Record what a worker sees of the writers that ring for it, and decide whether it may hold the doorbell."""

    def __init__(self) -> None:
        self._ringers: frozenset[int] = frozenset()
        self._sleeps: deque[float] = deque(maxlen=RECENT)
        self._shared: deque[bool] = deque(maxlen=RECENT)
        self._queue = False
        self._polling = False
        self._few_since = 0.0
        self._returned_at = -inf
        self._changed = False
        self._begin_second(0.0)
        self._quiet = SHORTEST_QUIET

    def record_ringers(self, ringers: frozenset[int]) -> None:
        """Add the backends that have rung since the worker last took the doorbell."""
        self._ringers |= ringers

    def record_wake_up(self, slept: float) -> None:
        """Record that a writer, and not the clock, has ended a sleep of ``slept`` seconds."""
        self._sleeps.append(slept)

    def record_queue(self) -> None:
        """Record that sessions were waiting for the lock of NOTIFY when the worker woke."""
        self._queue = True

    def record_change(self, pairs: int = 0) -> None:
        """Record that the worker has found the mark of a change, and how many pairs it has refreshed."""
        self._changed = True
        self._pairs += pairs

    def may_hold(self, now: float) -> bool:
        """Return whether the worker may take the doorbell now. The worker asks once after each drain."""
        if self._polling:
            self._polls += 1
            self._polls_with_changes += self._changed
            if now >= self._second_began + 1:
                if 2 * self._polls_with_changes >= self._polls or self._pairs >= FEW * (now - self._second_began):
                    self._few_since = now
                self._begin_second(now)
            if now >= self._few_since + self._quiet:
                self._polling = False
                self._returned_at = now
        else:
            if self._ringers:
                self._shared.append(len(self._ringers) > 1)
            if self._contended():
                soon = now < self._returned_at + 2 * LONGEST_QUIET
                self._quiet = min(2 * self._quiet, LONGEST_QUIET) if soon else SHORTEST_QUIET
                self._sleeps.clear()
                self._shared.clear()
                self._polling = True
                self._few_since = now
                self._begin_second(now)
        self._ringers = frozenset()
        self._queue = False
        self._changed = False
        return not self._polling

    def _begin_second(self, now: float) -> None:
        self._second_began = now
        self._polls = self._polls_with_changes = self._pairs = 0

    def _contended(self) -> bool:
        return (
            self._queue
            or sum(self._shared) >= SHARED
            or (len(self._sleeps) == RECENT and sum(self._sleeps) < RECENT * SHORT)
        )
