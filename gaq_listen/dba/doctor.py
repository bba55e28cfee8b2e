"""Run all checks of an installation, one after the other. Each only reads, and waits only a short time for a lock."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import psycopg
from psycopg import Connection
from psycopg.rows import TupleRow

from gaq_listen.db.server_errors import sentence
from gaq_listen.dba import catalog
from gaq_listen.dba.checks import (
    backlog,
    installed_objects,
    notifications,
    rights,
    swapped_tables,
    unseen_changes,
    vacuum,
)
from gaq_listen.dba.checks.finding import INSTALL, Finding
from gaq_listen.dba.checks.unseen_changes import TABLE_CHECKS, TableCheck, installed_tables
from gaq_listen.dba.owner_membership import owner_membership

Check = Callable[[Connection[TupleRow]], list[Finding]]


def _of_installed_tables(check: TableCheck, connection: Connection[TupleRow]) -> list[Finding]:
    return check(connection, installed_tables(connection))


RECORD_CHECKS: Mapping[str, Check] = {
    "source tables": swapped_tables.swapped,
    "installed objects": installed_objects.changed,
}
"""The checks that compare the database with the record of the last installation. The plan runs them, too."""

CHECKS: Mapping[str, Check] = {
    **RECORD_CHECKS,
    "owners": installed_objects.owners,
    "objects attached to our tables": installed_objects.attached,
    "rights given": rights.given,
    "rights needed": rights.needed,
    "rights on the source tables": rights.on_sources,
    **{name: partial(_of_installed_tables, check) for name, check in TABLE_CHECKS.items()},
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
    "the right to see other sessions": notifications.sight,
}
"""All checks, by the name that a report gives them."""

_DETACHED = "whether gaq-listen is detached"

LOCK_TIMEOUT = 3.0
"""Seconds that a check waits for a lock."""

# The transaction can only read. With this search_path, PostgreSQL writes each name with its schema.
_SESSION = """
select set_config('transaction_read_only', 'on', true), set_config('search_path', 'pg_catalog, pg_temp', true),
       set_config('lock_timeout', %s, true)
"""

_SUMMARIES = re.compile(r"(?<![\w.])gaq_summaries(?!\w)")


def examine(connection: Connection[TupleRow], checks: Mapping[str, Check] = CHECKS) -> list[Finding]:
    """Run the checks, and return their findings. If gaq-listen is detached, return only that.

    Each check runs in a transaction that is rolled back. A check that lacks a right, or fails, is a finding, too.

    Raises:
        psycopg.OperationalError: The connection is lost.
    """
    findings = _run_check(connection, _DETACHED, swapped_tables.detached) or [
        finding for name, check in checks.items() for finding in _run_check(connection, name, check)
    ]
    view = _summaries_view(connection) if any(_SUMMARIES.search(finding.fix) for finding in findings) else None
    if view is None:
        return findings
    # The schema of gaq_summaries need not be on the search path of the DBA.
    return [replace(finding, fix=_SUMMARIES.sub(lambda _: view, finding.fix)) for finding in findings]


def _summaries_view(connection: Connection[TupleRow]) -> str | None:
    with connection.transaction(force_rollback=True):
        _prepare(connection)
        return catalog.summaries_view(connection)


def _run_check(connection: Connection[TupleRow], name: str, check: Check) -> list[Finding]:
    try:
        with connection.transaction(force_rollback=True):
            _prepare(connection)
            return check(connection)
    except psycopg.errors.InsufficientPrivilege as error:
        membership = owner_membership(connection)
        fix = "run gaq-listen doctor as a superuser, or as a member of gaq_owner and pg_monitor"
        if membership.is_member and not membership.has_rights_of_owner:
            fix = f"{membership.fix}; then gaq-listen doctor"
        why = "this role lacks a right that the check needs"
        return [Finding(f"could not check {name}: {sentence(error)}", why, fix, "note")]
    except psycopg.Error as error:
        if connection.closed:
            raise
        why = "an object that the check reads differs from the installed one, or another session has locked it"
        return [Finding(f"could not check {name}: {sentence(error)}", why, f"{INSTALL}; then gaq-listen doctor")]


def _prepare(connection: Connection[TupleRow]) -> None:
    connection.execute(_SESSION, (f"{LOCK_TIMEOUT * 1000:.0f}ms",))
