"""gaq.live_summaries: right at any moment, for a reader; it stores nothing and locks nothing."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg import Connection
from psycopg.rows import dict_row

from tests.conftest import Connect
from tests.database.test_rights import reader as reader
from tests.support.altered_functions import alter
from tests.support.shapes import in_every_shape
from tests.support.small_period import BAD_FLAG
from tests.support.small_world import A, live_wrong, wrong
from tests.support.tables import drain, stale
from tests.support.uncomputable_pairs import ERROR, poison

COLUMNS = (
    "data_pass_id, run_number, bad_run_coverage, explicitly_not_bad_run_coverage, mc_reproducible_coverage,"
    " missing_verifications_count, undefined_quality_periods_count, not_computable,"
    " invalidated_at, created_at, updated_at"
)
CHANGES = (
    "UPDATE qc_flags SET flag_type_id = 2 WHERE id = 11",
    "DELETE FROM gaq_detectors WHERE (data_pass_id, run_number, detector_id) = (1, 102, 2)",
    "INSERT INTO qc_flag_verifications (flag_id) VALUES (12)",
    "UPDATE runs SET last_tf_timestamp = '2024-01-01 05:30Z' WHERE run_number = 101",
    "UPDATE qc_flag_types SET bad = false WHERE id = 2",
    "DELETE FROM data_pass_runs WHERE (data_pass_id, run_number) = (2, 101)",
    "INSERT INTO data_pass_runs VALUES (3, 102)",
    "UPDATE qc_flags SET deleted = true WHERE run_number = 103",
    "TRUNCATE qc_flag_verifications",
)


def live(connection: Connection[Any], *arguments: Any) -> dict[int, dict[str, Any]]:
    """The rows of data pass 1, by run."""
    marks = ", ".join(["%s"] * len(arguments))
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(f"SELECT * FROM gaq.live_summaries(1{', ' if marks else ''}{marks})".encode(), arguments)
        return {row["run_number"]: row for row in cursor.fetchall()}


@in_every_shape
def test_it_is_right_after_every_change_though_nobody_works(committed: Connection[Any]) -> None:
    committed.execute("SELECT gaq.pause()")
    stored_is_wrong = 0
    for change in CHANGES:
        committed.execute(change.encode())
        assert live_wrong(committed) == set(), change
        stored_is_wrong += bool(wrong(committed))
    assert stored_is_wrong > 5


@in_every_shape
def test_it_is_of_the_callers_snapshot(committed: Connection[Any], connect: Connect) -> None:
    before = connect()
    before.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    assert live(before)[101]["bad_run_coverage"] == pytest.approx(1 / 9)
    mine = connect()
    mine.execute("UPDATE qc_flags SET flag_type_id = 2 WHERE id = 11")
    assert live(mine)[101]["bad_run_coverage"] == 1.0, "what I have not committed yet"
    assert live(committed)[101]["bad_run_coverage"] == pytest.approx(1 / 9)
    mine.commit()
    assert live(committed)[101]["bad_run_coverage"] == 1.0
    drain(committed)
    assert live(before)[101]["bad_run_coverage"] == pytest.approx(1 / 9)


@in_every_shape
def test_with_nothing_stale_it_is_the_view(committed: Connection[Any]) -> None:
    shown = committed.execute(f"SELECT {COLUMNS} FROM gaq_summaries WHERE data_pass_id = 1 ORDER BY 2").fetchall()
    found = committed.execute(f"SELECT {COLUMNS} FROM gaq.live_summaries(1) ORDER BY 2").fetchall()
    assert found == shown
    assert not any(row["computed_now"] or row["error"] for row in live(committed).values())


@in_every_shape
def test_which_rows_were_computed_now_is_told(committed: Connection[Any]) -> None:
    committed.execute("UPDATE qc_flags SET flag_type_id = 2 WHERE id = 11")
    assert stale(committed) == {A}
    rows = live(committed)
    assert {run: row["computed_now"] for run, row in rows.items()} == {101: True, 102: False}
    assert [row["invalidated_at"] for row in rows.values()] == [None, None]
    now = committed.execute(
        "SELECT updated_at FROM gaq_summaries WHERE (data_pass_id, run_number) = (1, 101)"
    ).fetchone()
    assert now is not None
    assert rows[101]["updated_at"] > now[0]
    assert list(live(committed, [102])) == [102]
    assert live(committed, [101])[101]["computed_now"]
    assert live(committed, []) == {}


def test_a_pair_that_cannot_be_computed_keeps_its_value_and_the_others_are_computed(period: Connection[Any]) -> None:
    for run in (501, 502, 503):
        period.execute(BAD_FLAG, (1, run))
    since = period.execute("select run_number, invalidated_at from gaq.pending order by 1").fetchall()
    poison(period, 1, 502)
    rows = live(period)
    assert {run: row["computed_now"] for run, row in rows.items()} == {
        501: True,
        502: False,
        503: True,
        504: False,
        505: False,
    }
    assert {run: row["bad_run_coverage"] for run, row in rows.items()} == {
        501: 1.0,
        502: 0.0,
        503: 1.0,
        504: 0.0,
        505: 0.0,
    }
    assert rows[502]["invalidated_at"] == dict(since)[502]
    assert ERROR in rows[502]["error"]
    assert [run for run, row in rows.items() if row["error"] or row["invalidated_at"]] == [502]


def test_a_pair_that_was_never_computed_and_one_that_has_left(period: Connection[Any]) -> None:
    period.execute("select gaq.pause()")
    period.execute("insert into runs (run_number) values (599); insert into data_pass_runs values (1, 599)")
    period.execute("delete from data_pass_runs where (data_pass_id, run_number) = (1, 501)")
    rows = live(period)
    assert sorted(rows) == [502, 503, 504, 505, 599]
    assert (rows[599]["not_computable"], rows[599]["created_at"], rows[599]["computed_now"]) == (True, None, True)


def test_more_than_a_bound_is_refused_with_a_sentence(period: Connection[Any]) -> None:
    period.execute("select gaq.recalculate(array[1, 1, 1], array[501, 502, 503])")
    assert len(live(period, None, 3)) == 5
    with pytest.raises(
        psycopg.errors.ProgramLimitExceeded, match="3 runs of this data pass are stale: at most 2"
    ) as caught:
        live(period, None, 2)
    assert "name fewer runs" in (caught.value.diag.message_hint or "")
    assert len(live(period, [501, 502, 504], 2)) == 3


def test_nothing_is_stored_and_nothing_is_locked(period: Connection[Any], connect: Connect) -> None:
    period.execute(BAD_FLAG, (1, 501))
    poison(period, 1, 502)
    before = period.execute("select * from gaq_summaries order by 1, 2").fetchall()
    asking = connect()
    assert live(asking)[501]["computed_now"]
    held = asking.execute(
        "select distinct mode from pg_locks where pid = pg_backend_pid() and locktype <> 'virtualxid'"
    )
    assert held.fetchall() == [("AccessShareLock",)]
    assert asking.execute("select pg_current_xact_id_if_assigned()").fetchone() == (None,)
    drained = period.execute("select count(*) from gaq.refresh()").fetchone()
    assert drained == (2,), "a worker takes both, whoever is reading"
    asking.rollback()
    period.execute("select gaq.recalculate(array[1], array[503])")
    assert before[0][:2] == (1, 501)
    with connect(options="-c default_transaction_read_only=on") as only_reading:
        assert live(only_reading)[503]["computed_now"]


def test_a_reader_may_ask_and_a_policy_is_an_error(period: Connection[Any], reader: Connection[Any]) -> None:
    """Of the pairs that would be computed from what the policy lets through; or of all, when it hides pairs."""
    period.execute(BAD_FLAG, (1, 501))
    assert live(reader)[501]["bad_run_coverage"] == 1.0
    period.execute("alter table qc_flags enable row level security")
    row = live(reader)[501]
    assert "row-level security" in row["error"]
    assert (row["bad_run_coverage"], row["computed_now"]) == (0.0, False)
    assert row["invalidated_at"] is not None
    period.execute("alter table data_pass_runs enable row level security")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
        live(reader)


def test_with_nothing_stale_nothing_is_computed(period: Connection[Any]) -> None:
    """Only stale pairs cost anything: a computation that always fails is not called for the others."""
    alter(period, "gaq.compute", ("begin\nif", "begin raise exception 'computed'; if"))
    assert not any(row["error"] for row in live(period).values())
    period.execute("select gaq.recalculate(array[1], array[503])")
    assert {run for run, row in live(period).items() if row["error"] == "computed"} == {503}
