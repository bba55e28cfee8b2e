"""Measure from a commit to the fresh summary while experts work: some changes a second, and slow flushes."""

import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from benchmarks.contestants import GAQ_LISTEN, INSERT, NAMES, QUEUES, worker
from benchmarks.figures import Figure, Target
from benchmarks.lab import Lab
from benchmarks.notifying import Bystander
from benchmarks.pairs import SEED

WRITERS = 4
CHANGES_A_SECOND = 20
FLUSH_MS = 30
PATIENCE = 60.0

Pair = tuple[int, int]


def measure(lab: Lab) -> list[Figure]:
    """Each change is a flag on a random pair; the contestants in turns.

    The time begins when the writer's commit is done, so the writer's own flush is not in it.
    """
    repeats, seconds = (1, 5) if lab.quick else (3, 20)
    what = f"{CHANGES_A_SECOND} changes a second of {WRITERS} writers, {FLUSH_MS} ms a flush"
    slower = [Target(name, "≥", 1.0) for name in QUEUES.values()]
    middle = Figure(f"{what}: commit to fresh, p50", "ms", GAQ_LISTEN)
    middle.targets = [Target(GAQ_LISTEN, "≤", 40, absolute=True), *slower]
    worst = Figure(f"{what}: commit to fresh, p99", "ms", GAQ_LISTEN)
    worst.targets = [Target(GAQ_LISTEN, "≤", 250, absolute=True)]
    rings = Figure(f"{what}: notifications", "/s", GAQ_LISTEN)
    rings.targets = [Target(GAQ_LISTEN, "≤", 5, absolute=True)]
    for _ in range(repeats):
        for kind, name in NAMES.items():
            lab.say(f"{what}: {name}")
            with ExitStack() as stack:
                dbname = stack.enter_context(lab.database(kind))
                stack.enter_context(lab.slow_flush(FLUSH_MS))
                stack.enter_context(worker(lab, kind, dbname))
                bystander = stack.enter_context(Bystander(lab, dbname))
                lags = _lags(lab, dbname, seconds)
            middle.add_percentile(name, 0.5, lags)
            worst.add_percentile(name, 0.99, lags)
            if name == GAQ_LISTEN:
                rings.add(name, bystander.rings)
    return [middle, worst, rings]


def _lags(lab: Lab, dbname: str, seconds: float) -> list[float]:
    """Milliseconds from each commit's end to the notification that its pair has been refreshed."""
    commits: list[tuple[Pair, float]] = []
    end = time.perf_counter() + seconds
    threads = [threading.Thread(target=_write, args=(lab, dbname, seed, end, commits)) for seed in range(WRITERS)]
    with _refreshed(lab, dbname) as refreshed:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        deadline = time.perf_counter() + PATIENCE
        while (lags := _matched(commits, refreshed)) is None:
            if time.perf_counter() > deadline:
                raise TimeoutError(f"a change was not refreshed within {PATIENCE} s")
            time.sleep(0.05)
    return lags


def _write(lab: Lab, dbname: str, seed: int, end: float, commits: list[tuple[Pair, float]]) -> None:
    """Insert flags on random pairs, after random pauses, and note when each commit was done."""
    chance = random.Random(f"{SEED} {seed}")
    with lab.connect(dbname) as connection:
        while (pause := chance.expovariate(CHANGES_A_SECOND / WRITERS)) < end - time.perf_counter():
            time.sleep(pause)
            pair = chance.randint(1, 21), 500_000 + chance.randint(1, lab.runs)
            connection.execute(INSERT, pair)
            commits.append((pair, time.perf_counter()))


@contextmanager
def _refreshed(lab: Lab, dbname: str) -> Iterator[list[tuple[Pair, float]]]:
    """The pairs that were refreshed so far, and when that was heard, in order."""
    heard: list[tuple[Pair, float]] = []
    done = threading.Event()

    def listen() -> None:
        with lab.connect(dbname) as connection:
            connection.execute("listen gaq_refreshed")
            ready.set()
            while not done.is_set():
                for notice in connection.notifies(timeout=0.1):
                    now = time.perf_counter()
                    heard.extend(((data_pass, run), now) for data_pass, run in json.loads(notice.payload))

    ready = threading.Event()
    thread = threading.Thread(target=listen)
    thread.start()
    try:
        ready.wait()
        yield heard
    finally:
        done.set()
        thread.join()


def _matched(commits: list[tuple[Pair, float]], refreshed: list[tuple[Pair, float]]) -> list[float] | None:
    """For each commit the milliseconds to the first refresh of its pair after it; None: one has not been refreshed yet.

    A worker may see a commit a moment before its writer does. Such a lag counts as zero.
    """
    lags = []
    for pair, committed in commits:
        later = [when for other, when in list(refreshed) if other == pair and when > committed - 0.001 * FLUSH_MS]
        if not later:
            return None
        lags.append(1000 * max(0.0, later[0] - committed))
    return lags
