"""Earlier versions become this one: what is there afterwards is that of a new installation, and rows are kept."""

from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from gaq_listen.db.sessions import SQL_VERSION
from gaq_listen.dba import doctor, installer
from gaq_listen.dba.scripts import INSTALL_SCRIPTS
from gaq_listen.dba.sources import named
from tests.database.test_installation import PAIRS, objects
from tests.support.tables import drain

UPGRADES = Path(__file__).parents[1] / "upgrades"
MIGRATIONS = [name for name in INSTALL_SCRIPTS if "_version_" in name]
VERSIONS = pytest.mark.parametrize("version", sorted(UPGRADES.glob("version_*.sql")), ids=lambda path: path.stem)

# What an upgrade keeps: values, marks of each kind, and what operators said and workers recorded.
ROWS = """
insert into gaq.invalidations (data_pass_id, run_number, invalidated_at, cause)
values (1, 7, '2026-01-03 00:00Z', 'by hand'), (1, 7, '2026-01-04 00:00Z', 'flag');
insert into gaq.wide_invalidations (kind, key, invalidated_at, cause)
values ('run', 7, '2026-01-05 00:00Z', 'run times');
do $$ begin
    if to_regclass('gaq.paused') is not null then
        insert into gaq.paused (paused_by, reason) values ('somebody', 'because');
        insert into gaq.failures (data_pass_id, run_number, error, sqlstate, attempts,
                                  first_failed_at, last_failed_at, next_try_at)
        values (1, 7, 'an error', '22012', 3, '2026-01-01', '2026-01-01', '2026-01-01');
        insert into gaq.workers (name, host, pid, backend_pid, state) values ('w', 'h', 1, 2, 'listening');
    end if;
    if to_regclass('gaq.changes') is not null then
        insert into gaq.changes (data_pass_id, run_number, changed_at, removed) values (1, 7, now(), false);
        perform gaq.keep_changes('17 days');
    end if;
end $$;
"""
OWN = ("seeding", "insert_lock", "installation", "installed_objects", "bindings", "granted")
"""Tables of which the installation itself writes the rows."""


def rows(db: Connection[Any]) -> dict[str, list[dict[str, Any]]]:
    """The rows of all tables of ours, but those that an installation writes."""
    tables = db.execute("select relname from pg_class where relnamespace = 'gaq'::regnamespace and relkind = 'r'")
    return {
        table: [row for (row,) in db.execute(f"select to_jsonb(t) from gaq.{table} t order by t::text").fetchall()]
        for (table,) in tables.fetchall()
        if table not in OWN
    }


def rights(db: Connection[Any]) -> list[Any]:
    """Who may do what with each table, view and function, and with those to come."""
    return db.execute(
        "select name, (select array_agg(one::text order by one::text) from unnest(acl) one) from ("
        " select oid::regclass::text as name, relacl as acl from pg_class"
        " where relnamespace = 'gaq'::regnamespace and relkind in ('r', 'v')"
        " union all select oid::regprocedure::text, proacl from pg_proc where pronamespace = 'gaq'::regnamespace"
        " union all select 'to come: ' || defaclobjtype::text, defaclacl from pg_default_acl"
        ") given order by 1"
    ).fetchall()


def comments(db: Connection[Any]) -> set[Any]:
    """What is said of each object."""
    return set(
        db.execute(
            "select c.oid::regclass::text, objsubid, description"
            " from pg_description join pg_class c on c.oid = objoid where relnamespace = 'gaq'::regnamespace"
            " union all select p.oid::regprocedure::text, 0, description"
            " from pg_description join pg_proc p on p.oid = objoid where pronamespace = 'gaq'::regnamespace"
        ).fetchall()
    )


def installed(db: Connection[Any], version: Path) -> None:
    """Install an earlier version beside two pairs, and compute these."""
    with psycopg.connect(db.info.dsn) as old:
        old.execute(PAIRS.encode())
        old.execute(version.read_bytes())
    drain(db)


def check_kept(before: dict[str, list[dict[str, Any]]], after: dict[str, list[dict[str, Any]]]) -> None:
    """Compare rows in the columns that they had before."""
    for table, was in before.items():
        kept = [{column: row[column] for column in was[0]} for row in after[table]] if was else after[table]
        assert kept == was, table


@VERSIONS
def test_an_upgrade_gives_what_a_new_installation_gives(
    bare_db: Connection[Any], db: Connection[Any], version: Path
) -> None:
    installed(bare_db, version)
    bare_db.execute(ROWS.encode())
    values = bare_db.execute("select * from gaq_summaries order by data_pass_id").fetchall()
    before = rows(bare_db)

    installer.install(bare_db)

    assert objects(bare_db) == objects(db)
    assert rights(bare_db) == rights(db)
    assert comments(bare_db) == comments(db)
    assert bare_db.execute("select * from gaq_summaries order by data_pass_id").fetchall() == values
    after = rows(bare_db)
    for failure in (*before.get("failures", []), *after["failures"]):
        failure.pop("next_try_at")  # what failed is tried at once
    check_kept(before, after)


@VERSIONS
def test_after_an_upgrade_changes_reach_the_summaries(bare_db: Connection[Any], version: Path) -> None:
    installed(bare_db, version)
    bare_db.execute("update qc_flags set deleted = true")  # marked by triggers of the earlier version
    installer.install(bare_db)
    drain(bare_db)
    found = "select not_computable, invalidated_at from gaq_summaries"
    assert bare_db.execute(found).fetchall() == [(True, None)] * 2
    bare_db.execute("update qc_flags set deleted = false")  # and by those of this one
    drain(bare_db)
    assert sorted(bare_db.execute(found).fetchall()) == [(False, None), (True, None)]
    assert [finding.what for finding in doctor.examine(bare_db)] == []


@VERSIONS
def test_an_upgrade_that_was_interrupted_goes_on(bare_db: Connection[Any], db: Connection[Any], version: Path) -> None:
    """Wherever it stopped: each step is repeated, and all those before it, too."""
    installed(bare_db, version)
    bare_db.execute(ROWS.encode())
    before = rows(bare_db)
    steps = list(named("reference").steps())
    for step in steps:
        for _ in range(2):
            bare_db.execute(step.text.encode())
        if step.title.removesuffix(".sql") in MIGRATIONS:
            for earlier in steps[: steps.index(step)]:
                bare_db.execute(earlier.text.encode())
    for step in steps:
        bare_db.execute(step.text.encode())
    assert objects(bare_db) == objects(db)
    assert rights(bare_db) == rights(db)
    after = rows(bare_db)
    for failure in (*before.get("failures", []), *after["failures"]):
        failure.pop("next_try_at")
    check_kept(before, after)


def test_no_step_opens_a_function_that_ends_up_closed(bare_db: Connection[Any], db: Connection[Any]) -> None:
    """PUBLIC may execute only what the view calls with the rights of its reader."""
    query = (
        "select oid::regprocedure::text from pg_proc"
        " where pronamespace = to_regnamespace('gaq') and has_function_privilege('public', oid, 'EXECUTE')"
    )
    of_the_view = set(db.execute(query).fetchall())
    for step in named("reference").steps():
        bare_db.execute(step.text.encode())
        assert set(bare_db.execute(query).fetchall()) <= of_the_view, step.title


def test_a_migration_changes_nothing_in_this_version(db: Connection[Any]) -> None:
    everything = (
        "select oid, xmin::text from pg_class where relnamespace = 'gaq'::regnamespace"
        " union all select oid, xmin::text from pg_proc where pronamespace = 'gaq'::regnamespace order by 1"
    )
    before = db.execute(everything).fetchall()
    for step in named("reference").steps():
        if step.title.removesuffix(".sql") in MIGRATIONS:
            db.execute(step.text.encode())
    assert db.execute(everything).fetchall() == before


def test_there_is_a_migration_and_an_old_version_for_every_version() -> None:
    assert [f"07_version_{number:02}" for number in range(2, SQL_VERSION + 1)] == MIGRATIONS
    assert [path.stem for path in sorted(UPGRADES.glob("*.sql"))] == [f"version_{n}" for n in range(1, SQL_VERSION)]
