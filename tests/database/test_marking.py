"""What makes a summary stale: a row for each table, operation and kind of change.

A pair is marked when gaq_summaries says so. Each row starts from the world of ``world.py`` with
nothing stale; afterwards the refresh must find what gaq.compute says. Rows that mark nothing are
in ``test_marking_nothing.py``. All of it in every shape of the source tables.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import pytest
from psycopg import Connection

from tests.support.shapes import LINK, Variant, in_every_shape, rows_in_every_shape
from tests.support.small_world import A, B, C, D, assert_settled
from tests.support.tables import Key, drain, stale

Row: TypeAlias = tuple[str | Variant[str] | Variant[str | None], set[Key] | Variant[set[Key]]]

FLAGS: list[Row] = [
    ("INSERT INTO qc_flags (data_pass_id, run_number, detector_id, flag_type_id) VALUES (1, 102, 1, 2)", {B}),
    (("INSERT INTO qc_flags (data_pass_id, run_number, detector_id, flag_type_id)"
     " VALUES (1, 101, 1, 2), (1, 101, 2, 2), (3, 103, 1, 2)"), {A, D}),
    ("UPDATE qc_flags SET detector_id = 2 WHERE id = 11", {A}),
    ("UPDATE qc_flags SET flag_type_id = 2 WHERE id = 11", {A}),
    ("""UPDATE qc_flags SET "from" = '2024-01-01 02:00Z' WHERE id = 11""", {A}),
    ("""UPDATE qc_flags SET "to" = '2024-01-01 02:00Z' WHERE id = 11""", {A}),
    ("""UPDATE qc_flags SET "from" = null WHERE id = 13""", {A}),
    ("""UPDATE qc_flags SET "to" = null WHERE id = 13""", {A}),
    ("UPDATE qc_flags SET created_at = '2024-02-03' WHERE id = 11", {A}),
    ("UPDATE qc_flags SET created_at = created_at + interval '1 microsecond' WHERE id = 11", {A}),
    ("UPDATE qc_flags SET id = 14 WHERE id = 13", {A}),
    ("UPDATE qc_flags SET id = id + 100 WHERE id IN (11, 31)", {A, C}),
    (("UPDATE qc_flags SET id = -11 WHERE id = 11; UPDATE qc_flags SET id = 11 WHERE id = 12;"
     " UPDATE qc_flags SET id = 12 WHERE id = -11"), {A}),
    ("UPDATE qc_flags SET run_number = 102 WHERE id = 11", {A, B}),
    (Variant("UPDATE qc_flags SET data_pass_id = 2 WHERE id = 11",
             f"UPDATE {LINK} SET data_pass_id = 2 WHERE quality_control_flag_id = 11"), {A, C}),
    # with links, the marks of both statements are put together either way: of its run with its other data pass as well
    (Variant("UPDATE qc_flags SET data_pass_id = 3, run_number = 103 WHERE id = 11",
             f"UPDATE {LINK} SET data_pass_id = 3 WHERE quality_control_flag_id = 11;"
             " UPDATE qc_flags SET run_number = 103 WHERE id = 11"),
     Variant({A, D}, {A, D, (1, 103), (3, 101)})),
    # two flags change places: the same pairs before and after, other flags
    ("UPDATE qc_flags SET run_number = 203 - run_number WHERE id IN (12, 22)", {A, B}),
    (Variant("UPDATE qc_flags SET data_pass_id = null WHERE id = 11",
             f"DELETE FROM {LINK} WHERE quality_control_flag_id = 11"), {A}),
    (Variant("UPDATE qc_flags SET data_pass_id = 2 WHERE id = 51", f"INSERT INTO {LINK} VALUES (2, 51)"), {C}),
    # of several data passes at once
    (Variant(None, f"INSERT INTO {LINK} VALUES (2, 12), (1, 31)"), {A, C}),
    (Variant(None, f"INSERT INTO {LINK} VALUES (2, 12); UPDATE qc_flags SET flag_type_id = 2 WHERE id = 12"), {A, C}),
    # a link goes over to another flag
    (Variant(None, f"UPDATE {LINK} SET quality_control_flag_id = 51 WHERE quality_control_flag_id = 22"), {A, B}),
    # both halves of a pair are gone when the marks are read
    (Variant(None, f"DELETE FROM {LINK} WHERE quality_control_flag_id = 12; DELETE FROM qc_flags WHERE id = 12"), {A}),
    (Variant(None, f"UPDATE qc_flags SET deleted = true WHERE id = 12;"
                   f" DELETE FROM {LINK} WHERE quality_control_flag_id = 12"), {A}),
    # there is no telling which came first, so this marks too much
    (Variant(None, f"DELETE FROM {LINK} WHERE quality_control_flag_id = 71;"
                   " UPDATE qc_flags SET deleted = false WHERE id = 71"), {A}),
    ("UPDATE qc_flags SET deleted = true WHERE id = 11", {A}),
    ("UPDATE qc_flags SET deleted = false WHERE id = 71", {A}),
    ("UPDATE qc_flags SET deleted = false, run_number = 102 WHERE id = 71", {B}),
    ("UPDATE qc_flags SET deleted = true, run_number = 102 WHERE id = 11", {A}),
    ("UPDATE qc_flags SET deleted = id = 11, comment = 'all of them' WHERE id IN (11, 31, 41)", {A}),
    ("DELETE FROM qc_flags WHERE id = 12", {A}),
    ("DELETE FROM qc_flags WHERE id IN (12, 32, 41)", {A, C, D}),
    # of a detector that does not matter: still, a pair without any flag cannot be computed
    ("UPDATE qc_flags SET deleted = true WHERE id = 61", {B}),
]  # fmt: skip

DETECTORS: list[Row] = [
    ("INSERT INTO gaq_detectors VALUES (1, 102, 3)", {B}),
    ("INSERT INTO gaq_detectors VALUES (1, 102, 3), (1, 102, 4), (3, 103, 2)", {B, D}),
    ("UPDATE gaq_detectors SET detector_id = 3 WHERE (data_pass_id, run_number, detector_id) = (1, 102, 1)", {B}),
    (("UPDATE gaq_detectors SET run_number = 102, detector_id = 3"
     " WHERE (data_pass_id, run_number, detector_id) = (1, 101, 1)"), {A, B}),
    ("UPDATE gaq_detectors SET data_pass_id = 3 WHERE (data_pass_id, run_number) = (1, 101)", {A, (3, 101)}),
    ("DELETE FROM gaq_detectors WHERE detector_id = 2 AND run_number = 101", {A, C}),
    ("DELETE FROM gaq_detectors", {A, B, C, D}),
    # twice the same: whether it is there already cannot be told without a lock
    (Variant(None, "INSERT INTO gaq_detectors VALUES (1, 102, 1)"), {B}),
]  # fmt: skip

PAIRS: list[Row] = [
    ("INSERT INTO data_pass_runs VALUES (2, 102)", {(2, 102)}),
    ("INSERT INTO data_pass_runs SELECT 3, run_number FROM runs WHERE run_number <> 103",
     {(3, 101), (3, 102), (3, 104)}),
    ("UPDATE data_pass_runs SET run_number = 104 WHERE (data_pass_id, run_number) = (1, 101)", {A, (1, 104)}),
    ("UPDATE data_pass_runs SET data_pass_id = 2 WHERE (data_pass_id, run_number) = (1, 102)", {B, (2, 102)}),
    ("DELETE FROM data_pass_runs WHERE run_number = 101", {A, C}),
]  # fmt: skip

# Also the second verification of a flag marks, and the last but one that goes: a trigger that
# would tell them apart would miss what another transaction has not committed yet.
VERIFICATIONS: list[Row] = [
    ("INSERT INTO qc_flag_verifications (flag_id) VALUES (12)", {A}),
    ("INSERT INTO qc_flag_verifications (flag_id) VALUES (11), (22), (22)", {A, B}),
    ("UPDATE qc_flag_verifications SET flag_id = 31 WHERE id = 3", {B, C}),
    ("UPDATE qc_flag_verifications SET flag_id = 12 WHERE id = 1", {A}),
    ("UPDATE qc_flag_verifications SET flag_id = 21, id = 4 WHERE id = 1", {A, B}),
    # two of one flag and one of another become one and two
    ("UPDATE qc_flag_verifications SET flag_id = 32 - flag_id WHERE flag_id IN (11, 21)", {A, B}),
    ("DELETE FROM qc_flag_verifications WHERE id = 3", {B}),
    ("DELETE FROM qc_flag_verifications WHERE id = 1", {A}),
    ("DELETE FROM qc_flag_verifications", {A, B}),
]  # fmt: skip

RUNS: list[Row] = [
    ("UPDATE runs SET first_tf_timestamp = '2024-01-01 02:00Z' WHERE run_number = 101", {A, C}),
    ("UPDATE runs SET last_tf_timestamp = '2024-01-01 09:00Z' WHERE run_number = 101", {A, C}),
    ("UPDATE runs SET first_tf_timestamp = null WHERE run_number = 101", {A, C}),
    ("UPDATE runs SET last_tf_timestamp = 'infinity' WHERE run_number = 101", {A, C}),
    ("UPDATE runs SET first_tf_timestamp = '2024-01-02 01:00Z' WHERE run_number = 102", {B}),
    ("UPDATE runs SET time_trg_end = '2024-01-02 09:00Z' WHERE run_number = 102", {B}),
    ("UPDATE runs SET time_o2_start = '2024-01-02 01:00Z' WHERE run_number = 102", {B}),
    ("UPDATE runs SET time_o2_end = null WHERE run_number = 102", {B}),
    ("UPDATE runs SET time_trg_start = '2024-01-03 02:00Z' WHERE run_number = 103", {D}),
    ("UPDATE runs SET time_trg_end = null WHERE run_number = 103", {D}),
    ("UPDATE runs SET last_tf_timestamp = '2024-01-02 09:00Z', pdp_beam_type = 'pp'", {A, B, C, D}),
]  # fmt: skip

# Type 1 is of flags of all pairs, type 2 of one in A that counts, type 3 of one in B and in C.
FLAG_TYPES: list[Row] = [
    ("UPDATE qc_flag_types SET bad = true WHERE id = 1", {A, B, C, D}),
    ("UPDATE qc_flag_types SET bad = false WHERE id = 2", {A}),
    ("UPDATE qc_flag_types SET mc_reproducible = false WHERE id = 3", {B, C}),
    ("UPDATE qc_flag_types SET bad = not bad, mc_reproducible = not mc_reproducible, name = 'x' || id WHERE id >= 2",
     {A, B, C}),
    ("UPDATE qc_flag_types SET bad = id = 2", {B, C}),
]  # fmt: skip

ROWS = FLAGS + DETECTORS + PAIRS + VERIFICATIONS + RUNS + FLAG_TYPES

# What a foreign key's action changes elsewhere marks as if it had been written by hand.
CASCADES: list[Row] = [
    ("DELETE FROM qc_flags WHERE id = 11", {A}),
    ("DELETE FROM runs WHERE run_number = 101", {A, C}),
    ("DELETE FROM runs", {A, B, C, D}),
    ("UPDATE runs SET run_number = 105 WHERE run_number = 101", {A, C, (1, 105), (2, 105)}),
    ("UPDATE runs SET run_number = run_number + 10", {A, B, C, D, (1, 111), (1, 112), (2, 111), (3, 113)}),
    ("DELETE FROM data_passes WHERE id = 1", {A, B}),
    ("UPDATE qc_flag_types SET id = 9 WHERE id = 3", {B, C}),
    ("UPDATE qc_flag_types SET id = 9 WHERE id = 2", {A, B}),
    ("TRUNCATE qc_flags CASCADE", {A, B, C, D}),
    ("TRUNCATE runs CASCADE", {A, B, C, D}),
    ("TRUNCATE data_passes CASCADE", {A, B, C, D}),
]  # fmt: skip

# One table alone, so that its own trigger is what marks.
WITHOUT_FOREIGN_KEYS: list[Row] = [
    *[(f"TRUNCATE {table}", {A, B, C, D})
      for table in ("qc_flags", "gaq_detectors", "data_pass_runs", "qc_flag_verifications", "runs", "qc_flag_types")],
    (Variant(None, f"TRUNCATE {LINK}"), {A, B, C, D}),
    ("DELETE FROM runs WHERE run_number = 101", {A, C}),
    (("DELETE FROM runs WHERE run_number = 101; INSERT INTO runs (run_number, first_tf_timestamp, last_tf_timestamp)"
     " VALUES (101, '2024-01-01 05:00Z', '2024-01-01 06:00Z')"), {A, C}),
    ("UPDATE runs SET run_number = 105 WHERE run_number = 101", {A, C}),
    ("DELETE FROM qc_flag_types WHERE id = 3", {B, C}),
    ("UPDATE qc_flag_types SET id = id + 10 WHERE id = 3", {B, C}),
    ("DELETE FROM qc_flag_types WHERE id = 3; INSERT INTO qc_flag_types VALUES (3, 'Limited', true, false)", {B, C}),
    ("DELETE FROM qc_flags WHERE id = 11", {A}),
    ("UPDATE qc_flags SET id = 14 WHERE id = 11", {A}),
]  # fmt: skip


_DROP_FOREIGN_KEYS = """
DO $$ DECLARE it record; BEGIN
    FOR it IN SELECT conrelid::regclass AS referring, conname FROM pg_constraint WHERE contype = 'f' LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', it.referring, it.conname);
    END LOOP;
END $$
"""


def assert_marks(connection: Connection[Any], statements: str, pairs: set[Key]) -> None:
    connection.execute(statements.encode())
    assert stale(connection) == pairs
    drain(connection)
    assert_settled(connection)


@pytest.mark.parametrize("role", ["origin", "replica"])
@rows_in_every_shape("statements, pairs", ROWS)
def test_a_change_marks(rolled_back: Connection[Any], statements: str, pairs: set[Key], role: str) -> None:
    """The pairs concerned and no others, also where ordinary triggers are silenced."""
    rolled_back.execute(f"SET LOCAL session_replication_role = {role}")
    assert_marks(rolled_back, statements, pairs)


@rows_in_every_shape("statements, pairs", CASCADES)
def test_a_cascade_marks(rolled_back: Connection[Any], statements: str, pairs: set[Key]) -> None:
    assert_marks(rolled_back, statements, pairs)


@rows_in_every_shape("statements, pairs", WITHOUT_FOREIGN_KEYS)
def test_a_table_marks_without_foreign_keys(rolled_back: Connection[Any], statements: str, pairs: set[Key]) -> None:
    rolled_back.execute(_DROP_FOREIGN_KEYS.encode())
    assert_marks(rolled_back, statements, pairs)


@in_every_shape
def test_a_row_marks_when_it_comes_after_those_that_refer_to_it(
    rolled_back: Connection[Any],
) -> None:
    rolled_back.execute(_DROP_FOREIGN_KEYS.encode())
    assert_marks(
        rolled_back,
        "INSERT INTO data_pass_runs VALUES (1, 900);"
        " INSERT INTO gaq_detectors VALUES (1, 900, 1);"
        " INSERT INTO qc_flags (data_pass_id, run_number, detector_id, flag_type_id)"
        " VALUES (1, 900, 1, 9)",
        {(1, 900)},
    )
    assert_marks(
        rolled_back,
        "INSERT INTO runs (run_number, time_trg_start, time_trg_end)"
        " VALUES (900, '2024-01-04 00:00Z', '2024-01-04 10:00Z')",
        {(1, 900)},
    )
    assert_marks(rolled_back, "INSERT INTO qc_flag_types VALUES (9, 'Late', true)", {(1, 900)})


@in_every_shape
def test_a_writer_needs_no_right_of_ours(rolled_back: Connection[Any]) -> None:
    """Only those on the source tables, and no search_path either."""
    rolled_back.execute(
        "CREATE ROLE gaq_listen_test_writer;"
        " GRANT ALL ON ALL TABLES IN SCHEMA public TO gaq_listen_test_writer;"
        " SET LOCAL search_path = ''; SET LOCAL ROLE gaq_listen_test_writer"
    )
    rolled_back.execute(
        "UPDATE public.qc_flags SET flag_type_id = 2 WHERE id = 11;"
        " DELETE FROM public.gaq_detectors WHERE run_number = 103;"
        " INSERT INTO public.data_pass_runs VALUES (2, 102);"
        " DELETE FROM public.qc_flag_verifications WHERE id = 3;"
        " UPDATE public.runs SET time_o2_end = null WHERE run_number = 102;"
        " UPDATE public.qc_flag_types SET mc_reproducible = false WHERE id = 3"
    )
    rolled_back.execute("RESET ROLE; RESET search_path")
    assert stale(rolled_back) == {A, B, C, D, (2, 102)}


@in_every_shape
def test_a_writers_lastval_is_its_own(rolled_back: Connection[Any]) -> None:
    """Marks take no number from a sequence, whatever is marked."""
    for statement in (
        "INSERT INTO qc_flags (id, run_number, detector_id, flag_type_id) VALUES (DEFAULT, 101, 1, 2) RETURNING id",
        "INSERT INTO qc_flag_verifications (flag_id) VALUES (12) RETURNING id",
        "INSERT INTO qc_flag_types (name, bad) VALUES ('New', true) RETURNING id",
    ):
        rolled_back.execute("SELECT setval(pg_get_serial_sequence('qc_flag_types', 'id'), 100)")
        number = rolled_back.execute(statement.encode()).fetchone()
        assert rolled_back.execute("SELECT lastval()").fetchone() == number
