"""What ``plan`` tells of the database around the tables: event triggers, and who else works with the schema."""

from gaq_listen.dba.plan_queries import PlanReader, Row

# A function that is SECURITY DEFINER does what it does whoever creates something.
EVENT_TRIGGERS = """
select quote_ident(evtname) as name, evtfoid::regprocedure::text as function, proname, evtevent as event
from pg_catalog.pg_event_trigger
join pg_catalog.pg_proc on pg_proc.oid = evtfoid
where evtenabled in ('O', 'A') and not prosecdef
  and evtevent in ('ddl_command_start', 'ddl_command_end', 'sql_drop', 'table_rewrite')
order by 1
"""

# Who installs is made a member of gaq_owner.
_OWNERS = """
select distinct quote_ident(o.rolname) as name
from pg_catalog.pg_class c
join pg_catalog.pg_roles o on o.oid = c.relowner
where c.oid = any (%(tables)s) and not o.rolsuper and o.rolname <> current_user
  and coalesce((select not pg_has_role(o.oid, g.oid, 'usage') from pg_catalog.pg_roles g where g.rolname = 'gaq_owner'),
               true)
order by 1
"""


def event_triggers(look: PlanReader) -> None:
    """Name the event triggers that run when something is created, as the role that creates it."""
    for trigger in look.ask(EVENT_TRIGGERS):
        look.warn(
            f"The event trigger {trigger['name']} ({trigger['event']}) runs {trigger['function']} with each step, as "
            "the role that creates something: gaq_owner. If it writes where gaq_owner may not, the installation fails",
            f"{remedy(trigger)}",
        )


def remedy(trigger: Row) -> str:
    """Return what to do about an event trigger that is in the way."""
    return (
        f"ALTER FUNCTION {trigger['function']} SECURITY DEFINER; or, while installing: "
        f"ALTER EVENT TRIGGER {trigger['name']} DISABLE"
    )


def table_owners(look: PlanReader, tables: list[Row]) -> None:
    """Name the owners of the tables who could not dump schema gaq."""
    for owner in look.ask(_OWNERS, tables=[row["oid"] for row in tables]):
        look.warn(
            f"{owner['name']} owns tables and is no superuser: it could neither pg_dump schema gaq nor GRANT rights on "
            "gaq_summaries. (GRANT ... ON ALL TABLES IN SCHEMA works, but for gaq_summaries)",
            f"If it should, once installed: GRANT gaq_owner TO {owner['name']}",
        )
