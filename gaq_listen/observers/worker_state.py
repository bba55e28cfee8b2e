"""How a worker stands, from what it tells. Pure; the clock is passed in, in monotonic seconds."""

import math
from collections import deque
from dataclasses import dataclass
from typing import TypeAlias

from gaq_listen.observers.staleness import Staleness
from gaq_listen.observers.wording import age, count, duration, sanitize
from gaq_listen.worker import events

WINDOW = 300.0
"""Seconds back that figures "of the last minutes" look."""

BUCKETS = 30
"""Parts that the window is counted in."""

RATE = 60.0
"""Seconds that pairs a second are an average of."""

STATES = (
    "CONNECTING",
    "CONNECTED",
    "LISTENING",
    "POLLING",
    "DRAINING",
    "PAUSED",
    "DISCONNECTED",
    "BROKEN",
    "BLOCKED",
    "ALARM",
    "STOPPING",
    "STOPPED",
)
"""Every word for what a worker is up to."""

# A backlog counts as being drained for so long after the last full batch or count: nothing tells that it is empty when
# its last batch happened to be full.
_DRAINING = 10.0

Connection: TypeAlias = (
    events.Started | events.Listening | events.Polling | events.Disconnected | events.Reconnected | None
)
"""The last that was said about the connection; None: none was made yet."""


@dataclass(frozen=True, slots=True)
class Goals:
    """What a worker is held to and was set to: seconds and pairs."""

    objective: float = 1.0
    """How long a pair may be stale."""
    min_batch: int = 20
    max_batch: int = 400
    sweep: float = 30.0


class WorkerState:
    """Fed with events, asked at any time."""

    def __init__(self, now: float, aims: Goals) -> None:
        self.aims = aims
        self.began = now
        self.staleness = Staleness()
        self.server: events.Started | None = None
        self.batches = 0
        self.pairs = 0
        self.last_batch: tuple[float, events.BatchRefreshed] | None = None
        self.woken: float | None = None
        """When something other than a sweep last led to a batch."""
        self.swept: tuple[float, int] | None = None
        self.counted: events.BacklogCounted | None = None
        self._connection: Connection = None
        self._connection_since = now
        self._paused: tuple[float, events.Paused] | None = None
        self._broken: tuple[float, events.Broken] | None = None
        self._blocked: tuple[float, events.Blocked] | None = None
        self._changed: events.SourcesChanged | None = None
        self._ending: events.Stopping | events.Stopped | None = None
        self._pairs_left = 0
        self._left_at = now
        self._refreshed: deque[tuple[float, int]] = deque()
        """Pairs of each second within the window."""

    def apply(self, event: events.Event, now: float) -> None:
        """Takes note of an event."""
        match event:
            case events.BatchRefreshed():
                self._batch(event, now)
            case events.Behind(pairs_left):
                self._pairs_left, self._left_at = pairs_left, now
            case events.CaughtUp():
                self._pairs_left = 0
            case events.Swept(found):
                self.swept = (now, found)
            case events.BacklogCounted():
                self.counted = event
            case events.PairsFailed() | events.Audited() | events.Idle():
                pass
            case events.Paused():
                self._paused = (now, event)
            case events.Resumed():
                self._paused = None
            case events.Broken():
                self._broken = (now, event)
                self._pairs_left = 0
            case events.Repaired():
                self._broken = None
            case events.Blocked():
                self._blocked = (now, event)
                self._pairs_left = 0
            case events.Unblocked():
                self._blocked = None
            case events.SourcesChanged():
                self._changed = event
            case events.SourcesRestored():
                self._changed = None
            case events.Stopping() | events.Stopped():
                self._ending = event
            case _:
                if isinstance(event, events.Started):
                    self.server = event
                if isinstance(event, events.Disconnected):
                    # Whether it is still paused when the worker is back, it tells then.
                    self._paused = self._blocked = None
                self._connection, self._connection_since = event, now
                self._pairs_left = 0

    def _batch(self, batch: events.BatchRefreshed, now: float) -> None:
        refreshed = len(batch.pairs)
        self.batches += 1
        self.pairs += refreshed
        self.last_batch = (now, batch)
        if not batch.by_sweep:
            self.woken = now
        self._pairs_left = self._pairs_left - refreshed if refreshed >= batch.limit else 0
        self._left_at = now
        self.staleness.add(now, (pair.seconds_stale for pair in batch.pairs))
        second = float(math.floor(now))
        if self._refreshed and self._refreshed[-1][0] == second:
            second, before = self._refreshed.pop()
            refreshed += before
        self._refreshed.append((second, refreshed))
        while self._refreshed[0][0] <= now - WINDOW:
            self._refreshed.popleft()

    def state(self, now: float) -> tuple[str, str]:
        """One of ``STATES``, and what else there is to say of it."""
        match self._ending:
            case events.Stopping(reason):
                return "STOPPING", f"{sanitize(reason)}: the batch in flight finishes, Ctrl-C again ends at once"
            case events.Stopped(_, _, seconds):
                return "STOPPED", f"after {duration(seconds)}"
        since = now - self._connection_since
        match self._connection:
            case None:
                return "CONNECTING", "to the database"
            case events.Disconnected(reason, next_try):
                wait = math.ceil(next_try - since)
                when = f"next try in {age(wait)}" if wait > 0 else "trying again"
                return "DISCONNECTED", f"{when}: {sanitize(reason)}"
        # What to do comes first: it must not be cropped.
        for word, remedy, trouble in (
            ("BROKEN", "see gaq-listen doctor; ", self._broken),
            ("BLOCKED", "", self._blocked),
        ):
            if trouble:
                at, told = trouble
                wait = math.ceil(told.next_try - (now - at))
                when = f"next try in {age(wait)}" if wait > 0 else "trying again"
                return word, f"{remedy}{when}: {sanitize(told.reason)}"
        if self._changed:
            return "ALARM", f"run: {self._changed.fix}; {sanitize(self._changed.what[0])}"
        if self._paused:
            at, paused = self._paused
            why = f": {sanitize(paused.reason)}" if paused.reason else ""
            return "PAUSED", f"by {sanitize(paused.by)} {age(paused.seconds + now - at)} ago{why}"
        if self._pairs_left > 0 and now - self._left_at < _DRAINING:
            speed = self.pairs_a_second(now)
            time_left = f", {age(self._pairs_left / speed)} at this speed" if speed else ""
            return "DRAINING", f"about {count(self._pairs_left, 'pair')} left{time_left}"
        match self._connection:
            case events.Listening():
                return "LISTENING", "a change is noticed at once"
            case events.Polling(reason, seconds):
                return "POLLING", f"every {duration(seconds)}, for {age(since)}: {sanitize(reason)}"
            case events.Reconnected(after):
                return "CONNECTED", f"again, after {duration(after)}"
        return "CONNECTED", ""

    @property
    def listening(self) -> bool:
        """Whether a change is noticed at once, however much there is to do."""
        troubled = self._ending or self._broken or self._blocked or self._changed
        return isinstance(self._connection, events.Listening) and not troubled

    @property
    def serving(self) -> bool:
        """Whether it is connected, and not about to end."""
        return not (self._ending or self._connection is None or isinstance(self._connection, events.Disconnected))

    @property
    def paused(self) -> bool:
        """Whether marks wait because somebody said so."""
        return self._paused is not None

    def fresh(self) -> bool | None:
        """Whether nothing has been stale for longer than the objective; None: nobody could look."""
        if self.counted is None or self.counted.stale_pairs is None:
            return None
        return self.counted.seconds_stale <= self.aims.objective

    def pairs_a_second(self, now: float) -> float:
        """Refreshed in the last minute, or since the start when that is less long ago."""
        seconds = max(1.0, min(RATE, now - self.began))
        return sum(pairs for at, pairs in self._refreshed if at > now - seconds - 1) / seconds

    def course(self, now: float) -> list[int]:
        """Pairs refreshed in each part of the window, the last part last."""
        width = WINDOW / BUCKETS
        # Parts begin at multiples of their width, so that what is shown moves as a whole.
        last = math.floor(now / width)
        parts = [0] * BUCKETS
        for at, pairs in self._refreshed:
            back = last - math.floor(at / width)
            if 0 <= back < BUCKETS:
                parts[BUCKETS - 1 - back] += pairs
        return parts

    def failing(self) -> tuple[int, str]:
        """How many pairs could not be computed, and what the last of them said."""
        return (self.counted.failing, self.counted.error) if self.counted else (0, "")
