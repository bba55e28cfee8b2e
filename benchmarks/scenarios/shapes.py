"""Computing and draining in the Bookkeeping's shape beside the reference shape, with 12 and with 4 of 12 detectors."""

import random
import time
from contextlib import ExitStack
from statistics import median

import psycopg

from benchmarks.figures import Figure, Target
from benchmarks.lab import Lab, Order
from benchmarks.pairs import COMPUTE, SEED, Pairs, generic, milliseconds
from gaq_listen.types import columns

RUNS = 100
ALL, FEW = 12, 4
REFERENCE = "reference, 12 of 12"
CONTESTANTS = {
    REFERENCE: ("reference", ALL),
    "Bookkeeping, 12 of 12": ("bookkeeping", ALL),
    "reference, 4 of 12": ("reference", FEW),
    "Bookkeeping, 4 of 12": ("bookkeeping", FEW),
}
"""The shape, and how many of the 12 detectors matter."""

FILLINGS: dict[str, tuple[int, Order]] = {
    "10 data passes": (10, "data passes"),
    "21 data passes": (21, "data passes"),
    "21 data passes, ids in no order": (21, "none"),
}
"""How many data passes there are, and the order of the ids of flags."""

_DRAIN = "call gaq.drain()"
_MARK_ALL = "insert into gaq.wide_invalidations (kind, cause) values ('everything', 'benchmark')"


def measure(lab: Lab) -> list[Figure]:
    """Each repeat is the median of batches of other pairs, or one drain of all pairs; the contestants in turns."""
    figures = []
    for filling, (passes, order) in FILLINGS.items():
        with ExitStack() as stack:
            connections = {}
            for name, (sources, detectors) in CONTESTANTS.items():
                dbname = stack.enter_context(lab.shaped(sources, RUNS, passes, detectors, order))
                connections[name] = stack.enter_context(lab.connect(dbname))
                generic(connections[name])
            figures += _compute(lab, connections, filling, passes)
            figures.append(_drain(lab, connections, filling, passes))
    return figures


def _compute(lab: Lab, connections: dict[str, psycopg.Connection], filling: str, passes: int) -> list[Figure]:
    figures = {
        which: Figure(f"compute 100 pairs {which}: {filling}", "ms", REFERENCE, targets=_targets())
        for which in ("at random", "of a data pass")
    }
    # (Most of the time of a single pair is the call, whatever the number of flags.)
    figures["one"] = Figure(f"compute one pair: {filling}", "ms", REFERENCE, targets=_targets()[:1])
    repeats, batches = (3, 5) if lab.quick else (11, 9)
    chance = random.Random(SEED)
    for repeat in range(repeats + 1):
        for which, figure in figures.items():
            times: dict[str, list[float]] = {name: [] for name in connections}
            for _ in range(batches):
                pairs = _some(chance, which, passes)
                for name, connection in connections.items():
                    times[name].append(milliseconds(connection, COMPUTE, pairs))
            if repeat > 0:  # the first warms up
                for name, measured in times.items():
                    figure.add(name, median(measured))
    return list(figures.values())


def _targets() -> list[Target]:
    return [
        Target("Bookkeeping, 12 of 12", "≤", 2.0),
        Target("reference, 4 of 12", "≤", 0.6),
        Target("Bookkeeping, 4 of 12", "≤", 2.0 * 0.6),
    ]


def _some(chance: random.Random, which: str, passes: int) -> Pairs:
    """Return one pair, or 100: of one data pass all its runs, or of all data passes some."""
    runs = range(500_001, 500_001 + RUNS)
    if which == "of a data pass":
        return columns([(data_pass, run) for data_pass in [1 + chance.randrange(passes)] for run in runs])
    of_all = [(1 + data_pass, run) for data_pass in range(passes) for run in runs]
    return columns(chance.sample(of_all, 1 if which == "one" else 100))


def _drain(lab: Lab, connections: dict[str, psycopg.Connection], filling: str, passes: int) -> Figure:
    figure = Figure(f"drain: {filling}", "pairs/s", REFERENCE)
    figure.targets = [Target("Bookkeeping, 12 of 12", "≥", 0.6), Target("Bookkeeping, 4 of 12", "≥", 0.6)]
    for repeat in range(2 if lab.quick else 4):
        for name, connection in connections.items():
            connection.execute(_MARK_ALL)
            start = time.perf_counter()
            connection.execute(_DRAIN)
            if repeat > 0:
                figure.add(name, passes * RUNS / (time.perf_counter() - start))
    return figure
