"""The plain line of each event."""

import shlex
from datetime import timedelta, timezone
from typing import get_args

import pytest

from gaq_listen.observers.logfmt import format_line
from gaq_listen.observers.staleness import KEPT, Staleness
from gaq_listen.worker.events import (
    BatchRefreshed,
    CaughtUp,
    Disconnected,
    Event,
    Polling,
    Started,
    Stopped,
    Stopping,
    Swept,
    name_of,
)
from tests.observers.scene import AT, HOSTILE, MANY, ONE_OF_EACH, REASON, batch, pair

LINES = [
    "INFO started database=gaq server=18.1 worker=gaq-1",
    "INFO listening",
    'WARNING polling every_s=1 reason="notifications do not arrive, as through a transaction pooler"',
    (
        "INFO batch_refreshed pairs=1 ms=8.4 limit=20 oldest_ms=13.0 by_sweep=no"
        ' refreshed="LHC22o_apass7/526641 (flag) good 92.1 → 88.4 %"'
    ),
    (
        'WARNING pairs_failed pairs=2 failed="LHC22o_apass7/526641 (attempt 2, next in 20 s): division by zero;'
        ' LHC22o_apass7/526642 (attempt 2, next in 20 s): division by zero"'
    ),
    "WARNING behind pairs_left=12345 rounds=5 time_left_s=1.2",
    'INFO caught_up rounds=7 message="backlog recovered"',
    "WARNING paused by=ops for_s=12.0 reason=upgrade",
    "INFO resumed after_s=600.0",
    'WARNING audited pairs=100 drifted=1 differ="LHC22o_apass7/526641 (bad_run_coverage)"',
    "INFO swept found=3",
    None,
    None,
    "WARNING disconnected next_try_s=3.2 reason=" + '"' + REASON.replace('"', r"\"") + '"',
    "INFO reconnected after_s=4.5",
    "WARNING broken next_try_s=5.0 reason=" + '"' + REASON.replace('"', r"\"") + '"',
    "INFO repaired after_s=12.0",
    "WARNING blocked next_try_s=0.2 reason=" + '"' + REASON.replace('"', r"\"") + '"',
    "INFO unblocked after_s=12.0",
    (
        'WARNING sources_changed what="qc_flags is another table than the one that gaq-listen reads; and more"'
        ' fix="gaq-listen install"'
    ),
    "INFO sources_restored after_s=12.0",
    "INFO stopping reason=SIGTERM",
    "INFO stopped batches=321 pairs=12345 seconds=3845.6",
]


@pytest.mark.parametrize(("event", "said"), list(zip(ONE_OF_EACH, LINES, strict=True)))
def test_line(event: Event, said: str | None) -> None:
    assert format_line(event, AT) == (None if said is None else f"2026-11-23T22:31:05.123Z {said}")


def test_every_event_is_tried() -> None:
    assert {type(event) for event in ONE_OF_EACH} == set(get_args(Event))


def test_a_sweep_that_found_nothing_is_not_worth_a_line() -> None:
    assert format_line(Swept(0), AT) is None


def test_a_backlog_that_is_gone_is_no_warning() -> None:
    assert (
        format_line(CaughtUp(7), AT) == '2026-11-23T22:31:05.123Z INFO caught_up rounds=7 message="backlog recovered"'
    )


def test_only_the_first_pairs_of_a_batch_are_named() -> None:
    said = format_line(MANY, AT)
    assert said is not None
    assert "pairs=12 " in said
    assert "oldest_ms=80.0" in said
    assert said.count("LHC22o_apass7/") == 5
    assert said.endswith('; +7 more"')


def test_a_batch_of_the_sweep_and_a_pair_that_has_left() -> None:
    said = format_line(batch(pair(removed=True, causes="data pass"), by_sweep=True), AT)
    assert said is not None
    assert said.endswith('by_sweep=yes refreshed="LHC22o_apass7/526641 (data pass) removed"')


def test_the_time_is_utc() -> None:
    elsewhere = AT.astimezone(timezone(timedelta(hours=1)))
    assert format_line(Stopping("x"), elsewhere) == format_line(Stopping("x"), AT)


@pytest.mark.parametrize(
    "event",
    [
        batch(pair(data_pass=HOSTILE, causes=HOSTILE)),
        Disconnected(HOSTILE, 1.0),
        Polling(HOSTILE, 1.0),
        Started(HOSTILE, HOSTILE),
        Stopping(HOSTILE),
    ],
)
def test_nothing_from_outside_forges_a_line_or_a_field(event: Event) -> None:
    said = format_line(event, AT)
    assert said is not None
    assert said.isprintable()
    _, _, name, *fields = shlex.split(said)
    assert name == name_of(event)
    assert all(field.partition("=")[0].isidentifier() for field in fields)


@pytest.mark.parametrize(("reason", "said"), [("", '""'), ("a=b", '"a=b"'), ("\\", '"\\\\"')])
def test_what_needs_quotes_is_quoted(reason: str, said: str) -> None:
    assert format_line(Stopping(reason), AT) == f"2026-11-23T22:31:05.123Z INFO stopping reason={said}"


def test_the_end_sums_up_staleness() -> None:
    staleness = Staleness()
    staleness.add(0.0, [0.013, 0.21])
    said = format_line(Stopped(1, 2, 3.0), AT, staleness)
    assert said is not None
    assert said.endswith("stopped batches=1 pairs=2 seconds=3.0 p50_ms=13.0 p99_ms=210.0")


def test_the_end_says_when_it_sums_up_the_last_pairs_only() -> None:
    staleness = Staleness()
    staleness.add(0.0, [0.013] * (KEPT + 1))
    said = format_line(Stopped(1, KEPT + 1, 3.0), AT, staleness)
    assert said is not None
    assert said.endswith(f"p99_ms=13.0 of_last={KEPT}")


def test_an_empty_batch() -> None:
    said = format_line(BatchRefreshed((), 0.001, 20, False), AT)
    assert said is not None
    assert "pairs=0" in said
