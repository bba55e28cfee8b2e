"""Faults of clocks: an operator sets a clock by an hour, and later back."""

from tests.faults.clocks import HOUR, Clock
from tests.faults.fault_environment import FaultEnvironment


def clock_of_the_server_set(env: FaultEnvironment) -> None:
    _set(env, env.server_clock.require())


def clock_of_the_workers_set(env: FaultEnvironment) -> None:
    _set(env, env.worker_clock.require())


def marks_of_another_clock(env: FaultEnvironment) -> None:
    env.server.ask(
        "insert into gaq.invalidations"
        " select data_pass_id, run_number, clock_timestamp() + %s * interval '1 s', 'clock' from data_pass_runs",
        env.chance.choice((-HOUR, HOUR)),
    )


def _set(env: FaultEnvironment, clock: Clock) -> None:
    clock.set(env.chance.choice((-HOUR, HOUR)))
    env.some_time(3)
    clock.set(0)
    env.some_time(1)
