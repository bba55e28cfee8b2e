"""What an application writes, in the names that its tables have after a migration, and what must come of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from psycopg import Connection

from tests.shapes import Shape, Variant

Names = Mapping[str, str]
"""New names of tables and columns, by the old ones; ``table.column`` for a column that others are called like."""

WRITES: tuple[Variant[str], ...] = (
    Variant(
        "UPDATE qc_flags SET \"to\" = '2024-01-01 09:00Z' WHERE id = 11",
        "UPDATE quality_control_flags SET \"to\" = '2024-01-01 09:00Z' WHERE id = 11",
    ),
    Variant("DELETE FROM qc_flags WHERE id = 71", "DELETE FROM quality_control_flags WHERE id = 71"),
    Variant(
        "INSERT INTO qc_flag_verifications (flag_id) VALUES (12)",
        "INSERT INTO quality_control_flag_verifications (flag_id) VALUES (12)",
    ),
    Variant(
        "DELETE FROM qc_flag_verifications WHERE flag_id = 12",
        "DELETE FROM quality_control_flag_verifications WHERE flag_id = 12",
    ),
    Variant(*2 * ("UPDATE runs SET first_tf_timestamp = '2024-01-03 02:00Z' WHERE run_number = 103",)),
    Variant(
        "UPDATE qc_flag_types SET mc_reproducible = mc_reproducible WHERE id = 3",
        "UPDATE quality_control_flag_types SET monte_carlo_reproducible = monte_carlo_reproducible WHERE id = 3",
    ),
    Variant(
        "DELETE FROM gaq_detectors WHERE data_pass_id = 2 AND run_number = 101 AND detector_id = 2",
        "DELETE FROM global_aggregated_quality_detectors"
        " WHERE data_pass_id = 2 AND run_number = 101 AND detector_id = 2",
    ),
    Variant(
        "INSERT INTO data_pass_runs (data_pass_id, run_number) VALUES (2, 103)",
        "INSERT INTO data_passes_runs (data_pass_id, run_number) VALUES (2, 103)",
    ),
    Variant(
        "DELETE FROM data_pass_runs WHERE data_pass_id = 2 AND run_number = 103",
        "DELETE FROM data_passes_runs WHERE data_pass_id = 2 AND run_number = 103",
    ),
)
"""A statement of each kind that an application writes; they can be given again and again."""

_PROBE = Variant(
    "INSERT INTO qc_flags (data_pass_id, run_number, detector_id, flag_type_id) VALUES ({0}, {1}, 1, 2)",
    "WITH flag AS (INSERT INTO quality_control_flags (run_number, detector_id, flag_type_id)"
    " VALUES ({1}, 1, 2) RETURNING id)"
    " INSERT INTO data_pass_quality_control_flag (data_pass_id, quality_control_flag_id) SELECT {0}, id FROM flag",
)


def said(statement: str, names: Names) -> str:
    """Return the statement in the new names."""
    for old, new in names.items():
        table, _, column = old.rpartition(".")
        if not table or re.search(rf"\b{table}\b", statement):
            statement = re.sub(rf'(?<![\w.])("?){column}\1(?!\w)', new, statement)
    return statement


def write(connection: Connection[Any], shape: Shape, names: Names) -> None:
    """Write what an application writes; any of it may raise what the server says."""
    for statement in WRITES:
        connection.execute(said(shape.of(statement), names).encode())


def probe(connection: Connection[Any], shape: Shape, names: Names, pair: tuple[int, int]) -> None:
    """Insert a bad flag over a whole run: from then on the pair is bad from end to end."""
    connection.execute(said(shape.of(_PROBE).format(*pair), names).encode())


def shown(connection: Connection[Any], pair: tuple[int, int]) -> tuple[float | None, bool]:
    """Return which fraction of the pair is shown as bad, and whether it is shown as stale."""
    rows = connection.execute(
        "SELECT bad_run_coverage, invalidated_at IS NOT NULL FROM gaq_summaries"
        " WHERE data_pass_id = %s AND run_number = %s",
        pair,
    ).fetchall()
    assert len(rows) == 1
    return rows[0][0], rows[0][1]
