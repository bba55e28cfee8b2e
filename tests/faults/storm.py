"""Mishap after mishap, as chance has it, and right summaries after each: ``make storm MINUTES=10``."""

import argparse
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from random import Random

import click

from tests.faults.backlog import drained
from tests.faults.flags import many_flags
from tests.faults.mishaps import MISHAPS
from tests.faults.seeding import copy_of, seed_server
from tests.faults.server import Server
from tests.faults.site import Site, Watch, site
from tests.faults.verdict import all_is_well, stale
from tests.faults.waiting import until
from tests.faults.writing import writing

_WRONG = """
select count(*) from gaq.differences(
    (select array_agg(data_pass_id::bigint order by data_pass_id, run_number) from data_pass_runs),
    (select array_agg(run_number::bigint order by data_pass_id, run_number) from data_pass_runs))
"""
RECOVERY = 90.0
"""Seconds after a mishap within which everything that it left stale is fresh."""


@dataclass(slots=True)
class Account:
    """What happened in a storm, by kind of mishap. ``longest``: seconds that something was stale at the most."""

    times: Counter[str] = field(default_factory=Counter)
    pairs: Counter[str] = field(default_factory=Counter)
    longest: dict[str, float] = field(default_factory=dict)
    wrong: Counter[str] = field(default_factory=Counter)
    changes: int = 0

    def table(self) -> str:
        """For people."""
        lines = [f"{'what happened':<24}{'times':>7}{'pairs':>9}{'longest stale':>16}{'wrong':>7}"]
        rows = [
            (kind, self.times[kind], self.pairs[kind], self.longest[kind], self.wrong[kind])
            for kind in sorted(self.times)
        ]
        longest = max(self.longest.values(), default=0.0)
        rows.append(("altogether", self.times.total(), self.pairs.total(), longest, self.wrong.total()))
        lines += [f"{row[0]:<24}{row[1]:>7}{row[2]:>9,}{row[3]:>14.2f} s{row[4]:>7}" for row in rows]
        lines.append(f"{self.changes:,} changes were written meanwhile, and no writer was harmed")
        return "\n".join(lines)


def storm(server: Server, seconds: float, seed: int, tell: Callable[[str], None] = lambda _: None) -> Account:
    """Rages for so long over a server that runs; the same seed gives the same mishaps in the same order.

    Raises:
        AssertionError: something was wrong or stale at the end, or a writer was harmed.
    """
    chance = Random(seed)
    account = Account()
    end = time.monotonic() + seconds
    with writing(server, seed=seed, pause=0.02) as writers, site(server, chance) as place:
        watch = Watch(server)
        try:
            while time.monotonic() < end:
                # Every kind comes before one comes again, in an order that chance decides.
                rarest = min(account.times[kind] for kind in MISHAPS)
                kind = chance.choice([kind for kind in MISHAPS if account.times[kind] == rarest])
                tell(kind)
                _happen(kind, place, watch, account)
                place.some_time(0.3)
            account.changes = writers.changes
            all_is_well(server, writers, *place.workers, patience=RECOVERY)
        finally:
            watch.stop()
    return account


def _happen(kind: str, place: Site, watch: Watch, account: Account) -> None:
    before = place.refreshed()
    watch.longest()
    began = time.time()
    MISHAPS[kind](place)
    logs = "\n---\n".join(worker.log for worker in place.workers)
    until(lambda: _fresh_since(place, began), f"fresh after {kind}; the workers' logs:\n{logs}", RECOVERY)
    account.times[kind] += 1
    account.pairs[kind] += place.refreshed() - before
    account.longest[kind] = max(account.longest.get(kind, 0.0), watch.longest())
    wrong = int(place.server.ask(_WRONG))
    account.wrong[kind] += wrong
    assert not wrong, f"{wrong} wrong values after {kind}"


def _fresh_since(place: Site, began: float) -> bool:
    """Whether nothing is stale that was marked before now; writers go on, so something always is."""
    place.start_again()
    if stale(place.server) < 0:
        return False
    now = time.time()
    oldest = place.server.ask("select date_part('epoch', stale_since) from gaq.status")
    return oldest is None or float(oldest) > max(began, now - 2.5)


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
        server = copy_of(seed, stack)
        server.start()
        _beside(f"PostgreSQL {server.version}, {chosen.minutes:g} min, seed {chosen.seed}")
        account = storm(server, chosen.minutes * 60, chosen.seed, lambda kind: _beside(f"  {kind}"))
    click.echo(account.table())
    return 0


if __name__ == "__main__":
    sys.exit(main())
