"""Test that workers are known by name and state while they are connected."""

import os
import re
import socket
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from gaq_listen.db import sessions
from gaq_listen.db.watchdog import backend_pid, backend_probe, watched
from gaq_listen.dba import doctor
from gaq_listen.errors import GaqListenError
from gaq_listen.settings import WorkerSettings
from gaq_listen.worker import events
from gaq_listen.worker.worker import Worker
from tests.support.small_period import BAD_FLAG
from tests.support.waiting import until
from tests.support.worker_harness import asleep, running_worker, stale

NEVER = 3600.0
TERMINATE = (
    "select pg_terminate_backend(pid) from pg_stat_activity where application_name like 'gaq-listen%'"
    " and datname = current_database()"
)


def workers(db: Connection[Any], columns: str = "name, state") -> list[Any]:
    return db.execute(
        f"select {columns} from gaq.workers where gaq.backend_exists(backend_pid) order by name".encode()
    ).fetchall()


async def test_worker_is_registered_with_its_state_until_it_stops(period: Connection[Any], dsn: str) -> None:
    async with running_worker(dsn, sweep=NEVER, name="a") as first:
        await first.until(lambda: workers(period) == [("a", "listening")])
        async with running_worker(dsn, sweep=NEVER, name="b") as second:
            await second.until(lambda: workers(period) == [("a", "listening"), ("b", "listening")])
            period.execute("select gaq.pause()")
            await second.until(lambda: workers(period) == [("a", "paused"), ("b", "paused")])
        assert workers(period) == [("a", "paused")]
    assert period.execute("select count(*) from gaq.workers").fetchone() == (0,)


async def test_sweep_reports_the_counts(period: Connection[Any], dsn: str) -> None:
    async with running_worker(dsn, sweep=1.0, name="a") as work:
        await work.until(lambda: asleep(period))
        period.execute(BAD_FLAG, (1, 501))

        def counts() -> list[tuple[int, ...]]:
            """Return the counts by the events. The sweep finds the pair if it comes just before the ring."""
            batches, swept = work.of(events.BatchRefreshed), [swept.found for swept in work.of(events.Swept)]
            return [(sum(len(batch.pairs) for batch in batches), len(batches), *swept[-1:], sum(swept))]

        columns = "pairs, batches, swept_found, found_by_sweeps"
        await work.until(lambda: work.of(events.BatchRefreshed) and workers(period, columns) == counts())
        assert counts()[0][:2] == (1, 1)
        with psycopg.connect(dsn, autocommit=True) as silent:
            silent.execute("set gaq.bell = off")
            while not any(swept.found for swept in work.of(events.Swept)):
                silent.execute(BAD_FLAG, (1, 501))
                await work.until(lambda: stale(period) == 0)
        await work.until(lambda: workers(period, "found_by_sweeps > 0") == [(True,)])


async def test_second_worker_of_a_name_is_refused(period: Connection[Any], dsn: str) -> None:
    # A worker of another process: the same process may register again while its old backend lingers.
    with psycopg.connect(dsn, autocommit=True, application_name="gaq-listen worker") as other:
        other.execute("select gaq.register_worker('a', 'elsewhere', 7)")
        with pytest.raises(GaqListenError, match=r"another worker is called a: process 7 on elsewhere.*--name"):
            await Worker(WorkerSettings(dsn=dsn, name="a", once=True), lambda _: None).run()
    until(lambda: workers(period) == [])
    await Worker(WorkerSettings(dsn=dsn, name="a", once=True), lambda _: None).run()


async def test_worker_does_not_wait_for_its_locked_row(period: Connection[Any], dsn: str) -> None:
    """Check a worker whose row is locked by its own earlier backend, frozen in the middle of a report."""
    async with running_worker(dsn, sweep=NEVER, name="a") as work:
        await work.until(lambda: workers(period) == [("a", "listening")])
        with psycopg.connect(dsn) as frozen:
            frozen.execute("select from gaq.workers for update")
            period.execute(TERMINATE)
            await work.until(lambda: work.of(events.Reconnected))
            period.execute(BAD_FLAG, (1, 501))
            await work.until(lambda: work.of(events.BatchRefreshed) and asleep(period))
            assert len(work.of(events.Disconnected)) == 1
        # The next report registers the worker.
        period.execute("select gaq.pause()")
        await work.until(lambda: workers(period) == [("a", "paused")])


async def test_worker_that_reconnects_keeps_its_name(period: Connection[Any], dsn: str) -> None:
    async with running_worker(dsn, sweep=NEVER, name="a") as work:
        await work.until(lambda: workers(period) == [("a", "listening")])
        since = workers(period, "started_at")
        period.execute(TERMINATE)
        await work.until(lambda: work.of(events.Reconnected) and workers(period) == [("a", "listening")])
        assert workers(period, "started_at") == since


async def test_workers_of_one_host_and_process_get_two_names(
    period: Connection[Any], dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Check two containers of one host name, each of which runs its worker as process 1."""
    monkeypatch.setattr(socket, "gethostname", lambda: "container")
    monkeypatch.setattr(os, "getpid", lambda: 1)
    async with running_worker(dsn, sweep=NEVER) as first, running_worker(dsn, sweep=NEVER) as second:
        await second.until(lambda: len(workers(period)) == 2)
        one, other = (work.of(events.Started)[0].worker for work in (first, second))
        assert one == "container:1"
        assert re.fullmatch(r"container:1:[0-9a-f]{4}", other)
        assert [row[0] for row in workers(period)] == [one, other]
        # They keep their names when both connect again.
        period.execute(TERMINATE)
        await first.until(lambda: first.of(events.Reconnected) and second.of(events.Reconnected))
        await second.until(lambda: workers(period) == [(one, "listening"), (other, "listening")])
    with pytest.raises(GaqListenError, match="another worker is called container:1"):
        async with running_worker(dsn, sweep=NEVER), running_worker(dsn, sweep=NEVER, name="container:1"):
            pass


@pytest.mark.parametrize("application", ["our worker", "gaq-listen worker - 10.0.0.1:4711", ""])
async def test_worker_is_known_by_its_backend_not_application_name(
    period: Connection[Any], dsn: str, application: str
) -> None:
    async with running_worker(f"{dsn} application_name='{application}'", sweep=NEVER, name="a") as work:
        await work.until(lambda: workers(period) == [("a", "listening")] and asleep(period))
        assert doctor.examine(period) == []
        with pytest.raises(GaqListenError, match="another worker is called a"):
            await Worker(WorkerSettings(dsn=dsn, name="a", once=True), lambda _: None).run()


def test_later_session_with_the_pid_of_a_worker_is_no_worker(period: Connection[Any]) -> None:
    period.execute("select gaq.register_worker('a', 'here', 7)")
    assert workers(period, "name") == [("a",)]
    period.execute("update gaq.workers set seen_at = now() - interval '1 day'")
    assert workers(period, "name") == []


async def test_watched_does_not_abort_if_activities_are_not_tracked(period: Connection[Any], dsn: str) -> None:
    connection = await sessions.connect(dsn, "gaq-listen worker")
    other = await sessions.connect(dsn, "gaq-listen doorbell")
    try:
        await connection.execute("set track_activities = off")
        probe = backend_probe(await backend_pid(connection), through=other)
        connection.response_timeout = 0.2

        async def work() -> int:
            cursor = await connection.execute("select 7 from pg_sleep(1)")
            (row,) = await cursor.fetchall()
            return int(row[0])

        assert await watched(work(), connection, probe) == 7
    finally:
        await connection.close()
        await other.close()


async def test_watched_says_how_long_a_lost_backend_has_not_answered(dsn: str) -> None:
    connection = await sessions.connect(dsn, "gaq-listen worker")
    connection.response_timeout = 0.2

    async def probe() -> None:
        """Answer as for a backend that is gone, and whose network lost the end of the connection."""

    try:
        with pytest.raises(TimeoutError, match=r"^the server has not answered for 0\.2 s, nor is it at work$"):
            await watched(connection.execute("select pg_sleep(3600)"), connection, probe)
    finally:
        await connection.close()
