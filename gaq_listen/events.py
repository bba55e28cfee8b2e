"""What happens in a worker, as plain values. The worker tells; observers show; nothing flows back."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RefreshedPair:
    """One pair of a batch, as ``gaq.refresh`` returned it.

    ``seconds_stale`` runs, by the server's clock, from the first mark to the refresh. ``good_before`` and
    ``good_after`` are the explicitly-not-bad coverage, 0 to 1; None: not computable, or never computed.
    ``removed``: the pair is in no data pass any more, and so is its summary.
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
    """One pair that could not be computed: it keeps its value, stays stale, and is tried again in ``next_try`` seconds.

    A new mark on it makes that at once. ``attempts`` counts the tries that have failed, one after the other.
    """

    data_pass_id: int
    data_pass: str | None
    run_number: int
    error: str
    attempts: int
    next_try: float


@dataclass(frozen=True, slots=True)
class DriftedPair:
    """One pair whose stored summary differed from the recomputed one although nothing had marked it.

    ``stored`` and ``recomputed`` are its good fraction, 0 to 1; ``differs`` names the columns that differ.
    """

    data_pass_id: int
    data_pass: str | None
    run_number: int
    differs: str
    stored: float | None
    recomputed: float | None


@dataclass(frozen=True, slots=True)
class Started:
    """The worker of this name is connected to this database of this server, for the first time."""

    database: str
    server_version: str
    worker: str = ""


@dataclass(frozen=True, slots=True)
class Listening:
    """The doorbell works: a change is noticed at once."""


@dataclass(frozen=True, slots=True)
class Polling:
    """The doorbell does not work, for this reason; the worker looks every ``seconds``."""

    reason: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch was refreshed and committed, in ``seconds``; at most ``limit`` pairs were asked for.

    ``by_sweep``: it was the periodic sweep, not a wake-up or a due time, that led to it.
    """

    pairs: tuple[RefreshedPair, ...]
    seconds: float
    limit: int
    by_sweep: bool


@dataclass(frozen=True, slots=True)
class Failed:
    """These pairs could not be computed; the rest of their batch was stored."""

    pairs: tuple[FailedPair, ...]


@dataclass(frozen=True, slots=True)
class Behind:
    """For so many ``rounds``, each a full batch, the backlog stays above the largest batch: so many are left.

    At the speed of the last batch that takes this worker ``seconds_left``.
    """

    pairs_left: int
    rounds: int
    seconds_left: float


@dataclass(frozen=True, slots=True)
class Recovered:
    """The worker is not behind any more, after so many rounds."""

    rounds: int


@dataclass(frozen=True, slots=True)
class Paused:
    """Somebody paused all workers of the database, so many ``seconds`` ago: marks wait."""

    by: str
    seconds: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Resumed:
    """Work goes on, after so many seconds."""

    after: float


@dataclass(frozen=True, slots=True)
class Audited:
    """So many fresh pairs were recomputed; those that differed from what is stored have been marked."""

    pairs: int
    drifted: tuple[DriftedPair, ...]


@dataclass(frozen=True, slots=True)
class Swept:
    """The periodic sweep is done; it found so many stale pairs that no wake-up had announced."""

    found: int


@dataclass(frozen=True, slots=True)
class Counted:
    """So many pairs are stale, the oldest for so many seconds.

    Somebody who watches has looked; or, with 0, the worker, which has found nothing at all and goes to sleep.
    ``stale_pairs`` is None when the database could not be asked. So many pairs are ``failing``: they could not be
    computed; ``error`` is what the last of them said.
    """

    stale_pairs: int | None
    seconds_stale: float = 0.0
    failing: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Waiting:
    """The worker has looked and found marks that it leaves: not due yet, claimed by another worker, or it is paused."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The connection is lost, or could not be made again; the next try is in ``next_try`` seconds."""

    reason: str
    next_try: float


@dataclass(frozen=True, slots=True)
class Reconnected:
    """Connected again, after so many seconds. Everything is looked at afresh."""

    after: float


@dataclass(frozen=True, slots=True)
class Broken:
    """The worker is connected and can refresh nothing: the database lacks something, or has something of another type.

    Trying again does not heal that: ``reason`` says what is wrong and what to do. The next try is in
    ``next_try`` seconds.
    """

    reason: str
    next_try: float


@dataclass(frozen=True, slots=True)
class Repaired:
    """The worker can refresh again, after so many seconds."""

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
    """The worker goes on, after so many seconds without the lock."""

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
    """The worker reads what it should, after so many seconds."""

    after: float


@dataclass(frozen=True, slots=True)
class Stopping:
    """Asked to stop (by a signal, or ``--once`` is done); the batch in flight finishes."""

    reason: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """The worker has ended, after so many batches and pairs, in ``seconds`` altogether."""

    batches: int
    pairs: int
    seconds: float


Event = (
    Started
    | Listening
    | Polling
    | Batch
    | Failed
    | Behind
    | Recovered
    | Paused
    | Resumed
    | Audited
    | Swept
    | Counted
    | Waiting
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
