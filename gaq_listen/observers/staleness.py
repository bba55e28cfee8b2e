"""How long pairs had been stale when they were refreshed: the last ones, their percentiles and shares. Pure."""

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

KEPT = 10_000
"""Pairs kept: what percentiles are taken of at most."""


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of so many ``pairs``, half had been stale for at most ``p50`` seconds, and 99 % for at most ``p99``."""

    p50: float
    p99: float
    pairs: int


class Staleness:
    """The staleness of the last ``KEPT`` pairs, in seconds."""

    def __init__(self) -> None:
        self._values: deque[tuple[float, float]] = deque(maxlen=KEPT)

    def add(self, now: float, seconds: Iterable[float]) -> None:
        """Takes note of pairs that were refreshed now."""
        self._values.extend((now, value) for value in seconds)

    def percentiles(self, since: float = -math.inf) -> Percentiles | None:
        """Of the pairs refreshed since then, as far as they are kept; None: there are none."""
        values = sorted(value for at, value in self._values if at >= since)
        if not values:
            return None
        p50, p99 = (values[math.ceil(len(values) * share) - 1] for share in (0.5, 0.99))
        return Percentiles(p50, p99, len(values))

    def share_within(self, seconds: float, since: float = -math.inf) -> float | None:
        """The share, 0 to 1, of the pairs refreshed since then that had been stale for at most so long."""
        values = [value <= seconds for at, value in self._values if at >= since]
        return sum(values) / len(values) if values else None
