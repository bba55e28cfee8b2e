"""Applies the scripts step by step, each a transaction, and waits politely for locks."""

from collections.abc import Callable, Mapping, Sequence

import psycopg
from psycopg import Connection, sql
from psycopg.rows import TupleRow, dict_row
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_fixed

from gaq_listen.db.sessions import explained_errors
from gaq_listen.dba import plan
from gaq_listen.dba import sources as sources_
from gaq_listen.dba.plan_queries import Row
from gaq_listen.dba.plan_surroundings import EVENT_TRIGGERS, remedy
from gaq_listen.dba.plan_view import Obstacle
from gaq_listen.dba.scripts import ATTEMPTS, LOCK_TIMEOUT, Step, steps
from gaq_listen.errors import GaqListenError

PAUSE = 1.0
"""Seconds between two attempts: writers that were held up go on in the meantime."""

Tell = Callable[[str], None]

_MARKED_TABLES = """
select tgrelid::regclass::text, array_agg(tgname::text order by tgname)
from pg_trigger join pg_proc on pg_proc.oid = tgfoid
where pronamespace = to_regnamespace('gaq') and tgparentid = 0
group by tgrelid order by 1
"""

_TABLES_WITH_TRIGGERS = """
select tgrelid::regclass::text, array_agg(tgname::text order by tgname)
from pg_trigger join pg_proc on pg_proc.oid = tgfoid join pg_class on pg_class.oid = tgrelid
where pronamespace = to_regnamespace('gaq') and tgparentid = 0 and relkind in ('r', 'p')
group by tgrelid order by 1
"""

_ROLES_LEFT = """
select rolname::text from pg_roles where rolname in ('gaq_owner', 'gaq_worker', 'gaq_reader') order by 1
"""

_TAKEN_OVER = """
select exists (select from pg_class where relnamespace = to_regnamespace('gaq') and relname = 'original_summaries')
"""


def install(
    connection: Connection[TupleRow],
    source_schema: str | None = None,
    lock_timeout: float = LOCK_TIMEOUT,
    tell: Tell = lambda _: None,
    sources: str | None = None,
) -> None:
    """Installs gaq-listen beside the source tables, or brings it up to date from any earlier version.

    Without ``sources`` or ``source_schema``: those that it was installed with before, else those of the reference, in
    schema ``public``. The connection must be in autocommit.

    Raises:
        GaqListenError: something that the plan names is in the way; nothing was changed. Or a step failed.
    """
    planned = plan.make(connection, source_schema, sources, measure=False)
    _refuse_obstacles(planned.blockers)
    schema = sources_.schema(connection, source_schema)
    with_ = sources_.chosen(connection, sources)
    settings = {"gaq.source_schema": schema, "gaq.keep_bindings": "on" if planned.kept else "off"}
    if planned.kept:
        tell("source tables or columns have other names than before, and are read as before")
    for step in with_.steps():
        if planned.kept and step.title.startswith(f"{with_.file}.sql"):
            continue
        tell(f"applying {step.title}")
        _apply(connection, step, lock_timeout, tell, settings)


def _refuse_obstacles(obstacles: Sequence[Obstacle]) -> None:
    if obstacles:
        what = "; ".join(f"{obstacle.what}. {obstacle.remedy}" for obstacle in obstacles)
        raise GaqListenError(f"nothing was changed, for this is in the way: {what}")


def detach(connection: Connection[TupleRow], lock_timeout: float = LOCK_TIMEOUT, tell: Tell = lambda _: None) -> None:
    """Take away all that depends on source tables, one table at a time; summaries, marks and gaq_summaries stay.

    The connection must be in autocommit. It can be repeated.

    Raises:
        GaqListenError: a step failed; the next call, or an installation, goes on from there.
    """
    beginning, marking, _, unbinding = steps("detach")
    for step in (beginning, marking):
        tell(f"applying {step.title}")
        _apply(connection, step, lock_timeout, tell)
    _drop_triggers(connection, _TABLES_WITH_TRIGGERS, lock_timeout, tell)
    tell(f"applying {unbinding.title}")
    _apply(connection, unbinding, lock_timeout, tell)


def _drop_triggers(connection: Connection[TupleRow], query: str, lock_timeout: float, tell: Tell) -> None:
    """Drop the triggers that the query names, a table a transaction."""
    for table, triggers in connection.execute(query.encode()).fetchall():
        tell(f"dropping triggers on {table}")
        # The name comes quoted from the server.
        drops = "".join(f'drop trigger "{trigger}" on {table};' for trigger in triggers)
        _apply(connection, Step(f"drop triggers on {table}", drops), lock_timeout, tell)


def uninstall(
    connection: Connection[TupleRow],
    lock_timeout: float = LOCK_TIMEOUT,
    tell: Tell = lambda _: None,
    drop_dependents: bool = False,
) -> None:
    """Removes everything of ours, one table at a time; does nothing where nothing is installed.

    ``drop_dependents``: and what others have built on it, such as views that read gaq_summaries.

    Raises:
        GaqListenError: others have built on it, and nothing was changed. Or a step failed.
    """
    ((taken_over,),) = connection.execute(_TAKEN_OVER).fetchall()
    settings = {"gaq.drop_dependents": "on" if drop_dependents else "off"}
    check, *removal = steps("uninstall")
    _apply(connection, check, lock_timeout, tell, settings)
    _drop_triggers(connection, _MARKED_TABLES, lock_timeout, tell)
    for step in removal:
        tell(f"applying {step.title}")
        _apply(connection, step, lock_timeout, tell, settings)
    if left := [name for (name,) in connection.execute(_ROLES_LEFT).fetchall()]:
        tell(
            f"roles that stay, because somebody was given them, another database uses them, or this role may not drop "
            f"them: {', '.join(left)}"
        )
    if taken_over:
        tell(
            "gaq_summaries is the table again that was taken over, as it was then; to have it computed anew: "
            "UPDATE gaq_summaries SET invalidated_at = now();"
        )


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

    configured = {
        "lock_timeout": f"{max(1, round(lock_timeout * 1000))}ms",
        "client_min_messages": "warning",
        **(settings or {}),
    }
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
    except psycopg.errors.InsufficientPrivilege as error:
        for trigger in _event_triggers_at_fault(connection, error):
            error.add_note(f"the event trigger {trigger['name']} did this, as the role that creates: {remedy(trigger)}")
        if not hasattr(error, "__notes__"):
            error.add_note("gaq-listen install --plan tells which rights an installation needs")
        raise explained_errors(error) from error
    except psycopg.Error as error:
        raise explained_errors(error) from error


def _event_triggers_at_fault(connection: Connection[TupleRow], error: psycopg.Error) -> list[Row]:
    """Return the event triggers whose functions the error's context names."""
    with connection.cursor(row_factory=dict_row) as cursor:
        triggers = cursor.execute(EVENT_TRIGGERS).fetchall()
    return [trigger for trigger in triggers if trigger["proname"] in (error.diag.context or "")]
