"""Test a worker on a real server: how it wakes, waits, reconnects and stops."""

import asyncio
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from gaq_listen.errors import DatabaseUnreachable, NotInstalled
from gaq_listen.settings import WorkerSettings
from gaq_listen.worker import audit_schedule, contention, events, session
from gaq_listen.worker.batching import WARN_AFTER
from gaq_listen.worker.doorbell import Doorbell
from gaq_listen.worker.event_pairs import FailedPair
from gaq_listen.worker.refresher import BatchResult, DueCheck, Refresher
from gaq_listen.worker.waiting import RETRY_CLAIMED, DoorbellState
from gaq_listen.worker.worker import Worker
from tests.conftest import Connect
from tests.support.small_period import BAD_FLAG
from tests.support.worker_harness import asleep, running_worker, stale

NEVER = 3600.0
"""Seconds until the sweep, where the sweep must not be what helps."""


def good(db: Connection[Any], data_pass_id: int, run_number: int) -> float | None:
    row = db.execute(
        "select explicitly_not_bad_run_coverage from gaq_summaries"
        " where data_pass_id = %s and run_number = %s and invalidated_at is null",
        (data_pass_id, run_number),
    ).fetchone()
    assert row is not None
    return row[0]  # type: ignore[no-any-return]


def server_time(db: Connection[Any]) -> float:
    """Return the time of the server's clock in seconds."""
    ((seconds,),) = db.execute("select date_part('epoch', clock_timestamp())").fetchall()
    return float(seconds)


async def test_change_wakes_the_worker_and_is_refreshed(period: Connection[Any], dsn: str) -> None:
    async with running_worker(dsn, sweep=NEVER) as work:
        await work.until(lambda: asleep(period))
        before = server_time(period)
        period.execute(BAD_FLAG, (1, 501))
        (batch,) = await work.until(lambda: work.of(events.BatchRefreshed))
        (pair,) = batch.pairs
        assert (pair.data_pass_id, pair.data_pass, pair.run_number) == (1, "LHC22o_apass7", 501)
        assert (pair.good_before, pair.good_after, pair.removed) == (1.0, 0.0, False)
        assert pair.causes == "flag"
        assert 0 < pair.seconds_stale < server_time(period) - before
        assert not batch.by_sweep
        assert good(period, 1, 501) == 0.0
        assert stale(period) == 0


async def test_pairs_stale_before_the_start_are_refreshed(period: Connection[Any], dsn: str) -> None:
    period.execute(BAD_FLAG, (1, 501))
    async with running_worker(dsn, sweep=NEVER) as work:
        await work.until(lambda: stale(period) == 0)


async def test_every_kind_of_change_is_refreshed_with_its_cause(period: Connection[Any], dsn: str) -> None:
    changes = {
        "flag": "update qc_flags set deleted = true where id = 1",
        "verification": "insert into qc_flag_verifications (flag_id) values (2)",
        "detectors": "delete from gaq_detectors where (data_pass_id, run_number, detector_id) = (1, 502, 1)",
        "run times": "update runs set time_trg_end = time_o2_end - interval '5 min' where run_number = 503",
        "flag type": "update qc_flag_types set bad = true where id = 1",
        "data pass": "delete from data_pass_runs where (data_pass_id, run_number) = (2, 505)",
        "truncate": "truncate qc_flag_verifications",
        "by hand": "update gaq_summaries set invalidated_at = now() where run_number = 504",
    }
    async with running_worker(dsn, sweep=NEVER) as work:
        for cause, change in changes.items():
            told = len(work.of(events.BatchRefreshed))
            await work.until(lambda: asleep(period))
            period.execute(change.encode())
            await work.until(lambda: stale(period) == 0 and len(work.of(events.BatchRefreshed)) > told)  # noqa: B023
            causes = {pair.causes for batch in work.of(events.BatchRefreshed)[told:] for pair in batch.pairs}
            assert cause in causes


async def test_mark_before_the_hold_is_found_by_the_check_after_it(
    period: Connection[Any], dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold = Doorbell.hold
    marked = False

    async def mark_then_hold(self: Doorbell) -> DoorbellState:
        nonlocal marked
        if not marked:
            marked = True
            # No worker holds the doorbell yet, so this does not ring.
            period.execute(BAD_FLAG, (1, 501))
        return await hold(self)

    monkeypatch.setattr(Doorbell, "hold", mark_then_hold)
    async with running_worker(dsn, sweep=NEVER) as work:
        await work.until(lambda: work.of(events.BatchRefreshed))
        assert stale(period) == 0


async def test_pair_marked_again_at_once_waits_for_the_debounce(period: Connection[Any], dsn: str) -> None:
    async with running_worker(dsn, sweep=NEVER, debounce=2.0, max_wait=20.0) as work:
        await work.until(lambda: asleep(period))
        period.execute(BAD_FLAG, (1, 501))
        await work.until(lambda: work.of(events.BatchRefreshed))
        with period.transaction():
            for _ in range(3):
                period.execute(BAD_FLAG, (1, 501))
            period.execute(BAD_FLAG, (1, 502))  # This pair was quiet until now, so it does not wait.

        def runs() -> list[int]:
            return [pair.run_number for batch in work.of(events.BatchRefreshed) for pair in batch.pairs]

        await work.until(lambda: len(runs()) == 3)
        assert runs() == [501, 502, 501]
        assert work.of(events.BatchRefreshed)[-1].pairs[0].seconds_stale >= 2.0


async def test_worker_lets_the_doorbell_go_under_a_stream_of_changes(
    period: Connection[Any], dsn: str, connect: Connect
) -> None:
    writer = connect(autocommit=True)
    stop = asyncio.Event()

    def write() -> None:
        while not stop.is_set():
            writer.execute(BAD_FLAG, (1, 501))

    async with running_worker(dsn, sweep=NEVER) as work:
        await work.until(lambda: asleep(period))
        writing = asyncio.get_running_loop().run_in_executor(None, write)
        try:
            await work.until(lambda: not asleep(period))
        finally:
            stop.set()
            await writing
        await work.until(lambda: stale(period) == 0)
        await work.until(lambda: asleep(period))


async def test_doorbell_is_let_go_during_a_refresh(
    period: Connection[Any], dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Check the doorbell in the middle of a refresh that waits until the doorbell was let go."""
    let_go, refresh = Doorbell.let_go, Refresher.refresh
    gone = asyncio.Event()
    held: list[bool] = []

    async def let_go_then_say_so(self: Doorbell) -> bool:
        queue = await let_go(self)
        gone.set()
        return queue

    async def refresh_when_let_go(self: Refresher, limit: int) -> BatchResult:
        await gone.wait()
        held.append(asleep(period))
        return await refresh(self, limit)

    async with running_worker(dsn, sweep=NEVER) as work:
        await work.until(lambda: asleep(period))
        monkeypatch.setattr(Doorbell, "let_go", let_go_then_say_so)
        monkeypatch.setattr(Refresher, "refresh", refresh_when_let_go)
        period.execute(BAD_FLAG, (1, 501))
        await work.until(lambda: work.of(events.BatchRefreshed))
        assert not held[0]
        await work.until(lambda: asleep(period))


async def test_doorbell_is_let_go_after_a_short_refresh(
    period: Connection[Any], dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go, refresh = Doorbell.let_go, Refresher.refresh
    done: list[str] = []

    async def let_go_and_record(self: Doorbell) -> bool:
        done.append("let go")
        return await let_go(self)

    async def refresh_and_record(self: Refresher, limit: int) -> BatchResult:
        batch = await refresh(self, limit)
        done.append("refreshed")
        return batch

    monkeypatch.setattr(session, "LET_GO_AFTER", NEVER)
    async with running_worker(dsn, sweep=NEVER) as work:
        await work.until(lambda: asleep(period))
        monkeypatch.setattr(Doorbell, "let_go", let_go_and_record)
        monkeypatch.setattr(Refresher, "refresh", refresh_and_record)
        period.execute(BAD_FLAG, (1, 501))
        await work.until(lambda: work.of(events.BatchRefreshed) and len(done) > 1)
        assert done[:2] == ["refreshed", "let go"]
        await work.until(lambda: asleep(period))


async def test_worker_that_has_given_the_doorbell_up_polls(
    period: Connection[Any], dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contention, "SHARED", 0)
    monkeypatch.setattr(contention, "SHORTEST_QUIET", NEVER)
    async with running_worker(dsn, sweep=NEVER) as work:
        for number in range(1, 6):
            period.execute(BAD_FLAG, (1, 500 + number))
            await work.until(lambda: len(work.of(events.BatchRefreshed)) == number)  # noqa: B023
            assert not asleep(period)


async def test_worker_gives_the_doorbell_up_if_sessions_queue(
    period: Connection[Any], dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go = Doorbell.let_go

    async def let_go_beside_a_queue(self: Doorbell) -> bool:
        held = self.held
        return await let_go(self) or held

    monkeypatch.setattr(contention, "SHORTEST_QUIET", NEVER)
    monkeypatch.setattr(Doorbell, "let_go", let_go_beside_a_queue)
    async with running_worker(dsn, sweep=NEVER) as work:
        await work.until(lambda: asleep(period))
        for number in range(1, 4):
            period.execute(BAD_FLAG, (1, 500 + number))
            await work.until(lambda: len(work.of(events.BatchRefreshed)) == number)  # noqa: B023
            # The worker emits BacklogCounted when it has decided whether to hold the doorbell.
            await work.until(lambda: isinstance(work.events[-1], events.BacklogCounted))
            assert not asleep(period)


async def test_pairs_found_by_polling_do_not_count_for_the_sweep(
    period: Connection[Any], dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contention, "SHARED", 0)
    monkeypatch.setattr(contention, "SHORTEST_QUIET", NEVER)
    async with running_worker(dsn, sweep=1.0, debounce=0) as work:
        began = work.worker._clock()
        while work.worker._clock() < began + 2.5:  # Two sweeps.
            batches = len(work.of(events.BatchRefreshed))
            period.execute(BAD_FLAG, (1, 501))
            await work.until(lambda: len(work.of(events.BatchRefreshed)) > batches)  # noqa: B023
        assert not any(batch.by_sweep for batch in work.of(events.BatchRefreshed))
        assert not any(swept.found for swept in work.of(events.Swept))


async def test_doorbell_is_held_beside_a_claimed_pair(period: Connection[Any], dsn: str, connect: Connect) -> None:
    other = connect()
    period.execute(BAD_FLAG, (1, 501))
    assert other.execute("select run_number from gaq.refresh()").fetchall() == [(501,)]
    async with running_worker(dsn, sweep=NEVER) as work:
        for _ in range(2 * contention.RECENT):
            checks = len(work.of(events.Idle))
            await work.until(lambda: len(work.of(events.Idle)) > checks)  # noqa: B023
        await work.until(lambda: asleep(period))
        for number in range(2 * contention.RECENT):
            period.execute(BAD_FLAG, (2, 501 + number % 5))
            await work.until(lambda: stale(period) == 1)
            await work.until(lambda: asleep(period))
        other.rollback()


async def test_failing_pairs_do_not_keep_a_worker_polling(
    period: Connection[Any], dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(self: Refresher, limit: int) -> BatchResult:
        return BatchResult((), (FailedPair(1, None, 501, "too many", 1, 0.0),))

    monkeypatch.setattr(contention, "SHORTEST_QUIET", 0.3)
    monkeypatch.setattr(contention, "SHARED", 0)
    async with running_worker(dsn, sweep=NEVER) as work:
        period.execute(BAD_FLAG, (1, 501))
        await work.until(lambda: work.of(events.BatchRefreshed) and stale(period) == 0)
        monkeypatch.setattr(Refresher, "refresh", fail)
        await work.until(lambda: len(work.of(events.PairsFailed)) > 3)
        monkeypatch.setattr(contention, "SHARED", 1000)
        await work.until(lambda: asleep(period))


async def test_audit_does_not_wake_a_paused_worker(
    period: Connection[Any], dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_due, checks = Refresher.check_due, 0

    async def count_then_check(self: Refresher, sources: bool = False) -> DueCheck:
        nonlocal checks
        checks += 1
        return await check_due(self, sources)

    monkeypatch.setattr(audit_schedule, "AUDIT_EVERY", 0.05)
    period.execute("select gaq.pause('a test')")
    async with running_worker(dsn, sweep=NEVER, audit_rate=600) as work:
        await work.until(lambda: work.of(events.Paused))
        monkeypatch.setattr(Refresher, "check_due", count_then_check)
        await asyncio.sleep(10 * audit_schedule.AUDIT_EVERY)
        assert checks <= 1, "the worker checks every five seconds whether the pause is over"


async def test_error_of_a_refresh_precedes_one_of_the_doorbell(
    period: Connection[Any], dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse_to_let_go(self: Doorbell) -> bool:
        raise TimeoutError("the doorbell")

    async def refuse_to_refresh(self: Refresher, limit: int) -> BatchResult:
        await asyncio.sleep(0.01)
        raise ValueError("the refresh")

    monkeypatch.setattr(Doorbell, "let_go", refuse_to_let_go)
    monkeypatch.setattr(Refresher, "refresh", refuse_to_refresh)
    with pytest.raises(ValueError, match="the refresh"):
        await Worker(WorkerSettings(dsn=dsn), lambda _: None).run()


async def test_sweep_finds_marks_that_no_ring_announced(period: Connection[Any], dsn: str, connect: Connect) -> None:
    silent = connect(autocommit=True)
    silent.execute("set gaq.bell = off")
    async with running_worker(dsn, sweep=1.0) as work:
        # The check before the sleep may find a mark that comes just before it, so this may need several tries.
        while not any(swept.found for swept in work.of(events.Swept)):
            await work.until(lambda: asleep(period))
            silent.execute(BAD_FLAG, (1, 501))
            await work.until(lambda: stale(period) == 0)
            swept = len(work.of(events.Swept))
            await work.until(lambda: len(work.of(events.Swept)) > swept)  # noqa: B023
        assert any(batch.by_sweep for batch in work.of(events.BatchRefreshed))


async def test_foreign_notifications_only_wake_the_worker(period: Connection[Any], dsn: str) -> None:
    async with running_worker(dsn, sweep=NEVER) as work:
        for number in range(100):
            period.execute("select pg_notify('gaq_invalidated', %s)", (f"'; drop {number}\n",))
        period.execute(BAD_FLAG, (1, 501))
        await work.until(lambda: stale(period) == 0 and work.of(events.BatchRefreshed))


async def test_worker_that_reconnects_refreshes_silent_marks(
    period: Connection[Any], dsn: str, connect: Connect
) -> None:
    async with running_worker(dsn, sweep=NEVER) as work:
        for name in ("gaq-listen doorbell", "gaq-listen worker"):
            lost = len(work.of(events.Reconnected))
            await work.until(lambda: asleep(period))
            silent = connect(autocommit=True)
            silent.execute("set gaq.bell = off")
            silent.execute(BAD_FLAG, (1, 501))
            period.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where application_name = %s and datname = current_database()",
                (name,),
            )
            if name == "gaq-listen worker":
                # The worker does not read from this connection while nothing happens.
                period.execute(BAD_FLAG, (1, 502))
            await work.until(lambda: len(work.of(events.Reconnected)) > lost)  # noqa: B023
            assert work.of(events.Disconnected)
            await work.until(lambda: stale(period) == 0)


async def test_second_worker_takes_the_doorbell_over(period: Connection[Any], dsn: str) -> None:
    async with running_worker(dsn, sweep=NEVER) as first:
        await first.until(lambda: asleep(period))
        async with running_worker(dsn, sweep=NEVER) as second:
            first.worker.stop("the other goes on")
            await first.task
            await second.until(lambda: asleep(period))
            period.execute(BAD_FLAG, (1, 501))
            await second.until(lambda: stale(period) == 0 and second.of(events.BatchRefreshed))


async def test_claim_of_a_dead_worker_is_taken_over(period: Connection[Any], dsn: str, connect: Connect) -> None:
    dying = connect()
    period.execute(BAD_FLAG, (1, 501))
    assert dying.execute("select run_number from gaq.refresh()").fetchall() == [(501,)]
    async with running_worker(dsn, sweep=NEVER) as work:
        period.execute(BAD_FLAG, (1, 502))
        await work.until(lambda: stale(period) == 1)
        dying.rollback()  # This rings for nobody.
        await work.until(lambda: stale(period) == 0)


async def test_worker_with_more_than_a_batch_rings_for_others(
    period: Connection[Any], dsn: str, connect: Connect
) -> None:
    other = connect(autocommit=True)
    other.execute("listen gaq_invalidated")
    period.execute("set gaq.bell = off")
    period.execute("update gaq_summaries set invalidated_at = now()")
    async with running_worker(dsn, min_batch=3, max_batch=3, sweep=NEVER) as work:
        await work.until(lambda: stale(period) == 0)
    rings = [notice for notice in other.notifies(timeout=20, stop_after=2) if not notice.payload]
    assert rings


async def test_once_drains_and_ends(period: Connection[Any], dsn: str) -> None:
    period.execute("update gaq_summaries set invalidated_at = now()")
    told: list[events.Event] = []
    await Worker(WorkerSettings(dsn=dsn, once=True, min_batch=3, max_batch=3), told.append).run()
    assert stale(period) == 0
    batches = [event for event in told if isinstance(event, events.BatchRefreshed)]
    assert [len(batch.pairs) for batch in batches] == [3, 3, 3, 1]
    stopped = told[-1]
    assert isinstance(stopped, events.Stopped)
    assert (stopped.batches, stopped.pairs) == (4, 10)


async def test_once_waits_for_claimed_pairs(period: Connection[Any], dsn: str, connect: Connect) -> None:
    period.execute(BAD_FLAG, (1, 501))
    other = connect()
    assert other.execute("select run_number from gaq.refresh(1)").fetchall() == [(501,)]
    ending = asyncio.ensure_future(Worker(WorkerSettings(dsn=dsn, once=True), lambda _: None).run())
    await asyncio.wait([ending], timeout=2 * RETRY_CLAIMED)
    assert not ending.done()
    other.rollback()
    await ending
    assert stale(period) == 0


async def test_run_raises_if_the_database_is_unreachable() -> None:
    with pytest.raises(DatabaseUnreachable, match="cannot connect"):
        await Worker(WorkerSettings(dsn="host=/nonexistent dbname=x"), lambda _: None).run()


async def test_error_contains_no_password() -> None:
    dsn = "host=127.0.0.1 port=1 user=u password=s3cret dbname=x"
    with pytest.raises(DatabaseUnreachable) as caught:
        await Worker(WorkerSettings(dsn=dsn), lambda _: None).run()
    assert "s3cret" not in str(caught.value)


async def test_run_raises_if_gaq_listen_is_not_installed(bare_dsn: str) -> None:
    with pytest.raises(NotInstalled, match="run: gaq-listen install"):
        await Worker(WorkerSettings(dsn=bare_dsn), lambda _: None).run()


async def test_worker_refreshes_where_serializable_is_the_default(period: Connection[Any], dsn: str) -> None:
    period.execute("update gaq_summaries set invalidated_at = now()")
    strict = psycopg.conninfo.make_conninfo(dsn, options="-c default_transaction_isolation=serializable")
    await Worker(WorkerSettings(dsn=strict, once=True), lambda _: None).run()
    assert stale(period) == 0


async def test_backlog_and_its_end_are_reported(period: Connection[Any], dsn: str) -> None:
    period.execute("update gaq_summaries set invalidated_at = now()")
    async with running_worker(dsn, min_batch=1, max_batch=1, sweep=NEVER) as work:
        await work.until(lambda: work.of(events.CaughtUp))
    (behind,) = work.of(events.Behind)
    assert (behind.pairs_left, behind.rounds) == (5, WARN_AFTER)
    last = work.of(events.BatchRefreshed)[WARN_AFTER - 1]  # Of one pair.
    assert behind.seconds_left == pytest.approx(5 * last.seconds)
    assert work.of(events.CaughtUp) == [events.CaughtUp(10)]
