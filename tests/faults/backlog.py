"""Add a large backlog, and let a worker drain it."""

from collections.abc import Mapping
from typing import Any

from psycopg import Connection

from tests.faults.convergence import assert_clean_stop, differences, stale
from tests.faults.program import running
from tests.faults.server import WORKER, Server
from tests.support.waiting import until

_RUNS = """
insert into runs (run_number, time_o2_start, time_o2_end)
select run, '2026-02-01 00:00Z'::timestamptz + run * interval '2 h',
       '2026-02-01 01:00Z'::timestamptz + run * interval '2 h'
from generate_series(10001, 10000 + %(runs)s) run;
insert into data_pass_runs select 1, run from generate_series(10001, 10000 + %(runs)s) run;
insert into gaq_detectors select 1, run, 1 from generate_series(10001, 10000 + %(runs)s) run;
insert into qc_flags (data_pass_id, run_number, detector_id, flag_type_id)
select 1, run, 1, 1 + run %% 2 from generate_series(10001, 10000 + %(runs)s) run;
insert into gaq.invalidations
select 1, 10001 + n %% %(runs)s, clock_timestamp(), 'flag' from generate_series(1, %(marks)s) n;
"""
_LATER = """
select count(*) from gaq.summaries
where updated_at > (select updated_at from gaq.summaries where (data_pass_id, run_number) = (%s, %s))
"""
MEMORY = 60e6
"""The largest memory of a worker, in bytes."""


def pile_up(server: Server, runs: int, marks: int) -> None:
    """Add ``runs`` pairs, and ``marks`` marks of these pairs."""
    with server.connect() as connection:
        execute(connection, _RUNS, {"runs": runs, "marks": marks})
        connection.execute("analyze")


def execute(connection: Connection[Any], statements: str, values: Mapping[str, int]) -> None:
    """Execute the statements one by one, each with the values that it names."""
    for statement in statements.split(";")[:-1]:
        used = {name: value for name, value in values.items() if f"%({name})" in statement}
        connection.execute(statement.encode(), used)


def size(server: Server, marks: str = "gaq.invalidations") -> int:
    """Return the size of a table of marks, in bytes."""
    return int(server.ask("select pg_relation_size(%s)", marks))


def drained(server: Server, runs: int, marks: int) -> str:
    """Add a backlog to a running server, let a worker drain it, and return a report.

    Raises:
        AssertionError: a summary was wrong or stale, a new mark had to wait for the backlog, the worker took too much
            memory, or vacuum could not remove the marks.
    """
    pile_up(server, runs, marks)
    before = size(server)
    with running(server.dsn(user=WORKER)) as program:
        first = program.until("batch_refreshed")
        # A change that comes now must not wait until the backlog is drained.
        server.ask("update gaq_summaries set invalidated_at = now() where (data_pass_id, run_number) = (2, 505)")
        until(lambda: stale(server) == 0, "everything is fresh", patience=300, every=0.1)
        memory = program.memory()
        assert memory < MEMORY
        assert int(program.until("behind").values["pairs_left"]) > 400
        last = program.until("caught_up")
        assert_clean_stop(program)
    assert differences(server) == []
    assert int(server.ask(_LATER, 2, 505)) > runs / 10
    # The worker holds no snapshot that would keep vacuum from shrinking the table of marks.
    server.ask("vacuum gaq.invalidations")
    assert size(server) < before / 10
    return (
        f"{marks:,} marks of {runs:,} pairs drained in {last.at - first.at:.1f} s, with {memory / 1e6:.0f} MB; "
        f"the marks took {before / 1e6:.0f} MB before and {size(server) / 1e6:.1f} MB after"
    )
