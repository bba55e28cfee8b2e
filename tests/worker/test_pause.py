"""Test that a pause holds for every worker, and loses nothing."""

from typing import Any

import pytest
from psycopg import Connection

from gaq_listen.errors import GaqListenError
from gaq_listen.settings import WorkerSettings
from gaq_listen.worker import events
from gaq_listen.worker.worker import Worker
from tests.conftest import Connect
from tests.support.small_period import BAD_FLAG
from tests.support.worker_harness import asleep, running_worker, stale

NEVER = 3600.0


async def test_all_workers_pause_and_resume(period: Connection[Any], dsn: str) -> None:
    async with running_worker(dsn, sweep=NEVER) as first, running_worker(dsn, sweep=NEVER) as second:
        await first.until(lambda: asleep(period))
        period.execute("select gaq.pause('a test', 'me')")
        for work in (first, second):
            (paused,) = await work.until(lambda: work.of(events.Paused))  # noqa: B023
            assert (paused.by, paused.reason) == ("me", "a test")
        await first.until(lambda: not asleep(period))  # So nobody rings meanwhile.
        period.execute(BAD_FLAG, (1, 501))
        assert stale(period) == 1
        period.execute("select gaq.resume()")
        for work in (first, second):
            (resumed,) = await work.until(lambda: work.of(events.Resumed))  # noqa: B023
            assert resumed.after > 0
        await first.until(lambda: stale(period) == 0)


async def test_worker_that_starts_during_a_pause_is_paused(period: Connection[Any], dsn: str) -> None:
    period.execute("select gaq.pause()")
    period.execute(BAD_FLAG, (1, 501))
    async with running_worker(dsn, sweep=NEVER) as work:
        # A paused worker still says whether anything is stale.
        await work.until(lambda: work.of(events.Idle))
        assert work.of(events.Paused)
        assert not work.of(events.BatchRefreshed) + work.of(events.BacklogCounted)
        assert stale(period) == 1
        period.execute("select gaq.resume()")
        assert (await work.until(lambda: work.of(events.BacklogCounted)))[0] == events.BacklogCounted(0)
        assert stale(period) == 0


async def test_once_raises_during_a_pause(period: Connection[Any], dsn: str) -> None:
    period.execute("select gaq.pause(null, 'me')")
    period.execute(BAD_FLAG, (1, 501))
    with pytest.raises(GaqListenError, match="paused by me"):
        await Worker(WorkerSettings(dsn=dsn, once=True), lambda _: None).run()


def test_batch_is_in_flight_until_its_commit(period: Connection[Any], connect: Connect) -> None:
    period.execute(BAD_FLAG, (1, 501))
    worker = connect()
    worker.execute("select from gaq.refresh()")
    period.execute("select gaq.pause()")
    assert period.execute("select gaq.batches_in_flight()").fetchone() == (1,)
    worker.commit()
    assert period.execute("select gaq.batches_in_flight()").fetchone() == (0,)


def test_refresh_in_an_open_transaction_sees_a_later_pause(period: Connection[Any], connect: Connect) -> None:
    """Check a refresh whose transaction began before the pause: it checks for a pause in a statement of its own."""
    period.execute(BAD_FLAG, (1, 501))
    worker = connect()
    worker.execute("select 1")
    period.execute("select gaq.pause()")
    assert worker.execute("select from gaq.refresh()").fetchall() == []
    assert stale(period) == 1


def test_pause_and_resume_return_whether_they_changed_anything(period: Connection[Any]) -> None:
    answers = [
        period.execute(f"select gaq.{call}()".encode()).fetchone() for call in ("pause", "pause", "resume", "resume")
    ]
    assert answers == [(True,), (False,), (True,), (False,)]
