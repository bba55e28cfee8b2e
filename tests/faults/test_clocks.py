"""An operator sets the clock of the server or of the worker's host, by an hour forward or back."""

import pytest

from tests.faults.clocks import HOUR, Clock
from tests.faults.conftest import NewServer
from tests.faults.convergence import assert_converged
from tests.faults.program import running
from tests.faults.server import WORKER, Server
from tests.faults.writing import writing
from tests.support.waiting import until

STEPS = pytest.mark.parametrize("step", [HOUR, -HOUR], ids=["forward", "back"])


@STEPS
def test_a_step_of_the_workers_clock_changes_nothing(server: Server, step: float) -> None:
    clock = Clock(server.home)
    with writing(server) as writers, running(server.dsn(user=WORKER), **clock.variables) as program:
        program.until("batch_refreshed")
        year_and_hour = program.raw[-1][:13]
        clock.set(step)
        until(lambda: program.raw[-1][:13] != year_and_hour, "the worker sees another time")
        writers.stop()
        # The server's clock dates marks, and a monotonic clock paces the worker.
        since = program.now()
        server.ask("update gaq_summaries set invalidated_at = now() where run_number = 503")
        assert 0 <= float(program.until("batch_refreshed", since).values["oldest_ms"]) < 10_000
        assert not program.of("disconnected"), program.log
        assert_converged(server, writers, program)


@STEPS
def test_a_step_of_the_servers_clock_delays_no_refresh(new_server: NewServer, step: float) -> None:
    server = new_server()
    clock = Clock(server.home)
    server.launcher = clock.launcher
    server.start()
    now = "select date_part('epoch', clock_timestamp())"
    with writing(server) as writers, running(server.dsn(user=WORKER)) as program:
        program.until("batch_refreshed")
        before = server.ask(now)
        clock.set(step)
        assert abs(server.ask(now) - before) > HOUR / 2
        reached = writers.changes
        until(lambda: writers.changes > reached + 20, "writers make changes")
        assert_converged(server, writers, program, patience=20)
        assert not program.of("disconnected"), program.log


@STEPS
def test_marks_of_another_time_are_refreshed_at_once(server: Server, step: float) -> None:
    """A clock step between a mark and its refresh gives such marks, and so does a failover to another clock."""
    with writing(server) as writers, running(server.dsn(user=WORKER)) as program:
        program.until("batch_refreshed")
        writers.stop()
        mark = "insert into gaq.invalidations values (1, 501, clock_timestamp() + %s * interval '1 s', 'other clock')"
        server.ask(mark, step)
        server.ask("notify gaq_invalidated")
        program.until("batch_refreshed", where=lambda values: "other clock" in values["refreshed"], patience=10)
        assert_converged(server, writers, program)
