"""A process stands still and says nothing: the worker's, or one of the server's that serve it."""

import pytest

from tests.faults.convergence import assert_converged, ended_well, stale
from tests.faults.program import running
from tests.faults.server import WORKER, Server, freeze, thaw
from tests.faults.waiting import until
from tests.faults.writing import writing

_IN_A_BATCH = """
select exists (select from pg_stat_activity where application_name = 'gaq-listen worker' and wait_event_type = 'Lock')
"""


def test_another_worker_goes_on(server: Server) -> None:
    dsn = server.dsn(user=WORKER)
    with writing(server) as writers, running(dsn) as first, running(dsn) as second:
        first.until("batch_refreshed")
        freeze(first.pid)
        since = second.now()
        for _ in range(3):
            second.until("batch_refreshed", since)
            since = second.now()
        thaw(first.pid)
        assert_converged(server, writers, first, second)


@pytest.mark.parametrize("name", ["gaq-listen doorbell", "gaq-listen worker"])
def test_a_backend_that_stands_still_is_noticed(server: Server, name: str) -> None:
    options = {"GAQ_LISTEN_HEARTBEAT": "1s", "GAQ_LISTEN_BATCH_TIMEOUT": "3s"}
    with writing(server) as writers, running(server.dsn(user=WORKER), **options) as program:
        program.until("batch_refreshed")
        frozen = server.backends(name)
        freeze(*frozen)
        try:
            since = program.now()
            program.until("disconnected")
            program.until("reconnected")
            program.until("batch_refreshed", since)
        finally:
            # What it had claimed stays claimed until then.
            thaw(*frozen)
        assert_converged(server, writers, program)


def test_a_batch_whose_backend_stands_still_is_noticed_long_before_its_own_limit(server: Server) -> None:
    with running(server.dsn(user=WORKER), GAQ_LISTEN_HEARTBEAT="2s", GAQ_LISTEN_BATCH_TIMEOUT="1h") as program:
        server.until_asleep()
        with server.connect() as other, other.transaction():
            other.execute("lock table gaq.summaries in access exclusive mode")
            server.ask("update qc_flags set deleted = not deleted where id = 1")
            until(lambda: server.ask(_IN_A_BATCH), "it is in the middle of a batch")
            frozen = server.backends("gaq-listen worker")
            freeze(*frozen)
        try:
            since = program.now()
            program.until("disconnected", since)
            program.until("reconnected", since)
            # The one that stands still has claimed nothing yet, so the next one can do it.
            until(lambda: stale(server) == 0, "nothing is stale")
        finally:
            thaw(*frozen)
        ended_well(program)


def test_a_frozen_listener_holds_nobody_up(server: Server) -> None:
    """The frozen backend keeps the doorbell's lock: the next worker shares it."""
    with running(server.dsn(user=WORKER), GAQ_LISTEN_HEARTBEAT="1s") as program:
        frozen = server.backends("gaq-listen doorbell")
        freeze(*frozen)
        try:
            program.until("reconnected")
            with writing(server) as writers:
                until(lambda: writers.changes > 20, "they write")
            until(lambda: stale(server) == 0, "nothing is stale")
        finally:
            thaw(*frozen)
        assert_converged(server, writers, program)


def test_a_frozen_listener_delays_no_stop(server: Server) -> None:
    """A worker that stops asks nothing more of its doorbell, which has two minutes here to answer."""
    with running(server.dsn(user=WORKER), GAQ_LISTEN_HEARTBEAT="2m") as program:
        server.until_asleep()
        frozen = server.backends("gaq-listen doorbell")
        freeze(*frozen)
        try:
            ended_well(program)
        finally:
            thaw(*frozen)
