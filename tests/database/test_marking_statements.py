"""Marking by statements that do more than one thing, and by transactions of several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from tests.database.test_marking import Row, assert_marks
from tests.support.shapes import LINK, Variant, in_every_shape, rows_in_every_shape
from tests.support.small_world import A, B, C, D, marks
from tests.support.tables import Key, stale

ON_CONFLICT: list[Row] = [
    # flag 12 and the others whose keys conflict are there already; 91 is not
    (("INSERT INTO qc_flags (id, data_pass_id, run_number, detector_id, flag_type_id)"
     " VALUES (12, 1, 102, 1, 2), (91, 2, 101, 1, 2) ON CONFLICT DO NOTHING"), {C}),
    (("INSERT INTO qc_flags (id, data_pass_id, run_number, detector_id, flag_type_id)"
     " VALUES (12, 1, 101, 1, 2), (41, 3, 103, 1, 1), (91, 1, 102, 1, 2)"
     " ON CONFLICT (id) DO UPDATE SET flag_type_id = excluded.flag_type_id"), {A, B}),
    (Variant("INSERT INTO qc_flags (id, data_pass_id, run_number, detector_id, flag_type_id)"
             " VALUES (12, 2, 101, 1, 1) ON CONFLICT (id) DO UPDATE SET data_pass_id = excluded.data_pass_id",
             f"INSERT INTO {LINK} VALUES (1, 12)"
             " ON CONFLICT (data_pass_id, quality_control_flag_id) DO UPDATE SET data_pass_id = 2"), {A, C}),
    (("INSERT INTO qc_flags (id, data_pass_id, run_number, detector_id, flag_type_id)"
     " VALUES (12, 1, 101, 2, 1) ON CONFLICT (id) DO UPDATE SET comment = 'again'"), set()),
    (Variant("INSERT INTO gaq_detectors VALUES (1, 101, 1), (1, 102, 3) ON CONFLICT DO NOTHING", None), {B}),
    (Variant("INSERT INTO gaq_detectors VALUES (1, 101, 1), (1, 102, 3)"
             " ON CONFLICT (data_pass_id, run_number, detector_id) DO UPDATE SET detector_id = 4", None), {A, B}),
    ("INSERT INTO data_pass_runs VALUES (1, 101), (2, 102) ON CONFLICT DO NOTHING", {(2, 102)}),
    (("INSERT INTO qc_flag_verifications (id, flag_id) VALUES (1, 31), (91, 41)"
     " ON CONFLICT (id) DO UPDATE SET flag_id = excluded.flag_id"), {A, C, D}),
    (("INSERT INTO runs (run_number, first_tf_timestamp) VALUES (101, '2024-01-01 02:00Z'), (103, null)"
     " ON CONFLICT (run_number) DO UPDATE SET first_tf_timestamp = excluded.first_tf_timestamp"), {A, C}),
    (("INSERT INTO qc_flag_types VALUES (1, 'Good', false, false), (3, 'Limited', true, false)"
     " ON CONFLICT (id) DO UPDATE SET mc_reproducible = excluded.mc_reproducible"), {B, C}),
]  # fmt: skip

MERGE: list[Row] = [
    (("MERGE INTO qc_flags f USING (VALUES (11), (12), (51), (99)) given (id) ON f.id = given.id"
     " WHEN MATCHED AND f.id = 11 THEN UPDATE SET run_number = 102"
     " WHEN MATCHED THEN DELETE"
     " WHEN NOT MATCHED THEN INSERT (run_number, detector_id, flag_type_id) VALUES (103, 1, 2)"), {A, B}),
    (Variant("MERGE INTO qc_flags f USING (VALUES (12), (99)) given (id) ON f.id = given.id"
             " WHEN MATCHED THEN DELETE"
             " WHEN NOT MATCHED THEN INSERT (data_pass_id, run_number, detector_id, flag_type_id)"
             " VALUES (3, 103, 1, 2)",
             f"MERGE INTO {LINK} l USING (VALUES (12, 3), (51, 2)) given (flag, pass) ON quality_control_flag_id = flag"
             " WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (pass, flag)"),
     Variant({A, D}, {A, C})),
    (("MERGE INTO qc_flags f USING runs r ON f.run_number = r.run_number"
     " WHEN MATCHED AND f.id = 31 THEN UPDATE SET comment = 'nothing'"
     " WHEN MATCHED THEN DO NOTHING"
     " WHEN NOT MATCHED AND r.run_number = 104 THEN INSERT (run_number, detector_id, flag_type_id)"
     " VALUES (104, 1, 2)"), set()),
    (("MERGE INTO gaq_detectors d USING (VALUES (1, 101, 1), (1, 102, 3)) given (pass, run, detector)"
     " ON (d.data_pass_id, d.run_number, d.detector_id) = (pass, run, detector)"
     " WHEN MATCHED THEN DELETE"
     " WHEN NOT MATCHED THEN INSERT (data_pass_id, run_number, detector_id) VALUES (pass, run, detector)"), {A, B}),
    (("MERGE INTO data_pass_runs p USING runs r ON p.run_number = r.run_number"
     " WHEN MATCHED AND p.data_pass_id = 2 THEN UPDATE SET data_pass_id = 3"
     " WHEN NOT MATCHED THEN INSERT VALUES (1, r.run_number)"), {C, (3, 101), (1, 104)}),
    (("MERGE INTO qc_flag_verifications v USING qc_flags f ON v.flag_id = f.id"
     " WHEN MATCHED AND f.id = 21 THEN UPDATE SET flag_id = 22"
     " WHEN MATCHED THEN DELETE"
     " WHEN NOT MATCHED AND f.id = 41 THEN INSERT (flag_id) VALUES (f.id)"), {A, B, D}),
    (("MERGE INTO runs r USING (VALUES (102), (105)) given (run) ON r.run_number = given.run"
     " WHEN MATCHED THEN UPDATE SET time_o2_end = null"
     " WHEN NOT MATCHED THEN INSERT (run_number) VALUES (given.run)"), {B}),
    (("MERGE INTO qc_flag_types t USING (VALUES (3), (4), (5)) given (id) ON t.id = given.id"
     " WHEN MATCHED AND t.id = 4 THEN DELETE"
     " WHEN MATCHED THEN UPDATE SET bad = false"
     " WHEN NOT MATCHED THEN INSERT (id, name, bad) VALUES (given.id, 'New', true)"), {B, C}),
]  # fmt: skip

SEVERAL_TABLES: list[Row] = [
    (("WITH moved AS (UPDATE qc_flags SET run_number = 102 WHERE id = 11 RETURNING id),"
     " verified AS (INSERT INTO qc_flag_verifications (flag_id) SELECT 41 FROM moved),"
     " listed AS (DELETE FROM gaq_detectors WHERE data_pass_id = 2)"
     " INSERT INTO data_pass_runs VALUES (2, 102)"), {A, B, C, D, (2, 102)}),
    (("WITH gone AS (DELETE FROM qc_flags WHERE id = 41 RETURNING flag_type_id)"
     " UPDATE qc_flag_types SET mc_reproducible = false WHERE id = 3"), {B, C, D}),
    # the same table twice
    (Variant("WITH deleted AS (UPDATE qc_flags SET deleted = true WHERE id = 12 RETURNING detector_id)"
             " INSERT INTO qc_flags (data_pass_id, run_number, detector_id, flag_type_id)"
             " SELECT 2, 101, detector_id, 2 FROM deleted",
             "WITH deleted AS (UPDATE qc_flags SET deleted = true WHERE id = 12 RETURNING detector_id),"
             " flag AS (INSERT INTO qc_flags (run_number, detector_id, flag_type_id)"
             " SELECT 101, detector_id, 2 FROM deleted RETURNING id)"
             f" INSERT INTO {LINK} SELECT 2, id FROM flag"), {A, C}),
    (("WITH one AS (DELETE FROM qc_flags WHERE id = 12), other AS (DELETE FROM qc_flags WHERE id = 32)"
     " DELETE FROM qc_flags WHERE id = 41"), {A, C, D}),
    (("UPDATE qc_flags SET deleted = true WHERE id = 12; DELETE FROM gaq_detectors WHERE data_pass_id = 2;"
     " UPDATE runs SET time_trg_end = null WHERE run_number = 103"), {A, C, D}),
    # there and back again: too much is right
    ("UPDATE qc_flags SET deleted = true WHERE id = 12; UPDATE qc_flags SET deleted = false WHERE id = 12", {A}),
]  # fmt: skip

SAVEPOINTS: list[Row] = [
    (("UPDATE qc_flags SET deleted = true WHERE id = 12; SAVEPOINT s;"
     " UPDATE qc_flags SET deleted = true WHERE id = 41; ROLLBACK TO s"), {A}),
    (("SAVEPOINT s; DELETE FROM qc_flag_verifications; UPDATE runs SET time_o2_end = null; ROLLBACK TO s;"
     " UPDATE gaq_detectors SET detector_id = 3 WHERE data_pass_id = 3"), {D}),
    ("SAVEPOINT s; TRUNCATE runs CASCADE; ROLLBACK TO s; RELEASE s", set()),
    (("SAVEPOINT s; UPDATE qc_flag_types SET bad = true WHERE id = 1; SAVEPOINT t;"
     " DELETE FROM data_pass_runs WHERE run_number = 103; ROLLBACK TO t; ROLLBACK TO s;"
     " UPDATE qc_flags SET flag_type_id = 2 WHERE id = 31; RELEASE s"), {C}),
]  # fmt: skip


@rows_in_every_shape("statements, pairs", ON_CONFLICT)
def test_on_conflict(rolled_back: Connection[Any], statements: str, pairs: set[Key]) -> None:
    assert_marks(rolled_back, statements, pairs)


@rows_in_every_shape("statements, pairs", MERGE)
def test_merge(rolled_back: Connection[Any], statements: str, pairs: set[Key]) -> None:
    if rolled_back.info.server_version < 150000:
        pytest.skip("MERGE came with PostgreSQL 15")
    assert_marks(rolled_back, statements, pairs)


@rows_in_every_shape("statements, pairs", SEVERAL_TABLES)
def test_several_tables(rolled_back: Connection[Any], statements: str, pairs: set[Key]) -> None:
    assert_marks(rolled_back, statements, pairs)


@rows_in_every_shape("statements, pairs", SAVEPOINTS)
def test_savepoints(rolled_back: Connection[Any], statements: str, pairs: set[Key]) -> None:
    assert_marks(rolled_back, statements, pairs)


@rows_in_every_shape(
    "table, rows, pairs",
    [
        (
            Variant("qc_flags (data_pass_id, run_number, detector_id, flag_type_id)", None),
            [(1, 101, 1, 2), (None, 102, 1, 2), (3, 103, 1, 2)],
            {A, D},
        ),
        (Variant(None, f"{LINK} (data_pass_id, quality_control_flag_id)"), [(2, 51), (1, 41)], {C, (1, 103)}),
        ("gaq_detectors (data_pass_id, run_number, detector_id)", [(1, 101, 3), (1, 102, 3)], {A, B}),
        ("data_pass_runs (data_pass_id, run_number)", [(2, 102), (2, 103)], {(2, 102), (2, 103)}),
        ("qc_flag_verifications (flag_id)", [(12,), (31,), (51,)], {A, C}),
    ],
)
def test_copy(rolled_back: Connection[Any], table: str, rows: Sequence[tuple[object, ...]], pairs: set[Key]) -> None:
    with rolled_back.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
    assert_marks(rolled_back, "", pairs)


@in_every_shape
@pytest.mark.parametrize("end", ["ROLLBACK", "COMMIT"])
def test_a_transaction_that_fails_leaves_no_mark(committed: Connection[Any], end: str) -> None:
    committed.execute("BEGIN")
    committed.execute("UPDATE qc_flags SET deleted = true WHERE id = 12")
    committed.execute("TRUNCATE qc_flag_verifications")
    assert stale(committed) == {A, B, C, D}
    if end == "COMMIT":
        with pytest.raises(psycopg.errors.UniqueViolation):
            committed.execute("INSERT INTO runs (run_number) VALUES (101)")
    committed.execute(end.encode())
    assert stale(committed) == set()
    assert marks(committed) == (0, 0)


def test_many_rows_give_one_mark_a_pair(rolled_back: Connection[Any]) -> None:
    rolled_back.execute(
        "INSERT INTO qc_flags (data_pass_id, run_number, detector_id, flag_type_id)"
        " SELECT data_pass_id, run_number, 1, 2 FROM data_pass_runs, generate_series(1, 50)"
    )
    assert marks(rolled_back) == (4, 0)


@in_every_shape
def test_many_rows_give_one_mark_a_thing(rolled_back: Connection[Any]) -> None:
    rolled_back.execute("INSERT INTO qc_flag_verifications (flag_id) SELECT 11 FROM generate_series(1, 50)")
    assert marks(rolled_back) == (0, 1)
    rolled_back.execute("UPDATE qc_flag_types SET bad = not bad")
    assert marks(rolled_back) == (0, 5)
