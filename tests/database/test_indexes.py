"""Which indexes are wanted, and which are found to do."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg import Connection

from gaq_listen.dba import indexes
from gaq_listen.dba.sources import named, shipped

REFERENCE = named("reference")


@pytest.mark.parametrize("name", list(shipped()))
def test_every_index_line_is_read(name: str) -> None:
    assert len(indexes.needed(named(name))) == named(name).text.count("-- [index] ")


@pytest.mark.parametrize(
    ("statement", "does"),
    [
        ("create index on qc_flags (run_number, data_pass_id)", True),
        ("create index on qc_flags (data_pass_id, run_number, id) include (comment)", True),
        ("create index on qc_flags (data_pass_id) include (run_number)", False),
        ("create index on qc_flags (data_pass_id, id, run_number)", False),
        ("create index on qc_flags (data_pass_id, run_number) where id < 10", False),
        ("create index on qc_flags (data_pass_id, (run_number + 1), run_number)", False),
        ("create index on qc_flags using brin (data_pass_id, run_number)", False),
    ],
)
def test_which_indexes_do(bare_db: Connection[Any], statement: str, does: bool) -> None:
    bare_db.execute("drop index qc_flags_by_pair")
    (missing,) = indexes.missing(bare_db, "public", REFERENCE)
    assert (missing.table, missing.columns) == ("qc_flags", ("data_pass_id", "run_number"))
    bare_db.execute(statement.encode())
    assert (indexes.missing(bare_db, "public", REFERENCE) == []) is does


@pytest.mark.parametrize(
    ("columns", "does"),
    [
        ("run_number, id, detector_id", True),
        ("run_number, id, detector_id, flag_type_id", True),
        ("run_number, detector_id, id", False),
        ("run_number, id", False),
    ],
)
def test_columns_that_are_asked_for_ranges_keep_their_order(
    bookkeeping_bare_database: Connection[Any], columns: str, does: bool
) -> None:
    bookkeeping = named("bookkeeping")
    flags = "quality_control_flags"
    bookkeeping_bare_database.autocommit = True
    bookkeeping_bare_database.execute("drop index quality_control_flags_by_run")
    (missing,) = [i for i in indexes.missing(bookkeeping_bare_database, "public", bookkeeping) if i.table == flags]
    assert missing.statement("public").endswith("(run_number, id, detector_id);")
    bookkeeping_bare_database.execute(f"create index on {flags} ({columns})".encode())
    assert all(i.table != flags for i in indexes.missing(bookkeeping_bare_database, "public", bookkeeping)) is does


def test_an_index_on_a_partitioned_table(bare_db: Connection[Any]) -> None:
    bare_db.execute("drop table gaq_detectors")
    bare_db.execute("create table gaq_detectors (data_pass_id int, run_number int) partition by list (run_number)")
    (missing,) = indexes.missing(bare_db, "public", REFERENCE)
    assert missing.statement("public") == "CREATE INDEX ON public.gaq_detectors (data_pass_id, run_number);"
    bare_db.execute(missing.statement("public").encode())
    assert indexes.missing(bare_db, "public", REFERENCE) == []


def test_tables_and_columns_that_are_not_there_want_no_index(bare_db: Connection[Any]) -> None:
    bare_db.execute("drop table gaq_detectors; alter table qc_flag_verifications rename flag_id to flag")
    assert indexes.missing(bare_db, "public", REFERENCE) == []
    assert indexes.missing(bare_db, "nowhere", REFERENCE) == []
