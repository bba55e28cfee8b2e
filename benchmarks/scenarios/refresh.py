"""The whole refresh, from the claim to the commit, beside the computing in it."""

from statistics import median

import psycopg

from benchmarks.figures import Figure, Target
from benchmarks.lab import THIS_WORKER, Lab
from benchmarks.pairs import COMPUTE, Chooser, Pairs, generic, milliseconds

COMPUTING, REFRESH = "computing alone", "refresh"
_REFRESH = b"select * from gaq.refresh(%s)"
_MARK = b"""
insert into gaq.invalidations (data_pass_id, run_number, cause)
select data_pass_id, run_number, 'benchmark' from unnest(%s::bigint[], %s::bigint[]) p (data_pass_id, run_number)
"""


def measure(lab: Lab) -> list[Figure]:
    """Each repeat is the median of some batches of other pairs, the two in turns."""
    figures = [
        Figure("refresh 1 pair", "ms", COMPUTING, targets=[Target(REFRESH, "≤", 2.0, absolute=True)]),
        Figure("refresh 100 pairs", "ms", COMPUTING, targets=[Target(REFRESH, "≤", 1.3)]),
        Figure("refresh 400 pairs", "ms", COMPUTING, targets=[Target(REFRESH, "≤", 1.3)]),
    ]
    repeats, batches = (3, 5) if lab.quick else (11, 15)
    with lab.database(THIS_WORKER) as dbname, lab.connect(dbname) as connection:
        generic(connection)
        chooser = Chooser(connection)
        for repeat in range(repeats + 1):
            for figure, number in zip(figures, (1, 100, 400), strict=True):
                times: dict[str, list[float]] = {COMPUTING: [], REFRESH: []}
                for _ in range(batches):
                    times[COMPUTING].append(milliseconds(connection, COMPUTE, chooser.some(number)))
                    times[REFRESH].append(_refresh(connection, chooser.some(number)))
                if repeat > 0:  # the first warms up
                    for name, measured in times.items():
                        figure.add(name, median(measured))
            # What autovacuum does on a server where it is not off.
            connection.execute("vacuum gaq.invalidations, gaq.summaries")
    return figures


def _refresh(connection: psycopg.Connection, pairs: Pairs) -> float:
    connection.execute(_MARK, pairs)
    return milliseconds(connection, _REFRESH, [len(pairs[0])])
