"""Test that a worker isolates pairs that cannot be computed, refreshes the rest, and tries again."""

from typing import Any

import psycopg
from psycopg import Connection

from gaq_listen.db.sessions import connect
from gaq_listen.worker import events
from gaq_listen.worker.batching import BatchTimeouts
from gaq_listen.worker.refresher import Refresher
from tests.support.small_period import BAD_FLAG
from tests.support.uncomputable_pairs import ERROR, heal, poison
from tests.support.worker_harness import asleep, running_worker, stale

NEVER = 3600.0

# Computing one of these pairs takes forever.
SLOW = """
create function public.slow(run_number bigint) returns bool language plpgsql volatile as
$$ begin if run_number in ({}) then perform pg_sleep(3600); end if; return true; end $$;
create or replace view gaq.source_runs as
select run_number, qc_time_start, qc_time_end from runs where public.slow(run_number);
"""

# Computing takes longer than the short timeout of a batch, and less than the full one.
LONG = b"""
create function public.long() returns bool language plpgsql volatile as
$$ begin perform pg_sleep(1.2); return true; end $$;
create or replace view gaq.source_runs as
select run_number, qc_time_start, qc_time_end from runs where (select public.long());
"""


async def test_failing_pair_is_reported_and_the_rest_is_stored(period: Connection[Any], dsn: str) -> None:
    async with running_worker(dsn, sweep=NEVER) as work:
        await work.until(lambda: asleep(period))
        poison(period, 1, 502)
        period.execute(BAD_FLAG, (1, 501))
        (failed, *_) = await work.until(lambda: work.of(events.PairsFailed))
        (pair,) = failed.pairs
        assert (pair.data_pass_id, pair.data_pass, pair.run_number, pair.attempts) == (1, "LHC22o_apass7", 502, 1)
        assert ERROR in pair.error
        await work.until(lambda: stale(period) == 1)
        # The worker sleeps until the next try, and no ring wakes it.
        await work.until(lambda: len(work.of(events.PairsFailed)) > 1)
        heal(period)
        await work.until(lambda: stale(period) == 0)


async def test_only_pairs_that_take_too_long_fail(period: Connection[Any], dsn: str) -> None:
    period.execute(SLOW.format("503, 504").encode())
    period.execute("update gaq_summaries set invalidated_at = now()")
    work = await connect(dsn, "gaq-listen worker")
    try:
        outcome = await Refresher(work, 0, 0, "me", timeouts=BatchTimeouts(1.0, 10)).refresh(20)
        assert sorted((pair.data_pass_id, pair.run_number) for pair in outcome.failed) == [
            (data_pass_id, run) for data_pass_id in (1, 2) for run in (503, 504)
        ]
        assert {pair.error for pair in outcome.failed} == {"canceling statement due to statement timeout"}
        assert len(outcome.pairs) == 6
        assert stale(period) == 4
    finally:
        await work.close()


async def test_batch_above_the_short_timeout_gets_the_full_one(period: Connection[Any], dsn: str) -> None:
    period.execute(LONG)
    period.execute("update gaq_summaries set invalidated_at = now()")
    timeouts = BatchTimeouts(30, 2)
    work = await connect(dsn, "gaq-listen worker")
    try:
        outcome = await Refresher(work, 0, 0, "me", timeouts=timeouts).refresh(20)
        assert (len(outcome.pairs), outcome.failed) == (10, ())
        # All in one transaction: the batch was not divided.
        assert period.execute("select count(distinct xmin::text) from gaq.summaries").fetchone() == (1,)
        assert timeouts.next() == timeouts.full
    finally:
        await work.close()


async def test_locked_table_makes_no_pair_fail(period: Connection[Any], dsn: str) -> None:
    with psycopg.connect(dsn) as other:
        other.execute("lock table qc_flag_verifications in access exclusive mode")
        async with running_worker(dsn, sweep=NEVER, batch_timeout=0.4) as work:
            period.execute(BAD_FLAG, (1, 501))
            blocked = await work.until(lambda: work.of(events.Blocked))
            assert blocked[0].reason.startswith('could not obtain lock on relation "qc_flag_verifications" (')
            assert not work.of(events.Disconnected)
            other.rollback()
            await work.until(lambda: stale(period) == 0)
    assert period.execute("select count(*) from gaq.failures").fetchone() == (0,)


async def test_pair_fails_until_a_revoked_right_is_back(period: Connection[Any], dsn: str) -> None:
    async with running_worker(dsn, sweep=NEVER) as work:
        await work.until(lambda: asleep(period))
        period.execute("revoke select on qc_flags from gaq_owner")
        period.execute(BAD_FLAG, (1, 501))
        (failed, *_) = await work.until(lambda: work.of(events.PairsFailed))
        assert failed.pairs[0].error == "permission denied for table qc_flags"
        period.execute("grant select on qc_flags to gaq_owner")
        await work.until(lambda: stale(period) == 0)


async def test_sweep_counts_pairs_beside_a_failing_one(period: Connection[Any], dsn: str) -> None:
    poison(period, 1, 501)
    period.execute("call gaq.drain()")
    period.execute("update gaq.failures set next_try_at = clock_timestamp() + interval '1 h'")
    with psycopg.connect(dsn, autocommit=True) as silent:
        silent.execute("set gaq.bell = off")
        async with running_worker(dsn, sweep=1.0) as work:
            while not any(swept.found for swept in work.of(events.Swept)):
                await work.until(lambda: asleep(period))
                silent.execute(BAD_FLAG, (1, 502))
                await work.until(lambda: stale(period) == 1)
                swept = len(work.of(events.Swept))
                await work.until(lambda: len(work.of(events.Swept)) > swept)  # noqa: B023
