"""The application keeps the bounds of flags when the times of a run change: it sets those to null that the run's own
pass, and deletes flags that are outside. Both writers tell of the same thing; whoever comes first, the end is right.
"""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from psycopg import Connection

from tests.support.shapes import in_every_shape
from tests.support.small_world import A, C, assert_fresh, wrong
from tests.support.tables import drain, stale, stored

START, END = "'2024-01-01 02:00Z'", "'2024-01-01 05:30Z'"
FLAGS = """
INSERT INTO qc_flags (id, data_pass_id, run_number, detector_id, flag_type_id, "from", "to", created_at) VALUES
    (81, 1, 101, 2, 2, '2024-01-01 01:30Z', '2024-01-01 03:00Z', '2024-02-04'),
    (82, 1, 101, 2, 3, '2024-01-01 07:00Z', '2024-01-01 09:00Z', '2024-02-04'),
    (83, 2, 101, 1, 2, '2024-01-01 01:00Z', '2024-01-01 01:30Z', '2024-02-04'),
    (84, 2, 101, 2, 2, '2024-01-01 05:00Z', '2024-01-01 10:00Z', '2024-02-04')
"""
STEPS = {
    "the run": f"UPDATE runs SET first_tf_timestamp = {START}, last_tf_timestamp = {END} WHERE run_number = 101",
    "bounds": f"""
        UPDATE qc_flags SET "from" = null
        WHERE run_number = 101 AND "from" <= {START} AND coalesce("to", {END}) > {START};
        UPDATE qc_flags SET "to" = null
        WHERE run_number = 101 AND "to" >= {END} AND coalesce("from", {START}) < {END}""",
    "flags outside": f"""
        UPDATE qc_flags SET deleted = true, updated_at = now()
        WHERE run_number = 101 AND ("from" >= {END} OR "to" <= {START})""",
}


@in_every_shape
@pytest.mark.parametrize("order", list(permutations(STEPS)), ids=", ".join)
@pytest.mark.parametrize("drained", [False, True], ids=["at the end", "after each"])
def test_the_end_is_right_in_any_order(rolled_back: Connection[Any], order: tuple[str, ...], drained: bool) -> None:
    rolled_back.execute(FLAGS.encode())
    drain(rolled_back)
    for step in order:
        rolled_back.execute(STEPS[step].encode())
        assert wrong(rolled_back) <= stale(rolled_back)
        if drained:
            drain(rolled_back)
            assert_fresh(rolled_back)
    drain(rolled_back)
    assert_fresh(rolled_back)
    ends = {pair: summary for pair, summary in stored(rolled_back).items() if pair in (A, C)}
    assert {pair: summary.not_computable for pair, summary in ends.items()} == {A: False, C: False}
    assert {pair: round(summary.bad or 0, 9) for pair, summary in ends.items()} == {
        A: round(1.5 / 3.5, 9),
        C: round(0.5 / 3.5, 9),
    }
