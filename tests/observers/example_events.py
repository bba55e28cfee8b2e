"""Provide example events, as an operator would see them on a good night and on a bad one."""

from datetime import UTC, datetime
from typing import Any

from gaq_listen.worker.event_pairs import DriftedPair, FailedPair, RefreshedPair
from gaq_listen.worker.events import (
    Audited,
    BacklogCounted,
    BatchRefreshed,
    Behind,
    Blocked,
    Broken,
    CaughtUp,
    Disconnected,
    Event,
    Idle,
    Listening,
    PairsFailed,
    Paused,
    Polling,
    Reconnected,
    Repaired,
    Resumed,
    SourcesChanged,
    SourcesRestored,
    Started,
    Stopped,
    Stopping,
    Swept,
    Unblocked,
)

AT = datetime(2026, 11, 23, 22, 31, 5, 123456, UTC)

HOSTILE = '[bold red]x[/] \x1b[2J\x1b]0;owned\x07\n2026-11-23T22:31:05.123Z INFO "fake\\\u202e'
"""A name that contains markup, clears a screen, sets a window title, and forges a line of the log."""

LONG = "LHC24ar_pass1_QC1_sampling"


def pair(run: int = 526641, **other: Any) -> RefreshedPair:
    """Return a pair whose good fraction fell from 92.1 to 88.4 %, 13 ms after a flag changed."""
    values: dict[str, Any] = {
        "data_pass_id": 12,
        "data_pass": "LHC22o_apass7",
        "run_number": run,
        "seconds_stale": 0.013,
        "causes": "flag",
        "good_before": 0.921,
        "good_after": 0.884,
        "removed": False,
    }
    return RefreshedPair(**(values | other))


def failed(run: int = 526641, **other: Any) -> FailedPair:
    """Return a pair that could not be computed, twice by now."""
    values: dict[str, Any] = {
        "data_pass_id": 12,
        "data_pass": "LHC22o_apass7",
        "run_number": run,
        "error": "division by zero",
        "attempts": 2,
        "next_try": 20.0,
    }
    return FailedPair(**(values | other))


DRIFTED = DriftedPair(12, "LHC22o_apass7", 526641, "bad_run_coverage", 0.921, 0.884)


def batch(*pairs: RefreshedPair, by_sweep: bool = False, limit: int = 20) -> BatchRefreshed:
    """Return a batch that took 8.4 ms."""
    return BatchRefreshed(pairs, 0.0084, limit, by_sweep)


MANY = batch(
    *(pair(526641 + i, seconds_stale=0.01 * i) for i in range(9)),
    *(pair(559545 + i, data_pass=LONG, good_before=None) for i in range(3)),
)

REASON = (
    'connection to server at "gaq-db.cern.ch" (188.184.1.2), port 5432 failed: Connection refused. '
    "Is the server running on that host and accepting TCP/IP connections?"
)

ONE_OF_EACH: list[Event] = [
    Started("gaq", "18.1", "gaq-1"),
    Polling("notifications do not arrive, as through a transaction pooler", 1.0),
    Listening(),
    batch(pair()),
    PairsFailed((failed(), failed(526642))),
    Behind(12345, 5, 1.2),
    CaughtUp(7),
    Paused("ops", 12.0, "upgrade"),
    Resumed(600.0),
    Audited(100, (DRIFTED,)),
    Swept(3),
    BacklogCounted(2, 0.3),
    Idle(),
    Disconnected(REASON, 3.2),
    Reconnected(4.5),
    Broken(REASON, 5.0),
    Repaired(12.0),
    Blocked(REASON, 0.25),
    Unblocked(12.0),
    SourcesChanged(("qc_flags is another table than the one that gaq-listen reads", "and more"), "gaq-listen install"),
    SourcesRestored(12.0),
    Stopping("SIGTERM"),
    Stopped(batches=321, pairs=12345, seconds=3845.6),
]

WORKING: list[Event] = [
    Started("gaq", "18.1"),
    Listening(),
    batch(pair()),
    batch(pair(good_before=0.884, good_after=0.9, causes="flag, run times")),
    batch(pair(526712, good_before=None, good_after=0.75, causes="data pass")),
    batch(pair(526712, good_before=0.75, good_after=0.75, causes="verification")),
    batch(pair(526713, good_after=None, causes="detectors"), by_sweep=True),
    Swept(1),
    batch(pair(559545, data_pass=LONG, seconds_stale=75)),
    batch(pair(526714, data_pass=None, good_after=None, removed=True, causes="data pass")),
    MANY,
    Swept(0),
    BacklogCounted(0),
]

# These are more lines than any terminal of the tests has, so the first ones scroll away.
BUSY: list[Event] = [
    *WORKING,
    *(batch(pair(600000 + i)) for i in range(40)),
    batch(*(pair(700000 + i) for i in range(20))),
    Behind(12345, 5, 1.2),
    BacklogCounted(12345, 63.0),
]
FAILING: list[Event] = [
    *WORKING,
    PairsFailed((failed(), failed(526642))),
    Audited(100, (DRIFTED,)),
    BacklogCounted(2, 75.0, 2, "division by zero"),
]
PAUSED: list[Event] = [
    *WORKING,
    BacklogCounted(0),
    Paused("ops", 12.0, "upgrade of the database"),
    BacklogCounted(312, 14.0),
]
LOST: list[Event] = [*WORKING, Disconnected(REASON, 8.0), BacklogCounted(None)]
HOSTILE_NAMES: list[Event] = [
    Started(HOSTILE, HOSTILE),
    batch(pair(data_pass=HOSTILE, causes=HOSTILE)),
    batch(pair(data_pass=HOSTILE), pair()),
    Polling(HOSTILE, 1.0),
]
ENDED: list[Event] = [*WORKING, Stopping("SIGTERM"), Stopped(8, 19, 65.0)]
