"""Measure how busy the source tables are, find the locks on them, and count the pairs that need a mark."""

import time
from datetime import datetime

from gaq_listen.dba import catalog
from gaq_listen.dba.manifest import manifest_of
from gaq_listen.dba.plan.installation_plan import LockHolder, SourceTable
from gaq_listen.dba.plan.plan_reader import PlanReader, Row
from gaq_listen.dba.sources import Sources

INTERVAL = 1.0
"""Seconds between the two counts that give the present rate. Sessions report their writes about that often."""

_ROWS = """
select sum(reltuples) filter (where reltuples >= 0 and relkind <> 'p')::bigint as rows
from pg_class where oid = any(%(family)s)
"""

_SIZE = "select pg_size_pretty(sum(pg_total_relation_size(member))) from unnest(%(family)s::oid[]) member"

_WRITTEN = """
select sum(pg_stat_get_tuples_inserted(member) + pg_stat_get_tuples_updated(member)
           + pg_stat_get_tuples_deleted(member))::bigint as written
from unnest(%(family)s::oid[]) member
"""

_COUNTED_SINCE = """
select stats_reset as since, date_part('epoch', clock_timestamp() - stats_reset) as seconds
from pg_stat_database where datname = current_database()
"""

# Sessions with locks on source tables that conflict with SHARE ROW EXCLUSIVE, and with any lock on our own relations,
# which an installation replaces.
_LOCK_HOLDERS = """
select array_agg(format('%%s on %%s', l.mode, l.relation::regclass) order by l.relation, l.mode) as locks, l.pid,
       coalesce(a.usename, p.owner, a.backend_type) as "user", coalesce(a.application_name, p.gid, '') as application,
       a.state, date_part('epoch', clock_timestamp() - coalesce(a.xact_start, p.prepared)) as seconds,
       nullif(a.query, '<insufficient privilege>') as query
from pg_locks l
left join pg_stat_activity a on a.pid = l.pid
left join pg_prepared_xacts p on l.pid is null and l.virtualtransaction = '-1/' || p.transaction::text
where l.locktype = 'relation' and l.granted and l.pid is distinct from pg_backend_pid()
  and l.database = (select oid from pg_database where datname = current_database())
  and (l.relation = any(%(tables)s) and l.mode in (
           'RowExclusiveLock', 'ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock',
           'AccessExclusiveLock')
       or l.relation in (select c.oid from pg_class c join pg_namespace s on s.oid = c.relnamespace
                         where c.relkind in ('r', 'v')
                           and (s.nspname = 'gaq' or s.nspname = %(schema)s and c.relname = 'gaq_summaries')))
group by l.pid, l.virtualtransaction, a.usename, a.backend_type, a.application_name, a.state, a.xact_start, a.query,
         p.owner, p.gid, p.prepared
order by coalesce(a.xact_start, p.prepared), l.pid
"""

_ALL_PAIRS = "select count(*) from ({pairs}) p"

_PAIRS_WITHOUT_SUMMARY = """
select count(*) from ({pairs}) p
where not exists (select from gaq.summaries s
                  where s.data_pass_id = p.data_pass_id and s.run_number = p.run_number and s.updated_at is not null)
  and not exists (select from gaq.invalidations i
                  where i.data_pass_id = p.data_pass_id and i.run_number = p.run_number)
"""


def measure_tables(reader: PlanReader, tables: list[Row]) -> tuple[tuple[SourceTable, ...], float, datetime | None]:
    """Return the tables, the seconds for which their writes were counted, and when the statistics began."""
    families = [catalog.with_descendants(reader.connection, [row["oid"]]) for row in tables]
    before, started = _written(reader, families), time.monotonic()
    time.sleep(INTERVAL)
    reader.ask("select pg_stat_clear_snapshot()")
    after, seconds = _written(reader, families), time.monotonic() - started
    (counted,) = reader.ask(_COUNTED_SINCE)
    measured = tuple(
        SourceTable(
            name=row["name"],
            is_marked=row["marked"],
            kind=row["kind"],
            rows=reader.ask(_ROWS, family=family)[0]["rows"],
            size=reader.attempt(_SIZE, family=family),
            written_per_second=max(0, new - old) / seconds,
            written=new,
            average_per_second=new / counted["seconds"] if counted["seconds"] else None,
        )
        for row, family, old, new in zip(tables, families, before, after, strict=True)
    )
    return measured, seconds, counted["since"]


def _written(reader: PlanReader, families: list[list[int]]) -> list[int]:
    """Return how many rows sessions have written to each family of tables since the statistics began."""
    return [reader.ask(_WRITTEN, family=family)[0]["written"] or 0 for family in families]


def find_lock_holders(reader: PlanReader, tables: list[Row]) -> tuple[LockHolder, ...]:
    """Return the sessions and prepared transactions with locks for which a step would wait now."""
    marked = [row["oid"] for row in tables if row["marked"]]
    holders = reader.ask(_LOCK_HOLDERS, tables=marked)
    return tuple(LockHolder(**row | {"locks": tuple(row["locks"])}) for row in holders)


def count_pairs_to_mark(reader: PlanReader, sources: Sources, replaces: bool) -> int | None:
    """Return how many pairs the installation would mark, or None if the server cannot count them.

    The search_path must have the schema of the source tables.
    """
    pairs = manifest_of(sources).views.get("gaq.source_pairs")
    if pairs is None:
        return None
    counted = reader.attempt((_PAIRS_WITHOUT_SUMMARY if replaces else _ALL_PAIRS).replace("{pairs}", pairs))
    return None if counted is None else int(counted)
