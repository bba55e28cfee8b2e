"""The columns of the source tables may have any type of their kind: one table of variants, in both shapes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from click.testing import CliRunner
from psycopg import Connection

from gaq_listen.cli.main import main
from gaq_listen.dba import doctor, installer
from gaq_listen.dba.manifest import manifest_of
from gaq_listen.dba.plan import measurements
from gaq_listen.dba.plan.planner import make_plan
from gaq_listen.dba.scripts import script
from gaq_listen.dba.sources import shipped
from gaq_listen.errors import GaqListenError
from tests.conftest import where
from tests.database.test_golden import failing, key
from tests.support.golden_cases import scenarios
from tests.support.shapes import BOOKKEEPING, Shape, Variant, in_every_shape, rows_in_every_shape
from tests.support.small_world import WORLD, assert_fresh
from tests.support.tables import insert, stale, stored


class Types(NamedTuple):
    """What a column of each kind becomes. None: it stays as the tables of the shape have it."""

    key: str | None = None
    instant: str | None = None
    yes_or_no: str | None = None
    name: str | None = None


VARIANTS = {
    "as they are": Types(),
    "smallest": Types("smallint", "timestamp", "smallint", "varchar(255)"),
    "int, padded": Types("int", "timestamptz(3)", "boolean", "char(64)"),
    "bigint, name": Types("bigint", "timestamp(6)", "int", "name"),
    "numeric, domain": Types("numeric(20, 0)", "timestamp", "numeric(1, 0)", "a_name"),
    "domains": Types("a_key", "an_instant", "a_yes", "a_domain_of_a_name"),
    "citext": Types(name="citext"),
}
PREPARED = """
CREATE DOMAIN a_name AS varchar(255);
CREATE DOMAIN a_domain_of_a_name AS a_name CHECK (value <> '');
CREATE DOMAIN a_key AS int;
CREATE DOMAIN an_instant AS timestamp;
CREATE DOMAIN a_yes AS boolean;
"""
GENERATED = {
    "qc_time_start": "coalesce(first_tf_timestamp, time_trg_start, time_o2_start)",
    "qc_time_end": "coalesce(last_tf_timestamp, time_trg_end, time_o2_end)",
}
TIMES = ("time_o2_start", "time_o2_end", "time_trg_start", "time_trg_end", "first_tf_timestamp", "last_tf_timestamp")
NAMES = {
    "reference": (
        "data_passes.name",
        "detectors.name",
        "qc_flag_types.name",
        "qc_flags.comment",
        "qc_flags.created_by",
    ),
    "bookkeeping": (
        "data_passes.name",
        "detectors.name",
        "quality_control_flag_types.name",
        "quality_control_flags.comment",
    ),
}
FLAGS = Variant("qc_flags", "quality_control_flags")
FLAG_TYPES = Variant("qc_flag_types", "quality_control_flag_types")
_KINDS = {"whole number": "key", "instant": "instant", "yes or no": "yes_or_no"}
_KEYS = """
SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname)
FROM pg_constraint WHERE contype = 'f' AND connamespace = 'public'::regnamespace
"""
_IDENTITIES = """
SELECT format('ALTER TABLE %s ALTER %I DROP IDENTITY', attrelid::regclass, attname)
FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
WHERE attidentity <> '' AND relnamespace = 'public'::regnamespace
"""


@pytest.fixture(autouse=True)
def short_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measurements, "INTERVAL", 0.01)


@pytest.fixture
def dba(bare_db: Connection[Any]) -> Iterator[Connection[Any]]:
    """A connection that speaks as the scripts do, from another time zone than that of the data."""
    with psycopg.connect(where(bare_db), autocommit=True) as connection:
        connection.execute("SET timezone = 'Asia/Tokyo'")
        yield connection


def columns(shape: Shape) -> dict[str, str]:
    """Every column of the source tables that has a kind of type, by "table.column"."""
    needs = (line.strip().split(": ") for line in manifest_of(shipped()[shape.name]).types.splitlines() if line.strip())
    found = {column: _KINDS[kind] for column, kind in needs if column.partition(".")[2] not in GENERATED}
    return found | {f"runs.{time}": "instant" for time in TIMES} | dict.fromkeys(NAMES[shape.name], "name")


def retype(connection: Connection[Any], shape: Shape, types: Types) -> None:
    """Give the columns these types, with what is in them. Nobody sees a column's new type before all have theirs."""
    connection.execute("SET timezone = 'UTC'")
    for (drop,) in [*connection.execute(_KEYS).fetchall(), *connection.execute(_IDENTITIES).fetchall()]:
        connection.execute(drop)
    wanted_ = {column: getattr(types, kind) for column, kind in columns(shape).items()}
    if types.instant:
        for column in (*GENERATED, *(("time_start", "time_end", "duration") if shape is BOOKKEEPING else ())):
            connection.execute(f"ALTER TABLE runs DROP COLUMN {column}".encode())
    for name, new in wanted_.items():
        if new is None:
            continue
        table, _, column = name.partition(".")
        using = f'"{column}"::int' if columns(shape)[name] == "yes_or_no" and "a_" not in new else f'"{column}"'
        retyped = f'ALTER "{column}" DROP DEFAULT, ALTER "{column}" TYPE {new} USING {using}::{new}'
        connection.execute(f"ALTER TABLE {table} {retyped}".encode())
    if types.instant:
        for column, expression in GENERATED.items():
            connection.execute(
                f"ALTER TABLE runs ADD {column} {types.instant} GENERATED ALWAYS AS ({expression}) STORED".encode()
            )


def prepare(connection: Connection[Any], types: Types) -> None:
    """Create what these types are made of.

    Raises:
        pytest.skip.Exception: the server has no such extension.
    """
    if types.name == "citext":
        if not connection.execute("SELECT FROM pg_available_extensions WHERE name = 'citext'").fetchall():
            pytest.skip("NOT TESTED: this server has no extension citext")
        connection.execute("CREATE EXTENSION citext")
    connection.execute(PREPARED.encode())


@in_every_shape
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_type_of_a_kind_works(
    bare_db: Connection[Any], dba: Connection[Any], shape: Shape, variant: str, tmp_path: Path
) -> None:
    """Everything that reads or stores, on the world; CALL gaq.drain() is made in a third time zone."""
    bare_db.execute(WORLD)
    prepare(bare_db, VARIANTS[variant])
    retype(dba, shape, VARIANTS[variant])
    dba.execute("SET timezone = 'Asia/Tokyo'")
    assert make_plan(dba, "public", shape.name).obstacles == ()
    installer.install(dba, sources=shape.name)
    with psycopg.connect(where(bare_db), autocommit=True) as elsewhere:
        elsewhere.execute("SET timezone = 'Europe/Zurich'")
        elsewhere.execute("CALL gaq.drain()")
    bare_db.execute("SET timezone = 'UTC'")
    assert_fresh(bare_db)
    assert [finding for finding in doctor.examine(dba) if finding.level == "error"] == []

    # Of many pairs of a data pass, the computation reads all flags at once where that costs less.
    one_by_one = (
        "select c.* from gaq.source_pairs p, gaq.compute(array[p.data_pass_id::bigint], array[p.run_number::bigint]) c"
    )
    at_once = """
        select c.* from gaq.source_data_passes p,
            gaq.compute(array_fill(p.id::bigint, array[20]),
                        array(select run_number::bigint from gaq.source_pairs where data_pass_id = p.id)
                        || array_fill(999::bigint, array[20])) c
        where c.run_number <> 999
    """
    assert sorted(dba.execute(at_once).fetchall()) == sorted(dba.execute(one_by_one).fetchall())

    for command, says in (
        ("show apass1", "101"),
        ("show 1 --json", '"data_pass": "apass1"'),
        ("show 1 --live", "together"),
        ("show 1 --list --live", "101"),
        ("show 1 --save {}", "written"),
        ("changes 1", ""),
        ("explain apass1 101", "ITS"),
        ("explain apass1 101 --json", '"ITS"'),
        ("verify --all", "none differs"),
        ("status", "fresh"),
        ("recalculate apass1 --runs 101", "marked: 1 run of apass1"),
        ("run --once", ""),
        ("verify --all", "4 of 4 pairs compared: none differs"),
    ):
        words = command.format(tmp_path / "pass.svg").split()
        answer = CliRunner().invoke(main, [*words, "--dsn", where(bare_db)])
        assert (answer.exit_code, says in answer.output) == (0, True), (command, answer.output, answer.exception)
    assert_fresh(bare_db)

    for read in (
        "SELECT * FROM gaq.periods(1, 101)",
        "SELECT * FROM gaq.live_summaries(1)",
        "SELECT * FROM gaq.data_pass_summaries",
        "SELECT * FROM gaq.detector_qualities(1, ARRAY[101])",
        "SELECT * FROM gaq.changes",
    ):
        assert dba.execute(read.encode()).fetchall(), read

    (flag, data_pass, run) = dba.execute(
        "SELECT id, data_pass_id, run_number FROM gaq.source_flags LIMIT 1"
    ).fetchall()[0]
    flags, types = shape.of(FLAGS), shape.of(FLAG_TYPES)
    no, yes = ("0", "1") if VARIANTS[variant].yes_or_no not in (None, "boolean", "a_yes") else ("false", "true")
    for statement in (
        f"UPDATE {flags} SET deleted = {yes} WHERE id = {flag}",
        f"UPDATE {flags} SET deleted = {no} WHERE id = {flag}",
        f"UPDATE {flags} SET \"from\" = '2024-01-01 02:00Z' WHERE id = {flag}",
        f"UPDATE {types} SET bad = {yes}",
        f"UPDATE runs SET first_tf_timestamp = null, time_trg_start = '1999-01-01' WHERE run_number = {run}",
        f"UPDATE runs SET last_tf_timestamp = null, time_o2_end = '2024-01-01 11:30' WHERE run_number = {run}",
    ):
        dba.execute(statement.encode())
        assert (data_pass, run) in stale(dba), statement
        dba.execute("CALL gaq.drain()")
        assert_fresh(bare_db)


@in_every_shape
@pytest.mark.parametrize("variant", ["smallest", "numeric, domain"])
def test_golden_cases_have_their_values_in_other_types(
    bare_db: Connection[Any], dba: Connection[Any], shape: Shape, variant: str
) -> None:
    types = VARIANTS[variant]._replace(key="int" if variant == "smallest" else "numeric")  # the ids are large
    cases = {key(number): case for number, case in enumerate(scenarios()) if number % 4 == 0}
    insert(bare_db, {key: case.pair for key, case in cases.items()})
    prepare(bare_db, types)
    retype(dba, shape, types)
    dba.execute("SET timezone = 'Asia/Tokyo'")
    installer.install(dba, sources=shape.name)
    dba.execute("CALL gaq.drain()")
    assert failing(stored(dba), {key: (case.id, case.expected) for key, case in cases.items()}) == {}


UNFIT = [
    ("data_passes.id", "uuid", "a whole number"),
    ("runs.run_number", "double precision", "a whole number"),
    (Variant("qc_flags.deleted", "quality_control_flags.deleted"), "text", "yes or no"),
    (Variant("qc_flags.created_at", "quality_control_flags.created_at"), "a_day", "an instant"),
]
_AS = {
    "uuid": "md5({column}::text)::uuid",
    "double precision": "{column}::float8",
    "text": "{column}::text",
    "a_day": "{column}::date",
}


@rows_in_every_shape("column, type_, needed", UNFIT)
def test_a_type_that_cannot_work_is_refused_by_plan_and_installation(
    bare_db: Connection[Any], dba: Connection[Any], shape: Shape, column: str, type_: str, needed: str
) -> None:
    bare_db.execute("CREATE DOMAIN a_day AS date")
    retype(dba, shape, Types())
    table, _, name = column.partition(".")
    using = _AS[type_].format(column=name)
    dba.execute(f"ALTER TABLE {table} ALTER {name} DROP DEFAULT, ALTER {name} TYPE {type_} USING {using}".encode())
    says = f"olumn {column} has type {type_}, and gaq-listen needs {needed}"
    found = make_plan(dba, "public", shape.name).obstacles
    assert [blocker for blocker in found if says in blocker.what], found
    with pytest.raises(GaqListenError, match=says):
        installer.install(dba, sources=shape.name)
    assert dba.execute("SELECT to_regnamespace('gaq')").fetchall() == [(None,)]

    # Whoever applies the scripts with psql is refused as well.
    applied = []
    with pytest.raises(psycopg.errors.DatatypeMismatch, match=says):
        applied += [dba.execute(step.text.encode()) for step in shipped()[shape.name].steps()]


@in_every_shape
def test_an_upgrade_from_views_that_gave_the_types_of_the_tables(
    bare_db: Connection[Any], dba: Connection[Any], shape: Shape
) -> None:
    """Version 3 did: its view of names has a column that cannot become text in place."""
    bare_db.execute(WORLD)
    retype(dba, shape, Types(name="varchar(255)"))
    installer.install(dba, sources=shape.name)
    dba.execute("DROP VIEW gaq.source_data_passes CASCADE; CREATE VIEW gaq.source_data_passes AS TABLE data_passes")
    dba.execute("CREATE VIEW gaq.reading AS TABLE gaq.source_data_passes")
    dba.execute("UPDATE gaq.installation SET version = 3")
    installer.install(dba)
    assert [finding for finding in doctor.examine(dba) if finding.level == "error"] == []
    dba.execute("CALL gaq.drain()")
    assert_fresh(bare_db)


# What may have become of the Bookkeeping's QC times, which are virtual in MariaDB.
QC_TIMES = {"stored": "GENERATED ALWAYS AS ({}) STORED", "virtual": "GENERATED ALWAYS AS ({}) VIRTUAL", "missing": None}


@pytest.mark.parametrize("shape", [BOOKKEEPING], indirect=True, ids=["bookkeeping"])
@pytest.mark.parametrize("kind", QC_TIMES)
def test_the_bookkeepings_qc_times_may_be_of_any_kind(
    bare_db: Connection[Any], dba: Connection[Any], shape: Shape, kind: str
) -> None:
    """Views and triggers use what they are made of: a trigger sees null in a virtual column."""
    if kind == "virtual" and bare_db.info.server_version < 180000:
        pytest.skip("virtual generated columns came with PostgreSQL 18")
    for column, expression in GENERATED.items():
        dba.execute(f"ALTER TABLE runs DROP COLUMN {column}".encode())
        if generated := QC_TIMES[kind]:
            dba.execute(f"ALTER TABLE runs ADD {column} timestamptz {generated.format(expression)}".encode())
    bare_db.execute(WORLD)
    dba.execute(script("bookkeeping_boundaries").encode())
    assert make_plan(dba, "public", shape.name).obstacles == ()
    installer.install(dba, sources=shape.name)
    dba.execute("CALL gaq.drain()")
    assert_fresh(bare_db)
    assert [finding.what for finding in doctor.examine(dba)] == []
    for change in ("last_tf_timestamp = null, time_trg_end = '2024-01-01 07:00Z'", "first_tf_timestamp = null"):
        dba.execute(f"UPDATE runs SET {change} WHERE run_number = 101".encode())
        assert (1, 101) in stale(dba)
        dba.execute("CALL gaq.drain()")
        assert_fresh(bare_db)
