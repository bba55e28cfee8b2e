"""Which sources an installation is made with, and that it keeps to them; and what types a move from MariaDB leaves."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner
from psycopg import Connection

from gaq_listen.cli import main
from gaq_listen.dba import doctor, installer, plan, plan_tables
from gaq_listen.dba.scripts import script
from gaq_listen.dba.sources import chosen, named, shipped, used
from gaq_listen.errors import GaqListenError, UnknownName
from tests.conftest import where
from tests.database.altered import replaced
from tests.database.test_golden import failing, key
from tests.database.test_installation import PROGRAMS, dump
from tests.database.world import assert_fresh
from tests.golden_cases import scenarios
from tests.shapes import BOOKKEEPING, LINK, SHAPES, Shape
from tests.tables import drain, insert, stale, stored

in_bookkeeping = pytest.mark.parametrize("shape", [BOOKKEEPING], indirect=True, ids=["bookkeeping"])


@pytest.fixture(autouse=True)
def short_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_tables, "INTERVAL", 0.01)


@pytest.fixture
def dba(bare_db: Connection[Any]) -> Any:
    """A connection that speaks as the scripts do."""
    with psycopg.connect(where(bare_db), autocommit=True) as connection:
        yield connection


def test_every_shape_has_sources() -> None:
    assert list(shipped()) == [shape.name for shape in SHAPES]


def test_unknown_sources_are_refused_with_the_names_that_there_are() -> None:
    with pytest.raises(UnknownName, match="reference, bookkeeping"):
        named("elsewhere")
    with pytest.raises(UnknownName, match="reference, bookkeeping"):
        named("/etc/passwd")


@in_bookkeeping
def test_an_installation_keeps_to_its_sources(dba: Connection[Any]) -> None:
    before = dump(where(dba))
    assert used(dba) is None
    installer.install(dba, sources="bookkeeping")
    assert dba.execute("SELECT sources FROM gaq.installation").fetchall() == [("bookkeeping",)]
    assert (plan.make(dba, "public").sources, plan.make(dba, "public").blockers) == ("bookkeeping", ())
    assert [finding.what for finding in doctor.examine(dba)] == []
    installer.install(dba)
    installer.install(dba, sources="bookkeeping")
    for act in (installer.install, lambda dba, sources: plan.make(dba, "public", sources)):
        with pytest.raises(GaqListenError, match="installed with the sources 'bookkeeping', not 'reference'"):
            act(dba, sources="reference")
    assert used(dba) == "bookkeeping"
    installer.uninstall(dba)
    assert dump(where(dba)) == before


@pytest.mark.parametrize("at", [17, None])
def test_psql_refuses_other_sources_too(bare_db: Connection[Any], at: int | None) -> None:
    """Also where the first installation has not come to its end."""
    for step in list(named("reference").steps())[:at]:
        bare_db.execute(step.text.encode())
    with pytest.raises(psycopg.Error, match="made with the sources 'reference', and not 'bookkeeping'"):
        bare_db.execute(named("bookkeeping").text.encode())


def test_version_1_had_the_reference(bare_db: Connection[Any]) -> None:
    bare_db.execute((Path(__file__).parents[1] / "upgrades" / "version_1.sql").read_bytes())
    assert used(bare_db) == "reference"
    with pytest.raises(GaqListenError, match="installed with the sources 'reference', not 'bookkeeping'"):
        installer.install(bare_db, sources="bookkeeping")


def test_sources_of_ones_own(bare_db: Connection[Any], tmp_path: Path) -> None:
    """As docs/dba.md says: a copy with another name, and other names in it."""
    bare_db.execute("ALTER TABLE qc_flags RENAME TO flags")
    ours = tmp_path / "ours.sql"
    ours.write_text(named("reference").text.replace("'reference'", "'ours'").replace("qc_flags", "flags"))
    installer.install(bare_db, sources=str(ours))
    assert bare_db.execute("SELECT sources FROM gaq.installation").fetchall() == [("ours",)]
    assert [(finding.what[:27], finding.level) for finding in doctor.examine(bare_db)] == [
        ("indexes were not looked for", "note")
    ]
    for act in (installer.install, lambda db: plan.make(db, "public"), lambda db: chosen(db, None)):
        with pytest.raises(GaqListenError, match="'ours', a file of yours: name it"):
            act(bare_db)
    assert plan.make(bare_db, "public", str(ours)).blockers == ()
    installer.install(bare_db, sources=str(ours))

    ours.write_text("select 1")
    with pytest.raises(UnknownName, match="does not say its name"):
        installer.install(bare_db, sources=str(ours))


@in_bookkeeping
def test_what_is_listed_twice_counts_once(rolled_back: Connection[Any]) -> None:
    before = stored(rolled_back)
    rolled_back.execute(f"ALTER TABLE {LINK} DROP CONSTRAINT {LINK}_pkey")
    for table in (
        "gaq_detectors (data_pass_id, run_number, detector_id)",
        f"{LINK} (data_pass_id, quality_control_flag_id)",
    ):
        name, _, columns = table.partition(" ")
        rolled_back.execute(f"INSERT INTO {table} SELECT {columns.strip('()')} FROM {name}".encode())
    assert stale(rolled_back) == before.keys()
    drain(rolled_back)
    assert_fresh(rolled_back)
    assert stored(rolled_back) == before


@in_bookkeeping
def test_psql_installs_the_same(bare_db: Connection[Any], dba: Connection[Any]) -> None:
    """What ``gaq-listen sql install --sources bookkeeping | psql`` does."""

    def objects() -> list[Any]:
        return dba.execute("SELECT kind, name, owner, checksum FROM gaq.objects() ORDER BY 1, 2").fetchall()

    installer.install(dba, sources="bookkeeping")
    ours = objects()
    installer.uninstall(dba)
    script = CliRunner().invoke(main, ["sql", "install", "--sources", "bookkeeping"])
    assert script.exit_code == 0
    subprocess.run([PROGRAMS / "psql", "-qX", where(bare_db), "-f", "-"], input=script.stdout, text=True, check=True)
    assert objects() == ours
    assert used(dba) == "bookkeeping"


@in_bookkeeping
def test_reports_read_it(committed: Connection[Any]) -> None:
    """What people ask for, through the views of the sources."""
    committed.execute("UPDATE qc_flags SET created_by_id = 7, comment = 'trips' WHERE id = 13")
    drain(committed)
    for command, says in (
        ("status", "fresh"),
        ("show apass1", "101"),
        ("explain apass1 101", "#7"),
        ("verify", "differ"),
    ):
        answer = CliRunner().invoke(main, [*command.split(), "--dsn", where(committed)])
        assert (answer.exit_code, says in answer.stdout) == (0, True), answer.output


@pytest.mark.parametrize("script", ["sources", "20_sources"])
@pytest.mark.parametrize("name", list(shipped()))
def test_sql_prints_the_sources(name: str, script: str) -> None:
    answer = CliRunner().invoke(main, ["sql", script, "--sources", name])
    assert (answer.exit_code, answer.stdout) == (0, named(name).text)


def test_the_command_refuses_unknown_sources(bare_db: Connection[Any]) -> None:
    for command in (["install", "--dsn", where(bare_db)], ["sql", "install"]):
        answer = CliRunner().invoke(main, [*command, "--sources", "elsewhere"])
        assert answer.exit_code == 2
        assert "there are: reference, bookkeeping" in answer.stderr


@in_bookkeeping
def test_the_plan_offers_generated_columns(bare_db: Connection[Any], dba: Connection[Any]) -> None:
    """And what it offers does what it says."""
    bare_db.execute("ALTER TABLE runs DROP COLUMN qc_time_end")
    bare_db.execute(
        "INSERT INTO runs (run_number, time_trg_start, time_o2_start, time_o2_end)"
        " VALUES (1, '2024-01-01 01:00Z', '2024-01-01 00:00Z', '2024-01-01 02:00Z')"
    )
    plain, missing = plan.make(dba, "public", "bookkeeping").warnings
    assert plain.what.startswith(
        "public.runs.qc_time_start is a plain column, which nobody keeps up to date; it is wrong"
    )
    assert missing.what.startswith("public.runs has no column qc_time_end")
    installer.install(dba, sources="bookkeeping")
    for warning in (plain, missing):
        dba.execute(warning.remedy.removeprefix("For others who read it: ").partition(" (writes")[0].encode())
    assert plan.make(dba, "public").warnings == ()
    qc_times = "SELECT qc_time_start = time_trg_start, qc_time_end = time_o2_end FROM runs"
    assert dba.execute(qc_times.encode()).fetchall() == [(True, True)]


# What may have become of the types, and of the QC times.
_TIMES = ("    qc_time_start      timestamptz,\n    qc_time_end        timestamptz,\n", "")
_GENERATED = """
    qc_time_start {type} generated always as (coalesce(first_tf_timestamp, time_trg_start, time_o2_start)) {how},
    qc_time_end {type} generated always as (coalesce(last_tf_timestamp, time_trg_end, time_o2_end)) {how},
"""
MOVES = {
    "timestamp, smallint, int, missing": (("timestamptz", "timestamp(3)"), ("boolean", "smallint"), ("bigint", "int")),
    "timestamp, generated": (("timestamptz", "timestamp"),),
    "timestamptz, generated": (),
    "timestamptz, virtual": (),
}


def moved(name: str) -> str:
    """The tables of a Bookkeeping as that move leaves them."""
    text = replaced(script("bookkeeping_tables"), (_TIMES[0], "QC_TIMES\n"))
    for old, new in MOVES[name]:
        text = text.replace(old, new)
    text = text.replace("not null default false", "not null default 0") if "smallint" in name else text
    how = name.rpartition(" ")[2]
    kind = {"missing": "", "generated": "stored", "virtual": "virtual"}[how]
    generated = _GENERATED.format(type=name.partition(",")[0], how=kind) if kind else ""
    return text.replace("    QC_TIMES\n" if "    QC_TIMES" in text else "QC_TIMES\n", generated)


@pytest.mark.parametrize("move", MOVES)
@in_bookkeeping
def test_whatever_types_a_move_leaves(bare_db: Connection[Any], dba: Connection[Any], shape: Shape, move: str) -> None:
    """The golden cases, where the worker's session is in another time zone than the writer's; and marks."""
    if move.endswith("virtual") and bare_db.info.server_version < 180000:
        pytest.skip("virtual generated columns came with PostgreSQL 18")
    bare_db.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public; SET timezone = 'UTC'")
    bare_db.execute(moved(move).encode())
    bare_db.execute("DROP CAST IF EXISTS (boolean AS smallint)")
    bare_db.execute(
        "CREATE FUNCTION small(boolean) RETURNS smallint LANGUAGE sql IMMUTABLE RETURN $1::int::smallint;"
        " CREATE CAST (boolean AS smallint) WITH FUNCTION small(boolean) AS ASSIGNMENT"
    )
    assert plan.make(dba, "public", "bookkeeping").blockers == ()
    installer.install(dba, sources="bookkeeping")
    assert [finding.what for finding in doctor.examine(dba)] == []

    cases = {key(number): case for number, case in enumerate(scenarios()) if number % 4 == 0}
    with bare_db.transaction():
        insert(bare_db, {key: case.pair for key, case in cases.items()})
    dba.execute("SET timezone = 'Asia/Tokyo'")
    drain(dba)
    assert failing(stored(dba), {key: (case.id, case.expected) for key, case in cases.items()}) == {}

    (flag, data_pass, run) = dba.execute(
        "SELECT id, data_pass_id, run_number FROM gaq.source_flags LIMIT 1"
    ).fetchall()[0]
    yes = "1" if "smallint" in move else "true"
    for statement in (
        f"UPDATE quality_control_flags SET deleted = {yes} WHERE id = {flag}",
        f"UPDATE quality_control_flag_types SET bad = {yes}, monte_carlo_reproducible = {yes}",
        f"INSERT INTO quality_control_flags (id, run_number, detector_id, flag_type_id) VALUES (99999, {run}, 1, 1)",
        f"INSERT INTO {LINK} VALUES ({data_pass}, 99999)",
        f"UPDATE runs SET first_tf_timestamp = null, time_trg_start = '1999-01-01' WHERE run_number = {run}",
        f"UPDATE runs SET last_tf_timestamp = null, time_o2_end = '1999-01-01' WHERE run_number = {run}",
        f"DELETE FROM runs WHERE run_number = {run}",
    ):
        dba.execute(statement.encode())
        assert ((data_pass, run) in stale(dba)) == ("99999, " not in statement), statement
        drain(dba)
        assert stale(dba) == set()
