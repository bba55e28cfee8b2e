"""Check the end of a scenario: no stale pair, no wrong summary, no writer with an error, and a consistent log."""

from typing import Any

import psycopg

from tests.faults.program import Program
from tests.faults.server import Server
from tests.faults.writing import Writers
from tests.support.waiting import PATIENCE, until

_VALUES = """bad_run_coverage, explicitly_not_bad_run_coverage, mc_reproducible_coverage,
    missing_verifications_count, undefined_quality_periods_count, not_computable"""

_ROW = ", ".join(f"{{0}}.{name.strip()}" for name in _VALUES.split(","))

# The full join also finds a pair without a summary, and a summary without a pair.
_DIFFERENT = f"""
select data_pass_id, run_number
from gaq.compute((select array_agg(data_pass_id::bigint order by data_pass_id, run_number) from data_pass_runs),
                 (select array_agg(run_number::bigint order by data_pass_id, run_number) from data_pass_runs)) f
full join gaq.summaries s using (data_pass_id, run_number)
where ({_ROW.format("f")}) is distinct from ({_ROW.format("s")})
"""
_SOME_DIFFERENT = f"""
with chosen as materialized (
    select data_pass_id::bigint, run_number::bigint from data_pass_runs order by random() limit %s
)
select data_pass_id, run_number
from gaq.compute((select array_agg(data_pass_id) from chosen), (select array_agg(run_number) from chosen)) f
left join gaq.summaries s using (data_pass_id, run_number)
where ({_ROW.format("f")}) is distinct from ({_ROW.format("s")})
"""


def stale(server: Server) -> int:
    """Return the number of stale pairs, or -1 if the server does not answer."""
    try:
        return int(server.ask("select count(*) from gaq.pending"))
    except psycopg.OperationalError:
        return -1


def differences(server: Server, sample: int | None = None) -> list[Any]:
    """Return the pairs whose stored summary differs from the recomputed one.

    ``sample`` is the number of random pairs to compare. None: compare all pairs.
    """
    with server.connect() as connection:
        if sample is None:
            return connection.execute(_DIFFERENT.encode()).fetchall()
        return connection.execute(_SOME_DIFFERENT.encode(), (sample,)).fetchall()


def assert_converged(server: Server, writers: Writers, *programs: Program, patience: float = PATIENCE) -> None:
    """Stop the writers, wait until no pair is stale, compare all summaries, and stop the programs."""
    until(lambda: writers.changes > 0, "a writer has changed something")
    writers.stop()
    assert writers.errors == []
    log = "\n---\n".join(program.log for program in programs)
    until(lambda: stale(server) == 0, f"nothing is stale; the workers' logs:\n{log}", patience)
    assert differences(server) == []
    for program in programs:
        assert_clean_stop(program)


def assert_clean_stop(program: Program) -> None:
    """Stop a program. Check its exit code, and that the totals in its last line agree with its other lines."""
    assert program.stop() == 0, program.log
    *_, last = program.lines
    assert last.event == "stopped", program.log
    batches = program.of("batch_refreshed")
    assert int(last.values["batches"]) == len(batches), program.log
    assert int(last.values["pairs"]) == sum(int(batch.values["pairs"]) for batch in batches), program.log
    assert_connections_logged(program)


def assert_connections_logged(program: Program) -> None:
    """Check that the log has each loss of a connection and its end, no batch in between, and no Python error."""
    connected = False
    for line in program.lines:
        if line.event in ("started", "reconnected"):
            assert not connected, program.log
            connected = True
        elif line.event == "disconnected":
            connected = False
        elif line.event in ("batch_refreshed", "listening", "swept"):
            assert connected, program.log
    foreign = [text for text in program.raw if "Traceback" in text or "Error:" in text]
    assert not foreign, program.log
