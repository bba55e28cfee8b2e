"""The sources of an installation: how people select them, and that an installation keeps them."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner
from psycopg import Connection

from gaq_listen.cli.main import main
from gaq_listen.dba import doctor, installer
from gaq_listen.dba.plan import measurements
from gaq_listen.dba.plan.planner import make_plan
from gaq_listen.dba.scripts import for_psql, script
from gaq_listen.dba.sources import chosen, named, shipped, used
from gaq_listen.errors import GaqListenError, UnknownName
from tests.conftest import where
from tests.database.test_installation import PROGRAMS, dump
from tests.support.shapes import BOOKKEEPING, LINK, SHAPES
from tests.support.small_world import assert_fresh
from tests.support.tables import drain, stale, stored

in_bookkeeping = pytest.mark.parametrize("shape", [BOOKKEEPING], indirect=True, ids=["bookkeeping"])


@pytest.fixture(autouse=True)
def short_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measurements, "INTERVAL", 0.01)


@pytest.fixture
def dba(bare_db: Connection[Any]) -> Any:
    """A connection that speaks as the scripts do."""
    with psycopg.connect(where(bare_db), autocommit=True) as connection:
        yield connection


def test_every_shape_has_a_sources_file() -> None:
    assert list(shipped()) == [shape.name for shape in SHAPES]


def test_unknown_sources_error_lists_the_known_names() -> None:
    with pytest.raises(UnknownName, match="reference, bookkeeping"):
        named("elsewhere")
    with pytest.raises(UnknownName, match="reference, bookkeeping"):
        named("/etc/passwd")


@in_bookkeeping
def test_installation_keeps_its_sources(dba: Connection[Any]) -> None:
    dba.execute(script("bookkeeping_boundaries").encode())
    before = dump(where(dba))
    assert used(dba) is None
    installer.install(dba, sources="bookkeeping")
    assert dba.execute("SELECT sources FROM gaq.installation").fetchall() == [("bookkeeping",)]
    assert (make_plan(dba, "public").sources, make_plan(dba, "public").obstacles) == ("bookkeeping", ())
    assert [finding.what for finding in doctor.examine(dba)] == []
    installer.install(dba)
    installer.install(dba, sources="bookkeeping")
    for act in (installer.install, lambda dba, sources: make_plan(dba, "public", sources)):
        with pytest.raises(GaqListenError, match="installed with the sources 'bookkeeping', not 'reference'"):
            act(dba, sources="reference")
    assert used(dba) == "bookkeeping"
    installer.uninstall(dba)
    assert dump(where(dba)) == before


@pytest.mark.parametrize("at", [17, None])
def test_psql_refuses_other_sources_than_the_installed(bare_db: Connection[Any], at: int | None) -> None:
    """Try it after a complete installation, and after one that was interrupted at a step."""
    for step in list(named("reference").steps())[:at]:
        bare_db.execute(step.text.encode())
    with pytest.raises(psycopg.Error, match="made with the sources 'reference', and not 'bookkeeping'"):
        bare_db.execute(named("bookkeeping").text.encode())


def test_version_1_has_the_reference_sources(bare_db: Connection[Any]) -> None:
    bare_db.execute((Path(__file__).parents[1] / "upgrades" / "version_1.sql").read_bytes())
    assert used(bare_db) == "reference"
    with pytest.raises(GaqListenError, match="installed with the sources 'reference', not 'bookkeeping'"):
        installer.install(bare_db, sources="bookkeeping")


def test_own_sources_file_installs_and_must_be_named(bare_db: Connection[Any], tmp_path: Path) -> None:
    """Use a copy of a sources file with another name and other tables, as docs/guides/dba.md says."""
    bare_db.execute("ALTER TABLE qc_flags RENAME TO flags")
    ours = tmp_path / "ours.sql"
    ours.write_text(named("reference").text.replace("'reference'", "'ours'").replace("qc_flags", "flags"))
    installer.install(bare_db, sources=str(ours))
    assert bare_db.execute("SELECT sources FROM gaq.installation").fetchall() == [("ours",)]
    assert [(finding.what[:27], finding.level) for finding in doctor.examine(bare_db)] == [
        ("the doctor did not check in", "note")
    ]
    for act in (installer.install, lambda db: make_plan(db, "public"), lambda db: chosen(db, None)):
        with pytest.raises(GaqListenError, match="'ours', a file of your own: name it"):
            act(bare_db)
    assert make_plan(bare_db, "public", str(ours)).obstacles == ()
    installer.install(bare_db, sources=str(ours))

    ours.write_text(ours.read_text().replace("gaq.source_reads_data_pass", "gaq.reads_data_pass"))
    with pytest.raises(UnknownName, match=r"ours\.sql does not create gaq\.source_reads_data_pass; docs/guides"):
        installer.install(bare_db, sources=str(ours))

    ours.write_text("select 1")
    with pytest.raises(UnknownName, match="does not name its sources"):
        installer.install(bare_db, sources=str(ours))


@in_bookkeeping
def test_duplicate_rows_of_lists_count_once(rolled_back: Connection[Any]) -> None:
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
def test_psql_installs_the_same_with_other_sources(bare_db: Connection[Any], dba: Connection[Any]) -> None:
    """Run ``gaq-listen sql install --sources bookkeeping | psql``."""

    def objects() -> list[Any]:
        return dba.execute("SELECT kind, name, owner, checksum FROM gaq.list_objects() ORDER BY 1, 2").fetchall()

    installer.install(dba, sources="bookkeeping")
    ours = objects()
    installer.uninstall(dba)
    script = CliRunner().invoke(main, ["sql", "install", "--sources", "bookkeeping"])
    assert script.exit_code == 0
    subprocess.run([PROGRAMS / "psql", "-qX", where(bare_db), "-f", "-"], input=script.stdout, text=True, check=True)
    assert objects() == ours
    assert used(dba) == "bookkeeping"


@in_bookkeeping
def test_reports_read_the_bookkeeping_shape(committed: Connection[Any]) -> None:
    """Run reports that read the source views."""
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
def test_sql_command_prints_the_sources_file(name: str, script: str) -> None:
    answer = CliRunner().invoke(main, ["sql", script, "--sources", name])
    assert (answer.exit_code, answer.stdout) == (0, for_psql(named(name).text))


def test_commands_refuse_unknown_sources(bare_db: Connection[Any]) -> None:
    for command in (["install", "--dsn", where(bare_db)], ["sql", "install"]):
        answer = CliRunner().invoke(main, [*command, "--sources", "elsewhere"])
        assert answer.exit_code == 2
        assert "use one of reference, bookkeeping" in answer.stderr


@in_bookkeeping
def test_plan_fix_creates_generated_columns(bare_db: Connection[Any], dba: Connection[Any]) -> None:
    """Execute the fixes, and see that the columns are generated."""
    bare_db.execute("ALTER TABLE runs DROP COLUMN qc_time_end")
    bare_db.execute(script("bookkeeping_boundaries").encode())
    bare_db.execute(
        "INSERT INTO runs (run_number, time_trg_start, time_o2_start, time_o2_end)"
        " VALUES (1, '2024-01-01 01:00Z', '2024-01-01 00:00Z', '2024-01-01 02:00Z')"
    )
    plain, missing = make_plan(dba, "public", "bookkeeping").advice
    assert plain.what.startswith("public.runs.qc_time_start is not a generated column")
    assert missing.what.startswith("public.runs has no column qc_time_end")
    installer.install(dba, sources="bookkeeping")
    for warning in (plain, missing):
        dba.execute(warning.fix.encode())
    assert make_plan(dba, "public").advice == ()
    qc_times = "SELECT qc_time_start = time_trg_start, qc_time_end = time_o2_end FROM runs"
    assert dba.execute(qc_times.encode()).fetchall() == [(True, True)]
