"""Plan an installation: what it would do in this database, and which obstacles it would meet. Changes nothing."""

from dataclasses import replace

from psycopg import Connection
from psycopg.rows import TupleRow

from gaq_listen.adoption import legacy_plan
from gaq_listen.adoption.lost_triggers import lost_triggers
from gaq_listen.db import source_bindings
from gaq_listen.db.sessions import SQL_VERSION
from gaq_listen.dba import indexes
from gaq_listen.dba.checks.finding import Finding
from gaq_listen.dba.checks.unseen_changes import TABLE_CHECKS, SourceTableSet, row_security
from gaq_listen.dba.doctor import RECORD_CHECKS, examine
from gaq_listen.dba.plan import measurements, planned_tables
from gaq_listen.dba.plan.event_triggers import advise_event_triggers
from gaq_listen.dba.plan.installation_plan import InstallationPlan
from gaq_listen.dba.plan.installed_version import installed_version
from gaq_listen.dba.plan.installer_rights import advise_table_owners, check_role
from gaq_listen.dba.plan.plan_reader import PlanReader, Row
from gaq_listen.dba.plan.planned_steps import created_objects, pinned_columns, planned_steps
from gaq_listen.dba.plan.server_facts import find_pooler, is_supported, server_facts
from gaq_listen.dba.sources import Sources, chosen, schema

_SESSION = """
set transaction read only;
set local lock_timeout = '500ms';
set local statement_timeout = '10s';
set local search_path = pg_catalog;
"""

_SEARCH_SOURCES = "select set_config('search_path', quote_ident(%(schema)s), true)"

_RENAMED = "select name_then, name_now from gaq.renamed_sources() order by 1"

# Earlier versions of gaq-listen have no record with which the checks could compare.
# to_regclass and to_regprocedure raise an error for a role that may not use the schema.
_HAS_RECORD = """
select from pg_namespace n
where nspname = 'gaq' and has_schema_privilege(oid, 'usage')
  and exists (select from pg_class where relnamespace = n.oid and relname = 'installation')
  and exists (select from pg_proc where pronamespace = n.oid and proname = 'source_changes')
"""


def make_plan(
    connection: Connection[TupleRow],
    source_schema: str | None = None,
    given_sources: str | None = None,
    only_obstacles: bool = False,
) -> InstallationPlan:
    """Examine the database in a read-only transaction that is rolled back. This takes about a second.

    Args:
        connection: A connection in autocommit.
        source_schema: Schema of the source tables; None: that of the last installation, else ``public``.
        given_sources: Name or file of the sources; None: those of the last installation, else ``reference``.
        only_obstacles: Examine only what may be an obstacle, as an installation does. Without a measurement, this takes
            some milliseconds.

    Raises:
        GaqListenError: The database was installed with other sources.
        UnknownName: No sources have the given name.
    """
    sources = chosen(connection, given_sources)
    reader = PlanReader(connection, schema(connection, source_schema))
    pooler = find_pooler(reader)
    with connection.transaction(force_rollback=True):
        connection.execute(_SESSION)
        server = server_facts(reader)
        plan = InstallationPlan(
            database=server["database"],
            schema=server["schema"],
            server=f"PostgreSQL {server['version']}, {'a standby' if server['standby'] else 'not a standby'}",
            role=server["role"],
            pooler=pooler,
            sources=sources.name,
        )
        if is_supported(server):
            plan = _examine(reader, server, sources, plan, only_obstacles)
    return replace(plan, findings=tuple(reader.findings))


def _examine(
    reader: PlanReader, server: Row, sources: Sources, plan: InstallationPlan, only_obstacles: bool
) -> InstallationPlan:
    """Add what the catalogs, the tables and other sessions show. The findings are in the reader."""
    existing, replaces = installed_version(reader, server)
    adoption = legacy_plan.adoption_of(reader)
    tables = planned_tables.find_tables(reader, server, sources)
    role = check_role(reader, server, tables)
    _refuse_row_security(reader, tables)
    if not only_obstacles:
        plan = _measure(reader, plan, tables)
        _run_shared_checks(reader, tables, sources)
        advise_event_triggers(reader)
        advise_table_owners(reader, tables)
        plan = replace(plan, differences=_differences(reader) if replaces else ())
    reader.ask(_SEARCH_SOURCES)
    planned_tables.check_types(reader, sources)
    planned_tables.check_columns(reader, sources)
    keeps_bindings = _drop_obstacles_of_renames(reader)
    if not only_obstacles:
        planned_tables.advise_generated_columns(reader, sources)
        plan = replace(plan, pairs_to_mark=measurements.count_pairs_to_mark(reader, sources, replaces))
    return replace(
        plan,
        role=role,
        existing=f"{existing} {adoption}" if adoption else existing,
        replaces=replaces,
        keeps_bindings=keeps_bindings,
        steps=planned_steps(sources, {row["name"]: row["quoted"] for row in tables}),
        objects=created_objects(sources, server["schema"]),
        pinned=pinned_columns(sources),
    )


def _measure(reader: PlanReader, plan: InstallationPlan, tables: list[Row]) -> InstallationPlan:
    lock_holders = measurements.find_lock_holders(reader, tables)
    measured, seconds, since = measurements.measure_tables(reader, tables)
    return replace(plan, lock_holders=lock_holders, tables=measured, measured_seconds=seconds, counted_since=since)


def _refuse_row_security(reader: PlanReader, tables: list[Row]) -> None:
    """Add an obstacle for each table that an installation reads and whose policies would hide rows from gaq_owner."""
    read = [row["oid"] for row in [*tables, *legacy_plan.table_to_adopt(reader)]]
    for finding in row_security(reader.connection, SourceTableSet(marked=[], read=read, columns=[]), repair=False):
        reader.obstacle(finding.what, finding.why, finding.fix)


def _run_shared_checks(reader: PlanReader, tables: list[Row], sources: Sources) -> None:
    """Run the checks that the doctor runs on installed tables, on the tables that would be installed."""
    table_set = planned_tables.planned_table_set(reader, tables, sources)
    for check in TABLE_CHECKS.values():
        if check is not row_security:  # which _refuse_row_security has run
            reader.findings += check(reader.connection, table_set)
    reader.findings += indexes.missing(reader.connection, reader.schema, sources)
    reader.findings += lost_triggers(reader.connection, reader.schema, sources)


def _drop_obstacles_of_renames(reader: PlanReader) -> bool:
    """Replace obstacles because of names by notes if tables or columns were only renamed since the installation.

    Return whether they were. An installation then keeps the bindings, which follow a rename.
    """
    if not reader.naming_obstacles or not source_bindings.is_rename_only(reader.connection, SQL_VERSION):
        return False
    reader.findings = [finding for finding in reader.findings if finding not in reader.naming_obstacles]
    for row in reader.ask(_RENAMED):
        reader.advise(
            f"{row['name_then']} is now called {row['name_now']}",
            "the installation keeps what is bound to it; a later version of gaq-listen may bind by name",
            "before the next upgrade, adapt a sources file to the new names: --sources FILE.sql",
        )
    return True


def _differences(reader: PlanReader) -> tuple[Finding, ...]:
    """Return what differs from the record of the last installation."""
    return tuple(examine(reader.connection, RECORD_CHECKS)) if reader.ask(_HAS_RECORD) else ()
