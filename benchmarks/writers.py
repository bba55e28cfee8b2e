"""What marking costs those who write flags, by design."""

import re
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from statistics import median

import psycopg

from benchmarks.designs import DESIGNS, NONE, OURS, SQL, WORKING, Designs, text
from gaq_listen.demo.binaries import find_binaries

CLIENTS = (16, 32)
# The first to flush waits for two milliseconds while the others queue up behind it, as with a disk that takes so long.
SLOW_DISK = {"commit_delay": "2000", "commit_siblings": "0"}
WARM_UP_SECONDS = 1
SEED = 20241107


@dataclass(slots=True)
class Figure:
    """A thing that is measured, for each design, and what is wanted of ours.

    ``values`` are transactions a second or milliseconds, by design, a repeat each.
    """

    name: str
    unit: str
    target: float
    more_is_better: bool
    values: dict[str, list[float]] = field(default_factory=lambda: {design: [] for design in DESIGNS})

    def ratios(self, design: str) -> list[float]:
        """To no trigger, repeat by repeat: those two were measured one right after the other."""
        return [value / base for value, base in zip(self.values[design], self.values[NONE], strict=True)]

    def met(self, design: str) -> bool | None:
        """Whether the median ratio reaches the target; None for designs that are not ours."""
        if design not in (OURS, WORKING):
            return None
        ratio = median(self.ratios(design))
        return ratio >= self.target if self.more_is_better else ratio <= self.target


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured."""

    repeats: int
    many_repeats: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Scenario:
    """Figures that are measured together, on a database with these settings."""

    figures: list[Figure]
    settings: dict[str, str]
    repeats: int
    measure: Callable[[str], list[float]]
    """Takes a connection string, returns a value for each figure."""


def scenarios(effort: Effort) -> list[Scenario]:
    """All there is to measure."""
    found = []
    for disk, settings, target in (("", {}, 0.80), (", 2 ms a flush", SLOW_DISK, 0.90)):
        for clients in CLIENTS:
            figure = Figure(f"insert one flag, {clients} clients{disk}", "tx/s", target, more_is_better=True)
            found.append(Scenario([figure], settings, effort.repeats, _Inserts(clients, effort.seconds)))
    many = [
        Figure(f"{name} 10 000 flags of 500 pairs", "ms", 1.60, more_is_better=False)
        for name in ("insert", "update", "delete")
    ]
    return [*found, Scenario(many, {}, effort.many_repeats, change_many)]


def measure(designs: Designs, scenario: Scenario) -> Iterator[str]:
    """Measure all designs in turns; yields what comes next."""
    for repeat in range(scenario.repeats):
        for design in DESIGNS:
            yield f"{scenario.figures[0].name}: {design}, {repeat + 1} of {scenario.repeats}"
            with designs.database(design, scenario.settings) as dsn:
                values = scenario.measure(dsn)
            for figure, value in zip(scenario.figures, values, strict=True):
                figure.values[design].append(value)


@dataclass(frozen=True, slots=True)
class _Inserts:
    """Transactions a second of clients that insert one flag in each."""

    clients: int
    seconds: int

    def __call__(self, dsn: str) -> list[float]:
        self._run(dsn, WARM_UP_SECONDS)
        return [self._run(dsn, self.seconds)]

    def _run(self, dsn: str, seconds: int) -> float:
        pgbench = find_binaries().directory / "pgbench"
        options = ["--no-vacuum", "--protocol=prepared", "--jobs=2", f"--random-seed={SEED}"]
        amount = [f"--client={self.clients}", f"--time={seconds}", f"--file={SQL / 'insert_one.sql'}"]
        command = [str(pgbench), *options, *amount, dsn]
        said = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
        found = re.search(r"^tps = ([\d.]+)", said, re.MULTILINE)
        if not found:
            raise RuntimeError(f"pgbench did not tell its transactions a second: {said}")
        return float(found[1])


def change_many(dsn: str) -> list[float]:
    """Milliseconds of one statement each that inserts, updates and deletes the same flags."""
    with psycopg.connect(dsn, autocommit=True) as connection, psycopg.connect(dsn, autocommit=True) as other:
        # What a session does only once is not what is measured.
        with connection.transaction(force_rollback=True):
            for change in ("insert", "update", "delete"):
                connection.execute(text(f"{change}_many"))
        connection.execute("select setval('qc_flags_id_seq', 33600)")
        times = []
        for change in ("insert", "update", "delete"):
            other.execute("checkpoint")
            start = time.perf_counter()
            connection.execute(text(f"{change}_many"))
            times.append((time.perf_counter() - start) * 1000)
    return times
