"""The shift changes what it says it changes, and how long it takes until that is fresh is measured rightly."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import pytest
from psycopg import AsyncConnection, Connection

from gaq_listen.demo.freshness import Freshness, Measured
from gaq_listen.demo.period import Pair, Period, fill
from gaq_listen.demo.shift import MIX, Change, Shift
from gaq_listen.errors import DatabaseUnreachable, GaqListenError
from tests.support.tables import computed, drain, stale, stored

Invalidate: TypeAlias = Callable[[], Change]

FAST = 1000.0
CHANGES = 600
TERMINATE = """
select pg_terminate_backend(pid, 5000) from pg_stat_activity
where datname = current_database() and application_name = %s
"""


@pytest.fixture
def period(db: Connection[Any]) -> Period:
    """A small period, all fresh."""
    filled = fill(db, runs_per_pass=10)
    drain(db)
    return filled


@asynccontextmanager
async def draining(dsn: str) -> AsyncIterator[None]:
    """Refreshes in a loop what is stale: a worker at its simplest."""
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


async def some_changes(dsn: str, period: Period, how_many: int, seed: int = 0) -> list[Change]:
    """So many changes of a shift, one after the other."""
    made: list[Change] = []
    stop = asyncio.Event()

    def told(change: Change) -> None:
        made.append(change)
        if len(made) == how_many:
            stop.set()

    await Shift(dsn, period, random.Random(seed), FAST, told).run(stop)
    return made


async def test_everything_that_was_changed_becomes_fresh(db: Connection[Any], dsn: str, period: Period) -> None:
    stop = asyncio.Event()

    def told(change: Change) -> None:
        freshness.note(change)
        if shift.changes.total() == CHANGES:
            stop.set()

    shift = Shift(dsn, period, random.Random(3), 300, told)
    async with draining(dsn), Freshness(dsn) as freshness:
        await shift.run(stop)
        measured = await freshness.settle()

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


async def test_changes_name_the_pairs_they_make_stale(db: Connection[Any], dsn: str, period: Period) -> None:
    stop = asyncio.Event()
    seen = set()

    def told(change: Change) -> None:
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
        await Shift(dsn, period, random.Random(1), FAST, told).run(stop)


async def test_same_chance_makes_the_same_changes(
    db: Connection[Any], dsn: str, bare_db: Connection[Any], bare_dsn: str, period: Period
) -> None:
    assert fill(bare_db, runs_per_pass=10) == period
    first = await some_changes(dsn, period, 100)
    again = await some_changes(bare_dsn, period, 100)
    assert [(c.kind, c.pairs) for c in first] == [(c.kind, c.pairs) for c in again]
    assert all(c.begun < c.committed for c in first)


async def test_changes_come_at_the_rate_asked_for(dsn: str, period: Period) -> None:
    shift = Shift(dsn, period, random.Random(0), rate=50)
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(1.5, stop.set)
    await shift.run(stop)
    assert 35 < shift.changes.total() < 115


async def test_stopping_does_not_wait_for_the_next_change(dsn: str, period: Period) -> None:
    shift = Shift(dsn, period, random.Random(0), rate=0.001)
    stop = asyncio.Event()
    asyncio.get_running_loop().call_later(0.05, stop.set)
    async with asyncio.timeout(5):
        await shift.run(stop)
    assert shift.changes.total() == 0


async def test_what_somebody_else_has_removed_is_left_alone(db: Connection[Any], dsn: str, period: Period) -> None:
    db.execute("delete from qc_flags")
    db.execute("delete from data_pass_runs")
    drain(db)
    made = await some_changes(dsn, period, 150)
    touched: set[Pair] = set().union(*(c.pairs for c in made if c.kind in ("flag deleted", "run left data pass")))
    assert len(touched) < 20


async def test_refused_change_is_an_error(db: Connection[Any], dsn: str, period: Period) -> None:
    db.execute("alter table qc_flags add constraint closed check (false) not valid")
    with pytest.raises(GaqListenError, match=r"shift failed \(\w.*\): .*\"closed\""):
        await some_changes(dsn, period, 100)


async def test_lost_connection_is_an_error(db: Connection[Any], dsn: str, period: Period) -> None:
    def told(_: Change) -> None:
        db.execute(TERMINATE, ["gaq-listen shift"])

    with pytest.raises(DatabaseUnreachable, match="shift failed"):
        await Shift(dsn, period, random.Random(0), FAST, told).run(asyncio.Event())


async def test_no_connection_is_an_error(period: Period) -> None:
    dsn = "host=/nowhere dbname=nothing"
    with pytest.raises(DatabaseUnreachable):
        await Shift(dsn, period, random.Random(0)).run(asyncio.Event())
    with pytest.raises(DatabaseUnreachable):
        async with Freshness(dsn):
            pass


@pytest.fixture
def invalidate(db: Connection[Any], period: Period) -> Invalidate:
    """Makes a pair stale."""

    def change() -> Change:
        begun = time.monotonic()
        db.execute("insert into gaq_summaries (data_pass_id, run_number) values (%s, %s)", some_pair(period))
        return Change("by hand", frozenset({some_pair(period)}), begun, time.monotonic())

    return change


def some_pair(period: Period) -> Pair:
    data_pass = period.data_passes[0]
    return data_pass.id, data_pass.run_numbers[0]


async def test_nothing_changed_is_nothing_measured(dsn: str, period: Period) -> None:
    async with Freshness(dsn) as freshness:
        assert await freshness.settle() == Measured(0, 0, None, None, None, 0)
        freshness.note(Change("comment", frozenset(), 0, 0))
        assert await freshness.settle() == Measured(1, 0, None, None, None, 0)


async def test_announcement_of_an_older_refresh_does_not_count(
    db: Connection[Any], dsn: str, period: Period, invalidate: Invalidate
) -> None:
    async with Freshness(dsn) as freshness:
        freshness.note(invalidate())
        db.execute("select gaq.announce(array[%s], array[%s])", some_pair(period))
        measured = await freshness.settle(timeout=0.2)
        assert (measured.pairs, measured.outstanding) == (0, 1)

        drain(db)
        measured = await freshness.settle()
        assert (measured.pairs, measured.outstanding) == (1, 0)
        assert measured.max_ms is not None
        assert measured.max_ms >= 200


async def test_announcement_may_come_before_the_news_of_the_commit(
    db: Connection[Any], dsn: str, invalidate: Invalidate
) -> None:
    async with Freshness(dsn) as freshness:
        change = invalidate()
        drain(db)
        await asyncio.sleep(0.05)
        freshness.note(change)
        measured = await freshness.settle()
        assert (measured.pairs, measured.outstanding) == (1, 0)


async def test_each_change_of_a_pair_is_measured_from_its_own_commit(
    db: Connection[Any], dsn: str, invalidate: Invalidate
) -> None:
    async with Freshness(dsn) as freshness:
        for _ in range(3):
            freshness.note(invalidate())
            await asyncio.sleep(0.1)
        drain(db)
        measured = await freshness.settle()
    assert measured.pairs == 3
    assert measured.p50_ms is not None
    assert measured.max_ms is not None
    assert measured.max_ms - measured.p50_ms > 90


async def test_lost_connection_ends_the_measurement(db: Connection[Any], dsn: str, invalidate: Invalidate) -> None:
    async with Freshness(dsn) as freshness:
        freshness.note(invalidate())
        db.execute(TERMINATE, ["gaq-listen demo, listening"])
        with pytest.raises(DatabaseUnreachable, match="freshness"):
            await freshness.settle()
