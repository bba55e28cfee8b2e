"""Which indexes a sources file needs, and which existing indexes suffice."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg import Connection

from gaq_listen.dba import indexes
from gaq_listen.dba.sources import named, shipped

REFERENCE = named("reference")


@pytest.mark.parametrize("name", list(shipped()))
def test_every_index_line_of_a_sources_file_is_read(name: str) -> None:
    assert len(indexes.needed(named(name))) == named(name).text.count("-- [index] ")


@pytest.mark.parametrize(
    ("statement", "suffices"),
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
def test_index_suffices_if_it_begins_with_the_columns(bare_db: Connection[Any], statement: str, suffices: bool) -> None:
    bare_db.execute("drop index qc_flags_by_pair")
    (missing,) = indexes.missing(bare_db, "public", REFERENCE)
    assert missing.what == "no index on qc_flags (data_pass_id, run_number)"
    bare_db.execute(statement.encode())
    assert (indexes.missing(bare_db, "public", REFERENCE) == []) is suffices


def test_index_of_a_partitioned_table_is_not_concurrent(bare_db: Connection[Any]) -> None:
    bare_db.execute("drop table gaq_detectors")
    bare_db.execute("create table gaq_detectors (data_pass_id int, run_number int) partition by list (run_number)")
    (missing,) = indexes.missing(bare_db, "public", REFERENCE)
    assert missing.fix == "CREATE INDEX ON public.gaq_detectors (data_pass_id, run_number);"
    bare_db.execute(missing.fix.encode())
    assert indexes.missing(bare_db, "public", REFERENCE) == []


def test_missing_tables_and_columns_need_no_index(bare_db: Connection[Any]) -> None:
    bare_db.execute("drop table gaq_detectors; alter table qc_flag_verifications rename flag_id to flag")
    assert indexes.missing(bare_db, "public", REFERENCE) == []
    assert indexes.missing(bare_db, "nowhere", REFERENCE) == []
