"""Reading a pair and a data pass while marks of flags, runs, flag types or everything wait, in both shapes."""

from statistics import median

import psycopg

from benchmarks.figures import Figure, Target
from benchmarks.lab import Lab
from benchmarks.pairs import milliseconds

READ = {
    "a pair": ("select * from gaq_summaries where data_pass_id = %s and run_number = 500007", (5, 15)),
    "a data pass of {runs} runs": ("select * from gaq_summaries where data_pass_id = %s", (100, 300)),
}
"""What is read, and in how many milliseconds it should be with few marks and with ten times as many."""

KINDS = {
    "flags": "'flag', 1 + n % (select count(*) from gaq.source_flags)",
    "runs": "'run', 500001 + n % {runs}",
    "flag types": "'flag type', 1 + n % 14",
    "everything": "'everything', null::bigint",
}
NONE, CACHED, NOT_ANALYZED, ANALYZED = "no marks", "plan for none", "not analyzed", "analyzed"


def measure(lab: Lab) -> list[Figure]:
    """Each repeat is the median of some readings: by a plan that was made for no marks, and with new plans."""
    marks = (10_000,) if lab.quick else (100_000, 1_000_000)
    figures = []
    for sources in ("reference", "bookkeeping"):
        with lab.shaped(sources, lab.runs, 21, 12) as dbname, lab.connect(dbname) as connection:
            connection.execute("alter table gaq.wide_invalidations set (autovacuum_enabled = off)")
            for kind, values in KINDS.items():
                for number, place in zip(marks, (0, 1), strict=False):
                    lab.say(f"{sources}: {number} marks of {kind}")
                    named = f"{sources}, {number:,} marks of {kind}".replace(",", " ", 1)
                    figures += _read(lab, dbname, connection, named, values.format(runs=lab.runs), number, place)
    return figures


def _read(
    lab: Lab, dbname: str, connection: psycopg.Connection, named: str, values: str, number: int, place: int
) -> list[Figure]:
    figures = {}
    for what, (_, limits) in READ.items():
        figure = Figure(f"read {what.format(runs=lab.runs)}: {named}", "ms", NONE)
        figure.targets = [Target(who, "≤", limits[place], absolute=True) for who in (CACHED, NOT_ANALYZED, ANALYZED)]
        figures[what] = figure
    connection.execute("truncate gaq.wide_invalidations")
    connection.execute("vacuum analyze gaq.wide_invalidations")
    with lab.connect(dbname) as cached:
        cached.execute("set plan_cache_mode = force_generic_plan")
        for what, (question, _) in READ.items():
            _several(lab, cached, question, figures[what], NONE)
        connection.execute(
            f"insert into gaq.wide_invalidations (kind, key, cause) select {values}, 'benchmark'"
            f" from generate_series(1, {number}) n".encode()
        )
        for who, reader in ((CACHED, cached), (NOT_ANALYZED, connection), (ANALYZED, connection)):
            if who == ANALYZED:
                connection.execute("analyze gaq.wide_invalidations")
            for what, (question, _) in READ.items():
                _several(lab, reader, question, figures[what], who)
    return list(figures.values())


def _several(lab: Lab, connection: psycopg.Connection, question: str, figure: Figure, who: str) -> None:
    for _ in range(3 if lab.quick else 7):
        figure.add(who, median(milliseconds(connection, question.encode(), [3]) for _ in range(3)))
