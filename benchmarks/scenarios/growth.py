"""Measure how the time of computing grows with all flags in the table, and with the flags of a detector."""

from contextlib import ExitStack
from statistics import median

import psycopg

from benchmarks.figures import Figure, Target
from benchmarks.lab import Lab, text
from benchmarks.pairs import COMPUTE, Chooser, generic, milliseconds

PAIRS = 100
TENFOLD_RUNS = 4800
"""Runs a data pass in the largest database, which has 100 800 pairs and 3.6 million flags."""
DETECTORS = 12
BATCHES = 7
AT_ONCE = 400
"""Pairs of a batch that only warms the caches up."""


def measure(lab: Lab) -> list[Figure]:
    """Measure the databases of all sizes in turns."""
    sizes = {"× 0.1": 40, "× 1": 400, "× 12": TENFOLD_RUNS} if not lab.quick else {"× 0.1": 10, "× 1": 100}
    largest = list(sizes)[-1]
    table = Figure(f"compute {PAIRS} pairs, by flags in the table", "ms", "× 1", targets=[Target(largest, "≤", 1.25)])
    floor = Figure("reading the same flags, and nothing else", "ms", "× 1")
    over = Figure("computing, as a multiple of reading", "×", "× 1", targets=[Target(largest, "≤", 1.25)])
    _measure(lab, {name: (runs, 3) for name, runs in sizes.items()}, table, floor)
    for name in sizes:
        for computing, reading in zip(table.values[name], floor.values[name], strict=True):
            over.add(name, computing / reading)

    detector = Figure(f"compute {PAIRS} pairs, a flag, by flags a detector", "µs", "4 flags")
    flags = (1, 4, 16) if lab.quick else (1, 4, 16, 64)
    detector.targets.append(Target(f"{flags[-1]} flags", "≤", 1.25))
    _measure(lab, {f"{number} flags": (20, number) for number in flags}, detector)
    for name, number in zip(detector.values, flags, strict=True):
        detector.values[name] = [1000 * value / (PAIRS * DETECTORS * number) for value in detector.values[name]]
    return [table, floor, over, detector]


def _measure(lab: Lab, sizes: dict[str, tuple[int, int]], computing: Figure, reading: Figure | None = None) -> None:
    with ExitStack() as stack:
        connections: dict[str, tuple[psycopg.Connection, Chooser]] = {}
        for name, (runs, flags) in sizes.items():
            dbname = stack.enter_context(lab.sized(runs, flags))
            connection = stack.enter_context(lab.connect(dbname))
            generic(connection)
            chooser = Chooser(connection)
            connections[name] = connection, chooser
            # The first access of a backend to a page takes longer, and a larger database has more pages.
            for pairs in chooser.all(AT_ONCE):
                connection.execute(COMPUTE, pairs, prepare=True)
        figures = [(computing, COMPUTE)] if reading is None else [(computing, COMPUTE), (reading, text("floor"))]
        for _ in range(3 if lab.quick else 7):
            for name, (connection, chooser) in connections.items():
                for figure, statement in figures:
                    times = [milliseconds(connection, statement, chooser.some(PAIRS)) for _ in range(BATCHES)]
                    figure.add(name, median(times))
