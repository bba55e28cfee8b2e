"""What can change no summary marks nothing. (What marks is in ``test_marking.py``.)"""

from __future__ import annotations

from typing import Any

import pytest
from psycopg import Connection

from tests.support.shapes import LINK, Variant, in_every_shape, rows_in_every_shape
from tests.support.small_world import assert_fresh, marks
from tests.support.tables import drain, stale, stored

_CONFLICT = "ON CONFLICT DO NOTHING"

# Where a link tells the data pass of a flag, the flag's row cannot tell that it has none: then there is a mark, and it
# stands for no pair.
UNLINKED = [
    "INSERT INTO qc_flags (run_number, detector_id, flag_type_id) VALUES (101, 1, 2)",
    "UPDATE qc_flags SET flag_type_id = 1, run_number = 102, detector_id = 2 WHERE id = 51",
    "UPDATE qc_flags SET deleted = true WHERE id = 51",
    "DELETE FROM qc_flags WHERE id = 51",
    "DELETE FROM qc_flags WHERE id = 71",
    ("INSERT INTO qc_flags (data_pass_id, run_number, detector_id, flag_type_id, deleted)"
    " VALUES (1, 101, 1, 2, true)"),
]  # fmt: skip

NOTHING: list[str | Variant[str | None]] = [
    # of a flag, what no summary is computed from
    "UPDATE qc_flags SET comment = 'see the log'",
    "UPDATE qc_flags SET updated_at = now()",
    "UPDATE qc_flags SET origin = 'qcdb', created_by = 'somebody else'",
    ("UPDATE qc_flags SET deleted = deleted, flag_type_id = flag_type_id, run_number = run_number,"
    ' "from" = "from", updated_at = now()'),
    # flags that count for nothing
    *[Variant(statement, None) for statement in UNLINKED],
    Variant("UPDATE qc_flags SET data_pass_id = null WHERE id = 71", None),
    Variant("UPDATE qc_flags SET deleted = false, data_pass_id = null WHERE id = 71", None),
    "UPDATE qc_flags SET flag_type_id = 1, run_number = 102, created_at = now() WHERE id = 71",
    # the same, said again
    "UPDATE gaq_detectors SET detector_id = detector_id",
    "UPDATE data_pass_runs SET run_number = run_number",
    "UPDATE runs SET first_tf_timestamp = first_tf_timestamp",
    "UPDATE qc_flag_types SET bad = bad",
    "UPDATE qc_flag_verifications SET flag_id = flag_id",
    # no rows
    "UPDATE qc_flags SET flag_type_id = 2 WHERE false",
    "DELETE FROM qc_flags WHERE false",
    "DELETE FROM gaq_detectors WHERE false",
    "INSERT INTO data_pass_runs SELECT data_pass_id + 1, run_number FROM data_pass_runs WHERE false",
    "DELETE FROM qc_flag_verifications WHERE false",
    "DELETE FROM runs WHERE false",
    "DELETE FROM qc_flag_types WHERE false",
    f"INSERT INTO qc_flags SELECT * FROM qc_flags WHERE id = 11 {_CONFLICT}",
    Variant(f"INSERT INTO gaq_detectors TABLE gaq_detectors {_CONFLICT}", None),
    Variant(None, f"UPDATE {LINK} SET data_pass_id = data_pass_id"),
    Variant(None, f"INSERT INTO {LINK} TABLE {LINK} {_CONFLICT}"),
    f"INSERT INTO data_pass_runs TABLE data_pass_runs {_CONFLICT}",
    f"INSERT INTO qc_flag_verifications (id, flag_id) VALUES (1, 12) {_CONFLICT}",
    f"INSERT INTO runs (run_number, time_o2_start) VALUES (101, now()) {_CONFLICT}",
    f"INSERT INTO qc_flag_types VALUES (1, 'Bad', true) {_CONFLICT}",
    # of a verification, anything but its flag; two of them exchange theirs
    "UPDATE qc_flag_verifications SET comment = 'looks right', created_by = 'an expert', created_at = now()",
    "UPDATE qc_flag_verifications SET id = id + 10",
    "UPDATE qc_flag_verifications SET flag_id = 32 - flag_id WHERE id IN (1, 3)",
    # of a run, what is not its QC times
    "UPDATE runs SET pdp_beam_type = 'PbPb'",
    "UPDATE runs SET time_o2_start = now(), time_o2_end = null, time_trg_end = now() WHERE run_number = 101",
    "UPDATE runs SET time_o2_start = null, time_o2_end = now() WHERE run_number = 103",
    "UPDATE runs SET first_tf_timestamp = time_trg_start, last_tf_timestamp = time_trg_end WHERE run_number = 103",
    "INSERT INTO runs (run_number) VALUES (105)",
    # the Bookkeeping's QC times, which nobody keeps up to date: what they are made of is read
    Variant(None, "UPDATE runs SET qc_time_start = now(), qc_time_end = null"),
    # of a flag type, its name
    "UPDATE qc_flag_types SET name = name || ' (old)'",
    # of a simulation pass, and what the application keeps for itself
    Variant(None, "INSERT INTO simulation_passes VALUES (1, 'LHC24a1');"
                  " INSERT INTO simulation_pass_quality_control_flag VALUES (1, 51)"),
    Variant(None, "INSERT INTO quality_control_flag_effective_periods (flag_id) VALUES (11)"),
    # tables that only give names
    "INSERT INTO detectors VALUES (5, 'MCH')",
    "UPDATE detectors SET name = lower(name)",
    "INSERT INTO run_detectors VALUES (104, 4)",
    "DELETE FROM run_detectors",
    "TRUNCATE run_detectors",
    "INSERT INTO data_passes VALUES (4, 'apass3')",
    "UPDATE data_passes SET name = upper(name)",
    "INSERT INTO data_passes VALUES (4, 'apass3'); DELETE FROM data_passes WHERE id = 4",
]  # fmt: skip

# A mark that names a thing which belongs to no pair.
NO_PAIR: list[str | Variant[str | None]] = [
    *[Variant(None, statement) for statement in UNLINKED],
    Variant(None, f"DELETE FROM {LINK} WHERE quality_control_flag_id = 71"),
    "INSERT INTO runs (run_number, time_o2_start, time_o2_end) VALUES (105, now(), now() + interval '1 h')",
    "UPDATE runs SET time_o2_start = now() WHERE run_number = 104",
    "UPDATE runs SET run_number = 105 WHERE run_number = 104",
    "DELETE FROM runs WHERE run_number = 104",
    "INSERT INTO qc_flag_types VALUES (5, 'New', true)",
    "UPDATE qc_flag_types SET bad = true WHERE id = 4",
    "DELETE FROM qc_flag_types WHERE id = 4",
    "INSERT INTO qc_flag_verifications (flag_id) VALUES (51)",
    "INSERT INTO qc_flag_verifications (flag_id) VALUES (61)",
    "INSERT INTO qc_flag_verifications (flag_id) VALUES (71)",
]  # fmt: skip


@pytest.mark.parametrize("role", ["origin", "replica"])
@rows_in_every_shape("statement", [(statement,) for statement in NOTHING])
def test_a_change_marks_nothing(rolled_back: Connection[Any], statement: str, role: str) -> None:
    rolled_back.execute(f"SET LOCAL session_replication_role = {role}")
    rolled_back.execute(statement.encode())
    assert stale(rolled_back) == set()
    assert marks(rolled_back) == (0, 0)
    assert_fresh(rolled_back)


@rows_in_every_shape("statement", [(statement,) for statement in NO_PAIR])
def test_a_mark_stands_for_no_pair(rolled_back: Connection[Any], statement: str) -> None:
    before = stored(rolled_back)
    rolled_back.execute(statement.encode())
    assert stale(rolled_back) == set()
    assert marks(rolled_back)[0] == 0
    assert stored(rolled_back) == before

    drain(rolled_back)
    assert_fresh(rolled_back)
    assert stored(rolled_back) == before


@in_every_shape
def test_a_pair_that_is_none_folds_to_nothing(rolled_back: Connection[Any]) -> None:
    """Its flags and detectors mark it, and no summary comes of that."""
    rolled_back.execute(
        "INSERT INTO qc_flags (data_pass_id, run_number, detector_id, flag_type_id)"
        " VALUES (3, 101, 1, 2); INSERT INTO gaq_detectors VALUES (3, 102, 1)"
    )
    drain(rolled_back)
    assert_fresh(rolled_back)
