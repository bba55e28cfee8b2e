"""gaq.compute and the refresh say what the brute-force model says, on random pairs."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import count, product
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from psycopg import Connection

from tests.support.model import NOT_COMPUTABLE, Flag, Pair, Summary, summary
from tests.support.shapes import in_every_shape
from tests.support.strategies import (
    BAD,
    CREATION,
    FLAG_TYPES,
    GOOD,
    HOUR,
    LIMITED,
    RUN_START,
    batches,
    full_run,
    numbered,
)
from tests.support.tables import Key, computed, drain, insert, stale, stored

# The same examples each time: a failure in one place is a failure everywhere.
repeatable = settings(
    derandomize=True,
    database=None,
    deadline=None,
    phases=(Phase.generate, Phase.shrink),  # explaining would take longer than finding
    # The database is the same for all examples; each test says how it cleans up between them.
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

NOWHERE = ((1, 99), (99, 1), (2**40, 2**40))


def differences(
    actual: dict[Key, Summary], expected: dict[Key, Summary]
) -> dict[Key, dict[str, tuple[object, object]]]:
    assert actual.keys() == expected.keys()
    found = {key: actual[key].differences(expected[key]) for key in expected}
    return {key: fields for key, fields in found.items() if fields}


def assert_sound(answer: Summary) -> None:
    values = vars(answer)
    if answer.not_computable:
        assert answer == NOT_COMPUTABLE
        return
    coverages = [values[name] for name in ("bad", "mcr", "not_bad")]
    assert all(0 <= coverage <= 1 for coverage in coverages)
    assert sum(coverages) <= 1 + 1e-12


def insert_flags_without_data_pass(db: Connection[Any]) -> None:
    """Synchronous flags, over everything and later than all others. They are no part of GAQ."""
    db.execute(
        "INSERT INTO qc_flags (run_number, detector_id, flag_type_id, created_at)"
        " SELECT run_number, detectors.id, 2, '2100-01-01' FROM runs, detectors"
    )


@settings(repeatable, max_examples=250)
@given(batch=batches(), data=st.data())
def test_compute_agrees_with_the_model(db: Connection[Any], batch: dict[Key, Pair], data: st.DataObject) -> None:
    """Whatever pairs are asked for: in any order, some of them, some of them twice."""
    asked = data.draw(st.lists(st.sampled_from([*batch, *NOWHERE]), min_size=1), label="asked")
    with db.transaction(force_rollback=True):
        insert(db, batch)
        insert_flags_without_data_pass(db)
        everything = computed(db, list(batch))
        some = computed(db, asked)

    expected = {key: summary(pair) for key, pair in batch.items()}
    assert differences(everything, expected) == {}
    assert differences(some, {key: expected.get(key, NOT_COMPUTABLE) for key in asked}) == {}
    for answer in everything.values():
        assert_sound(answer)


@in_every_shape
@settings(repeatable, max_examples=30)
@given(before=batches(), after=batches())
def test_refresh_agrees_with_the_model(db: Connection[Any], before: dict[Key, Pair], after: dict[Key, Pair]) -> None:
    """Through triggers, marks and refresh; pairs that have left are gone from what is stored."""
    for batch in (before, after):
        with db.transaction():
            db.execute("DELETE FROM runs")
            insert(db, batch)
        assert stale(db) >= batch.keys()
        drain(db)
        assert stale(db) == set()
        assert differences(stored(db), {key: summary(pair) for key, pair in batch.items()}) == {}


def pair(*flags: Flag, detectors: tuple[int, ...] = (1,)) -> Pair:
    """A run of ten hours."""
    return Pair(RUN_START, RUN_START + 10 * HOUR, detectors, FLAG_TYPES, numbered(flags, count(1)))


ONE_PAIR = {(1, 1): pair(full_run(1, GOOD))}
ALL_GOOD = Summary(0.0, 0.0, 1.0, 1, 0, False)


def test_no_pairs_give_no_rows(db: Connection[Any]) -> None:
    insert(db, ONE_PAIR)
    assert computed(db, []) == {}


def test_a_pair_given_twice_gives_one_row(db: Connection[Any]) -> None:
    insert(db, ONE_PAIR)
    assert computed(db, [(1, 1), (1, 1)]) == {(1, 1): ALL_GOOD}


def test_an_unknown_pair_is_not_computable(db: Connection[Any]) -> None:
    insert(db, ONE_PAIR)
    assert computed(db, [(1, 2), (1, 1)]) == {(1, 2): NOT_COMPUTABLE, (1, 1): ALL_GOOD}


def test_any_two_bounds_of_a_run(db: Connection[Any]) -> None:
    """A run is computable with a finite start before a finite end, and no other is an error."""
    bounds = (None, -math.inf, RUN_START, RUN_START + HOUR, math.inf)
    batch = {
        (1, number): replace(pair(full_run(1, GOOD)), qc_time_start=start, qc_time_end=end)
        for number, (start, end) in enumerate(product(bounds, bounds))
    }
    insert(db, batch)
    answers = computed(db, list(batch))
    computable = {key for key, answer in answers.items() if not answer.not_computable}
    assert computable == {(1, 2 * len(bounds) + 3)}
    assert differences(answers, {key: summary(pair) for key, pair in batch.items()}) == {}


def test_a_window_of_centuries_leaves_nothing_over(db: Connection[Any]) -> None:
    """A run with a mistaken year has more microseconds than a double precision number can tell apart."""
    start = RUN_START - 2000 * 365 * 24 * HOUR + 123457
    batch = {}
    for number in range(1, 51):
        cut = start + number * (RUN_START - start) // 51 + number
        flags = replace(full_run(1, BAD), to=cut), replace(full_run(1, LIMITED), from_=cut)
        batch[1, number] = replace(pair(*flags), qc_time_start=start)
    insert(db, batch)
    assert {answer.not_bad for answer in computed(db, list(batch)).values()} == {0.0}


def test_a_detector_that_no_flag_can_name_is_never_covered(db: Connection[Any]) -> None:
    """Only a table without the reference's constraints, or a sources file, has one."""
    insert(db, ONE_PAIR)
    db.execute("ALTER TABLE gaq_detectors DROP CONSTRAINT gaq_detectors_pkey")
    db.execute("ALTER TABLE gaq_detectors ALTER detector_id DROP NOT NULL")
    db.execute("INSERT INTO gaq_detectors (data_pass_id, run_number, detector_id) VALUES (1, 1, null)")
    assert computed(db, [(1, 1)]) == {(1, 1): Summary(0.0, 0.0, 0.0, 1, 1, False)}


def test_many_detectors(db: Connection[Any]) -> None:
    """A thousand flags begin and end at once, and the counts of detectors do not run together."""
    detectors = tuple(range(1, 1001))
    limited = [full_run(detector, LIMITED) for detector in detectors]
    batch = {
        (1, 1): pair(*limited, detectors=detectors),
        (2, 1): pair(*limited[1:], full_run(1, BAD), detectors=detectors),
        (3, 1): pair(*limited[1:], detectors=detectors),
    }
    insert(db, batch)
    assert computed(db, list(batch)) == {
        (1, 1): Summary(0.0, 1.0, 0.0, 1000, 0, False),
        (2, 1): Summary(1.0, 0.0, 0.0, 1000, 0, False),
        (3, 1): Summary(0.0, 0.0, 0.0, 999, 1, False),
    }


def test_many_flags_on_one_detector(db: Connection[Any]) -> None:
    """Stairs: each flag begins later than the one before, and leaves one step of it."""
    steps = 500
    flags = [
        replace(
            full_run(1, BAD if step % 2 else GOOD),
            from_=RUN_START + step * 10 * HOUR // steps,
            created_at=CREATION + step,
        )
        for step in range(steps)
    ]
    insert(db, {(1, 1): pair(*flags)})
    expected = Summary(0.5, 0.0, 0.5, steps, 0, False)
    assert computed(db, [(1, 1)])[1, 1].differences(expected) == {}
