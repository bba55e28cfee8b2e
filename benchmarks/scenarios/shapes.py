"""Computing in the Bookkeeping's shape beside the reference shape, with 12 and with 4 of 12 detectors that matter."""

import random
from contextlib import ExitStack
from statistics import median

from benchmarks.figures import Figure, Target
from benchmarks.lab import Lab
from benchmarks.pairs import COMPUTE, SEED, Pairs, generic, milliseconds
from gaq_listen.types import columns

PASSES, RUNS = 10, 100
ALL, FEW = 12, 4
REFERENCE = "reference, 12 of 12"
CONTESTANTS = {
    REFERENCE: ("reference", ALL),
    "Bookkeeping, 12 of 12": ("bookkeeping", ALL),
    "reference, 4 of 12": ("reference", FEW),
    "Bookkeeping, 4 of 12": ("bookkeeping", FEW),
}
"""The shape, and how many of the 12 detectors matter."""


def measure(lab: Lab) -> list[Figure]:
    """Each repeat is the median of batches of other pairs, the contestants in turns."""
    targets = [Target("Bookkeeping, 12 of 12", "≤", 2.0), Target("reference, 4 of 12", "≤", 0.6)]
    figures = {
        "at random": Figure("compute 100 pairs at random, both shapes", "ms", REFERENCE, targets=list(targets)),
        "of a data pass": Figure(
            "compute 100 pairs of a data pass, both shapes", "ms", REFERENCE, targets=list(targets)
        ),
    }
    for figure in figures.values():
        figure.targets.append(Target("Bookkeeping, 4 of 12", "≤", 2.0 * 0.6))
    repeats, batches = (3, 5) if lab.quick else (11, 15)
    chance = random.Random(SEED)
    with ExitStack() as stack:
        connections = {}
        for name, (sources, detectors) in CONTESTANTS.items():
            dbname = stack.enter_context(lab.shaped(sources, RUNS, PASSES, detectors))
            connections[name] = stack.enter_context(lab.connect(dbname))
            generic(connections[name])
        for repeat in range(repeats + 1):
            for which, figure in figures.items():
                times: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
                for _ in range(batches):
                    pairs = _some(chance, which)
                    for name, connection in connections.items():
                        times[name].append(milliseconds(connection, COMPUTE, pairs))
                if repeat > 0:  # the first warms up
                    for name, measured in times.items():
                        figure.add(name, median(measured))
    return list(figures.values())


def _some(chance: random.Random, which: str) -> Pairs:
    """Return 100 pairs: of one data pass all its runs, or of all data passes some."""
    passes, runs = range(1, PASSES + 1), range(500_001, 500_001 + RUNS)
    if which == "of a data pass":
        return columns([(data_pass, run) for data_pass in [chance.choice(passes)] for run in runs])
    return columns(chance.sample([(data_pass, run) for data_pass in passes for run in runs], 100))
