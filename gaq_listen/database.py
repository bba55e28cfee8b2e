"""How a connection to PostgreSQL is made, and what goes wrong with it, said in a sentence."""

import os
import re
from typing import Any

import psycopg
from psycopg import Connection, conninfo
from psycopg.rows import TupleRow

from gaq_listen.dba.scripts import VERSION
from gaq_listen.errors import BadSetting, DatabaseUnreachable, GaqListenError, NotInstalled
from gaq_listen.line import ROUND_TRIP, Line

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

    Raises:
        BadSetting: it is no connection string or URL.
    """
    try:
        given: dict[str, Any] = conninfo.conninfo_to_dict(dsn)
    except psycopg.ProgrammingError as error:
        # libpq's message may repeat the string, and with it a password.
        raise BadSetting(
            "the --dsn is not a PostgreSQL connection string or URL; "
            "write postgresql://user@host/dbname or 'host=… dbname=…'"
        ) from error.with_traceback(None)
    for name, (variable, value) in _NETWORK.items():
        if variable is None or variable not in os.environ:
            given.setdefault(name, value)
    if "PGAPPNAME" not in os.environ:
        given.setdefault("application_name", application_name)
    return given


def sentence(error: BaseException) -> str:
    """The first line of an error of PostgreSQL or libpq: what it is, without the context.

    Of several hosts that were tried, what each said: the last need not be the one that matters.
    """
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        return error.diag.message_primary
    text = str(error)
    said = re.findall(r"^- .*?': (.*)$", text, re.MULTILINE) or text.strip().splitlines()[:1]
    bare = (words.removeprefix("connection failed: ").removeprefix("connection is bad: ") for words in said)
    return "; ".join(dict.fromkeys(bare)) or type(error).__name__


def unreachable(error: BaseException) -> DatabaseUnreachable:
    """Why no connection could be made."""
    return DatabaseUnreachable(f"cannot connect to PostgreSQL: {sentence(error)}")


# Whatever is configured for the role, a worker that waits is not idle for too long.
_SESSION = """
set default_transaction_isolation = 'read committed'; set timezone = 'UTC';
set idle_session_timeout = 0; set statement_timeout = 0
"""
# The other side of a half-open connection: a server that does not notice keeps what a worker that has gone had locked.
_WATCH = """
select set_config('tcp_keepalives_idle', greatest(1, %(idle)s)::text, false),
       set_config('tcp_keepalives_interval', '2', false), set_config('tcp_keepalives_count', '3', false),
       set_config('tcp_user_timeout', %(unheard)s::text, false)
"""


async def connect(dsn: str, application_name: str, round_trip: float = ROUND_TRIP) -> Line:
    """An autocommit connection: every statement is a READ COMMITTED transaction of its own.

    Statements are never prepared by the client: a plan made while there were few marks would outlive that.
    ``round_trip``: seconds after which a server that does not answer counts as gone.

    Raises:
        BadSetting: the DSN is no connection string.
        psycopg.OperationalError: no connection could be made.
    """
    connection = await Line.connect(**parameters(dsn, application_name), autocommit=True, prepare_threshold=None)
    connection.round_trip = round_trip
    try:
        async with connection.answering():
            await connection.execute(_SESSION)
            await connection.execute(_WATCH, {"idle": round(round_trip), "unheard": round(round_trip * 2000)})
    except BaseException:
        await connection.close()
        raise
    return connection


_LIMITS = """
select set_config('statement_timeout', %(batch)s, false), set_config('lock_timeout', %(lock)s, false),
       set_config('idle_in_transaction_session_timeout', %(batch)s, false)
"""
_LOCK_TIMEOUT = 5.0


async def is_standby(connection: Line) -> bool:
    """Whether the server replays what another one does, and takes no changes."""
    async with connection.answering():
        (found,) = await (await connection.execute("select pg_is_in_recovery()")).fetchall()
    return bool(found[0])


async def limit_session(connection: Line, statement_timeout: float) -> None:
    """Has the server end what takes too long, in seconds, and let go of what a worker holds that has gone or hangs."""
    limits = {
        "batch": f"{round(statement_timeout * 1000)}",
        "lock": f"{round(min(_LOCK_TIMEOUT, statement_timeout / 2) * 1000)}",
    }
    async with connection.answering():
        await connection.execute(_LIMITS, limits)


def connect_now(dsn: str, application_name: str) -> Connection[TupleRow]:
    """The same for a command that asks a few questions, without asyncio.

    Raises:
        BadSetting: the DSN is no connection string.
        DatabaseUnreachable: no connection could be made; the message says why.
    """
    try:
        connection = psycopg.connect(**parameters(dsn, application_name), autocommit=True, prepare_threshold=None)
        connection.execute(_SESSION)
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


async def require_installed_async(connection: Line) -> None:
    """The same for a worker."""
    async with connection.answering():
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
    if found < VERSION:
        raise NotInstalled(
            f"database {name!r} has version {found} of gaq-listen's SQL, this program needs {VERSION}; "
            "run: gaq-listen install"
        )
    if found > VERSION:
        raise NotInstalled(
            f"database {name!r} has version {found} of gaq-listen's SQL, newer than this program's {VERSION}; "
            "upgrade the program"
        )


def explained(error: psycopg.Error) -> GaqListenError:
    """Any other error of the database, as a sentence."""
    return GaqListenError(f"the database refused: {with_hint(error)}")


def with_hint(error: BaseException) -> str:
    """What it is, and what to do about it if that is known."""
    hint = error.diag.message_hint if isinstance(error, psycopg.Error) else None
    if isinstance(error, psycopg.errors.InsufficientPrivilege) and not hint:
        hint = "a worker's role needs GRANT gaq_worker, a reader's GRANT gaq_reader; to install, be a superuser"
    return sentence(error) + (f" ({hint})" if hint else "")
