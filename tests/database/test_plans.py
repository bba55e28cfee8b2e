"""What is read, of many marks and many flags: guarded by plans and by counts of rows, never by time.

Statistics are as old as they can be: from when the tables were empty. Autovacuum is kept from making them new.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from psycopg import Connection
from pytest_postgresql.executors import NoopExecutor

from gaq_listen.dba.checks import backlog
from tests.conftest import Connect, Server
from tests.support import small_world

PAIRS = 10_000
MARKS = 100_000

STALE = """
alter table gaq.invalidations set (autovacuum_enabled = off);
alter table gaq.summaries set (autovacuum_enabled = off);
"""
SUMMARIES = """
insert into gaq.summaries (data_pass_id, run_number, updated_at)
select 1 + n / 400, n % 400, now() from generate_series(0, 9999) n;
"""
PAIRS_OF_SUMMARIES = """
insert into data_passes (id, name) select n, 'P' || n from generate_series(1, 25) n;
insert into runs (run_number) select n from generate_series(0, 399) n;
insert into data_pass_runs select data_pass_id, run_number from gaq.summaries where data_pass_id <= 25;
delete from gaq.invalidations where cause = 'data pass';
"""
MARK = """
insert into gaq.invalidations (data_pass_id, run_number, cause)
select 1 + n % 10000 / 400, n % 400, 'test' from generate_series(0, 99999) n
"""
FLAGS = """
insert into detectors (id, name) select n, 'D' || n from generate_series(1, 10) n;
insert into qc_flag_types (id, name, bad) select n, 'T' || n, n % 2 = 0 from generate_series(1, 20) n;
insert into data_passes (id, name) select n, 'P' || n from generate_series(1, 10) n;
insert into runs (run_number, time_o2_start, time_o2_end)
select n, '2024-01-01', '2024-01-02' from generate_series(1, 100) n;
insert into data_pass_runs select p.id, run_number from data_passes p, runs;
insert into gaq_detectors select data_pass_id, run_number, d.id from data_pass_runs, detectors d;
insert into qc_flags (data_pass_id, run_number, detector_id, flag_type_id)
select data_pass_id, run_number, detector_id, 1 + (run_number + detector_id) % 20
from gaq_detectors order by detector_id, run_number;
insert into qc_flag_verifications (flag_id) select id from qc_flags;
"""
ONE_PAIR = "select * from gaq_summaries where data_pass_id = $1 and run_number = 7"
MANY_PAIRS = "select * from gaq_summaries where data_pass_id = $1"
QUESTIONS = pytest.mark.parametrize("question", [ONE_PAIR, MANY_PAIRS], ids=["pair", "data pass"])
MODES = pytest.mark.parametrize("mode", ["force_generic_plan", "force_custom_plan"])


@pytest.fixture(scope="module")
def many(server: Server, installed_template: NoopExecutor) -> Iterator[Connection[Any]]:
    """A database with many summaries, analyzed while there were no marks, and with its marks: not to be changed."""
    name = f"{installed_template.dbname}_plans"
    with small_world.database(server, name, installed_template.template_dbname) as connection:
        connection.execute(FLAGS.encode())
        connection.execute("truncate gaq.invalidations, gaq.wide_invalidations")
        connection.execute(STALE.encode())
        connection.execute(SUMMARIES.encode())
        connection.execute("vacuum analyze")
        yield connection


@pytest.fixture
def without_marks(many: Connection[Any]) -> Iterator[Connection[Any]]:
    with many.transaction(force_rollback=True):
        yield many
    many.execute("deallocate all")


def prepared(connection: Connection[Any], question: str, mode: str) -> None:
    """Prepares it, and has its plan made if that is made once for all."""
    connection.execute(f"set local plan_cache_mode = {mode}".encode())
    connection.execute(f"prepare question (bigint) as {question}".encode())
    connection.execute("execute question (3)")


def scans(connection: Connection[Any], relations: set[str], analyze: str = "true") -> list[dict[str, Any]]:
    """The plan's nodes that read these tables or their indexes, as executed for data pass 3."""
    query = f"explain (analyze {analyze}, timing off, format json) execute question (3)"
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    plans = row[0] if isinstance(row[0], list) else json.loads(row[0])

    def walk(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield node
        for child in node.get("Plans", []):
            yield from walk(child)

    nodes = [node for plan in plans for node in walk(plan["Plan"])]
    return [node for node in nodes if node.get("Relation Name") in relations]


@QUESTIONS
@MODES
def test_marks_and_summaries_are_found_by_their_pair(without_marks: Connection[Any], question: str, mode: str) -> None:
    """With statistics that know of the marks."""
    connection = without_marks
    connection.execute(MARK)
    connection.execute("analyze gaq.invalidations")
    prepared(connection, question, mode)
    found = scans(connection, {"invalidations", "summaries"})
    reading = [node for node in found if node["Actual Loops"]]
    assert {node["Relation Name"] for node in reading} == {"invalidations", "summaries"}
    assert all(node["Node Type"] in ("Index Scan", "Index Only Scan", "Bitmap Heap Scan") for node in reading)
    pairs = 1 if question == ONE_PAIR else 400
    rows = {node["Relation Name"]: node["Actual Rows"] * node["Actual Loops"] for node in reading}
    assert rows["summaries"] == pairs
    # Of a single pair the first is enough, and not every version sees that.
    assert pairs <= rows["invalidations"] <= pairs * MARKS // PAIRS


@QUESTIONS
@MODES
def test_a_plan_made_for_no_marks_goes_through_them_at_most_once(
    without_marks: Connection[Any], question: str, mode: str
) -> None:
    """A cached plan, or statistics, from when there were none: never a scan of all marks for each row of something."""
    connection = without_marks
    prepared(connection, question, mode)
    connection.execute(MARK)
    for node in scans(connection, {"invalidations", "summaries"}):
        assert node["Actual Loops"] <= 1, node
        removed = node.get("Rows Removed by Filter", 0)
        assert node["Actual Rows"] + removed <= MARKS


@QUESTIONS
def test_wide_marks_are_looked_up_by_index(without_marks: Connection[Any], question: str) -> None:
    """The pairs of wide marks, by plans that expect none: each table is asked by a key, or gone through once."""
    connection = without_marks
    prepared(connection, question, "force_generic_plan")
    sources = {"qc_flags", "gaq_detectors", "data_pass_runs"}
    for node in scans(connection, sources, analyze="false"):
        by_key = node["Node Type"] != "Seq Scan"
        assert by_key or node["Relation Name"] == "data_pass_runs", node


READ = """
select relname, coalesce(seq_tup_read, 0), coalesce(idx_tup_fetch, 0)
from pg_stat_xact_user_tables where relname = any (%s)
"""


@contextmanager
def rows_read(connection: Connection[Any], *tables: str) -> Iterator[dict[str, tuple[int, int]]]:
    """How many rows are read of each table in the block, in a transaction: by going through it, and by index."""
    read: dict[str, tuple[int, int]] = {}
    with connection.transaction():
        before = {row[0]: row for row in connection.execute(READ, (list(tables),)).fetchall()}
        yield read
        for name, by_scan, by_index in connection.execute(READ, (list(tables),)).fetchall():
            _, scanned, fetched = before[name]
            read[name] = by_scan - scanned, by_index - fetched


@pytest.mark.parametrize("planned", ["before the summaries", "before the marks", "after the marks"])
def test_a_batch_reads_as_many_marks_as_it_looks_for(db: Connection[Any], connect: Connect, planned: str) -> None:
    """A claim, the seeding before it and the deletion after it, among very many marks, summaries and pairs."""
    db.execute(STALE.encode())
    db.execute("alter table data_pass_runs set (autovacuum_enabled = off)")
    db.execute("vacuum analyze gaq.summaries, gaq.invalidations, data_pass_runs")
    worker = connect(autocommit=True)
    for now, statements in (("before the summaries", SUMMARIES), ("before the marks", MARK), ("after the marks", "")):
        if planned == now:
            # A pair that is no other's, and is in no data pass.
            db.execute("insert into gaq.invalidations (data_pass_id, run_number, cause) values (99, 1, 'test')")
            worker.execute("select from gaq.refresh(1)")
        db.execute(statements.encode())
    db.execute(PAIRS_OF_SUMMARIES.encode())
    with rows_read(worker, "invalidations", "summaries", "data_pass_runs") as read:
        assert len(worker.execute("select from gaq.refresh(100)").fetchall()) == 100
    assert read["invalidations"][0] == read["summaries"][0] == read["data_pass_runs"][0] == 0
    # The thousand oldest, the youngest of each of their pairs, and the marks of a hundred pairs.
    assert read["invalidations"][1] < MARKS / 10
    assert read["summaries"][1] < PAIRS / 2
    # From an empty table's statistics the index of the runs seems as good as that of the pairs, which are 25 to a run.
    assert read["data_pass_runs"][1] <= 2500


READ_BY_COMPUTING = ("qc_flags", "qc_flag_verifications", "gaq_detectors", "runs")
TEMPTING = """
create index on qc_flags (detector_id);
create index on qc_flags (data_pass_id, created_at);
create index on gaq_detectors (detector_id);
"""
PLANNED = pytest.mark.parametrize("planned", ["before the flags", "after the flags"])
INDEXES = pytest.mark.parametrize("others", ["", TEMPTING], ids=["our indexes", "also others"])


def flags_come(connection: Connection[Any], compute: str, planned: str, others: str) -> None:
    """Among these other indexes, with statistics of empty tables, and before or after ``compute`` was planned."""
    for table in READ_BY_COMPUTING:
        connection.execute(f"alter table {table} set (autovacuum_enabled = off)".encode())
    connection.execute(others.encode())
    connection.execute("vacuum analyze")
    if planned == "before the flags":
        connection.execute(compute.encode())
    connection.execute(FLAGS.encode())


@PLANNED
@INDEXES
def test_computing_reads_the_flags_of_its_pairs_and_no_others(db: Connection[Any], planned: str, others: str) -> None:
    compute = "select from gaq.compute(array[1, 2, 3], array[1, 2, 3])"
    flags_come(db, compute, planned, others)
    with rows_read(db, *READ_BY_COMPUTING) as read:
        db.execute(compute)
    # With statistics of an empty table the index of the runs seems as good as that of the pairs: then these are the
    # rows of three runs in all ten data passes.
    for table in ("qc_flags", "gaq_detectors"):
        by_scan, by_index = read.pop(table)
        assert by_scan == 0
        assert by_index == 30 or (planned == "before the flags" and by_index == 300)
    assert read == {"qc_flag_verifications": (0, 30), "runs": (0, 3)}


@PLANNED
@INDEXES
def test_whether_a_pair_has_any_flag_is_asked_of_its_own_flags(db: Connection[Any], planned: str, others: str) -> None:
    """A pair whose flags are all on detectors that do not matter."""
    compute = "select not_computable from gaq.compute(array[1], array[1])"
    flags_come(db, compute, planned, others)
    db.execute("insert into detectors (id, name) values (11, 'D11')")
    db.execute("delete from gaq_detectors where data_pass_id = 1 and run_number = 1")
    db.execute("insert into gaq_detectors values (1, 1, 11)")
    with rows_read(db, "qc_flags") as read:
        assert db.execute(compute).fetchone() == (False,)
    assert read["qc_flags"][0] == 0
    assert read["qc_flags"][1] <= (200 if planned == "before the flags" else 11)


def test_a_backlog_is_counted_in_one_pass_over_the_marks(many: Connection[Any]) -> None:
    """By status and by doctor: they neither look for the oldest mark of each pair, nor ask for the mark of each."""
    with many.transaction(force_rollback=True):
        many.execute(MARK.encode())
        with rows_read(many, "invalidations") as read:
            assert many.execute("select stale_pairs from gaq.backlog()").fetchone() == (PAIRS,)
        assert sum(read["invalidations"]) <= 2 * MARKS
        with rows_read(many, "invalidations") as read:
            many.execute(backlog._UNMARKED.encode())
        assert sum(read["invalidations"]) <= 2 * MARKS
