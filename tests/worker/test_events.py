"""Test the definitions of events: names, severities, conditions, messages and fields of the log."""

from dataclasses import fields, is_dataclass, replace
from typing import Any, get_args

import pytest

from gaq_listen.worker.event_base import Severity
from gaq_listen.worker.events import Audited, BacklogCounted, Event, Idle, Swept
from tests.observers.example_events import HOSTILE, MANY, ONE_OF_EACH, batch, pair

KINDS = get_args(Event)

MESSAGES = [
    "connected to gaq on PostgreSQL 18.1 as gaq-1",
    "polling every 1.0 s: notifications do not arrive, as through a transaction pooler",
    "listening: the worker notices a change at once",
    "LHC22o_apass7/526641    92.1 → 88.4 %    after 13 ms  flag",
    "failed, next try in 20.0 s: LHC22o_apass7/526641 +1: division by zero",
    "behind: 12 345 stale pairs left",
    "caught up after 7 full batches",
    "paused by ops 12.0 s ago: upgrade",
    "resumed after 10 min 00 s",
    "DRIFT in 1 pair that no trigger had marked: LHC22o_apass7/526641",
    "the sweep found 3 pairs that no writer had announced",
    "2 stale pairs",
    "idle",
    "disconnected, next try in 3.2 s: connection to server",
    "connected again after 4.5 s",
    "broken, next try in 5.0 s: connection to server",
    "repaired after 12.0 s",
    "blocked, next try in 250 ms: connection to server",
    "not blocked any more after 12.0 s",
    "ALARM, run: gaq-listen install: qc_flags is another table than the one that gaq-listen reads +1",
    "the source tables are again those that gaq-listen was installed for, after 12.0 s",
    "stopping: SIGTERM",
    "stopped: 12 345 pairs in 321 batches, 1 h 04 min",
]


@pytest.mark.parametrize(("event", "message"), list(zip(ONE_OF_EACH, MESSAGES, strict=True)))
def test_each_event_has_its_message(event: Event, message: str) -> None:
    assert event.message().startswith(message)
    assert "".join(text for text, _ in event.message_parts()) == event.message()


def test_there_is_an_example_of_each_event_in_order() -> None:
    assert tuple(type(event) for event in ONE_OF_EACH) == KINDS


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.lasting], ids=lambda kind: kind.__name__)
def test_each_lasting_condition_is_ended_by_one_event(kind: type[Event]) -> None:
    (end,) = [other for other in KINDS if other.ends is kind]
    assert (kind.severity.level, end.severity) == ("WARNING", Severity.GOOD)


def test_only_a_lasting_condition_can_end() -> None:
    assert {kind.ends for kind in KINDS if kind.ends} == {kind for kind in KINDS if kind.lasting}


def test_an_event_that_reports_nothing_has_no_line() -> None:
    assert not any(event.logged for event in (Swept(0), Audited(100, ()), BacklogCounted(2), Idle()))
    assert Swept(1).logged


def hostile(value: Any) -> Any:
    """Return a value with each text in it replaced by a hostile one."""
    if isinstance(value, str):
        return HOSTILE
    if isinstance(value, tuple):
        return tuple(map(hostile, value))
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{field.name: hostile(getattr(value, field.name)) for field in fields(value)})
    return value


@pytest.mark.parametrize("event", ONE_OF_EACH, ids=lambda event: event.name)
def test_a_hostile_text_is_printable_in_each_message_and_field(event: Event) -> None:
    event = hostile(event)
    assert event.message().isprintable()
    assert all(value.isprintable() for value in event.log_fields().values())


def test_a_batch_names_its_first_pairs_and_counts_the_others() -> None:
    assert MANY.message().startswith("12 pairs in 8.4 ms, worst 80 ms, 12 changed: flag  LHC22o_apass7/526641 (")
    assert MANY.message().endswith(" +8")
    assert MANY.log_fields()["refreshed"].endswith(" +8")


def test_a_batch_of_unchanged_pairs_says_so() -> None:
    same = pair(good_after=0.921)
    assert ", none changed: flag (by sweep)  " in batch(same, same, by_sweep=True).message()
