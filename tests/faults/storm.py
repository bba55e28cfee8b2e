"""Mishap after mishap, as chance has it, and right summaries after each: ``make storm MINUTES=10``."""

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
from tests.faults.convergence import assert_converged, told_in_order
from tests.faults.fault_environment import Site, site
from tests.faults.flags import many_flags
from tests.faults.mishaps import MISHAPS
from tests.faults.seeded_cluster import copy_of, seed_server
from tests.faults.server import Server
from tests.faults.staleness_watch import OLDEST
from tests.faults.storm_tally import Account
from tests.faults.waiting import until

_WRONG = """
select count(*) from gaq.differences(
    (select array_agg(data_pass_id::bigint order by data_pass_id, run_number) from data_pass_runs),
    (select array_agg(run_number::bigint order by data_pass_id, run_number) from data_pass_runs))
"""
RECOVERY = 90.0
"""Seconds after a mishap within which everything that it left stale is fresh."""
BUSY = 2.5
"""Seconds that something may be stale while people write: somebody always does."""

Tell = Callable[[str], None]


def storm(seed: Server, seconds: float, number: int, tell: Tell = lambda _: None) -> Account:
    """Rages for so long over a copy of the seed; the same number gives the same mishaps in the same order.

    Raises:
        AssertionError: something was wrong or stale at the end, or a writer was harmed.
    """
    chance = Random(number)
    account = Account(MISHAPS)
    end = time.monotonic() + seconds
    with site(seed, chance) as place:
        while time.monotonic() < end and (possible := account.rarest()):
            # Every kind comes before one comes again, in an order that chance decides.
            kind = chance.choice(possible)
            tell(kind)
            _happen(kind, place, account)
            place.some_time(0.3)
        account.changes = place.writers.changes
        assert_converged(place.server, place.writers, *place.workers, patience=RECOVERY)
        for worker in place.ended:
            told_in_order(worker)
    return account


def _happen(kind: str, place: Site, account: Account) -> None:
    before = place.refreshed()
    place.watch.longest()
    try:
        MISHAPS[kind](place)
    except pytest.skip.Exception as lacking:
        account.not_tested[kind] = " ".join(str(lacking).split())
        return
    over = time.monotonic()
    logs = "\n---\n".join(worker.log for worker in place.workers)
    until(lambda: _fresh_since(place, over), f"fresh after {kind}; the workers' logs:\n{logs}", RECOVERY)
    assert place.writers.errors == [], f"after {kind}"
    wrong = int(place.server.ask(_WRONG))
    account.add(kind, place.refreshed() - before, place.watch.longest(), wrong)
    assert not wrong, f"{wrong} wrong values after {kind}"


def _fresh_since(place: Site, over: float) -> bool:
    """Whether nothing is stale that was marked before that time; writers go on, so something always is."""
    place.start_again()
    try:
        return float(place.server.ask(OLDEST)) < min(BUSY, time.monotonic() - over)
    except psycopg.OperationalError:
        return False


def _beside(words: str) -> None:
    """Progress, beside the results."""
    click.echo(words, err=True)


def main() -> int:
    """Rage as told, and print the table; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.storm", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--backlog", type=int, default=1_000_000, help="marks to be drained before; 0: none")
    parser.add_argument("--flags", type=int, default=0, help="flags whose marks are to be drained before; 0: none")
    chosen = parser.parse_args()
    # An exception, so that workers and servers are not left behind.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    with ExitStack() as stack:
        seed = seed_server(stack)
        if chosen.backlog:
            full = copy_of(seed, stack)
            full.start()
            click.echo(drained(full, runs=min(20_000, chosen.backlog), marks=chosen.backlog))
            full.stop()
        if chosen.flags:
            click.echo(many_flags(seed, chosen.flags, _beside))
        if not chosen.minutes:
            return 0
        _beside(f"PostgreSQL {seed.version}, {chosen.minutes:g} min, seed {chosen.seed}")
        account = storm(seed, chosen.minutes * 60, chosen.seed, lambda kind: _beside(f"  {kind}"))
    click.echo(account.table())
    return 0


if __name__ == "__main__":
    sys.exit(main())
