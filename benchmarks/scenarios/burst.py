"""Measure a transaction with five marks for each of many pairs: the time until all are fresh, and the refreshes."""

import time

import psycopg

from benchmarks.contestants import GAQ_LISTEN, NAMES, QUEUES, stored, wait_until_done, worker
from benchmarks.figures import Figure, Target
from benchmarks.lab import THIS_WORKER, Lab, text

MARKS_A_PAIR = 5
POLLER, MATERIALIZED = "poller, 30 s", "materialized view"
POLL_SECONDS = 30.0


def measure(lab: Lab) -> list[Figure]:
    """Measure the contestants in turns, each on a database of its own."""
    pairs = 500 if lab.quick else 2000
    what = f"{MARKS_A_PAIR * pairs} marks on {pairs} pairs"
    ten = [Target(name, "≥", 10.0) for name in QUEUES.values()]
    seconds = Figure(f"{what}: until fresh", "s", GAQ_LISTEN, targets=ten)
    refreshes = Figure(
        f"{what}: refreshes a pair",
        "",
        GAQ_LISTEN,
        targets=[Target(GAQ_LISTEN, "≤", 1.1, absolute=True)],
    )
    for repeat in range(1 if lab.quick else 3):
        for kind, name in NAMES.items():
            lab.say(f"burst: {name}")
            with lab.database(kind) as dbname, lab.connect(dbname) as connection:
                before = stored(lab, dbname)
                with worker(lab, kind, dbname):
                    wait_until_done(connection, kind)
                    start = _burst(connection, pairs)
                    wait_until_done(connection, kind)
                    seconds.add(name, time.perf_counter() - start)
                # The figure includes the one pair that the worker refreshes to show that it is ready.
                refreshes.add(name, (stored(lab, dbname) - before) / pairs)
        with lab.database(THIS_WORKER) as dbname, lab.connect(dbname) as connection:
            seconds.add(MATERIALIZED, _materialized(connection, pairs))
            refreshes.add(MATERIALIZED, len(_all_pairs(connection)) / pairs)
        if not lab.quick and repeat < 2:
            lab.say(f"burst: {POLLER}")
            with lab.database(THIS_WORKER) as dbname, lab.connect(dbname) as connection:
                seconds.add(POLLER, _polled(connection, pairs, phase=(10.0, 20.0)[repeat]))
    return [seconds, refreshes]


def _burst(connection: psycopg.Connection, pairs: int) -> float:
    """Commit the marks, and return the time just before the commit."""
    connection.execute(f"set bench.pairs = {pairs}")
    with connection.transaction():
        for _ in range(MARKS_A_PAIR):
            connection.execute(text("burst"))
        return time.perf_counter()


def _all_pairs(connection: psycopg.Connection) -> list[tuple[int, int]]:
    return connection.execute("select data_pass_id, run_number from data_pass_runs").fetchall()


def _materialized(connection: psycopg.Connection, pairs: int) -> float:
    """Measure a refresh of the view, which starts at once. A real one would start later."""
    connection.execute(text("materialized"))
    start = _burst(connection, pairs)
    connection.execute("refresh materialized view concurrently all_summaries")
    return time.perf_counter() - start


def _polled(connection: psycopg.Connection, pairs: int, phase: float) -> float:
    """Measure a program that drains every 30 s, and does so ``30 - phase`` seconds after the burst."""
    start = _burst(connection, pairs)
    time.sleep(POLL_SECONDS - phase)
    connection.execute("call gaq.drain()")
    return time.perf_counter() - start
