"""Measure the computing of a batch, beside only reading its flags."""

from statistics import median

from benchmarks.figures import Figure, Target
from benchmarks.lab import THIS_WORKER, Lab, text
from benchmarks.pairs import COMPUTE, Chooser, generic, milliseconds

FLOOR, OUR = "reading the flags", "computing"
PAIRS = 100


def measure(lab: Lab) -> list[Figure]:
    """Measure both in turns. Each repeat is the median of several batches of different pairs."""
    figure = Figure(f"compute {PAIRS} pairs of 36 flags", "ms", FLOOR, targets=[Target(OUR, "≤", 2.0)])
    repeats, batches = (3, 10) if lab.quick else (11, 30)
    with lab.database(THIS_WORKER) as dbname, lab.connect(dbname) as connection:
        generic(connection)
        chooser = Chooser(connection)
        statements = {FLOOR: text("floor"), OUR: COMPUTE}
        for repeat in range(repeats + 1):
            times: dict[str, list[float]] = {name: [] for name in statements}
            for _ in range(batches):
                for name, statement in statements.items():
                    times[name].append(milliseconds(connection, statement, chooser.some(PAIRS)))
            if repeat > 0:  # the first repeat warms the caches up
                for name, measured in times.items():
                    figure.add(name, median(measured))
    return [figure]
