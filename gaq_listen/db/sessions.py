"""Connect to PostgreSQL: fix the settings of the session, check the installed version, and explain errors."""

import os
from typing import Any

import psycopg
from psycopg import Connection, conninfo
from psycopg.rows import TupleRow

from gaq_listen.db.connection import RESPONSE_TIMEOUT, AbortableConnection
from gaq_listen.db.server_errors import explain, is_lost, sentence
from gaq_listen.db.sql_ascii import read_any_text
from gaq_listen.errors import BadSetting, DatabaseUnreachable, GaqListenError, NotInstalled

SQL_VERSION = 5
"""The version of the SQL in schema ``gaq`` that this program installs and needs, as ``gaq.installation`` records it."""

# With these the kernel notices half-open connections: it probes idle ones, and limits the wait for acknowledgements.
_NETWORK = {
    "connect_timeout": ("PGCONNECT_TIMEOUT", 10),
    "keepalives_idle": (None, 5),
    "keepalives_interval": (None, 2),
    "keepalives_count": (None, 3),
    "tcp_user_timeout": (None, 10_000),
}


def parameters(dsn: str, application_name: str) -> dict[str, Any]:
    """Return the libpq parameters of a DSN, with defaults for those that neither the DSN nor the environment sets.

    Whitespace around the DSN is ignored, because files and secrets end with a newline.

    Raises:
        BadSetting: the DSN is not a connection string or URL.
    """
    try:
        given: dict[str, Any] = conninfo.conninfo_to_dict(dsn.strip())
    except psycopg.ProgrammingError as error:
        # The message of libpq may repeat the DSN, and with it a password.
        raise BadSetting(
            "the --dsn is not a PostgreSQL connection string or URL; "
            "write postgresql://user@host/dbname or 'host=… dbname=…'"
        ) from error.with_traceback(None)
    for name, (variable, value) in _NETWORK.items():
        if variable is None or variable not in os.environ:
            given.setdefault(name, value)
    given["client_encoding"] = "UTF8"
    if "PGAPPNAME" not in os.environ:
        given.setdefault("application_name", application_name)
    return given


def unreachable(error: BaseException, dsn: str | None = None) -> DatabaseUnreachable:
    """Return the error that says why no connection could be made, with this DSN if it is known."""
    nothing = "; neither --dsn nor GAQ_LISTEN_DSN names a server, so libpq's defaults or PG* variables did"
    chosen = nothing if dsn == "" else ""
    return DatabaseUnreachable(f"cannot connect to PostgreSQL: {sentence(error)}{chosen}")


# The settings of a session come from the server, the database, the role, the environment and the DSN. This query fixes
# those that change what a query reads or writes, and those that end what may take long. With lock_timeout, a command
# that waits for a lock fails with a sentence. pg_settings says which settings this version of the server has.
_FIX_SETTINGS = """
set statement_timeout = 0;
select set_config(name, wanted, false)
from (values
    ('client_encoding', case current_setting('server_encoding') when 'SQL_ASCII' then 'SQL_ASCII' else 'UTF8' end),
    ('DateStyle', 'ISO, MDY'), ('IntervalStyle', 'postgres'), ('TimeZone', 'UTC'), ('extra_float_digits', '1'),
    ('standard_conforming_strings', 'on'), ('quote_all_identifiers', 'off'),
    ('default_transaction_isolation', 'read committed'), ('default_transaction_read_only', 'off'),
    ('default_transaction_deferrable', 'off'),
    ('lock_timeout', '10s'), ('transaction_timeout', '0'), ('idle_session_timeout', '0'),
    ('idle_in_transaction_session_timeout', '0')
) fixed (name, wanted)
where exists (select from pg_catalog.pg_settings s where s.name = fixed.name)
"""
# The server notices a half-open connection, too. Else it would keep the locks of a worker that is gone.
_FIX_KEEPALIVES = """
select set_config('tcp_keepalives_idle', greatest(1, %(idle)s)::text, false),
       set_config('tcp_keepalives_interval', '2', false), set_config('tcp_keepalives_count', '3', false),
       set_config('tcp_user_timeout', %(unheard)s::text, false)
"""


async def connect(dsn: str, application_name: str, response_timeout: float = RESPONSE_TIMEOUT) -> AbortableConnection:
    """Open a connection on which every statement is a READ COMMITTED transaction of its own.

    ``response_timeout`` is the number of seconds within which the server answers a small query. psycopg never prepares
    a statement, because a plan that was made while there were few marks would stay.

    Raises:
        BadSetting: the DSN is not a connection string or URL.
        psycopg.OperationalError: no connection could be made.
    """
    connection = await AbortableConnection.connect(
        **parameters(dsn, application_name), autocommit=True, prepare_threshold=None
    )
    connection.response_timeout = response_timeout
    read_any_text(connection)
    try:
        async with connection.deadline():
            await connection.execute(_FIX_SETTINGS.encode())
            await connection.execute(
                _FIX_KEEPALIVES, {"idle": round(response_timeout), "unheard": round(response_timeout * 2000)}
            )
    except BaseException:
        await connection.close()
        raise
    return connection


_LIMITS = """
select set_config('statement_timeout', %(batch)s, false), set_config('lock_timeout', %(lock)s, false),
       set_config('idle_in_transaction_session_timeout', %(batch)s, false)
"""
_LOCK_TIMEOUT = 5.0
"""Longest time in seconds that a worker waits for a lock."""


async def is_standby(connection: AbortableConnection) -> bool:
    """Return whether the server is a standby, which accepts no changes."""
    async with connection.deadline():
        (found,) = await (await connection.execute("select pg_is_in_recovery()")).fetchall()
    return bool(found[0])


async def limit_session(connection: AbortableConnection, statement_timeout: float) -> None:
    """Let the server end statements after this many seconds, and transactions that are idle for as long.

    So the server frees the locks of a worker that is gone or hangs.
    """
    limits = {
        "batch": f"{round(statement_timeout * 1000)}",
        "lock": f"{round(min(_LOCK_TIMEOUT, statement_timeout / 2) * 1000)}",
    }
    async with connection.deadline():
        await connection.execute(_LIMITS, limits)


def connect_once(dsn: str, application_name: str) -> Connection[TupleRow]:
    """Open a connection for a command, without asyncio. Every statement is a transaction of its own.

    Raises:
        BadSetting: the DSN is not a connection string or URL.
        DatabaseUnreachable: no connection could be made; the message says why.
    """
    try:
        connection = psycopg.connect(**parameters(dsn, application_name), autocommit=True, prepare_threshold=None)
        read_any_text(connection)
        connection.execute(_FIX_SETTINGS.encode())
    except psycopg.OperationalError as error:
        raise unreachable(error, dsn) from error
    return connection


# Version 1 recorded no version, and its schema belonged to the role that had installed it.
_INSTALLED = """
select current_database(),
       exists (select from pg_catalog.pg_class where relnamespace = n.oid and relname = 'summaries'),
       to_regclass('gaq.installation'), pg_get_userbyid(nspowner) <> 'gaq_owner'
from (values ('gaq')) wanted left join pg_catalog.pg_namespace n on nspname = column1
"""
_VERSION = "select version from gaq.installation"


def require_installed(connection: Connection[TupleRow]) -> None:
    """Check that the database has the version of the SQL that this program needs.

    Raises:
        NotInstalled: the database has no schema ``gaq``, or another version. The message says what to do.
    """
    (found,) = connection.execute(_INSTALLED).fetchall()
    version = connection.execute(_VERSION).fetchall() if found[2] else []
    _check_version(found[0], found[1], version, found[3])


async def require_installed_async(connection: AbortableConnection) -> None:
    """Check the version, as ``require_installed`` does, through an asynchronous connection.

    Raises:
        NotInstalled: the database has no schema ``gaq``, or another version. The message says what to do.
    """
    async with connection.deadline():
        (found,) = await (await connection.execute(_INSTALLED)).fetchall()
        version = await (await connection.execute(_VERSION)).fetchall() if found[2] else []
    _check_version(found[0], found[1], version, found[3])


def _check_version(database: str, installed: bool, version: list[TupleRow], may_be_version_1: bool) -> None:
    if not installed:
        raise NotInstalled(f"gaq-listen is not installed in database {database!r}; run: gaq-listen install")
    if not version and not may_be_version_1:
        raise NotInstalled(
            f"gaq-listen is not installed in database {database!r}: an installation did not finish; "
            "run: gaq-listen install"
        )
    found = version[0][0] if version else 1
    if found < SQL_VERSION:
        raise NotInstalled(
            f"database {database!r} has version {found} of gaq-listen's SQL, this program needs {SQL_VERSION}; "
            "run: gaq-listen install"
        )
    if found > SQL_VERSION:
        raise NotInstalled(
            f"database {database!r} has version {found} of gaq-listen's SQL, newer than this program's {SQL_VERSION}; "
            "upgrade the program"
        )


def explained_errors(error: psycopg.Error | TimeoutError, dsn: str | None = None) -> GaqListenError:
    """Turn an error of the database into one that says in a sentence that the server is lost, or what it refuses.

    Give ``dsn`` if the error may be of the first connection.
    """
    if is_lost(error):
        return unreachable(error, dsn)
    return GaqListenError(f"the database refused: {explain(error)}")
