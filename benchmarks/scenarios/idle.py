"""Measure from a commit to the fresh summary, when nothing else goes on."""

import random
import time
from contextlib import ExitStack

from benchmarks.contestants import GAQ_LISTEN, LEAST_LISTENER, NAMES, QUEUES, Freshness, RefreshLog, worker
from benchmarks.figures import Figure, Target
from benchmarks.lab import LEAST, THIS_WORKER, Lab
from benchmarks.pairs import SEED
from benchmarks.scenarios.steady import FLUSH_MS

REFRESH = "the refresh alone"


def measure(lab: Lab) -> list[Figure]:
    """Single flags on random pairs, the contestants in turns, each with its worker asleep before."""
    slower = [Target(name, "≥", 1.0) for name in QUEUES.values()]
    middle = Figure(
        "commit to fresh, idle, p50",
        "ms",
        GAQ_LISTEN,
        targets=[Target(GAQ_LISTEN, "≤", 4.0, absolute=True), *slower],
    )
    worst = Figure("commit to fresh, idle, p99", "ms", GAQ_LISTEN, targets=slower)
    beside = Figure("commit to fresh beside its refresh, idle, p50", "ms", REFRESH)
    beside.targets = [Target(GAQ_LISTEN, "≤", 1.4)]
    flushing = f"commit to fresh, idle, {FLUSH_MS} ms a flush"
    slow_middle = Figure(
        f"{flushing}, p50", "ms", GAQ_LISTEN, targets=[Target(GAQ_LISTEN, "≤", 8.0, absolute=True), *slower]
    )
    slow_worst = Figure(f"{flushing}, p99", "ms", GAQ_LISTEN, targets=slower)
    chance = random.Random(SEED)
    with ExitStack() as stack:
        contestants = {}
        log = stack.enter_context(RefreshLog())
        for kind, name in (NAMES | {LEAST: LEAST_LISTENER}).items():
            dbname = stack.enter_context(lab.database(kind))
            stack.enter_context(worker(lab, kind, dbname, log if kind == THIS_WORKER else None))
            contestants[name] = stack.enter_context(Freshness(lab, dbname))
        repeats, samples = (2, 40) if lab.quick else (5, 200)
        for _ in range(repeats):
            log.take()
            for name, lags in _lags(lab, contestants, chance, samples).items():
                middle.add_percentile(name, 0.5, lags)
                worst.add_percentile(name, 0.99, lags)
            beside.add_percentile(REFRESH, 0.5, log.take())
            beside.add(GAQ_LISTEN, middle.values[GAQ_LISTEN][-1])
        repeats, samples = (1, 20) if lab.quick else (3, 100)
        lab.say(flushing)
        with lab.slow_flush(FLUSH_MS):
            for _ in range(repeats):
                for name, lags in _lags(lab, contestants, chance, samples, less_flush=True).items():
                    slow_middle.add_percentile(name, 0.5, lags)
                    slow_worst.add_percentile(name, 0.99, lags)
    return [middle, worst, beside, slow_middle, slow_worst]


def _lags(
    lab: Lab, contestants: dict[str, Freshness], chance: random.Random, samples: int, *, less_flush: bool = False
) -> dict[str, list[float]]:
    """Return the milliseconds of each sample by contestant. With ``less_flush``, they begin when the commit is done."""
    lags: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(samples):
        for name, freshness in contestants.items():
            time.sleep(chance.uniform(0.03, 0.07))
            pair = chance.randint(1, 21), 500_000 + chance.randint(1, lab.runs)
            lags[name].append(freshness.measure(*pair, less_flush=less_flush) * 1000)
    return lags
