"""All checks, one after the other; each only reads, and none waits long for a lock."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from gaq_listen.db.server_errors import sentence
from gaq_listen.dba.checks import (
    backlog,
    installed_objects,
    notifications,
    rights,
    source_tables,
    unseen_changes,
    vacuum,
)
from gaq_listen.dba.checks.finding import INSTALL, Finding

CHECKS: Mapping[str, Callable[[Connection[TupleRow]], list[Finding]]] = {
    "source tables": source_tables.changed,
    "unlogged tables": source_tables.unlogged,
    "installed objects": installed_objects.changed,
    "owners": installed_objects.owners,
    "things attached to our tables": installed_objects.attached,
    "rights given": rights.given,
    "rights needed": rights.needed,
    "rights on the source tables": rights.on_sources,
    "row-level security": unseen_changes.row_security,
    "virtual columns": unseen_changes.virtual_columns,
    "subscriptions": unseen_changes.subscriptions,
    "partitions and inheritance": unseen_changes.inheritance,
    "publications": unseen_changes.publications,
    "indexes": backlog.unindexed,
    "triggers of the application": backlog.triggers_of_the_application,
    "stale pairs": backlog.stale,
    "pairs without a mark": backlog.unmarked,
    "autovacuum": vacuum.autovacuum,
    "dead rows": vacuum.dead_rows,
    "open transactions": vacuum.idle_in_transaction,
    "prepared transactions": vacuum.prepared,
    "the notification queue": notifications.queue,
    "the doorbell": notifications.doorbell,
    "what may be seen of other sessions": notifications.sight,
}
"""What is looked at, by the name under which it is told."""

_DETACHED = "whether gaq-listen is detached"

LOCK_TIMEOUT = 3.0
"""Seconds that a check waits for a lock."""

# What it reads cannot be altered meanwhile; and names are told with their schema.
_CAREFULLY = """
select set_config('transaction_read_only', 'on', true), set_config('search_path', 'pg_catalog, pg_temp', true),
       set_config('lock_timeout', %s, true)
"""


_UPDATE = "UPDATE gaq_summaries "
_VIEW = """
select c.oid::regclass::text from pg_catalog.pg_trigger join pg_catalog.pg_class c on c.oid = tgrelid
where tgfoid = to_regprocedure('gaq.request()') and relkind = 'v'
"""


def examine(connection: Connection[TupleRow]) -> list[Finding]:
    """Looks at everything. What could not be looked at is a finding, too.

    Raises:
        psycopg.OperationalError: the connection is lost.
    """
    findings = _look(connection, _DETACHED, source_tables.detached) or [
        finding for name, check in CHECKS.items() for finding in _look(connection, name, check)
    ]
    return [replace(finding, fix=_qualified(connection, finding.fix)) for finding in findings]


def _qualified(connection: Connection[TupleRow], fix: str) -> str:
    """Return the command with the schema of gaq_summaries, which need not be on the search path."""
    if _UPDATE not in fix:
        return fix
    with connection.transaction(force_rollback=True):
        connection.execute(_CAREFULLY, (f"{LOCK_TIMEOUT * 1000:.0f}ms",))
        views = connection.execute(_VIEW).fetchall()
    return fix.replace(_UPDATE, f"UPDATE {views[0][0]} ") if len(views) == 1 else fix


def _look(
    connection: Connection[TupleRow], name: str, check: Callable[[Connection[TupleRow]], list[Finding]]
) -> list[Finding]:
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(_CAREFULLY, (f"{LOCK_TIMEOUT * 1000:.0f}ms",))
            return check(connection)
    except psycopg.errors.InsufficientPrivilege as error:
        fix = "run gaq-listen doctor as a superuser, or as a member of gaq_owner and pg_monitor"
        return [Finding(f"could not look at {name}: {sentence(error)}", "this role may not", fix, "note")]
    except psycopg.Error as error:
        if connection.closed:
            raise
        why = "something that is read for it is not as installed, or is locked"
        return [Finding(f"could not look at {name}: {sentence(error)}", why, f"{INSTALL}; then gaq-listen doctor")]
