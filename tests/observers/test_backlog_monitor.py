"""Test the counting of the backlog for a console, a log or a scraper."""

import asyncio
from collections.abc import Callable
from typing import Any

from psycopg import Connection

from gaq_listen.observers.backlog_monitor import monitor_backlog
from gaq_listen.worker.events import BacklogCounted, Event, Idle
from tests.support.waiting import PATIENCE

MONITOR = (
    "select pid from pg_stat_activity where application_name = 'gaq-listen watching' and datname = current_database()"
)
BAD_FLAG = "insert into qc_flags (data_pass_id, run_number, detector_id, flag_type_id) values (1, 501, 1, 2)"


async def counted(observed: list[Event], condition: Callable[[BacklogCounted], Any]) -> BacklogCounted:
    """Wait for the first count from now on that fulfils the condition."""
    observed.clear()
    async with asyncio.timeout(PATIENCE):
        while True:
            for event in observed:
                if isinstance(event, BacklogCounted) and condition(event):
                    return event
            await asyncio.sleep(0.01)


async def gone(period: Connection[Any]) -> None:
    """Wait until the monitor has closed its connection."""
    async with asyncio.timeout(PATIENCE):
        while True:
            if not period.execute(MONITOR.encode()).fetchall():
                return
            await asyncio.sleep(0.01)


async def test_monitor_counts_stale_and_failing_pairs(period: Connection[Any], dsn: str) -> None:
    observed: list[Event] = []
    async with monitor_backlog(dsn, observed.append, every=0.01):
        assert await counted(observed, lambda _: True) == BacklogCounted(0)
        period.execute(BAD_FLAG.encode())
        stale = await counted(observed, lambda count: count.stale_pairs)
        assert (stale.stale_pairs, stale.failing, stale.error) == (1, 0, "")
        assert 0 < stale.seconds_stale < PATIENCE
        period.execute("select gaq.record_failure(1, 501, 'division by zero', '22012')")
        failing = await counted(observed, lambda count: count.failing)
        assert (failing.stale_pairs, failing.failing, failing.error) == (1, 1, "division by zero")
    await gone(period)


async def test_monitor_reports_a_lost_connection_and_recovers(period: Connection[Any], dsn: str) -> None:
    observed: list[Event] = []
    async with monitor_backlog(dsn, observed.append, every=0.01):
        await counted(observed, lambda count: count.stale_pairs == 0)
        period.execute(f"select pg_terminate_backend(pid) from ({MONITOR}) ours".encode())
        await counted(observed, lambda count: count.stale_pairs is None)
        await counted(observed, lambda count: count.stale_pairs == 0)


async def test_monitor_disconnects_while_the_worker_is_at_rest(period: Connection[Any], dsn: str) -> None:
    observed: list[Event] = []
    async with monitor_backlog(dsn, observed.append, every=0.01) as observe:
        await counted(observed, lambda count: count.stale_pairs == 0)
        # A count of the monitor itself does not say that the worker is at rest.
        assert len(period.execute(MONITOR.encode()).fetchall()) == 1
        observe(BacklogCounted(0))
        await gone(period)
        period.execute(BAD_FLAG.encode())
        observed.clear()
        await asyncio.sleep(0.1)
        assert observed == []
        observe(Idle())
        await counted(observed, lambda count: count.stale_pairs == 1)


async def test_monitor_reports_no_count_where_it_cannot_count(bare_dsn: str) -> None:
    observed: list[Event] = []
    for dsn in (bare_dsn, "host=/nonexistent", "no=such"):
        async with monitor_backlog(dsn, observed.append, every=0.01):
            await counted(observed, lambda count: count.stale_pairs is None)
