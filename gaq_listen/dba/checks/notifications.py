"""Check whether writers can ring the doorbell, and whether a worker is asleep at it."""

from psycopg import Connection
from psycopg.rows import TupleRow

from gaq_listen.dba.checks.finding import Finding
from gaq_listen.wording import duration, listed

MAX_QUEUE_USAGE = 0.25
"""Share of the notification queue that may be in use. Writers stop ringing at one half, and NOTIFY fails at 1."""
MAX_INACTIVITY = 5.0
"""Seconds in which every worker that is alive refreshes, holds the doorbell, or checks it."""
MAX_WRITER_TRANSACTION = 60.0
"""Seconds for which a writer's transaction may keep workers from falling asleep."""

_QUEUE = """
select pg_notification_queue_usage(),
       array(select pid::text from pg_catalog.pg_stat_activity
             where state like 'idle in transaction%' and pid <> pg_backend_pid()
             order by xact_start)
"""

_HELD = """
select pid, coalesce(nullif(application_name, ''), usename::text, ''), exclusively,
       exists (select from gaq.workers w where w.doorbell_pid = h.pid and gaq.backend_exists(w.backend_pid)) as ours,
       state = 'idle' as idle, coalesce(date_part('epoch', clock_timestamp() - xact_start), 0) as seconds
from gaq.bell_holders h
join pg_catalog.pg_stat_activity using (pid)
order by 1
"""

# While a worker drains a backlog, its listening connection is idle.
_WAITING = """
select array_agg(doorbell.pid) filter (where doorbell.state_change < clock_timestamp() - %(seconds)s * interval '1 s'),
       coalesce(bool_or(work.state <> 'idle'
                        or work.state_change >= clock_timestamp() - %(seconds)s * interval '1 s'), false)
from gaq.workers w
join pg_catalog.pg_stat_activity work on work.pid = w.backend_pid
left join pg_catalog.pg_stat_activity doorbell on doorbell.pid = w.doorbell_pid
where gaq.backend_exists(w.backend_pid)
"""

_SIGHT = "select current_user, pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')"


def queue(connection: Connection[TupleRow]) -> list[Finding]:
    """Return a finding if a listener of the server does not read, so that the notification queue fills."""
    ((usage, open_pids),) = connection.execute(_QUEUE).fetchall()
    return queue_findings(usage, open_pids)


def queue_findings(usage: float, open_pids: list[str]) -> list[Finding]:
    """Return a finding if ``usage`` of the queue is too much.

    Args:
        usage: Share of the queue that is in use, from 0 to 1.
        open_pids: Sessions that are idle in a transaction, the longest first.
    """
    if usage <= MAX_QUEUE_USAGE:
        return []
    suspects = f"; sessions that are idle in a transaction: {listed(open_pids)}" if open_pids else ""
    return [
        Finding(
            f"the notification queue is {usage:.0%} full",
            "a session listens and does not read; writers do not ring from 50% on, and NOTIFY fails at 100%",
            f"end that session with pg_terminate_backend{suspects}",
            "error",
        )
    ]


def doorbell(connection: Connection[TupleRow]) -> list[Finding]:
    """Return a finding for each session that wrongly holds the doorbell, and for workers that do not react."""
    findings = []
    is_held = False
    for pid, name, exclusively, ours, idle, seconds in connection.execute(_HELD).fetchall():
        is_held |= exclusively
        if ours or not (exclusively or idle or seconds > MAX_WRITER_TRANSACTION):
            continue
        since = f" for {duration(seconds)}" if seconds else ""
        findings.append(
            Finding(
                f"session {pid} of {name} holds the doorbell's lock{since}, and is not a worker's doorbell",
                "writers ring and wake no worker, and workers poll"
                if exclusively
                else "workers cannot sleep, and poll instead",
                f"end its transaction, or: SELECT pg_terminate_backend({pid});",
                "warning",
            )
        )
    inactive, active = connection.execute(_WAITING, {"seconds": MAX_INACTIVITY}).fetchall()[0]
    if inactive and not is_held and not active:
        pids = listed([str(pid) for pid in inactive])
        findings.append(
            Finding(
                f"a worker listens (session {pids}), but neither refreshes nor holds the doorbell",
                "writers do not ring, and the worker does not poll: it hangs, or its process was stopped",
                f"restart the worker; to end its session: SELECT pg_terminate_backend({inactive[0]});",
            )
        )
    return findings


def sight(connection: Connection[TupleRow]) -> list[Finding]:
    """Return a finding if PostgreSQL hides from this role what other sessions do. Some checks then find nothing."""
    ((role, sees),) = connection.execute(_SIGHT).fetchall()
    if sees:
        return []
    return [
        Finding(
            f"{role} cannot see what other sessions do",
            "so the doctor could not check old transactions, nor who holds the doorbell's lock",
            f'GRANT pg_monitor TO "{role.replace(chr(34), chr(34) * 2)}"; -- or run gaq-listen doctor as a superuser',
            "note",
        )
    ]
