"""Test the interface for applications: a worker in their event loop, and values that are never stale."""

from __future__ import annotations

import asyncio
import json
import re
import runpy
from collections.abc import AsyncIterator, Callable
from contextlib import closing, suppress
from dataclasses import FrozenInstanceError
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection, Connection

import gaq_listen
from gaq_listen import (
    BackgroundWorker,
    DatabaseUnreachable,
    ElementaryPeriod,
    GaqListenError,
    NotInstalled,
    WorkerSettings,
    live_summaries,
    periods,
    refreshes,
)
from gaq_listen.worker import events
from tests.support.small_period import BAD_FLAG
from tests.support.uncomputable_pairs import ERROR, poison
from tests.support.waiting import PATIENCE
from tests.support.worker_harness import asleep, stale

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
async def connection(dsn: str) -> AsyncIterator[AsyncConnection[Any]]:
    """Open the connection of the application."""
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        await connection.execute("set timezone = 'UTC'")
        yield connection


async def soon(condition: Callable[[], object]) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(PATIENCE):
        while True:
            if condition():
                return
            await asyncio.sleep(0.01)


async def until_fresh(db: Connection[Any]) -> None:
    await soon(lambda: not stale(db))


async def test_background_worker_runs_in_the_loop_and_stops(period: Connection[Any], dsn: str) -> None:
    told: list[events.Event] = []
    async with BackgroundWorker(WorkerSettings(dsn=dsn), told.append) as worker:
        was_running = worker.running
        assert any(isinstance(event, events.Listening) for event in told)
        period.execute(BAD_FLAG, (1, 501))
        await until_fresh(period)
        await soon(lambda: any(isinstance(event, events.BatchRefreshed) for event in told))
    assert (was_running, worker.running) == (True, False)
    assert isinstance(told[-1], events.Stopped)
    assert period.execute("select count(*) from gaq.workers").fetchone() == (0,)
    assert not asleep(period)


async def test_background_worker_is_started_only_once(period: Connection[Any], dsn: str) -> None:
    worker = BackgroundWorker(WorkerSettings(dsn=dsn))
    await worker.stop()
    assert not worker.running
    await worker.start()
    with pytest.raises(GaqListenError, match="started once"):
        await worker.start()
    await worker.stop()
    await worker.stop()
    assert not worker.running


async def test_start_raises_if_the_worker_cannot_work(bare_dsn: str) -> None:
    with pytest.raises(NotInstalled, match="gaq-listen install"):
        await BackgroundWorker(WorkerSettings(dsn=bare_dsn)).start()
    with pytest.raises(DatabaseUnreachable):
        async with BackgroundWorker(WorkerSettings(dsn="host=/nonexistent")):
            pytest.fail("it has started")


async def test_once_drains_and_ends(period: Connection[Any], dsn: str) -> None:
    period.execute(BAD_FLAG, (1, 501))
    worker = BackgroundWorker(WorkerSettings(dsn=dsn, once=True))
    await worker.start()
    await worker.wait()
    assert stale(period) == 0


async def test_error_of_the_body_is_raised_and_the_worker_stops(period: Connection[Any], dsn: str) -> None:
    with pytest.raises(ZeroDivisionError):
        async with BackgroundWorker(WorkerSettings(dsn=dsn)) as worker:
            raise ZeroDivisionError
    assert not worker.running


async def test_cancelled_wait_does_not_stop_the_worker(period: Connection[Any], dsn: str) -> None:
    async with BackgroundWorker(WorkerSettings(dsn=dsn)) as worker:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await worker.wait()
        assert worker.running
        period.execute(BAD_FLAG, (1, 501))
        await until_fresh(period)


async def test_live_summaries_and_periods_return_frozen_values(
    period: Connection[Any], connection: AsyncConnection[Any]
) -> None:
    period.execute(BAD_FLAG, (1, 501))
    poison(period, 1, 502)
    found = {summary.run_number: summary for summary in await live_summaries(connection, 1)}
    assert [summary.computed_now for summary in found.values()] == [True, False, False, False, False]
    assert (found[501].bad_run_coverage, found[501].invalidated_at) == (1.0, None)
    assert ERROR in (found[502].error or "")
    assert found[502].invalidated_at is not None
    assert [summary.run_number for summary in await live_summaries(connection, 1, [505, 503])] == [503, 505]
    (bad,) = await periods(connection, 1, 501)
    start = datetime(2026, 1, 1, 2, tzinfo=UTC)
    (newest,) = period.execute("select max(id) from qc_flags").fetchall()
    assert bad == ElementaryPeriod(start, start.replace(hour=3), "bad", bad.flag_ids, bad.flag_ids, ())
    assert newest[0] in bad.flag_ids
    assert hash(bad)
    with pytest.raises(FrozenInstanceError):
        bad.quality = "good"  # type: ignore[misc]
    assert await periods(connection, 1, 999) == []


async def test_live_summaries_refuses_too_many_stale_runs(
    period: Connection[Any], connection: AsyncConnection[Any]
) -> None:
    period.execute(
        "insert into runs (run_number) select 10000 + n from generate_series(1, 1001) n;"
        "insert into data_pass_runs select 1, 10000 + n from generate_series(1, 1001) n"
    )
    with pytest.raises(GaqListenError, match=r"1001 runs .* at most 1000 .*name fewer runs"):
        await live_summaries(connection, 1)


async def test_refreshes_yields_refreshed_pairs(
    period: Connection[Any], dsn: str, connection: AsyncConnection[Any]
) -> None:
    refreshed = await refreshes(connection)
    async with BackgroundWorker(WorkerSettings(dsn=dsn)):
        period.execute(BAD_FLAG, (1, 501))
        async with asyncio.timeout(PATIENCE):
            assert await anext(refreshed) == [(1, 501)]


async def test_example_of_the_docs_reports_a_flag(period: Connection[Any], dsn: str) -> None:
    """Run the example unchanged, and wait until it has told a user of a flag."""
    example = runpy.run_path(str(DOCS / "examples" / "service.py"))
    port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    service = asyncio.create_task(example["serve"](dsn, 0, port.set_result))
    try:
        async with asyncio.timeout(PATIENCE):
            await asyncio.wait((service, port), return_when=asyncio.FIRST_COMPLETED)
            reader, writer = await asyncio.open_connection("127.0.0.1", port.result())
            _, other = await asyncio.open_connection("127.0.0.1", port.result())
            other.close()
            with closing(writer):
                # The user may connect after a flag was reported, so insert flags until the user hears of one.
                line: asyncio.Task[bytes] = asyncio.create_task(reader.readline())
                while not line.done():
                    period.execute(BAD_FLAG, (1, 501))
                    await asyncio.wait({line}, timeout=0.2)
            told = json.loads(line.result())
        assert (told["data_pass_id"], told["run_number"], told["bad_run_coverage"]) == (1, 501, 1.0)
        assert [found["quality"] for found in told["periods"]] == ["bad"]
    finally:
        service.cancel()
        with suppress(asyncio.CancelledError):
            async with asyncio.timeout(PATIENCE):
                await service
    assert period.execute("select count(*) from gaq.workers").fetchone() == (0,)


def test_docs_name_every_public_name() -> None:
    page = (DOCS / "python.md").read_text()
    for name in set(gaq_listen.__all__) - {"__version__"}:
        assert re.search(rf"`[^`]*\b{name}\b", page), name
