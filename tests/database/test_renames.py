"""Renamed columns and tables stop no writer, and change no value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from tests.conftest import where
from tests.database.migrated_tables import probe, shown, write
from tests.support.shapes import SHAPES, Shape
from tests.support.tables import drain, stale

# What the accessors and views are bound to, from the catalogs: no column of theirs is left out.
_BOUND = """
SELECT DISTINCT relname::text, attname::text
FROM pg_depend
JOIN pg_class ON pg_class.oid = refobjid
JOIN pg_attribute ON attrelid = refobjid AND attnum = refobjsubid
WHERE classid = 'pg_proc'::regclass AND refclassid = 'pg_class'::regclass AND refobjsubid > 0
  AND objid IN (SELECT oid FROM pg_proc WHERE pronamespace = 'gaq'::regnamespace AND proname LIKE 'as\\_%')
ORDER BY 1, 2
"""


@pytest.fixture
def dba(committed: Connection[Any]) -> Iterator[Connection[Any]]:
    """A connection that speaks as the scripts do, to a database with the world in it."""
    with psycopg.connect(where(committed), autocommit=True) as connection:
        yield connection


@pytest.mark.parametrize("shape", SHAPES, indirect=True, ids=lambda shape: shape.name)
def test_renamed_columns_stop_no_writer(dba: Connection[Any], shape: Shape) -> None:
    """One after the other is renamed, in one database, until no column that is read has its old name."""
    columns = dba.execute(_BOUND.encode()).fetchall()
    assert len(columns) > 15
    names: dict[str, str] = {}
    for table, column in columns:
        dba.execute(f'ALTER TABLE {table} RENAME "{column}" TO {column}_'.encode())
        if not names.get(f"{table}.{column}"):
            names[f"{table}.{column}"] = f"{column}_"
        write(dba, shape, names)
    drain(dba)
    probe(dba, shape, names, (1, 101))
    assert shown(dba, (1, 101))[1]
    drain(dba)
    assert shown(dba, (1, 101)) == (1, False)
    assert stale(dba) == set()


@pytest.mark.parametrize("shape", SHAPES, indirect=True, ids=lambda shape: shape.name)
def test_renamed_and_moved_tables_stop_no_writer(dba: Connection[Any], shape: Shape) -> None:
    dba.execute("CREATE SCHEMA elsewhere")
    names: dict[str, str] = {}
    for table in dict.fromkeys(table for table, _ in dba.execute(_BOUND.encode()).fetchall()):
        dba.execute(f"ALTER TABLE {table} RENAME TO {table}_; ALTER TABLE {table}_ SET SCHEMA elsewhere".encode())
        names[table] = f"elsewhere.{table}_"
        write(dba, shape, names)
    dba.execute("ALTER SCHEMA elsewhere RENAME TO moved")
    names = {old: new.replace("elsewhere", "moved") for old, new in names.items()}
    probe(dba, shape, names, (1, 101))
    drain(dba)
    assert shown(dba, (1, 101)) == (1, False)


@pytest.mark.parametrize("shape", SHAPES, indirect=True, ids=lambda shape: shape.name)
def test_a_column_dropped_with_cascade_stops_no_writer(dba: Connection[Any], shape: Shape) -> None:
    """What marks cannot tell what a row means then, so it marks everything."""
    for table, column in dba.execute(_BOUND.encode()).fetchall():
        with dba.transaction(force_rollback=True):
            dba.execute("DELETE FROM gaq.wide_invalidations")
            dba.execute(f'ALTER TABLE {table} DROP "{column}" CASCADE'.encode())
            dba.execute(f"UPDATE {table} SET {_other(dba, table)} = DEFAULT WHERE false".encode())
            marks = dba.execute("SELECT kind, cause FROM gaq.wide_invalidations").fetchall()
            assert marks == [("everything", "unbound")], (table, column)


def _other(dba: Connection[Any], table: str) -> str:
    """Return a column of the table that is there."""
    ((column,),) = dba.execute(
        "SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
        " AND NOT attisdropped AND attidentity = '' AND attgenerated = '' LIMIT 1",
        [table],
    ).fetchall()
    return str(column)
