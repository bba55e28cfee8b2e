"""Measure 16 writers that change the same pairs: three random pairs out of 50 in each transaction."""

import re
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path

from benchmarks.contestants import worker
from benchmarks.figures import Figure, Target
from benchmarks.lab import BARE, ROW, SQL, THIS_WORKER, Lab
from benchmarks.scenarios.writers import NONE, OUR, ROW_TRIGGER, WORKING
from gaq_listen.observers.staleness import percentile
from gaq_listen.private_postgres.binaries import find_binaries

CLIENTS = 16
SHAPES = {
    NONE: (BARE, 0),
    OUR: (THIS_WORKER, 0),
    WORKING: (THIS_WORKER, 1),
    "gaq-listen + 4 workers": (THIS_WORKER, 4),
    ROW_TRIGGER: (ROW, 0),
}
"""The kind of the database and the number of workers, by the name of the contestant."""
_WRONG = """
select count(*) from (select array_agg(data_pass_id) as passes, array_agg(run_number) as runs from gaq.known_pairs) p
cross join lateral gaq.differences(p.passes, p.runs)
"""


def measure(lab: Lab) -> list[Figure]:
    """Measure the contestants in turns, each on a new database. Count the wrong summaries after a drain."""
    speed = Figure(f"storm of {CLIENTS} writers", "tx/s", NONE)
    worst = Figure("storm: p99 of a transaction", "ms", NONE)
    failed = Figure("storm: failed transactions or clients", "", NONE)
    wrong = Figure("storm: wrong summaries after it", "", OUR)
    for figure in (failed, wrong):
        figure.targets += [
            Target(name, "≤", 0, absolute=True) for name, (kind, _) in SHAPES.items() if kind == THIS_WORKER
        ]
    for _ in range(1 if lab.quick else 3):
        for name, (kind, workers) in SHAPES.items():
            lab.say(f"storm: {name}")
            with ExitStack() as stack:
                dbname = stack.enter_context(lab.database(kind))
                for _ in range(workers):
                    stack.enter_context(worker(lab, THIS_WORKER, dbname))
                rate, p99, errors = _storm(lab, dbname, 2 if lab.quick else 10)
                speed.add(name, rate)
                worst.add(name, p99)
                failed.add(name, errors)
                if kind == THIS_WORKER:
                    wrong.add(name, _drain(lab, dbname))
    return [speed, worst, failed, wrong]


def _storm(lab: Lab, dbname: str, seconds: int) -> tuple[float, float, int]:
    """Return transactions a second, the 99th percentile in milliseconds, and how many transactions failed."""
    with tempfile.TemporaryDirectory() as directory:
        command = [str(find_binaries().directory / "pgbench"), "--no-vacuum", "--protocol=prepared", "--jobs=2"]
        amount = [f"--client={CLIENTS}", f"--time={seconds}", f"--file={SQL / 'storm.sql'}"]
        logging = ["--log", f"--log-prefix={Path(directory, 'log')}", lab.server.dsn(dbname)]
        run = subprocess.run([*command, *amount, *logging], capture_output=True, text=True, check=False)
        p99 = _p99(Path(directory))
    rate = re.search(r"^tps = ([\d.]+)", run.stdout, re.MULTILINE)
    if not rate:
        raise RuntimeError(f"pgbench did not report its transactions a second: {run.stdout}{run.stderr}")
    failed = re.search(r"^number of failed transactions: (\d+)", run.stdout, re.MULTILINE)
    aborted = len(re.findall("aborted", run.stderr))
    return float(rate[1]), p99, aborted + (int(failed[1]) if failed else 0)


def _p99(logs: Path) -> float:
    logged = (line.split()[2] for log in logs.iterdir() for line in log.read_text().splitlines())
    times = sorted(int(time) for time in logged if time.isdecimal())  # pgbench logs a word for a failed transaction
    return percentile(times, 0.99) / 1000


def _drain(lab: Lab, dbname: str) -> int:
    with lab.connect(dbname) as connection:
        connection.execute("call gaq.drain()")
        ((wrong,),) = connection.execute(_WRONG).fetchall()
    return int(wrong)
