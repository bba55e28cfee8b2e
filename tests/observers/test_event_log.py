"""Test which events lead to a line of the log, and the heartbeat lines."""

import json
from collections.abc import Iterable
from datetime import timedelta

import pytest

from gaq_listen.observers.event_log import HEARTBEAT, EventLog
from gaq_listen.observers.line_formats import JSON, PLAIN
from gaq_listen.worker.events import (
    BacklogCounted,
    Disconnected,
    Event,
    Listening,
    Paused,
    Polling,
    Stopped,
    Swept,
)
from tests.observers.example_events import AT, batch, pair

LOST = Disconnected("refused", 1.0)


def lines(events: Iterable[tuple[float, Event]]) -> list[str]:
    """Return the lines of events that come at these times, without their time of day."""
    log = EventLog(PLAIN, 1.0, 0.0)
    written = (log.line(event, now, AT + timedelta(seconds=now)) for now, event in events)
    return [line.partition(" ")[2] for line in written if line is not None]


def counts(until: float) -> list[tuple[float, Event]]:
    """Return the counts of the backlog monitor of an idle worker, one every two seconds."""
    return [(float(now), BacklogCounted(0)) for now in range(0, int(until) + 1, 2)]


def test_an_idle_worker_has_a_heartbeat_line_a_minute() -> None:
    first, *heartbeats = lines([(0.0, Listening()), *counts(3 * HEARTBEAT)])
    assert first == "INFO listening"
    figures = "stale=0 oldest_s=0.0 failing=0 batches=0 pairs=0 p50_ms=- p99_ms=- swept_s_ago=-"
    assert heartbeats == [f"INFO heartbeat state=listening {figures}"] * 3


def test_a_heartbeat_line_has_the_figures_of_the_worker() -> None:
    events: list[tuple[float, Event]] = [(0.0, Listening()), (1.0, batch(pair(), pair())), (50.0, Swept(0))]
    (*_, heartbeat) = lines([*events, (60.0, BacklogCounted(12, 0.3))])
    assert heartbeat == (
        "INFO heartbeat state=listening stale=12 oldest_s=0.3 failing=0 batches=1 pairs=2 p50_ms=13.0 p99_ms=13.0"
        " swept_s_ago=10"
    )


@pytest.mark.parametrize(
    ("events", "level"),
    [
        ([Listening(), BacklogCounted(12, 0.3)], "INFO"),
        ([Listening(), BacklogCounted(12, 1.5)], "WARNING"),
        ([Listening(), BacklogCounted(None)], "WARNING"),
        ([Listening(), BacklogCounted(0, 0.0, 2, "x")], "WARNING"),
        ([Polling("a pooler", 1.0), BacklogCounted(0)], "WARNING"),
        ([Listening(), Paused("ops", 1.0), BacklogCounted(0)], "WARNING"),
        ([LOST, BacklogCounted(None)], "WARNING"),
    ],
)
def test_a_heartbeat_line_is_a_warning_unless_all_is_well(events: list[Event], level: str) -> None:
    (*_, heartbeat) = lines((HEARTBEAT, event) for event in events)
    assert heartbeat.startswith(f"{level} heartbeat state=")


def test_a_worker_without_counts_has_no_heartbeat_line() -> None:
    """A thread that writes heartbeat lines would make a worker whose loop hangs look alive."""
    written = lines([(0.0, Listening()), (1000.0, batch(pair()))])
    assert [line.split()[1] for line in written] == ["listening", "batch_refreshed"]


def test_after_a_gap_there_is_one_heartbeat_line() -> None:
    assert len(lines((now, BacklogCounted(0)) for now in (0.0, 1000.0, 1002.0, 1020.0))) == 2


def test_repeated_events_are_left_out_and_counted() -> None:
    assert lines([(float(now), LOST) for now in range(130)]) == [
        "WARNING disconnected next_try_s=1.0 reason=refused",
        "WARNING disconnected next_try_s=1.0 reason=refused repeated=59",
        "WARNING disconnected next_try_s=1.0 reason=refused repeated=59",
    ]


def test_a_json_log_has_heartbeats_repeats_and_a_summary() -> None:
    log = EventLog(JSON, 1.0, 0.0)
    log.line(batch(pair()), 1.0, AT)
    heartbeat = json.loads(log.line(BacklogCounted(12, 0.3), 60.0, AT) or "")
    assert (heartbeat["event"], heartbeat["stale"], heartbeat["p50_ms"]) == ("heartbeat", 12, 13.0)
    assert heartbeat["swept_s_ago"] is None
    for now in (61.0, 62.0):
        log.line(LOST, now, AT)
    assert json.loads(log.line(LOST, 130.0, AT) or "")["repeated"] == 1
    end = json.loads(log.line(Stopped(1, 1, 130.0), 130.0, AT) or "")
    assert (end["p50"], end["of_last"]) == (0.013, 1)
