"""Test that the shift makes the changes that it reports, and that the meter measures how long pairs stay stale."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import pytest
from psycopg import AsyncConnection, Connection

from gaq_listen.demo.freshness import FreshnessMeter, FreshnessResult
from gaq_listen.demo.period import Pair, Period, fill
from gaq_listen.demo.shift import MIX, Shift, SimulatedChange
from gaq_listen.errors import DatabaseUnreachable, GaqListenError
from tests.support.tables import computed, drain, stale, stored

Invalidate: TypeAlias = Callable[[], SimulatedChange]

FAST = 1000.0
CHANGES = 600
TERMINATE = """
select pg_terminate_backend(pid, 5000) from pg_stat_activity
where datname = current_database() and application_name = %s
"""


@pytest.fixture
def period(db: Connection[Any]) -> Period:
    """Fill in a small period, and compute all its pairs."""
    filled = fill(db, runs_per_pass=10)
    drain(db)
    return filled


@asynccontextmanager
async def refreshing(dsn: str) -> AsyncIterator[None]:
    """Refresh stale pairs in a loop, as a worker does."""
    connection = await AsyncConnection.connect(dsn, autocommit=True, prepare_threshold=None)

    async def loop() -> None:
        while True:
            cursor = await connection.execute("select * from gaq.refresh(100)")
            if not await cursor.fetchall():
                await asyncio.sleep(0.002)

    async with connection:
        task = asyncio.create_task(loop())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def some_changes(dsn: str, period: Period, how_many: int, seed: int = 0) -> list[SimulatedChange]:
    """Let a shift make ``how_many`` changes, and return them."""
    made: list[SimulatedChange] = []
    stop = asyncio.Event()

    def on_change(change: SimulatedChange) -> None:
        made.append(change)
        if len(made) == how_many:
            stop.set()

    await Shift(dsn, period, random.Random(seed), FAST, on_change).run(stop)
    return made


async def test_shift_every_changed_pair_becomes_fresh(db: Connection[Any], dsn: str, period: Period) -> None:
    stop = asyncio.Event()

    def on_change(change: SimulatedChange) -> None:
        meter.record(change)
        if shift.changes.total() == CHANGES:
            stop.set()

    shift = Shift(dsn, period, random.Random(3), 300, on_change)
    async with refreshing(dsn), FreshnessMeter(dsn) as meter:
        await shift.run(stop)
        measured = await meter.settle()

    assert set(shift.changes) == set(MIX)
    assert measured.changes == shift.changes.total() == CHANGES
    assert measured.outstanding == 0
    assert measured.pairs > CHANGES / 2
    assert measured.p50_ms is not None
    assert measured.p99_ms is not None
    assert measured.max_ms is not None
    assert 0 < measured.p50_ms <= measured.p99_ms <= measured.max_ms

    assert stale(db) == set()
    pairs = db.execute("select data_pass_id, run_number from data_pass_runs").fetchall()
    assert stored(db) == computed(db, pairs)


async def test_shift_reports_the_pairs_that_a_change_makes_stale(db: Connection[Any], dsn: str, period: Period) -> None:
    stop = asyncio.Event()
    seen = set()

    def on_change(change: SimulatedChange) -> None:
        marked = db.execute(
            "select data_pass_id, run_number from gaq.pending"
            " where exists (select from data_pass_runs p where (p.data_pass_id, p.run_number) ="
            " (pending.data_pass_id, pending.run_number)) or (data_pass_id, run_number) in"
            " (select * from unnest(%s::int[], %s::int[]))",
            [[p for p, _ in change.pairs], [run for _, run in change.pairs]],
        ).fetchall()
        assert set(marked) == change.pairs, change.kind
        db.execute("delete from gaq.invalidations")
        db.execute("delete from gaq.wide_invalidations")
        seen.add(change.kind)
        if seen == set(MIX):
            stop.set()

    async with asyncio.timeout(30):
        await Shift(dsn, period, random.Random(1), FAST, on_change).run(stop)


async def test_shift_same_seed_makes_the_same_changes(
    db: Connection[Any], dsn: str, bare_db: Connection[Any], bare_dsn: str, period: Period
) -> None:
    assert fill(bare_db, runs_per_pass=10) == period
    first = await some_changes(dsn, period, 100)
    again = await some_changes(bare_dsn, period, 100)
    assert [(c.kind, c.pairs) for c in first] == [(c.kind, c.pairs) for c in again]
    assert all(c.begun < c.committed for c in first)


async def test_shift_makes_changes_at_the_given_rate(dsn: str, period: Period) -> None:
    shift = Shift(dsn, period, random.Random(0), rate=50)
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(1.5, stop.set)
    await shift.run(stop)
    assert 35 < shift.changes.total() < 115


async def test_shift_stops_without_waiting_for_the_next_change(dsn: str, period: Period) -> None:
    shift = Shift(dsn, period, random.Random(0), rate=0.001)
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(0.05, stop.set)
    async with asyncio.timeout(5):
        await shift.run(stop)
    assert shift.changes.total() == 0


async def test_shift_does_not_change_rows_that_others_deleted(db: Connection[Any], dsn: str, period: Period) -> None:
    db.execute("delete from qc_flags")
    db.execute("delete from data_pass_runs")
    drain(db)
    made = await some_changes(dsn, period, 150)
    touched: set[Pair] = set().union(*(c.pairs for c in made if c.kind in ("flag deleted", "run left data pass")))
    assert len(touched) < 20


async def test_shift_refused_change_is_an_error(db: Connection[Any], dsn: str, period: Period) -> None:
    db.execute("alter table qc_flags add constraint closed check (false) not valid")
    with pytest.raises(GaqListenError, match=r"shift failed \(\w.*\): .*\"closed\""):
        await some_changes(dsn, period, 100)


async def test_shift_lost_connection_is_an_error(db: Connection[Any], dsn: str, period: Period) -> None:
    def on_change(_: SimulatedChange) -> None:
        db.execute(TERMINATE, ["gaq-listen shift"])

    with pytest.raises(DatabaseUnreachable, match="shift failed"):
        await Shift(dsn, period, random.Random(0), FAST, on_change).run(asyncio.Event())


async def test_demo_no_connection_is_an_error(period: Period) -> None:
    dsn = "host=/nowhere dbname=nothing"
    with pytest.raises(DatabaseUnreachable):
        await Shift(dsn, period, random.Random(0)).run(asyncio.Event())
    with pytest.raises(DatabaseUnreachable):
        async with FreshnessMeter(dsn):
            pass


@pytest.fixture
def invalidate(db: Connection[Any], period: Period) -> Invalidate:
    """Return a function that makes a pair stale."""

    def change() -> SimulatedChange:
        begun = time.monotonic()
        db.execute("insert into gaq_summaries (data_pass_id, run_number) values (%s, %s)", some_pair(period))
        return SimulatedChange("by hand", frozenset({some_pair(period)}), begun, time.monotonic())

    return change


def some_pair(period: Period) -> Pair:
    data_pass = period.data_passes[0]
    return data_pass.id, data_pass.run_numbers[0]


async def test_meter_without_changes_measures_nothing(dsn: str, period: Period) -> None:
    async with FreshnessMeter(dsn) as meter:
        assert await meter.settle() == FreshnessResult(0, 0, None, None, None, 0)
        meter.record(SimulatedChange("comment", frozenset(), 0, 0))
        assert await meter.settle() == FreshnessResult(1, 0, None, None, None, 0)


async def test_meter_ignores_an_announcement_of_an_older_refresh(
    db: Connection[Any], dsn: str, period: Period, invalidate: Invalidate
) -> None:
    async with FreshnessMeter(dsn) as meter:
        meter.record(invalidate())
        db.execute("select gaq.announce(array[%s], array[%s])", some_pair(period))
        measured = await meter.settle(timeout=0.2)
        assert (measured.pairs, measured.outstanding) == (0, 1)

        drain(db)
        measured = await meter.settle()
        assert (measured.pairs, measured.outstanding) == (1, 0)
        assert measured.max_ms is not None
        assert measured.max_ms >= 200


async def test_meter_counts_an_announcement_before_the_record(
    db: Connection[Any], dsn: str, invalidate: Invalidate
) -> None:
    async with FreshnessMeter(dsn) as meter:
        change = invalidate()
        drain(db)
        await asyncio.sleep(0.05)
        meter.record(change)
        measured = await meter.settle()
        assert (measured.pairs, measured.outstanding) == (1, 0)


async def test_meter_measures_each_change_from_its_own_commit(
    db: Connection[Any], dsn: str, invalidate: Invalidate
) -> None:
    async with FreshnessMeter(dsn) as meter:
        for _ in range(3):
            meter.record(invalidate())
            await asyncio.sleep(0.1)
        drain(db)
        measured = await meter.settle()
    assert measured.pairs == 3
    assert measured.p50_ms is not None
    assert measured.max_ms is not None
    assert measured.max_ms - measured.p50_ms > 90


async def test_meter_lost_connection_is_an_error(db: Connection[Any], dsn: str, invalidate: Invalidate) -> None:
    async with FreshnessMeter(dsn) as meter:
        meter.record(invalidate())
        db.execute(TERMINATE, ["gaq-listen demo, listening"])
        with pytest.raises(DatabaseUnreachable, match="freshness"):
            await meter.settle()
