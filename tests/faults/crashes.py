"""Crash a server in the middle of refreshes, and check that no fresh summary is wrong: ``make crashes TIMES=1000``.

The commit of a refresh does not wait for the disk, so a crash may lose a refresh that readers have seen.
After each crash the server starts without a worker, and the test compares all fresh summaries with recomputed ones:
the mark of each lost refresh must be back.
"""

import argparse
import signal
import sys
import time
from collections import Counter
from contextlib import ExitStack
from random import Random

import click
import psycopg

from tests.faults.convergence import assert_converged
from tests.faults.program import running
from tests.faults.seeded_cluster import copy_of, seed_server
from tests.faults.server import IMMEDIATE, WORKER, Server
from tests.faults.writing import writing
from tests.support.waiting import until

_WRONG = """
select count(*) from gaq.differences(
    (select array_agg(data_pass_id::bigint order by data_pass_id, run_number) from data_pass_runs),
    (select array_agg(run_number::bigint order by data_pass_id, run_number) from data_pass_runs))
"""
_LAST = "select coalesce(max(updated_at), '-infinity')::text from gaq.summaries"
WAYS = ("immediate stop", "postmaster killed", "all processes killed")


def crash(server: Server, way: str) -> None:
    """Crash the server in one of ``WAYS``, so that it can write nothing more to its disk."""
    if way == "immediate stop":
        server.stop(IMMEDIATE)
    elif way == "postmaster killed":
        children = server.children()
        server.send(signal.SIGKILL)
        server.wait_until_gone()
        until(lambda: not server.any_lives(children), "the server's processes are gone")
    else:
        server.kill()


def start_again(server: Server) -> None:
    """Start a crashed server, and wait until it answers. Its old ``postmaster.pid`` still says that it is ready."""
    server.start()

    def answers() -> bool:
        try:
            return bool(server.ask("select true"))
        except psycopg.OperationalError:
            return False

    until(answers, "the server answers")


def crashes(server: Server, times: int, number: int) -> Counter[str]:
    """Crash a running server ``times`` times. Return how often in each way, and how many crashes lost a refresh.

    Raises:
        AssertionError: a fresh summary was wrong after a crash, or a writer met an error.
    """
    chance = Random(number)
    done: Counter[str] = Counter()
    with writing(server, pause=0.003) as writers:
        for _ in range(times):
            way = chance.choice(WAYS)
            with running(server.dsn(user=WORKER)) as program:
                program.until("batch_refreshed")
                time.sleep(chance.uniform(0, 0.3))
                seen = server.ask(_LAST)
                crash(server, way)
                program.kill()
            start_again(server)
            done[way] += 1
            done["lost a refresh"] += server.ask(_LAST) < seen
            wrong = int(server.ask(_WRONG))
            assert not wrong, f"{wrong} wrong values shown as fresh after {dict(done)}"
        with running(server.dsn(user=WORKER)) as program:
            assert_converged(server, writers, program)
    return done


def main() -> int:
    """Crash a server as often as the arguments say, print the counts, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.crashes", description=__doc__)
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    with ExitStack() as stack:
        server = copy_of(seed_server(stack), stack)
        server.settings["wal_writer_delay"] = "10s"
        server.start()
        done = crashes(server, chosen.times, chosen.seed)
    for what, times in sorted(done.items()):
        click.echo(f"{times:6} {what}")
    click.echo("no fresh summary was wrong after any crash")
    return 0


if __name__ == "__main__":
    sys.exit(main())
