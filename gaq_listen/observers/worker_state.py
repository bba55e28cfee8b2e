"""Derive the state of a worker from its events."""

import math
from typing import TypeAlias, TypeVar, assert_never

from gaq_listen.observers.staleness import Staleness
from gaq_listen.observers.throughput import Throughput
from gaq_listen.wording import age, count, duration, sanitize
from gaq_listen.worker import events
from gaq_listen.worker.event_base import WorkerEvent

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
"""Every word for the state of a worker."""

# A worker counts as draining for this many seconds after its last full batch or count. No event says that the backlog
# is empty if the last batch happened to be full.
_DRAINING = 10.0

Connection: TypeAlias = (
    events.Started | events.Listening | events.Polling | events.Disconnected | events.Reconnected | None
)
"""The last event about the connection. None: the worker has not connected yet."""

Lasting = TypeVar("Lasting", bound=WorkerEvent)


class WorkerState:
    """Keep the state of one worker. The clock is passed in, in monotonic seconds.

    ``objective`` is how many seconds a pair may be stale.
    """

    def __init__(self, now: float, objective: float) -> None:
        self.objective = objective
        self.began = now
        self.staleness = Staleness()
        self.throughput = Throughput(now)
        self.server: events.Started | None = None
        self.batches = 0
        self.pairs = 0
        self.last_batch: events.BatchRefreshed | None = None
        self.woken: float | None = None
        """Time of the last batch that no sweep led to."""
        self.swept: tuple[float, int] | None = None
        """Time of the last sweep, and the number of pairs that it found."""
        self.counted: events.BacklogCounted | None = None
        self._connection: Connection = None
        self._connection_since = now
        self._conditions: dict[type[WorkerEvent], tuple[float, WorkerEvent]] = {}
        """The conditions of a connected worker, with the time of the event that announced each of them last."""
        self._ending: events.Stopping | events.Stopped | None = None
        self._pairs_left = 0
        self._pairs_left_at = now

    def apply(self, event: events.Event, now: float) -> None:
        """Update the state with an event."""
        if event.ends is not None:
            self._conditions.pop(event.ends, None)
        match event:
            case events.BatchRefreshed():
                self._apply_batch(event, now)
            case events.Behind(pairs_left):
                self._pairs_left, self._pairs_left_at = pairs_left, now
            case events.CaughtUp():
                self._pairs_left = 0
            case events.Broken() | events.Blocked():
                self._pairs_left = 0
                self._conditions[type(event)] = (now, event)
            case events.Paused() | events.SourcesChanged():
                self._conditions[type(event)] = (now, event)
            case events.Swept(found):
                self.swept = (now, found)
            case events.BacklogCounted():
                self.counted = event
            case events.Started() | events.Listening() | events.Polling() | events.Reconnected():
                self._connect(event, now)
            case events.Disconnected():
                self._connect(event, now)
                # A worker that reconnects announces again that it is paused or blocked.
                for kind in (events.Paused, events.Blocked):
                    self._conditions.pop(kind, None)
            case events.Stopping() | events.Stopped():
                self._ending = event
            case events.PairsFailed() | events.Audited() | events.Idle():
                pass
            case events.Resumed() | events.Repaired() | events.Unblocked() | events.SourcesRestored():
                pass
            case _:
                assert_never(event)

    def _connect(self, event: Connection, now: float) -> None:
        if isinstance(event, events.Started):
            self.server = event
        self._connection, self._connection_since = event, now
        self._pairs_left = 0

    def _apply_batch(self, batch: events.BatchRefreshed, now: float) -> None:
        refreshed = len(batch.pairs)
        self.batches += 1
        self.pairs += refreshed
        self.last_batch = batch
        if not batch.by_sweep:
            self.woken = now
        self._pairs_left = self._pairs_left - refreshed if refreshed >= batch.limit else 0
        self._pairs_left_at = now
        self.staleness.add(now, (pair.seconds_stale for pair in batch.pairs))
        self.throughput.add(now, refreshed)

    def _condition(self, kind: type[Lasting]) -> tuple[float, Lasting] | None:
        """Return when a condition was last announced, and by which event, or None if the condition does not last."""
        at, event = self._conditions.get(kind, (0.0, None))
        return (at, event) if isinstance(event, kind) else None

    def summary(self, now: float) -> tuple[str, str]:
        """Return one of ``STATES``, and what explains it for people."""
        match self._ending:
            case events.Stopping(reason):
                return "STOPPING", f"{sanitize(reason)}: the batch in flight finishes, Ctrl-C again ends at once"
            case events.Stopped(_, _, seconds):
                return "STOPPED", f"after {duration(seconds)}"
        match self._connection:
            case None:
                return "CONNECTING", "to the database"
            case events.Disconnected():
                return "DISCONNECTED", _next_try(self._connection_since, self._connection, now)
        # What an operator has to do comes first, because a narrow terminal crops the end.
        if broken := self._condition(events.Broken):
            return "BROKEN", f"see gaq-listen doctor; {_next_try(*broken, now)}"
        if blocked := self._condition(events.Blocked):
            return "BLOCKED", _next_try(*blocked, now)
        if changed := self._condition(events.SourcesChanged):
            return "ALARM", f"run: {sanitize(changed[1].fix)}; {sanitize(changed[1].what[0])}"
        if paused := self._condition(events.Paused):
            at, pause = paused
            reason = f": {sanitize(pause.reason)}" if pause.reason else ""
            return "PAUSED", f"by {sanitize(pause.by)} {age(pause.seconds + now - at)} ago{reason}"
        if self._pairs_left > 0 and now - self._pairs_left_at < _DRAINING:
            speed = self.throughput.per_second(now)
            time_left = f", {age(self._pairs_left / speed)} at this speed" if speed else ""
            return "DRAINING", f"about {count(self._pairs_left, 'pair')} left{time_left}"
        match self._connection:
            case events.Listening():
                return "LISTENING", "the worker notices a change at once"
            case events.Polling(reason, every):
                since = age(now - self._connection_since)
                return "POLLING", f"every {duration(every)}, for {since}: {sanitize(reason)}"
            case events.Reconnected(after):
                return "CONNECTED", f"again, after {duration(after)}"
        return "CONNECTED", ""

    @property
    def listening(self) -> bool:
        """Return whether the worker notices a change at once and can refresh, however much there is to do."""
        troubled = self._ending or any(
            self._condition(kind) for kind in (events.Broken, events.Blocked, events.SourcesChanged)
        )
        return isinstance(self._connection, events.Listening) and not troubled

    @property
    def connected(self) -> bool:
        """Return whether the worker is connected and has not been asked to stop."""
        return not (self._ending or self._connection is None or isinstance(self._connection, events.Disconnected))

    @property
    def paused(self) -> bool:
        """Return whether all workers are paused."""
        return self._condition(events.Paused) is not None

    def fresh(self) -> bool | None:
        """Return whether no pair has been stale for longer than the objective, or None if nobody could count."""
        if self.counted is None or self.counted.stale_pairs is None:
            return None
        return self.counted.seconds_stale <= self.objective

    def failing(self) -> tuple[int, str]:
        """Return how many pairs could not be computed, and the last error."""
        return (self.counted.failing, self.counted.error) if self.counted else (0, "")


def _next_try(at: float, event: events.Disconnected | events.Broken | events.Blocked, now: float) -> str:
    wait = math.ceil(event.next_try - (now - at))
    when = f"next try in {age(wait)}" if wait > 0 else "trying again"
    return f"{when}: {sanitize(event.reason)}"
