"""What keeps marks that are folded from being cleared away: the marks tables grow, and reading them slows down."""

from collections.abc import Iterable

from psycopg import Connection
from psycopg.rows import TupleRow

from gaq_listen.dba.checks.finding import Finding
from gaq_listen.wording import duration, number

DEAD_ROWS = 50_000
"""Rows of one table that autovacuum would long have cleared away, if it could."""
HELD = 15 * 60.0
"""Seconds since which a snapshot counts as old."""
IDLE_IN_TRANSACTION = 3600.0
"""Seconds that a session may sit in an open transaction."""
PREPARED = 60.0
"""Seconds between PREPARE TRANSACTION and its end."""

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

# Who holds back vacuum in this database, the oldest first. A replication slot does not tell since when.
_HOLDERS = """
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
) holder
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
    """For the server, and for each of our tables."""
    return [
        Finding(
            f"{option}, on {table or 'the whole server'}",
            "folded marks are never cleared away, so looking for work slows down day by day",
            f"ALTER TABLE {table} RESET (autovacuum_enabled);"
            if table
            else f"ALTER SYSTEM SET {option.partition('=')[0]} = on; SELECT pg_reload_conf();",
            "warning",
        )
        for table, option in connection.execute(_AUTOVACUUM)
    ]


def dead_rows(connection: Connection[TupleRow]) -> list[Finding]:
    """Dead rows are many, and somebody could still see them."""
    tables = connection.execute(_DEAD_ROWS, (DEAD_ROWS,)).fetchall()
    holders = connection.execute(_HOLDERS, (HELD,)).fetchall() if tables else []
    return [
        Finding(
            f"{table} has {number(rows)} dead rows, held by {what}{_since(seconds)}",
            "they cannot be cleared away while an old snapshot could see them, and every look for work passes them",
            fix,
            "warning",
        )
        for table, rows in tables
        for what, fix, seconds in holders
    ]


def _since(seconds: float | None) -> str:
    return "" if seconds is None else f", open for {duration(seconds)}"


def idle_in_transaction(connection: Connection[TupleRow]) -> list[Finding]:
    """Forgotten transactions."""
    return [
        Finding(
            f"session {pid} of {name} has been in an idle transaction for {duration(seconds)}",
            "vacuum clears nothing away that it could see; what it marked is unseen; locks it holds stay",
            f"SELECT pg_terminate_backend({pid});",
            "warning",
        )
        for pid, name, seconds in connection.execute(_IDLE, (IDLE_IN_TRANSACTION,))
    ]


def prepared(connection: Connection[TupleRow]) -> list[Finding]:
    """Forgotten halves of two-phase commits."""
    return forgotten(connection.execute(_PREPARED, (PREPARED,)).fetchall())


def forgotten(rows: Iterable[tuple[str, float]]) -> list[Finding]:
    """Of transactions by the literal that names them, and the seconds since they were prepared."""
    return [
        Finding(
            f"transaction {gid} was prepared {duration(seconds)} ago, and not ended",
            "its marks are unseen until it commits; it may hold the doorbell, so workers poll; it holds back vacuum",
            f"COMMIT PREPARED {gid}; or ROLLBACK PREPARED {gid};",
            "warning",
        )
        for gid, seconds in rows
    ]
