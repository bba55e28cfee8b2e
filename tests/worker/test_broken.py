"""Test a worker that meets an error that trying again does not fix: it is broken, and not disconnected."""

import asyncio
from typing import Any

import psycopg
import pytest
from psycopg import Connection, errors

from gaq_listen.db.server_errors import explain, is_lasting
from gaq_listen.db.sessions import connect
from gaq_listen.errors import GaqListenError, NotInstalled
from gaq_listen.reports import status
from gaq_listen.settings import WorkerSettings
from gaq_listen.worker import events
from gaq_listen.worker.batching import BatchTimeouts
from gaq_listen.worker.refresher import Refresher
from gaq_listen.worker.worker import Worker
from tests.support.small_period import BAD_FLAG
from tests.support.waiting import PATIENCE
from tests.support.worker_harness import RunningWorker, asleep, differences, running_worker, stale
from tests.worker.test_isolation import SLOW

BAD_VALUES = """
alter table gaq.paused rename to elsewhere;
set role gaq_owner;
create view gaq.paused as select n from generate_series(1, 1) n where 1 / (n - 1) = 1;
"""
BREAKAGES = {
    "a view": ("alter view gaq.expanded_invalidations rename to elsewhere", 'relation "gaq.expanded_invalidations"'),
    "a function": ("alter function gaq.next_due rename to elsewhere", "function gaq.next_due"),
    "a column": ("alter table gaq.summaries rename seconds_stale to elsewhere", 'column "seconds_stale"'),
    "a right": ("revoke select on gaq.wide_invalidations from gaq_owner", "permission denied"),
    "a type": (BAD_VALUES, "division by"),
}
RUN_TIMES = "update runs set time_trg_end = time_o2_end - interval '5 min' where run_number = {}"
BREAK_EXPAND = "alter view gaq.expanded_invalidations rename to elsewhere"
REPAIR_EXPAND = "alter view gaq.elsewhere rename to expanded_invalidations"


@pytest.fixture
def wide_mark(period: Connection[Any]) -> Connection[Any]:
    """Return the small period, with a wide mark of a run."""
    period.execute(RUN_TIMES.format(503).encode())
    return period


@pytest.mark.parametrize("what", BREAKAGES)
async def test_once_raises_what_is_broken(wide_mark: Connection[Any], dsn: str, what: str) -> None:
    statement, said = BREAKAGES[what]
    wide_mark.execute(statement.encode())
    told: list[events.Event] = []
    with pytest.raises(GaqListenError, match=f"{said}.*gaq-listen doctor") as ended:
        await Worker(WorkerSettings(dsn=dsn, once=True), told.append).run()
    assert ended.value.exit_code == 1
    assert not [event for event in told if isinstance(event, events.Disconnected)]


async def test_broken_worker_stays_connected_and_recovers(period: Connection[Any], dsn: str) -> None:
    async with running_worker(dsn, sweep=3600.0, name="one") as work:
        await work.until(lambda: asleep(period))
        period.execute(BREAK_EXPAND)
        period.execute(RUN_TIMES.format(503).encode())
        (broken, *_) = await work.until(lambda: work.of(events.Broken))
        assert 'relation "gaq.expanded_invalidations" does not exist' in broken.reason
        assert "gaq-listen install" in broken.reason
        row = "select state, gaq.backend_exists(backend_pid) from gaq.workers where name = 'one'"
        await work.until(lambda: period.execute(row).fetchall() == [("broken", True)])
        # Writers do not ring for a worker that cannot work.
        assert period.execute("select count(*) from gaq.bell_holders").fetchone() == (0,)
        period.execute(REPAIR_EXPAND)
        await work.until(lambda: work.of(events.Repaired))
        await work.until(lambda: stale(period) == 0)
        await work.until(lambda: period.execute(row).fetchall() == [("listening", True)])
        assert not work.of(events.Disconnected)
        assert not work.of(events.Reconnected)
    assert differences(period) == []


async def test_status_is_bad_while_a_worker_is_broken(period: Connection[Any], dsn: str) -> None:
    async with running_worker(dsn, sweep=3600.0) as work:
        await work.until(lambda: asleep(period))
        assert status.read(period, objective=3600.0).good
        period.execute("alter function gaq.next_due rename to elsewhere")
        period.execute(BAD_FLAG, (1, 501))
        await work.until(lambda: work.of(events.Broken))
        (worker,) = await work.until(
            lambda: [w for w in status.read(period, objective=3600.0).workers if w.state == "broken"]
        )
        assert worker.alive
        (wrong,) = status.read(period, objective=3600.0).wrong()
        assert wrong.startswith("a worker can refresh nothing")


@pytest.mark.parametrize("held", [True, False], ids=["asleep", "awake"])
async def test_worker_ends_when_schema_gaq_is_dropped(period: Connection[Any], dsn: str, held: bool) -> None:
    work = RunningWorker(WorkerSettings(dsn=dsn, sweep=3600.0))
    await work.until(lambda: asleep(period))
    if not held:  # As a worker under load, which has let the doorbell go.
        period.execute("alter function gaq.next_due rename to elsewhere")
        period.execute(BAD_FLAG, (1, 501))
        await work.until(lambda: work.of(events.Broken))
    period.execute("drop schema gaq cascade")
    period.execute("notify gaq_invalidated")
    async with asyncio.timeout(PATIENCE):
        with pytest.raises(NotInstalled, match="run: gaq-listen install"):
            await work.task


async def test_broken_worker_stops_at_once(period: Connection[Any], dsn: str) -> None:
    async with running_worker(dsn, sweep=3600.0) as work:
        await work.until(lambda: asleep(period))
        period.execute(BREAK_EXPAND)
        period.execute(RUN_TIMES.format(503).encode())
        await work.until(lambda: work.of(events.Broken))
    (stopped,) = work.of(events.Stopped)
    assert stopped.batches == 0
    assert period.execute("select count(*) from gaq.workers").fetchone() == (0,)


@pytest.mark.parametrize(
    "mark", [BAD_FLAG, "update runs set time_trg_end = time_o2_end - interval '1 h' where run_number = 507"]
)
async def test_new_pair_that_takes_too_long_fails_and_backs_off(period: Connection[Any], dsn: str, mark: str) -> None:
    period.execute("insert into runs (run_number, time_o2_start, time_o2_end) values (507, '2026-01-02', '2026-01-03')")
    period.execute("insert into data_pass_runs values (1, 507)")
    if mark != BAD_FLAG:  # Only a wide mark, and no summary of the pair.
        period.execute("call gaq.drain()")
        period.execute("delete from gaq.summaries where run_number = 507")
    period.execute(SLOW.format(507).encode())
    period.execute(mark.encode(), (1, 507) if mark == BAD_FLAG else None)
    work = await connect(dsn, "gaq-listen worker")
    try:
        refresher = Refresher(work, 0, 0, "me", timeouts=BatchTimeouts(1.0, 10))
        (failed,) = (await refresher.refresh(20)).failed
        assert (failed.run_number, failed.attempts) == (507, 1)
        assert failed.next_try > 0
        period.execute("update gaq.failures set next_try_at = clock_timestamp() + interval '1 h'")
        # The pair is not due before its next try, and other pairs do not wait for it.
        assert len(await refresher.refresh(20)) == 0
        period.execute(BAD_FLAG, (1, 501))
        assert [pair.run_number for pair in (await refresher.refresh(20)).pairs] == [501]
        assert period.execute("select run_number, attempts from gaq.failures").fetchall() == [(507, 1)]
        assert stale(period) == 1
    finally:
        await work.close()


@pytest.mark.parametrize(
    ("error", "lasting"),
    [
        (errors.UndefinedTable, True),
        (errors.UndefinedFunction, True),
        (errors.UndefinedColumn, True),
        (errors.DatatypeMismatch, True),
        (errors.InsufficientPrivilege, True),
        (errors.InvalidSchemaName, True),
        (errors.InvalidTextRepresentation, True),
        (errors.NumericValueOutOfRange, True),
        (errors.NotNullViolation, True),
        (errors.FeatureNotSupported, True),
        (errors.RaiseException, True),
        (errors.SerializationFailure, False),
        (errors.DeadlockDetected, False),
        (errors.LockNotAvailable, False),
        (errors.QueryCanceled, False),
        (errors.DiskFull, False),
        (errors.AdminShutdown, False),
        (errors.ReadOnlySqlTransaction, False),
        (errors.InternalError_, False),
        (psycopg.OperationalError, False),
        (TimeoutError, False),
    ],
)
def test_is_lasting_classifies_errors(error: type[Exception], lasting: bool) -> None:
    assert is_lasting(error()) is lasting


def test_explain_has_the_detail_and_the_hint(period: Connection[Any]) -> None:
    with pytest.raises(psycopg.Error) as raised:
        period.execute("do $$ begin raise 'no' using detail = 'because of this', hint = 'do that'; end $$")
    assert explain(raised.value) == "no: because of this (do that)"
