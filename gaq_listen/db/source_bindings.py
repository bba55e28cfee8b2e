"""Check whether the source tables and columns are still those that gaq-listen was installed for."""

from collections.abc import Iterable

from psycopg import Connection
from psycopg.rows import TupleRow

SOURCE_CHANGES = "select kind, what from gaq.source_changes()"
"""A query for a kind and a sentence for each change of the source tables that makes values wrong."""

FIX = "gaq-listen install"
"""The command that fixes each change: it binds anew, and marks every pair."""

DETACHED = "detached"
"""The kind of change after ``gaq-listen detach``."""
TRIGGER = "trigger"
"""The kind of change that is about a trigger."""


def source_changes(connection: Connection[TupleRow]) -> list[tuple[str, str]]:
    """Return a kind and a sentence for each change of the source tables that makes values wrong."""
    return [(kind, what) for kind, what in connection.execute(SOURCE_CHANGES).fetchall()]


# An earlier version lacks the functions, and a role without rights in schema gaq cannot call them.
_CAN_COMPARE = """
select count(*) = 2
       and bool_and(has_schema_privilege(n.oid, 'USAGE') and has_function_privilege(p.oid, 'EXECUTE'))
from pg_catalog.pg_proc p
join pg_catalog.pg_namespace n on n.oid = pronamespace
where nspname = 'gaq' and proname in ('renamed_sources', 'source_changes')
"""

_KEPT = """
select (select version from gaq.installation) = %s
       and exists (select from gaq.renamed_sources())
       and not exists (select from gaq.source_changes())
"""


def is_rename_only(connection: Connection[TupleRow], version: int) -> bool:
    """Return whether the only changes are renames, and the installed SQL has this version.

    Views and accessors follow a rename. A sources file does not, because it has the names of before.
    """
    if connection.execute(_CAN_COMPARE).fetchall() != [(True,)]:
        return False
    return connection.execute(_KEPT, (version,)).fetchall() == [(True,)]


def alarm(changes: Iterable[str]) -> str:
    """Join the sentences about changes to one, and add the command that fixes them."""
    return f"{'; '.join(changes)}; run: {FIX}"
