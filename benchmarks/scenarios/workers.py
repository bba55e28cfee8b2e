"""Measure how fast one, two and four workers drain the same backlog."""

import time
from contextlib import ExitStack

from benchmarks.contestants import stored, wait_until_done, worker
from benchmarks.figures import Figure, Target
from benchmarks.lab import THIS_WORKER, Lab
from benchmarks.scenarios.growth import TENFOLD_RUNS

_MARK = """
insert into gaq.invalidations (data_pass_id, run_number, cause)
select data_pass_id, run_number, 'benchmark' from data_pass_runs
"""


def measure(lab: Lab) -> list[Figure]:
    """Measure pairs a second from the commit of the marks until none is left, and the refreshes of a pair."""
    runs = lab.runs if lab.quick else TENFOLD_RUNS
    numbers = (1, 2) if lab.quick else (1, 2, 4)
    names = {number: f"{number} worker{'s' if number > 1 else ''}" for number in numbers}
    number_of_pairs = 21 * runs
    speed = Figure(f"workers that drain {number_of_pairs:,} pairs".replace(",", " "), "pairs/s", names[1])
    speed.targets.append(Target(names[2], "≥", 1.2))
    again = Figure("refreshes a pair, by workers", "", names[1])
    again.targets += [Target(name, "≤", 1.001, absolute=True) for name in names.values()]
    with lab.sized(runs, 3) as dbname, lab.connect(dbname) as connection:
        connection.execute("call gaq.drain()")
        connection.execute("select pg_stat_force_next_flush()")
        for _ in range(1 if lab.quick else 2):
            for number, name in names.items():
                connection.execute("vacuum analyze gaq.invalidations, gaq.summaries")
                lab.say(f"draining with {name}")
                before = stored(lab, dbname)
                with ExitStack() as stack:
                    for _ in range(number):
                        stack.enter_context(worker(lab, THIS_WORKER, dbname))
                    wait_until_done(connection, THIS_WORKER)
                    connection.execute(_MARK)
                    connection.execute("select pg_notify('gaq_invalidated', '')")
                    start = time.perf_counter()
                    wait_until_done(connection, THIS_WORKER)
                    speed.add(name, number_of_pairs / (time.perf_counter() - start))
                # The figure includes the one pair that each worker refreshes to show that it is ready.
                again.add(name, (stored(lab, dbname) - before) / number_of_pairs)
    return [speed, again]
