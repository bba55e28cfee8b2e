"""Measure the cost of gaq.changes: a refresh beside the same function without that part."""

import re
from statistics import median

import psycopg

from benchmarks.figures import Figure, Target
from benchmarks.lab import THIS_WORKER, Lab
from benchmarks.pairs import Chooser, Pairs, generic, milliseconds
from gaq_listen.dba import scripts

WITHOUT, WITH = "without gaq.changes", "with gaq.changes"
_REFRESH = {WITHOUT: b"select * from gaq.refresh_without(%s)", WITH: b"select * from gaq.refresh(%s)"}
_MARK = b"""
insert into gaq.invalidations (data_pass_id, run_number, cause)
select data_pass_id, run_number, 'benchmark' from unnest(%s::bigint[], %s::bigint[]) p (data_pass_id, run_number)
"""
_SPOIL = b"""
update gaq.summaries s set bad_run_coverage = 2
from unnest(%s::bigint[], %s::bigint[]) p (data_pass_id, run_number)
where s.data_pass_id = p.data_pass_id and s.run_number = p.run_number
"""


def measure(lab: Lab) -> list[Figure]:
    """Measure both functions in turns. Each repeat is the median of several batches of different pairs."""
    cases = [
        (Figure(f"refresh {number} {what}", "ms", WITHOUT, targets=[Target(WITH, "≤", 1.05)]), number, before)
        for number, what, before in (
            (1, "pair, no value changes", (_MARK,)),
            (1, "pair, its values change", (_MARK, _SPOIL)),
            (100, "pairs, no value changes", (_MARK,)),
            (100, "pairs, all values change", (_MARK, _SPOIL)),
        )
    ]
    repeats, batches = (5, 7) if lab.quick else (15, 21)
    with lab.database(THIS_WORKER) as dbname, lab.connect(dbname) as connection:
        connection.execute(_without())
        generic(connection)
        chooser = Chooser(connection)
        for repeat in range(repeats + 1):
            for figure, number, before in cases:
                times: dict[str, list[float]] = {WITHOUT: [], WITH: []}
                for _ in range(batches):
                    for name, statement in _REFRESH.items():
                        times[name].append(_refresh(connection, statement, chooser.some(number), before))
                if repeat > 0:  # the first repeat warms the caches up
                    for name, measured in times.items():
                        figure.add(name, median(measured))
            # Autovacuum, which is off here, would do this on a real server.
            connection.execute("vacuum gaq.invalidations, gaq.summaries, gaq.changes")
    return [figure for figure, _, _ in cases]


def _without() -> bytes:
    """Return the SQL of a copy of gaq.refresh that does not write to gaq.changes."""
    text = scripts.script("40_refresh")
    start = text.index("create or replace function gaq.refresh(")
    function = text[start : text.index("$$;", start) + 3]
    without, parts = re.subn(r"    \), changed as \(.*?(?=    \), failing as )", "", function, flags=re.DOTALL)
    without, trims = re.subn(r"    perform gaq\.trim_changes\(.*?\);\n", "", without)
    assert (parts, trims) == (1, 1), "the text of gaq.refresh has changed, so change this scenario as well"
    renamed = without.replace("function gaq.refresh(", "function gaq.refresh_without(")
    return f"set role gaq_owner; {renamed} reset role".encode()


def _refresh(connection: psycopg.Connection, statement: bytes, pairs: Pairs, before: tuple[bytes, ...]) -> float:
    for change in before:
        connection.execute(change, pairs)
    return milliseconds(connection, statement, [len(pairs[0])])
