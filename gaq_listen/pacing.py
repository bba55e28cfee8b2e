"""How much at a time, and how long to rest: pure decisions, with the clock passed in.

Which pairs are due is decided where the marks are, by ``gaq.due_at`` in ``sql/40_refresh.sql``.
All times are seconds of a monotonic clock.
"""

from collections import deque
from enum import Enum

TARGET_BATCH_SECONDS = 0.25
"""Batches shrink when they take longer: a fresh change should not wait long behind old ones."""

RINGS_A_SECOND = 50
"""Beyond this the bell is let go: a ring costs its writer, and all who commit beside it, more than a mark does."""

TICK = 0.05
"""How often to look while the bell is let go."""

CLAIMED = 0.25
"""How soon to look again at a mark that somebody else has claimed: its worker may die."""

COLLEAGUE = 1.0
"""How often to check that the other worker, who holds the bell, still does."""


class BatchSize:
    """Between a minimum and a maximum number of pairs: grows while batches come back full and fast."""

    def __init__(self, minimum: int, maximum: int) -> None:
        self._minimum = minimum
        self._maximum = maximum
        self.pairs = minimum

    def after(self, refreshed: int, seconds: float) -> None:
        """Takes note of a batch: how many pairs it had, how long it took."""
        if seconds > TARGET_BATCH_SECONDS or refreshed <= self.pairs // 2:
            self.pairs = max(self._minimum, self.pairs // 2)
        elif refreshed >= self.pairs:
            self.pairs = min(self._maximum, self.pairs * 2)


class Rings:
    """How often writers have rung in the last second."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=RINGS_A_SECOND + 1)

    def heard(self, rings: int, now: float) -> None:
        """Takes note of so many rings."""
        self._times.extend([now] * min(rings, RINGS_A_SECOND + 1))

    def too_many(self, now: float) -> bool:
        """Whether they have rung so often that polling is cheaper for them."""
        return len(self._times) > RINGS_A_SECOND and now - self._times[0] < 1.0


class Bell(Enum):
    """Who holds the doorbell's lock, seen by a worker that wants to sleep."""

    OURS = "ours"
    COLLEAGUES = "a colleague's"
    NOBODYS = "nobody's"
    """Only writers (or strangers) hold it, shared: marks may come without a ring."""


def rest(bell: Bell, next_due: float | None, looked_again: bool, debounce: float) -> float | None:
    """How long to sleep at most; None: until somebody rings, or the sweep.

    ``next_due`` is the answer of ``gaq.next_due``: None for no mark at all, 0 for something that is due already.
    That has just come, unless we ``looked_again`` and could not get it: then somebody else has claimed it.
    """
    if next_due == 0:
        return CLAIMED if looked_again else 0.0
    longest = {Bell.OURS: None, Bell.COLLEAGUES: COLLEAGUE, Bell.NOBODYS: max(debounce, TICK)}[bell]
    limits = [limit for limit in (next_due, longest) if limit is not None]
    return min(limits, default=None)
