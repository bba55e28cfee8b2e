"""Explain a missing right: ask the server what the role was given, and say what is still missing."""

from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import Connection
from psycopg.pq import TransactionStatus

from gaq_listen.db.connection import AbortableConnection

OPTIONS_SINCE = 160000
"""``server_version_num`` of the first PostgreSQL in which each membership says whether the member inherits."""

# A member of a role may not inherit its rights. Since PostgreSQL 16 the membership says so, and before, the member.
_FACTS = """
select quote_ident(current_user), current_setting('server_version_num')::int,
       array(select rolname::text from pg_catalog.pg_roles
             where rolname in ('gaq_worker', 'gaq_reader', 'gaq_owner') and pg_has_role(oid, 'member')),
       array(select rolname::text from pg_catalog.pg_roles
             where rolname in ('gaq_worker', 'gaq_reader', 'gaq_owner') and pg_has_role(oid, 'usage')),
       (select count(*) from pg_catalog.pg_roles where rolname in ('gaq_worker', 'gaq_reader'))
"""


@dataclass(frozen=True, slots=True)
class RoleFacts:
    """Hold which of our roles a role is a member of, and whose rights it inherits.

    ``existing`` says how many of ``gaq_worker`` and ``gaq_reader`` the server has.
    """

    role: str
    server_version: int
    member_of: list[str]
    inherits: list[str]
    existing: int


def inheriting(name: str, role: str, server_version: int) -> str:
    """Return the statement that lets a member of one of our roles inherit its rights, and act as it if as gaq_owner.

    ``role`` is the member, written as in SQL.

    >>> inheriting("gaq_reader", "ops", 140000)
    'ALTER ROLE ops INHERIT'
    >>> inheriting("gaq_reader", "ops", 160000)
    'GRANT gaq_reader TO ops WITH INHERIT TRUE'
    """
    if server_version < OPTIONS_SINCE:
        return f"ALTER ROLE {role} INHERIT"
    return f"GRANT {name} TO {role} WITH INHERIT TRUE{', SET TRUE' if name == 'gaq_owner' else ''}"


def advice(facts: RoleFacts) -> str | None:
    """Return the statement that gives a role the rights that it lacks.

    Return None if it has all rights of gaq_worker or gaq_owner, or if gaq_worker or gaq_reader does not exist.

    >>> advice(RoleFacts("ops", 160000, [], [], 2))
    'for a worker or an operator: GRANT gaq_worker TO ops; for one who only reads: GRANT gaq_reader TO ops'
    """
    if facts.existing < 2 or {"gaq_worker", "gaq_owner"} & {*facts.inherits}:
        return None
    for name in ("gaq_worker", "gaq_reader", "gaq_owner"):
        if name in facts.member_of and name not in facts.inherits:
            fix = inheriting(name, facts.role, facts.server_version)
            return f"{facts.role} was given {name}, but does not inherit its rights: {fix}"
    if facts.member_of:
        return f"{facts.role} may only read; for a worker or an operator: GRANT gaq_worker TO {facts.role}"
    return (
        f"for a worker or an operator: GRANT gaq_worker TO {facts.role}; "
        f"for one who only reads: GRANT gaq_reader TO {facts.role}"
    )


def _advice_without_query(error: psycopg.Error) -> str | None:
    """Return advice that needs no query. The name of the server's function is the same in every language."""
    if error.diag.source_function == "check_enable_rls":
        return "row-level security hides rows of that table from gaq_owner: ALTER ROLE gaq_owner BYPASSRLS"
    return None


def add_advice(connection: Connection[Any], error: psycopg.Error) -> None:
    """Add a note to an error about a missing right: the statement that fixes it.

    Without a query if the connection is in a failed transaction.
    """
    note = _advice_without_query(error)
    if note is None and connection.info.transaction_status is TransactionStatus.IDLE:
        (row,) = connection.execute(_FACTS).fetchall()
        note = advice(RoleFacts(*row))
    if note:
        error.add_note(note)


async def add_advice_async(connection: AbortableConnection, error: psycopg.Error) -> None:
    """Add a note to an error about a missing right, as ``add_advice`` does, through an asynchronous connection."""
    note = _advice_without_query(error)
    if note is None and connection.info.transaction_status is TransactionStatus.IDLE:
        async with connection.deadline():
            (row,) = await (await connection.execute(_FACTS)).fetchall()
        note = advice(RoleFacts(*row))
    if note:
        error.add_note(note)
