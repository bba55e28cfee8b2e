"""How a connection to PostgreSQL is made, and what goes wrong with it, said in a sentence."""

import os
from typing import Any

import psycopg
from psycopg import AsyncConnection, conninfo
from psycopg.rows import TupleRow

from gaq_listen.errors import BadSetting, DatabaseUnreachable, GaqListenError, NotInstalled

CONNECTION_LOST = (psycopg.OperationalError, psycopg.InterfaceError, TimeoutError)
"""What a query raises when there is no use in going on with its connection."""

ROUND_TRIP = 10.0
"""Seconds that a small query may take before the connection counts as dead."""

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
    """The first line of an error of PostgreSQL or libpq: what it is, without the context."""
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        return error.diag.message_primary
    text = str(error).removeprefix("connection failed: ").removeprefix("connection is bad: ")
    return next(iter(text.strip().splitlines()), type(error).__name__)


def unreachable(error: BaseException) -> DatabaseUnreachable:
    """Why no connection could be made."""
    return DatabaseUnreachable(f"cannot connect to PostgreSQL: {sentence(error)}")


_SESSION = "set default_transaction_isolation = 'read committed'; set timezone = 'UTC'"


async def connect(dsn: str, application_name: str) -> AsyncConnection[TupleRow]:
    """An autocommit connection: every statement is a READ COMMITTED transaction of its own.

    Statements are never prepared by the client: a plan made while there were few marks would outlive that.

    Raises:
        BadSetting: the DSN is no connection string.
        psycopg.OperationalError: no connection could be made.
    """
    connection = await AsyncConnection.connect(
        **parameters(dsn, application_name), autocommit=True, prepare_threshold=None
    )
    try:
        await connection.execute(_SESSION)
    except BaseException:
        await connection.close()
        raise
    return connection


def connect_now(dsn: str, application_name: str) -> psycopg.Connection[TupleRow]:
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


INSTALLED = "select to_regproc('gaq.refresh') is not null, current_database()"
"""Asks whether gaq-listen is installed in the database."""


def require_installed(answer: tuple[Any, ...] | None) -> None:
    """Checks the answer to :data:`INSTALLED`.

    Raises:
        NotInstalled: it is not; the message says how to install it.
    """
    if answer is None or not answer[0]:
        name = answer[1] if answer else "?"
        raise NotInstalled(f"gaq-listen is not installed in database {name!r}; run: gaq-listen install")


def explained(error: psycopg.Error) -> GaqListenError:
    """Any other error of the database, as a sentence."""
    hint = f" ({error.diag.message_hint})" if error.diag.message_hint else ""
    return GaqListenError(f"the database refused: {sentence(error)}{hint}")
