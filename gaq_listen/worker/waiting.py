"""Decide how a worker waits when it has refreshed what was due. Pure: the caller passes what it knows.

``DoorbellState`` says who holds the doorbell, ``Mode`` what ends a wait, and ``next_wait`` decides::

                       this worker holds it, or may learn of marks by a ring
      ┌──────────────────────────────────────────────────────────────────────────────────────────┐
      │  HELD            no mark            LISTENING   until a ring, or the sweep               │
      │                  marks not due      LISTENING   until a ring, or until the first is due  │
      │  HELD_BY_OTHER   no mark            FOLLOWING   until a ring; checks that it is held     │
      │                  marks not due      LISTENING   the same, at most CHECK_HOLDER           │
      │  NOT_HELD        any                LISTENING   PollInterval: longer and longer          │
      │  any of these    a claimed pair     LISTENING   RETRY_CLAIMED                            │
      │  any             work is paused     LISTENING   CHECK_PAUSE                              │
      └─────────┬──────────────────────────────────────────────────────────────────▲─────────────┘
        contention.py sees contention                             changes were few for a while
      ┌─────────▼──────────────────────────────────────────────────────────────────┴─────────────┐
      │  GIVEN_UP        found pairs        POLLING     TICK; longer after more pairs            │
      │                  found none         POLLING     TICK to LONGEST_TICK, as changes age     │
      │  UNAVAILABLE     any                POLLING     ``max_wait``                             │
      └──────────────────────────────────────────────────────────────────────────────────────────┘

``gaq.due_at`` in ``sql/38_due.sql`` decides which pairs are due, because the marks are there. All times are seconds.
"""

from dataclasses import dataclass
from enum import Enum
from math import inf

TICK = 0.01
"""Time from one poll to the next while the worker polls because writers contend, and finds few changes."""

SHORTEST_TICK = 0.005
"""Shortest rest between two such polls, after a refresh that took as long as a tick."""

LONGEST_TICK = 0.1
"""Longest rest between two polls of a worker that polls because writers contend, and finds nothing."""

REST_SHARE = 0.25
"""Share of the time since the last change for which a worker rests that no ring would wake."""

MANY = 20
"""Pairs that a poll finds under load. Up to this number, the worker rests longer with each, so that batches grow."""

BUSY_TICK = 0.05
LONGEST_BUSY_TICK = 0.25
"""Shortest and longest rest after a poll that has found many pairs. In between, the worker rests as long as the refresh
took, so that writers have at least half of the core on which the worker's backend runs."""

RETRY_CLAIMED = 0.25
"""Rest before the worker tries again to claim a pair that another session has claimed: that session may end."""

CHECK_HOLDER = 1.15
"""Time between two checks that another worker still holds the doorbell. With the sweeps, about once a second."""

CHECK_PAUSE = 5.0
"""Longest time between two checks whether a pause is over. Its end rings, but a ring can be lost."""

RING_OTHERS = 1.0
"""Time between two rings of a worker that has more to do than one batch."""


class DoorbellState(Enum):
    """Say who holds the doorbell, seen by a worker that wants to wait."""

    HELD = "this worker"
    """This worker holds it, so writers ring."""
    HELD_BY_OTHER = "another worker"
    """Another worker holds it, so writers ring."""
    NOT_HELD = "writers"
    """No worker holds it: writers or other sessions share the lock, or work is paused. Nobody rings."""
    GIVEN_UP = "given up"
    """This worker does not try to hold it, because writers contend."""
    UNAVAILABLE = "unavailable"
    """Notifications do not arrive at this worker."""


class Mode(Enum):
    """Say what ends a wait before its time is over."""

    LISTENING = "listening"
    """A ring."""
    FOLLOWING = "following"
    """A ring, or the end of another worker that holds the doorbell, for which this worker checks now and then."""
    POLLING = "polling"
    """Nothing. Rings are only counted."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Hold how a worker waits, and for how many seconds at most. None: until a ring, or until the sweep."""

    mode: Mode
    seconds: float | None


@dataclass(frozen=True, slots=True)
class WaitState:
    """Hold what a worker knows when it decides how to wait.

    ``next_due`` is the number of seconds until a pair is due, by ``gaq.next_due`` after the drain. 0: a pair is due.
    None: no pair is marked, or the worker did not check. ``was_due``: a pair was due at the check before, too.
    ``found`` and ``took`` are the number of pairs that the drain has found, and its duration.
    ``since_change`` is the time since the worker has found the mark of a change.
    ``rest`` is the longest time to wait where marks may come without a ring.
    """

    doorbell: DoorbellState
    next_due: float | None = None
    was_due: bool = False
    paused: bool = False
    found: int = 0
    took: float = 0.0
    since_change: float = inf
    rest: float = TICK

    @property
    def claimed(self) -> bool:
        """Return whether another session has claimed the due pair: it was due, and the drain did not find it."""
        return self.next_due == 0 and self.was_due and not self.found


def next_wait(state: WaitState) -> Wait:
    """Return how a worker waits in this state."""
    match state.doorbell:
        case DoorbellState.UNAVAILABLE:
            return Wait(Mode.POLLING, CHECK_PAUSE if state.paused else state.rest)
        case _ if state.paused:
            return Wait(Mode.LISTENING, CHECK_PAUSE)
        case DoorbellState.GIVEN_UP:
            return Wait(Mode.POLLING, _tick(state))
        case _ if state.claimed:
            return Wait(Mode.LISTENING, RETRY_CLAIMED)
        case DoorbellState.NOT_HELD:
            return Wait(Mode.LISTENING, _until_due(state, state.rest))
        case DoorbellState.HELD_BY_OTHER if state.next_due is None:
            return Wait(Mode.FOLLOWING, CHECK_HOLDER)
        case DoorbellState.HELD_BY_OTHER:
            return Wait(Mode.LISTENING, min(state.next_due or 0, CHECK_HOLDER))
        case DoorbellState.HELD:
            return Wait(Mode.LISTENING, state.next_due)


def _tick(state: WaitState) -> float:
    """Return how long a worker rests that polls because writers contend."""
    if state.found >= MANY:
        return min(max(BUSY_TICK, state.took), LONGEST_BUSY_TICK)
    if state.found:
        return max(SHORTEST_TICK, max(TICK, BUSY_TICK * state.found / MANY) - state.took)
    if state.claimed:
        return LONGEST_TICK
    return _until_due(state, LONGEST_TICK)


def _until_due(state: WaitState, longest: float) -> float:
    """Return how long to rest where no ring would come: longer as changes age, but at most until a pair is due."""
    rest = min(max(REST_SHARE * state.since_change, TICK), longest)
    return rest if state.next_due is None else min(max(state.next_due, TICK), rest)


class PollInterval:
    """Choose the longest rest where marks may come without a ring: longer and longer while that goes on."""

    def __init__(self, longest: float) -> None:
        self._longest = max(longest, TICK)
        self._rest = TICK

    def next(self, restart: bool) -> float:
        """Return the longest rest. Restart when a ring would be heard again, or when the worker has found pairs."""
        rest = TICK if restart else self._rest
        self._rest = min(self._longest, rest * 2)
        return rest
