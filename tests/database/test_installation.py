"""Installing and uninstalling: the database before, meanwhile and after."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest
from psycopg import Connection, sql

from gaq_listen.db.sessions import SQL_VERSION, require_installed
from gaq_listen.dba import installer
from gaq_listen.dba.scripts import INSTALL_SCRIPTS
from gaq_listen.dba.sources import installation, named, shipped
from gaq_listen.errors import GaqListenError, NotInstalled
from gaq_listen.private_postgres.binaries import find_binaries
from tests.support.tables import drain

PROGRAMS = find_binaries().directory

PAIRS = """
insert into data_passes (id, name) values (1, 'p'), (2, 'q');
insert into runs (run_number, time_o2_start, time_o2_end) values (7, '2026-01-01', '2026-01-02');
insert into detectors (id, name) values (1, 'TPC');
insert into qc_flag_types (id, name, bad) values (1, 'Good', false);
insert into data_pass_runs values (1, 7), (2, 7);
insert into gaq_detectors values (1, 7, 1);
insert into qc_flags (data_pass_id, run_number, detector_id, flag_type_id) values (1, 7, 1, 1);
"""


def dump(dsn: str, *options: str) -> list[str]:
    """Return the output of pg_dump, without the lines that differ from call to call."""
    text = subprocess.run([PROGRAMS / "pg_dump", *options, dsn], check=True, capture_output=True, text=True).stdout
    return [line for line in text.splitlines() if not line.startswith(("\\restrict", "\\unrestrict", "--"))]


def objects(db: Connection[Any]) -> set[Any]:
    return set(db.execute("select kind, name, owner, checksum from gaq.list_objects()").fetchall())


def test_second_installation_changes_nothing(bare_db: Connection[Any], bare_dsn: str) -> None:
    bare_db.execute(PAIRS.encode())
    installer.install(bare_db)
    drain(bare_db)
    before = sorted(dump(bare_dsn, "--exclude-table-data=gaq.installation"))
    installer.install(bare_db)
    assert sorted(dump(bare_dsn, "--exclude-table-data=gaq.installation")) == before


def test_uninstall_leaves_the_database_as_it_was(bare_db: Connection[Any], bare_dsn: str) -> None:
    bare_db.execute(PAIRS.encode())
    before = dump(bare_dsn)
    installer.install(bare_db)
    drain(bare_db)
    assert dump(bare_dsn) != before
    installer.uninstall(bare_db)
    assert dump(bare_dsn) == before
    installer.uninstall(bare_db)


def test_psql_installs_the_same_objects_from_one_script(bare_db: Connection[Any], bare_dsn: str) -> None:
    bare_db.execute(PAIRS.encode())
    installer.install(bare_db)
    ours = objects(bare_db)
    installer.uninstall(bare_db)
    answer = subprocess.run(
        [PROGRAMS / "psql", "-qX", bare_dsn, "-f", "-"],
        input=installation(named("reference")),
        capture_output=True,
        text=True,
        check=True,
    )
    assert (answer.stdout, answer.stderr) == ("", "")
    assert objects(bare_db) == ours
    drain(bare_db)
    assert bare_db.execute("select count(*) from gaq_summaries where invalidated_at is null").fetchone() == (2,)


def test_installation_records_the_version_of_the_program(db: Connection[Any]) -> None:
    assert db.execute("select version from gaq.installation").fetchall() == [(SQL_VERSION,)]
    assert db.execute("select count(*) from gaq.installed_objects").fetchone() == (len(objects(db)),)


@pytest.mark.parametrize("script", INSTALL_SCRIPTS)
def test_commands_after_a_failed_installation_say_not_installed(bare_db: Connection[Any], script: str) -> None:
    """Apply the scripts before this one, as install or psql do."""
    for step in named("reference").steps():
        if step.title.startswith(script):
            break
        bare_db.execute(step.text.encode())
    with pytest.raises(NotInstalled, match=r"^gaq-listen is not installed in database .*run: gaq-listen install$"):
        require_installed(bare_db)


@pytest.mark.parametrize("name", list(shipped()))
def test_no_step_locks_two_source_tables(name: str) -> None:
    for step in named(name).steps():
        locked = {
            line.split()[-1]
            for line in step.text.splitlines()
            if line.startswith(("create or replace trigger gaq_insert", "alter table"))
        } - {"gaq.invalidations"}
        assert len({name.split(".")[-1] for name in locked} - {"full;"}) <= 1, step.title


def test_installation_marks_every_existing_pair_once(bare_db: Connection[Any]) -> None:
    bare_db.execute(PAIRS.encode())
    installer.install(bare_db)
    assert bare_db.execute("select data_pass_id, run_number, cause from gaq.invalidations order by 1").fetchall() == [
        (1, 7, "installation"),
        (2, 7, "installation"),
    ]
    installer.install(bare_db)
    assert bare_db.execute("select count(*) from gaq.invalidations").fetchone() == (2,)


def test_installation_into_a_schema_with_an_unusual_name(bare_db: Connection[Any]) -> None:
    name = """Book "keeping's" """
    bare_db.execute('alter schema public rename to "Book ""keeping\'s"" "')
    installer.install(bare_db, name)
    bare_db.execute('set search_path = "Book ""keeping\'s"" "')
    bare_db.execute(PAIRS.encode())
    drain(bare_db)
    assert bare_db.execute("select count(*) from gaq_summaries where invalidated_at is null").fetchone() == (2,)
    installer.uninstall(bare_db)
    assert bare_db.execute("select to_regclass('gaq_summaries')").fetchone() == (None,)


def test_installation_ignores_the_search_path_of_the_session(bare_db: Connection[Any]) -> None:
    bare_db.execute("create schema theirs; set search_path = theirs")
    installer.install(bare_db)
    found = "select relnamespace::regnamespace::text from pg_class where relname = 'gaq_summaries'"
    assert bare_db.execute(found).fetchall() == [("public",)]


def test_installation_names_a_missing_table_and_a_fix(bare_db: Connection[Any]) -> None:
    bare_db.execute("drop table gaq_detectors")
    with pytest.raises(GaqListenError, match=r"gaq_detectors.*--source-schema"):
        installer.install(bare_db)


def test_installation_gives_up_on_a_locked_table(
    bare_db: Connection[Any], bare_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installer, "ATTEMPTS", 2)
    monkeypatch.setattr(installer, "PAUSE", 0.01)
    reports: list[str] = []
    with psycopg.connect(bare_dsn) as writer:
        writer.execute("insert into runs (run_number) values (7)")
        with pytest.raises(GaqListenError, match=r"triggers on runs.*stayed locked"):
            installer.install(bare_db, lock_timeout=0.1, report=reports.append)
        # The steps before are committed and do no harm; this one may be repeated.
        writer.execute("insert into data_passes (id, name) values (1, 'p')")
        writer.execute("insert into data_pass_runs values (1, 7)")
    assert any("trying again" in line for line in reports)
    installer.install(bare_db)
    drain(bare_db)
    assert bare_db.execute("select run_number from gaq_summaries where invalidated_at is null").fetchall() == [(7,)]


def test_owner_of_the_tables_with_createrole_can_install(
    bare_db: Connection[Any], connect_bare: Callable[[], Connection[Any]]
) -> None:
    role = sql.Identifier(f"dba_{bare_db.info.dbname}")
    bare_db.execute(PAIRS.encode())
    bare_db.execute(sql.SQL("create role {} createrole").format(role))
    try:
        bare_db.execute(sql.SQL("grant create on database {} to {}").format(sql.Identifier(bare_db.info.dbname), role))
        bare_db.execute(sql.SQL("alter schema public owner to {}").format(role))
        # The roles may be there already, from another database of the server; then the DBA is made a member.
        if bare_db.execute("select to_regrole('gaq_owner') is not null").fetchone() == (True,):
            bare_db.execute(sql.SQL("grant gaq_owner, gaq_worker, gaq_reader to {} with admin option").format(role))
        for (table,) in bare_db.execute(
            "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'"
        ).fetchall():
            bare_db.execute(sql.SQL("alter table {} owner to {}").format(sql.Identifier(table), role))
        dba = connect_bare()
        dba.execute(sql.SQL("set session authorization {}").format(role))
        for _ in range(2):
            installer.install(dba)
        drain(bare_db)
        assert bare_db.execute("select count(*) from gaq_summaries where invalidated_at is null").fetchone() == (2,)
        installer.uninstall(dba)
        assert bare_db.execute("select to_regnamespace('gaq')").fetchone() == (None,)
    finally:
        bare_db.execute(sql.SQL("reassign owned by {} to current_user").format(role))
        bare_db.execute(sql.SQL("drop owned by {}").format(role))
        bare_db.execute(sql.SQL("drop role {}").format(role))


@pytest.fixture
def connect_bare(bare_dsn: str) -> Iterator[Callable[[], Connection[Any]]]:
    """Opens connections in autocommit to the database of ``bare_db``."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(psycopg.connect(bare_dsn, autocommit=True))
