"""Whether what is read is what was installed for: tables that were swapped, and what a crash would empty."""

from psycopg import Connection
from psycopg.rows import TupleRow

from gaq_listen.db import source_bindings
from gaq_listen.dba.checks import marked_tables
from gaq_listen.dba.checks.finding import REPAIR, Finding

_UNLOGGED = """
select oid::regclass::text from pg_catalog.pg_class where oid = any (%s) and relpersistence = 'u' order by 1
"""


def detached(connection: Connection[TupleRow]) -> list[Finding]:
    """Return a finding if gaq-listen is detached; then most other checks would find that, too."""
    return [
        _finding(what) for kind, what in source_bindings.source_changes(connection) if kind == source_bindings.DETACHED
    ]


def changed(connection: Connection[TupleRow]) -> list[Finding]:
    """Return a finding for each table or column that was swapped. A rename does no harm, and is none."""
    return [
        _finding(what)
        for kind, what in source_bindings.source_changes(connection)
        if kind not in (source_bindings.TRIGGER, source_bindings.DETACHED)
    ]


def _finding(what: str) -> Finding:
    why = "what is shown may be wrong, and changes go unseen; an installation binds anew and marks everything"
    return Finding(what, why, source_bindings.FIX)


def unlogged(connection: Connection[TupleRow]) -> list[Finding]:
    """Return a finding for each source table that a crash empties: nothing would be marked then."""
    return [
        Finding(
            f"{table} is UNLOGGED",
            f"a crash of the server empties it, and nothing is marked; after one: {REPAIR}",
            f"ALTER TABLE {table} SET LOGGED;",
            "warning",
        )
        for (table,) in connection.execute(_UNLOGGED, (marked_tables.family(connection),)).fetchall()
    ]
