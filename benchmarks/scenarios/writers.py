"""What marking costs those who write flags, beside no trigger and a trigger that does it the obvious way."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from benchmarks.contestants import worker
from benchmarks.figures import Figure, Target
from benchmarks.lab import BARE, ROW, SMALLEST, SQL, THIS_WORKER, Lab
from benchmarks.notifying import Bystander
from benchmarks.pairs import SEED
from gaq_listen.private_postgres.binaries import find_binaries

NONE, OUR, WORKING, ROW_TRIGGER = "no trigger", "gaq-listen", "gaq-listen + worker", "row trigger"
LEAST, TWO = "smallest trigger", "gaq-listen + 2 workers"
DESIGNS = {
    NONE: (BARE, 0),
    LEAST: (SMALLEST, 0),
    OUR: (THIS_WORKER, 0),
    WORKING: (THIS_WORKER, 1),
    TWO: (THIS_WORKER, 2),
    ROW_TRIGGER: (ROW, 0),
}
"""The kind of each one's database and its workers, in the order in which they are measured."""

FEW_RUNS = 57
"""Runs in each of the 21 data passes that make about 1200 pairs: what experts work on at the same time."""

WARM_UP_SECONDS = 2
"""Long enough for a worker to find out that writers contend."""


@dataclass(frozen=True, slots=True)
class Case:
    """``clients`` insert flags into the pairs of ``runs`` runs of each data pass, each in a transaction of its own."""

    clients: int
    runs: int

    def name(self, flush: int) -> str:
        """The figure's name; ``flush``: milliseconds that the server waits before each flush."""
        slow = f", {flush} ms a flush" if flush else ""
        return f"insert one flag, {self.clients} clients, {21 * self.runs} pairs{slow}"

    def figures(self, flush: int, *, on_disk: bool) -> list[Figure]:
        """Transactions and notifications a second, and how often a session waits for the lock of NOTIFY."""
        name = self.name(flush)
        speed = Figure(name, "tx/s", NONE)
        rings = Figure(f"{name}: notifications", "/s", ROW_TRIGGER)
        queue = Figure(f"{name}: a session waits for the lock of NOTIFY", "% of samples", ROW_TRIGGER)
        rings.targets = [Target(who, "≤", 5, absolute=True) for who in (WORKING, TWO)]
        if self.clients >= 16:
            if flush:
                speed.targets = [Target(OUR, "≥", 0.9), *(Target(who, "≥", 0.85) for who in (WORKING, TWO))]
            elif on_disk and self.runs == FEW_RUNS:
                speed.targets = [Target(WORKING, "≥", 0.60)]
            elif not on_disk:
                speed.targets = [Target(OUR, "≥", 0.8)]
        return [speed, rings, queue]


@contextmanager
def design(lab: Lab, name: str) -> Iterator[str]:
    """The name of a new database of a design, with its workers at work if it has any."""
    kind, workers = DESIGNS[name]
    with ExitStack() as stack:
        dbname = stack.enter_context(lab.database(kind))
        for _ in range(workers):
            stack.enter_context(worker(lab, THIS_WORKER, dbname))
        yield dbname


def measure(lab: Lab) -> list[Figure]:
    """Clients that insert one flag in each transaction; each design on a new database, in turns.

    A longer flush is ``commit_delay``: the first session to flush waits first, and flushes for
    all that have come by then.
    """
    figures = []
    for case, flushes, repeats in _cases(lab):
        measured = {flush: case.figures(flush, on_disk=lab.on_disk) for flush in flushes}
        for _ in range(repeats):
            for name in DESIGNS:
                lab.say(f"{case.name(0)}: {name}")
                with design(lab, name) as dbname:
                    for flush in flushes:
                        with lab.slow_flush(flush):
                            for figure, value in zip(measured[flush], _write(lab, dbname, case), strict=True):
                                figure.add(name, value)
        for flush in reversed(flushes):
            figures += measured[flush]
    return figures


def _cases(lab: Lab) -> Iterator[tuple[Case, tuple[int, ...], int]]:
    """Cases with their flushes, the longest first since least is inserted then, and how often to repeat them."""
    if lab.quick:
        yield Case(16, FEW_RUNS), (30, 0), 1
        return
    flushes = (100, 30, 10, 2, 0) if lab.on_disk else (2, 0)
    yield Case(1, FEW_RUNS), flushes, 1
    yield Case(4, FEW_RUNS), flushes, 1
    yield Case(16, FEW_RUNS), flushes, 3
    yield Case(16, lab.runs), flushes, 1
    if not lab.on_disk:
        yield Case(32, FEW_RUNS), flushes, 3


def _write(lab: Lab, dbname: str, case: Case) -> tuple[float, float, float]:
    """Transactions a second, notifications a second, and the percentage of samples with a queue."""
    _pgbench(lab, dbname, case, WARM_UP_SECONDS)
    with Bystander(lab, dbname) as bystander:
        rate = _pgbench(lab, dbname, case, 1 if lab.quick else 3)
    return rate, bystander.rings, bystander.queue


def _pgbench(lab: Lab, dbname: str, case: Case, seconds: int) -> float:
    pgbench = find_binaries().directory / "pgbench"
    options = ["--no-vacuum", "--protocol=prepared", f"--jobs={min(case.clients, 2)}", f"--random-seed={SEED}"]
    amount = [f"--client={case.clients}", f"--time={seconds}", f"--define=last_run={500_000 + case.runs}"]
    command = [str(pgbench), *options, *amount, f"--file={SQL / 'insert_one.sql'}", lab.server.dsn(dbname)]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
    found = re.search(r"^tps = ([\d.]+)", said, re.MULTILINE)
    if not found:
        raise RuntimeError(f"pgbench did not tell its transactions a second: {said}")
    return float(found[1])
