"""What marking costs those who write flags, beside no trigger and a trigger that does it the obvious way."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from benchmarks.contestants import worker
from benchmarks.figures import Figure, Target
from benchmarks.lab import BARE, OURS, ROW, SMALLEST, SQL, Lab
from benchmarks.pairs import SEED
from gaq_listen.demo.binaries import find_binaries

NONE, OUR, WORKING, ROW_TRIGGER = "no trigger", "gaq-listen", "gaq-listen + worker", "row trigger"
LEAST = "smallest trigger"
DESIGNS = {NONE: BARE, LEAST: SMALLEST, OUR: OURS, WORKING: OURS, ROW_TRIGGER: ROW}
"""The kind of each one's database, in the order in which they are measured."""
# The first to flush waits for two milliseconds while the others queue up behind it, as with a disk that takes so long.
SLOW_DISK = {"commit_delay": "2000", "commit_siblings": "0"}
WARM_UP_SECONDS = 1


@contextmanager
def design(lab: Lab, name: str, settings: dict[str, str] | None = None) -> Iterator[str]:
    """The name of a new database of a design, with its worker at work if it has one."""
    with ExitStack() as stack:
        dbname = stack.enter_context(lab.database(DESIGNS[name], settings))
        if name == WORKING:
            stack.enter_context(worker(lab, OURS, dbname))
        yield dbname


def measure(lab: Lab) -> list[Figure]:
    """Transactions a second of clients that insert one flag in each; each design on a new database, in turns."""
    seconds = 1 if lab.quick else 2
    figures = []
    for disk, settings, wanted in (("", None, 0.80), (", 2 ms a flush", SLOW_DISK, 0.90)):
        for clients in (16,) if lab.quick else (1, 4, 16, 32):
            if disk and clients < 16:
                continue
            targets = [Target(name, "≥", wanted) for name in (OUR, WORKING)] if clients >= 16 else []
            figure = Figure(f"insert one flag, {clients} clients{disk}", "tx/s", NONE, targets=targets)
            figures.append(figure)
            for _ in range(_repeats(lab, clients)):
                for name in DESIGNS:
                    lab.say(f"{figure.name}: {name}")
                    with design(lab, name, settings) as dbname:
                        _pgbench(lab, dbname, clients, WARM_UP_SECONDS)
                        figure.add(name, _pgbench(lab, dbname, clients, seconds))
    return figures


def _repeats(lab: Lab, clients: int) -> int:
    if lab.quick:
        return 2
    return 9 if clients >= 16 else 3


def _pgbench(lab: Lab, dbname: str, clients: int, seconds: int) -> float:
    pgbench = find_binaries().directory / "pgbench"
    options = ["--no-vacuum", "--protocol=prepared", f"--jobs={min(clients, 2)}", f"--random-seed={SEED}"]
    amount = [f"--client={clients}", f"--time={seconds}", f"--file={SQL / 'insert_one.sql'}"]
    command = [str(pgbench), *options, *amount, lab.server.dsn(dbname)]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout
    found = re.search(r"^tps = ([\d.]+)", said, re.MULTILINE)
    if not found:
        raise RuntimeError(f"pgbench did not tell its transactions a second: {said}")
    return float(found[1])
