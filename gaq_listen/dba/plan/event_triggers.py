"""Find the event triggers that run during an installation, as the role gaq_owner."""

from gaq_listen.dba.plan.plan_reader import PlanReader, Row

# A SECURITY DEFINER function runs with the rights of its owner, so it does not depend on who creates an object.
EVENT_TRIGGERS = """
select quote_ident(evtname) as name, evtfoid::regprocedure::text as function, proname, evtevent as event
from pg_catalog.pg_event_trigger
join pg_catalog.pg_proc on pg_proc.oid = evtfoid
where evtenabled in ('O', 'A') and not prosecdef
  and evtevent in ('ddl_command_start', 'ddl_command_end', 'sql_drop', 'table_rewrite')
order by 1
"""


def advise_event_triggers(reader: PlanReader) -> None:
    """Add a finding for each event trigger that runs when a step creates an object."""
    for trigger in reader.ask(EVENT_TRIGGERS):
        reader.advise(
            f"the event trigger {trigger['name']} ({trigger['event']}) runs {trigger['function']} in each step",
            "its function runs as gaq_owner, and a step fails if the function writes where gaq_owner may not",
            event_trigger_fix(trigger),
            "warning",
        )


def event_trigger_fix(trigger: Row) -> str:
    """Return what a DBA can do about an event trigger that makes a step fail."""
    return (
        f"ALTER FUNCTION {trigger['function']} SECURITY DEFINER; or, during the installation: "
        f"ALTER EVENT TRIGGER {trigger['name']} DISABLE"
    )
