"""How a connection to PostgreSQL is made, and what goes wrong with it, said in a sentence."""

import os
from typing import Any

import psycopg
from psycopg import Connection, conninfo
from psycopg.rows import TupleRow

from gaq_listen.db.connection import RESPONSE_TIMEOUT, AbortableConnection
from gaq_listen.db.server_errors import explain, is_lost, sentence
from gaq_listen.db.sql_ascii import read_any_text
from gaq_listen.errors import BadSetting, DatabaseUnreachable, GaqListenError, NotInstalled

SQL_VERSION = 4
"""The version of the SQL in schema ``gaq`` that this program installs and needs, as ``gaq.installation`` records it."""

# Half-open connections are noticed by the kernel: probes while idle, a limit for what was sent and not acknowledged.
_NETWORK = {
    "connect_timeout": ("PGCONNECT_TIMEOUT", 10),
    "keepalives_idle": (None, 5),
    "keepalives_interval": (None, 2),
    "keepalives_count": (None, 3),
    "tcp_user_timeout": (None, 10_000),
}


def parameters(dsn: str, application_name: str) -> dict[str, Any]:
    """The libpq parameters of a DSN, with defaults for what neither it nor the environment sets.

    Whitespace around the DSN is not part of it: a file or a secret that holds one ends with a newline.

    Raises:
        BadSetting: it is no connection string or URL.
    """
    try:
        given: dict[str, Any] = conninfo.conninfo_to_dict(dsn.strip())
    except psycopg.ProgrammingError as error:
        # libpq's message may repeat the string, and with it a password.
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


def unreachable(error: BaseException) -> DatabaseUnreachable:
    """Why no connection could be made."""
    return DatabaseUnreachable(f"cannot connect to PostgreSQL: {sentence(error)}")


# A session's settings come from the server, the database, the role, the environment and the DSN. Fixed are those that
# change what is read or written, and those that end what may take its time. A command that waits for a lock says so
# after a while. (pg_settings tells which of them this version has.)
_SESSION = """
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
# The other side of a half-open connection: a server that does not notice keeps what a worker that has gone had locked.
_WATCH = """
select set_config('tcp_keepalives_idle', greatest(1, %(idle)s)::text, false),
       set_config('tcp_keepalives_interval', '2', false), set_config('tcp_keepalives_count', '3', false),
       set_config('tcp_user_timeout', %(unheard)s::text, false)
"""


async def connect(dsn: str, application_name: str, response_timeout: float = RESPONSE_TIMEOUT) -> AbortableConnection:
    """An autocommit connection: every statement is a READ COMMITTED transaction of its own.

    Statements are never prepared by the client: a plan made while there were few marks would outlive that.
    ``round_trip``: seconds after which a server that does not answer counts as gone.

    Raises:
        BadSetting: the DSN is no connection string.
        psycopg.OperationalError: no connection could be made.
    """
    connection = await AbortableConnection.connect(
        **parameters(dsn, application_name), autocommit=True, prepare_threshold=None
    )
    connection.response_timeout = response_timeout
    read_any_text(connection)
    try:
        async with connection.deadline():
            await connection.execute(_SESSION.encode())
            await connection.execute(
                _WATCH, {"idle": round(response_timeout), "unheard": round(response_timeout * 2000)}
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


async def is_standby(connection: AbortableConnection) -> bool:
    """Whether the server replays what another one does, and takes no changes."""
    async with connection.deadline():
        (found,) = await (await connection.execute("select pg_is_in_recovery()")).fetchall()
    return bool(found[0])


async def limit_session(connection: AbortableConnection, statement_timeout: float) -> None:
    """Has the server end what takes too long, in seconds, and let go of what a worker holds that has gone or hangs."""
    limits = {
        "batch": f"{round(statement_timeout * 1000)}",
        "lock": f"{round(min(_LOCK_TIMEOUT, statement_timeout / 2) * 1000)}",
    }
    async with connection.deadline():
        await connection.execute(_LIMITS, limits)


def connect_once(dsn: str, application_name: str) -> Connection[TupleRow]:
    """The same for a command that asks a few questions, without asyncio.

    Raises:
        BadSetting: the DSN is no connection string.
        DatabaseUnreachable: no connection could be made; the message says why.
    """
    try:
        connection = psycopg.connect(**parameters(dsn, application_name), autocommit=True, prepare_threshold=None)
        read_any_text(connection)
        connection.execute(_SESSION.encode())
    except psycopg.OperationalError as error:
        raise unreachable(error) from error
    return connection


# Version 1 recorded nothing, and its schema belonged to the role that had installed it.
_INSTALLED = """
select current_database(),
       exists (select from pg_catalog.pg_class where relnamespace = n.oid and relname = 'summaries'),
       to_regclass('gaq.installation'), pg_get_userbyid(nspowner) <> 'gaq_owner'
from (values ('gaq')) wanted left join pg_catalog.pg_namespace n on nspname = column1
"""
_VERSION = "select version from gaq.installation"


def require_installed(connection: Connection[TupleRow]) -> None:
    """Checks that the database has the version of gaq-listen that this program needs.

    Raises:
        NotInstalled: it has none, or another; the message says what to do.
    """
    (found,) = connection.execute(_INSTALLED).fetchall()
    version = connection.execute(_VERSION).fetchall() if found[2] else []
    _judge(found[0], found[1], version, found[3])


async def require_installed_async(connection: AbortableConnection) -> None:
    """The same for a worker."""
    async with connection.deadline():
        (found,) = await (await connection.execute(_INSTALLED)).fetchall()
        version = await (await connection.execute(_VERSION)).fetchall() if found[2] else []
    _judge(found[0], found[1], version, found[3])


def _judge(name: str, installed: bool, version: list[TupleRow], may_be_the_first: bool) -> None:
    if not installed:
        raise NotInstalled(f"gaq-listen is not installed in database {name!r}; run: gaq-listen install")
    if not version and not may_be_the_first:
        raise NotInstalled(
            f"gaq-listen is not installed in database {name!r}: an installation did not come to its end; "
            "run: gaq-listen install"
        )
    found = version[0][0] if version else 1
    if found < SQL_VERSION:
        raise NotInstalled(
            f"database {name!r} has version {found} of gaq-listen's SQL, this program needs {SQL_VERSION}; "
            "run: gaq-listen install"
        )
    if found > SQL_VERSION:
        raise NotInstalled(
            f"database {name!r} has version {found} of gaq-listen's SQL, newer than this program's {SQL_VERSION}; "
            "upgrade the program"
        )


def explained_errors(error: psycopg.Error | TimeoutError) -> GaqListenError:
    """Return an error of the database as one sentence: the server cannot be reached, or it refuses."""
    if is_lost(error):
        return unreachable(error)
    return GaqListenError(f"the database refused: {explain(error)}")
