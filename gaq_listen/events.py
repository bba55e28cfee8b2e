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
class Started:
    """The worker is connected to this database of this server, for the first time."""

    database: str
    server_version: str


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
class Behind:
    """More pairs are stale than one batch takes: so many are left. 0: not any more."""

    pairs_left: int


@dataclass(frozen=True, slots=True)
class Swept:
    """The periodic sweep is done; it found so many stale pairs that no wake-up had announced."""

    found: int


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
class Stopping:
    """Asked to stop (by a signal, or ``--once`` is done); the batch in flight finishes."""

    reason: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """The worker has ended, after so many batches and pairs, in ``seconds`` altogether."""

    batches: int
    pairs: int
    seconds: float


Event = Started | Listening | Polling | Batch | Behind | Swept | Disconnected | Reconnected | Stopping | Stopped
Observer = Callable[[Event], None]
