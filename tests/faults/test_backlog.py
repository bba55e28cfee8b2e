"""Far more marks than usual: while nobody works, or while somebody looks at an old snapshot."""

from tests.faults.program import running
from tests.faults.server import WORKER, Server
from tests.faults.verdict import all_is_well, differences, ended_well, stale
from tests.faults.waiting import until
from tests.faults.writing import writing

MORE_RUNS = """
insert into runs (run_number, time_o2_start, time_o2_end)
select run, '2026-02-01 00:00Z'::timestamptz + run * interval '2 h',
       '2026-02-01 01:00Z'::timestamptz + run * interval '2 h'
from generate_series(10001, 10000 + %(runs)s) run;
insert into data_pass_runs select 1, run from generate_series(10001, 10000 + %(runs)s) run;
insert into gaq_detectors select 1, run, 1 from generate_series(10001, 10000 + %(runs)s) run;
insert into qc_flags (data_pass_id, run_number, detector_id, flag_type_id)
select 1, run, 1, 1 + run %% 2 from generate_series(10001, 10000 + %(runs)s) run;
"""
MORE_MARKS = """
insert into gaq.invalidations
select 1, 10001 + n %% %(runs)s, clock_timestamp(), 'flag' from generate_series(1, %(marks)s) n
"""


def pile_up(server: Server, runs: int, marks: int) -> None:
    """So many more pairs, and so many more marks of them."""
    values = {"runs": runs, "marks": marks}
    with server.connect() as connection:
        for statement in (*MORE_RUNS.split(";")[:-1], MORE_MARKS):
            connection.execute(statement.encode(), values if "%(" in statement else None)
        connection.execute("analyze")


def size(server: Server) -> int:
    return int(server.ask("select pg_relation_size('gaq.invalidations')"))


def test_marks_that_piled_up_are_drained(server: Server) -> None:
    pile_up(server, runs=4000, marks=60_000)
    before = size(server)
    with running(server.dsn(user=WORKER)) as program:
        program.until("batch")
        # Somebody changes something now: it does not wait until everything old is done.
        server.ask("update gaq_summaries set invalidated_at = now() where (data_pass_id, run_number) = (2, 505)")
        until(lambda: stale(server) == 0, "everything is fresh")
        assert program.memory() < 60e6
        assert int(program.until("behind").values["pairs_left"]) > 400
        program.until("recovered")
        ended_well(program)
    assert differences(server) == []
    # Nothing holds the marks table back from shrinking.
    server.ask("vacuum gaq.invalidations")
    assert size(server) < before / 10


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
            all_is_well(server, writers)
            last = program.of("batch")[-1]
            assert float(last.values["oldest_ms"]) < 5000, program.log
        historian.execute("commit")
        ended_well(program)
