"""Test the line of each event, as plain fields and as JSON."""

import json
import re
import shlex
from datetime import timedelta, timezone
from typing import Any

import pytest

from gaq_listen.observers.event_log import log_line
from gaq_listen.observers.line_formats import JSON, LISTED, PLAIN
from gaq_listen.observers.staleness import KEPT, Staleness
from gaq_listen.worker.events import (
    BacklogCounted,
    BatchRefreshed,
    Disconnected,
    Event,
    Idle,
    Polling,
    Started,
    Stopped,
    Stopping,
    Swept,
)
from tests.observers.example_events import AT, HOSTILE, MANY, ONE_OF_EACH, REASON, batch, pair

QUOTED_REASON = '"' + REASON.replace('"', r"\"") + '"'
LINES = [
    "INFO started database=gaq server_version=18.1 worker=gaq-1",
    'WARNING polling every_s=1.0 reason="notifications do not arrive, as through a transaction pooler"',
    "INFO listening",
    (
        "INFO batch_refreshed pairs=1 ms=8.4 limit=20 oldest_ms=13.0 by_sweep=no"
        ' refreshed="LHC22o_apass7/526641 (flag) good 92.1 → 88.4 %"'
    ),
    (
        'WARNING pairs_failed pairs=2 failed="LHC22o_apass7/526641 (attempt 2, next in 20 s): division by zero;'
        ' LHC22o_apass7/526642 (attempt 2, next in 20 s): division by zero"'
    ),
    "WARNING behind pairs_left=12345 rounds=5 seconds_left=1.2",
    "INFO caught_up rounds=7",
    "WARNING paused seconds=12.0 by=ops reason=upgrade",
    "INFO resumed after_s=600.0",
    'WARNING audited pairs=100 drifted=1 differ="LHC22o_apass7/526641 (bad_run_coverage)"',
    "INFO swept found=3",
    None,
    None,
    f"WARNING disconnected next_try_s=3.2 reason={QUOTED_REASON}",
    "INFO reconnected after_s=4.5",
    f"WARNING broken next_try_s=5.0 reason={QUOTED_REASON}",
    "INFO repaired after_s=12.0",
    f"WARNING blocked next_try_s=0.2 reason={QUOTED_REASON}",
    "INFO unblocked after_s=12.0",
    (
        'WARNING sources_changed what="qc_flags is another table than the one that gaq-listen reads; and more"'
        ' fix="gaq-listen install"'
    ),
    "INFO sources_restored after_s=12.0",
    "INFO stopping reason=SIGTERM",
    "INFO stopped batches=321 pairs=12345 seconds=3845.6",
]


def plain_line(event: Event, staleness: Staleness | None = None) -> str:
    """Return the plain line of an event that has one."""
    line = log_line(PLAIN, event, AT, staleness)
    assert line is not None
    return line


def json_line(event: Event, staleness: Staleness | None = None) -> dict[str, Any]:
    """Return the parsed JSON line of an event that has one."""
    line = log_line(JSON, event, AT, staleness)
    assert line is not None
    assert not re.search(r"[\x00-\x1f]", line)
    found: dict[str, Any] = json.loads(line)
    return found


@pytest.mark.parametrize(("event", "line"), list(zip(ONE_OF_EACH, LINES, strict=True)))
def test_each_event_has_its_plain_line(event: Event, line: str | None) -> None:
    assert log_line(PLAIN, event, AT) == (None if line is None else f"2026-11-23T22:31:05.123Z {line}")


@pytest.mark.parametrize("event", ONE_OF_EACH, ids=lambda event: event.name)
def test_the_json_line_of_each_event_has_all_its_fields(event: Event) -> None:
    if isinstance(event, BacklogCounted | Idle):
        assert log_line(JSON, event, AT) is None
        return
    found = json_line(event)
    assert (found["time"], found["event"]) == ("2026-11-23T22:31:05.123Z", event.name)
    assert found["level"] == event.severity.level
    assert set(type(event).__dataclass_fields__) <= set(found)


def test_a_sweep_that_found_nothing_has_no_line_of_the_log() -> None:
    assert log_line(PLAIN, Swept(0), AT) is None


def test_a_plain_line_names_the_first_pairs_of_a_batch() -> None:
    line = plain_line(MANY)
    assert "pairs=12 " in line
    assert "oldest_ms=80.0" in line
    assert line.count("LHC22o_apass7/") == 4
    assert line.endswith(' +8"')


def test_a_batch_of_the_sweep_with_a_removed_pair() -> None:
    line = plain_line(batch(pair(removed=True, causes="data pass"), by_sweep=True))
    assert line.endswith('by_sweep=yes refreshed="LHC22o_apass7/526641 (data pass) removed"')


def test_an_empty_batch_has_a_line() -> None:
    assert "pairs=0" in plain_line(BatchRefreshed((), 0.001, 20, False))


def test_a_json_line_lists_pairs_with_their_values() -> None:
    found = json_line(batch(pair(), *(pair(run) for run in range(LISTED))))
    assert found["pairs"][0]["good_before"] == 0.921
    assert len(found["pairs"]) == LISTED
    assert found["pairs_not_listed"] == 1
    assert "pairs_not_listed" not in json_line(batch(pair()))


def test_the_time_is_utc() -> None:
    elsewhere = AT.astimezone(timezone(timedelta(hours=1)))
    assert log_line(PLAIN, Stopping("x"), elsewhere) == log_line(PLAIN, Stopping("x"), AT)


@pytest.mark.parametrize(
    "event",
    [
        batch(pair(data_pass=HOSTILE, causes=HOSTILE)),
        Disconnected(HOSTILE, 1.0),
        Polling(HOSTILE, 1.0),
        Started(HOSTILE, HOSTILE),
        Stopping(HOSTILE),
    ],
    ids=lambda event: event.name,
)
def test_a_hostile_text_forges_no_line_and_no_field(event: Event) -> None:
    line = plain_line(event)
    assert line.isprintable()
    _, _, name, *fields = shlex.split(line)
    assert name == event.name
    assert all(field.partition("=")[0].isidentifier() for field in fields)


def test_a_hostile_text_stays_as_it_is_in_json() -> None:
    assert json_line(batch(pair(data_pass=HOSTILE)))["pairs"][0]["data_pass"] == HOSTILE


@pytest.mark.parametrize(("reason", "written"), [("a=b", '"a=b"'), ("a b", '"a b"'), ("\\", '"\\\\"'), ("a", "a")])
def test_a_value_is_quoted_where_it_must_be(reason: str, written: str) -> None:
    assert plain_line(Stopping(reason)) == f"2026-11-23T22:31:05.123Z INFO stopping reason={written}"


def test_the_last_line_sums_up_the_freshness() -> None:
    staleness = Staleness()
    staleness.add(0.0, [0.013, 0.21])
    line = plain_line(Stopped(1, 2, 3.0), staleness)
    assert line.endswith("stopped batches=1 pairs=2 seconds=3.0 p50_ms=13.0 p99_ms=210.0 of_last=2")


def test_the_last_line_says_how_many_pairs_it_sums_up() -> None:
    staleness = Staleness()
    staleness.add(0.0, [0.013] * (KEPT + 1))
    assert plain_line(Stopped(1, KEPT + 1, 3.0), staleness).endswith(f"p99_ms=13.0 of_last={KEPT}")
    found = json_line(Stopped(1, KEPT + 1, 3.0), staleness)
    assert (found["p50"], found["p99"], found["of_last"]) == (0.013, 0.013, KEPT)
