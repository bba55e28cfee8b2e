"""Decide when a worker may hold the doorbell: a pure rule, to which the caller passes the clock.

While a worker holds the doorbell, each transaction that marks something sends a NOTIFY. NOTIFY takes a lock that is
common to the whole server and keeps it until its commit is on the disk. A writer that is alone loses nothing by that.
Writers that commit at the same time queue, and each waits for the flush of every writer before it. So a worker holds
the doorbell only while it sleeps, and gives it up altogether while writers contend for it::

                    ┌──────────────── the wake-up showed no contention ◄────────────────┐
                    ▼                                                                   │
      ASLEEP, holds the doorbell ──── a writer rings, or a pair is due ────► AWAKE, has let the doorbell go:
                    ▲                                                        refreshes; nobody rings
                    │                                                                   │
          nothing was marked                                               the wake-up showed contention
          for `quiet` seconds                                                           │
                    │                                                                   ▼
                    └───────────────────────── POLLING, does not hold the doorbell: comes back every
                                               few milliseconds (``waiting.TICK``); nobody rings

A wake-up shows contention in one of three ways. None of them is a rate of rings, because writers that ring one after
the other on a slow disk never reach a rate.

1. Sessions were waiting for the lock of NOTIFY when the worker woke.
2. Several sessions had rung between the moment the worker took the doorbell and the moment it wanted it again.
3. It was the ``FREQUENT``-th wake-up in a row after less than ``SHORT`` seconds of sleep. No writer waits for another
   then, but changes come so often that polling finds them as soon as a ring would announce them.

``quiet`` is ``SHORTEST_QUIET`` at first. It doubles, up to ``LONGEST_QUIET``, whenever contention comes back soon after
the worker had taken the doorbell again, so that writers who pause now and then seldom meet a doorbell that is held.
All times are seconds of a monotonic clock.
"""

from math import inf

SHORT = 0.125
"""Seconds of sleep that are few: a worker that polls would have looked several times meanwhile."""

FREQUENT = 4
"""Short sleeps in a row after which the worker polls."""

SHORTEST_QUIET = 1.0
LONGEST_QUIET = 8.0
"""Seconds without a mark after which a worker that polls may hold the doorbell again: at first, and at most."""


class Contention:
    """Record what a worker sees of the writers that ring for it, and decide whether it may hold the doorbell."""

    def __init__(self) -> None:
        self._ringers: frozenset[int] = frozenset()
        self._short_sleeps = 0
        self._queue = False
        self._polls = False
        self._changed_at = -inf
        self._returned_at = -inf
        self._quiet = SHORTEST_QUIET

    def record_ringers(self, ringers: frozenset[int]) -> None:
        """Add the backends that have rung since the worker last took the doorbell."""
        self._ringers |= ringers

    def record_wake_up(self, slept: float) -> None:
        """Record that a writer, and not the clock, has ended a sleep of ``slept`` seconds."""
        self._short_sleeps = self._short_sleeps + 1 if slept < SHORT else 0

    def record_queue(self) -> None:
        """Record that sessions were waiting for the lock of NOTIFY when the worker woke."""
        self._queue = True

    def record_change(self, now: float) -> None:
        """Record that the worker has found a mark of a change."""
        self._changed_at = now

    def may_hold(self, now: float) -> bool:
        """Return whether the worker may take the doorbell now, and forget what was seen before."""
        if self._polls:
            if now < self._changed_at + self._quiet:
                return False
            self._polls = False
            self._returned_at = now
        elif self._contended():
            self._polls = True
            self._changed_at = now
            soon = now < self._returned_at + 2 * LONGEST_QUIET
            self._quiet = min(2 * self._quiet, LONGEST_QUIET) if soon else SHORTEST_QUIET
            self._short_sleeps = 0
        self._ringers = frozenset()
        self._queue = False
        return not self._polls

    def _contended(self) -> bool:
        return self._queue or len(self._ringers) > 1 or self._short_sleeps >= FREQUENT
