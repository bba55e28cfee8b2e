"""Explain a missing right: ask the server what the role was given, and say what is still missing."""

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import Connection
from psycopg.pq import TransactionStatus

from gaq_listen.db.connection import AbortableConnection

# A member need not inherit the rights: since PostgreSQL 16 each membership says whether it does, before that the role.
_FACTS = """
select quote_ident(current_user), current_setting('server_version_num')::int,
       array(select rolname::text from pg_catalog.pg_roles
             where rolname in ('gaq_worker', 'gaq_reader') and pg_has_role(oid, 'member')),
       array(select rolname::text from pg_catalog.pg_roles
             where rolname in ('gaq_worker', 'gaq_reader') and pg_has_role(oid, 'usage')),
       (select count(*) from pg_catalog.pg_roles where rolname in ('gaq_worker', 'gaq_reader'))
"""


@dataclass(frozen=True, slots=True)
class RoleFacts:
    """Which of ``gaq_worker`` and ``gaq_reader`` a role was ``given``, and which of them it has ``inherited``."""

    role: str
    server_version: int
    given: list[str]
    inherited: list[str]
    existing: int


def advice(facts: RoleFacts) -> str | None:
    """Return which statement gives the role what it lacks; None when it has all of gaq_worker, or no such role exists.

    >>> advice(Facts("ops", 160000, [], [], 2))
    'for a worker or an operator: GRANT gaq_worker TO ops; for one who only reads: GRANT gaq_reader TO ops'
    """
    if facts.existing < 2 or "gaq_worker" in facts.inherited:
        return None
    for name in ("gaq_worker", "gaq_reader"):
        if name in facts.given and name not in facts.inherited:
            repair = (
                f"GRANT {name} TO {facts.role} WITH INHERIT TRUE"
                if facts.server_version >= 160000
                else f"ALTER ROLE {facts.role} INHERIT"
            )
            return f"{facts.role} was given {name}, but does not inherit its rights: {repair}"
    if facts.given:
        return f"{facts.role} may only read; for a worker or an operator: GRANT gaq_worker TO {facts.role}"
    return (
        f"for a worker or an operator: GRANT gaq_worker TO {facts.role}; "
        f"for one who only reads: GRANT gaq_reader TO {facts.role}"
    )


def _of_the_error(error: psycopg.Error) -> str | None:
    """Return what the error tells by itself. (The name of a function of the server is the same in every language.)"""
    if error.diag.source_function == "check_enable_rls":
        return "row-level security hides rows of that table from gaq_owner: ALTER ROLE gaq_owner BYPASSRLS"
    return None


def add_advice(connection: Connection[Any], error: psycopg.Error) -> None:
    """Add to a missing right, as a note, what to do about it. A connection in a failed transaction tells nothing."""
    said = _of_the_error(error)
    if said is None and connection.info.transaction_status is TransactionStatus.IDLE:
        (row,) = connection.execute(_FACTS).fetchall()
        said = advice(RoleFacts(*row))
    if said:
        error.add_note(said)


async def add_advice_async(connection: AbortableConnection, error: psycopg.Error) -> None:
    """Do the same for a worker."""
    said = _of_the_error(error)
    if said is None and connection.info.transaction_status is TransactionStatus.IDLE:
        async with connection.deadline():
            (row,) = await (await connection.execute(_FACTS)).fetchall()
        said = advice(RoleFacts(*row))
    if said:
        error.add_note(said)
