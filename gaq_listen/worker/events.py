"""What happens in a worker, as plain values. The worker emits events, observers show them, and nothing flows back."""

import re
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RefreshedPair:
    """One pair of a batch, as ``gaq.refresh`` returned it.

    ``seconds_stale`` is the time from the first mark to the refresh, by the server's clock. ``good_before`` and
    ``good_after`` are the good fraction, 0 to 1. None means not computable or, before, never computed.
    ``removed`` means that the run has left the data pass, so that the worker has removed the summary.
    """

    data_pass_id: int
    data_pass: str | None
    run_number: int
    seconds_stale: float
    causes: str
    good_before: float | None
    good_after: float | None
    removed: bool


@dataclass(frozen=True, slots=True)
class FailedPair:
    """One pair that could not be computed. It keeps its value, stays stale, and is tried again.

    ``next_try`` is the number of seconds until then; a new mark on the pair leads to a try at once. ``attempts`` is the
    number of failed tries in a row.
    """

    data_pass_id: int
    data_pass: str | None
    run_number: int
    error: str
    attempts: int
    next_try: float


@dataclass(frozen=True, slots=True)
class DriftedPair:
    """One fresh pair whose stored summary differed from the recomputed one.

    ``stored`` and ``recomputed`` are its good fraction, 0 to 1. ``differs`` names the columns that differ.
    """

    data_pass_id: int
    data_pass: str | None
    run_number: int
    differs: str
    stored: float | None
    recomputed: float | None


@dataclass(frozen=True, slots=True)
class Started:
    """The worker has connected for the first time: its name, the database, and the version of the server."""

    database: str
    server_version: str
    worker: str = ""


@dataclass(frozen=True, slots=True)
class Listening:
    """The worker listens at the doorbell, so it notices a change at once."""


@dataclass(frozen=True, slots=True)
class Polling:
    """The worker cannot listen, for this reason. It looks for marks every ``seconds``."""

    reason: str
    seconds: float


@dataclass(frozen=True, slots=True)
class BatchRefreshed:
    """The worker has refreshed a batch and committed it, in ``seconds``. It had asked for at most ``limit`` pairs.

    ``by_sweep`` means that the periodic sweep led to the batch, and not a wake-up or a due time.
    """

    pairs: tuple[RefreshedPair, ...]
    seconds: float
    limit: int
    by_sweep: bool


@dataclass(frozen=True, slots=True)
class PairsFailed:
    """These pairs could not be computed. The other pairs of their batch were stored."""

    pairs: tuple[FailedPair, ...]


@dataclass(frozen=True, slots=True)
class Behind:
    """The worker is behind: after this many full batches, more pairs are left than the largest batch can take.

    ``pairs_left`` pairs take this worker ``seconds_left`` at the speed of its last batch.
    """

    pairs_left: int
    rounds: int
    seconds_left: float


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """The worker is not behind any more. It took this many full batches."""

    rounds: int


@dataclass(frozen=True, slots=True)
class Paused:
    """All workers of the database have been paused for ``seconds``, by this person and for this reason."""

    by: str
    seconds: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Resumed:
    """The pause is over. It lasted ``after`` seconds."""

    after: float


@dataclass(frozen=True, slots=True)
class Audited:
    """The worker has recomputed this many fresh pairs, and has marked those that differed from what was stored."""

    pairs: int
    drifted: tuple[DriftedPair, ...]


@dataclass(frozen=True, slots=True)
class Swept:
    """The periodic sweep is done. It found this many stale pairs that no wake-up had announced."""

    found: int


@dataclass(frozen=True, slots=True)
class BacklogCounted:
    """The number of stale pairs, and for how many seconds the oldest has been stale.

    The counting connection of a console, a log or a scraper emits this event. The worker emits it with 0 when it finds
    no mark at all and goes to sleep. ``stale_pairs`` is None if the database did not answer. ``failing`` is the number
    of pairs that could not be computed, and ``error`` is the message of the last of them.
    """

    stale_pairs: int | None
    seconds_stale: float = 0.0
    failing: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Idle:
    """The worker has found only marks that it leaves: they are not due, another worker has them, or work is paused."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The connection is lost, or the worker could not connect again. The next try is in ``next_try`` seconds."""

    reason: str
    next_try: float


@dataclass(frozen=True, slots=True)
class Reconnected:
    """The worker has connected again after this many seconds, and looks at all marks."""

    after: float


@dataclass(frozen=True, slots=True)
class Broken:
    """The worker is connected and can refresh nothing, because the database lacks something or a type is wrong.

    ``reason`` says what is wrong and what to do. The next try is in ``next_try`` seconds.
    """

    reason: str
    next_try: float


@dataclass(frozen=True, slots=True)
class Repaired:
    """The worker can refresh again, after this many seconds."""

    after: float


@dataclass(frozen=True, slots=True)
class Blocked:
    """Another session has, or wants, a lock that the worker needs, as a migration does.

    The worker has let go of all locks. The next try is in ``next_try`` seconds.
    """

    reason: str
    next_try: float


@dataclass(frozen=True, slots=True)
class Unblocked:
    """The worker goes on. It had waited ``after`` seconds for the lock."""

    after: float


@dataclass(frozen=True, slots=True)
class SourcesChanged:
    """The source tables are not those that were installed for, so values may be wrong.

    ``what`` has a sentence for each change; ``fix`` is the command that puts it right.
    """

    what: tuple[str, ...]
    fix: str


@dataclass(frozen=True, slots=True)
class SourcesRestored:
    """The worker reads what it was installed for again. It had not for ``after`` seconds."""

    after: float


@dataclass(frozen=True, slots=True)
class Stopping:
    """The worker has been asked to stop, or ``--once`` is done. It finishes the batch in flight."""

    reason: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """The worker has ended. It has refreshed this many pairs in this many batches, and has run for ``seconds``."""

    batches: int
    pairs: int
    seconds: float


Event = (
    Started
    | Listening
    | Polling
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
Observer = Callable[[Event], None]


def name_of(event: Event) -> str:
    """Return the name of an event, as a log writes it.

    >>> name_of(CaughtUp(7))
    'caught_up'
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", type(event).__name__).lower()
