"""Cause one random mishap after the other, and check all summaries after each: ``make storm MINUTES=10``."""

import argparse
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from random import Random

import click
import psycopg
import pytest

from tests.faults.backlog import drained
from tests.faults.convergence import assert_connections_logged, assert_converged
from tests.faults.fault_environment import FaultEnvironment, fault_environment
from tests.faults.flags import many_flags
from tests.faults.mishaps import MISHAPS
from tests.faults.seeded_cluster import copy_of, seed_server
from tests.faults.server import Server
from tests.faults.staleness_watch import OLDEST
from tests.faults.storm_tally import StormTally
from tests.support.waiting import until

_WRONG = """
select count(*) from gaq.differences(
    (select array_agg(data_pass_id::bigint order by data_pass_id, run_number) from data_pass_runs),
    (select array_agg(run_number::bigint order by data_pass_id, run_number) from data_pass_runs))
"""
RECOVERY = 90.0
"""Seconds after a mishap within which workers must refresh everything that was marked before its end."""
BUSY = 2.5
"""Seconds for which a pair may be stale at any time, because the writers never stop."""

Report = Callable[[str], None]


def storm(seed: Server, seconds: float, number: int, report: Report = lambda _: None) -> StormTally:
    """Cause mishaps on a copy of the seed for ``seconds``, and count them. ``number`` seeds their order.

    Raises:
        AssertionError: a summary was wrong, a pair stayed stale, or a writer met an error.
    """
    chance = Random(number)
    tally = StormTally(MISHAPS)
    end = time.monotonic() + seconds
    with fault_environment(seed, chance) as env:
        while time.monotonic() < end and (possible := tally.rarest()):
            # Each mishap happens once before any happens again, in a random order.
            kind = chance.choice(possible)
            report(kind)
            _cause(kind, env, tally)
            env.some_time(0.3)
        tally.changes = env.writers.changes
        assert_converged(env.server, env.writers, *env.workers, patience=RECOVERY)
        for worker in env.ended:
            assert_connections_logged(worker)
    return tally


def _cause(kind: str, env: FaultEnvironment, tally: StormTally) -> None:
    before = env.refreshed()
    env.watch.longest()
    try:
        MISHAPS[kind](env)
    except pytest.skip.Exception as missing:
        tally.not_tested[kind] = " ".join(str(missing).split())
        return
    over = time.monotonic()
    logs = "\n---\n".join(worker.log for worker in env.workers)
    until(lambda: _fresh_since(env, over), f"fresh after {kind}; the workers' logs:\n{logs}", RECOVERY)
    assert env.writers.errors == [], f"after {kind}"
    wrong = int(env.server.ask(_WRONG))
    tally.add(kind, env.refreshed() - before, env.watch.longest(), wrong)
    assert not wrong, f"{wrong} wrong values after {kind}"


def _fresh_since(env: FaultEnvironment, over: float) -> bool:
    """Return whether no mark is left from before ``over``, a monotonic time. Later marks may be there."""
    env.start_again()
    try:
        return float(env.server.ask(OLDEST)) < min(BUSY, time.monotonic() - over)
    except psycopg.OperationalError:
        return False


def _progress(words: str) -> None:
    """Write progress to stderr, beside the results on stdout."""
    click.echo(words, err=True)


def main() -> int:
    """Run the storm that the arguments ask for, print its table, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.storm", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--backlog", type=int, default=1_000_000, help="drain this many marks first (0: none)")
    parser.add_argument("--flags", type=int, default=0, help="drain the marks of this many flags first (0: none)")
    chosen = parser.parse_args()
    # sys.exit raises, so the contexts stop the workers and servers.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    with ExitStack() as stack:
        seed = seed_server(stack)
        if chosen.backlog:
            full = copy_of(seed, stack)
            full.start()
            click.echo(drained(full, runs=min(20_000, chosen.backlog), marks=chosen.backlog))
            full.stop()
        if chosen.flags:
            click.echo(many_flags(seed, chosen.flags, _progress))
        if not chosen.minutes:
            return 0
        _progress(f"PostgreSQL {seed.version}, {chosen.minutes:g} min, seed {chosen.seed}")
        tally = storm(seed, chosen.minutes * 60, chosen.seed, lambda kind: _progress(f"  {kind}"))
    click.echo(tally.table())
    return 0


if __name__ == "__main__":
    sys.exit(main())
