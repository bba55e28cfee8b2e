"""What happens to an installation in ordinary life: other schemas, owners, dumps, restores, and what others build."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from gaq_listen.dba import doctor, installer
from gaq_listen.dba.plan import measurements
from gaq_listen.dba.plan.planner import make_plan
from gaq_listen.dba.scripts import script
from gaq_listen.dba.sources import installation, named
from gaq_listen.errors import GaqListenError
from gaq_listen.private_postgres.binaries import find_binaries
from gaq_listen.private_postgres.server import PrivatePostgres
from tests.conftest import Server, where
from tests.database.test_adoption import TYPES
from tests.database.test_installation import PAIRS, dump
from tests.database.test_rights import OF_THE_VIEW
from tests.support.shapes import BOOKKEEPING, REFERENCE, Shape
from tests.support.tables import drain

PROGRAMS = find_binaries().directory
BOTH = pytest.mark.parametrize("shape", [REFERENCE, BOOKKEEPING], indirect=True, ids=str)


@pytest.fixture(autouse=True)
def short_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measurements, "INTERVAL", 0.01)


def everything(db: Connection[Any]) -> Any:
    """What changes with anything that is created, altered or granted."""
    return db.execute(
        "select (select array_agg(oid::text || xmin::text order by oid) from pg_class),"
        " (select array_agg(oid::text || xmin::text order by oid) from pg_proc),"
        " (select array_agg(oid::text || xmin::text order by oid) from pg_namespace),"
        " (select array_agg(oid::text || xmin::text order by oid) from pg_trigger)"
    ).fetchall()


def run(program: str, *words: str, check: bool = True, text: str | None = None) -> subprocess.CompletedProcess[str]:
    answer = subprocess.run([PROGRAMS / program, *words], capture_output=True, text=True, check=False, input=text)
    assert not check or answer.returncode == 0, answer.stderr
    return answer


# The schema of the source tables --------------------------------------------------------------------------------------


@pytest.fixture
def elsewhere(bare_db: Connection[Any]) -> Connection[Any]:
    """An installation in schema bookkeeping, beside a schema public with tables of the same names."""
    bare_db.execute("alter schema public rename to bookkeeping; create schema public; set search_path = public")
    bare_db.execute(script("reference_tables").encode())
    bare_db.execute("set search_path = bookkeeping")
    bare_db.execute(PAIRS.encode())
    installer.install(bare_db, "bookkeeping")
    drain(bare_db)
    return bare_db


def test_install_keeps_to_the_schema_that_it_was_made_with(elsewhere: Connection[Any]) -> None:
    before = elsewhere.execute("select kind, name, checksum from gaq.list_objects() order by 1, 2").fetchall()
    installer.install(elsewhere)
    assert elsewhere.execute("select kind, name, checksum from gaq.list_objects() order by 1, 2").fetchall() == before
    assert make_plan(elsewhere).schema == "bookkeeping"
    # It may be renamed: it is known by what stands in it.
    elsewhere.execute("alter schema bookkeeping rename to bk; set search_path = bk")
    installer.install(elsewhere)
    drain(elsewhere)
    assert elsewhere.execute("select count(*) from gaq_summaries where invalidated_at is null").fetchone() == (2,)
    assert doctor.examine(elsewhere) == []


def test_another_schema_is_refused_before_anything_changes(elsewhere: Connection[Any]) -> None:
    before = everything(elsewhere)
    with pytest.raises(GaqListenError, match=r"has changed nothing.*in schema bookkeeping.*--source-schema"):
        installer.install(elsewhere, "public")
    answer = run("psql", "-qX", where(elsewhere), "-f", "-", check=False, text=installation(named("reference")))
    assert answer.returncode == 3
    assert "has its source tables in schema bookkeeping, not in public" in answer.stderr
    assert everything(elsewhere) == before


def test_a_schema_that_does_not_exist_is_one_sentence(bare_db: Connection[Any]) -> None:
    before = everything(bare_db)
    with pytest.raises(GaqListenError, match=r"schema nowhere does not exist .*name the schema"):
        installer.install(bare_db, "nowhere")
    script_ = installation(named("reference"), "nowhere")
    assert (
        "there is no schema nowhere" in run("psql", "-qX", where(bare_db), "-f", "-", check=False, text=script_).stderr
    )
    assert everything(bare_db) == before


OBSTACLES = {
    "a table is missing": "drop table gaq_detectors cascade",
    "a column is missing": "alter table runs drop column run_number cascade",
    "a view of that name": "create view gaq_summaries as select 1 as x",
    "a schema of that name": "create schema gaq",
    "a table that cannot be taken over": "create table gaq_summaries (x int)",
    "a view instead of a table": "alter table runs rename to r; create view runs as select * from r",
}


@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_whatever_the_plan_calls_an_obstacle_install_refuses(bare_db: Connection[Any], obstacle: str) -> None:
    bare_db.execute(OBSTACLES[obstacle].encode())
    blockers = make_plan(bare_db).obstacles
    assert blockers
    before = everything(bare_db)
    with pytest.raises(GaqListenError) as refused:
        installer.install(bare_db)
    for blocker in blockers:
        assert blocker.what in str(refused.value)
    assert everything(bare_db) == before


def test_a_newer_version_is_not_replaced(db: Connection[Any]) -> None:
    db.execute("update gaq.installation set version = 99")
    with pytest.raises(GaqListenError, match="version 99 is newer"):
        installer.install(db)


# Dumps and restores ---------------------------------------------------------------------------------------------------


@contextmanager
def restored(server: Server, db: Connection[Any], tmp_path: Path, *options: str) -> Iterator[Connection[Any]]:
    """The database, dumped and restored beside itself."""
    file = str(tmp_path / "dump")
    run("pg_dump", "-Fc", "-f", file, where(db))
    name = f"{db.info.dbname}_restored"
    db.execute(f"create database {name} template template0".encode())
    try:
        run("pg_restore", *options, "-d", server.dsn(name), file)
        with psycopg.connect(server.dsn(name), autocommit=True) as connection:
            yield connection
    finally:
        db.execute(f"drop database {name} with (force)".encode())


def bring_the_applications_own_trigger(db: Connection[Any], shape: Shape) -> None:
    """Make the database complete: doctor misses a trigger in the Bookkeeping's shape, which that application has."""
    if shape.name == "bookkeeping":
        db.execute(script("bookkeeping_boundaries").encode())


@BOTH
def test_what_is_restored_is_what_was_installed(
    committed: Connection[Any], server: Server, tmp_path: Path, shape: Shape
) -> None:
    drain(committed)
    bring_the_applications_own_trigger(committed, shape)
    with restored(server, committed, tmp_path) as again:
        assert doctor.examine(again) == []
        with restored(server, again, tmp_path) as once_more:
            assert doctor.examine(once_more) == []


def test_what_is_recorded_does_not_depend_on_the_session(db: Connection[Any]) -> None:
    objects = "select kind, name, checksum from gaq.list_objects() order by 1, 2"
    before = db.execute(objects.encode()).fetchall()
    db.execute("set quote_all_identifiers = on; set datestyle = 'German'; set search_path = gaq, public")
    assert db.execute(objects.encode()).fetchall() == before


@BOTH
@pytest.mark.parametrize("options", [("--no-owner",), ("--no-owner", "--no-acl")], ids=" ".join)
def test_install_takes_what_was_restored_without_owners(
    committed: Connection[Any], server: Server, tmp_path: Path, options: tuple[str, ...], shape: Shape
) -> None:
    drain(committed)
    bring_the_applications_own_trigger(committed, shape)
    with restored(server, committed, tmp_path, *options) as again:
        assert doctor.examine(again) != []
        installer.install(again)
        assert doctor.examine(again) == []
        assert security_definers(again) == [("gaq_owner", False)]


def security_definers(db: Connection[Any]) -> list[Any]:
    """Who owns the SECURITY DEFINER functions of ours, and whether everybody may execute any but those of the view."""
    return db.execute(
        "select distinct pg_get_userbyid(proowner)::text, has_function_privilege('public', oid, 'execute')"
        " from pg_proc where pronamespace = 'gaq'::regnamespace and prosecdef"
        " and proname <> all (%s)",
        (OF_THE_VIEW,),
    ).fetchall()


def test_install_takes_what_was_restored_where_the_roles_were_missing(db: Connection[Any], tmp_path: Path) -> None:
    db.execute(PAIRS.encode())
    drain(db)
    file = str(tmp_path / "dump")
    run("pg_dump", "-Fc", "-f", file, where(db))
    with PrivatePostgres() as other:
        assert "does not exist" in run("pg_restore", "-d", other.dsn(), file, check=False).stderr
        with psycopg.connect(other.dsn(), autocommit=True) as again:
            installer.install(again)
            assert doctor.examine(again) == []
            assert security_definers(again) == [("gaq_owner", False)]
            again.execute(
                "insert into qc_flags (data_pass_id, run_number, detector_id, flag_type_id) values (1, 7, 1, 1)"
            )
            assert again.execute("select run_number from gaq.pending").fetchall() == [(7,)]


# Owners who are no superusers -----------------------------------------------------------------------------------------

Session = Callable[[], Connection[Any]]


@pytest.fixture
def owner(bare_db: Connection[Any], server: Server) -> Iterator[str]:
    """The role that owns the tables, their schema and the database; it may log in, and is no superuser."""
    role = f"owner_{bare_db.info.dbname}"
    if bare_db.execute("select to_regrole('gaq_owner') is null").fetchone() == (True,):
        bare_db.execute("create role gaq_owner; create role gaq_worker; create role gaq_reader")
        bare_db.execute("grant gaq_reader to gaq_worker")
    bare_db.execute(PAIRS.encode())
    bare_db.execute(f"create role {role} login".encode())
    bare_db.execute(
        f"alter schema public owner to {role}; alter database {bare_db.info.dbname} owner to {role}".encode()
    )
    for (table,) in bare_db.execute(
        "select oid::regclass::text from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'"
    ).fetchall():
        bare_db.execute(f"alter table {table} owner to {role}".encode())
    yield role
    bare_db.execute(f"reassign owned by {role} to current_user; drop owned by {role}".encode())
    bare_db.execute(f"drop role {role}".encode())


@pytest.fixture
def as_owner(bare_dsn: str, owner: str) -> Iterator[Session]:
    """Opens sessions of the owner."""
    with ExitStack() as stack:
        yield lambda: stack.enter_context(psycopg.connect(bare_dsn, user=owner, autocommit=True))


def test_the_owner_grants_on_all_tables_and_dumps(
    bare_db: Connection[Any], bare_dsn: str, owner: str, as_owner: Session
) -> None:
    warnings = {warning.what: warning.fix for warning in make_plan(bare_db).advice}
    (remedy,) = [remedy for what, remedy in warnings.items() if what.startswith(f"{owner} owns source tables")]
    installer.install(bare_db)
    application = f"app_{bare_db.info.dbname}"
    bare_db.execute(f"create role {application}".encode())
    try:
        session = as_owner()

        def grant() -> list[bool]:
            session.execute(f"grant select, insert, update on all tables in schema public to {application}".encode())
            return [
                bare_db.execute("select has_table_privilege(%s, %s, 'update')", (application, table)).fetchall()[0][0]
                for table in ("qc_flags", "gaq_summaries")
            ]

        assert grant() == [True, False]
        dsn = psycopg.conninfo.make_conninfo(bare_dsn, user=owner)
        assert run("pg_dump", dsn, check=False).returncode != 0
        # What the plan says is what it takes.
        bare_db.execute(remedy.partition(": ")[2].encode())
        assert grant() == [True, True]
        assert "CREATE VIEW public.gaq_summaries" in run("pg_dump", dsn).stdout
        assert doctor.examine(bare_db) == []
        assert f"{owner} owns source tables" not in str(make_plan(bare_db).advice)
    finally:
        bare_db.execute(f"drop owned by {application}; drop role {application}".encode())


def test_an_owner_installs_restores_and_uninstalls(
    bare_db: Connection[Any], bare_dsn: str, server: Server, owner: str, as_owner: Session, tmp_path: Path
) -> None:
    bare_db.execute(f"grant gaq_owner to {owner}".encode())
    installer.install(as_owner())
    drain(bare_db)
    assert doctor.examine(bare_db) == []

    file, name = str(tmp_path / "dump"), f"{bare_db.info.dbname}_restored"
    run("pg_dump", "-Fc", "-f", file, psycopg.conninfo.make_conninfo(bare_dsn, user=owner))
    bare_db.execute(f"create database {name} owner {owner} template template0".encode())
    try:
        dsn = psycopg.conninfo.make_conninfo(server.dsn(name), user=owner)
        with psycopg.connect(server.dsn(name), autocommit=True) as superuser:
            superuser.execute(f"alter schema public owner to {owner}".encode())
            run("pg_restore", "-d", dsn, file, check=False)
            with psycopg.connect(dsn, autocommit=True) as session:
                installer.install(session)
            assert doctor.examine(superuser) == []
            assert superuser.execute(
                "select pg_get_userbyid(relowner)::text from pg_class where relname = 'gaq_summaries'"
            ).fetchall() == [("gaq_owner",)]
            drain(superuser)
            assert superuser.execute("select count(*) from gaq_summaries where invalidated_at is null").fetchone() == (
                2,
            )
    finally:
        bare_db.execute(f"drop database {name} with (force)".encode())

    told: list[str] = []
    installer.uninstall(as_owner(), report=told.append)
    assert bare_db.execute("select to_regnamespace('gaq'), to_regclass('gaq_summaries')").fetchone() == (None, None)
    assert bare_db.execute("select count(*) from pg_trigger where tgname like 'gaq%'").fetchone() == (0,)
    left = "select oid::regclass::text from pg_class, aclexplode(relacl) where grantee::regrole::text like 'gaq%'"
    assert bare_db.execute(left.encode()).fetchall() == []
    left = "select nspname from pg_namespace, aclexplode(nspacl) where grantee::regrole::text like 'gaq%'"
    assert bare_db.execute(left.encode()).fetchall() == []
    assert told[-1].endswith("gaq_owner, gaq_reader, gaq_worker")


def test_an_owner_adopts_a_table_and_gets_it_back(
    bare_db: Connection[Any], bare_dsn: str, owner: str, as_owner: Session
) -> None:
    """The application's roles keep their rights, and so does the owner."""
    bare_db.execute(f"grant gaq_owner to {owner}".encode())
    session = as_owner()
    session.execute(TYPES["numeric"].encode())
    session.execute("grant select, update (invalidated_at) on gaq_summaries to pg_monitor")
    before = dump(bare_dsn)
    installer.install(as_owner())
    with bare_db.transaction():
        bare_db.execute("set local role pg_monitor")
        assert bare_db.execute("select count(*) from gaq_summaries").fetchone() == (7,)
        bare_db.execute("update gaq_summaries set invalidated_at = now()")
    assert session.execute("insert into gaq_summaries (data_pass_id, run_number) values (1, 7)").rowcount == 1
    drain(bare_db)
    assert session.execute("select count(*) from gaq_summaries where invalidated_at is null").fetchone() == (2,)
    assert doctor.examine(bare_db) == []
    installer.uninstall(as_owner())
    assert dump(bare_dsn) == before


# What others have in the database -------------------------------------------------------------------------------------

AUDIT = """
create schema audit;
create table audit.log (tag text);
create function audit.note() returns event_trigger language plpgsql
as $$ begin insert into audit.log values (tg_tag); end $$;
create event trigger note on ddl_command_end execute function audit.note();
"""


def test_an_event_trigger_that_writes_is_named(bare_db: Connection[Any]) -> None:
    bare_db.execute(AUDIT.encode())
    try:
        (warning,) = [warning for warning in make_plan(bare_db).advice if "event trigger" in warning.what]
        assert "event trigger note (ddl_command_end) runs audit.note()" in warning.what
        with pytest.raises(GaqListenError, match="the event trigger note did this") as refused:
            installer.install(bare_db)
        assert warning.fix in str(refused.value)
        bare_db.execute(warning.fix.partition(";")[0].encode())
        installer.install(bare_db)
        assert [warning for warning in make_plan(bare_db).advice if "event trigger" in warning.what] == []
    finally:
        bare_db.execute("drop event trigger note")


BUILT = """
create view report as select * from gaq_summaries;
create view weekly as select * from report;
create materialized view monthly as select count(*) as pairs from gaq_summaries;
create function worst() returns double precision stable
begin atomic select min(explicitly_not_bad_run_coverage) from gaq_summaries; end;
create view who_works as select * from gaq.workers;
"""


def test_uninstall_names_what_others_have_built_and_refuses(db: Connection[Any]) -> None:
    db.execute(PAIRS.encode())
    db.execute(BUILT.encode())
    before = everything(db)
    with pytest.raises(GaqListenError) as refused:
        installer.uninstall(db)
    said = str(refused.value)
    for thing in ("view report", "view weekly", "materialized view monthly", "function worst()", "view who_works"):
        assert thing in said
    assert "--drop-dependents" in said
    assert "rule" not in said
    answer = run("psql", "-qX1", "-v", "ON_ERROR_STOP=1", where(db), "-f", "-", check=False, text=script("uninstall"))
    assert answer.returncode != 0
    assert "view report" in answer.stderr
    assert everything(db) == before

    installer.uninstall(db, drop_dependents=True)
    assert db.execute("select to_regclass('report'), to_regclass('gaq_summaries')").fetchone() == (None, None)


def test_uninstall_is_not_kept_by_what_is_ours(db: Connection[Any]) -> None:
    installer.uninstall(db)
    assert db.execute("select to_regnamespace('gaq')").fetchone() == (None,)
