"""Keep how long pairs had been stale when they were refreshed, and compute percentiles and shares."""

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gaq_listen.wording import duration

KEPT = 10_000
"""Number of the last pairs that are kept."""


def percentile(ascending: Sequence[float], share: float) -> float:
    """Return the smallest of the values that at least this share of them do not exceed. There must be a value."""
    return ascending[math.ceil(len(ascending) * share) - 1]


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Hold in how many seconds half of the ``pairs``, and 99 % of them, became fresh."""

    p50: float
    p99: float
    pairs: int

    def message(self) -> str:
        """Return both percentiles for people: ``p50 13 ms, p99 210 ms``."""
        return f"p50 {duration(self.p50)}, p99 {duration(self.p99)}"


class Staleness:
    """Keep the staleness of the last ``KEPT`` pairs, in seconds. The clock is passed in."""

    def __init__(self) -> None:
        self._values: deque[tuple[float, float]] = deque(maxlen=KEPT)

    def add(self, now: float, seconds: Iterable[float]) -> None:
        """Add pairs that were refreshed now."""
        self._values.extend((now, value) for value in seconds)

    def percentiles(self, since: float = -math.inf) -> Percentiles | None:
        """Return the percentiles of the kept pairs that were refreshed since then, or None if there are none."""
        values = sorted(value for at, value in self._values if at >= since)
        if not values:
            return None
        return Percentiles(percentile(values, 0.5), percentile(values, 0.99), len(values))

    def share_within(self, seconds: float, since: float = -math.inf) -> float | None:
        """Return which fraction of the pairs refreshed since then had been stale for at most ``seconds``.

        None means that no pair was refreshed since then.
        """
        values = [value <= seconds for at, value in self._values if at >= since]
        return sum(values) / len(values) if values else None
