"""A worker is frozen, or a backend that serves a worker."""

import pytest

from tests.faults.convergence import assert_clean_stop, assert_converged, stale
from tests.faults.program import running
from tests.faults.server import WORKER, Server, freeze, thaw
from tests.faults.writing import writing
from tests.support.waiting import until

_IN_A_BATCH = """
select exists (select from pg_stat_activity where application_name = 'gaq-listen worker' and wait_event_type = 'Lock')
"""


def test_another_worker_goes_on_when_one_is_frozen(server: Server) -> None:
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
def test_a_worker_notices_a_frozen_backend(server: Server, name: str) -> None:
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
            # Until now, the frozen backend has kept its claims.
            thaw(*frozen)
        assert_converged(server, writers, program)


def test_a_frozen_batch_is_noticed_before_the_batch_timeout(server: Server) -> None:
    with running(server.dsn(user=WORKER), GAQ_LISTEN_HEARTBEAT="2s", GAQ_LISTEN_BATCH_TIMEOUT="1h") as program:
        server.until_asleep()
        with server.connect() as other, other.transaction():
            other.execute("lock table gaq.summaries in access exclusive mode")
            server.ask("update qc_flags set deleted = not deleted where id = 1")
            until(lambda: server.ask(_IN_A_BATCH), "the worker is in the middle of a batch")
            frozen = server.backends("gaq-listen worker")
            freeze(*frozen)
        try:
            since = program.now()
            program.until("disconnected", since)
            program.until("reconnected", since)
            # The frozen backend has claimed nothing yet, so the next backend can refresh the pair.
            until(lambda: stale(server) == 0, "nothing is stale")
        finally:
            thaw(*frozen)
        assert_clean_stop(program)


def test_a_frozen_listener_delays_no_other_worker(server: Server) -> None:
    """The frozen backend keeps the lock of the doorbell, which the next connection of the worker shares."""
    with running(server.dsn(user=WORKER), GAQ_LISTEN_HEARTBEAT="1s") as program:
        frozen = server.backends("gaq-listen doorbell")
        freeze(*frozen)
        try:
            program.until("reconnected")
            with writing(server) as writers:
                until(lambda: writers.changes > 20, "writers make changes")
            until(lambda: stale(server) == 0, "nothing is stale")
        finally:
            thaw(*frozen)
        assert_converged(server, writers, program)


def test_a_frozen_listener_delays_no_stop(server: Server) -> None:
    """A stopping worker does not wait for its doorbell connection, which has two minutes to answer here."""
    with running(server.dsn(user=WORKER), GAQ_LISTEN_HEARTBEAT="2m") as program:
        server.until_asleep()
        frozen = server.backends("gaq-listen doorbell")
        freeze(*frozen)
        try:
            assert_clean_stop(program)
        finally:
            thaw(*frozen)
