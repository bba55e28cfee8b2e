"""Test which events count as repetitions of others."""

import pytest

from gaq_listen.observers.repeats import Repeats
from gaq_listen.worker.events import (
    Behind,
    CaughtUp,
    Disconnected,
    Event,
    Listening,
    PairsFailed,
    Paused,
    Polling,
    Reconnected,
    Resumed,
    Stopping,
)
from tests.observers.example_events import batch, failed, pair

LOST = Disconnected("refused", 1.0)


@pytest.mark.parametrize(
    ("events", "passes"),
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
def test_an_equal_event_is_left_out_until_its_condition_ends(events: list[Event], passes: list[bool]) -> None:
    repeats = Repeats(60.0)
    assert [repeats.check(event, 1.0) is not None for event in events] == passes


def test_an_equal_event_passes_after_the_period() -> None:
    repeats = Repeats(60.0)
    assert [repeats.check(LOST, now) for now in (0.0, 1.0, 59.0, 60.0, 61.0)] == [0, None, None, 2, None]


def test_an_event_of_long_ago_is_forgotten() -> None:
    repeats = Repeats(60.0)
    for run in range(1000):
        repeats.check(PairsFailed((failed(run),)), float(run))
    assert len(repeats._passed) <= 61
