"""gaq.periods: added up, they are the summary, exactly; in every shape, for a reader, and on the caller's snapshot."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg import Connection

from tests.database.test_compute import differences, repeatable
from tests.database.test_rights import reader as reader
from tests.support.golden_cases import run_time_changes, scenarios
from tests.support.model import NOT_COMPUTABLE, Pair, Summary, summary
from tests.support.shapes import in_every_shape
from tests.support.strategies import batches
from tests.support.tables import Key, computed, insert

PERIODS = 'select "from", "to", quality, flag_ids, unverified_flag_ids, detectors_without_flag from gaq.periods(%s, %s)'
MICROSECOND = timedelta(microseconds=1)

Row = tuple[datetime, datetime, str, list[int], list[int], list[int]]


def periods(connection: Connection[Any], key: Key) -> list[Row]:
    return connection.execute(PERIODS, key).fetchall()


def added_up(rows: Sequence[Row]) -> Summary:
    """The summary that the periods say, by integer arithmetic and one division."""
    if not rows:
        return NOT_COMPUTABLE
    length = dict.fromkeys(("good", "mc_reproducible", "bad", "undefined"), 0)
    unverified: set[int] = set()
    undefined = 0
    for start, end, quality, _, missing, without in rows:
        length[quality] += (end - start) // MICROSECOND
        unverified.update(missing)
        undefined += len(without)
    whole = sum(length.values())
    return Summary(
        bad=length["bad"] / whole,
        mcr=length["mc_reproducible"] / whole,
        not_bad=length["good"] / whole,
        missing_verifications=len(unverified),
        undefined_quality_periods=undefined,
        not_computable=False,
    )


def assert_well_formed(rows: Sequence[Row], pair: Pair) -> None:
    """Check the order, that nothing is between two periods, that neighbours differ, and that each detector is told."""
    for (_, end, _, flags, _, _), (start, _, _, next_flags, _, _) in pairwise(rows):
        assert end == start
        assert flags != next_flags
    for start, end, quality, flags, unverified, without in rows:
        assert start < end
        assert set(unverified) <= set(flags)
        assert len(flags) + len(without) == len(set(pair.gaq_detectors))
        assert (quality == "undefined") == bool(without)


@in_every_shape
def test_the_golden_cases_add_up_exactly(db: Connection[Any]) -> None:
    cases = [(case.pair, case.expected) for case in scenarios()]
    cases += [(case.after, case.expected_after) for case in run_time_changes()]
    pairs = {(number % 5 + 1, 500_000 + number): pair for number, (pair, _) in enumerate(cases)}
    with db.transaction():
        insert(db, pairs)
    now = computed(db, list(pairs))
    computable = 0
    for (key, pair), (_, expected) in zip(pairs.items(), cases, strict=True):
        rows = periods(db, key)
        assert added_up(rows) == now[key], f"not the very same numbers: {key}"
        assert added_up(rows).differences(expected) == {}
        assert_well_formed(rows, pair)
        computable += bool(rows)
    assert computable > 200


@in_every_shape
@settings(repeatable, max_examples=60)
@given(batch=batches(), data=st.data())
def test_random_pairs_add_up_to_the_model(db: Connection[Any], batch: dict[Key, Pair], data: st.DataObject) -> None:
    with db.transaction(force_rollback=True):
        insert(db, batch)
        found = {key: periods(db, key) for key in batch}
        now = computed(db, list(batch))
    assert (
        differences({key: added_up(rows) for key, rows in found.items()}, {k: summary(p) for k, p in batch.items()})
        == {}
    )
    for key, rows in found.items():
        assert added_up(rows) == now[key]
        assert_well_formed(rows, batch[key])


@in_every_shape
def test_each_period_names_what_makes_it(committed: Connection[Any]) -> None:
    """A flag of five hours is hidden for one, and a detector has none for the last hour."""
    committed.execute("""UPDATE qc_flags SET "to" = '2024-01-01 09:00Z' WHERE id = 12""")
    found = [
        (start.hour, end.hour, quality, flags, unverified, without)
        for start, end, quality, flags, unverified, without in periods(utc(committed), (1, 101))
    ]
    assert found == [
        (1, 5, "good", [11, 12], [12], []),
        (5, 6, "bad", [12, 13], [12, 13], []),
        (6, 9, "good", [11, 12], [12], []),
        (9, 10, "undefined", [11], [], [2]),
    ]
    assert periods(committed, (3, 102)) == [], "no such pair"
    committed.execute("UPDATE qc_flags SET deleted = true WHERE run_number = 103")
    assert periods(committed, (3, 103)) == [], "not computable"


def utc(connection: Connection[Any]) -> Connection[Any]:
    connection.execute("SET timezone = 'UTC'")
    return connection


@in_every_shape
def test_they_are_of_the_callers_snapshot(committed: Connection[Any], connect: Any) -> None:
    mine = connect()
    mine.execute("UPDATE qc_flags SET deleted = true WHERE id = 13")
    assert [row[2] for row in periods(mine, (1, 101))] == ["good"]
    assert [row[2] for row in periods(committed, (1, 101))] == ["good", "bad", "good"]
    mine.rollback()


@in_every_shape
def test_a_detector_that_no_flag_can_name_is_without_one(db: Connection[Any]) -> None:
    """Only a table without the reference's constraints, or a sources file, has one."""
    pair = scenarios()[0].pair
    insert(db, {(1, 1): pair})
    if db.execute("SELECT to_regclass('gaq_detectors')").fetchone() != (None,):
        db.execute("ALTER TABLE gaq_detectors DROP CONSTRAINT IF EXISTS gaq_detectors_pkey")
    db.execute("ALTER TABLE gaq_detectors ALTER detector_id DROP NOT NULL")
    db.execute("INSERT INTO gaq_detectors (data_pass_id, run_number, detector_id) VALUES (1, 1, null)")
    rows = periods(db, (1, 1))
    assert {row[2] for row in rows} == {"undefined"}
    assert all(None in row[5] for row in rows)
    assert added_up(rows) == computed(db, [(1, 1)])[1, 1]


def test_a_reader_may_select_them_and_a_policy_is_an_error(period: Connection[Any], reader: Connection[Any]) -> None:
    assert [row[2] for row in periods(reader, (1, 501))] == ["good"]
    period.execute("ALTER TABLE qc_flags ENABLE ROW LEVEL SECURITY")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
        periods(reader, (1, 501))
