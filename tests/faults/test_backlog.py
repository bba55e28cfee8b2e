"""Marks that pile up while nobody works, or that nobody can remove because somebody looks at an old snapshot."""

from tests.faults.backlog import drained
from tests.faults.convergence import assert_converged, ended_well
from tests.faults.program import running
from tests.faults.server import WORKER, Server
from tests.faults.waiting import until
from tests.faults.writing import writing


def test_marks_that_piled_up_are_drained(server: Server) -> None:
    assert drained(server, runs=4000, marks=60_000).startswith("60,000 marks of 4,000 pairs drained")


def test_beside_a_snapshot_that_is_held(server: Server) -> None:
    """Nobody can remove marks that were deleted since: reading past them must not bring the worker down."""
    with server.connect() as historian, running(server.dsn(user=WORKER)) as program:
        historian.execute("begin isolation level repeatable read")
        historian.execute("select count(*) from gaq.invalidations")
        with writing(server, pause=0.001) as writers:
            until(lambda: writers.changes > 500, "they write")
            memory = program.memory()
            until(lambda: writers.changes > 1500, "they write")
            assert program.memory() - memory < 2e6
            assert_converged(server, writers)
            last = program.of("batch_refreshed")[-1]
            assert float(last.values["oldest_ms"]) < 5000, program.log
        historian.execute("commit")
        ended_well(program)
