"""Which tables are sources, told from what is installed rather than by their names."""

from psycopg import Connection
from psycopg.rows import TupleRow

_MARKED = """
select distinct tgrelid
from pg_catalog.pg_trigger
join pg_catalog.pg_proc on pg_proc.oid = tgfoid
join pg_catalog.pg_class on pg_class.oid = tgrelid
where pronamespace = 'gaq'::regnamespace and tgparentid = 0 and relkind in ('r', 'p')
"""

_READ = """
select distinct t.oid
from pg_catalog.pg_class v
join pg_catalog.pg_rewrite w on w.ev_class = v.oid
join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::regclass and d.objid = w.oid
join pg_catalog.pg_class t on d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid = t.oid
where v.relnamespace = 'gaq'::regnamespace and t.relnamespace <> 'gaq'::regnamespace
"""

_DESCENDANTS = """
with recursive family as (
    select inhrelid from pg_catalog.pg_inherits where inhparent = any (%s)
    union
    select i.inhrelid from pg_catalog.pg_inherits i join family f on i.inhparent = f.inhrelid
)
select inhrelid from family
"""


def marked(connection: Connection[TupleRow]) -> list[int]:
    """The tables with triggers that mark, by their oid."""
    return [oid for (oid,) in connection.execute(_MARKED)]


def read(connection: Connection[TupleRow]) -> list[int]:
    """The tables that views in schema gaq read, by their oid."""
    return [oid for (oid,) in connection.execute(_READ)]


def family(connection: Connection[TupleRow]) -> list[int]:
    """The tables with triggers that mark, and all their partitions and inheritance children."""
    tables = marked(connection)
    return sorted({*tables, *(oid for (oid,) in connection.execute(_DESCENDANTS, (tables,)))})
