"""Count the pairs that a worker has refreshed in the last minutes."""

import math
from collections import deque

WINDOW = 300.0
"""Seconds for which pairs are counted."""

PARTS = 30
"""Number of equal parts of the window in the history."""

AVERAGED = 60.0
"""Seconds over which pairs a second are averaged."""


class Throughput:
    """Count refreshed pairs for each second of the window. The clock is passed in, in monotonic seconds."""

    def __init__(self, now: float) -> None:
        self._began = now
        self._pairs: deque[tuple[float, int]] = deque()

    def add(self, now: float, pairs: int) -> None:
        """Add pairs that were refreshed now."""
        second = float(math.floor(now))
        if self._pairs and self._pairs[-1][0] == second:
            pairs += self._pairs.pop()[1]
        self._pairs.append((second, pairs))
        while self._pairs[0][0] <= now - WINDOW:
            self._pairs.popleft()

    def per_second(self, now: float) -> float:
        """Return the pairs a second in the last minute, or since the start if the start is less long ago."""
        seconds = max(1.0, min(AVERAGED, now - self._began))
        return sum(pairs for at, pairs in self._pairs if at > now - seconds - 1) / seconds

    def history(self, now: float) -> list[int]:
        """Return the pairs of each part of the window, the latest part last."""
        width = WINDOW / PARTS
        # Each part begins at a multiple of its width, so that a chart of them moves as a whole.
        latest = math.floor(now / width)
        parts = [0] * PARTS
        for at, pairs in self._pairs:
            back = latest - math.floor(at / width)
            if 0 <= back < PARTS:
                parts[PARTS - 1 - back] += pairs
        return parts
