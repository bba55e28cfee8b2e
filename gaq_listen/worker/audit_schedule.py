"""Decide when the worker audits how many pairs. Pure: the caller passes the monotonic time in seconds."""

from math import inf

AUDIT_EVERY = 10.0
"""Seconds between two portions of an audit."""


class AuditSchedule:
    """Divide a number of pairs a minute into portions, one every ``AUDIT_EVERY`` seconds."""

    def __init__(self, pairs_a_minute: int, now: float) -> None:
        self._pairs_a_second = pairs_a_minute / 60
        self._owed = 0.0
        self._last = now

    def take(self, now: float) -> int:
        """Return how many pairs to audit now, and count them as done.

        The worker does not make up for portions that it missed, because that would be a burst.
        """
        if now < self.next():
            return 0
        self._owed += (now - self._last) * self._pairs_a_second
        self._last = now
        portion = int(self._owed)
        self._owed -= portion
        return min(portion, max(1, round(2 * AUDIT_EVERY * self._pairs_a_second)))

    def next(self) -> float:
        """Return the time of the next portion. Infinity: there is none."""
        return self._last + AUDIT_EVERY if self._pairs_a_second else inf
