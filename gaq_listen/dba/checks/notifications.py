"""Whether the doorbell can ring, and wakes whom it should."""

from psycopg import Connection
from psycopg.rows import TupleRow

from gaq_listen.dba.checks.finding import Finding, listed
from gaq_listen.wording import duration

QUEUE = 0.25
"""Share of the notification queue that may be in use. At one half writers stop ringing; a full one makes them fail."""
ASLEEP = 5.0
"""Seconds in which every worker either works, or looks after the doorbell."""
OPEN = 60.0
"""Seconds that a writer's transaction may keep workers from falling asleep."""

_QUEUE = """
select pg_notification_queue_usage(),
       array(select pid::text from pg_catalog.pg_stat_activity
             where state like 'idle in transaction%' and pid <> pg_backend_pid()
             order by xact_start)
"""

_HELD = """
select pid, coalesce(nullif(application_name, ''), usename::text, ''), exclusively,
       exists (select from gaq.workers w where w.doorbell_pid = h.pid and gaq.is_there(w.backend_pid)) as ours,
       state = 'idle' as idle, coalesce(date_part('epoch', clock_timestamp() - xact_start), 0) as seconds
from gaq.bell_holders h
join pg_catalog.pg_stat_activity using (pid)
order by 1
"""

# While a worker works through a backlog, its listening connection is idle.
_WAITING = """
select array_agg(doorbell.pid) filter (where doorbell.state_change < clock_timestamp() - %(asleep)s * interval '1 s'),
       coalesce(bool_or(work.state <> 'idle'
                        or work.state_change >= clock_timestamp() - %(asleep)s * interval '1 s'), false)
from gaq.workers w
join pg_catalog.pg_stat_activity work on work.pid = w.backend_pid
left join pg_catalog.pg_stat_activity doorbell on doorbell.pid = w.doorbell_pid
where gaq.is_there(w.backend_pid)
"""

_SIGHT = "select current_user, pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')"


def queue(connection: Connection[TupleRow]) -> list[Finding]:
    """The queue is emptied up to the slowest listener of the whole server."""
    ((usage, open_pids),) = connection.execute(_QUEUE).fetchall()
    return filling(usage, open_pids)


def filling(usage: float, open_pids: list[str]) -> list[Finding]:
    """Of the share in use, and the sessions that sit in a transaction, the longest first."""
    if usage <= QUEUE:
        return []
    suspects = f"; in an open transaction: {listed(open_pids)}" if open_pids else ""
    return [
        Finding(
            f"the notification queue is {usage:.0%} full",
            "a listener does not read; from 50% on writers do not ring, and when it is full those who notify fail",
            f"end the session that listens and does not read, with pg_terminate_backend{suspects}",
            "error",
        )
    ]


def doorbell(connection: Connection[TupleRow]) -> list[Finding]:
    """Who holds its lock, and whether somebody should who does not."""
    findings = []
    slept_at = False
    for pid, name, exclusively, ours, idle, seconds in connection.execute(_HELD).fetchall():
        slept_at |= exclusively
        if ours or not (exclusively or idle or seconds > OPEN):
            continue
        since = f" for {duration(seconds)}" if seconds else ""
        findings.append(
            Finding(
                f"session {pid} of {name} holds the doorbell's lock{since}, and is not a worker's doorbell",
                "writers ring for nobody, and workers poll" if exclusively else "workers cannot sleep, and poll",
                f"end its transaction, or: SELECT pg_terminate_backend({pid});",
                "warning",
            )
        )
    waiting, working = connection.execute(_WAITING, {"asleep": ASLEEP}).fetchall()[0]
    if waiting and not slept_at and not working:
        pids = listed([str(pid) for pid in waiting])
        findings.append(
            Finding(
                f"a worker listens (session {pids}), but neither works nor sleeps at the doorbell",
                "nobody rings for it, and it does not look by itself: it hangs, or was stopped",
                f"restart the worker; its session ends with: SELECT pg_terminate_backend({waiting[0]});",
            )
        )
    return findings


def sight(connection: Connection[TupleRow]) -> list[Finding]:
    """Without this right, what other sessions do is hidden, and some checks find nothing."""
    ((role, sees),) = connection.execute(_SIGHT).fetchall()
    if sees:
        return []
    return [
        Finding(
            f"{role} cannot see what other sessions do",
            "so old transactions, and who holds the doorbell's lock, were not looked for",
            f'GRANT pg_monitor TO "{role.replace(chr(34), chr(34) * 2)}"; -- or run gaq-listen doctor as a superuser',
            "note",
        )
    ]
