"""gaq.data_pass_summaries: the same totals as show's, which come from other code."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from psycopg import Connection
from psycopg.rows import dict_row

from gaq_listen.reports.show import read
from gaq_listen.reports.totals import DataPassTotals, totals
from tests.conftest import Connect
from tests.database.test_rights import reader as reader
from tests.support.golden_cases import scenarios
from tests.support.shapes import in_every_shape
from tests.support.tables import drain, insert


def viewed(connection: Connection[Any], data_pass_id: int) -> DataPassTotals:
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute("SELECT * FROM gaq.data_pass_summaries WHERE data_pass_id = %s", (data_pass_id,))
        (row,) = cursor.fetchall()
    return DataPassTotals(**{field.name: row[field.name] for field in fields(DataPassTotals)})


def assert_same(one: DataPassTotals, other: DataPassTotals) -> None:
    for field in fields(DataPassTotals):
        assert getattr(one, field.name) == pytest.approx(getattr(other, field.name), abs=1e-12), field.name


@in_every_shape
def test_the_view_says_what_show_says(db: Connection[Any], connect: Connect) -> None:
    """Of all golden cases in five data passes, drained and with some of them stale."""
    insert(db, {(n % 5 + 1, 500_000 + n): case.pair for n, case in enumerate(scenarios())})
    drain(db)
    asking = connect(autocommit=True)
    for stale in (0, 7):
        db.execute(
            "SELECT gaq.recalculate(array_agg(data_pass_id), array_agg(run_number)) FROM"
            " (SELECT * FROM data_pass_runs WHERE data_pass_id = 2 LIMIT %s) chosen",
            [stale],
        )
        for data_pass_id in range(1, 6):
            shown = totals(read(asking, data_pass_id, "p").summaries)
            assert_same(viewed(db, data_pass_id), shown)
            assert shown.runs > 50
            assert shown.stale == (stale if data_pass_id == 2 else 0)


@in_every_shape
def test_runs_count_by_their_length(committed: Connection[Any]) -> None:
    """Run 101 is 9 h long, 1 h of it bad; run 102 10 h, half of it MC reproducible."""
    found = viewed(committed, 1)
    assert (found.runs, found.hours) == (2, 19.0)
    assert found.bad_run_coverage == pytest.approx(1 / 19)
    assert found.mc_reproducible_coverage == pytest.approx(5 / 19)
    assert found.explicitly_not_bad_run_coverage == pytest.approx(8 / 19)
    assert found.undecided_coverage == pytest.approx(5 / 19)
    committed.execute("UPDATE qc_flags SET deleted = true WHERE run_number = 103")
    assert viewed(committed, 3).stale == 1
    drain(committed)
    gone = viewed(committed, 3)
    assert (gone.not_computable, gone.hours, gone.bad_run_coverage, gone.stale) == (1, 0.0, None, 0)


def test_a_reader_may_select_it(period: Connection[Any], reader: Connection[Any]) -> None:
    assert viewed(reader, 1).hours == 5.0
    names = reader.execute("SELECT data_pass, stale_since FROM gaq.data_pass_summaries ORDER BY 1").fetchall()
    assert names == [("LHC22o_apass7", None), ("LHC23a_apass1", None)]
