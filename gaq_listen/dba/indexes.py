"""Check whether the source tables have the indexes that a sources file names."""

import re
from collections import defaultdict
from dataclasses import dataclass, replace

from psycopg import Connection
from psycopg.rows import TupleRow

from gaq_listen.dba.checks.finding import Finding
from gaq_listen.dba.sources import Sources

_NEEDED = re.compile(r"^-- \[index\] (\w+) \(([\w, ]+)\): (.+)$", flags=re.MULTILINE)

_TABLES = """
select c.relname, c.relkind = 'p' as partitioned,
       array(select attname::text from pg_catalog.pg_attribute
             where attrelid = c.oid and attnum > 0 and not attisdropped) as columns
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = %s and c.relname = any (%s) and c.relkind in ('r', 'p')
"""

# Indexes of columns, for all rows, that can find equal values. An index under construction, or that failed, is invalid.
_INDEXES = """
select c.relname,
       array(select attname::text
             from unnest(i.indkey::int2[]) with ordinality key (number, position)
             join pg_catalog.pg_attribute on attrelid = i.indrelid and attnum = key.number
             where position <= i.indnkeyatts
             order by position) as columns
from pg_catalog.pg_index i
join pg_catalog.pg_class c on c.oid = i.indrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_class x on x.oid = i.indexrelid
join pg_catalog.pg_am on pg_am.oid = x.relam
where n.nspname = %s and c.relname = any (%s)
  and i.indisvalid and i.indpred is null and i.indexprs is null and amname in ('btree', 'hash')
"""


@dataclass(frozen=True, slots=True)
class NeededIndex:
    """An index on columns of a source table that a sources file names, and what the index is for."""

    table: str
    columns: tuple[str, ...]
    purpose: str
    is_partitioned: bool = False
    """Whether the table is partitioned. PostgreSQL cannot create an index of such a table concurrently."""

    def finding(self, schema: str) -> Finding:
        """Return the finding that the table in this schema lacks the index."""
        return Finding(
            f"no index on {self.table} ({', '.join(self.columns)})",
            f"needed for {self.purpose}: without the index, each batch reads the whole table",
            self.statement(schema),
            "warning",
        )

    def statement(self, schema: str) -> str:
        """Return the SQL that creates the index on the table in this schema."""
        columns = ", ".join(quoted(column) for column in self.columns)
        concurrently = "" if self.is_partitioned else "CONCURRENTLY "
        return f"CREATE INDEX {concurrently}ON {quoted(schema)}.{quoted(self.table)} ({columns});"


def quoted(name: str) -> str:
    """Return a name as SQL writes it: in quotes if SQL would read it as another name without them.

    >>> quoted("qc_flags"), quoted("QC flags")
    ('qc_flags', '"QC flags"')
    """
    return name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else '"' + name.replace('"', '""') + '"'


def needed(sources: Sources) -> list[NeededIndex]:
    """Return the indexes that a sources file names in lines that begin with ``-- [index]``."""
    return [
        NeededIndex(table, tuple(re.split(r", *", columns)), purpose)
        for table, columns, purpose in _NEEDED.findall(sources.text)
    ]


def missing(connection: Connection[TupleRow], schema: str, sources: Sources) -> list[Finding]:
    """Return a finding for each needed index that the tables of this schema lack.

    An existing index suffices if it begins with the needed columns, in any order. Tables and columns that do not exist
    need no index.
    """
    names = sorted({index.table for index in needed(sources)})
    tables = {name: rest for name, *rest in connection.execute(_TABLES, (schema, names)).fetchall()}
    found = defaultdict(list)
    for table, columns in connection.execute(_INDEXES, (schema, names)).fetchall():
        found[table].append(columns)

    def is_missing(index: NeededIndex) -> bool:
        columns = set(index.columns)
        columns_exist = columns <= set(tables[index.table][1])
        return columns_exist and not any(set(has[: len(columns)]) == columns for has in found[index.table])

    return [
        replace(index, is_partitioned=tables[index.table][0]).finding(schema)
        for index in needed(sources)
        if index.table in tables and is_missing(index)
    ]
