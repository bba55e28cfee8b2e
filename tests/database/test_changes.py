"""gaq.changes: a refresh that changes values writes down what they were; others write nothing."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from psycopg import Connection, sql

from gaq_listen.reports.changes import SummaryChange, read, retention, set_retention
from tests.conftest import Connect
from tests.database.test_rights import reader as reader
from tests.database.test_rights import worker as worker
from tests.support.shapes import in_every_shape
from tests.support.small_period import BAD_FLAG
from tests.support.tables import drain
from tests.support.uncomputable_pairs import poison


def forget(db: Connection[Any]) -> None:
    db.execute("DELETE FROM gaq.changes")


def changes(db: Connection[Any], *key: int) -> list[SummaryChange]:
    return read(db, *key)


@in_every_shape
def test_values_before_and_after_with_cause_and_author(committed: Connection[Any]) -> None:
    forget(committed)
    committed.execute("UPDATE qc_flags SET flag_type_id = 2 WHERE id = 11")
    committed.execute("INSERT INTO qc_flag_verifications (flag_id) VALUES (12)")
    committed.execute("SELECT FROM gaq.refresh(worker => 'gaq-1')")
    (change,) = changes(committed)
    assert (change.data_pass_id, change.data_pass, change.run_number) == (1, "apass1", 101)
    assert (change.cause, change.refreshed_by, change.removed) == ("flag, verification", "gaq-1", False)
    assert change.bad_before == pytest.approx(1 / 9)
    assert change.good_before == pytest.approx(8 / 9)
    assert (change.bad_after, change.good_after) == (1.0, 0.0)
    assert (change.missing_verifications_before, change.missing_verifications_after) == (2, 1)
    assert (change.not_computable_before, change.not_computable_after) == (False, False)
    assert change.description() == "good 88.9 → 0.0 %, bad 11.1 → 100.0 %, missing verifications 2 → 1"


@in_every_shape
def test_a_refresh_that_changes_no_value_writes_nothing(committed: Connection[Any]) -> None:
    forget(committed)
    committed.execute("SELECT gaq.recalculate(array_agg(data_pass_id), array_agg(run_number)) FROM data_pass_runs")
    committed.execute("INSERT INTO qc_flag_verifications (flag_id) VALUES (11)")
    drain(committed)
    assert changes(committed) == []


@in_every_shape
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE qc_flags SET deleted = true WHERE run_number = 103", "good 100.0 % → not computable"),
        ("DELETE FROM gaq_detectors WHERE run_number = 103", "good 100.0 % → not computable"),
        ("INSERT INTO qc_flag_verifications (flag_id) VALUES (41)", "missing verifications 1 → 0"),
        ("DELETE FROM data_pass_runs WHERE run_number = 103", "removed: the run left the data pass"),
        ("INSERT INTO gaq_detectors VALUES (3, 103, 2)", "good 100.0 → 0.0 %, undefined periods 0 → 1"),
    ],
)
def test_each_value_counts(committed: Connection[Any], change: str, said: str) -> None:
    forget(committed)
    committed.execute(change.encode())
    drain(committed)
    (found,) = changes(committed, 3, 103)
    assert found.description() == said
    assert found.removed == said.startswith("removed")


@in_every_shape
def test_the_first_values_of_a_pair_are_a_change(committed: Connection[Any]) -> None:
    forget(committed)
    committed.execute("INSERT INTO data_pass_runs VALUES (3, 102); INSERT INTO gaq_detectors VALUES (3, 102, 1)")
    committed.execute(
        "INSERT INTO qc_flags (data_pass_id, run_number, detector_id, flag_type_id) VALUES (3, 102, 1, 2)"
    )
    drain(committed)
    (found,) = changes(committed)
    assert found.not_computable_before is None
    assert found.description() == "first values: good 0.0 %, MC reproducible 0.0 %, bad 100.0 %"


def test_a_pair_that_fails_has_not_changed_and_the_others_have(period: Connection[Any]) -> None:
    forget(period)
    for run in (501, 502):
        period.execute(BAD_FLAG, (1, run))
    poison(period, 1, 502)
    drain(period)
    assert [change.run_number for change in changes(period)] == [501]


def test_what_is_rolled_back_has_not_changed(period: Connection[Any], connect: Connect) -> None:
    forget(period)
    period.execute(BAD_FLAG, (1, 501))
    refreshing = connect()
    refreshing.execute("select from gaq.refresh()")
    assert len(changes(refreshing)) == 1
    refreshing.rollback()
    assert changes(period) == []
    drain(period)
    assert len(changes(period)) == 1


def test_they_are_found_by_pair_and_by_age_the_newest_last(period: Connection[Any]) -> None:
    forget(period)
    for run in (501, 502, 501):
        period.execute(BAD_FLAG, (1, run))
        drain(period)
        period.execute("update qc_flags set deleted = true where flag_type_id = 2")
        drain(period)
    assert [change.run_number for change in changes(period)] == [501, 501, 502, 502, 501, 501]
    assert [(c.good_before, c.good_after) for c in changes(period, 1, 502)] == [(1.0, 0.0), (0.0, 1.0)]
    assert changes(period, 2) == []
    assert [change.run_number for change in read(period, at_most=3)] == [502, 501, 501]
    period.execute("update gaq.changes set changed_at = changed_at - interval '1 day' where run_number = 502")
    assert {change.run_number for change in read(period, since=3600)} == {501}
    assert len(read(period, since=90_000)) == 6


@pytest.mark.parametrize(("since", "left"), [("89 days", 1), ("91 days", 0)])
def test_a_batch_trims_what_is_older_than_it_is_kept(period: Connection[Any], since: str, left: int) -> None:
    """The default is 90 days."""
    forget(period)
    period.execute(BAD_FLAG, (1, 501))
    drain(period)
    period.execute(sql.SQL("update gaq.changes set changed_at = changed_at - {}::interval").format(since))
    period.execute("select gaq.recalculate(array[1], array[502])")
    drain(period)
    assert len(changes(period)) == left


def test_nothing_is_kept_with_zero_and_what_was_kept_goes(period: Connection[Any]) -> None:
    assert len(changes(period)) == 10
    assert set_retention(period, 0) == retention(period) + 90 * 86400
    for run in (501, 502):
        period.execute(BAD_FLAG, (1, run))
        drain(period)
    assert changes(period) == []
    period.execute("truncate gaq.changes")
    period.execute(BAD_FLAG, (1, 503))
    drain(period)
    written = period.execute("select pg_relation_size('gaq.changes')").fetchone()
    assert written == (0,), "nothing is written, rather than written and deleted"
    assert set_retention(period, 60) == 0
    period.execute("update qc_flags set deleted = true where flag_type_id = 2")
    drain(period)
    assert {change.run_number for change in changes(period)} == {501, 502, 503}
    with pytest.raises(psycopg.errors.CheckViolation):
        set_retention(period, -1)


def test_a_batch_trims_no_more_than_twice_its_pairs(period: Connection[Any]) -> None:
    """So a long past, or a setting that was lowered, makes no batch slow."""
    forget(period)
    period.execute(
        "insert into gaq.changes (data_pass_id, run_number, changed_at, removed)"
        " select 1, 501, now() - interval '1 year' + n * interval '1 s', false from generate_series(1, 100) n"
    )
    period.execute("select gaq.recalculate(array[1], array[501])")
    period.execute("select from gaq.refresh(20)")
    assert period.execute(
        "select count(*), min(changed_at) = max(changed_at) - interval '59 s' from gaq.changes"
    ).fetchone() == (
        60,
        True,
    )


def test_trimming_waits_for_nobody(period: Connection[Any], connect: Connect) -> None:
    period.execute("update gaq.changes set changed_at = changed_at - interval '1 year'")
    other = connect()
    other.execute("select from gaq.changes where run_number = 501 for update")
    period.execute("set lock_timeout = '1 s'")
    period.execute("select gaq.recalculate(array[1], array[502])")
    drain(period)
    assert {change.run_number for change in changes(period)} == {501}
    other.rollback()


def test_the_table_stays_as_large_as_what_is_kept(period: Connection[Any]) -> None:
    """Vacuum gives the space of trimmed changes to new ones: after as much again, it has not grown much."""
    set_retention(period, 0.001)
    sizes = []
    for _ in range(3):
        for number in range(40):
            period.execute("update qc_flag_types set bad = not bad where id = 1")
            drain(period)
            if number % 10 == 9:
                period.execute("vacuum gaq.changes")
        ((pages,),) = period.execute("select pg_relation_size('gaq.changes') / 8192").fetchall()
        sizes.append(pages)
    assert sizes[0] <= 5
    assert sizes[2] <= sizes[0] + 2, sizes


def test_who_may_read_and_who_may_set(
    period: Connection[Any], reader: Connection[Any], worker: Connection[Any]
) -> None:
    assert len(changes(reader)) == 10
    assert retention(reader) == 90 * 86400
    for attempt in (
        "select gaq.keep_changes('1 day')",
        "delete from gaq.changes",
        "update gaq.settings set keep_changes = '0'",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            reader.execute(attempt.encode())
    assert set_retention(worker, 86400) == 90 * 86400
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        worker.execute("delete from gaq.changes")
