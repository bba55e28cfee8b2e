"""What readers see of wide marks: the same pairs as a refresh, whatever waits, and never all marks for a pair."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg import Connection

from tests.database.test_flags_of_pair import ORDERS, fill
from tests.database.test_plans import rows_read
from tests.support.shapes import Shape, Variant, in_every_shape

MANY = 10_000
MARKS = {
    "flag": "select 'flag', 1 + n % 30000, null::bigint from generate_series(1, {many}) n",
    "few flags": "select 'flag', 1 + n * 37 % 30000, null::bigint from generate_series(1, 400) n",
    "run": "select 'run', n % 90, null::bigint from generate_series(1, {many}) n",
    "flag type": "select 'flag type', n % 3, null::bigint from generate_series(1, {many}) n",
    "everything": "select 'everything', null::bigint, null::bigint from generate_series(1, {many}) n",
    "several": "select (array['flag', 'run', 'flag type'])[1 + n % 3], n % 50, null::bigint"
    " from generate_series(1, 90) n",
    "halves of flags": Variant(
        None,
        "select (array['flag in run', 'flag in data pass'])[1 + n % 2], 1 + n * 37 % 24000, 1 + n % 20"
        " from generate_series(1, 300) n",
    ),
}
_PAIR = "select * from gaq_summaries where data_pass_id = {} and run_number = {}"
_MARK = "insert into gaq.wide_invalidations (kind, key, place, cause) "
_DIFFERENT = """
with folded as (
    select data_pass_id, run_number, min(invalidated_at) as invalidated_at
    from gaq.expanded_invalidations group by data_pass_id, run_number
), of_pairs as (
    select data_pass_id, run_number, min(invalidated_at) as invalidated_at
    from gaq.marked_pairs group by data_pass_id, run_number
)
(table folded except table of_pairs) union all (table of_pairs except table folded)
"""
_ODD = Variant(
    "update qc_flags set deleted = true where id % 7 = 0; update qc_flags set data_pass_id = null where id % 11 = 0",
    "update qc_flags set deleted = true where id % 7 = 0;"
    " delete from data_pass_quality_control_flag where quality_control_flag_id % 11 = 0",
)


@pytest.fixture
def filled(db: Connection[Any], shape: Shape) -> Connection[Any]:
    """A database with 2000 pairs of 12 flags, most of which have a summary, and no mark."""
    fill(db, shape, next(iter(ORDERS)))
    db.execute(shape.of(_ODD).encode())
    db.execute("truncate gaq.invalidations, gaq.wide_invalidations")
    db.execute(
        "insert into gaq.summaries (data_pass_id, run_number, updated_at)"
        " select data_pass_id, run_number, now() from gaq.source_pairs where data_pass_id <> 5"
    )
    # One of a pair that is gone.
    db.execute("insert into gaq.summaries (data_pass_id, run_number, updated_at) values (77, 7, now())")
    for table in ("gaq.invalidations", "gaq.wide_invalidations"):
        db.execute(f"alter table {table} set (autovacuum_enabled = off)".encode())
    db.execute("vacuum analyze")
    return db


@in_every_shape
def test_readers_see_the_pairs_that_a_refresh_would_fold(filled: Connection[Any], shape: Shape) -> None:
    for kind, marks in MARKS.items():
        if shape.of(marks) is None:
            continue
        filled.execute("truncate gaq.wide_invalidations")
        filled.execute((_MARK.replace("cause", "invalidated_at, cause") + _at(kind, shape.of(marks))).encode())
        assert filled.execute(_DIFFERENT).fetchall() == [], kind
        assert filled.execute("select count(*) > 20 from gaq.marked_pairs").fetchone() == (True,), kind
        for condition in ("data_pass_id = 3", "data_pass_id = 5 and run_number = 7", "run_number in (8, 9)"):
            compared = _DIFFERENT.replace("group by", f"where {condition} group by")
            assert filled.execute(compared.encode()).fetchall() == [], (kind, condition)


def _at(kind_of_marks: str, marks: str) -> str:
    """The same marks with different times, and few of what stands for many pairs each."""
    kind, _, rest = marks.format(many=20 if kind_of_marks in ("flag type", "everything") else 1000).partition(" from ")
    return f"{kind}, now() - (n * 7919 %% 1000) * interval '1 s', 'test' from {rest}".replace("%%", "%")


@in_every_shape
def test_a_reader_of_a_pair_reads_the_marks_of_that_pair(filled: Connection[Any], shape: Shape) -> None:
    """Whatever kind waits, with a plan made for no marks, without statistics and with them; of pairs with a summary (of
    data pass 3) and without one (of 5).
    """
    filled.prepare_threshold = None
    for kind, marks in MARKS.items():
        if shape.of(marks) is None or kind == "halves of flags":
            continue
        filled.execute("truncate gaq.wide_invalidations")
        filled.execute("vacuum analyze gaq.wide_invalidations")
        filled.execute("set plan_cache_mode = force_generic_plan")
        filled.execute(f"prepare reading (bigint, bigint) as {_PAIR.format('$1', '$2')}".encode())
        filled.execute("execute reading (3, 7)")
        filled.execute((_MARK + f"select *, 'test' from ({shape.of(marks).format(many=MANY)}) m").encode())
        for data_pass_id in (3, 5):
            for statistics, question in (
                ("", f"execute reading ({data_pass_id}, 7)"),
                ("", _PAIR.format(data_pass_id, 7)),
                ("analyze gaq.wide_invalidations", _PAIR.format(data_pass_id, 7)),
            ):
                filled.execute(statistics.encode())
                with rows_read(filled, "wide_invalidations") as read:
                    filled.execute(question.encode())
                scanned, fetched = read["wide_invalidations"]
                # "Is there any mark" stops at the first; and marks of flags are counted up to 501.
                assert scanned <= 10, (kind, question, read)
                assert fetched <= 3000, (kind, question, read)
        filled.execute("deallocate reading")
