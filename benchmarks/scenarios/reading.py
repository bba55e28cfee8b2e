"""Measure reading the summaries of a data pass, beside a plain table with the same rows."""

from statistics import median

import psycopg

from benchmarks.figures import Figure, Target
from benchmarks.lab import THIS_WORKER, Lab
from benchmarks.pairs import generic, milliseconds

PLAIN, VIEW = "plain table", "gaq_summaries"
MARKS = 100_000
_PLAIN = """
create table plain as select * from gaq_summaries;
alter table plain add primary key (data_pass_id, run_number);
"""
_READ = "select * from {} where data_pass_id = %s"
_MARK = """
insert into gaq.invalidations (data_pass_id, run_number, cause)
select data_pass_id, run_number, 'benchmark'
from data_pass_runs cross join generate_series(0, %s / (select count(*) from data_pass_runs)) n
order by n, run_number
limit %s
"""


def measure(lab: Lab) -> list[Figure]:
    """Measure both in turns. Each repeat is the median of reading all data passes one by one."""
    none = Figure("read a data pass, no marks", "ms", PLAIN, targets=[Target(VIEW, "≤", 1.3)])
    many = Figure("read a data pass, 100 000 marks", "ms", PLAIN, targets=[Target(VIEW, "≤", 2.5)])
    sudden = Figure("the same before autovacuum saw the marks, with the plan for none", "ms", PLAIN)
    with lab.database(THIS_WORKER) as dbname, lab.connect(dbname) as connection:
        connection.execute(_PLAIN)
        connection.execute("vacuum analyze")
        generic(connection)
        _read(lab, connection, none)
        connection.execute(_MARK, [MARKS, MARKS])
        _read(lab, connection, sudden)
        connection.execute("vacuum analyze gaq.invalidations")
        _read(lab, connection, many)
    return [none, many, sudden]


def _read(lab: Lab, connection: psycopg.Connection, figure: Figure) -> None:
    statements = {name: _READ.format(source).encode() for name, source in ((PLAIN, "plain"), (VIEW, "gaq_summaries"))}
    for repeat in range((5 if lab.quick else 15) + 1):
        times: dict[str, list[float]] = {name: [] for name in statements}
        for data_pass in range(1, 22):
            for name, statement in statements.items():
                times[name].append(milliseconds(connection, statement, [data_pass]))
        if repeat > 0:  # the first repeat warms the caches up
            for name, measured in times.items():
                figure.add(name, median(measured))
