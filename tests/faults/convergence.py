"""How every scenario ends: nothing stale, nothing wrong, no writer harmed, and the truth told."""

from typing import Any

import psycopg

from tests.faults.program import Program
from tests.faults.server import Server
from tests.faults.waiting import PATIENCE, until
from tests.faults.writing import Writers

_VALUES = """bad_run_coverage, explicitly_not_bad_run_coverage, mc_reproducible_coverage,
    missing_verifications_count, undefined_quality_periods_count, not_computable"""

_ROW = ", ".join(f"{{0}}.{name.strip()}" for name in _VALUES.split(","))

# Both ways: a pair without a summary, and a summary without a pair.
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
    """How many pairs are stale; -1 when the server does not say."""
    try:
        return int(server.ask("select count(*) from gaq.pending"))
    except psycopg.OperationalError:
        return -1


def differences(server: Server, sample: int | None = None) -> list[Any]:
    """The pairs whose stored summary is not the recomputed one: of all pairs, or of so many that chance chooses."""
    with server.connect() as connection:
        if sample is None:
            return connection.execute(_DIFFERENT.encode()).fetchall()
        return connection.execute(_SOME_DIFFERENT.encode(), (sample,)).fetchall()


def assert_converged(server: Server, writers: Writers, *programs: Program, patience: float = PATIENCE) -> None:
    """Ends the writing, waits until nothing is stale, compares, and ends the programs that still run."""
    until(lambda: writers.changes > 0, "somebody has written something")
    writers.stop()
    assert writers.errors == []
    log = "\n---\n".join(program.log for program in programs)
    until(lambda: stale(server) == 0, f"nothing is stale; the workers' logs:\n{log}", patience)
    assert differences(server) == []
    for program in programs:
        ended_well(program)


def ended_well(program: Program) -> None:
    """Ends a program; checks that it ends as it should and that what it has told adds up."""
    assert program.stop() == 0, program.log
    *_, last = program.lines
    assert last.event == "stopped", program.log
    batches = program.of("batch_refreshed")
    assert int(last.values["batches"]) == len(batches), program.log
    assert int(last.values["pairs"]) == sum(int(batch.values["pairs"]) for batch in batches), program.log
    told_in_order(program)


def told_in_order(program: Program) -> None:
    """Every loss of a connection is told, and so is its end, and no batch comes in between."""
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
