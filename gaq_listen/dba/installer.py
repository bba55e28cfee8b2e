"""Applies the scripts: what ``psql -1 -f`` does with each, and waits politely for locks."""

from collections.abc import Callable

import psycopg
from psycopg import Connection, sql
from psycopg.rows import TupleRow
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_fixed,
)

from gaq_listen.database import explained
from gaq_listen.dba.scripts import INSTALL_SCRIPTS, script
from gaq_listen.errors import GaqListenError

LOCK_TIMEOUT = "3s"
"""How long a step may hold up the writers of a table while it waits for its lock."""
ATTEMPTS = 20
PAUSE = 1.0
"""Seconds between two attempts: writers that were held up go on in the meantime."""


def install(
    connection: Connection[TupleRow],
    source_schema: str = "public",
    tell: Callable[[str], None] = lambda _: None,
) -> None:
    """Installs gaq-listen beside the source tables, or brings it up to date; each script is one transaction.

    Raises:
        GaqListenError: a source table is missing, a right is, or a lock could not be had.
    """
    for name in INSTALL_SCRIPTS:
        tell(f"applying {name}.sql")
        apply(connection, script(name), {"gaq.source_schema": source_schema}, tell)


def uninstall(connection: Connection[TupleRow], tell: Callable[[str], None] = lambda _: None) -> None:
    """Removes triggers, view and schema; does nothing where nothing is installed.

    Raises:
        GaqListenError: a right is missing, or a lock could not be had.
    """
    tell("applying uninstall.sql")
    apply(connection, script("uninstall"), {}, tell)


def apply(
    connection: Connection[TupleRow],
    text: str,
    settings: dict[str, str],
    tell: Callable[[str], None],
) -> None:
    """Runs a script as one transaction; starts again when a lock is not to be had in time."""

    def say(state: RetryCallState) -> None:
        tell(
            f"  a table is locked by somebody's transaction; trying again in {PAUSE:g} s "
            f"({state.attempt_number} of {ATTEMPTS})"
        )

    try:
        for attempt in Retrying(
            retry=retry_if_exception_type(psycopg.errors.LockNotAvailable),
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_fixed(PAUSE),
            before_sleep=say,
            reraise=True,
        ):
            with attempt, connection.transaction():
                for setting, value in ({"lock_timeout": LOCK_TIMEOUT} | settings).items():
                    connection.execute(sql.SQL("select set_config({}, {}, true)").format(setting, value))
                connection.execute(text.encode())
    except psycopg.errors.LockNotAvailable as error:
        raise GaqListenError(
            f"a table stayed locked through {ATTEMPTS} attempts; nothing was changed by this step. "
            "Try again when long transactions have ended (see pg_stat_activity)"
        ) from error
    except psycopg.errors.UndefinedTable as error:
        raise GaqListenError(
            f"{error.diag.message_primary}: the source tables are looked for in one schema "
            "(--source-schema), under the names in sql/20_sources.sql; "
            "'gaq-listen sql reference_tables' prints the shape they should have"
        ) from error
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        raise explained(error) from error
