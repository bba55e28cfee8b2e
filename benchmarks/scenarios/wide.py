"""Reading a pair and a data pass while wide marks wait, in both shapes; and what the marks cost who writes them."""

import time
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

_OF_FLAGS = "select {}, 'benchmark' from generate_series(1, {{number}}) s (i) join marked_flag f on f.n = i % {{flags}}"
_OF_NUMBERS = "select {}, 'benchmark' from generate_series(1, {{number}}) n"
KINDS = {
    "flags": _OF_FLAGS.format("'flag', f.id, null::bigint"),
    "runs": _OF_NUMBERS.format("'run', 500001 + n % {runs}, null::bigint"),
    "flag types": _OF_NUMBERS.format("'flag type', 1 + n % 14, null::bigint"),
    "everything": _OF_NUMBERS.format("'everything', null::bigint, null::bigint"),
}
"""Marks by the statement that selects them."""

HALVES = {
    "flags in runs": _OF_FLAGS.format("'flag in run', f.id, f.run_number"),
    "flags in data passes": _OF_FLAGS.format("'flag in data pass', f.id, f.data_pass_id"),
    "flags in both": _OF_FLAGS.format(
        "(array['flag in run', 'flag in data pass'])[1 + i % 2], f.id, (array[f.run_number, f.data_pass_id])[1 + i % 2]"
    ),
}
"""Marks that only the Bookkeeping's shape has: of a flag's row and of its link."""

_FLAGS = """
create table marked_flag as
select row_number() over (order by hashint8(id)) - 1 as n, id, run_number::bigint, data_pass_id::bigint
from gaq.source_flags;
create index on marked_flag (n);
analyze marked_flag;
"""
_INSERT = "insert into gaq.wide_invalidations (kind, key, place, cause) "
NONE, CACHED, NOT_ANALYZED, ANALYZED = "no marks", "plan for none", "not analyzed", "analyzed"
WITHOUT, WITH = "without the indexes for readers", "with them"
_BY_KEY = "create index wide_invalidations_by_key on gaq.wide_invalidations (kind, key, invalidated_at)"
_BY_PLACE = (
    "create index wide_invalidations_by_place on gaq.wide_invalidations (kind, place, key, invalidated_at)"
    " where place is not null"
)


def measure(lab: Lab) -> list[Figure]:
    """Each repeat is the median of some readings: by a plan that was made for no marks, and with new plans."""
    marks = (10_000,) if lab.quick else (100_000, 1_000_000)
    figures = []
    for sources in ("reference", "bookkeeping"):
        with lab.shaped(sources, lab.runs, 21, 12) as dbname, lab.connect(dbname) as connection:
            connection.execute("alter table gaq.wide_invalidations set (autovacuum_enabled = off)")
            connection.execute(_FLAGS)
            flags = 21 * lab.runs * 12 * 3
            for kind, statement in (KINDS | HALVES if sources == "bookkeeping" else KINDS).items():
                for size, number in enumerate(marks):
                    lab.say(f"{sources}: {number} marks of {kind}")
                    named = f"{sources}, {format(number, ',').replace(',', ' ')} marks of {kind}"
                    marking = _INSERT + statement.format(runs=lab.runs, number=number, flags=flags)
                    figures += _read(lab, dbname, connection, named, marking, size)
            connection.execute("truncate gaq.wide_invalidations")
            figures += _write(lab, connection, sources)
    return figures


def _read(lab: Lab, dbname: str, connection: psycopg.Connection, named: str, marking: str, size: int) -> list[Figure]:
    figures = {}
    for what, (_, limits) in READ.items():
        figure = Figure(f"read {what.format(runs=lab.runs)}: {named}", "ms", NONE)
        figure.targets = [Target(who, "≤", limits[size], absolute=True) for who in (CACHED, NOT_ANALYZED, ANALYZED)]
        figures[what] = figure
    connection.execute("truncate gaq.wide_invalidations")
    connection.execute("vacuum analyze gaq.wide_invalidations")
    with lab.connect(dbname) as cached:
        cached.execute("set plan_cache_mode = force_generic_plan")
        for what, (question, _) in READ.items():
            _several(lab, cached, question, figures[what], NONE)
        connection.execute(marking.encode())
        for who, reader in ((CACHED, cached), (NOT_ANALYZED, connection), (ANALYZED, connection)):
            if who == ANALYZED:
                connection.execute("analyze gaq.wide_invalidations")
            for what, (question, _) in READ.items():
                _several(lab, reader, question, figures[what], who)
    return list(figures.values())


def _several(lab: Lab, connection: psycopg.Connection, question: str, figure: Figure, who: str) -> None:
    for _ in range(3 if lab.quick else 4):
        figure.add(who, median(milliseconds(connection, question.encode(), [3]) for _ in range(3)))


def _write(lab: Lab, connection: psycopg.Connection, sources: str) -> list[Figure]:
    """Time the marking of verifications: by one statement for 50 000 of them, and by one for each."""
    many = Figure(f"verify 50 000 flags in one statement: {sources}", "ms", WITHOUT)
    single = Figure(f"verify one flag: {sources}", "ms", WITHOUT)
    table = {"reference": "qc_flag_verifications (flag_id, created_by)"}.get(
        sources, "quality_control_flag_verifications (flag_id, created_by_id)"
    )
    someone = "'somebody'" if sources == "reference" else "1"
    verify = f"insert into {table} select id, {someone} from marked_flag where n >= %s and n < %s".encode()
    start = 0
    for _ in range(2 if lab.quick else 7):
        for who, statements in ((WITHOUT, ()), (WITH, (_BY_KEY, _BY_PLACE))):
            connection.execute("truncate gaq.wide_invalidations")
            connection.execute("drop index if exists gaq.wide_invalidations_by_key, gaq.wide_invalidations_by_place")
            for statement in statements:
                connection.execute(statement.encode())
            connection.execute("checkpoint")
            begun = time.perf_counter()
            connection.execute(verify, [0, 50_000])
            many.add(who, (time.perf_counter() - begun) * 1000)
            times = []
            for _ in range(300):
                start += 1
                times.append(milliseconds(connection, verify, [start, start + 1]))
            single.add(who, median(times))
    return [many, single]
