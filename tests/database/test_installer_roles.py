"""Test roles that install and are no superusers: what they may do as members of gaq_owner, and what the plan says."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import Connection, errors, sql

from gaq_listen.db import missing_rights
from gaq_listen.dba import doctor, installer
from gaq_listen.dba.plan import measurements
from gaq_listen.dba.plan.planner import make_plan
from gaq_listen.dba.scripts import script
from gaq_listen.errors import GaqListenError
from gaq_listen.private_postgres.server import PrivatePostgres
from tests.support.tables import drain

OPTIONS_SINCE = 160000
MEMBERS = [
    ("noinherit", "grant gaq_owner to {}", None),
    ("inherit", "grant gaq_owner to {} with inherit false", OPTIONS_SINCE),
    ("inherit", "grant gaq_owner to {} with set false", OPTIONS_SINCE),
    ("inherit", "grant gaq_owner to {} with inherit false, set false", OPTIONS_SINCE),
]
"""Attributes of a role, a grant, and the first version of the server that has the grant."""
UNSEEN = "select to_regnamespace('gaq')"

Install = Callable[[str, str], Connection[Any]]


@pytest.fixture(autouse=True)
def short_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measurements, "INTERVAL", 0.01)


def own_everything(db: Connection[Any], role: sql.Identifier) -> None:
    """Give a role the source tables, their schema, and the right to create a schema."""
    db.execute(sql.SQL("grant create on database {} to {}").format(sql.Identifier(db.info.dbname), role))
    db.execute(sql.SQL("alter schema public owner to {}").format(role))
    for (table,) in db.execute(
        "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')"
    ).fetchall():
        db.execute(sql.SQL("alter table {} owner to {}").format(sql.Identifier(table), role))


@contextmanager
def table_owner(db: Connection[Any], dsn: str, attributes: str, grant: str = "") -> Iterator[Connection[Any]]:
    """Open a session of a new role that owns the source tables, and drop the role afterwards."""
    role = sql.Identifier(f"owner of {db.info.dbname}")
    db.execute(sql.SQL(f"create role {{}} {attributes}").format(role))
    try:
        own_everything(db, role)
        if grant:
            db.execute(script("05_roles").encode())
            db.execute(sql.SQL(grant).format(role))
        with psycopg.connect(dsn, autocommit=True) as session:
            session.execute(sql.SQL("set session authorization {}").format(role))
            yield session
    finally:
        db.execute(sql.SQL("reassign owned by {} to current_user").format(role))
        db.execute(sql.SQL("drop owned by {} cascade").format(role))
        db.execute(sql.SQL("drop role {}").format(role))


@pytest.fixture
def owner(bare_db: Connection[Any], bare_dsn: str) -> Iterator[Install]:
    """Return a function that opens a session of a role that owns the source tables."""
    with ExitStack() as stack:
        yield lambda attributes, grant: stack.enter_context(table_owner(bare_db, bare_dsn, attributes, grant))


def skip_before(db: Connection[Any], version: int | None) -> None:
    if version is not None and db.info.server_version < version:
        pytest.skip("memberships have options since PostgreSQL 16")


def run_fix(db: Connection[Any], fix: str) -> None:
    """Execute the statements that a finding or a message names, as a superuser."""
    for statement in fix.removeprefix("as a superuser, run: ").partition("; or install")[0].split("; "):
        if not statement.startswith("then gaq-listen"):
            db.execute(statement.encode())


def fix_of(error: BaseException) -> str:
    """Return the statement in the advice at the end of a message."""
    return str(error).rpartition("gaq_owner: ")[2].rstrip(")")


@pytest.mark.parametrize(("attributes", "grant", "since"), MEMBERS)
def test_plan_and_installation_refuse_a_member_without_the_rights(
    bare_db: Connection[Any], owner: Install, attributes: str, grant: str, since: int | None
) -> None:
    skip_before(bare_db, since)
    session = owner(attributes, grant)
    plan = make_plan(session)
    assert plan.role.endswith("do not suffice")
    (obstacle,) = plan.obstacles
    assert obstacle.what.endswith(("does not inherit the rights of gaq_owner", "may not SET ROLE gaq_owner"))
    with pytest.raises(GaqListenError, match="has changed nothing"):
        installer.install(session)
    assert bare_db.execute(UNSEEN).fetchone() == (None,)

    run_fix(bare_db, obstacle.fix)
    assert make_plan(session).obstacles == ()
    for _ in range(2):
        installer.install(session)
    drain(bare_db)
    installer.detach(session)
    installer.install(session)
    installer.uninstall(session)
    assert bare_db.execute(UNSEEN).fetchone() == (None,)


@pytest.mark.parametrize("options", ["inherit false", "set false", "inherit false, set false"])
@pytest.mark.parametrize("attributes", ["inherit", "noinherit"])
def test_installation_grants_what_an_administrator_of_gaq_owner_lacks(
    bare_db: Connection[Any], owner: Install, attributes: str, options: str
) -> None:
    skip_before(bare_db, OPTIONS_SINCE)
    session = owner(attributes, f"grant gaq_owner to {{}} with admin true, {options}")
    assert make_plan(session).obstacles == ()
    installer.install(session)
    drain(bare_db)
    installer.uninstall(session)
    assert bare_db.execute(UNSEEN).fetchone() == (None,)


@pytest.mark.parametrize("attributes", ["inherit", "noinherit"])
def test_owner_with_createrole_installs_on_a_server_without_our_roles(attributes: str) -> None:
    with PrivatePostgres() as server, psycopg.connect(server.dsn(), autocommit=True) as db:
        db.execute(script("reference_tables").encode())
        with table_owner(db, server.dsn(), f"{attributes} createrole") as session:
            obstacles = make_plan(session).obstacles
            if attributes == "noinherit" and db.info.server_version < OPTIONS_SINCE:
                (obstacle,) = obstacles
                assert obstacle.fix.startswith('as a superuser, run: ALTER ROLE "owner of postgres" INHERIT; or')
                with pytest.raises(GaqListenError, match="has changed nothing"):
                    installer.install(session)
                run_fix(db, obstacle.fix)
            else:
                assert obstacles == ()
            installer.install(session)
            drain(db)
            installer.uninstall(session)
            assert db.execute(UNSEEN).fetchone() == (None,)


def test_roles_script_stops_before_16_at_a_role_with_noinherit(bare_db: Connection[Any], owner: Install) -> None:
    if bare_db.info.server_version >= OPTIONS_SINCE:
        pytest.skip("the script grants the membership with its options")
    session = owner("noinherit", "grant gaq_owner to {}")
    with pytest.raises(errors.InsufficientPrivilege, match="does not inherit the rights of gaq_owner") as refused:
        session.execute(script("05_roles").encode())
    run_fix(bare_db, (refused.value.diag.message_hint or "").removeprefix("run: "))
    session.execute(script("05_roles").encode())


@pytest.mark.parametrize(("attributes", "grant", "since"), MEMBERS)
@pytest.mark.parametrize("command", ["uninstall", "detach"])
def test_other_commands_name_what_a_member_lacks(
    bare_db: Connection[Any], owner: Install, attributes: str, grant: str, since: int | None, command: str
) -> None:
    """An uninstallation needs the inherited rights, and ``detach`` needs SET ROLE."""
    skip_before(bare_db, since)
    session = owner(attributes, grant)
    installer.install(bare_db)
    (obstacle,) = make_plan(session).obstacles
    needed = "usage" if command == "uninstall" else "set" if bare_db.info.server_version >= OPTIONS_SINCE else "member"
    (has_needed,) = session.execute("select pg_has_role('gaq_owner', %s)", (needed,)).fetchone() or (None,)
    objects = "select count(*) from pg_trigger where tgname ~ '^gaq_'"
    before = bare_db.execute(objects).fetchone()
    if not has_needed:
        with pytest.raises(GaqListenError) as refused:
            getattr(installer, command)(session)
        assert bare_db.execute(objects).fetchone() == before
        assert fix_of(refused.value) in obstacle.fix
        run_fix(bare_db, fix_of(refused.value))
    getattr(installer, command)(session)
    marking = "select count(*) from pg_trigger where tgfoid::regproc::text like 'gaq.mark%'"
    assert bare_db.execute(marking).fetchone() == (0,)


def test_doctor_and_errors_name_the_membership_that_a_member_does_not_inherit(
    bare_db: Connection[Any], owner: Install
) -> None:
    session = owner("noinherit", "grant gaq_owner to {}")
    installer.install(bare_db)
    findings = doctor.examine(session)
    fixes = {finding.fix for finding in findings if finding.what.startswith("could not check")}
    (fix,) = fixes
    with pytest.raises(errors.InsufficientPrivilege) as refused:
        session.execute("select * from gaq.installation")
    missing_rights.add_advice(session, refused.value)
    assert "was given gaq_owner, but does not inherit" in refused.value.__notes__[0]
    run_fix(bare_db, fix)
    assert not any(finding.what.startswith("could not check stale") for finding in doctor.examine(session))
    session.execute("select * from gaq.installation")


def test_installation_and_doctor_see_that_gaq_worker_does_not_inherit(db: Connection[Any]) -> None:
    with db.transaction(force_rollback=True):
        if db.info.server_version >= OPTIONS_SINCE:
            db.execute("grant gaq_reader to gaq_worker with inherit false")
        else:
            db.execute("alter role gaq_worker noinherit")
        (found,) = [finding for finding in doctor.examine(db) if finding.what == "gaq_worker lacks gaq_reader"]
        with db.transaction(force_rollback=True):
            db.execute(found.fix.encode())
            assert doctor.examine(db) == []
        db.execute(script("05_roles").encode())
        assert doctor.examine(db) == []


def test_plan_names_the_grant_with_which_an_owner_can_dump(bare_db: Connection[Any], owner: Install) -> None:
    session = owner("noinherit", "select")
    plan = make_plan(bare_db)
    (found,) = [finding for finding in plan.advice if "owns source tables" in finding.what]
    installer.install(bare_db)
    with pytest.raises(errors.InsufficientPrivilege):
        session.execute("select from gaq.summaries")
    run_fix(bare_db, found.fix.partition("after the installation: ")[2])
    session.execute("select from gaq.summaries")
