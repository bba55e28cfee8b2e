"""From a commit to the fresh summary, when nothing else goes on."""

import random
import time
from contextlib import ExitStack

from benchmarks.contestants import GAQ_LISTEN, NAMES, QUEUES, Freshness, worker
from benchmarks.figures import Figure, Target
from benchmarks.lab import Lab
from benchmarks.pairs import SEED


def measure(lab: Lab) -> list[Figure]:
    """Single flags on random pairs, the contestants in turns, each with its worker asleep before."""
    repeats, samples = (2, 40) if lab.quick else (5, 200)
    slower = [Target(name, "≥", 1.0) for name in QUEUES.values()]
    middle = Figure(
        "commit to fresh, idle, p50",
        "ms",
        GAQ_LISTEN,
        targets=[Target(GAQ_LISTEN, "≤", 4.0, absolute=True), *slower],
    )
    worst = Figure("commit to fresh, idle, p99", "ms", GAQ_LISTEN, targets=slower)
    chance = random.Random(SEED)
    with ExitStack() as stack:
        contestants = {}
        for kind, name in NAMES.items():
            dbname = stack.enter_context(lab.database(kind))
            stack.enter_context(worker(lab, kind, dbname))
            contestants[name] = stack.enter_context(Freshness(lab, dbname))
        for _ in range(repeats):
            times: dict[str, list[float]] = {name: [] for name in contestants}
            for _ in range(samples):
                for name, freshness in contestants.items():
                    time.sleep(chance.uniform(0.03, 0.07))
                    pair = chance.randint(1, 21), 500_000 + chance.randint(1, lab.runs)
                    times[name].append(freshness.measure(*pair) * 1000)
            for name, measured in times.items():
                middle.add_percentile(name, 0.5, measured)
                worst.add_percentile(name, 0.99, measured)
    return [middle, worst]
