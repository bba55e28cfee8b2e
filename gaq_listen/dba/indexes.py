"""The indexes that reading the source tables needs, and which of them a database has not."""

import re
from collections import defaultdict
from dataclasses import dataclass, replace

from psycopg import Connection
from psycopg.rows import TupleRow

from gaq_listen.dba.sources import Sources

_WANTED = re.compile(r"^-- \[index\] (\w+) \(([\w, ]+)(?:; ([\w, ]+))?\): (.+)$", flags=re.MULTILINE)

_TABLES = """
select c.relname, c.relkind = 'p' as partitioned,
       array(select attname::text from pg_catalog.pg_attribute
             where attrelid = c.oid and attnum > 0 and not attisdropped) as columns
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = %s and c.relname = any (%s) and c.relkind in ('r', 'p')
"""

# Only of columns, for any row, and such as find equal values. One that is being built, or that failed, is not valid.
_INDEXES = """
select c.relname,
       array(select attname::text
             from unnest(i.indkey::int2[]) with ordinality key (number, place)
             join pg_catalog.pg_attribute on attrelid = i.indrelid and attnum = key.number
             where place <= i.indnkeyatts
             order by place) as columns
from pg_catalog.pg_index i
join pg_catalog.pg_class c on c.oid = i.indrelid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_class x on x.oid = i.indexrelid
join pg_catalog.pg_am on pg_am.oid = x.relam
where n.nspname = %s and c.relname = any (%s)
  and i.indisvalid and i.indpred is null and i.indexprs is null and amname in ('btree', 'hash')
"""


@dataclass(frozen=True, slots=True)
class Index:
    """An index that is wanted: on which columns of a source table, and what for."""

    table: str
    columns: tuple[str, ...]
    why: str
    ranges: int = 0
    """How many of the columns, the last ones, stand in the index in the same order, because ranges are asked for."""
    partitioned: bool = False
    """The table is: then its index cannot be created concurrently."""

    def served_by(self, columns: tuple[str, ...]) -> bool:
        """Return whether an index on these columns does: it begins with the wanted ones, in any order but for ranges.

        >>> wanted = Index("flags", ("run", "pass", "id"), "", ranges=1)
        >>> wanted.served_by(("pass", "run", "id", "type")), wanted.served_by(("run", "id", "pass"))
        (True, False)
        """
        equal = len(self.columns) - self.ranges
        return (
            set(columns[:equal]) == set(self.columns[:equal])
            and columns[equal : len(self.columns)] == self.columns[equal:]
        )

    def statement(self, schema: str) -> str:
        """The SQL that creates it."""
        columns = ", ".join(quoted(column) for column in self.columns)
        concurrently = "" if self.partitioned else "CONCURRENTLY "
        return f"CREATE INDEX {concurrently}ON {quoted(schema)}.{quoted(self.table)} ({columns});"


def quoted(name: str) -> str:
    """A name as SQL writes it: quoted where it would otherwise be read as another.

    >>> quoted("qc_flags"), quoted("QC flags")
    ('qc_flags', '"QC flags"')
    """
    return name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else '"' + name.replace('"', '""') + '"'


def needed(sources: Sources) -> list[Index]:
    """Return what the lines that begin with ``-- [index]`` in a sources file ask for.

    Columns after a semicolon are asked for ranges of values.
    """
    wanted = []
    for table, columns, ranged, why in _WANTED.findall(sources.text):
        ranges = re.split(r", *", ranged) if ranged else []
        wanted.append(Index(table, (*re.split(r", *", columns), *ranges), why, ranges=len(ranges)))
    return wanted


def missing(connection: Connection[TupleRow], schema: str, sources: Sources) -> list[Index]:
    """Those that no index does for in the tables of that schema.

    Tables and columns that are not there want none.
    """
    names = sorted({index.table for index in needed(sources)})
    tables = {name: rest for name, *rest in connection.execute(_TABLES, (schema, names)).fetchall()}
    found = defaultdict(list)
    for table, columns in connection.execute(_INDEXES, (schema, names)).fetchall():
        found[table].append(columns)

    def lacks(index: Index) -> bool:
        there = set(index.columns) <= set(tables[index.table][1])
        return there and not any(index.served_by(tuple(has)) for has in found[index.table])

    return [
        replace(index, partitioned=tables[index.table][0])
        for index in needed(sources)
        if index.table in tables and lacks(index)
    ]
