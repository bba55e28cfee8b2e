"""What install --plan tells: without changing anything, and without wrong."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import Connection, sql

from gaq_listen.db.sessions import SQL_VERSION
from gaq_listen.dba import installer, plan, plan_tables, plan_view
from gaq_listen.dba.plan_view import Holder, MissingIndex, Obstacle, Plan, PlannedStep, SourceTable, redacted, render
from gaq_listen.dba.scripts import script

VERSION_1 = Path(__file__).parents[1] / "upgrades" / "version_1.sql"
FLAG = "insert into qc_flags (run_number, detector_id, flag_type_id, data_pass_id) values (1, 1, 1, null)"
THINGS = """
insert into runs (run_number) values (1), (2);
insert into detectors (id, name) values (1, 'TPC');
insert into qc_flag_types (id, name, bad) values (1, 'Good', false);
insert into data_passes (id, name) values (1, 'LHC22o_apass7');
insert into data_pass_runs (data_pass_id, run_number) values (1, 1), (1, 2);
"""


@pytest.fixture(autouse=True)
def short_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_tables, "INTERVAL", 0.01)


@pytest.fixture
def stranger(bare_db: Connection[Any], bare_dsn: str) -> Iterator[Connection[Any]]:
    """A session of a role without any right, in the database of ``bare_db``."""
    role = sql.Identifier(f"stranger of {bare_db.info.dbname}")
    bare_db.execute(sql.SQL("create role {}").format(role))
    bare_db.execute("revoke create on schema public from public")  # as it is since PostgreSQL 15
    try:
        with psycopg.connect(bare_dsn, autocommit=True) as session:
            session.execute(sql.SQL("set session authorization {}").format(role))
            yield session
    finally:
        bare_db.execute(sql.SQL("drop owned by {} cascade").format(role))
        bare_db.execute(sql.SQL("drop role {}").format(role))


def made(db: Connection[Any], schema: str = "public") -> Plan:
    return plan.make(db, schema)


def blockers(found: Plan) -> str:
    return " / ".join(blocker.what for blocker in found.blockers)


def test_nothing_is_changed(bare_db: Connection[Any]) -> None:
    def everything() -> Any:
        return bare_db.execute(
            "select (select array_agg(c.oid::text || c.xmin::text order by c.oid) from pg_class c),"
            " (select array_agg(oid::text || xmin::text order by oid) from pg_proc),"
            " (select array_agg(oid::text order by oid) from pg_namespace),"
            " (select array_agg(nspacl::text order by oid) from pg_namespace),"
            " pg_current_xact_id_if_assigned(), current_setting('search_path'), current_setting('lock_timeout'),"
            " (select count(*) from pg_prepared_statements)"
        ).fetchall()

    before = everything()
    assert plan.make(bare_db, "public").blockers == ()
    assert everything() == before
    assert bare_db.execute("select to_regnamespace('gaq')").fetchone() == (None,)


def test_a_fresh_installation_is_told_from_a_repeated_one(bare_db: Connection[Any]) -> None:
    bare_db.execute(THINGS.encode())
    fresh = made(bare_db)
    assert "fresh installation" in fresh.found
    assert (fresh.backfill, fresh.replaces) == (2, False)
    installer.install(bare_db)
    again = made(bare_db)
    assert again.found.startswith(f"Version {SQL_VERSION}: this would apply it again")
    assert (again.backfill, again.replaces, again.blockers) == (0, True, ())


def test_an_upgrade_is_told(bare_db: Connection[Any]) -> None:
    bare_db.execute(VERSION_1.read_bytes())
    found = made(bare_db)
    assert found.found.startswith(f"Version 1: this would be an upgrade to {SQL_VERSION}")
    assert found.blockers == ()


def test_an_installation_by_a_newer_program_is_left_alone(db: Connection[Any]) -> None:
    db.execute("update gaq.installation set version = 1000")
    assert "Version 1000 is newer" in blockers(made(db))


def test_an_installation_that_was_broken_off_can_be_completed(db: Connection[Any]) -> None:
    db.execute("truncate gaq.installation")
    assert "did not come to its end" in made(db).found
    db.execute("drop table gaq.installation")
    assert "did not come to its end" in made(db).found


def test_a_missing_table_is_named(bare_db: Connection[Any]) -> None:
    bare_db.execute("drop table gaq_detectors")
    (blocker,) = made(bare_db).blockers
    assert blocker.what == "Schema public has no table gaq_detectors"
    assert "--source-schema" in blocker.remedy


def test_a_missing_schema_is_named(bare_db: Connection[Any]) -> None:
    assert blockers(made(bare_db, "no such")) == 'There is no schema "no such"'


def test_a_missing_column_is_named(bare_db: Connection[Any]) -> None:
    bare_db.execute("alter table qc_flags rename deleted to removed")
    assert blockers(made(bare_db)) == 'gaq.source_flags cannot be created: column "deleted" does not exist'


def test_a_view_cannot_be_marked(bare_db: Connection[Any]) -> None:
    bare_db.execute("alter table qc_flags rename to flags; create view qc_flags as table flags")
    assert blockers(made(bare_db)) == "public.qc_flags is no table, so no trigger can mark its changes"


@pytest.mark.parametrize("columns", ["flag_id", "flag_id, id"])
def test_a_missing_index_is_missed_until_it_is_there(bare_db: Connection[Any], columns: str) -> None:
    bare_db.execute("drop index qc_flag_verifications_by_flag")
    bare_db.execute("create index on qc_flag_verifications (id, flag_id)")
    bare_db.execute("create index on qc_flag_verifications (flag_id) where id > 5")
    (missing,) = made(bare_db).indexes
    assert missing.statement == "CREATE INDEX CONCURRENTLY ON public.qc_flag_verifications (flag_id);"
    bare_db.execute(missing.statement.replace("(flag_id)", f"({columns})").encode())
    assert made(bare_db).indexes == ()


def test_an_index_serves_whatever_the_order_of_its_first_columns(bare_db: Connection[Any]) -> None:
    bare_db.execute("drop index qc_flags_by_pair")
    assert [index.statement for index in made(bare_db).indexes] == [
        "CREATE INDEX CONCURRENTLY ON public.qc_flags (data_pass_id, run_number);"
    ]
    bare_db.execute("create index on qc_flags (run_number, data_pass_id, id)")
    assert made(bare_db).indexes == ()


def test_who_holds_a_conflicting_lock_is_shown_with_pid_and_query(bare_db: Connection[Any], bare_dsn: str) -> None:
    bare_db.execute(THINGS.encode())
    with psycopg.connect(bare_dsn, application_name="a script\x1b[2J") as writer, psycopg.connect(bare_dsn) as reader:
        reader.execute("select from qc_flags")
        writer.execute(FLAG)
        found = made(bare_db)
        (holder,) = found.holders
        assert holder.pid == writer.info.backend_pid
        assert holder.locks == ("RowExclusiveLock on public.qc_flags",)
        assert holder.state == "idle in transaction"
        assert holder.query == FLAG
        text = render(found)
        assert f"pid {writer.info.backend_pid}, " in text
        assert "\x1b" not in text
        assert found.blockers == ()


def test_readers_of_what_would_be_replaced_are_shown(db: Connection[Any], dsn: str) -> None:
    with psycopg.connect(dsn) as reader:
        reader.execute("select from gaq_summaries")
        (holder,) = made(db).holders
        assert holder.pid == reader.info.backend_pid
        assert "AccessShareLock on public.gaq_summaries" in holder.locks


def test_a_table_locked_by_somebody_hinders_no_plan(bare_db: Connection[Any], bare_dsn: str) -> None:
    with psycopg.connect(bare_dsn) as other:
        other.execute("lock table data_pass_runs in access exclusive mode")
        found = made(bare_db)
        assert found.backfill is None
        assert {table.name: table.size for table in found.tables}["data_pass_runs"] is None
        assert "gaq.source_pairs were not checked" in render(found).replace("\n    ", " ")


def test_a_stranger_is_told_each_right_that_is_missing(stranger: Connection[Any]) -> None:
    found = made(stranger)
    role = stranger.info.dbname
    assert found.role == f"stranger of {role}, no superuser: its rights do not suffice"
    for words in (
        "may not create a schema",
        "may not create or grant the roles gaq_owner",
        "may not create gaq_summaries in schema public",
        "does not own public.qc_flags, public.gaq_detectors",
        "may not let gaq_owner read public.detectors, public.data_passes",
    ):
        assert words in blockers(found)
    assert f'GRANT CREATE ON DATABASE {role} TO "stranger of {role}"' in found.blockers[0].remedy


def test_a_stranger_with_all_that_was_asked_for_suffices_and_can_install(
    bare_db: Connection[Any], stranger: Connection[Any]
) -> None:
    bare_db.execute(script("05_roles").encode())
    role = sql.Identifier(f"stranger of {bare_db.info.dbname}")
    for grant in (
        f"grant create on database {bare_db.info.dbname} to {{}}",
        "grant usage, create on schema public to {} with grant option",
        "grant select on detectors, data_passes to {} with grant option",
        "grant gaq_owner to {}",
        *(f"alter table {table.name} owner to {{}}" for table in made(bare_db).tables if table.marked),
    ):
        bare_db.execute(sql.SQL(grant).format(role))
    found = made(stranger)
    assert found.blockers == ()
    assert found.role.endswith("it suffices")
    installer.install(stranger)
    assert made(stranger).blockers == ()
    installer.uninstall(bare_db)


@pytest.mark.parametrize("kind", ["table", "view"])
def test_a_gaq_summaries_of_somebody_else_is_in_the_way(bare_db: Connection[Any], kind: str) -> None:
    bare_db.execute(f"create {kind} gaq_summaries as select 1 as mine".encode())
    (blocker,) = made(bare_db).blockers
    assert blocker.what == f"There is a {kind} public.gaq_summaries, and it is not gaq-listen's"
    assert f"ALTER {kind.upper()} public.gaq_summaries RENAME" in blocker.remedy


def test_a_schema_gaq_of_somebody_else_is_in_the_way(bare_db: Connection[Any]) -> None:
    bare_db.execute("create schema gaq; create table gaq.mine ()")
    assert blockers(made(bare_db)) == "There is a schema gaq, and it is not gaq-listen's"


def test_odd_names_are_quoted(bare_db: Connection[Any]) -> None:
    bare_db.execute('create schema "Book ""keep""ing"')
    bare_db.execute('set search_path = "Book ""keep""ing"')
    bare_db.execute(script("reference_tables").encode())
    bare_db.execute(THINGS.encode())
    bare_db.execute("drop index qc_flags_by_type")
    bare_db.execute("reset search_path")
    found = made(bare_db, 'Book "keep"ing')
    assert found.blockers == ()
    assert found.backfill == 2
    assert found.indexes[0].statement == 'CREATE INDEX CONCURRENTLY ON "Book ""keep""ing".qc_flags (flag_type_id);'
    installer.install(bare_db, 'Book "keep"ing')
    assert made(bare_db, 'Book "keep"ing').blockers == ()
    assert 'has its triggers in schema "Book ""keep""ing"' in blockers(made(bare_db))


def test_partitions_count_and_are_told_to_be_blind(bare_db: Connection[Any]) -> None:
    bare_db.execute("drop table qc_flag_verifications")
    bare_db.execute("create table qc_flag_verifications (id bigint, flag_id bigint) partition by range (id)")
    bare_db.execute("create table part partition of qc_flag_verifications default")
    bare_db.execute("insert into part select i, i from generate_series(1, 1000) i; analyze qc_flag_verifications")
    found = made(bare_db)
    table = {table.name: table for table in found.tables}["qc_flag_verifications"]
    assert (table.kind, table.children, table.rows) == ("p", 1, 1000)
    assert found.indexes[0].statement == "CREATE INDEX ON public.qc_flag_verifications (flag_id);"
    assert "qc_flag_verifications is partitioned (1 below it)" in render(found)


def test_row_security_is_worth_knowing(bare_db: Connection[Any]) -> None:
    bare_db.execute("alter table runs enable row level security")
    (warning,) = made(bare_db).warnings
    assert warning.what.startswith("public.runs has row-level security")


def test_virtual_columns_are_worth_knowing(bare_db: Connection[Any]) -> None:
    if bare_db.info.server_version < 180000:
        pytest.skip("virtual generated columns came with PostgreSQL 18")
    bare_db.execute("alter table runs drop column qc_time_end")
    bare_db.execute("alter table runs add qc_time_end timestamptz generated always as (time_o2_end) virtual")
    (warning,) = made(bare_db).warnings
    assert warning.what == "public.runs.qc_time_end is a virtual column, which triggers see as null"


def test_the_installed_is_what_was_planned(bare_db: Connection[Any]) -> None:
    created = " ".join(made(bare_db).creates)
    installer.install(bare_db)
    for kind, how_many in bare_db.execute("select kind, count(*) from gaq.objects() group by 1").fetchall():
        if kind in ("table", "function"):
            assert f"{how_many} {kind.replace('function', 'routine')}s of schema gaq" in created
        elif kind == "view":
            assert f"{how_many - 1} views of schema gaq" in created
        elif kind == "trigger":
            assert f"{how_many - 1} triggers on 6 tables" in created


def test_show_prints_the_plan_and_returns_the_verdict(
    bare_db: Connection[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert plan.show(bare_db, "public") is True
    assert capsys.readouterr().out.endswith("\nNothing stands in the way.\n")
    assert plan.show(bare_db, "elsewhere") is False
    assert "1 thing in the way of an installation:" in capsys.readouterr().out


def example(**changes: Any) -> Plan:
    known: dict[str, Any] = {
        "database": "bookkeeping",
        "schema": "public",
        "server": "PostgreSQL 16.4, not a standby",
        "role": "dba, a superuser: it suffices",
        "pooler": "none seen",
        "found": "Not installed: this would be a fresh installation, of version 2.",
        "tables": (SourceTable("qc_flags", True, "r", 0, 1234567, "210 MB", 3.02, 98765, None),),
        "measured": 1.0,
        "steps": (PlannedStep("05_roles.sql", ()), PlannedStep("20_sources.sql: triggers on qc_flags", ("qc_flags",))),
        "holders": (Holder(("RowExclusiveLock on qc_flags",), 7, "ann", "psql", "active", 61, "update 'x'\n set"),),
        "indexes": (MissingIndex("CREATE INDEX CONCURRENTLY ON qc_flags (run_number);", "the flags of a run"),),
        "backfill": 12345,
        "creates": ("view public.gaq_summaries",),
        "differences": ("view gaq.status is missing, and would be created",),
        "pinned": ("qc_flags (id, run_number)",),
        "warnings": (Obstacle("This is odd", "Mend it"),),
        "blockers": (Obstacle("That is missing", "Make it"),),
    }
    return Plan(**known | changes)


EXAMPLE = """\
Plan for database bookkeeping, source tables in schema public, sources
reference. Nothing is changed.

Server
  server  PostgreSQL 16.4, not a standby
  role    dba, a superuser: it suffices
  pooler  none seen

What is there
  Not installed: this would be a fresh installation, of version 2.

Source tables
  table            rows      size  written/s       so far
  qc_flags    1 234 567    210 MB        3.0       98 765
  rows: the planner's estimate; written/s: rows inserted, updated and deleted,
  over the last 1.0 s; so far: rows written since statistics began, and when
  that was is not known.

Steps, each a transaction
   1 05_roles.sql
   2 20_sources.sql: triggers on qc_flags
       SHARE ROW EXCLUSIVE on qc_flags
  SHARE ROW EXCLUSIVE (CREATE TRIGGER, ALTER TABLE ... ENABLE ALWAYS TRIGGER):
  while it waits or is held, writers of the table wait and readers do not. A
  step waits for it no longer than --lock-timeout (3 s), lets writers go on, and
  tries again, at most 20 times: at the worst a writer of a table waits 20 times
  3 s, 60 s in all, and goes on in between. The other steps (roles, tables of
  schema gaq, views, functions, GRANT) take no lock that a writer or a reader of
  a source table would notice.

Locks that steps would wait for now
  pid 7, ann, psql, active, its transaction began 1 min 01 s ago
    has RowExclusiveLock on qc_flags
    update '…' set

Missing indexes
  -- the flags of a run
  CREATE INDEX CONCURRENTLY ON qc_flags (run_number);

Backfill
  12 345 pairs would be marked as never computed; a worker computes them, oldest
  mark first. That takes about 3.1 s, 9 MB on disk and 14 MB of WAL, with ten
  flags a pair; more flags take longer.

What there would be
  view public.gaq_summaries

What differs from the last installation
  view gaq.status is missing, and would be created

What an installation pins
  qc_flags (id, run_number)
  These columns, and those of names and comments, can be renamed, and so can
  their tables. To drop one or to change its type: gaq-listen detach, the
  migration, gaq-listen install.

Worth knowing
  - This is odd.
    Mend it.

1 thing in the way of an installation:
  - That is missing.
    Make it."""


def test_a_plan_reads_well_on_80_columns() -> None:
    assert render(example()) == EXAMPLE


def test_a_server_that_is_too_old_needs_no_more_words() -> None:
    old = Plan("d", "public", "PostgreSQL 13.9", "dba", "none seen", blockers=(Obstacle("It is too old", "Upgrade"),))
    text = render(old)
    assert "Steps" not in text
    assert text.endswith("1 thing in the way of an installation:\n  - It is too old.\n    Upgrade.")


def test_a_prepared_transaction_has_no_pid() -> None:
    holder = Holder(("RowExclusiveLock on runs",), None, "ann", "tx-1", None, 5.0, None)
    assert "  a prepared transaction, ann, tx-1, its transaction began" in render(example(holders=(holder,)))


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("alter role x password 'it''s secret'", "alter role x password '…'"),
        ("alter role x password 'cut off he", "alter role x password '…'"),
        ("select\n\t1", "select 1"),
        ("x" * 100, "x" * plan_view.QUERY_SHOWN),
    ],
)
def test_a_query_is_shown_on_one_line_and_without_its_strings(query: str, shown: str) -> None:
    assert redacted(query) == shown


class _Pooled:
    """A connection whose statements are answered by these backends, one after the other."""

    def __init__(self, connection: Connection[Any], *pids: int) -> None:
        self._connection = connection
        self._pids = list(pids)

    def execute(self, query: Any, *rest: Any) -> Any:
        if query == "select pg_backend_pid()":
            query = f"select {self._pids.pop(0)}"
        return self._connection.execute(query, *rest)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


@pytest.mark.parametrize(
    ("pids", "told"), [((1, 2, 1), lambda plan: plan.blockers), ((1, 1, 1), lambda plan: plan.warnings)]
)
def test_a_pooler_is_told(bare_db: Connection[Any], pids: tuple[int, ...], told: Callable[[Plan], Any]) -> None:
    pooled: Any = _Pooled(bare_db, *pids)
    (obstacle,) = told(plan.make(pooled, "public"))
    assert obstacle.what.startswith("A pooler")
