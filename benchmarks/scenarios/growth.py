"""How computing grows: with the flags that there are, and with those of a detector."""

from contextlib import ExitStack
from statistics import median

import psycopg

from benchmarks.figures import Figure, Target
from benchmarks.lab import Lab
from benchmarks.pairs import COMPUTE, Chooser, generic, milliseconds

PAIRS = 100
TENFOLD_RUNS = 4800
"""Runs a data pass of what is called tenfold: 100 800 pairs, 3.6 million flags."""
DETECTORS = 12


def measure(lab: Lab) -> list[Figure]:
    """Databases of all sizes in turns, a batch each."""
    repeats, batches = (3, 3) if lab.quick else (7, 7)
    table = Figure(f"compute {PAIRS} pairs, by flags in the table", "ms", "× 1")
    sizes = {"× 0.1": 40, "× 1": 400} if not lab.quick else {"× 0.1": 10, "× 1": 100}
    if not lab.quick:
        sizes["× 12"] = TENFOLD_RUNS
    table.targets.append(Target(list(sizes)[-1], "≤", 1.25))
    _measure(lab, table, {name: (runs, 3) for name, runs in sizes.items()}, repeats, batches)

    detector = Figure(f"compute {PAIRS} pairs, a flag, by flags a detector", "µs", "4 flags")
    flags = (1, 4, 16) if lab.quick else (1, 4, 16, 64)
    detector.targets.append(Target(f"{flags[-1]} flags", "≤", 1.25))
    _measure(lab, detector, {f"{number} flags": (20, number) for number in flags}, repeats, batches)
    for name, number in zip(detector.values, flags, strict=True):
        detector.values[name] = [1000 * value / (PAIRS * DETECTORS * number) for value in detector.values[name]]
    return [table, detector]


def _measure(lab: Lab, figure: Figure, sizes: dict[str, tuple[int, int]], repeats: int, batches: int) -> None:
    with ExitStack() as stack:
        connections: dict[str, tuple[psycopg.Connection, Chooser]] = {}
        for name, (runs, flags) in sizes.items():
            dbname = stack.enter_context(lab.sized(runs, flags))
            connection = stack.enter_context(lab.connect(dbname))
            generic(connection)
            connections[name] = connection, Chooser(connection)
        for repeat in range(repeats + 1):
            for name, (connection, chooser) in connections.items():
                times = [milliseconds(connection, COMPUTE, chooser.some(PAIRS)) for _ in range(batches)]
                if repeat > 0:  # the first warms up
                    figure.add(name, median(times))
