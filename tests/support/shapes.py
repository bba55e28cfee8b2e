"""The shapes of source tables, and how tests run over all shapes.

The statements of tests have the names of the reference shape. On a connection to another shape, the cursor translates
these names. A statement that cannot be translated is written twice, as a ``Variant``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import psycopg
import pytest
from psycopg import Connection

T = TypeVar("T")
AnyConnection = TypeVar("AnyConnection", bound=Connection[Any])


class Variant(NamedTuple, Generic[T]):
    """A value for each shape. None: the shape has no such value."""

    reference: T
    bookkeeping: T


@dataclass(frozen=True, slots=True)
class Shape:
    """A shape, and the fixtures that give a database of this shape."""

    name: str
    tables: str
    """The name of the script that creates the tables."""
    bare: str
    """The name of the fixture that connects to a new database with only the tables."""
    database: str
    """The name of the fixture that connects to a new database with gaq-listen installed as well."""
    template: str
    """The name of the fixture of the template for that database."""
    cursor: type[psycopg.Cursor[Any]]

    def speak(self, connection: AnyConnection) -> AnyConnection:
        """Make the connection accept statements in the names of the reference shape, and return it."""
        connection.cursor_factory = self.cursor
        return connection

    def of(self, thing: Any) -> Any:
        """Return the value for this shape, if the argument is a ``Variant``, or the argument itself."""
        return getattr(thing, self.name) if isinstance(thing, Variant) else thing


LINK = "data_pass_quality_control_flag"

BOOKKEEPING_EASED = """
-- Columns that the Bookkeeping requires and the reference lacks get defaults, so the same statements fit both shapes.
INSERT INTO users (id, external_id, name) VALUES (7, 7, 'somebody');
ALTER TABLE detectors ALTER type SET DEFAULT 'PHYSICAL';
ALTER TABLE run_detectors ALTER quality SET DEFAULT 'good';
ALTER TABLE quality_control_flag_types
    ALTER method SET DEFAULT gen_random_uuid()::text, ALTER created_by_id SET DEFAULT 7;
ALTER TABLE quality_control_flags ALTER created_by_id SET DEFAULT 7;
ALTER TABLE quality_control_flag_verifications ALTER created_by_id SET DEFAULT 7;
-- Foreign keys cascade as those of the reference do, so that tests can check the marks of cascades.
DO $$
DECLARE
    key record;
BEGIN
    FOR key IN
        SELECT conname, conrelid::regclass AS of, pg_get_constraintdef(oid) AS definition
        FROM pg_constraint
        WHERE contype = 'f' AND confrelid NOT IN ('users'::regclass, 'detectors'::regclass)
    LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I, ADD CONSTRAINT %I %s', key.of, key.conname, key.conname,
                       replace(key.definition, 'RESTRICT', 'CASCADE'));
    END LOOP;
END
$$;
-- pgloader turns virtual columns of MariaDB into plain columns, which nothing keeps up to date.
ALTER TABLE runs ALTER qc_time_start DROP EXPRESSION, ALTER qc_time_end DROP EXPRESSION;
-- These are the indexes that the plan suggests.
CREATE INDEX quality_control_flags_by_run ON quality_control_flags (run_number, detector_id, id);
CREATE INDEX global_aggregated_quality_detectors_by_pair
    ON global_aggregated_quality_detectors (data_pass_id, run_number);
"""

_LAST_FLAG = "currval(pg_get_serial_sequence('qc_flags', 'id'))"
_NAMES = {
    "qc_flags": "quality_control_flags",
    "qc_flag_types": "quality_control_flag_types",
    "qc_flag_verifications": "quality_control_flag_verifications",
    "gaq_detectors": "global_aggregated_quality_detectors",
    "data_pass_runs": "data_passes_runs",
}
_NAME_PATTERN = re.compile(rf"(?<!gaq\.)\b({'|'.join(_NAMES)})\b")
_FLAGS_OF_A_PASS = re.compile(
    r"\s*INSERT INTO qc_flags\s*\((?P<columns>[^)]*\bdata_pass_id\b[^)]*)\)"
    r"\s*VALUES(?P<rows>.*?)(?P<conflict>ON CONFLICT.*)?",
    re.DOTALL,
)
_DETECTORS = re.compile(r"(INSERT INTO gaq_detectors) (?=VALUES|SELECT)")
_TYPES = re.compile(r"(INSERT INTO qc_flag_types) (?=VALUES\s*\(([^)]*)\))")


def in_bookkeeping(text: str) -> str:
    """Translate statements into the names of the Bookkeeping.

    >>> in_bookkeeping("INSERT INTO qc_flags (id, data_pass_id, run_number) VALUES (7, 1, 101)").split("; ")[0]
    'INSERT INTO quality_control_flags (id, run_number) VALUES (7, 101)'
    >>> in_bookkeeping("INSERT INTO qc_flags (id, data_pass_id, run_number) VALUES (7, 1, 101)").split("; ")[1]
    'INSERT INTO data_pass_quality_control_flag (data_pass_id, quality_control_flag_id) VALUES (1, 7)'
    """
    text = ";".join(_linked(part) for part in text.split(";"))
    text = _DETECTORS.sub(r"\1 (data_pass_id, run_number, detector_id) ", text)
    text = _TYPES.sub(_with_columns, text)
    if "qc_flag_types" in text:
        text = re.sub(r"\bmc_reproducible\b", "monte_carlo_reproducible", text)
    text = re.sub(r"\bcreated_by = '[^']*'", "created_by_id = 7", text)
    return _NAME_PATTERN.sub(lambda name: _NAMES[name[1]], text)


def _linked(statement: str) -> str:
    """Split the insertion of flags in two: one statement inserts the flags, and the next links them to data passes."""
    found = _FLAGS_OF_A_PASS.fullmatch(re.sub(r"^\s*--.*\n", "", statement, flags=re.MULTILINE))
    if found is None:
        return statement
    columns = re.split(r",\s*", found["columns"])
    conflict = found["conflict"] or ""
    statements = []
    for row in re.findall(r"\(([^()]*)\)", found["rows"]):
        values = dict(zip(columns, re.split(r",\s*", row), strict=True))
        of = values.pop("data_pass_id")
        names = ", ".join(values)
        statements.append(f"INSERT INTO qc_flags ({names}) VALUES ({', '.join(values.values())}) {conflict}".rstrip())
        if of != "null":
            row = f"VALUES ({of}, {values.get('id', _LAST_FLAG)})"
            once = " ON CONFLICT DO NOTHING" if conflict else ""
            statements.append(f"INSERT INTO {LINK} (data_pass_id, quality_control_flag_id) {row}{once}")
    return "; ".join(statements)


def _with_columns(insert: re.Match[str]) -> str:
    columns = ["id", "name", "bad", "mc_reproducible"][: insert[2].count(",") + 1]
    return f"{insert[1]} ({', '.join(columns)}) "


class BookkeepingCursor(psycopg.Cursor[Any]):
    """A cursor for the Bookkeeping that accepts statements in the names of the reference shape."""

    def execute(self, query: Any, *rest: Any, **options: Any) -> Any:
        """Translate the statement first."""
        return super().execute(self._translated(query), *rest, **options)

    def executemany(self, query: Any, *rest: Any, **options: Any) -> None:
        """Translate the statement first."""
        super().executemany(self._translated(query), *rest, **options)

    def copy(self, statement: Any, *rest: Any, **options: Any) -> Any:
        """Translate the statement first."""
        return super().copy(self._translated(statement), *rest, **options)

    @staticmethod
    def _translated(query: Any) -> Any:
        text = query.decode() if isinstance(query, bytes) else query
        return in_bookkeeping(text).encode() if isinstance(text, str) else text


REFERENCE = Shape(
    "reference", "reference_tables", "bare_database", "installed_database", "installed_template", psycopg.Cursor
)
BOOKKEEPING = Shape(
    "bookkeeping",
    "bookkeeping_tables",
    "bookkeeping_bare_database",
    "bookkeeping_database",
    "bookkeeping_template",
    BookkeepingCursor,
)
SHAPES = (REFERENCE, BOOKKEEPING)


def links_flags(connection: Connection[Any]) -> bool:
    """Return whether a link connects a flag with its data pass, as in the Bookkeeping."""
    return connection.cursor_factory is BookkeepingCursor


in_every_shape = pytest.mark.parametrize("shape", SHAPES, indirect=True, ids=lambda shape: shape.name)
"""Run a test in each shape. The fixtures ``db``, ``committed`` and ``rolled_back`` then have that shape."""


def rows_in_every_shape(names: str, rows: Iterable[Sequence[Any]]) -> pytest.MarkDecorator:
    """Run a test in each shape with rows of parameters.

    In each row, a ``Variant`` becomes the value for the shape. A row whose first value is None is left out.
    """
    expanded = [(shape, *(shape.of(value) for value in row)) for shape in SHAPES for row in rows]
    found = [
        pytest.param(*row, id=f"{row[0].name}-{str(row[1])[:100]}-{number}")
        for number, row in enumerate(expanded)
        if row[1] is not None
    ]
    return pytest.mark.parametrize(("shape", *re.split(r",\s*", names)), found, indirect=["shape"])
