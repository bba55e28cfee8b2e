"""Triggers of the application that a move from another database loses, and what brings them back."""

from psycopg import Connection
from psycopg.rows import TupleRow

from gaq_listen.dba.checks.finding import Finding
from gaq_listen.dba.manifest import manifest_of
from gaq_listen.dba.sources import Sources

_THERE = """
select exists (select from pg_catalog.pg_trigger t
               where t.tgrelid = c.oid and t.tgname = %(trigger)s and t.tgenabled <> 'D')
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = %(schema)s and c.relname = %(table)s
"""


def psql(schema: str) -> str:
    """Return the command that applies a script to the tables in that schema."""
    options = "" if schema == "public" else f"PGOPTIONS='-c gaq.source_schema={schema}' "
    return f"{options}psql -1 -f -"


def lost_triggers(connection: Connection[TupleRow], schema: str, sources: Sources) -> list[Finding]:
    """Return a finding for each trigger that the sources file names and a table in this schema lacks."""
    return [
        Finding(
            f"{trigger.table} has no trigger {trigger.name}, which is the application's own",
            "flags keep bounds that a run's QC time has passed, and summaries differ when it moves back",
            f"gaq-listen sql {trigger.script} | {psql(schema)}",
            "warning",
        )
        for trigger in manifest_of(sources).triggers
        if connection.execute(_THERE, {"schema": schema, "table": trigger.table, "trigger": trigger.name}).fetchall()
        == [(False,)]
    ]
