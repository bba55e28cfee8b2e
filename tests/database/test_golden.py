"""The golden cases through the real path: rows change in the source tables, triggers mark, the
refresh computes, and gaq_summaries shows the answer.

All cases share one database, each as a pair of its own, so that one refresh takes many of them; an
assertion that fails names the cases."""

from __future__ import annotations

from typing import Any

from psycopg import Connection

from tests.support.golden_cases import run_time_changes, scenarios
from tests.support.model import Summary
from tests.support.shapes import in_every_shape
from tests.support.tables import Key, drain, insert, stale, stored, timestamp

pytestmark = in_every_shape


def key(number: int) -> Key:
    return number % 5 + 1, 500_000 + number


def failing(
    answers: dict[Key, Summary], expected: dict[Key, tuple[str, Summary]]
) -> dict[str, dict[str, tuple[object, object]]]:
    """The cases that have another answer than expected, and in what they differ."""
    assert answers.keys() == expected.keys()
    found = {case: answers[key].differences(answer) for key, (case, answer) in expected.items()}
    return {case: differences for case, differences in found.items() if differences}


def test_scenarios(db: Connection[Any]) -> None:
    cases = {key(number): case for number, case in enumerate(scenarios())}

    with db.transaction():
        insert(db, {key: case.pair for key, case in cases.items()})
    assert stale(db) == cases.keys()

    drain(db)
    assert stale(db) == set()
    assert failing(stored(db), {key: (case.id, case.expected) for key, case in cases.items()}) == {}


def test_run_times_change(db: Connection[Any]) -> None:
    cases = {key(number): case for number, case in enumerate(run_time_changes())}
    pairs = {key: case.before for key, case in cases.items()}
    with db.transaction():
        insert(db, pairs)
    drain(db)
    answers = {key: (case.id, case.expected_before) for key, case in cases.items()}
    assert failing(stored(db), answers) == {}

    # By halves, in updates of all runs: a summary whose run keeps its times must stay fresh.
    for half in (list(cases)[::2], list(cases)[1::2]):
        pairs |= {key: cases[key].after for key in half}
        db.execute(
            "UPDATE runs SET first_tf_timestamp = qc_start, last_tf_timestamp = qc_end"
            " FROM unnest(%s::int[], %s::timestamptz[], %s::timestamptz[])"
            " AS new (run_number, qc_start, qc_end) WHERE runs.run_number = new.run_number",
            [
                [run_number for _, run_number in pairs],
                [timestamp(pair.qc_time_start) for pair in pairs.values()],
                [timestamp(pair.qc_time_end) for pair in pairs.values()],
            ],
        )
        assert stale(db) == set(half)

        drain(db)
        assert stale(db) == set()
        answers |= {key: (cases[key].id, cases[key].expected_after) for key in half}
        assert failing(stored(db), answers) == {}
