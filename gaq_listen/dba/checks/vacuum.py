"""Check what keeps VACUUM from removing folded marks. Scans of the marks tables then become slower and slower."""

from collections.abc import Iterable

from psycopg import Connection
from psycopg.rows import TupleRow

from gaq_listen.dba.checks.finding import Finding
from gaq_listen.wording import duration, number

MAX_DEAD_ROWS = 50_000
"""Most dead rows of one table. Autovacuum removes dead rows before, unless a snapshot prevents it."""
MAX_SNAPSHOT_AGE = 15 * 60.0
"""Seconds after which a check names a snapshot that holds dead rows back."""
MAX_IDLE_IN_TRANSACTION = 3600.0
"""Seconds that a session may be idle in a transaction."""
MAX_PREPARED = 60.0
"""Seconds that may pass between PREPARE TRANSACTION and the end of the transaction."""

_AUTOVACUUM = """
select c.oid::regclass::text, option
from pg_catalog.pg_class c
cross join lateral pg_options_to_table(reloptions)
cross join lateral (select option_name || '=' || option_value as option) o
where relnamespace = 'gaq'::regnamespace and option_name = 'autovacuum_enabled' and not option_value::bool
union all
select null, name || '=off' from unnest(array['autovacuum', 'track_counts']) name where not current_setting(name)::bool
order by 1, 2
"""

_DEAD_ROWS = """
select relid::regclass::text, n_dead_tup
from pg_catalog.pg_stat_all_tables
where schemaname = 'gaq' and n_dead_tup > %s
order by 1
"""

# What holds VACUUM back in this database most. PostgreSQL does not record since when a replication slot does.
_OLDEST_SNAPSHOT = """
select what, fix, seconds
from (
    select format('session %%s of %%s',
                  pid, coalesce(nullif(application_name, ''), usename::text, backend_type)) as what,
           format('SELECT pg_terminate_backend(%%s);', pid) as fix,
           date_part('epoch', clock_timestamp() - xact_start) as seconds,
           greatest(age(backend_xmin), age(backend_xid)) as age
    from pg_catalog.pg_stat_activity
    where (datname = current_database() or datname is null)
      and pid <> pg_backend_pid() and num_nonnulls(backend_xmin, backend_xid) > 0
    union all
    select format('prepared transaction %%L', gid), format('ROLLBACK PREPARED %%L;', gid),
           date_part('epoch', clock_timestamp() - prepared), age(transaction)
    from pg_catalog.pg_prepared_xacts where database = current_database()
    union all
    select format('replication slot %%s', slot_name), format('SELECT pg_drop_replication_slot(%%L);', slot_name),
           null, age(xmin)
    from pg_catalog.pg_replication_slots where xmin is not null
) snapshot
where coalesce(seconds >= %s, true)
order by age desc nulls last
limit 1
"""

_IDLE = """
select pid, coalesce(nullif(application_name, ''), usename::text),
       date_part('epoch', clock_timestamp() - xact_start) as seconds
from pg_catalog.pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and state like 'idle in transaction%%'
  and date_part('epoch', clock_timestamp() - xact_start) >= %s
order by xact_start
"""

_PREPARED = """
select quote_literal(gid), date_part('epoch', clock_timestamp() - prepared) as seconds
from pg_catalog.pg_prepared_xacts
where database = current_database() and date_part('epoch', clock_timestamp() - prepared) >= %s
order by prepared
"""


def autovacuum(connection: Connection[TupleRow]) -> list[Finding]:
    """Return a finding for each setting that turns autovacuum off, of the server or of our tables."""
    return [
        Finding(
            f"{option}, on {table or 'the whole server'}",
            "VACUUM never removes folded marks, so each scan for stale pairs becomes slower day by day",
            f"ALTER TABLE {table} RESET (autovacuum_enabled);"
            if table
            else f"ALTER SYSTEM SET {option.partition('=')[0]} = on; SELECT pg_reload_conf();",
            "warning",
        )
        for table, option in connection.execute(_AUTOVACUUM)
    ]


def dead_rows(connection: Connection[TupleRow]) -> list[Finding]:
    """Return a finding for each of our tables with many dead rows that an old snapshot could still see."""
    tables = connection.execute(_DEAD_ROWS, (MAX_DEAD_ROWS,)).fetchall()
    snapshots = connection.execute(_OLDEST_SNAPSHOT, (MAX_SNAPSHOT_AGE,)).fetchall() if tables else []
    return [
        Finding(
            f"{table} has {number(rows)} dead rows, held by {what}{_since(seconds)}",
            "VACUUM cannot remove rows that an old snapshot could see, and every scan for stale pairs reads them",
            fix,
            "warning",
        )
        for table, rows in tables
        for what, fix, seconds in snapshots
    ]


def _since(seconds: float | None) -> str:
    return "" if seconds is None else f", open for {duration(seconds)}"


def idle_in_transaction(connection: Connection[TupleRow]) -> list[Finding]:
    """Return a finding for each session that was idle in a transaction for too long."""
    return [
        Finding(
            f"session {pid} of {name} has been in an idle transaction for {duration(seconds)}",
            "VACUUM removes no row that it could see, no worker sees its marks, and its locks stay",
            f"SELECT pg_terminate_backend({pid});",
            "warning",
        )
        for pid, name, seconds in connection.execute(_IDLE, (MAX_IDLE_IN_TRANSACTION,))
    ]


def prepared(connection: Connection[TupleRow]) -> list[Finding]:
    """Return a finding for each prepared transaction that nobody has ended."""
    return prepared_findings(connection.execute(_PREPARED, (MAX_PREPARED,)).fetchall())


def prepared_findings(transactions: Iterable[tuple[str, float]]) -> list[Finding]:
    """Return a finding for each transaction, given as its name as a literal and its age in seconds."""
    return [
        Finding(
            f"transaction {gid} was prepared {duration(seconds)} ago, and has not ended",
            "no worker sees its marks, it may hold the doorbell so that workers poll, and it holds VACUUM back",
            f"COMMIT PREPARED {gid}; or ROLLBACK PREPARED {gid};",
            "warning",
        )
        for gid, seconds in transactions
    ]
