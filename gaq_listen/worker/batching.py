"""Decide how many pairs a batch has, how long it may take, and when a backlog is worth a warning. Pure."""

from dataclasses import dataclass

TARGET_SECONDS = 0.25
"""Longest time that a batch should take: a fresh change waits behind the batch in flight. Above it, batches shrink."""

SHORTEST_TIMEOUT = 1.0
"""Seconds that every batch may take, however short the heartbeat is. Longer than ``TARGET_SECONDS``."""

WARN_AFTER = 5
"""Full batches in a row after which the worker counts the backlog, and warns if it is large."""

WARN_AGAIN_AFTER = 30
"""Further full batches in a row after which the worker repeats the warning."""


class BatchSize:
    """Choose the number of pairs of a batch: it grows while batches come back full and fast."""

    def __init__(self, minimum: int, maximum: int) -> None:
        self._minimum = minimum
        self._maximum = maximum
        self.pairs = minimum
        """The largest number of pairs that the next batch may have."""

    def record(self, pairs: int, seconds: float) -> None:
        """Record how many pairs a batch had, and how long it took."""
        if seconds > TARGET_SECONDS or pairs <= self.pairs // 2:
            self.pairs = max(self._minimum, self.pairs // 2)
        elif pairs >= self.pairs:
            self.pairs = min(self._maximum, self.pairs * 2)


@dataclass(frozen=True, slots=True)
class BatchTimeout:
    """Hold the two limits of one batch, in seconds.

    After ``statement`` the server ends the batch. After ``response`` the worker aborts the connection, because a server
    that still works would have answered.
    """

    statement: float
    response: float


class BatchTimeouts:
    """Give a batch a short timeout, and the full timeout after a batch that was not short.

    A frozen backend shows only by not answering in time. A short timeout shows it soon, but would also end a batch that
    is only slow. So the batch after one that was not short has the full ``batch_timeout``, until one is short again.
    """

    def __init__(self, batch_timeout: float, heartbeat: float) -> None:
        self.full = BatchTimeout(batch_timeout, batch_timeout + heartbeat)
        """The longest that any batch may take."""
        short = min(batch_timeout, max(SHORTEST_TIMEOUT, heartbeat / 2))
        self.short = BatchTimeout(short, short + heartbeat / 2)
        self._next = self.short

    def next(self) -> BatchTimeout:
        """Return the timeout of a batch that begins now. The one after it is full, unless ``record`` says otherwise."""
        timeout, self._next = self._next, self.full
        return timeout

    def record(self, seconds: float) -> None:
        """Record how long a batch took that was not ended."""
        if seconds < self.short.statement / 2:
            self._next = self.short


class BacklogWarning:
    """Decide when to warn of a backlog that stays larger than the largest batch."""

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._warned_at = 0
        self.full_batches = 0
        """The number of full batches in a row."""

    def record_batch(self, full: bool) -> bool:
        """Record whether a batch was full. Return whether the worker should count the pairs that are left."""
        if not full:
            self._warned_at = self.full_batches = 0
            return False
        self.full_batches += 1
        since = self.full_batches - self._warned_at
        return since % (WARN_AGAIN_AFTER if self.warned else WARN_AFTER) == 0

    def record_pairs_left(self, pairs_left: int) -> bool:
        """Record how many pairs are left. Return whether the worker should warn."""
        if pairs_left > self._largest:
            self._warned_at = self.full_batches
        return pairs_left > self._largest

    @property
    def warned(self) -> bool:
        """Return whether there was a warning, so that the worker should also report the end of the backlog."""
        return self._warned_at > 0
