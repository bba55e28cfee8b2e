"""Applies the scripts step by step, each a transaction, and waits politely for locks."""

from collections.abc import Callable, Mapping

import psycopg
from psycopg import Connection, sql
from psycopg.rows import TupleRow
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_fixed

from gaq_listen.database import explained
from gaq_listen.dba import sources as sources_
from gaq_listen.dba.plan_queries import unfit_columns
from gaq_listen.dba.plan_wanted import wanted
from gaq_listen.dba.scripts import Step, steps
from gaq_listen.errors import GaqListenError

LOCK_TIMEOUT = 3.0
"""Seconds that a step may hold up the writers of a table while it waits for its lock."""
ATTEMPTS = 20
PAUSE = 1.0
"""Seconds between two attempts: writers that were held up go on in the meantime."""

Tell = Callable[[str], None]

_MARKED_TABLES = """
select tgrelid::regclass::text, array_agg(tgname::text order by tgname)
from pg_trigger join pg_proc on pg_proc.oid = tgfoid
where pronamespace = to_regnamespace('gaq') and tgparentid = 0
group by tgrelid order by 1
"""

_TAKEN_OVER = """
select exists (select from pg_class where relnamespace = to_regnamespace('gaq') and relname = 'original_summaries')
"""


def install(
    connection: Connection[TupleRow],
    source_schema: str = "public",
    lock_timeout: float = LOCK_TIMEOUT,
    tell: Tell = lambda _: None,
    sources: str | None = None,
) -> None:
    """Installs gaq-listen beside the source tables, or brings it up to date from any earlier version.

    Without ``sources``: those that it was installed with before, else those of the reference.

    Raises:
        GaqListenError: a source table or a right is missing, a lock could not be had, or it was installed with others.
    """
    chosen = sources_.chosen(connection, sources)
    _refuse_unfit_columns(connection, source_schema, chosen)
    for step in chosen.steps():
        tell(f"applying {step.title}")
        _apply(connection, step, lock_timeout, tell, {"gaq.source_schema": source_schema})


def uninstall(
    connection: Connection[TupleRow],
    lock_timeout: float = LOCK_TIMEOUT,
    tell: Tell = lambda _: None,
) -> None:
    """Removes everything of ours, one table at a time; does nothing where nothing is installed.

    Raises:
        GaqListenError: a right is missing, or a lock could not be had.
    """
    ((taken_over,),) = connection.execute(_TAKEN_OVER).fetchall()
    for table, triggers in connection.execute(_MARKED_TABLES).fetchall():
        tell(f"dropping triggers on {table}")
        # The name comes quoted from the server.
        drops = "".join(f'drop trigger "{trigger}" on {table};' for trigger in triggers)
        _apply(connection, Step(f"drop triggers on {table}", drops), lock_timeout, tell)
    for step in steps("uninstall"):
        tell(f"applying {step.title}")
        _apply(connection, step, lock_timeout, tell)
    if taken_over:
        tell(
            "gaq_summaries is the table again that was taken over, as it was then; to have it computed anew: "
            "UPDATE gaq_summaries SET invalidated_at = now();"
        )


def _refuse_unfit_columns(connection: Connection[TupleRow], source_schema: str, sources: sources_.Sources) -> None:
    with connection.transaction(force_rollback=True):
        connection.execute("select set_config('search_path', quote_ident(%s), true)", (source_schema,))
        if unfit := unfit_columns(connection, wanted(sources).types):
            raise GaqListenError(f"{'; '.join(unfit)}. Nothing was changed. See also: gaq-listen install --plan")


def _apply(
    connection: Connection[TupleRow],
    step: Step,
    lock_timeout: float,
    tell: Tell,
    settings: Mapping[str, str] | None = None,
) -> None:
    """Runs a step as one transaction; starts it again when a lock is not to be had in time."""

    def say(state: RetryCallState) -> None:
        attempt = f"{state.attempt_number} of {ATTEMPTS}"
        tell(f"  somebody's transaction has locked the table; trying again in {PAUSE:g} s ({attempt})")

    configured = {"lock_timeout": f"{max(1, round(lock_timeout * 1000))}ms", **(settings or {})}
    try:
        for attempt in Retrying(
            retry=retry_if_exception_type((psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)),
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_fixed(PAUSE),
            before_sleep=say,
            reraise=True,
        ):
            with attempt, connection.transaction():
                for setting, value in configured.items():
                    connection.execute(sql.SQL("select set_config({}, {}, true)").format(setting, value))
                connection.execute(step.text.encode())
    except psycopg.errors.LockNotAvailable as error:
        raise GaqListenError(
            f"{step.title}: the table stayed locked through {ATTEMPTS} attempts; this step changed nothing. "
            "Try again when long transactions have ended: gaq-listen install --plan shows them"
        ) from error
    except psycopg.errors.UndefinedTable as error:
        raise GaqListenError(
            f"{error.diag.message_primary}: the source tables are looked for in one schema "
            "(--source-schema), under the names in sql/20_sources.sql, or in those that --sources names; "
            "'gaq-listen sql reference_tables' prints the shape they should have"
        ) from error
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        raise explained(error) from error
