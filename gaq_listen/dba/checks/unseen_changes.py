"""Check for changes of source tables that no trigger sees, and for rows that gaq_owner cannot see.

Each check takes the tables it is about. The doctor gives it the tables of the installation. The plan gives it the
tables that an installation would use.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from psycopg import Connection
from psycopg.rows import TupleRow

from gaq_listen.dba import catalog
from gaq_listen.dba.checks.finding import REPAIR, Finding
from gaq_listen.wording import listed


@dataclass(frozen=True, slots=True)
class SourceTableSet:
    """The source tables of an installation, present or planned, by their oids."""

    marked: list[int]
    """Tables with triggers that mark."""
    read: list[int]
    """Tables that views of schema gaq read."""
    columns: list[tuple[int, str]]
    """Table and name of each column that a view may read."""


def installed_tables(connection: Connection[TupleRow]) -> SourceTableSet:
    """Return the source tables of the installation."""
    columns = catalog.read_columns(connection)
    return SourceTableSet(
        marked=catalog.marked_tables(connection),
        read=sorted({column.table_oid for column in columns}),
        columns=[(column.table_oid, column.name) for column in columns],
    )


_UNLOGGED = """
select oid::regclass::text from pg_catalog.pg_class where oid = any (%s::oid[]) and relpersistence = 'u' order by 1
"""

# Before the first installation on a server, no role gaq_owner exists. Every policy will apply to the new role.
_ROW_SECURITY = """
select c.oid::regclass::text, o.oid is not null, to_regnamespace('gaq') is not null
from pg_catalog.pg_class c
left join pg_catalog.pg_roles o on o.rolname = 'gaq_owner'
where c.oid = any (%s::oid[]) and relrowsecurity
  and (o.oid is null
       or not o.rolsuper and not o.rolbypassrls
          and (relforcerowsecurity or not pg_has_role(o.oid, relowner, 'USAGE')))
order by 1
"""

_VIRTUAL = """
select attrelid::regclass::text, attname::text
from unnest(%s::oid[], %s::text[]) read_column (table_oid, name)
join pg_catalog.pg_attribute on attrelid = table_oid and attname = name
where attgenerated = 'v'
order by 1, 2
"""

_SUBSCRIPTIONS = """
select srrelid::regclass::text, array_agg(quote_ident(subname) order by subname)
from pg_catalog.pg_subscription_rel
join pg_catalog.pg_subscription s on s.oid = srsubid
where srrelid = any (%s::oid[])
group by srrelid order by 1
"""

_PARENTS = """
select inhrelid::regclass::text, inhparent::regclass::text
from pg_catalog.pg_inherits
where inhrelid = any (%s::oid[]) and inhparent <> all (%s::oid[])
order by 1, 2
"""

_PUBLICATIONS = """
select c.oid::regclass::text, array_agg(quote_ident(pubname) order by pubname)
from pg_catalog.pg_publication p
join pg_catalog.pg_publication_tables using (pubname)
join pg_catalog.pg_namespace n on nspname = schemaname
join pg_catalog.pg_class c on relname = tablename and relnamespace = n.oid
where nspname = 'gaq' and (pubupdate or pubdelete)
  and not case relreplident
      when 'f' then true
      when 'd' then exists (select from pg_catalog.pg_index where indrelid = c.oid and indisprimary and indisvalid)
      when 'i' then exists (select from pg_catalog.pg_index where indrelid = c.oid and indisreplident and indisvalid)
      else false
  end
group by c.oid order by 1
"""


def unlogged(connection: Connection[TupleRow], tables: SourceTableSet) -> list[Finding]:
    """Return a finding for each source table that a crash of the server would empty without a mark."""
    family = catalog.with_descendants(connection, tables.marked)
    return [
        Finding(
            f"{table} is UNLOGGED",
            f"a crash of the server empties the table, and no trigger marks that; after a crash: {REPAIR}",
            f"ALTER TABLE {table} SET LOGGED;",
            "warning",
        )
        for (table,) in connection.execute(_UNLOGGED, (family,))
    ]


def row_security(connection: Connection[TupleRow], tables: SourceTableSet, repair: bool = True) -> list[Finding]:
    """Return a finding for each source table whose policies would hide rows from gaq_owner.

    With ``repair``, the fix of an installation ends with the command that repairs its summaries.
    """
    return [
        Finding(
            f"row-level security is enabled on {table}",
            "its policies hide rows from gaq_owner, so installations and refreshes fail rather than miss rows",
            _bypass(has_owner, installed) + (f"; then {REPAIR}" if installed and repair else ""),
        )
        for table, has_owner, installed in connection.execute(_ROW_SECURITY, (tables.read,))
    ]


def _bypass(has_owner: bool, installed: bool) -> str:
    """Return what a DBA can do so that no policy hides rows from gaq_owner."""
    bypass = (
        "ALTER ROLE gaq_owner BYPASSRLS"
        if has_owner
        else "CREATE ROLE gaq_owner NOLOGIN; ALTER ROLE gaq_owner BYPASSRLS"
    )
    return bypass if installed else f"as a superuser, before the installation: {bypass}"


def virtual_columns(connection: Connection[TupleRow], tables: SourceTableSet) -> list[Finding]:
    """Return a finding for each virtual generated column that a trigger should compare. PostgreSQL 18 has them."""
    marked = [(table, name) for table, name in tables.columns if table in tables.marked]
    oids, names = [table for table, _ in marked], [name for _, name in marked]
    return [
        Finding(
            f"{table} has {column} as a virtual generated column",
            "the old and the new value are null in a trigger, so triggers do not see that the column changes",
            "make the column STORED; or let the trigger function in a sources file of your own (--sources FILE.sql) "
            "compare the columns from which it is generated",
        )
        for table, column in connection.execute(_VIRTUAL, (oids, names))
    ]


def subscriptions(connection: Connection[TupleRow], tables: SourceTableSet) -> list[Finding]:
    """Return a finding for each source table that logical replication writes row by row."""
    family = catalog.with_descendants(connection, tables.marked)
    return [
        Finding(
            f"logical replication writes {table}, by subscription {', '.join(names)}",
            "replicated changes fire no statement trigger, so no trigger marks them",
            f"install gaq-listen where the changes are made; or look for differences regularly: {REPAIR}",
        )
        for table, names in connection.execute(_SUBSCRIPTIONS, (family,))
    ]


def inheritance(connection: Connection[TupleRow], tables: SourceTableSet) -> list[Finding]:
    """Return a finding for each table above or below a source table that has no triggers of its own.

    A statement fires only the triggers of the table that it names.
    """
    unmarked: defaultdict[str, list[str]] = defaultdict(list)
    complete = _completely_marked(connection)
    for descent in catalog.descents(connection, tables.marked):
        if descent.descendant_oid not in complete:
            unmarked[descent.ancestor].append(descent.descendant)
    children = [
        Finding(
            f"{table} has partitions or children without triggers of their own: {listed(names)}",
            "a statement that names one of these marks nothing, and neither does ATTACH or DETACH",
            f"write only through {table}; after any other change: {REPAIR}",
            "note",
        )
        for table, names in unmarked.items()
    ]
    parents = [
        Finding(
            f"{table} is a partition or child of {parent}, which has no triggers that mark",
            f"a statement that names {parent} marks nothing",
            f"write only to {table} itself; or adapt the sources file so that {parent} marks, and then {REPAIR}",
        )
        for table, parent in connection.execute(_PARENTS, (tables.marked, tables.marked))
    ]
    return children + parents


def _completely_marked(connection: Connection[TupleRow]) -> set[int]:
    """Return the tables with triggers that are always enabled, for all four kinds of statements."""
    events: defaultdict[int, int] = defaultdict(int)
    for trigger in catalog.our_triggers(connection):
        if trigger.enabled == "A":
            events[trigger.table_oid] |= trigger.type_bits & catalog.MARKING_EVENTS
    return {table for table, bits in events.items() if bits == catalog.MARKING_EVENTS}


def publications(connection: Connection[TupleRow]) -> list[Finding]:
    """Return a finding for each published table of schema gaq from which PostgreSQL refuses to delete rows."""
    return [
        Finding(
            f"{table} is published by {', '.join(names)} without a replica identity",
            "PostgreSQL refuses to update or delete rows of the table, so every refresh fails",
            f"ALTER TABLE {table} REPLICA IDENTITY FULL;",
        )
        for table, names in connection.execute(_PUBLICATIONS)
    ]


TableCheck = Callable[[Connection[TupleRow], SourceTableSet], list[Finding]]

TABLE_CHECKS: Mapping[str, TableCheck] = {
    "unlogged tables": unlogged,
    "row-level security": row_security,
    "virtual columns": virtual_columns,
    "subscriptions": subscriptions,
    "partitions and inheritance": inheritance,
}
"""The checks that both the doctor and the plan run, by the name that a report gives them."""
