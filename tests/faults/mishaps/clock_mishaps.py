"""Somebody sets a clock by an hour, and later back."""

from tests.faults.clocks import HOUR, Clock
from tests.faults.fault_environment import Site


def clock_of_the_server_set(site: Site) -> None:
    _set(site, site.server_clock())


def clock_of_the_workers_set(site: Site) -> None:
    _set(site, site.worker_clock())


def marks_of_another_clock(site: Site) -> None:
    site.server.ask(
        "insert into gaq.invalidations"
        " select data_pass_id, run_number, clock_timestamp() + %s * interval '1 s', 'clock' from data_pass_runs",
        site.chance.choice((-HOUR, HOUR)),
    )


def _set(site: Site, clock: Clock) -> None:
    clock.set(site.chance.choice((-HOUR, HOUR)))
    site.some_time(3)
    clock.set(0)
    site.some_time(1)
