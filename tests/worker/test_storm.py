"""Test many writers against several workers: no writer waits, and nothing is lost."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from gaq_listen.worker import events
from tests.support.waiting import until
from tests.support.worker_harness import asleep, differences, running_worker, stale

PROGRAM = str(Path(sys.executable).with_name("gaq-listen"))
NEVER = 3600.0
WRITERS = 16
TRANSACTIONS = 60
BAD = "insert into qc_flags (data_pass_id, run_number, detector_id, flag_type_id) values (%s, %s, %s, %s)"


def write(dsn: str, seed: int) -> int:
    """Write as one writer, and return the number of transactions. Raise any error, such as a deadlock."""
    chance = random.Random(seed)
    with psycopg.connect(dsn) as connection:
        for _ in range(TRANSACTIONS):
            for _ in range(3):
                pair = (chance.randint(1, 2), chance.randint(501, 505))
                connection.execute(BAD, (*pair, chance.randint(1, 2), chance.randint(1, 2)))
                if chance.random() < 0.3:
                    connection.execute(
                        "insert into qc_flag_verifications (flag_id)"
                        " select id from qc_flags where (data_pass_id, run_number) = (%s, %s)"
                        " order by random() limit 1",
                        pair,
                    )
            if chance.random() < 0.1:
                connection.rollback()
            else:
                connection.commit()
    return TRANSACTIONS


@pytest.mark.parametrize("workers", [1, 4])
async def test_many_writers_meet_no_error_and_all_becomes_fresh(
    period: Connection[Any], dsn: str, workers: int
) -> None:
    async with AsyncExitStack() as stack:
        team = [await stack.enter_async_context(running_worker(dsn, sweep=NEVER, name=f"{n}")) for n in range(workers)]
        with ThreadPoolExecutor(WRITERS) as threads:
            loop = asyncio.get_running_loop()
            writing = [loop.run_in_executor(threads, write, dsn, seed) for seed in range(WRITERS)]
            assert sum(await asyncio.gather(*writing)) == WRITERS * TRANSACTIONS
        await team[0].until(lambda: stale(period) == 0)
        assert not any(work.of(events.Disconnected) or work.of(events.PairsFailed) for work in team)
    assert differences(period) == []


@contextmanager
def program(dsn: str, name: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker as a process of its own."""
    command = [PROGRAM, "run", "--dsn", dsn, "--name", name]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ}) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.terminate()


def test_worker_stopped_in_a_batch_blocks_nobody(period: Connection[Any], dsn: str) -> None:
    """Check that neither writers nor another worker wait, and that the server ends the batch without the worker."""
    gate = 77
    period.execute(
        f"create function public.slow(run_number bigint) returns bool language plpgsql volatile as"
        f" $$ begin if run_number = 501 then perform pg_advisory_xact_lock_shared({gate}); end if; return true; end $$;"
        " create or replace view gaq.source_runs as"
        " select run_number, qc_time_start, qc_time_end from runs where public.slow(run_number)"
    )
    in_batch = (
        "select from pg_stat_activity where application_name = 'gaq-listen worker' and wait_event = 'advisory'"
        " and datname = current_database()"
    )
    with program(dsn, "stopped") as stopped, psycopg.connect(dsn, autocommit=True) as holder:
        until(lambda: asleep(period))
        holder.execute(f"select pg_advisory_lock({gate})")
        period.execute(BAD, (1, 501, 1, 2))
        until(lambda: period.execute(in_batch).fetchall())
        stopped.send_signal(signal.SIGSTOP)
        with program(dsn, "other"):
            period.execute("set lock_timeout = '1s'")
            period.execute(BAD, (1, 501, 1, 2))
            period.execute(BAD, (1, 502, 1, 2))
            until(
                lambda: period.execute(
                    "select refreshed_by from gaq.summaries where (data_pass_id, run_number) = (1, 502)"
                    " and refreshed_by = 'other'"
                ).fetchall()
            )
            assert [row[0] for row in period.execute("select run_number from gaq.pending").fetchall()] == [501]
            holder.execute(f"select pg_advisory_unlock({gate})")
            until(lambda: stale(period) == 0)
    assert differences(period) == []
