"""The shapes that source tables come in.

Tests speak the names of the reference. On a connection to another shape a cursor says the same in the names of that
one, so that one suite serves all; what cannot be said by renaming is written down twice, as a ``Variant``.
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
    """What differs from shape to shape. None: there is nothing of the kind."""

    reference: T
    bookkeeping: T


@dataclass(frozen=True, slots=True)
class Shape:
    """A shape, and how tests get at a database that has it."""

    name: str
    tables: str
    """The script that creates the tables."""
    bare: str
    """The fixture that gives a connection to a new database with these tables and nothing else."""
    database: str
    """The fixture that gives one with gaq-listen installed as well."""
    template: str
    """The fixture of the template that such a database is a copy of."""
    cursor: type[psycopg.Cursor[Any]]

    def speak(self, connection: AnyConnection) -> AnyConnection:
        """Lets the connection be spoken to in the names of the reference."""
        connection.cursor_factory = self.cursor
        return connection

    def of(self, thing: Any) -> Any:
        """What is said in this shape."""
        return getattr(thing, self.name) if isinstance(thing, Variant) else thing


LINK = "data_pass_quality_control_flag"

BOOKKEEPING_EASED = """
-- What the Bookkeeping demands and the reference does not know has a default here: so the same statements do for both.
INSERT INTO users (id, external_id, name) VALUES (7, 7, 'somebody');
ALTER TABLE detectors ALTER type SET DEFAULT 'PHYSICAL';
ALTER TABLE run_detectors ALTER quality SET DEFAULT 'good';
ALTER TABLE quality_control_flag_types
    ALTER method SET DEFAULT gen_random_uuid()::text, ALTER created_by_id SET DEFAULT 7;
ALTER TABLE quality_control_flags ALTER created_by_id SET DEFAULT 7;
ALTER TABLE quality_control_flag_verifications ALTER created_by_id SET DEFAULT 7;
-- Keys cascade as those of the reference do: what cascades marks as well.
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
-- As pgloader by itself leaves what is virtual in MariaDB: plain columns that nobody keeps up to date.
ALTER TABLE runs ALTER qc_time_start DROP EXPRESSION, ALTER qc_time_end DROP EXPRESSION;
-- The indexes that the plan offers.
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
_A_NAME = re.compile(rf"(?<!gaq\.)\b({'|'.join(_NAMES)})\b")
_FLAGS_OF_A_PASS = re.compile(
    r"\s*INSERT INTO qc_flags\s*\((?P<columns>[^)]*\bdata_pass_id\b[^)]*)\)"
    r"\s*VALUES(?P<rows>.*?)(?P<conflict>ON CONFLICT.*)?",
    re.DOTALL,
)
_DETECTORS = re.compile(r"(INSERT INTO gaq_detectors) (?=VALUES|SELECT)")
_TYPES = re.compile(r"(INSERT INTO qc_flag_types) (?=VALUES\s*\(([^)]*)\))")


def in_bookkeeping(text: str) -> str:
    """The same statements in the Bookkeeping's names.

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
    return _A_NAME.sub(lambda name: _NAMES[name[1]], text)


def _linked(statement: str) -> str:
    """Flags are inserted first, and linked to their pass a statement later."""
    found = _FLAGS_OF_A_PASS.fullmatch(re.sub(r"^\s*--.*\n", "", statement, flags=re.MULTILINE))
    if found is None:
        return statement
    columns = re.split(r",\s*", found["columns"])
    conflict = found["conflict"] or ""
    said = []
    for row in re.findall(r"\(([^()]*)\)", found["rows"]):
        values = dict(zip(columns, re.split(r",\s*", row), strict=True))
        of = values.pop("data_pass_id")
        names = ", ".join(values)
        said.append(f"INSERT INTO qc_flags ({names}) VALUES ({', '.join(values.values())}) {conflict}".rstrip())
        if of != "null":
            row = f"VALUES ({of}, {values.get('id', _LAST_FLAG)})"
            once = " ON CONFLICT DO NOTHING" if conflict else ""
            said.append(f"INSERT INTO {LINK} (data_pass_id, quality_control_flag_id) {row}{once}")
    return "; ".join(said)


def _with_columns(insert: re.Match[str]) -> str:
    columns = ["id", "name", "bad", "mc_reproducible"][: insert[2].count(",") + 1]
    return f"{insert[1]} ({', '.join(columns)}) "


class BookkeepingCursor(psycopg.Cursor[Any]):
    """Takes statements in the names of the reference."""

    def execute(self, query: Any, *rest: Any, **options: Any) -> Any:
        """As psycopg's."""
        return super().execute(self._said(query), *rest, **options)

    def executemany(self, query: Any, *rest: Any, **options: Any) -> None:
        """As psycopg's."""
        super().executemany(self._said(query), *rest, **options)

    def copy(self, statement: Any, *rest: Any, **options: Any) -> Any:
        """As psycopg's."""
        return super().copy(self._said(statement), *rest, **options)

    @staticmethod
    def _said(query: Any) -> Any:
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
    """Whether a flag tells its data pass by a link."""
    return connection.cursor_factory is BookkeepingCursor


in_every_shape = pytest.mark.parametrize("shape", SHAPES, indirect=True, ids=lambda shape: shape.name)
"""A mark for tests that use ``db``, ``committed`` or ``rolled_back``: these have the shape."""


def rows_in_every_shape(names: str, rows: Iterable[Sequence[Any]]) -> pytest.MarkDecorator:
    """The same for tests with rows of parameters: of a ``Variant`` the shape's own; none that begins with None."""
    told = [(shape, *(shape.of(value) for value in row)) for shape in SHAPES for row in rows]
    found = [
        pytest.param(*row, id=f"{row[0].name}-{str(row[1])[:100]}-{number}")
        for number, row in enumerate(told)
        if row[1] is not None
    ]
    return pytest.mark.parametrize(("shape", *re.split(r",\s*", names)), found, indirect=["shape"])
