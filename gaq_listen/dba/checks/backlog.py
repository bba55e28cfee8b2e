"""Whether stale pairs are refreshed, and quickly; and whether every pair that needs a mark has one."""

from psycopg import Connection
from psycopg.rows import TupleRow

from gaq_listen.adoption.lost_triggers import lost_triggers
from gaq_listen.dba import indexes
from gaq_listen.dba import sources as sources_
from gaq_listen.dba.checks import marked_tables
from gaq_listen.dba.checks.finding import Finding
from gaq_listen.wording import count, duration

BACKLOG = 60.0
"""Seconds that the oldest mark may be old."""

INDEXES = "gaq-listen install --plan --sources FILE.sql"
"""Tells which indexes are missing."""

_STALE = """
select stale_pairs, date_part('epoch', clock_timestamp() - stale_since),
       (select array_agg(backend_pid order by backend_pid) from gaq.workers where gaq.is_there(backend_pid))
from gaq.status
"""

# Seen at one moment: a pair, its summary and its mark change together. First what differs, which is little.
_UNMARKED = """
with differing as materialized (
    select data_pass_id, run_number, p.run_number is not null as belongs
    from gaq.summaries s
    full join gaq.source_pairs p using (data_pass_id, run_number)
    where p.run_number is null or s.updated_at is null
)
select count(*) filter (where belongs), count(*) filter (where not belongs),
       (select tgrelid::regclass::text from pg_catalog.pg_trigger where tgfoid = 'gaq.request()'::regprocedure limit 1)
from differing d
where not exists (select from gaq.invalidations i
                  where i.data_pass_id = d.data_pass_id and i.run_number = d.run_number)
  and not exists (select from gaq.expanded_invalidations e
                  where e.data_pass_id = d.data_pass_id and e.run_number = d.run_number)
"""

_MARK_MISSING = """
INSERT INTO {view} (data_pass_id, run_number)
SELECT data_pass_id, run_number FROM gaq.source_pairs
EXCEPT
SELECT data_pass_id, run_number FROM {view} WHERE num_nonnulls(updated_at, invalidated_at) > 0;
"""

_MARK_LEFT = """
UPDATE {view} SET invalidated_at = now()
WHERE (data_pass_id, run_number) IN (
    SELECT data_pass_id, run_number FROM {view}
    EXCEPT
    SELECT data_pass_id, run_number FROM gaq.source_pairs);
"""

_SCHEMAS = """
select distinct nspname
from pg_catalog.pg_class join pg_catalog.pg_namespace n on n.oid = relnamespace
where pg_class.oid = any (%s) order by 1
"""


def unindexed(connection: Connection[TupleRow]) -> list[Finding]:
    """The indexes that the sources file asks for."""
    name = sources_.used(connection) or sources_.REFERENCE
    if name not in sources_.shipped():
        what = f"indexes were not looked for: which are needed says the file of the sources {name!r}, which is yours"
        return [Finding(what, "a missing one makes each batch read a whole table", INDEXES, "note")]
    return [
        Finding(
            f"no index on {index.table} ({', '.join(index.columns)})",
            f"needed for {index.why}: without it, each batch reads the whole table",
            index.statement(schema),
            "warning",
        )
        for (schema,) in connection.execute(_SCHEMAS, (marked_tables.marked(connection),)).fetchall()
        for index in indexes.missing(connection, schema, sources_.shipped()[name])
    ]


def triggers_of_the_application(connection: Connection[TupleRow]) -> list[Finding]:
    """Return a finding for each trigger of the application that a move from another database has lost."""
    shipped = sources_.shipped().get(sources_.used(connection) or sources_.REFERENCE)
    return [
        Finding(trigger.what, trigger.why, trigger.remedy, "warning")
        for (schema,) in connection.execute(_SCHEMAS, (marked_tables.marked(connection),)).fetchall()
        for trigger in (lost_triggers(connection, schema, shipped) if shipped else ())
    ]


def stale(connection: Connection[TupleRow]) -> list[Finding]:
    """Whether marks are left lying."""
    ((pairs, seconds, workers),) = connection.execute(_STALE).fetchall()
    if seconds is None or seconds <= BACKLOG:
        return []
    what = f"{count(pairs, 'pair')} stale, the oldest for {duration(seconds)}"
    if not workers:
        return [Finding(what, "no worker is connected, so nothing is refreshed", "gaq-listen run")]
    names = f"{'pid' if len(workers) == 1 else 'pids'} {', '.join(map(str, workers))}"
    fix = "look at what the worker says, and at gaq-listen status; it may fail, or be slow"
    return [Finding(what, f"a worker is connected ({names}), and does not keep up", fix, "warning")]


def unmarked(connection: Connection[TupleRow]) -> list[Finding]:
    """Pairs that came or left unnoticed."""
    ((missing, left, view),) = connection.execute(_UNMARKED).fetchall()
    findings = []
    if missing:
        findings.append(
            Finding(
                f"{count(missing, 'pair')} without a summary and without a mark",
                "entered a data pass unnoticed, so no worker will ever compute them",
                _statement(_MARK_MISSING, view),
            )
        )
    if left:
        findings.append(
            Finding(
                f"{count(left, 'pair')} with a summary, in no data pass, and without a mark",
                "left the data pass unnoticed, so the summaries stay",
                _statement(_MARK_LEFT, view),
            )
        )
    return findings


def _statement(text: str, view: str) -> str:
    return " ".join(text.split()).format(view=view)
