"""Measure gaq.live_summaries, beside the view when nothing is stale, and beside computing when many pairs are."""

from statistics import median

import psycopg

from benchmarks.figures import Figure, Target
from benchmarks.lab import THIS_WORKER, Lab
from benchmarks.pairs import COMPUTE, generic, milliseconds
from gaq_listen.types import columns

VIEW, LIVE, COMPUTING = "gaq_summaries", "gaq.live_summaries", "the view, and computing them"
STALE = 100
_VIEW = b"select * from gaq_summaries where data_pass_id = %s"
_LIVE = b"select * from gaq.live_summaries(%s)"
_MARK = b"""
insert into gaq.invalidations (data_pass_id, run_number, cause)
select data_pass_id, run_number, 'benchmark'
from (select data_pass_id, run_number, row_number() over (partition by data_pass_id order by run_number) as place
      from data_pass_runs) p
where place <= %s
"""
_STALE = b"select data_pass_id, run_number from gaq.pending where data_pass_id = %s"


def measure(lab: Lab) -> list[Figure]:
    """Measure both in turns. Each repeat is the median of reading all data passes one by one."""
    fresh = Figure("read a data pass, nothing stale", "ms", VIEW, targets=[Target(LIVE, "≤", 1.2)])
    stale = Figure(f"read a data pass, {STALE} runs stale", "ms", COMPUTING, targets=[Target(LIVE, "≤", 1.05)])
    with lab.database(THIS_WORKER) as dbname, lab.connect(dbname) as connection:
        generic(connection)
        for data_passes in _repeats(lab):
            _add(connection, fresh, data_passes, {VIEW: _VIEW, LIVE: _LIVE})
        connection.execute(_MARK, [STALE])
        connection.execute("vacuum analyze gaq.invalidations")
        pairs = {number: columns(connection.execute(_STALE, [number]).fetchall()) for number in range(1, 22)}
        for data_passes in _repeats(lab):
            times: dict[str, list[float]] = {COMPUTING: [], LIVE: []}
            for number in data_passes:
                viewing = milliseconds(connection, _VIEW, [number])
                times[COMPUTING].append(viewing + milliseconds(connection, COMPUTE, pairs[number]))
                times[LIVE].append(milliseconds(connection, _LIVE, [number]))
            for name, measured in times.items():
                stale.add(name, median(measured))
    return [fresh, stale]


def _repeats(lab: Lab) -> list[range]:
    return [range(1, 22)] * (5 if lab.quick else 15)


def _add(connection: psycopg.Connection, figure: Figure, data_passes: range, statements: dict[str, bytes]) -> None:
    times: dict[str, list[float]] = {name: [] for name in statements}
    for number in data_passes:
        for name, statement in statements.items():
            times[name].append(milliseconds(connection, statement, [number]))
    for name, measured in times.items():
        figure.add(name, median(measured))
