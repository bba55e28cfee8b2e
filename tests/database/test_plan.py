"""The plan of an installation: it is right, and making it changes nothing."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import Connection, sql

from gaq_listen.db.sessions import SQL_VERSION
from gaq_listen.dba import doctor, installer
from gaq_listen.dba.checks.finding import Finding
from gaq_listen.dba.plan import measurements, plan_text
from gaq_listen.dba.plan.installation_plan import InstallationPlan, LockHolder, PlannedStep, SourceTable
from gaq_listen.dba.plan.plan_text import redacted, render_plan
from gaq_listen.dba.plan.planner import make_plan
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
def short_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measurements, "INTERVAL", 0.01)


@pytest.fixture
def unprivileged(bare_db: Connection[Any], bare_dsn: str) -> Iterator[Connection[Any]]:
    """Open a session of a role without any right, in the database of ``bare_db``."""
    role = sql.Identifier(f"unprivileged of {bare_db.info.dbname}")
    bare_db.execute(sql.SQL("create role {}").format(role))
    bare_db.execute("revoke create on schema public from public")  # as it is since PostgreSQL 15
    try:
        with psycopg.connect(bare_dsn, autocommit=True) as session:
            session.execute(sql.SQL("set session authorization {}").format(role))
            yield session
    finally:
        bare_db.execute(sql.SQL("drop owned by {} cascade").format(role))
        bare_db.execute(sql.SQL("drop role {}").format(role))


def planned(db: Connection[Any], schema: str = "public") -> InstallationPlan:
    return make_plan(db, schema)


def obstacles(found: InstallationPlan) -> str:
    return " / ".join(obstacle.what for obstacle in found.obstacles)


def test_plan_changes_nothing(bare_db: Connection[Any]) -> None:
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
    assert make_plan(bare_db, "public").obstacles == ()
    assert everything() == before
    assert bare_db.execute("select to_regnamespace('gaq')").fetchone() == (None,)


def test_plan_distinguishes_a_first_from_a_second_installation(bare_db: Connection[Any]) -> None:
    bare_db.execute(THINGS.encode())
    fresh = planned(bare_db)
    assert "fresh installation" in fresh.existing
    assert (fresh.pairs_to_mark, fresh.replaces) == (2, False)
    installer.install(bare_db)
    again = planned(bare_db)
    assert again.existing.startswith(f"Version {SQL_VERSION}. This would apply it again")
    assert (again.pairs_to_mark, again.replaces, again.obstacles) == (0, True, ())


def test_plan_of_an_earlier_version_is_an_upgrade(bare_db: Connection[Any]) -> None:
    bare_db.execute(VERSION_1.read_bytes())
    found = planned(bare_db)
    assert found.existing.startswith(f"Version 1. This would upgrade it to version {SQL_VERSION}")
    assert found.obstacles == ()


def test_plan_newer_installed_version_is_an_obstacle(db: Connection[Any]) -> None:
    db.execute("update gaq.installation set version = 1000")
    assert "version 1000 is newer" in obstacles(planned(db))


def test_plan_interrupted_installation_can_be_completed(db: Connection[Any]) -> None:
    db.execute("truncate gaq.installation")
    assert "was interrupted" in planned(db).existing
    db.execute("drop table gaq.installation")
    assert "was interrupted" in planned(db).existing


def test_plan_missing_table_is_an_obstacle(bare_db: Connection[Any]) -> None:
    bare_db.execute("drop table gaq_detectors")
    (obstacle,) = planned(bare_db).obstacles
    assert obstacle.what == "schema public has no table gaq_detectors"
    assert "--source-schema" in obstacle.fix


def test_plan_missing_schema_is_an_obstacle(bare_db: Connection[Any]) -> None:
    assert obstacles(planned(bare_db, "no such")) == 'schema "no such" does not exist'


def test_plan_missing_column_is_an_obstacle(bare_db: Connection[Any]) -> None:
    bare_db.execute("alter table qc_flags rename deleted to removed")
    assert obstacles(planned(bare_db)) == 'gaq.source_flags cannot be created: column "deleted" does not exist'


def test_plan_view_instead_of_a_table_is_an_obstacle(bare_db: Connection[Any]) -> None:
    bare_db.execute("alter table qc_flags rename to flags; create view qc_flags as table flags")
    assert obstacles(planned(bare_db)) == "public.qc_flags is not a table"


@pytest.mark.parametrize("columns", ["flag_id", "flag_id, id"])
def test_plan_reports_a_missing_index_until_it_exists(bare_db: Connection[Any], columns: str) -> None:
    bare_db.execute("drop index qc_flag_verifications_by_flag")
    bare_db.execute("create index on qc_flag_verifications (id, flag_id)")
    bare_db.execute("create index on qc_flag_verifications (flag_id) where id > 5")
    (missing,) = planned(bare_db).findings
    assert missing.fix == "CREATE INDEX CONCURRENTLY ON public.qc_flag_verifications (flag_id);"
    bare_db.execute(missing.fix.replace("(flag_id)", f"({columns})").encode())
    assert planned(bare_db).findings == ()


def test_plan_index_with_columns_in_another_order_suffices(bare_db: Connection[Any]) -> None:
    bare_db.execute("drop index qc_flags_by_pair")
    (missing,) = planned(bare_db).findings
    assert missing.fix == "CREATE INDEX CONCURRENTLY ON public.qc_flags (data_pass_id, run_number);"
    bare_db.execute("create index on qc_flags (run_number, data_pass_id, id)")
    assert planned(bare_db).findings == ()


def test_plan_shows_the_holder_of_a_conflicting_lock(bare_db: Connection[Any], bare_dsn: str) -> None:
    bare_db.execute(THINGS.encode())
    with psycopg.connect(bare_dsn, application_name="a script\x1b[2J") as writer, psycopg.connect(bare_dsn) as reader:
        reader.execute("select from qc_flags")
        writer.execute(FLAG)
        found = planned(bare_db)
        (holder,) = found.lock_holders
        assert holder.pid == writer.info.backend_pid
        assert holder.locks == ("RowExclusiveLock on public.qc_flags",)
        assert holder.state == "idle in transaction"
        assert holder.query == FLAG
        text = render_plan(found)
        assert f"pid {writer.info.backend_pid}, " in text
        assert "\x1b" not in text
        assert found.obstacles == ()


def test_plan_shows_readers_of_objects_to_be_replaced(db: Connection[Any], dsn: str) -> None:
    with psycopg.connect(dsn) as reader:
        reader.execute("select from gaq_summaries")
        (holder,) = planned(db).lock_holders
        assert holder.pid == reader.info.backend_pid
        assert "AccessShareLock on public.gaq_summaries" in holder.locks


def test_plan_does_not_wait_for_a_locked_table(bare_db: Connection[Any], bare_dsn: str) -> None:
    with psycopg.connect(bare_dsn) as other:
        other.execute("lock table data_pass_runs in access exclusive mode")
        found = planned(bare_db)
        assert found.pairs_to_mark is None
        assert {table.name: table.size for table in found.tables}["data_pass_runs"] is None
        assert "the columns of gaq.source_pairs could not be checked" in [finding.what for finding in found.findings]


def test_plan_names_each_right_that_the_role_lacks(unprivileged: Connection[Any]) -> None:
    found = planned(unprivileged)
    role = unprivileged.info.dbname
    assert found.role == f"unprivileged of {role}, no superuser: its rights do not suffice"
    for words in (
        "may not create a schema",
        "may not create or grant the roles gaq_owner",
        "may not create gaq_summaries in schema public",
        "does not own public.qc_flags, public.gaq_detectors",
        "may not grant gaq_owner the right to read public.detectors, public.data_passes",
    ):
        assert words in obstacles(found)
    assert f'GRANT CREATE ON DATABASE {role} TO "unprivileged of {role}"' in found.obstacles[0].fix


def test_plan_role_with_the_named_rights_can_install(bare_db: Connection[Any], unprivileged: Connection[Any]) -> None:
    bare_db.execute(script("05_roles").encode())
    role = sql.Identifier(f"unprivileged of {bare_db.info.dbname}")
    for grant in (
        f"grant create on database {bare_db.info.dbname} to {{}}",
        "grant usage, create on schema public to {} with grant option",
        "grant select on detectors, data_passes to {} with grant option",
        "grant gaq_owner to {}",
        *(f"alter table {table.name} owner to {{}}" for table in planned(bare_db).tables if table.is_marked),
    ):
        bare_db.execute(sql.SQL(grant).format(role))
    found = planned(unprivileged)
    assert found.obstacles == ()
    assert found.role.endswith("its rights suffice")
    installer.install(unprivileged)
    assert planned(unprivileged).obstacles == ()
    installer.uninstall(bare_db)


@pytest.mark.parametrize("kind", ["table", "view"])
def test_plan_foreign_gaq_summaries_is_an_obstacle(bare_db: Connection[Any], kind: str) -> None:
    bare_db.execute(f"create {kind} gaq_summaries as select 1 as mine".encode())
    (obstacle,) = planned(bare_db).obstacles
    assert obstacle.what == f"a {kind} public.gaq_summaries exists that is not gaq-listen's"
    assert f"ALTER {kind.upper()} public.gaq_summaries RENAME" in obstacle.fix


def test_plan_foreign_schema_gaq_is_an_obstacle(bare_db: Connection[Any]) -> None:
    bare_db.execute("create schema gaq; create table gaq.mine ()")
    assert obstacles(planned(bare_db)) == "a schema gaq exists that is not gaq-listen's"


def test_plan_quotes_unusual_names(bare_db: Connection[Any]) -> None:
    bare_db.execute('create schema "Book ""keep""ing"')
    bare_db.execute('set search_path = "Book ""keep""ing"')
    bare_db.execute(script("reference_tables").encode())
    bare_db.execute(THINGS.encode())
    bare_db.execute("drop index qc_flags_by_type")
    bare_db.execute("reset search_path")
    found = planned(bare_db, 'Book "keep"ing')
    assert found.obstacles == ()
    assert found.pairs_to_mark == 2
    assert found.findings[0].fix == 'CREATE INDEX CONCURRENTLY ON "Book ""keep""ing".qc_flags (flag_type_id);'
    installer.install(bare_db, 'Book "keep"ing')
    assert planned(bare_db, 'Book "keep"ing').obstacles == ()
    assert 'the installed triggers are in schema "Book ""keep""ing"' in obstacles(planned(bare_db))


def test_plan_reports_partitions_and_counts_their_rows(bare_db: Connection[Any]) -> None:
    bare_db.execute("drop table qc_flag_verifications")
    bare_db.execute("create table qc_flag_verifications (id bigint, flag_id bigint) partition by range (id)")
    bare_db.execute("create table part partition of qc_flag_verifications default")
    bare_db.execute("insert into part select i, i from generate_series(1, 1000) i; analyze qc_flag_verifications")
    found = planned(bare_db)
    table = {table.name: table for table in found.tables}["qc_flag_verifications"]
    assert (table.kind, table.rows) == ("p", 1000)
    children, index = found.findings
    assert index.fix == "CREATE INDEX ON public.qc_flag_verifications (flag_id);"
    assert children.what.startswith("public.qc_flag_verifications has partitions or children without triggers")


def test_plan_reports_virtual_columns(bare_db: Connection[Any]) -> None:
    if bare_db.info.server_version < 180000:
        pytest.skip("virtual generated columns came with PostgreSQL 18")
    bare_db.execute("alter table runs drop column qc_time_end")
    bare_db.execute("alter table runs add qc_time_end timestamptz generated always as (time_o2_end) virtual")
    (finding,) = planned(bare_db).findings
    assert finding.what == "public.runs has qc_time_end as a virtual generated column"


@pytest.mark.parametrize(
    ("provoke", "what"),
    [
        ("alter table qc_flag_verifications set unlogged", "public.qc_flag_verifications is UNLOGGED"),
        (
            "create table child () inherits (gaq_detectors)",
            "public.gaq_detectors has partitions or children without triggers of their own: public.child",
        ),
        (
            "create table parent (run_number int not null); alter table runs inherit parent",
            "public.runs is a partition or child of public.parent, which has no triggers that mark",
        ),
        ("drop index qc_flags_by_type", "no index on qc_flags (flag_type_id)"),
    ],
)
def test_plan_and_doctor_report_the_same_finding(bare_db: Connection[Any], provoke: str, what: str) -> None:
    bare_db.execute(provoke.encode())
    (before,) = planned(bare_db).advice
    installer.install(bare_db)
    (after,) = doctor.examine(bare_db)
    assert before.what == after.what == what
    assert (before.why, before.level) == (after.why, after.level)


def test_plan_lists_exactly_the_installed_objects(bare_db: Connection[Any]) -> None:
    created = " ".join(planned(bare_db).objects)
    installer.install(bare_db)
    for kind, how_many in bare_db.execute("select kind, count(*) from gaq.list_objects() group by 1").fetchall():
        if kind in ("table", "function"):
            assert f"{how_many} {kind.replace('function', 'routine')}s of schema gaq" in created
        elif kind == "view":
            assert f"{how_many - 1} views of schema gaq" in created
        elif kind == "trigger":
            assert f"{how_many - 1} triggers on 6 tables" in created


def example(**changes: Any) -> InstallationPlan:
    known: dict[str, Any] = {
        "database": "bookkeeping",
        "schema": "public",
        "server": "PostgreSQL 16.4, not a standby",
        "role": "dba, a superuser: its rights suffice",
        "pooler": "none found",
        "existing": "Not installed. This would be a fresh installation of version 2.",
        "tables": (SourceTable("qc_flags", True, "r", 1234567, "210 MB", 3.02, 98765, None),),
        "measured_seconds": 1.0,
        "steps": (PlannedStep("05_roles.sql", ()), PlannedStep("20_sources.sql: triggers on qc_flags", ("qc_flags",))),
        "lock_holders": (
            LockHolder(("RowExclusiveLock on qc_flags",), 7, "ann", "psql", "active", 61, "update 'x'\n set"),
        ),
        "pairs_to_mark": 12345,
        "objects": ("view public.gaq_summaries",),
        "differences": (Finding("view gaq.status is missing", "everything that needs it fails", "gaq-listen install"),),
        "pinned": ("qc_flags (id, run_number)",),
        "findings": (
            Finding("this is odd", "it may fail", "SELECT 1;", "note"),
            Finding("that is missing", "it is needed", "create it", "obstacle"),
        ),
    }
    return InstallationPlan(**known | changes)


EXAMPLE = """\
Plan for database bookkeeping, source tables in schema public, sources
reference. The plan changes nothing.

Server
  server  PostgreSQL 16.4, not a standby
  role    dba, a superuser: its rights suffice
  pooler  none found

What is installed
  Not installed. This would be a fresh installation of version 2.

Source tables
  table            rows      size  written/s       so far
  qc_flags    1 234 567    210 MB        3.0       98 765
  rows: the planner's estimate; written/s: rows inserted, updated and deleted in
  a second, over the last 1.0 s; so far: rows written since the statistics
  began, at an unknown time.

Steps, each a transaction
   1 05_roles.sql
   2 20_sources.sql: triggers on qc_flags
       SHARE ROW EXCLUSIVE on qc_flags
  CREATE TRIGGER and ALTER TABLE ... ENABLE ALWAYS TRIGGER take SHARE ROW
  EXCLUSIVE. While a step waits for the lock or holds it, writers of the table
  wait, and readers do not. A step waits for at most --lock-timeout (3 s), lets
  writers go on, and tries again, at most 20 times. So a writer waits for at
  most 20 times 3 s, with pauses. The other steps take no lock for which a
  writer or a reader of a source table would wait.

Locks for which steps would wait now
  pid 7, ann, psql, active, its transaction began 1 min 01 s ago
    has RowExclusiveLock on qc_flags
    update '…' set

Backfill
  The installation would mark 12 345 pairs as never computed, and workers would
  compute the oldest marks first. That takes about 3.1 s, 9 MB on disk and 14 MB
  of WAL if pairs have ten flags. More flags take longer.

What the installation would create
  view public.gaq_summaries

What an installation pins
  qc_flags (id, run_number)
  PostgreSQL refuses to drop these columns, and those of names and comments, or
  to change their types. Run gaq-listen detach, then the migration, then
  gaq-listen install. Anybody can rename the columns and their tables at any
  time.

What differs from the last installation
1. error: view gaq.status is missing
   why:  everything that needs it fails
   fix:  gaq-listen install

Findings
1. note: this is odd
   why:  it may fail
   fix:  SELECT 1;

1 obstacle in the way of the installation:
1. obstacle: that is missing
   why:  it is needed
   do:   create it"""


def test_plan_text_fits_into_80_columns() -> None:
    assert render_plan(example()) == EXAMPLE


def test_plan_text_of_an_old_server_has_no_steps() -> None:
    obstacle = Finding("PostgreSQL 13.9 is too old", "multiranges are missing", "upgrade", "obstacle")
    text = render_plan(InstallationPlan("d", "public", "PostgreSQL 13.9", "dba", "none found", findings=(obstacle,)))
    assert "Steps" not in text
    assert "\n1 obstacle in the way of the installation:\n1. obstacle: PostgreSQL 13.9 is too old\n" in text


def test_plan_text_of_a_prepared_transaction_has_no_pid() -> None:
    holder = LockHolder(("RowExclusiveLock on runs",), None, "ann", "tx-1", None, 5.0, None)
    assert "  a prepared transaction, ann, tx-1, its transaction began" in render_plan(example(lock_holders=(holder,)))


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("alter role x password 'it''s secret'", "alter role x password '…'"),
        ("alter role x password 'cut off he", "alter role x password '…'"),
        ("select\n\t1", "select 1"),
        ("x" * 100, "x" * plan_text.MAX_QUERY_LENGTH),
    ],
)
def test_plan_text_of_a_query_has_no_string_literals(query: str, shown: str) -> None:
    assert redacted(query) == shown


class _PooledConnection:
    """A connection that gives each question for its backend another answer."""

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
    ("pids", "selected"), [((1, 2, 1), lambda plan: plan.obstacles), ((1, 1, 1), lambda plan: plan.advice)]
)
def test_plan_reports_a_pooler(
    bare_db: Connection[Any], pids: tuple[int, ...], selected: Callable[[InstallationPlan], Any]
) -> None:
    pooled: Any = _PooledConnection(bare_db, *pids)
    (obstacle,) = selected(make_plan(pooled, "public"))
    assert obstacle.what.startswith("a pooler")
