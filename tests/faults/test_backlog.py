"""A worker drains marks that piled up, also beside a session that keeps an old snapshot."""

from tests.faults.backlog import drained
from tests.faults.convergence import assert_clean_stop, assert_converged
from tests.faults.program import running
from tests.faults.server import WORKER, Server
from tests.faults.writing import writing
from tests.support.waiting import until


def test_a_large_backlog_is_drained(server: Server) -> None:
    assert drained(server, runs=4000, marks=60_000).startswith("60,000 marks of 4,000 pairs drained")


def test_a_held_snapshot_does_not_slow_a_worker_down(server: Server) -> None:
    """Vacuum cannot remove the deleted marks, and the worker must read past them."""
    with server.connect() as historian, running(server.dsn(user=WORKER)) as program:
        historian.execute("begin isolation level repeatable read")
        historian.execute("select count(*) from gaq.invalidations")
        with writing(server, pause=0.001) as writers:
            until(lambda: writers.changes > 500, "writers make changes")
            memory = program.memory()
            until(lambda: writers.changes > 1500, "writers make changes")
            assert program.memory() - memory < 2e6
            assert_converged(server, writers)
            last = program.of("batch_refreshed")[-1]
            assert float(last.values["oldest_ms"]) < 5000, program.log
        historian.execute("commit")
        assert_clean_stop(program)
