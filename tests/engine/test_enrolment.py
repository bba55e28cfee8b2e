"""Workers are known by name, with what they do, while they are there."""

from typing import Any

import psycopg
import pytest
from psycopg import Connection

from gaq_listen import events
from gaq_listen.errors import GaqListenError
from gaq_listen.settings import WorkerSettings
from gaq_listen.worker import Worker
from tests.engine.working import asleep, stale, until, working
from tests.small_period import BAD_FLAG

NEVER = 3600.0
TERMINATE = (
    "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'gaq-listen%'"
    " and datname = current_database()"
)


def workers(db: Connection[Any], columns: str = "name, state") -> list[Any]:
    return db.execute(
        f"select {columns} from gaq.workers where gaq.is_there(backend_pid) order by name".encode()
    ).fetchall()


async def test_it_shows_with_its_state_and_is_gone_when_it_stops(period: Connection[Any], dsn: str) -> None:
    async with working(dsn, sweep=NEVER, name="a") as first:
        await first.until(lambda: workers(period) == [("a", "listening")])
        async with working(dsn, sweep=NEVER, name="b") as second:
            await second.until(lambda: workers(period) == [("a", "listening"), ("b", "listening")])
            period.execute("select gaq.pause()")
            await second.until(lambda: workers(period) == [("a", "paused"), ("b", "paused")])
        assert workers(period) == [("a", "paused")]
    assert period.execute("select count(*) from gaq.workers").fetchone() == (0,)


async def test_a_sweep_reports_what_it_found_and_what_was_done(period: Connection[Any], dsn: str) -> None:
    async with working(dsn, sweep=1.0, name="a") as work:
        await work.until(lambda: asleep(period))
        period.execute(BAD_FLAG, (1, 501))
        await work.until(lambda: workers(period, "pairs, batches, swept_found, found_by_sweeps") == [(1, 1, 0, 0)])
        with psycopg.connect(dsn, autocommit=True) as silent:
            silent.execute("set gaq.bell = off")
            while not any(swept.found for swept in work.of(events.Swept)):
                silent.execute(BAD_FLAG, (1, 501))
                await work.until(lambda: stale(period) == 0)
        await work.until(lambda: workers(period, "found_by_sweeps > 0") == [(True,)])


async def test_two_of_one_name_are_refused(period: Connection[Any], dsn: str) -> None:
    # Somebody else's: the same process may come again, while its old backend lingers.
    with psycopg.connect(dsn, autocommit=True, application_name="gaq-listen worker") as other:
        other.execute("select gaq.enroll('a', 'elsewhere', 7)")
        with pytest.raises(GaqListenError, match=r"another worker is called a: process 7 on elsewhere.*--name"):
            await Worker(WorkerSettings(dsn=dsn, name="a", once=True), lambda _: None).run()
    until(lambda: workers(period) == [])
    await Worker(WorkerSettings(dsn=dsn, name="a", once=True), lambda _: None).run()


async def test_it_does_not_wait_for_a_name_that_is_held(period: Connection[Any], dsn: str) -> None:
    """As by a session of its own that stands still in the middle of telling its state."""
    async with working(dsn, sweep=NEVER, name="a") as work:
        await work.until(lambda: workers(period) == [("a", "listening")])
        with psycopg.connect(dsn) as frozen:
            frozen.execute("select from gaq.workers for update")
            period.execute(TERMINATE)
            await work.until(lambda: work.of(events.Reconnected))
            period.execute(BAD_FLAG, (1, 501))
            await work.until(lambda: work.of(events.Batch) and asleep(period))
            assert len(work.of(events.Disconnected)) == 1
        # With the next state that it tells, it is there.
        period.execute("select gaq.pause()")
        await work.until(lambda: workers(period) == [("a", "paused")])


async def test_one_that_reconnects_keeps_its_name(period: Connection[Any], dsn: str) -> None:
    async with working(dsn, sweep=NEVER, name="a") as work:
        await work.until(lambda: workers(period) == [("a", "listening")])
        since = workers(period, "started_at")
        period.execute(TERMINATE)
        await work.until(lambda: work.of(events.Reconnected) and workers(period) == [("a", "listening")])
        assert workers(period, "started_at") == since
