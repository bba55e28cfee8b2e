"""Marking where qc_flags is partitioned by run: what is done through the parent marks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from psycopg import Connection

from gaq_listen.dba.scripts import INSTALL_SCRIPTS, script
from tests.conftest import Server
from tests.database.test_marking import FLAGS, Row, assert_marks
from tests.support import small_world
from tests.support.altered_functions import replaced
from tests.support.shapes import REFERENCE
from tests.support.small_world import A, B, C, D
from tests.support.tables import Key

_PARTITIONS = {
    "RANGE": "CREATE TABLE qc_flags_101 PARTITION OF qc_flags FOR VALUES FROM (0) TO (102);"
    " CREATE TABLE qc_flags_102 PARTITION OF qc_flags FOR VALUES FROM (102) TO (103);"
    " CREATE TABLE qc_flags_later PARTITION OF qc_flags DEFAULT;",
    "LIST": "CREATE TABLE qc_flags_101 PARTITION OF qc_flags FOR VALUES IN (101, 105);"
    " CREATE TABLE qc_flags_102 PARTITION OF qc_flags FOR VALUES IN (102);"
    " CREATE TABLE qc_flags_later PARTITION OF qc_flags DEFAULT;",
}

# A foreign key cannot refer to the id alone of a partitioned table, nor does one cascade from it.
ROWS: list[Row] = [
    *FLAGS,
    ("UPDATE qc_flags SET run_number = run_number + 1 WHERE id IN (11, 21)", {A, B, (1, 103)}),
    ("UPDATE qc_flags SET run_number = 101, data_pass_id = 2 WHERE id = 41", {C, D}),
    ("UPDATE qc_flags SET run_number = 102 WHERE id = 71", set()),
    ("UPDATE qc_flags SET run_number = 102, deleted = false WHERE id = 71", {B}),
    ("UPDATE qc_flags SET run_number = 103 WHERE id = 51", set()),
    ("UPDATE qc_flags SET comment = 'looks right'", set()),
    ("UPDATE runs SET run_number = 105 WHERE run_number = 101", {A, C, (1, 105), (2, 105)}),
    ("DELETE FROM runs WHERE run_number = 101", {A, C}),
    ("DELETE FROM data_passes WHERE id = 1", {A, B}),
    ("TRUNCATE qc_flags", {A, B, C, D}),
]


def _of_reference(row: Row) -> tuple[str | None, set[Key]]:
    statements, pairs = row
    return REFERENCE.of(statements), REFERENCE.of(pairs)


def _partitioned(by: str) -> str:
    """The reference tables, with qc_flags partitioned."""
    before, opening, after = script("reference_tables").partition("create table qc_flags (")
    columns, end, after = after.partition("\n);")
    columns = replaced(columns, ("bigint primary key", "bigint"))
    end = f",\n    primary key (id, run_number)\n) partition by {by} (run_number);\n{_PARTITIONS[by]}"
    after = replaced(after, ("not null references qc_flags on update cascade on delete cascade", "not null"))
    return before + opening + columns + end + after


@pytest.fixture(scope="module", params=list(_PARTITIONS))
def shared_partitioned(server: Server, request: pytest.FixtureRequest) -> Iterator[Connection[Any]]:
    with small_world.database(server, f"gaq_listen_test_{os.getpid()}_{request.param}") as connection:
        connection.execute(_partitioned(request.param).encode())
        for name in INSTALL_SCRIPTS:
            connection.execute(script(name).encode())
        small_world.build(connection)
        yield connection


@pytest.fixture
def partitioned(shared_partitioned: Connection[Any]) -> Iterator[Connection[Any]]:
    with shared_partitioned.transaction(force_rollback=True):
        yield shared_partitioned


@pytest.mark.parametrize(("statements", "pairs"), [row for row in map(_of_reference, ROWS) if row[0] is not None])
def test_a_change_through_the_parent_marks(partitioned: Connection[Any], statements: str, pairs: set[Key]) -> None:
    assert_marks(partitioned, statements, pairs)


def test_copy(partitioned: Connection[Any]) -> None:
    columns = "data_pass_id, run_number, detector_id, flag_type_id"
    with partitioned.cursor() as cursor, cursor.copy(f"COPY qc_flags ({columns}) FROM STDIN") as copy:
        for run_number in (101, 102, 103):
            copy.write_row((2, run_number, 1, 2))
    assert_marks(partitioned, "", {C, (2, 102), (2, 103)})
