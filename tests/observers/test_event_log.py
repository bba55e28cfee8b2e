"""What is worth a line of the log: heartbeats, repeats, plain and JSON."""

import json
import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest

from gaq_listen.observers.event_log import HEARTBEAT, JSON, PLAIN, EventLog, Style
from gaq_listen.observers.json_lines import LISTED, json_line
from gaq_listen.observers.repeats import Repeats
from gaq_listen.observers.worker_state import Goals
from gaq_listen.worker.events import (
    BacklogCounted,
    Behind,
    CaughtUp,
    Disconnected,
    Event,
    Idle,
    Listening,
    PairsFailed,
    Paused,
    Polling,
    Reconnected,
    Resumed,
    Stopped,
    Stopping,
    Swept,
    name_of,
)
from tests.observers.scene import AT, HOSTILE, ONE_OF_EACH, batch, failed, pair

LOST = Disconnected("refused", 1.0)


def lines(told: Iterable[tuple[float, Event]], style: Style = PLAIN) -> list[str]:
    """The lines for events told at these times, without their time of day."""
    account = EventLog(style, Goals(), 0.0)
    written = (account.told(event, now, AT + timedelta(seconds=now)) for now, event in told)
    return [text.partition(" ")[2] for text in written if text is not None]


def every_two_seconds(until: float, counted: BacklogCounted | None = None) -> list[tuple[float, Event]]:
    """What whoever watches tells, also at rest."""
    return [(float(now), counted or BacklogCounted(0)) for now in range(0, int(until) + 1, 2)]


def test_a_heartbeat_a_minute_also_at_rest() -> None:
    said = lines([(0.0, Listening()), *every_two_seconds(3 * HEARTBEAT)])
    assert said[0] == "INFO listening"
    figures = "stale=0 oldest_s=0.0 failing=0 batches=0 pairs=0 p50_ms=- p99_ms=- swept_s_ago=-"
    assert said[1:] == [f"INFO heartbeat state=listening {figures}"] * 3


def test_the_heartbeat_tells_how_it_stands() -> None:
    told: list[tuple[float, Event]] = [(0.0, Listening()), (1.0, batch(pair(), pair())), (50.0, Swept(0))]
    (*_, beat) = lines([*told, (60.0, BacklogCounted(12, 0.3))])
    assert beat == (
        "INFO heartbeat state=listening stale=12 oldest_s=0.3 failing=0 batches=1 pairs=2 p50_ms=13.0 p99_ms=13.0"
        " swept_s_ago=10"
    )


@pytest.mark.parametrize(
    ("told", "level"),
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
def test_the_level_of_a_heartbeat(told: list[Event], level: str) -> None:
    (*_, beat) = lines((HEARTBEAT, event) for event in told)
    assert beat.startswith(f"{level} heartbeat state=")


def test_no_heartbeat_comes_when_nobody_tells() -> None:
    """It is not the writing thread's: a worker whose loop hangs must not seem alive."""
    assert lines([(0.0, Listening()), (1000.0, batch(pair()))])[1:] != []
    assert not any("heartbeat" in said for said in lines([(0.0, Listening()), (1000.0, batch(pair()))]))


def test_after_a_gap_there_is_one_heartbeat_not_all_that_were_missed() -> None:
    said = lines(
        [
            (0.0, BacklogCounted(0)),
            (1000.0, BacklogCounted(0)),
            (1002.0, BacklogCounted(0)),
            (1020.0, BacklogCounted(0)),
        ]
    )
    assert len(said) == 2


def test_repeats_are_collapsed_and_counted() -> None:
    said = lines([(float(now), LOST) for now in range(130)])
    assert said == [
        "WARNING disconnected next_try_s=1.0 reason=refused",
        "WARNING disconnected next_try_s=1.0 reason=refused repeated=59",
        "WARNING disconnected next_try_s=1.0 reason=refused repeated=59",
    ]


@pytest.mark.parametrize(
    ("again", "passes"),
    [
        ([LOST, LOST], [True, False]),
        ([LOST, Disconnected("refused", 7.0)], [True, False]),
        ([LOST, Disconnected("shutting down", 1.0)], [True, True]),
        ([LOST, Reconnected(1.0), LOST], [True, True, True]),
        ([Behind(700, 5, 1.2), Behind(800, 6, 1.2)], [True, False]),
        ([Behind(700, 5, 1.2), CaughtUp(7), Behind(700, 5, 1.2)], [True, True, True]),
        ([Paused("ops", 1.0), Paused("ops", 9.0)], [True, False]),
        ([Paused("ops", 1.0), Resumed(2.0), Paused("ops", 1.0)], [True, True, True]),
        ([Polling("x", 1.0), Polling("x", 1.0), Listening(), Polling("x", 1.0)], [True, False, True, True]),
        ([PairsFailed((failed(),)), PairsFailed((failed(attempts=3),))], [True, False]),
        ([PairsFailed((failed(),)), PairsFailed((failed(error="other"),))], [True, True]),
        ([PairsFailed((failed(),)), PairsFailed((failed(), failed(7)))], [True, True]),
        ([batch(pair()), batch(pair())], [True, True]),
        ([Stopping("x"), Stopping("x")], [True, True]),
    ],
)
def test_what_counts_as_a_repeat(again: list[Event], passes: list[bool]) -> None:
    repeats = Repeats(60.0)
    assert [repeats.judge(event, 1.0) is not None for event in again] == passes


def test_what_was_said_long_ago_is_forgotten() -> None:
    repeats = Repeats(60.0)
    for run in range(1000):
        repeats.judge(PairsFailed((failed(run),)), float(run))
    assert len(repeats._said) <= 61


@pytest.mark.parametrize("event", ONE_OF_EACH, ids=lambda event: type(event).__name__)
def test_json_has_every_field(event: Event) -> None:
    text = json_line(event, AT)
    if isinstance(event, BacklogCounted | Idle):
        assert text is None
        return
    assert text is not None
    found: dict[str, Any] = json.loads(text)
    assert (found["time"], found["event"]) == ("2026-11-23T22:31:05.123Z", name_of(event))
    assert found["level"] in ("INFO", "WARNING")
    assert set(type(event).__dataclass_fields__) <= set(found)


def test_json_names_pairs_with_their_values() -> None:
    found = json.loads(json_line(batch(pair(), *(pair(run) for run in range(LISTED))), AT) or "")
    assert found["pairs"][0]["good_before"] == 0.921
    assert len(found["pairs"]) == LISTED
    assert found["pairs_not_listed"] == 1


def test_json_heartbeats_repeats_and_the_end() -> None:
    account = EventLog(JSON, Goals(), 0.0)
    account.told(batch(pair()), 1.0, AT)
    beat = json.loads(account.told(BacklogCounted(12, 0.3), 60.0, AT) or "")
    assert (beat["event"], beat["stale"], beat["p50_ms"], beat["swept_s_ago"]) == ("heartbeat", 12, 13.0, None)
    for now in (61.0, 62.0):
        account.told(LOST, now, AT)
    assert json.loads(account.told(LOST, 130.0, AT) or "")["repeated"] == 1
    end = json.loads(account.told(Stopped(1, 1, 130.0), 130.0, AT) or "")
    assert (end["p50"], end["of_last"]) == (0.013, 1)


def test_nothing_from_outside_breaks_a_json_line() -> None:
    text = json_line(batch(pair(data_pass=HOSTILE)), AT)
    assert text is not None
    assert not re.search(r"[\x00-\x1f]", text)
    assert json.loads(text)["pairs"][0]["data_pass"] == HOSTILE
