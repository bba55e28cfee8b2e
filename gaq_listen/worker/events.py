"""Define all events, the plain values by which a worker reports what happened.

A worker calls its observers with each event. Nothing flows back. An event is defined once, here: its fields, its
severity, its message, and the condition that it begins (``lasting``) or ends (``ends``).
To add an event, write its class here with its name in ``Event``, and handle it in
``WorkerState.apply`` (``gaq_listen/observers/worker_state.py``). mypy names both places.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeAlias

from gaq_listen.wording import count, duration, sanitize
from gaq_listen.worker.event_base import MessagePart, Severity, WorkerEvent
from gaq_listen.worker.event_pairs import NAMED, DriftedPair, FailedPair, RefreshedPair, name_first


@dataclass(frozen=True, slots=True)
class Started(WorkerEvent):
    """The worker has connected for the first time: its name, the database, and the version of the server."""

    severity = Severity.GOOD
    database: str
    server_version: str
    worker: str = ""

    @property
    def server(self) -> str:
        """Return the database and the server: ``gaq on PostgreSQL 18.1``."""
        return sanitize(f"{self.database} on PostgreSQL {self.server_version}")

    def message(self) -> str:
        return f"connected to {self.server}" + (f" as {sanitize(self.worker)}" if self.worker else "")


@dataclass(frozen=True, slots=True)
class Polling(WorkerEvent):
    """The worker cannot listen, for this reason.

    Every ``every`` seconds, it checks for marks or, on a standby, whether the server has been promoted.
    """

    severity = Severity.WARNING
    lasting = True
    reason: str
    every: float

    def message(self) -> str:
        return f"polling every {duration(self.every)}: {sanitize(self.reason)}"


@dataclass(frozen=True, slots=True)
class Listening(WorkerEvent):
    """The worker listens at the doorbell, so it notices a change at once."""

    severity = Severity.GOOD
    ends = Polling

    def message(self) -> str:
        return "listening: the worker notices a change at once"


@dataclass(frozen=True, slots=True)
class BatchRefreshed(WorkerEvent):
    """The worker has refreshed a batch and committed it, in ``seconds``. It had asked for at most ``limit`` pairs.

    ``by_sweep`` means that the periodic sweep led to the batch, and not a wake-up or a due time.
    """

    pairs: tuple[RefreshedPair, ...]
    seconds: float
    limit: int
    by_sweep: bool

    @property
    def longest_stale(self) -> float:
        """Return the largest ``seconds_stale`` of the pairs, or 0 if the batch was empty."""
        return max((pair.seconds_stale for pair in self.pairs), default=0.0)

    def message(self) -> str:
        return "".join(text for text, _ in self.message_parts())

    def message_parts(self) -> Sequence[MessagePart]:
        by_sweep = (" (by sweep)" if self.by_sweep else "", Severity.NEUTRAL)
        if len(self.pairs) == 1:
            (pair,) = self.pairs
            name = f"{pair.short_data_pass}/{pair.run_number}"
            change = (f"{pair.good_change:<15}", pair.severity)
            then = f"  after {duration(pair.seconds_stale):<6} {sanitize(pair.causes)}"
            return (f"{name:<22}  ", Severity.NEUTRAL), change, (then, Severity.NEUTRAL), by_sweep
        changed = sum(pair.changed for pair in self.pairs) or "none"
        causes = ", ".join(sorted({cause for pair in self.pairs for cause in pair.causes.split(", ")}))
        size = f"{count(len(self.pairs), 'pair')} in {duration(self.seconds)}, worst {duration(self.longest_stale)}"
        what = f"{size}, {changed} changed: {sanitize(causes)}"
        return (what, Severity.NEUTRAL), by_sweep, (f"  {self._names()}", Severity.NEUTRAL)

    def _names(self) -> str:
        def run(pair: RefreshedPair) -> str:
            return f"{pair.run_number} ({pair.good_change})" if pair.changed else f"{pair.run_number}"

        by_name = groupby(self.pairs[:NAMED], lambda pair: pair.short_data_pass)
        names = ", ".join(f"{name}/{' '.join(map(run, pairs))}" for name, pairs in by_name)
        return names + (f" +{len(self.pairs) - NAMED}" if len(self.pairs) > NAMED else "")

    def log_fields(self) -> dict[str, str]:
        refreshed = [
            f"{pair.pair_name} ({sanitize(pair.causes)}) {'' if pair.removed else 'good '}{pair.good_change}"
            for pair in self.pairs
        ]
        return {
            "pairs": f"{len(self.pairs)}",
            "ms": f"{self.seconds * 1000:.1f}",
            "limit": f"{self.limit}",
            "oldest_ms": f"{self.longest_stale * 1000:.1f}",
            "by_sweep": "yes" if self.by_sweep else "no",
            "refreshed": name_first(refreshed),
        }


@dataclass(frozen=True, slots=True)
class PairsFailed(WorkerEvent):
    """These pairs could not be computed. The other pairs of their batch were stored."""

    severity = Severity.ERROR
    pairs: tuple[FailedPair, ...]

    def message(self) -> str:
        first = self.pairs[0]
        more = f" +{len(self.pairs) - 1}" if len(self.pairs) > 1 else ""
        return f"failed, next try in {duration(first.next_try)}: {first.pair_name}{more}: {sanitize(first.error)}"

    def log_fields(self) -> dict[str, str]:
        failed = [
            f"{pair.pair_name} (attempt {pair.attempts}, next in {pair.next_try:.0f} s): {sanitize(pair.error)}"
            for pair in self.pairs
        ]
        return {"pairs": f"{len(self.pairs)}", "failed": name_first(failed)}

    def repeat_key(self) -> Hashable | None:
        return frozenset((pair.data_pass_id, pair.run_number, pair.error) for pair in self.pairs)


@dataclass(frozen=True, slots=True)
class Behind(WorkerEvent):
    """The worker is behind: after this many full batches, more pairs are left than the largest batch can take.

    ``pairs_left`` pairs take this worker ``seconds_left`` at the speed of its last batch.
    """

    severity = Severity.WARNING
    lasting = True
    pairs_left: int
    rounds: int
    seconds_left: float

    def message(self) -> str:
        return f"behind: {count(self.pairs_left, 'stale pair')} left"


@dataclass(frozen=True, slots=True)
class CaughtUp(WorkerEvent):
    """The worker is not behind any more. It took this many full batches."""

    severity = Severity.GOOD
    ends = Behind
    rounds: int

    def message(self) -> str:
        return f"caught up after {count(self.rounds, 'full batch')}"


@dataclass(frozen=True, slots=True)
class Paused(WorkerEvent):
    """All workers of the database have been paused for ``seconds``, by this person and for this reason."""

    severity = Severity.WARNING
    lasting = True
    by: str
    seconds: float
    reason: str = ""

    def message(self) -> str:
        reason = f": {sanitize(self.reason)}" if self.reason else ""
        return f"paused by {sanitize(self.by)} {duration(self.seconds)} ago{reason}"


@dataclass(frozen=True, slots=True)
class Resumed(WorkerEvent):
    """The pause is over. It lasted ``after`` seconds."""

    severity = Severity.GOOD
    ends = Paused
    after: float

    def message(self) -> str:
        return f"resumed after {duration(self.after)}"


@dataclass(frozen=True, slots=True)
class Audited(WorkerEvent):
    """The worker has recomputed this many fresh pairs, and has marked those that differed from what was stored."""

    severity = Severity.ERROR
    pairs: int
    drifted: tuple[DriftedPair, ...]

    @property
    def logged(self) -> bool:
        return bool(self.drifted)

    def message(self) -> str:
        names = name_first([pair.pair_name for pair in self.drifted], ", ")
        return f"DRIFT in {count(len(self.drifted), 'pair')} that no trigger had marked: {names}"

    def log_fields(self) -> dict[str, str]:
        differ = [f"{pair.pair_name} ({sanitize(pair.differs)})" for pair in self.drifted]
        return {"pairs": f"{self.pairs}", "drifted": f"{len(self.drifted)}", "differ": name_first(differ)}


@dataclass(frozen=True, slots=True)
class Swept(WorkerEvent):
    """The periodic sweep is done. It found this many stale pairs that no wake-up had announced."""

    found: int

    @property
    def logged(self) -> bool:
        return self.found > 0

    def message(self) -> str:
        return f"the sweep found {count(self.found, 'pair')} that no writer had announced"


@dataclass(frozen=True, slots=True)
class BacklogCounted(WorkerEvent):
    """The stale pairs have been counted, and the oldest of them has been stale for ``seconds_stale``.

    The backlog monitor of a console, a log or a scraper emits this event. The worker emits it with 0 when it finds no
    mark at all and goes to sleep. ``stale_pairs`` is None if the database did not answer. ``failing`` is the number
    of pairs that could not be computed, and ``error`` is the message of the last of them.
    """

    stale_pairs: int | None
    seconds_stale: float = 0.0
    failing: int = 0
    error: str = ""

    @property
    def logged(self) -> bool:
        return False

    def message(self) -> str:
        return "not counted" if self.stale_pairs is None else count(self.stale_pairs, "stale pair")


@dataclass(frozen=True, slots=True)
class Idle(WorkerEvent):
    """The worker has found only marks that it leaves: they are not due, another worker has them, or work is paused."""

    @property
    def logged(self) -> bool:
        return False

    def message(self) -> str:
        return "idle"


@dataclass(frozen=True, slots=True)
class Disconnected(WorkerEvent):
    """The connection is lost, or the worker could not connect again. The next try is in ``next_try`` seconds."""

    severity = Severity.ERROR
    lasting = True
    reason: str
    next_try: float

    def message(self) -> str:
        when = f"next try in {duration(self.next_try)}" if self.next_try > 0 else "trying again"
        return f"disconnected, {when}: {sanitize(self.reason)}"


@dataclass(frozen=True, slots=True)
class Reconnected(WorkerEvent):
    """The worker has connected again after ``after`` seconds. It checks all marks next."""

    severity = Severity.GOOD
    ends = Disconnected
    after: float

    def message(self) -> str:
        return f"connected again after {duration(self.after)}"


@dataclass(frozen=True, slots=True)
class Broken(WorkerEvent):
    """The worker is connected and can refresh nothing, because the database lacks something or a type is wrong.

    ``reason`` says what is wrong and what to do. The next try is in ``next_try`` seconds.
    """

    severity = Severity.ERROR
    lasting = True
    reason: str
    next_try: float

    def message(self) -> str:
        return f"broken, next try in {duration(self.next_try)}: {sanitize(self.reason)}"


@dataclass(frozen=True, slots=True)
class Repaired(WorkerEvent):
    """The worker can refresh again, after ``after`` seconds."""

    severity = Severity.GOOD
    ends = Broken
    after: float

    def message(self) -> str:
        return f"repaired after {duration(self.after)}"


@dataclass(frozen=True, slots=True)
class Blocked(WorkerEvent):
    """Another session has, or wants, a lock that the worker needs, as a migration does.

    The worker has let go of all locks. The next try is in ``next_try`` seconds.
    """

    severity = Severity.WARNING
    lasting = True
    reason: str
    next_try: float

    def message(self) -> str:
        return f"blocked, next try in {duration(self.next_try)}: {sanitize(self.reason)}"


@dataclass(frozen=True, slots=True)
class Unblocked(WorkerEvent):
    """The worker has got the lock after ``after`` seconds, and refreshes again."""

    severity = Severity.GOOD
    ends = Blocked
    after: float

    def message(self) -> str:
        return f"not blocked any more after {duration(self.after)}"


@dataclass(frozen=True, slots=True)
class SourcesChanged(WorkerEvent):
    """The source tables are not those that gaq-listen was installed for, so values may be wrong.

    ``what`` has a sentence for each change. ``fix`` is the command that restores right values.
    """

    severity = Severity.ERROR
    lasting = True
    what: tuple[str, ...]
    fix: str

    def message(self) -> str:
        more = f" +{len(self.what) - 1}" if len(self.what) > 1 else ""
        return f"ALARM, run: {sanitize(self.fix)}: {sanitize(self.what[0])}{more}"


@dataclass(frozen=True, slots=True)
class SourcesRestored(WorkerEvent):
    """The source tables are again those that gaq-listen was installed for. They had not been for ``after`` seconds."""

    severity = Severity.GOOD
    ends = SourcesChanged
    after: float

    def message(self) -> str:
        return f"the source tables are again those that gaq-listen was installed for, after {duration(self.after)}"


@dataclass(frozen=True, slots=True)
class Stopping(WorkerEvent):
    """The worker has been asked to stop, or ``--once`` is done. It finishes the batch in flight."""

    reason: str

    def message(self) -> str:
        return f"stopping: {sanitize(self.reason)}"


@dataclass(frozen=True, slots=True)
class Stopped(WorkerEvent):
    """The worker has ended. It has refreshed this many pairs in this many batches, and has run for ``seconds``."""

    batches: int
    pairs: int
    seconds: float

    def message(self) -> str:
        return f"stopped: {count(self.pairs, 'pair')} in {count(self.batches, 'batch')}, {duration(self.seconds)}"


Event: TypeAlias = (
    Started
    | Polling
    | Listening
    | BatchRefreshed
    | PairsFailed
    | Behind
    | CaughtUp
    | Paused
    | Resumed
    | Audited
    | Swept
    | BacklogCounted
    | Idle
    | Disconnected
    | Reconnected
    | Broken
    | Repaired
    | Blocked
    | Unblocked
    | SourcesChanged
    | SourcesRestored
    | Stopping
    | Stopped
)
Observer: TypeAlias = Callable[[Event], None]
