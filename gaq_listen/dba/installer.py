"""Install, detach and uninstall gaq-listen step by step. Each step is one transaction."""

from collections.abc import Callable, Iterable, Mapping
from itertools import groupby

import psycopg
from psycopg import Connection, sql
from psycopg.rows import TupleRow, dict_row
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt, wait_fixed

from gaq_listen.db.sessions import explained_errors
from gaq_listen.dba import catalog
from gaq_listen.dba import sources as sources_
from gaq_listen.dba.checks.finding import Finding
from gaq_listen.dba.indexes import quoted
from gaq_listen.dba.manifest import ROLES
from gaq_listen.dba.owner_membership import owner_membership
from gaq_listen.dba.plan.event_triggers import EVENT_TRIGGERS, event_trigger_fix
from gaq_listen.dba.plan.plan_reader import Row
from gaq_listen.dba.plan.planner import make_plan
from gaq_listen.dba.scripts import ATTEMPTS, LOCK_TIMEOUT, Step, steps
from gaq_listen.errors import GaqListenError

PAUSE = 1.0
"""Seconds between two attempts, in which writers that have waited go on."""

Report = Callable[[str], None]

_ROLES = "select rolname::text from pg_roles where rolname = any (%s) order by 1"

_IS_ADOPTED = """
select exists (select from pg_class where relnamespace = to_regnamespace('gaq') and relname = 'original_summaries')
"""


def install(
    connection: Connection[TupleRow],
    source_schema: str | None = None,
    lock_timeout: float = LOCK_TIMEOUT,
    report: Report = lambda _: None,
    sources: str | None = None,
) -> None:
    """Install gaq-listen beside the source tables, or bring it up to date from any earlier version.

    Args:
        connection: A connection in autocommit.
        source_schema: Schema of the source tables; None: that of the last installation, else ``public``.
        lock_timeout: Seconds that a step waits for a lock before it lets writers go on and tries again.
        report: Called with a sentence for each step.
        sources: Name or file of the sources; None: those of the last installation, else ``reference``.

    Raises:
        GaqListenError: The plan has an obstacle, and nothing was changed. Or a step failed.
    """
    plan = make_plan(connection, source_schema, sources, only_obstacles=True)
    _refuse_obstacles(plan.obstacles)
    schema = sources_.schema(connection, source_schema)
    chosen = sources_.chosen(connection, sources)
    settings = {"gaq.source_schema": schema, "gaq.keep_bindings": "on" if plan.keeps_bindings else "off"}
    if plan.keeps_bindings:
        report("source tables or columns have new names; gaq-listen keeps what is bound to them")
    for step in chosen.steps():
        if plan.keeps_bindings and step.title.startswith(f"{chosen.file}.sql"):
            continue
        report(f"applying {step.title}")
        _apply(connection, step, lock_timeout, report, settings)


def _refuse_obstacles(obstacles: Iterable[Finding]) -> None:
    what = "; ".join(f"{obstacle.what} ({obstacle.why}): {obstacle.fix}" for obstacle in obstacles)
    if what:
        raise GaqListenError(f"the installation has changed nothing, because of an obstacle: {what}")


def detach(
    connection: Connection[TupleRow], lock_timeout: float = LOCK_TIMEOUT, report: Report = lambda _: None
) -> None:
    """Remove everything that depends on source tables, one table at a time. A second call does no harm.

    Summaries, marks and gaq_summaries stay. The connection must be in autocommit.

    Raises:
        GaqListenError: A step failed. The next call, or an installation, continues from there.
    """
    beginning, marking, _, unbinding = steps("detach")
    for step in (beginning, marking):
        report(f"applying {step.title}")
        _apply(connection, step, lock_timeout, report)
    triggers = [trigger for trigger in catalog.our_triggers(connection) if trigger.is_on_table]
    _drop_triggers(connection, triggers, lock_timeout, report)
    report(f"applying {unbinding.title}")
    _apply(connection, unbinding, lock_timeout, report)


def _drop_triggers(
    connection: Connection[TupleRow], triggers: Iterable[catalog.OurTrigger], lock_timeout: float, report: Report
) -> None:
    """Drop triggers, those of each table in a transaction of its own."""
    for table, on_table in groupby(triggers, key=lambda trigger: trigger.table):
        report(f"dropping triggers on {table}")
        drops = "".join(f"drop trigger {quoted(trigger.name)} on {table};" for trigger in on_table)
        _apply(connection, Step(f"drop triggers on {table}", drops), lock_timeout, report)


def uninstall(
    connection: Connection[TupleRow],
    lock_timeout: float = LOCK_TIMEOUT,
    report: Report = lambda _: None,
    drop_dependents: bool = False,
) -> None:
    """Remove everything of gaq-listen, one table at a time. If nothing is installed, change nothing.

    Args:
        connection: A connection in autocommit.
        lock_timeout: Seconds that a step waits for a lock before it lets writers go on and tries again.
        report: Called with a sentence for each step.
        drop_dependents: Also drop what other people have built on gaq_summaries, such as views.

    Raises:
        GaqListenError: Other objects depend on gaq_summaries, and nothing was changed. Or a step failed.
    """
    ((is_adopted,),) = connection.execute(_IS_ADOPTED).fetchall()
    settings = {"gaq.drop_dependents": "on" if drop_dependents else "off"}
    check, *removal = steps("uninstall")
    _apply(connection, check, lock_timeout, report, settings)
    _drop_triggers(connection, catalog.our_triggers(connection), lock_timeout, report)
    for step in removal:
        report(f"applying {step.title}")
        _apply(connection, step, lock_timeout, report, settings)
    if left := [name for (name,) in connection.execute(_ROLES, (ROLES,)).fetchall()]:
        report(
            "these roles stay, because they have members, another database uses them, or this role may not drop them: "
            f"{', '.join(left)}"
        )
    if is_adopted:
        report(
            "gaq_summaries is the adopted table again, with the values from before; to have the application recompute "
            "them: UPDATE gaq_summaries SET invalidated_at = now();"
        )


def _apply(
    connection: Connection[TupleRow],
    step: Step,
    lock_timeout: float,
    report: Report,
    settings: Mapping[str, str] | None = None,
) -> None:
    """Execute a step as one transaction. If it does not get a lock in time, roll back, pause, and try again.

    Raises:
        GaqListenError: The table stayed locked, or PostgreSQL refused the step.
    """

    def report_attempt(state: RetryCallState) -> None:
        attempt = f"{state.attempt_number} of {ATTEMPTS}"
        report(f"  another transaction has locked the table; trying again in {PAUSE:g} s ({attempt})")

    configured = {
        "lock_timeout": f"{max(1, round(lock_timeout * 1000))}ms",
        "client_min_messages": "warning",
        "row_security": "off",  # an error, rather than the rows that a policy lets through
        **(settings or {}),
    }
    try:
        for attempt in Retrying(
            retry=retry_if_exception_type((psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)),
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_fixed(PAUSE),
            before_sleep=report_attempt,
            reraise=True,
        ):
            with attempt, connection.transaction():
                for setting, value in configured.items():
                    connection.execute(sql.SQL("select set_config({}, {}, true)").format(setting, value))
                connection.execute(step.text.encode())
    except psycopg.errors.LockNotAvailable as error:
        raise GaqListenError(
            f"{step.title}: the table stayed locked during {ATTEMPTS} attempts, and this step has changed nothing; "
            "gaq-listen install --plan names the transactions: try again after they have ended"
        ) from error
    except psycopg.errors.UndefinedTable as error:
        raise GaqListenError(
            f"{error.diag.message_primary}: gaq-listen looks for the source tables in one schema (--source-schema), "
            "under the names in sql/20_sources.sql or in the file of --sources; "
            "'gaq-listen sql reference_tables' prints the expected tables"
        ) from error
    except psycopg.errors.InsufficientPrivilege as error:
        for trigger in _event_triggers_at_fault(connection, error):
            fix = event_trigger_fix(trigger)
            error.add_note(f"the event trigger {trigger['name']} did this with the rights of gaq_owner: {fix}")
        membership = owner_membership(connection)
        if membership.is_member and not membership.suffices:
            error.add_note(f"{membership.role} {membership.lack}: {membership.fix}")
        if not hasattr(error, "__notes__"):
            error.add_note("gaq-listen install --plan names the rights that an installation needs")
        raise explained_errors(error) from error
    except psycopg.Error as error:
        raise explained_errors(error) from error


def _event_triggers_at_fault(connection: Connection[TupleRow], error: psycopg.Error) -> list[Row]:
    """Return the event triggers whose functions are in the context of the error."""
    with connection.cursor(row_factory=dict_row) as cursor:
        triggers = cursor.execute(EVENT_TRIGGERS).fetchall()
    return [trigger for trigger in triggers if trigger["proname"] in (error.diag.context or "")]
