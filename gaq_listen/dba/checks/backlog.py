"""Check whether workers refresh stale pairs quickly, and whether every pair that needs a mark has one."""

from psycopg import Connection
from psycopg.rows import TupleRow

from gaq_listen.adoption.lost_triggers import lost_triggers
from gaq_listen.dba import catalog, indexes
from gaq_listen.dba import sources as sources_
from gaq_listen.dba.checks.finding import Finding
from gaq_listen.wording import count, duration

MAX_STALENESS = 60.0
"""Seconds that the oldest mark may be old."""

PLAN_WITH_SOURCES = "gaq-listen install --plan --sources FILE.sql"
"""Command that checks the indexes and triggers that a sources file of the DBA's own names."""

_STALE = """
select stale_pairs, date_part('epoch', clock_timestamp() - stale_since),
       (select array_agg(backend_pid order by backend_pid) from gaq.workers where gaq.backend_exists(backend_pid))
from gaq.status
"""

# One statement compares pairs, summaries and marks, because they change together. The few pairs that differ come first.
_UNMARKED = """
with differing as materialized (
    select data_pass_id, run_number, p.run_number is not null as belongs
    from gaq.summaries s
    full join gaq.source_pairs p using (data_pass_id, run_number)
    where p.run_number is null or s.updated_at is null
)
select count(*) filter (where belongs), count(*) filter (where not belongs)
from differing d
where not exists (select from gaq.invalidations i
                  where i.data_pass_id = d.data_pass_id and i.run_number = d.run_number)
  and not exists (select from gaq.expanded_invalidations e
                  where e.data_pass_id = d.data_pass_id and e.run_number = d.run_number)
"""

_MARK_MISSING = """
INSERT INTO gaq_summaries (data_pass_id, run_number)
SELECT data_pass_id, run_number FROM gaq.source_pairs
EXCEPT
SELECT data_pass_id, run_number FROM gaq_summaries WHERE num_nonnulls(updated_at, invalidated_at) > 0;
"""

_MARK_LEFT = """
UPDATE gaq_summaries SET invalidated_at = now()
WHERE (data_pass_id, run_number) IN (
    SELECT data_pass_id, run_number FROM gaq_summaries
    EXCEPT
    SELECT data_pass_id, run_number FROM gaq.source_pairs);
"""


def unindexed(connection: Connection[TupleRow]) -> list[Finding]:
    """Return a finding for each index that the sources file names and the source tables lack."""
    name = sources_.used(connection) or sources_.REFERENCE
    if name not in sources_.shipped():
        what = f"the doctor did not check indexes, because it does not have the sources file {name!r}, which is yours"
        return [Finding(what, "without a needed index, each batch reads a whole table", PLAN_WITH_SOURCES, "note")]
    return [
        finding
        for schema in catalog.source_schemas(connection)
        for finding in indexes.missing(connection, schema, sources_.shipped()[name])
    ]


def triggers_of_the_application(connection: Connection[TupleRow]) -> list[Finding]:
    """Return a finding for each trigger of the application that a move from another database has lost."""
    shipped = sources_.shipped().get(sources_.used(connection) or sources_.REFERENCE)
    return [
        finding
        for schema in catalog.source_schemas(connection)
        for finding in (lost_triggers(connection, schema, shipped) if shipped else ())
    ]


def stale(connection: Connection[TupleRow]) -> list[Finding]:
    """Return a finding if the oldest mark is older than ``MAX_STALENESS``."""
    ((pairs, seconds, workers),) = connection.execute(_STALE).fetchall()
    if seconds is None or seconds <= MAX_STALENESS:
        return []
    what = f"{count(pairs, 'pair')} stale, the oldest for {duration(seconds)}"
    if not workers:
        return [Finding(what, "no worker is connected, so nothing refreshes them", "gaq-listen run")]
    names = f"{'pid' if len(workers) == 1 else 'pids'} {', '.join(map(str, workers))}"
    fix = "read the worker's log, and run gaq-listen status: the worker may fail, or be slow"
    return [Finding(what, f"a worker is connected ({names}), and does not keep up", fix, "warning")]


def unmarked(connection: Connection[TupleRow]) -> list[Finding]:
    """Return a finding for pairs that entered or left a data pass without a mark."""
    ((missing, left),) = connection.execute(_UNMARKED).fetchall()
    findings = []
    if missing:
        findings.append(
            Finding(
                f"{count(missing, 'pair')} without a summary and without a mark",
                "no trigger saw that they entered a data pass, so no worker will compute them",
                _on_one_line(_MARK_MISSING),
            )
        )
    if left:
        findings.append(
            Finding(
                f"{count(left, 'pair')} with a summary, in no data pass, and without a mark",
                "no trigger saw that they left their data pass, so their summaries stay",
                _on_one_line(_MARK_LEFT),
            )
        )
    return findings


def _on_one_line(statement: str) -> str:
    return " ".join(statement.split())
