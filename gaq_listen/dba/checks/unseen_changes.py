"""Changes of the source tables that no trigger sees, and rows that gaq_owner does not."""

from psycopg import Connection
from psycopg.rows import TupleRow

from gaq_listen.dba.checks import marked_tables
from gaq_listen.dba.checks.finding import REPAIR, Finding, listed

_ROW_SECURITY = """
select c.oid::regclass::text
from pg_catalog.pg_class c
join pg_catalog.pg_roles o on o.rolname = 'gaq_owner'
where c.oid = any (%s) and relrowsecurity and not o.rolsuper and not o.rolbypassrls
  and (relforcerowsecurity or not pg_has_role(o.oid, relowner, 'USAGE'))
order by 1
"""

# Of these only what the views of schema gaq read counts: the triggers compare the same.
_VIRTUAL = """
select distinct attrelid::regclass::text, attname::text
from pg_catalog.pg_class v
join pg_catalog.pg_rewrite w on w.ev_class = v.oid
join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::regclass and d.objid = w.oid
join pg_catalog.pg_attribute on d.refclassid = 'pg_catalog.pg_class'::regclass
     and attrelid = d.refobjid and attnum = d.refobjsubid
where v.relnamespace = 'gaq'::regnamespace and attrelid = any (%s) and attgenerated = 'v'
order by 1, 2
"""

_SUBSCRIPTIONS = """
select srrelid::regclass::text, array_agg(quote_ident(subname) order by subname)
from pg_catalog.pg_subscription_rel
join pg_catalog.pg_subscription s on s.oid = srsubid
where srrelid = any (%s)
group by srrelid order by 1
"""

# 60: a trigger for each of INSERT, DELETE, UPDATE and TRUNCATE.
_CHILDREN = """
with recursive family as (
    select inhrelid, inhparent as top from pg_catalog.pg_inherits where inhparent = any (%s)
    union
    select i.inhrelid, f.top from pg_catalog.pg_inherits i join family f on i.inhparent = f.inhrelid
)
select top::regclass::text, array_agg(inhrelid::regclass::text order by inhrelid::regclass::text)
from family
where (select bit_or(tgtype::int) & 60
       from pg_catalog.pg_trigger join pg_catalog.pg_proc on pg_proc.oid = tgfoid
       where tgrelid = inhrelid and pronamespace = 'gaq'::regnamespace and tgenabled = 'A') is distinct from 60
group by top order by 1
"""

_PARENTS = """
select inhrelid::regclass::text, inhparent::regclass::text
from pg_catalog.pg_inherits
where inhrelid = any (%s) and inhparent <> all (%s)
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


def row_security(connection: Connection[TupleRow]) -> list[Finding]:
    """Policies would hide rows from gaq_owner."""
    return [
        Finding(
            f"row-level security is enabled on {table}",
            "it hides rows from gaq_owner: pairs are missed, and every refresh is refused",
            f"ALTER ROLE gaq_owner BYPASSRLS; then {REPAIR}",
        )
        for (table,) in connection.execute(_ROW_SECURITY, (marked_tables.read(connection),))
    ]


def virtual_columns(connection: Connection[TupleRow]) -> list[Finding]:
    """From PostgreSQL 18."""
    return [
        Finding(
            f"{table} has {column} as a virtual generated column",
            "triggers find null in it, before and after, so its changes go unnoticed",
            "make it STORED; or, in 20_sources.sql, let the trigger function compare the columns that it is made of",
        )
        for table, column in connection.execute(_VIRTUAL, (marked_tables.marked(connection),))
    ]


def subscriptions(connection: Connection[TupleRow]) -> list[Finding]:
    """Logical replication applies row by row; only triggers for each row would fire."""
    return [
        Finding(
            f"{table} is written by logical replication, subscription {', '.join(names)}",
            "what it applies fires no trigger for each statement, so it goes unnoticed",
            f"install gaq-listen where the changes are made; or look for differences regularly: {REPAIR}",
        )
        for table, names in connection.execute(_SUBSCRIPTIONS, (marked_tables.family(connection),))
    ]


def inheritance(connection: Connection[TupleRow]) -> list[Finding]:
    """A statement fires the triggers of the table it names, and of no other."""
    marked = marked_tables.marked(connection)
    children = [
        Finding(
            f"{table} has partitions or children without triggers of their own: {listed(names)}",
            "a statement that names one of them marks nothing; nor do ATTACH and DETACH",
            f"write only through {table}; after anything else: {REPAIR}",
            "note",
        )
        for table, names in connection.execute(_CHILDREN, (marked,))
    ]
    parents = [
        Finding(
            f"{table} is a partition or child of {parent}, which has no triggers that mark",
            f"a statement that names {parent} marks nothing",
            f"write only to {table} itself, or adapt 20_sources.sql so that {parent} marks; then {REPAIR}",
        )
        for table, parent in connection.execute(_PARENTS, (marked, marked))
    ]
    return children + parents


def publications(connection: Connection[TupleRow]) -> list[Finding]:
    """Rows can be deleted from a published table only where they can be told apart."""
    return [
        Finding(
            f"{table} is published by {', '.join(names)} without a replica identity",
            "PostgreSQL refuses to update or delete its rows, so the refresh fails",
            f"ALTER TABLE {table} REPLICA IDENTITY FULL;",
        )
        for table, names in connection.execute(_PUBLICATIONS)
    ]
