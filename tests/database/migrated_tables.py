"""What an application writes, in the names that its tables have after a migration, and what must come of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from psycopg import Connection

from tests.support.shapes import Shape, Variant

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


class Outcome(Enum):
    """What comes of a migration."""

    NOTHING = "nothing: writers, values and doctor as before"
    ALARM = "an alarm, and gaq-listen install puts it right"
    DETACH = "PostgreSQL refuses it, unless gaq-listen is detached"


def _same_names() -> Variant[Names]:
    return Variant({}, {})


@dataclass(frozen=True, slots=True)
class Migration:
    """A migration in each shape, None where there is nothing of the kind; and the names that writers then use."""

    name: str
    outcome: Outcome
    statements: Variant[str | None]
    names: Variant[Names] = field(default_factory=_same_names)
    since: int = 140000
    """The first version of PostgreSQL that knows the statement."""


QUOTE = '"'
_FLAGS = Variant("qc_flags", "quality_control_flags")


def _in_both(text: str, **columns: Variant[str]) -> Variant[str | None]:
    return Variant(
        text.format(flags=_FLAGS.reference, **{name: column.reference for name, column in columns.items()}),
        text.format(flags=_FLAGS.bookkeeping, **{name: column.bookkeeping for name, column in columns.items()}),
    )


def _renamed(*columns: str) -> tuple[Variant[str | None], Variant[Names]]:
    """Rename the columns of the table of flags."""
    return (
        _in_both(
            "; ".join(f"ALTER TABLE {{flags}} RENAME {column} TO renamed_{n}" for n, column in enumerate(columns))
        ),
        Variant(
            *(
                {f"{table}.{column.strip(QUOTE)}": f"renamed_{n}" for n, column in enumerate(columns)}
                for table in _FLAGS
            )
        ),
    )


_COPY = (
    "CREATE TABLE flags_new (LIKE {flags} INCLUDING ALL); INSERT INTO flags_new SELECT * FROM {flags};"
    " SELECT setval(pg_get_serial_sequence('flags_new', 'id'), 5000);"
)
_SWAP = f"""
{_COPY}
DO $$
DECLARE
    key record;
BEGIN
    FOR key IN SELECT conname, conrelid::regclass AS of FROM pg_constraint WHERE confrelid = '{{flags}}'::regclass LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', key.of, key.conname);
    END LOOP;
END
$$;
ALTER TABLE {{flags}} RENAME TO flags_old; ALTER TABLE flags_new RENAME TO {{flags}};
"""
_DELETED = (
    "ALTER TABLE {flags} ADD deleted_new {type} NOT NULL DEFAULT {no};"
    " UPDATE {flags} SET deleted_new = {value};"
    " ALTER TABLE {flags} RENAME deleted TO deleted_old; ALTER TABLE {flags} RENAME deleted_new TO deleted;"
)
_TO_BIGINT = (
    "ALTER TABLE {flags} ADD run_number_new bigint; UPDATE {flags} SET run_number_new = run_number;"
    " CREATE INDEX ON {flags} ({pair});"
    " ALTER TABLE {flags} ALTER run_number DROP NOT NULL;"
    " ALTER TABLE {flags} RENAME run_number TO run_number_old;"
    " ALTER TABLE {flags} RENAME run_number_new TO run_number;"
)
_PARTITIONED = """
    ALTER TABLE qc_flags ALTER id DROP IDENTITY; CREATE SEQUENCE flag_ids START 5000;
    ALTER TABLE qc_flags ALTER id SET DEFAULT nextval('flag_ids');
    ALTER TABLE qc_flags RENAME TO flags_old;
    CREATE TABLE qc_flags (LIKE flags_old INCLUDING DEFAULTS) PARTITION BY RANGE (run_number);
    CREATE INDEX ON qc_flags (data_pass_id, run_number); CREATE INDEX ON qc_flags (flag_type_id);
    ALTER TABLE qc_flags ATTACH PARTITION flags_old FOR VALUES FROM (0) TO (1000000);
"""

MIGRATIONS: tuple[Migration, ...] = (
    Migration("rename columns", Outcome.NOTHING, *_renamed("deleted", '"to"', '"from"', "flag_type_id", "run_number")),
    Migration(
        "rename a table",
        Outcome.NOTHING,
        _in_both("ALTER TABLE {flags} RENAME TO flags"),
        Variant({"qc_flags": "flags"}, {"quality_control_flags": "flags"}),
    ),
    Migration(
        "rename a table, with a view of the old name",
        Outcome.NOTHING,
        _in_both("ALTER TABLE {flags} RENAME TO flags; CREATE VIEW {flags} AS SELECT * FROM flags"),
    ),
    Migration(
        "move a table to another schema",
        Outcome.NOTHING,
        _in_both("CREATE SCHEMA elsewhere; ALTER TABLE {flags} SET SCHEMA elsewhere"),
        Variant({"qc_flags": "elsewhere.qc_flags"}, {"quality_control_flags": "elsewhere.quality_control_flags"}),
    ),
    Migration(
        "add a column, drop another", Outcome.NOTHING, _in_both("ALTER TABLE {flags} ADD a int, DROP updated_at")
    ),
    Migration(
        "add a constraint and an index",
        Outcome.NOTHING,
        _in_both("ALTER TABLE {flags} ADD CHECK (id > 0); CREATE INDEX ON {flags} (detector_id)"),
    ),
    Migration("swap a table, keep the old one", Outcome.ALARM, _in_both(_SWAP)),
    Migration("swap a table, drop the old one", Outcome.ALARM, _in_both(_SWAP + "DROP TABLE flags_old CASCADE")),
    Migration(
        "swap a column of another type",
        Outcome.ALARM,
        _in_both(_TO_BIGINT, pair=Variant("data_pass_id, run_number_new", "run_number_new, id, detector_id")),
    ),
    Migration(
        "swap a column of the same type",
        Outcome.ALARM,
        _in_both(
            _DELETED,
            type=Variant("boolean", "boolean"),
            no=Variant("false", "false"),
            value=Variant("deleted", "deleted::int <> 0"),
        ),
    ),
    Migration("change a type", Outcome.DETACH, _in_both("ALTER TABLE {flags} ALTER created_at TYPE timestamptz(3)")),
    Migration(
        "change the type of a number", Outcome.DETACH, _in_both("ALTER TABLE {flags} ALTER run_number TYPE bigint")
    ),
    Migration(
        "drop a column with CASCADE, and add it again",
        Outcome.ALARM,
        Variant(
            "ALTER TABLE qc_flag_types DROP bad CASCADE; ALTER TABLE qc_flag_types ADD bad bool NOT NULL DEFAULT false;"
            " UPDATE qc_flag_types SET bad = true WHERE id IN (2, 3)",
            "ALTER TABLE quality_control_flag_types DROP bad CASCADE;"
            " ALTER TABLE quality_control_flag_types ADD bad bool NOT NULL DEFAULT false;"
            " UPDATE quality_control_flag_types SET bad = true WHERE id IN (2, 3)",
        ),
    ),
    Migration("make flags partitioned", Outcome.ALARM, Variant(_PARTITIONED, None)),
    Migration("disable triggers", Outcome.ALARM, _in_both("ALTER TABLE {flags} DISABLE TRIGGER ALL")),
    Migration(
        "generate a column in another way",
        Outcome.ALARM,
        Variant(
            "ALTER TABLE runs ALTER qc_time_end"
            " SET EXPRESSION AS (coalesce(last_tf_timestamp, time_trg_end, time_o2_end, time_o2_start))",
            None,
        ),
        since=170000,
    ),
)
