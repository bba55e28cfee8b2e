"""Ask PostgreSQL's catalogs which triggers gaq-listen has, on which tables, and which columns its views read."""

from collections.abc import Iterable
from dataclasses import dataclass

from psycopg import Connection
from psycopg.rows import TupleRow

MARKING_EVENTS = 60
"""Bits of ``pg_trigger.tgtype`` for INSERT, DELETE, UPDATE and TRUNCATE."""

# A partition's clone of a trigger (tgparentid) is left out. Schema gaq need not exist.
_OUR_TRIGGERS = """
select tgname::text, tgrelid, tgrelid::regclass::text, nspname::text, relkind::text, tgenabled::text, tgtype::int,
       exists (select from pg_catalog.pg_inherits where inhrelid = tgrelid)
from pg_catalog.pg_trigger
join pg_catalog.pg_proc on pg_proc.oid = tgfoid
join pg_catalog.pg_class on pg_class.oid = tgrelid
join pg_catalog.pg_namespace on pg_namespace.oid = relnamespace
where pronamespace = to_regnamespace('gaq') and tgparentid = 0
order by tgrelid::regclass::text, tgname
"""

_DESCENDANTS = """
with recursive family as (
    select inhparent as ancestor, inhrelid as descendant
    from pg_catalog.pg_inherits where inhparent = any (%s::oid[])
    union
    select f.ancestor, i.inhrelid from pg_catalog.pg_inherits i join family f on i.inhparent = f.descendant
)
select ancestor, ancestor::regclass::text, descendant, descendant::regclass::text
from family order by 2, 4
"""

_READ_COLUMNS = """
select distinct attrelid, attrelid::regclass::text, attnum, attname::text
from pg_catalog.pg_class v
join pg_catalog.pg_rewrite w on w.ev_class = v.oid
join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::regclass and d.objid = w.oid
join pg_catalog.pg_attribute on d.refclassid = 'pg_catalog.pg_class'::regclass
     and attrelid = d.refobjid and attnum = d.refobjsubid
join pg_catalog.pg_class t on t.oid = attrelid
where v.relnamespace = to_regnamespace('gaq') and t.relnamespace <> v.relnamespace
order by 2, attnum
"""


@dataclass(frozen=True, slots=True)
class OurTrigger:
    """A trigger that calls a function of schema gaq. Other people may have created it, for example on a partition."""

    name: str
    table_oid: int
    table: str
    """The table or view as SQL writes it, with its schema if that is not on the search path."""
    schema: str
    kind: str
    """``pg_class.relkind`` of the table or view."""
    enabled: str
    """``pg_trigger.tgenabled``; ``A`` is ENABLE ALWAYS."""
    type_bits: int
    """``pg_trigger.tgtype``."""
    is_on_child: bool
    """Whether the table is a partition or an inheritance child."""

    @property
    def is_on_table(self) -> bool:
        """Whether the trigger is on a table, and not on a view."""
        return self.kind in ("r", "p")


@dataclass(frozen=True, slots=True)
class Descent:
    """A table and a partition or inheritance child at any depth below it."""

    ancestor_oid: int
    ancestor: str
    descendant_oid: int
    descendant: str


@dataclass(frozen=True, slots=True)
class ReadColumn:
    """A column of a source table that a view of schema gaq reads."""

    table_oid: int
    table: str
    number: int
    """``pg_attribute.attnum``."""
    name: str


def our_triggers(connection: Connection[TupleRow]) -> list[OurTrigger]:
    """Return every trigger that calls a function of schema gaq, ordered by table and name."""
    return [OurTrigger(*row) for row in connection.execute(_OUR_TRIGGERS)]


def marked_tables(connection: Connection[TupleRow]) -> list[int]:
    """Return the oids of the tables with triggers that mark."""
    return sorted({trigger.table_oid for trigger in our_triggers(connection) if trigger.is_on_table})


def source_schemas(connection: Connection[TupleRow]) -> list[str]:
    """Return the schemas of the tables with triggers that mark. Partitions and children may be in any schema."""
    triggers = our_triggers(connection)
    return sorted({trigger.schema for trigger in triggers if trigger.is_on_table and not trigger.is_on_child})


def summaries_view(connection: Connection[TupleRow]) -> str | None:
    """Return the view gaq_summaries as SQL writes it, or None if it does not exist or is not unique."""
    views = {trigger.table for trigger in our_triggers(connection) if trigger.kind == "v"}
    return views.pop() if len(views) == 1 else None


def descents(connection: Connection[TupleRow], tables: Iterable[int]) -> list[Descent]:
    """Return each partition and inheritance child below the tables with these oids."""
    return [Descent(*row) for row in connection.execute(_DESCENDANTS, (list(tables),))]


def with_descendants(connection: Connection[TupleRow], tables: Iterable[int]) -> list[int]:
    """Return the oids of these tables and of all tables below them."""
    given = list(tables)
    return sorted({*given, *(descent.descendant_oid for descent in descents(connection, given))})


def read_columns(connection: Connection[TupleRow]) -> list[ReadColumn]:
    """Return the columns of source tables that the installed views read."""
    return [ReadColumn(*row) for row in connection.execute(_READ_COLUMNS)]
