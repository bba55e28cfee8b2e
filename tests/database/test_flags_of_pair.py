"""What computing reads of flags, in every shape: the right rows, and no others, whatever the planner knows."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from psycopg import Connection

from tests.database.test_plans import rows_read
from tests.support.shapes import Shape, Variant, in_every_shape

PASSES, RUNS, DETECTORS = 20, 100, 6

_COMMON = """
insert into detectors (id, name) select n, 'D' || n from generate_series(1, 6) n;
insert into qc_flag_types (id, name, bad, mc_reproducible) values (1, 'T1', true, false);
insert into data_passes (id, name) select n, 'P' || n from generate_series(1, 20) n;
insert into runs (run_number, time_o2_start, time_o2_end)
select n, '2024-01-01', '2024-01-02' from generate_series(1, 100) n;
insert into data_pass_runs (data_pass_id, run_number) select p.id, run_number from data_passes p, runs;
insert into gaq_detectors (data_pass_id, run_number, detector_id)
select data_pass_id, run_number, d.id from data_pass_runs, detectors d where d.id <= 2;
create table flag as
select row_number() over (order by {order}) as id, p.data_pass_id, p.run_number, d.id as detector_id
from data_pass_runs p, detectors d, generate_series(1, 2) n;
"""
_FLAGS = Variant(
    """
insert into qc_flags (id, data_pass_id, run_number, detector_id, flag_type_id)
select id, data_pass_id, run_number, detector_id, 1 from flag;
insert into qc_flag_verifications (flag_id) select id from qc_flags
""",
    """
insert into qc_flags (id, run_number, detector_id, flag_type_id) select id, run_number, detector_id, 1 from flag;
insert into data_pass_quality_control_flag (data_pass_id, quality_control_flag_id) select data_pass_id, id from flag;
insert into qc_flag_verifications (flag_id) select id from qc_flags
""",
)
_ODD = Variant(
    """
update qc_flags set deleted = true where id % 7 = 0;
update qc_flags set data_pass_id = null where id % 11 = 0
""",
    """
update qc_flags set deleted = true where id % 7 = 0;
delete from data_pass_quality_control_flag where quality_control_flag_id % 11 = 0;
insert into data_pass_quality_control_flag (data_pass_id, quality_control_flag_id)
select 1 + (id * 31) % 20, id from flag where id % 13 = 0 on conflict do nothing
""",
)
_DIFFERENT = """
insert into qc_flag_types (id, name, bad, mc_reproducible) values (2, 'T2', true, true), (3, 'T3', false, false);
update qc_flags set flag_type_id = 1 + id % 3,
    "from" = timestamptz '2024-01-01' + (id * 7 % 20) * interval '1 hour',
    "to" = timestamptz '2024-01-01' + (id * 7 % 20 + 1 + id % 9) * interval '1 hour'
where id % 4 > 0
"""
_SHOWN = """
select id::bigint, detector_id::bigint, flag_type_id::bigint, starts, ends, created_at from gaq.source_flags
where data_pass_id = %s and run_number = %s and detector_id = any (%s)
"""
_ALL_SHOWN = """
select run_number::bigint, id::bigint, detector_id::bigint, flag_type_id::bigint, starts, ends, created_at
from gaq.source_flags where data_pass_id = %s and detector_id = any (%s)
"""
ORDERS = {
    "ids in the order of data passes": "data_pass_id, n, d.id, run_number",
    "ids in no order": "hashint8(run_number * 1000 + data_pass_id * 100 + d.id * 10 + n)",
}
COMPUTE = "select from gaq.compute(array[3, 3, 5], array[1, 2, 3])"
COMPUTE_ALL_RUNS = "select from gaq.compute(array_fill(3, array[100]), array(select generate_series(1, 100)))"
# As gaq.compute has them.
_SETTINGS = "set local plan_cache_mode = force_generic_plan; set local enable_seqscan = off; set local jit = off"


def fill(connection: Connection[Any], shape: Shape, order: str) -> None:
    """Insert the flags of all pairs, two on each detector."""
    connection.execute(_COMMON.format(order=ORDERS[order]).encode())
    connection.execute(shape.of(_FLAGS).encode())


def _keep_statistics(connection: Connection[Any]) -> None:
    """Keep autovacuum from making new ones."""
    for (table,) in connection.execute(
        "select oid::regclass::text from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace"
    ).fetchall():
        connection.execute(f"alter table {table} set (autovacuum_enabled = off)".encode())


def _vacuum(connection: Connection[Any], table: str) -> None:
    """Make statistics, and have it noted that all rows are visible to all, for which no transaction may be older."""
    for _ in range(100):
        connection.execute("vacuum analyze")
        visible = "select relallvisible = relpages from pg_class where oid = %s::regclass"
        if connection.execute(visible, (table,)).fetchone() == (True,):
            return
        time.sleep(0.1)
    raise AssertionError(f"a transaction hides rows of {table} from vacuum")


@in_every_shape
@pytest.mark.parametrize("order", ORDERS)
def test_the_flags_of_a_pair_are_those_that_the_view_shows(db: Connection[Any], shape: Shape, order: str) -> None:
    """With flags that are deleted, of no data pass and, where that can be, of several."""
    fill(db, shape, order)
    db.execute(shape.of(_ODD).encode())
    read = 0
    for data_pass_id in (0, 1, 5, PASSES, PASSES + 1):
        for run_number in (0, 1, 7, RUNS, RUNS + 1, 2**40):
            for detectors in ([], [2], [1, 5, 2**40], list(range(DETECTORS + 1))):
                asked = (data_pass_id, run_number, detectors)
                expected = db.execute(_SHOWN, asked).fetchall()
                rows = db.execute("select * from gaq.source_flags_of(%s, %s, %s)", asked).fetchall()
                assert sorted(rows) == sorted(expected), asked
                read += len(rows)
    assert read > 100


@in_every_shape
@pytest.mark.parametrize("order", ORDERS)
def test_the_flags_of_a_data_pass_are_those_that_the_view_shows(db: Connection[Any], shape: Shape, order: str) -> None:
    fill(db, shape, order)
    db.execute(shape.of(_ODD).encode())
    for data_pass_id in (0, 1, 5, PASSES, PASSES + 1):
        for detectors in ([], [2], [1, 5, 2**40], list(range(DETECTORS + 1))):
            rows = db.execute(
                "select * from gaq.source_flags_of_data_pass(%s, %s)", (data_pass_id, detectors)
            ).fetchall()
            expected = db.execute(_ALL_SHOWN, (data_pass_id, detectors)).fetchall()
            assert sorted(rows) == sorted(expected), (data_pass_id, detectors)
            assert bool(rows) == (detectors != [] and 1 <= data_pass_id <= PASSES)


@in_every_shape
def test_computing_reads_a_data_pass_at_once_for_a_third_of_its_runs(db: Connection[Any], shape: Shape) -> None:
    """In the Bookkeeping's shape alone: in the reference shape an index finds the flags of each pair."""
    fill(db, shape, next(iter(ORDERS)))
    db.execute("delete from data_pass_runs where data_pass_id = 2 and run_number > 9")
    reads = "select gaq.source_reads_data_pass(%s, %s)"
    assert [
        db.execute(reads, (data_pass, pairs)).fetchone() for data_pass, pairs in [(3, 33), (2, 9), (3, 1), (3, 0)]
    ] == [(False,)] * 4
    at_once = shape.of(Variant(False, True))
    assert [db.execute(reads, (3, pairs)).fetchone() for pairs in (34, 100, 1000)] == [(at_once,)] * 3


@in_every_shape
@pytest.mark.parametrize("planned", ["while empty", "without statistics", "with statistics"])
def test_the_choice_reads_no_more_runs_than_it_has_to(db: Connection[Any], shape: Shape, planned: str) -> None:
    """Ten pairs of a data pass, of which 31 runs are enough to know that ten are not a third."""
    pairs = shape.of(Variant("data_pass_runs", "data_passes_runs"))
    ten = "select from gaq.compute(array_fill(3, array[10]), array(select generate_series(1, 10)))"
    _keep_statistics(db)
    db.execute("vacuum analyze")
    if planned == "while empty":
        db.execute(ten)
    fill(db, shape, next(iter(ORDERS)))
    if planned == "with statistics":
        db.execute("vacuum analyze")
    with rows_read(db, pairs) as read:
        db.execute(ten)
    assert sum(read[pairs]) <= 31


@in_every_shape
@pytest.mark.parametrize("order", ORDERS)
def test_a_data_pass_read_at_once_has_the_same_values(db: Connection[Any], shape: Shape, order: str) -> None:
    fill(db, shape, order)
    db.execute(shape.of(_ODD).encode())
    # Periods of all kinds, and pairs with other detectors, without any and without a window.
    db.execute(_DIFFERENT.encode())
    db.execute("delete from gaq_detectors where run_number = 5 or run_number % 3 = 0 and detector_id = 1")
    db.execute("update runs set time_o2_end = null where run_number = 8")
    # Many pairs of one data pass, one pair of another, and many of none.
    pairs = (
        "select 3, n from generate_series(1, 100) n union all select 5, 1 union all select null, generate_series(1, 10)"
    )
    given = f"({pairs}) p (data_pass_id, run)"
    together = db.execute(
        f"select c.* from (select array_agg(data_pass_id) as passes, array_agg(run) as runs from {given}) p,"
        " gaq.compute(passes, runs) c where c.data_pass_id is not null"
    ).fetchall()
    one_by_one = db.execute(
        f"select c.* from {given}, gaq.compute(array[p.data_pass_id], array[run]) c where c.data_pass_id is not null"
    ).fetchall()
    assert sorted(together, key=repr) == sorted(one_by_one, key=repr)
    assert len(together) == 101
    assert len({row[2:] for row in together}) > 10


@in_every_shape
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("planned", ["while empty", "without statistics", "with statistics"])
def test_computing_a_data_pass_fetches_its_flags_alone(
    db: Connection[Any], shape: Shape, order: str, planned: str
) -> None:
    """In the reference shape, without statistics, at most those of the runs."""
    flags = shape.of(Variant("qc_flags", "quality_control_flags"))
    _keep_statistics(db)
    db.execute("vacuum analyze")
    if planned == "while empty":
        db.execute(COMPUTE_ALL_RUNS)
    fill(db, shape, order)
    if planned == "with statistics":
        _vacuum(db, flags)
    with rows_read(db, flags) as read:
        db.execute(COMPUTE_ALL_RUNS)
    scanned, fetched = read[flags]
    assert scanned == 0
    of_data_pass = RUNS * DETECTORS * 2
    most = shape.of(Variant(of_data_pass if planned == "with statistics" else PASSES * of_data_pass, of_data_pass))
    assert RUNS * 2 * 2 <= fetched <= most
    # The statement goes through the flags of a data pass once, not once for each pair.
    with db.transaction():
        db.execute(_SETTINGS)
        db.execute(f"prepare computing (bigint[], bigint[], bigint[]) as {_body_of_compute(db)}".encode())
        lines = [line for (line,) in db.execute("explain execute computing ('{3}', '{7}', '{3}')").fetchall()]
    plan = "\n".join(lines)
    if shape.of(Variant(False, True)):
        assert "Function Scan on source_flags_of_data_pass" in plan, plan
        assert re.search(r"(Hash|Merge) Cond: .*\bf_\d\.run_number\b", plan), plan


def _body_of_compute(connection: Connection[Any]) -> str:
    """Return the statement of ``gaq.compute``: $1 and $2 are the pairs, $3 the data passes that are read at once."""
    row = connection.execute("select prosrc from pg_proc where oid = 'gaq.compute'::regproc").fetchone()
    assert row is not None
    statement: str = row[0].partition("return query")[2].rpartition(";")[0]
    for number, name in enumerate(("data_pass_ids", "run_numbers", "read_at_once"), 1):
        assert name in statement
        statement = statement.replace(name, f"${number}")
    return statement


@in_every_shape
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("planned", ["while empty", "without statistics", "with statistics"])
def test_computing_fetches_the_flags_of_its_pairs_alone(
    db: Connection[Any], shape: Shape, order: str, planned: str
) -> None:
    """In the Bookkeeping's shape those on detectors that matter; without statistics, at most those of the runs."""
    flags = shape.of(Variant("qc_flags", "quality_control_flags"))
    _keep_statistics(db)
    db.execute("vacuum analyze")
    if planned == "while empty":
        db.execute(COMPUTE)
    fill(db, shape, order)
    if planned == "with statistics":
        _vacuum(db, flags)
    with rows_read(db, flags) as read:
        db.execute(COMPUTE)
    scanned, fetched = read[flags]
    wanted, of_pair, of_run = 2 * 2, DETECTORS * 2, PASSES * DETECTORS * 2
    most = shape.of(Variant(of_pair, wanted)) if planned == "with statistics" else 2 * of_run
    assert scanned == 0
    assert 3 * wanted <= fetched <= 3 * most


@in_every_shape
@pytest.mark.parametrize("order", ORDERS)
def test_the_flags_of_a_pair_are_found_by_index(db: Connection[Any], shape: Shape, order: str) -> None:
    """PostgreSQL puts the function's body in the place of the call, and each step has the index that it is made for."""
    fill(db, shape, order)
    db.execute("vacuum analyze")
    with db.transaction():
        db.execute(_SETTINGS)
        db.execute(
            "prepare reading (bigint[], bigint[], bigint[]) as select f.* from unnest($1, $2) p (data_pass_id, run)"
            " cross join lateral (select * from gaq.source_flags_of(p.data_pass_id, p.run, $3) offset 0) f"
        )
        lines = [line for (line,) in db.execute("explain execute reading ('{3}', '{7}', '{1, 2}')").fetchall()]
    plan = "\n".join(lines)
    assert "Seq Scan" not in plan
    assert "Function Scan on source_flags_of" not in plan
    for index in shape.of(
        Variant(
            ("on qc_flags",),
            ("Only Scan using data_pass_quality_control_flag_pkey",),
        )
    ):
        assert index in plan, plan
