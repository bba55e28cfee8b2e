"""Check whether gaq-listen is detached, and whether it reads the tables and columns that it was installed for."""

from psycopg import Connection
from psycopg.rows import TupleRow

from gaq_listen.db import source_bindings
from gaq_listen.dba.checks.finding import Finding


def detached(connection: Connection[TupleRow]) -> list[Finding]:
    """Return a finding if gaq-listen is detached. Most other checks would then find consequences of that."""
    return [
        _finding(what) for kind, what in source_bindings.source_changes(connection) if kind == source_bindings.DETACHED
    ]


def swapped(connection: Connection[TupleRow]) -> list[Finding]:
    """Return a finding for each table or column that was swapped. A rename does no harm, and is not a finding."""
    return [
        _finding(what)
        for kind, what in source_bindings.source_changes(connection)
        if kind not in (source_bindings.TRIGGER, source_bindings.DETACHED)
    ]


def _finding(what: str) -> Finding:
    why = "summaries may be wrong, and triggers miss changes, until an installation binds anew and marks everything"
    return Finding(what, why, source_bindings.FIX)
