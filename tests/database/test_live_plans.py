"""What live summaries read, of many marks and many flags: guarded by counts of rows, never by time."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg import Connection

from tests.database.test_plans import MARK, rows_read
from tests.database.test_plans import many as many
from tests.database.test_plans import without_marks as without_marks

TABLES = ("invalidations", "summaries", "qc_flags", "qc_flag_verifications", "gaq_detectors")


@pytest.mark.parametrize(("runs", "pairs"), [("null", 100), ("array[7, 8]", 2)])
def test_of_many_marks_those_of_the_data_pass_are_read(without_marks: Connection[Any], runs: str, pairs: int) -> None:
    """With statistics from when there were none. A pair has ten marks and ten flags; 100 runs of 400 are pairs."""
    without_marks.execute(MARK)
    with rows_read(without_marks, *TABLES) as read:
        rows = without_marks.execute(f"select * from gaq.live_summaries(3, {runs})".encode()).fetchall()
    assert len(rows) == pairs
    assert {table: scanned for table, (scanned, _) in read.items() if scanned} == {}
    assert read["invalidations"][1] <= 4000
    assert read["qc_flags"][1] <= 20 * pairs
    assert read["summaries"][1] <= 4 * 400


def test_with_nothing_stale_no_flag_is_read(without_marks: Connection[Any]) -> None:
    with rows_read(without_marks, *TABLES) as read:
        assert len(without_marks.execute("select * from gaq.live_summaries(3)").fetchall()) == 400
    assert read == dict.fromkeys(TABLES, (0, 0)) | {"summaries": (0, 400)}
