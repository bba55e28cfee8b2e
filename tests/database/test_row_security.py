"""Row-level security on source tables: an installation refuses it, unless gaq_owner is exempt from the policies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import Connection, errors, sql

from gaq_listen.dba import doctor, installer
from gaq_listen.dba.manifest import manifest_of
from gaq_listen.dba.plan import measurements
from gaq_listen.dba.plan.planner import make_plan
from gaq_listen.dba.scripts import for_psql, script
from gaq_listen.dba.sources import named
from gaq_listen.errors import GaqListenError
from tests.database.test_adoption import TYPES
from tests.support.shapes import REFERENCE, Shape, in_every_shape
from tests.support.tables import drain

TWO_PAIRS = """
insert into data_passes (id, name) values (1, 'p'), (2, 'q');
insert into runs (run_number) values (7);
insert into data_pass_runs (data_pass_id, run_number) values (1, 7), (2, 7);
"""
UNSEEN = "select to_regnamespace('gaq')"


@pytest.fixture(autouse=True)
def short_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measurements, "INTERVAL", 0.01)


@pytest.fixture
def with_owner(bare_db: Connection[Any]) -> Iterator[Connection[Any]]:
    """Create gaq_owner without an exemption, and take every exemption back after the test."""
    bare_db.execute(script("05_roles").encode())
    yield bare_db
    if bare_db.execute("select to_regrole('gaq_owner') is not null").fetchone() == (True,):
        bare_db.execute("alter role gaq_owner nobypassrls")


def tables_of(shape: Shape) -> list[str]:
    manifest = manifest_of(named(shape.name))
    return [*manifest.marked, *manifest.read]


@in_every_shape
def test_installation_refuses_row_security_on_each_source_table(with_owner: Connection[Any], shape: Shape) -> None:
    db = with_owner
    for table in tables_of(shape):
        for force in ("no force", "force"):
            change = sql.SQL("alter table {} {} row level security, {} row level security")
            name = sql.Identifier(table)
            db.execute(change.format(name, sql.SQL("enable"), sql.SQL(force)).as_string(db).encode())
            (obstacle,) = make_plan(db, "public", shape.name, only_obstacles=True).obstacles
            assert obstacle.what == f"row-level security is enabled on public.{table}"
            assert obstacle.fix == "as a superuser, before the installation: ALTER ROLE gaq_owner BYPASSRLS"
            with pytest.raises(GaqListenError, match=rf"has changed nothing.*row-level security.*{table}"):
                installer.install(db, sources=shape.name)
            assert db.execute(UNSEEN).fetchone() == (None,)
            db.execute(change.format(name, sql.SQL("disable"), sql.SQL("no force")).as_string(db).encode())
    assert make_plan(db, "public", shape.name).obstacles == ()


@in_every_shape
def test_installation_goes_on_if_gaq_owner_bypasses_row_security(with_owner: Connection[Any], shape: Shape) -> None:
    db = with_owner
    for table in tables_of(shape):
        db.execute(f"alter table {table} enable row level security, force row level security".encode())
    (_, *others) = make_plan(db, "public", shape.name).obstacles
    assert len(others) == len(tables_of(shape)) - 1
    db.execute("alter role gaq_owner bypassrls")
    assert make_plan(db, "public", shape.name).obstacles == ()
    db.execute(TWO_PAIRS.encode())
    installer.install(db, sources=shape.name)
    drain(db)
    assert db.execute("select count(*) from gaq_summaries where invalidated_at is null").fetchone() == (2,)
    assert not [found for found in doctor.examine(db) if "row-level" in found.what]


def test_installation_goes_on_if_gaq_owner_is_the_owner_of_a_table_without_force(
    with_owner: Connection[Any],
) -> None:
    """A member that inherits the rights of a table's owner is exempt as the owner is, unless the table has FORCE."""
    db = with_owner
    db.execute(TWO_PAIRS.encode())
    owner = sql.Identifier(f"owner of {db.info.dbname}")
    db.execute(sql.SQL("create role {}").format(owner))
    try:
        db.execute(sql.SQL("grant {} to gaq_owner").format(owner))
        db.execute(sql.SQL("alter table runs owner to {}").format(owner))
        db.execute("alter table runs enable row level security, force row level security")
        assert len(make_plan(db).obstacles) == 1
        db.execute("alter table runs no force row level security")
        assert make_plan(db).obstacles == ()
        installer.install(db)
        drain(db)
        assert db.execute("select count(*) from gaq_summaries where invalidated_at is null").fetchone() == (2,)
        installer.uninstall(db)
    finally:
        db.execute(sql.SQL("reassign owned by {} to current_user").format(owner))
        db.execute(sql.SQL("drop role {}").format(owner))


def test_installation_refuses_row_security_on_the_table_that_it_would_adopt(with_owner: Connection[Any]) -> None:
    db = with_owner
    db.execute(TYPES["timestamptz"].partition("INSERT INTO")[0].partition("-- A and B")[0].encode())
    db.execute("alter table gaq_summaries enable row level security")
    (obstacle,) = make_plan(db).obstacles
    assert obstacle.what == "row-level security is enabled on public.gaq_summaries"
    with pytest.raises(GaqListenError, match="has changed nothing"):
        installer.install(db)
    db.execute("alter role gaq_owner bypassrls")
    assert make_plan(db).obstacles == ()


def test_scripts_for_psql_fail_rather_than_miss_rows(with_owner: Connection[Any], bare_dsn: str) -> None:
    with_owner.execute(TYPES["timestamptz"].partition("COMMENT ON")[0].encode())
    with_owner.execute("alter table gaq_summaries enable row level security")
    script_of_all = "".join(step.text for step in named(REFERENCE.name).steps())
    with psycopg.connect(bare_dsn, autocommit=True) as session:
        session.execute(for_psql("").encode())
        with pytest.raises(errors.InsufficientPrivilege, match="row-level security"):
            session.execute(script_of_all.encode())


def test_upgrade_refuses_row_security_that_came_after_the_installation(with_owner: Connection[Any]) -> None:
    db = with_owner
    installer.install(db)
    db.execute("alter table runs enable row level security")
    (obstacle,) = make_plan(db).obstacles
    assert obstacle.fix == "ALTER ROLE gaq_owner BYPASSRLS"
    with pytest.raises(GaqListenError, match="has changed nothing"):
        installer.install(db)
